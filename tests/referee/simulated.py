"""The simulator's side: the same node as in `real.py`, made of the simulator's own namespace, with the dataplane's own
hand on it. First packets go its whole way (`path.receive`, `path.output`); an answer goes back, and has to arrive as
the client expects it.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from netlab import Clock, Inbox, Port, namespace, tcp, udp
from referee import sctp
from referee.backends import Backend, Iptables
from referee.host import refuse
from referee.plan import DEVICES, NODE, OUTSIDE, PODS, Plan, Request
from referee.seen import ANSWERED, REFUSED, SILENCE, Seen, counting, endpoint, icmp_error, refusal
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

from netsim.kernel.errno import Errno
from netsim.kernel.routing import Route
from netsim.wire.addr import Prefix, ip, ip_text
from netsim.wire.packet import ICMP, ICMPV6, SCTP, Flow, Packet
from netsim.wire.parse import parse

_SECOND = 1_000_000_000
_BETWEEN = _SECOND // 1000  # from one connection to the next
_DAY = 86_400 * _SECOND


class SimulatedNode:
    """The network of a plan, in the simulator. The node has no rules yet."""

    def __init__(self, plan: Plan, backend: Backend) -> None:
        self.plan = plan
        self.backend = backend
        clock = Clock()
        self.ns = namespace("node", clock, netfilter=True, ip_forward=True)
        self.inbox: Inbox = self.ns.sockets  # type: ignore[assignment]
        self.ports = {role: Port(self.ns, device.name, clock) for role, device in DEVICES.items()}
        self._now = 0
        self._closed: set[tuple[str, int]] = set()
        self._sports = count(40_000)
        self._configure()

    def _configure(self) -> None:
        ns, family = self.ns, self.plan.family
        for address in (*self.plan.node, *(("::1",) if family == 6 else ())):
            ns.add_address(ip(address), ns.devices["lo"])
        for role, port in self.ports.items():
            ns.add_address(ip(DEVICES[role].address(family)), port.device)
            ns.neighbours.fixed(port.device, b"\x02\0\0\0\0\xff")
        for pod in self.plan.pods:
            ns.add_route(Route(Prefix.host(ip(pod)), self.ports[PODS].device))
        default = Prefix.parse("0.0.0.0/0" if family == 4 else "::/0")
        ns.add_route(Route(default, self.ports[OUTSIDE].device))

    def send(self, request: Request, counted: bool = False, silent: bool = False) -> Seen:
        """Try one connection; `counted`: look at the rules' counters too; `silent`: no answer is expected."""
        self._now += _BETWEEN
        self.inbox.errors.clear()
        before = self.backend.counts(self.ns) if counted else None
        first = self._first(request)
        asked = first.flow
        said = self._start(self.plan.place(request.source), first)
        seen = self._ending(request, asked)
        if said is not None and request.protocol != "TCP":
            seen = replace(seen, errno=said.name)
        return counting(seen, before, self.backend.counts(self.ns) if counted else None)

    def forget_clients(self) -> None:
        """Session affinity begins anew: a day goes by."""
        self._now += _DAY

    def close_port(self, protocol: str, port: int) -> None:
        """Nobody answers there any more."""
        self._closed.add((protocol, port))

    def narrow(self, role: str, mtu: int) -> None:
        """The MTU of the node's device towards a place."""
        self.ports[role].device.mtu = mtu
        self.ns.changed()

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self._now += int(seconds * _SECOND)

    def remembered(self, recent_list: str, clients: Iterable[str]) -> set[str]:
        """Which clients are in a list of xt_recent."""
        known = Iptables(self.plan.family).tables(self.ns).recent(recent_list)
        return {client for client in clients if ip(client) in known}

    def _first(self, request: Request) -> Packet:
        ends = request.source, next(self._sports), request.destination, request.port
        if request.protocol == "TCP":
            return tcp(*ends, "S")
        if request.protocol == "SCTP":
            return self._sctp(ends[0], ends[2], sctp.init(request.port))
        packet = udp(*ends, request.payload)
        packet.ttl = request.ttl
        return packet

    def _answer(self, request: Request, packet: Packet) -> Packet:
        flow = packet.flow
        ends = ip_text(flow.dst), flow.dport, ip_text(flow.src), flow.sport
        if request.protocol == "TCP":
            return tcp(*ends, "S.")
        if request.protocol == "UDP":
            return udp(*ends)
        message = packet.to_bytes()[14 + 20 * (1 if self.plan.family == 4 else 2) :]
        return self._sctp(ends[0], ends[2], sctp.answer(message)[1])

    def _sctp(self, src: str, dst: str, message: bytes) -> Packet:
        header = (
            IP(src=src, dst=dst, proto=SCTP) if self.plan.family == 4 else IPv6(src=src, dst=dst, nh=SCTP)
        )
        return parse(bytes(header / message))

    def _start(self, place: str, packet: Packet) -> Errno | None:
        """A packet begins its way at a place."""
        if place == NODE:
            return self.ns.output(packet, self._now)
        self.ports[place].arrive(packet, self._now)
        return None

    def _ending(self, request: Request, asked: Flow) -> Seen:
        where = self._arrival(request)
        if isinstance(where, str):
            return Seen(REFUSED, refusal=where) if where else Seen(SILENCE)
        there, packet = where
        flow = packet.flow
        closed = (request.protocol, flow.dport) in self._closed
        answer = parse(refuse(packet.to_bytes()[14:])) if closed else self._answer(request, packet)
        self._start(there, answer)
        back = self._take(self.plan.place(request.source))
        if closed:
            return Seen(REFUSED, refusal=refusal(back[0].to_bytes()[14:]))
        assert [p.flow for p in back] == [asked.reverse()], "the answer is not what the client expects"
        return Seen(ANSWERED, there, endpoint(ip_text(flow.dst), flow.dport), ip_text(flow.src))

    def _arrival(self, request: Request) -> tuple[str, Packet] | str:
        """Where the first packet has come to, or what its sender was told; "" for neither."""
        home = self.plan.place(request.source)
        for _, about, kind, code in self.inbox.errors:
            return icmp_error(ICMP if self.plan.family == 4 else ICMPV6, kind, code, about)
        for there in (NODE, *self.ports):
            for packet in self._take(there):
                if there == home and (told := refusal(packet.to_bytes()[14:])):
                    return told
                return there, packet
        return ""

    def _take(self, place: str) -> list[Packet]:
        """What has come to a place since the last time."""
        if place != NODE:
            return self.ports[place].take()
        packets = [packet for _, packet in self.inbox.got]
        self.inbox.got.clear()
        return packets
