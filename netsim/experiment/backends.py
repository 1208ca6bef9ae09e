"""Which backend a request was given to, told from outside: conntrack of whoever chose it knows, even if nobody
answered.

Called at the end of every request of a load. A measurement only: nothing in the simulation depends on it.

A connection is followed hop by hop: out of the client's node (for pods and nodes) or its gateway (for hosts behind
one), through a load balancer if its address is one of those, by the router's routes to a node, until some node's rules
have put an endpoint in the place of the destination. That node is `via`; what the endpoint sees as the client's address
is `seen_as`.
"""

from typing import TYPE_CHECKING, Final

from netsim.cluster.objects import Service
from netsim.experiment.frontends import Frontends
from netsim.fabric.host import Host, NodeHost, PodHost
from netsim.kernel.conntrack import Entry
from netsim.wire.addr import ip_text
from netsim.wire.packet import Flow, endpoint_text
from netsim.workload.load import Backend

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster

_MOST_HOPS: Final = 4  # one more than there can be: client's node, load balancer, node


class Backends:
    """Looks backends up; texts are made once."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._frontends = Frontends(cluster.api, cluster.fabric)
        self._services: dict[tuple[str, str], str] = {}
        self._texts: dict[tuple[bytes, int], str] = {}
        self._destroyed: dict[Flow, Flow] = {}  # refused connections: a RST as first answer ends the entry
        self._nodes = {node.address: node for node in cluster.fabric.nodes.values()}
        self._balancers = [cloud.balancer for cloud in cluster.balancers]
        gateways = cluster.fabric.gateways.values()
        for host in dict.fromkeys((*self._nodes.values(), *(b.host for b in self._balancers), *gateways)):
            if host.ns.conntrack is not None:
                host.ns.conntrack.destroyed.append(self._note)

    def where(self, host: Host, name: str, flow: Flow | None) -> Backend:
        """The Service that a client means by `name` or by the address that its connection went to, and the endpoint
        that was chosen for it."""
        service = self._frontends.service(flow) if flow is not None else None
        named = "/".join(service.key) if service is not None else self._service(host, name)
        if flow is None:
            return Backend(named)
        asked, sent, via = self._follow(host, flow)
        if via is None and service is not None:
            return Backend(named)  # nobody has been chosen
        address, port = sent.dst, sent.dport
        text = self._texts.get((address, port))
        if text is None:
            text = self._texts[address, port] = endpoint_text(address, port)
        pod, node = self._cluster.containers.owner(address, port)
        if via is None or service is None:
            return Backend(named, text, pod, node, seen_as=ip_text(sent.src))
        policy = self._frontends.policy(service, asked, via)
        return Backend(named, text, pod, node, via.name, policy, ip_text(sent.src))

    def _note(self, entry: Entry) -> None:
        if not entry.seen_reply and entry.nat:
            self._destroyed[entry.original.flow] = entry.reply.flow

    # ------------------------------------------------------------------ following
    def _follow(self, host: Host, flow: Flow) -> tuple[Flow, Flow, NodeHost | None]:
        """The flow as the choosing node got it, as it left that node, and the node (None: nobody chose)."""
        node: Host | None = host.node if isinstance(host, PodHost) else host
        if not isinstance(node, NodeHost):
            gateway = self._cluster.fabric.gateways.get(host.name)
            flow = self._sent(gateway, flow) if gateway is not None else flow
            node = self._next(flow)
        for _ in range(_MOST_HOPS):
            if node is None:
                break
            sent = self._sent(node, flow)
            if isinstance(node, NodeHost) and (sent.dst, sent.dport) != (flow.dst, flow.dport):
                return flow, sent, node
            following = self._next(sent)
            if following is node:
                break
            node, flow = following, sent
        return flow, flow, None

    def _sent(self, host: Host, flow: Flow) -> Flow:
        """A flow as it leaves a host that may translate it."""
        conntrack = host.ns.conntrack
        half = conntrack.table.get(flow) if conntrack is not None else None
        if half is not None:
            return half.entry.original.rewritten
        if flow in self._destroyed:
            return self._destroyed.pop(flow).reverse()
        return flow

    def _next(self, flow: Flow) -> Host | None:
        """Who gets a flow next: a node, or a load balancer that translates."""
        node = self._nodes.get(flow.dst)
        if node is not None:
            return node
        for balancer in self._balancers:
            if balancer.listener(flow) is not None:
                if balancer.host.ns.conntrack is not None:
                    return balancer.host
                given = balancer.way(flow)
                return self._cluster.fabric.nodes[given.node] if given is not None else None
        route = self._cluster.fabric.router.ns.routes.lookup(flow.dst)
        return self._nodes.get(route.gateway) if route is not None and route.gateway is not None else None

    # ------------------------------------------------------------------ names
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
