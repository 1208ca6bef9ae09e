"""What the addresses of a cluster belong to: for journeys, captures and flows. Called by `Cluster.names`."""

from typing import TYPE_CHECKING

from netsim.cluster.objects import Service
from netsim.wire.addr import ip

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster


def names_of(cluster: "Cluster") -> dict[bytes, str]:
    """Pods, nodes, Services, outside hosts, by address."""
    found = {address: host.name for host in cluster.fabric.hosts() for address in host.addresses}
    found |= {address: name for name, host in cluster.fabric.pods.items() for address in host.addresses}
    for service in cluster.api.list(Service):
        if service.spec.clusterIP not in ("", "None"):
            name = "svc/" + "/".join(service.key)
            found |= {ip(address): name for address in service.spec.clusterIPs}
        for ingress in service.status.loadBalancer.ingress:
            if ingress.ip:
                found[ip(ingress.ip)] = "lb/" + "/".join(service.key)
    return found
