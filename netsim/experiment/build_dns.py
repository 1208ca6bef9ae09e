"""The DNS side of a cluster: name servers outside, the add-on's objects, the pods' resolv.conf.

Called by `cluster.py`.
"""

from typing import TYPE_CHECKING

from netsim.cluster.dns.outside import Outside, authoritative_server

if TYPE_CHECKING:
    from netsim.experiment.spec_cluster import ClusterSpec
    from netsim.fabric.fabric import Fabric


def start_name_servers(fabric: "Fabric", spec: "ClusterSpec") -> None:
    """Start the router's resolver and those of the outside hosts that serve names."""
    upstream = spec.dns.upstream
    outside = Outside(fabric.engine, upstream.names, upstream.delay_ns, upstream.loss)
    servers = [outside.resolver(fabric.router)]
    for external in spec.external:
        host = fabric.outside[external.name]
        if external.zone:
            servers.append(authoritative_server(host, external.zone))
        elif external.resolver:
            servers.append(outside.resolver(host))
    for server in servers:
        server.start(fabric.engine.now)
