"""After a sync: delete conntrack entries of UDP connections whose endpoint is gone. TCP entries are never deleted.

UDP has no FIN, so an entry would keep a sender on a dead endpoint as long as it sends. What kube-proxy does about it
changed (timing facts kp.conntrack.cleanup; pkg/proxy/conntrack/cleanup.go):

- `events` (to 1.31): entries towards endpoints that the changes removed, and those of a Service that had no endpoint
  before;
- `reconcile-skip-empty` (1.32 to 1.36): entries to a Service's addresses whose endpoint is not serving, but Services
  without any endpoint are left alone (issue 139628);
- `reconcile`: the same without that exception.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netsim.cluster.timing import ConntrackCleanup
from netsim.dataplane.service_table import ServicePort, ServicePortName, ServiceTable
from netsim.wire.packet import UDP

if TYPE_CHECKING:
    from netsim.kernel.conntrack import Entry
    from netsim.kernel.netns import Namespace

Place = tuple[bytes, int]


def delete_stale(
    ns: "Namespace", table: ServiceTable, changed: Iterable[ServicePortName], mode: ConntrackCleanup, now: int
) -> int:
    """Clean up after the ports that changed; how many entries went."""
    ports = [table[name] for name in changed if name.protocol == "UDP" and name in table]
    if not ports or ns.conntrack is None:
        return 0
    frontends, node_ports = serving_by_frontend(ports, keep_empty=mode != "reconcile-skip-empty")

    family = len(ports[0].cluster_ip)  # a table has one; a node port has the same number in both

    def stale(entry: "Entry") -> bool:
        if entry.proto != UDP or len(entry.original.flow.dst) != family:
            return False
        destination = entry.original.flow.dst, entry.original.flow.dport
        serving = frontends.get(destination, node_ports.get(destination[1]))
        answers = entry.reply.flow
        return serving is not None and (answers.src, answers.sport) not in serving

    return ns.conntrack.delete(stale, now)


def serving_by_frontend(
    ports: Iterable[ServicePort], keep_empty: bool
) -> tuple[dict[Place, frozenset[Place]], dict[int, frozenset[Place]]]:
    """The serving endpoints behind each address and port, and behind each node port."""
    frontends: dict[Place, frozenset[Place]] = {}
    node_ports: dict[int, frozenset[Place]] = {}
    for port in ports:
        serving = frozenset((e.address, e.port) for e in port.endpoints if e.serving)
        if not serving and not keep_empty:
            continue
        for address in (port.cluster_ip, *port.external_ips, *port.vips):
            frontends[address, port.port] = serving
        if port.node_port:
            node_ports[port.node_port] = serving
    return frontends, node_ports
