"""Service dataplanes: what kube-proxy writes into a node's kernel so that packets find a Service's endpoints.

`service_table.py` holds the values that go in, `node_view.py` and `endpoints.py` what they mean on one node, `base.py`
the interface that every dataplane has; one `<name>.py` per dataplane, with its parts in `<name>_*.py`. Nothing here
sees an API object, and nothing in the kernel sees a Service.
"""
