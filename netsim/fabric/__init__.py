"""The hardware: links, veth pairs, the underlay switch and router, nodes, pod sandboxes, and hosts for applications."""
