"""A packet's life in a namespace, in one place. Read it beside the diagram in `hooks.py`.

::

    receive --> PREROUTING --> for us? -- yes --> INPUT --> deliver
                                  |
                                  no --> route --> FORWARD --> POSTROUTING --> neighbour --> transmit
    output --> route --> OUTPUT --> (route again after DNAT) ----^

Called by devices (`receive`) and sockets (`output`); nothing here waits or schedules: what takes simulated time is
handed to the device as the moment at which transmission may start. Sources: net/ipv4/ip_input.c, ip_forward.c,
ip_output.c. Packets of established flows usually take the remembered way of `fastpath.py`, which must give the same
result; a property test holds them together. Not modelled: fragmentation (every packet has DF set), multicast, policy
routing, martian addresses (as with route_localnet=1, which kube-proxy sets).
"""

from typing import TYPE_CHECKING

from netsim.kernel import arp, firstpath, icmp, ipvs_path, ndisc
from netsim.kernel.conntrack import Path
from netsim.kernel.conntrack_tcp import TcpState
from netsim.kernel.errno import Errno
from netsim.kernel.hooks import ESTABLISHED, NEW, STOLEN, DropReason, Hook, Stolen, Traversal
from netsim.kernel.neighbour import NextHop, protocol_name
from netsim.kernel.routing import Route, RouteKind
from netsim.kernel.rule_engine import counting, foreseen
from netsim.wire import ndp, parse
from netsim.wire.addr import BROADCAST_MAC
from netsim.wire.packet import ICMP, ICMPV6, NO_MACS, SCTP, TCP, UDP, ArpMessage, Packet, RawBody

if TYPE_CHECKING:
    from netsim.kernel.netns import Device, Namespace

_FRAME_HEADER = 14
_BY_RULE = (DropReason.NETFILTER_DROP, DropReason.NETFILTER_REJECT)
_FORESEEN = (TCP, UDP)
_BEGUN = (0, int(TcpState.SYN_SENT))  # UDP, or a connection that begins with its SYN


def receive(device: "Device", packet: Packet, now: int) -> None:
    """A frame came in by a device."""
    ns = device.ns
    if ns.journeys:
        ns.tell(packet, now, "receive", repr(packet.body), device.name)
    if not device.up:
        ns.drop(packet, Hook.PREROUTING, DropReason.DEVICE_DOWN, now, device)
        return
    body = packet.body
    if type(body) is ArpMessage:
        ns.delivered += 1
        arp.received(device, body, now)
        return
    if packet.flow.proto == ICMPV6 and ndp.is_discovery(packet.flow):
        ns.delivered += 1
        ndisc.received(device, packet, now)
        return
    t = Traversal(ns, packet, device, now)
    if run(t, Hook.PREROUTING):
        onward(t)


def onward(t: Traversal) -> None:
    """After PREROUTING: for us, or for somebody else."""
    if t.ns.is_local(t.packet.flow.dst):
        if run(t, Hook.INPUT):
            deliver(t)
    else:
        forward(t)


def run(t: Traversal, hook: Hook) -> bool:
    """Call the functions at a hook; whether the packet goes on."""
    t.hook = hook
    ns = t.ns
    if ns.journeys and ns.hooks[hook]:
        ns.tell(t.packet, t.now, "hook", hook.name, hook.name)
    for function in ns.hooks[hook]:
        verdict = function(t)
        if verdict is not None:
            if verdict is STOLEN:
                t.stolen = True
            else:
                rule = str(t.trace[-1]) if t.trace and verdict in _BY_RULE else ""
                ns.drop(t.packet, hook, verdict, t.now, t.in_device, rule)
            return False
    return True


def forward(t: Traversal) -> None:
    """Not for us: find the way out, or say that there is none."""
    ns, packet, now = t.ns, t.packet, t.now
    if not ns.sysctl.ip_forward:
        reason = DropReason.OTHERHOST if _flooded(t) else DropReason.IP_NOT_FORWARDING
        ns.drop(packet, Hook.FORWARD, reason, now, t.in_device)
        return
    if not choose_device(t, Hook.FORWARD):
        return
    if packet.ttl <= 1:
        ns.icmp_error(packet, icmp.TIME_EXCEEDED, 0, now)
        ns.drop(packet, Hook.FORWARD, DropReason.IP_TTL_EXPIRED, now, t.in_device)
        return
    assert t.out_device is not None
    if packet.size > t.out_device.mtu + _FRAME_HEADER:
        icmp.send_too_big(ns, packet, t.out_device.mtu, now)
        ns.drop(packet, Hook.FORWARD, DropReason.PKT_TOO_BIG, now, t.out_device)
        return
    packet.ttl -= 1
    if run(t, Hook.FORWARD):
        leave(t)


