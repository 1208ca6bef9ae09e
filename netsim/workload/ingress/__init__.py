"""The ingress controller's container: ingress-nginx as a process with sockets on both sides.

`process` is the controller (watches, syncs, status, life), `proxy` the nginx that it runs (clients' side), `forward`
one request on its way to an endpoint, `balancer` whose turn it is, `keepalive` connections kept to endpoints,
`records` the access log, `controllers` all controller processes of a cluster.
"""
