"""How a load balancer's packets go on to the nodes: as they are (passthrough), or translated (proxy).

Used by `balancer.py`.

Passthrough (Google's and Azure's network balancers; direct server return): the frame gets the MAC address of the
chosen node, the packet keeps both addresses. The node's kube-proxy has rules for the Service's address, and the node
answers the client itself; the balancer never sees an answer. A SYN always chooses anew, other packets follow their
flow's entry (Google, "Traffic distribution for external passthrough Network Load Balancers", PER_CONNECTION).

Proxy (AWS's balancers as the in-tree controller sets them up): the destination becomes the node port, the source the
balancer's own address, by the kernel's conntrack and NAT, so answers come back this way.

Simplified: a proxy translates packets, it does not end the connection and open another one (as the classic balancer
does), so what a handshake tells is the node's. ICMP errors for a passthrough address are dropped.
"""

from typing import TYPE_CHECKING, Final, Protocol

from netsim.fabric.balancer_spec import Frontend, Listener, Way
from netsim.kernel import nat
from netsim.kernel.conntrack import DST_NAT, ORIGINAL
from netsim.kernel.hooks import ACCEPT, NEW, STOLEN, DropReason, Traversal, Verdict
from netsim.kernel.netfilter import confirm, conntrack_in, nat_destination, nat_source
from netsim.kernel.targets import Masquerade
from netsim.kernel.xtables_chain import Rule
from netsim.wire.packet import ACK, SYN, Flow, TcpSegment

if TYPE_CHECKING:
    from netsim.fabric.balancer import Balancer

_MOST_FLOWS: Final = 65536  # above this, idle flows are looked for


class Forwarding(Protocol):
    """One of the two."""

    def way(self, flow: Flow) -> Way | None:
        """The node of a client's flow, and the flow as that node sees it."""


def _refusal(found: tuple[Frontend, Listener] | None, flow: Flow) -> DropReason | None:
    if found is None:
        return DropReason.LB_NO_LISTENER
    sources = found[0].sources
    if sources and not any(prefix.contains(flow.src) for prefix in sources):
        return DropReason.LB_SOURCE_RANGE
    return None


class Passthrough:
    """Frames to the chosen node. kube-proxy's rules see the client's address, so the source ranges are theirs to
    check (chain KUBE-FW), as well as the firewall's here."""

    def __init__(self, balancer: "Balancer") -> None:
        self._balancer = balancer
        self._ns = balancer.host.ns
        self._device = self._ns.devices["eth0"]
        self._nodes: dict[Flow, str] = {}
        self._seen_ns: dict[Flow, int] = {}
        self._ns.hooks = [(self._steer,), (), (), (), ()]
        self._ns.changed()

    def _steer(self, t: Traversal) -> Verdict:
        packet, flow = t.packet, t.packet.flow
        if self._ns.is_local(flow.dst):
            return ACCEPT
        found = self._balancer.listener(flow)
        refusal = _refusal(found, flow)
        if found is None or refusal is not None:
            return refusal
        begins = type(packet.body) is TcpSegment and packet.body.flags & (SYN | ACK) == SYN
        node = self._node(found[0], flow, begins, t.now)
        if node is None:
            return DropReason.LB_NO_BACKEND
        if packet.ttl <= 1:
            return DropReason.IP_TTL_EXPIRED
        packet.ttl -= 1
        if self._ns.journeys:
            self._ns.tell(packet, t.now, "balance", f"{found[0].name}: to {node}", t.hook.name)
            self._ns.tell(packet, t.now, "transmit", "", self._device.name)
        packet.macs = self._balancer.node_mac(node) + self._device.mac
        self._device.transmit(packet, t.now)
        return STOLEN

    def _node(self, frontend: Frontend, flow: Flow, begins: bool, now: int) -> str | None:
        node = self._nodes.get(flow)
        if node is None or begins or now - self._seen_ns[flow] > self._balancer.spec.idle_ns:
            node = self._balancer.choose(frontend, flow)
            if node is None:
                return None
            self._sweep(now)
            self._nodes[flow] = node
        self._seen_ns[flow] = now
        return node

    def _sweep(self, now: int) -> None:
        if len(self._nodes) < _MOST_FLOWS:
            return
        for flow in [f for f, seen in self._seen_ns.items() if now - seen > self._balancer.spec.idle_ns]:
            del self._nodes[flow], self._seen_ns[flow]

    def way(self, flow: Flow) -> Way | None:
        """The flow stays what it is."""
        node = self._nodes.get(flow)
        return Way(node, flow) if node is not None else None


class Proxy:
    """Address translation to the node port, from the balancer's own address."""

    def __init__(self, balancer: "Balancer") -> None:
        self._balancer = balancer
        ns = self._ns = balancer.host.ns
        assert ns.xtables is not None
        ns.xtables.ensure_rule("nat", "POSTROUTING", Rule((), Masquerade()), append=True)
        ns.hooks = [
            (conntrack_in, self._balance, nat_destination),
            (nat_source, confirm),
            (),
            (conntrack_in,),
            (nat_source, confirm),
        ]
        ns.changed()

    def _balance(self, t: Traversal) -> Verdict:
        half, flow = t.ct, t.packet.flow
        if half is None or self._ns.is_local(flow.dst):
            return ACCEPT if self._ns.is_local(flow.dst) else DropReason.LB_NO_LISTENER
        entry = half.entry
        if half.direction != ORIGINAL or t.ctstate != NEW or entry.nat_done & DST_NAT:
            return ACCEPT
        found = self._balancer.listener(flow)
        refusal = _refusal(found, flow)
        if found is None or refusal is not None:
            return refusal
        frontend, listener = found
        node = self._balancer.choose(frontend, flow)
        if node is None or not listener.node_port:
            return DropReason.LB_NO_BACKEND
        if self._ns.journeys:
            self._ns.tell(t.packet, t.now, "balance", f"{frontend.name}: to {node}", t.hook.name)
        entry.nat_done |= DST_NAT
        nat.dnat(entry, self._balancer.node_address(node), listener.node_port)
        return ACCEPT

    def way(self, flow: Flow) -> Way | None:
        """As the conntrack entry has it."""
        assert self._ns.conntrack is not None
        half = self._ns.conntrack.table.get(flow)
        if half is None:
            return None
        sent = half.entry.original.rewritten
        return Way(self._balancer.node_at(sent.dst), sent)