def _flooded(t: Traversal) -> bool:
    """Whether a bridge did not know where to send the frame, and sent it here too (PACKET_OTHERHOST)."""
    to = t.packet.macs[:6]
    return t.in_device is not None and to not in (t.in_device.mac, BROADCAST_MAC, NO_MACS[:6])


def output(ns: "Namespace", packet: Packet, now: int) -> Errno | None:
    """A packet made here starts its way."""
    ns.sent += 1
    if ns.journeys:
        ns.tell(packet, now, "send", repr(packet.body))
    elif ns.conntrack is None:
        hop = ns.next_hops.get(packet.flow.dst)
        if hop is not None and packet.size <= hop.max_size:
            packet.macs = hop.macs
            hop.transmit(packet, now)
            return None
    t = Traversal(ns, packet, None, now)
    if not choose_device(t, Hook.OUTPUT):
        return _errno(ns, packet)
    destination = packet.flow.dst
    if not run(t, Hook.OUTPUT):
        return _refused(t)
    if packet.flow.dst != destination and not choose_device(t, Hook.OUTPUT):
        return _errno(ns, packet)
    assert t.out_device is not None
    if packet.size > t.out_device.mtu + _FRAME_HEADER:
        ns.drop(packet, Hook.OUTPUT, DropReason.PKT_TOO_BIG, now, t.out_device)
        return Errno.EMSGSIZE
    return leave(t)


def _refused(t: Traversal) -> Errno | None:
    """What a sender hears whose packet a hook has dropped on its way out (nf_hook_slow)."""
    return None if t.stolen else Errno.EPERM


def _errno(ns: "Namespace", packet: Packet) -> Errno:
    """What a sender without a way is told (fib_props in net/ipv4/fib_semantics.c)."""
    route = ns.routes.lookup(packet.flow.dst)
    if route is None:
        return Errno.ENETUNREACH
    return Errno.EINVAL if route.kind is RouteKind.BLACKHOLE else Errno.EHOSTUNREACH


def choose_device(t: Traversal, hook: Hook) -> bool:
    """Routing: sets `t.out_device`; False when there is no way, which has then been said and counted."""
    ns, packet = t.ns, t.packet
    destination = packet.flow.dst
    hop = ns.next_hops.get(destination)
    if hop is not None:
        t.out_device = hop.device
        return True
    if ns.is_local(destination):
        t.out_device = ns.devices["lo"]
        return True
    route = ns.routes.lookup(destination)
    if route is not None and route.kind is RouteKind.UNICAST:
        t.out_device = route.device
        if ns.journeys:
            ns.tell(packet, t.now, "route", str(route), hook.name)
        return True
    _unroutable(t, hook, route)
    return False


def _unroutable(t: Traversal, hook: Hook, route: Route | None) -> None:
    ns, packet, now = t.ns, t.packet, t.now
    if route is not None and route.kind is RouteKind.BLACKHOLE:
        reason = DropReason.IP_BLACKHOLE
    else:
        reason = DropReason.IP_NO_ROUTE if route is None else DropReason.IP_UNREACHABLE
        if hook is Hook.FORWARD:
            # IPv6 says "no route" of an unreachable one too (ip6_pkt_discard in net/ipv6/route.c).
            code = icmp.NET if route is None or len(packet.flow.dst) == 16 else icmp.HOST
            ns.icmp_error(packet, icmp.UNREACHABLE, code, now)
    ns.drop(packet, hook, reason, now, t.in_device)


def leave(t: Traversal) -> Errno | None:
    """POSTROUTING, then the neighbour's address, then out by the device."""
    if not run(t, Hook.POSTROUTING):
        return _refused(t)
    ns, packet, device = t.ns, t.packet, t.out_device
    assert device is not None
    if device.name == "lo":
        if ns.journeys:
            ns.tell(packet, t.now, "transmit", "", device.name)
        device.transmit(packet, t.now)  # the packet keeps its entry: PREROUTING will not look it up again
        return None
    packet.ct, packet.mark = None, 0  # notes of this namespace, not part of the packet (skb_scrub_packet)
    destination = packet.flow.dst
    hop = ns.next_hops.get(destination)
    if hop is None or hop.device is not device:
        hop = _resolve(t, device)
        if hop is None:
            return None
    packet.macs = hop.macs
    cost_ns = ns.cost.forward_ns(t.ctstate is NEW, t.visited) if ns.hooks[Hook.POSTROUTING] else 0
    if ns.journeys:
        visited = f"{t.visited} rules visited" if t.visited else ""
        ns.tell(packet, t.now + cost_ns, "transmit", visited, device.name)
    elif t.in_device is not None and t.ct is not None:
        if t.ctstate is ESTABLISHED:
            _remember(t, device, cost_ns)
        elif t.ctstate is NEW and t.ipvs is None:
            _foresee(t, device, hop.macs)
            firstpath.remember(t, device, hop, cost_ns)
    device.transmit(packet, t.now + cost_ns)
    return None


