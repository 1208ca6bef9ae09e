"""Which backend a request was given to, told from outside: the conntrack of the client's node knows, even if
nobody answered.

Called at the end of every request of a load. A measurement only: nothing in the simulation depends on it.
"""

from typing import TYPE_CHECKING

from netsim.cluster.objects import Service
from netsim.fabric.host import Host, NodeHost, PodHost
from netsim.kernel.conntrack import Entry
from netsim.wire.packet import Flow, endpoint_text
from netsim.workload.load import Backend

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster

NOWHERE = Backend("", "", "", "")


class Backends:
    """Looks backends up; texts are made once."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._services: dict[tuple[str, str], str] = {}
        self._texts: dict[tuple[bytes, int], str] = {}
        self._destroyed: dict[Flow, Flow] = {}  # refused connections: a RST as first answer ends the entry
        for node in cluster.fabric.nodes.values():
            assert node.ns.conntrack is not None
            node.ns.conntrack.destroyed.append(self._note)

    def where(self, host: Host, name: str, flow: Flow | None) -> Backend:
        """The Service that `name` means to a client, and the endpoint that conntrack has for its connection."""
        service = self._service(host, name)
        if flow is None:
            return Backend(service, "", "", "")
        address, port = self._destination(host, flow)
        if service and (address, port) == (flow.dst, flow.dport):
            return Backend(service, "", "", "")  # nobody has been chosen
        text = self._texts.get((address, port))
        if text is None:
            text = self._texts[address, port] = endpoint_text(address, port)
        pod, node = self._cluster.containers.by_address.get(address, ("", ""))
        return Backend(service, text, pod, node)

    def _note(self, entry: Entry) -> None:
        if not entry.seen_reply and entry.nat:
            self._destroyed[entry.original.flow] = entry.reply.flow

    def _destination(self, host: Host, flow: Flow) -> tuple[bytes, int]:
        node = host.node if isinstance(host, PodHost) else host
        if isinstance(node, NodeHost) and node.ns.conntrack is not None:
            half = node.ns.conntrack.table.get(flow)
            if half is not None:
                answers = half.entry.reply.flow
                return answers.src, answers.sport
        if flow in self._destroyed:
            answers = self._destroyed.pop(flow)
            return answers.src, answers.sport
        return flow.dst, flow.dport

    def _service(self, host: Host, name: str) -> str:
        namespace = host.name.split("/")[0] if isinstance(host, PodHost) else "default"
        found = self._services.get((namespace, name))
        if found is None:
            found = self._services[namespace, name] = self._find(namespace, name)
        return found

    def _find(self, namespace: str, name: str) -> str:
        labels = name.rstrip(".").split(".")
        wanted = (labels[1] if len(labels) > 1 else namespace, labels[0])
        for service in self._cluster.api.list(Service):
            if service.key == wanted or name in service.spec.clusterIPs:
                return "/".join(service.key)
        return ""
