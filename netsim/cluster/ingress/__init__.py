"""The ingress controller's knowledge: routing, configuration from API objects, add-on manifests, status.

Facts are ingress-nginx's (kubernetes/ingress-nginx, controller v1.13): `routing` (which location serves a request),
`settings` (ConfigMap and annotations), `configuration` (objects -> servers and upstreams), `store` (the watches),
`status` (whose addresses an Ingress shows), `manifests` (the objects of deploy.yaml). The proxy itself, which has
sockets, is `netsim.workload.ingress`.
"""