def _resolve(t: Traversal, device: "Device") -> NextHop | None:
    ns, packet = t.ns, t.packet
    destination = packet.flow.dst
    route = ns.routes.lookup(destination)
    gateway = route.gateway if route is not None and route.gateway is not None else destination
    mac = ns.neighbours.mac_of(device, gateway, packet, t.now)
    if mac is None:
        if ns.journeys:
            ns.tell(packet, t.now, "neighbour", f"waits for {protocol_name(gateway)}", device.name)
        return None
    hop = ns.next_hops[destination] = NextHop(device, mac + device.mac)
    return hop


def _remember(t: Traversal, device: "Device", cost_ns: int) -> None:
    keep(t, Path(t.ns.generation, t.in_device, device, t.packet.macs), cost_ns)


def keep(t: Traversal, path: Path, cost_ns: int) -> None:
    """Established: netfilter will say the same of the next packet, so keep the answer."""
    if t.packet.flow.proto == SCTP:
        return  # every packet may change the entry
    half, engines = t.ct, t.ns.engines
    if half.path is not None:
        half.path.settle()
    if half.entry.state == TcpState.ESTABLISHED and not half.entry.assured:
        return  # picked up in the middle: the next packet still changes the entry
    for engine in engines:
        if not engine.lasts(t):
            return
    half.path = path
    path.cost_ns = cost_ns
    if engines:
        path.hits = counting(engines, t)
    if t.ipvs is not None:
        ipvs_path.attach(path, t, ipvs_path.OUTPUT)  # forwarded: an answer


def _foresee(t: Traversal, device: "Device", macs: bytes) -> None:
    """A flow's first packet has passed. If the rules have judged established packets between these hosts before, and
    the way back is known, then so are the paths of the answers and (once there was one) of the packets after this. UDP
    may do without the latter: a query is often all that is sent."""
    ns, half = t.ns, t.ct
    entry = half.entry
    if entry.state not in _BEGUN or entry.proto not in _FORESEEN:
        return  # picked up in the middle, or of a protocol whose first packets have nothing to tell them by
    if ns.xtables is not None and ns.xtables.raw_rules:
        return  # the raw table has a say in every packet
    client, server = entry.original.flow.src, entry.reply.flow.src
    back = ns.next_hops.get(client)
    if entry.reply.path is not None or back is None or back.device is not t.in_device:
        return
    answers = _way(ns, server, client, client, device, t.in_device, back.macs)
    if answers is None:
        return
    there = _way(ns, client, entry.original.flow.dst, server, t.in_device, device, macs)
    if there is not None or entry.proto == UDP:
        entry.foreseen, entry.reply.path = there, answers


def _way(
    ns: "Namespace",
    src: bytes,
    asked: bytes,
    dst: bytes,
    in_device: "Device",
    out_device: "Device",
    macs: bytes,
) -> Path | None:
    """The path that all established packets from `src` to `dst` take that ask for the address `asked` (a Service's,
    before DNAT), if the rules pass them whatever their ports."""
    key = (src, asked, dst, in_device, out_device)
    path = ns.paths.get(key)
    if path is None:
        if key in ns.unforeseen:
            return None
        hits = foreseen(ns.engines, src, asked, dst, in_device, out_device)
        if hits is None:
            ns.unforeseen.add(key)
            return None
        path = ns.paths[key] = Path(ns.generation, in_device, out_device, macs)
        path.hits, path.cost_ns = hits, ns.cost.forward_ns(False, 0)
    return path


def deliver(t: Traversal) -> None:
    """End of INPUT: the packet has arrived."""
    ns, packet, now = t.ns, t.packet, t.now
    packet.ct = None
    if ns.journeys:
        ns.tell(packet, now, "deliver", repr(packet.body))
    protocol = packet.flow.proto
    if type(packet.body) is RawBody and protocol in (TCP, UDP, ICMP, ICMPV6, SCTP):
        # A user's own packet: understand it now, or drop it as Linux does.
        understood = parse.transport(packet)
        if understood is None:
            ns.drop(packet, Hook.INPUT, DropReason.IP_MALFORMED, now, t.in_device)
            return
        packet.body = understood
    if protocol in (TCP, UDP, SCTP):
        reason: DropReason | Stolen | None = ns.sockets.deliver(packet, now)
    elif protocol in (ICMP, ICMPV6):
        reason = icmp.deliver(ns, packet, now)
    else:
        reason = DropReason.IP_UNKNOWN_PROTOCOL
        ns.icmp_error(packet, icmp.UNREACHABLE, icmp.PROTOCOL, now)
    if reason is None:
        ns.delivered += 1
    elif reason is not STOLEN:
        ns.drop(packet, Hook.INPUT, reason, now, t.in_device)
