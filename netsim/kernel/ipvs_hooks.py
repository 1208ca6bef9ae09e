"""IPVS at netfilter's hooks: from the virtual server to the real one, and back for the answers.

::

    LOCAL_IN   filter (0)  ip_vs_out (98)  ip_vs_in (99)  nat INPUT (100)
    FORWARD    filter (0)  ip_vs_out (100)
    LOCAL_OUT  conntrack (-200)  nat OUTPUT (-100)  ip_vs_out (-99)  ip_vs_in (-98)  filter (0)

A packet for a virtual server is for a *local* address (kube-proxy puts it on `kube-ipvs0`), so it comes to LOCAL_IN.
There `ip_vs_in` rewrites its destination and sends it on through LOCAL_OUT and POSTROUTING, where MASQUERADE may
change the source: conntrack has been told whose answers to expect (ip_vs_update_conntrack). Answers are forwarded or
delivered; `ip_vs_out` puts the virtual server's address back.

Sources: net/netfilter/ipvs/ip_vs_core.c (`ip_vs_ops4`, `ip_vs_in_hook`, `handle_response`, `ip_vs_leave`),
ip_vs_xmit.c (`ip_vs_nat_xmit`, `__ip_vs_get_out_rt`), ip_vs_nfct.c of Linux 6.8. Simplified: ICMP errors about these
connections are translated by conntrack in PREROUTING (`netfilter._related`), inside and outside at once, with the
result of ip_vs_in_icmp and ip_vs_out_icmp; without `conntrack` they are not.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import icmp, ipvs_path, ipvs_text, path
from netsim.kernel.conntrack import ORIGINAL
from netsim.kernel.hooks import ACCEPT, STOLEN, UNTRACKED, DropReason, Hook, Traversal, Verdict
from netsim.kernel.ipvs import Ipvs
from netsim.kernel.ipvs_states import INPUT, OUTPUT, TcpState
from netsim.kernel.netfilter import nat_destination, nat_source, tell_rewritten
from netsim.kernel.releases import since
from netsim.wire.packet import RST, SCTP, SYN, TCP, UDP, Flow

if TYPE_CHECKING:
    from netsim.kernel.hooks import HookFunction
    from netsim.kernel.ipvs_conn import Connection
    from netsim.kernel.netns import Namespace

_PROTOCOLS: Final = (TCP, UDP, SCTP)
_LOOPBACK_FIRST_BYTE: Final = 127
_FRAME_HEADER: Final = 14
# What happens to a SYN on a port that is known already.
_SPARES_NEW_CONNTRACK_SINCE: Final = since("ipvs.reused_port")
_QUIESCED_WHATEVER_MODE_SINCE: Final = since("ipvs.quiesced_reuse")
_OVER: Final = (int(TcpState.TIME_WAIT), int(TcpState.CLOSE))


def enable_ipvs(ns: "Namespace") -> Ipvs:
    """Register IPVS in a namespace that has netfilter, as adding the first virtual server does in Linux; harmless when
    it is there."""
    if ns.ipvs is None:
        ns.ipvs = Ipvs(ns)
        prerouting, local_in, forward, local_out, postrouting = ns.hooks
        ns.hooks = [
            prerouting,
            _with(local_in, local_in.index(nat_source), ip_vs_out, ip_vs_in),
            (*forward, ip_vs_out),
            _with(local_out, local_out.index(nat_destination) + 1, ip_vs_out, ip_vs_in),
            postrouting,
        ]
        ns.changed()
    return ns.ipvs


def _with(functions: tuple["HookFunction", ...], at: int, *new: "HookFunction") -> tuple["HookFunction", ...]:
    return (*functions[:at], *new, *functions[at:])


def ip_vs_in(t: Traversal) -> Verdict:
    """LOCAL_IN, LOCAL_OUT: find the packet's connection or schedule a new one, and send it to the real server."""
    ipvs = t.ns.ipvs
    flow = t.packet.flow
    if t.ipvs is not None or ipvs is None or flow.proto not in _PROTOCOLS:
        return ACCEPT
    connection = ipvs.conns.get(flow)
    if connection is not None:
        verdict = _verify(t, ipvs, connection)
        if verdict is not None:
            return verdict
        connection = ipvs.conns.get(flow)
    if connection is None:
        service = ipvs.services.get((flow.proto, flow.dst, flow.dport))  # type: ignore[call-overload]
        if service is None or not _begins(t, ipvs):
            return ACCEPT
        connection = ipvs.schedule(service, flow, t.now)
        if connection is None:
            t.ns.icmp_error(t.packet, icmp.UNREACHABLE, icmp.PORT, t.now)
            return DropReason.IPVS_NO_REAL_SERVER
        if t.ns.rewrite_subscribers:
            after = flow._replace(dst=connection.dest.address, dport=connection.dest.port)
            tell_rewritten(t, "ipvs", after, f"ipvs: {ipvs_text.matched(connection).text}")
    connection.saw(INPUT, t.packet, t.now)
    return _transmit(t, connection)


def _begins(t: Traversal, ipvs: Ipvs) -> bool:
    """Whether a packet may make a connection (tcp_conn_schedule: a SYN; with sloppy_tcp anything but a RST)."""
    if t.packet.flow.proto != TCP:
        return True
    flags = getattr(t.packet.body, "flags", 0)
    return bool(flags & SYN) or (ipvs.sysctl.sloppy_tcp and not flags & RST)


def _verify(t: Traversal, ipvs: Ipvs, connection: "Connection") -> DropReason | None:
    """A known connection: a SYN may mean a new one on a reused port, and its real server may be gone. What is no good
    any more is taken out; the packet is dropped where conntrack still holds the old connection, and the client's next
    try, a second later, starts anew."""
    is_new = connection.proto == TCP and getattr(t.packet.body, "flags", 0) & SYN
    if is_new and _outlived(ipvs, connection):
        return _start_anew(t, ipvs, connection, DropReason.IPVS_PORT_REUSED)
    if not connection.dest.available:
        if not ipvs.sysctl.expire_nodest_conn:
            return DropReason.IPVS_NO_DEST
        return _start_anew(t, ipvs, connection, DropReason.IPVS_NO_DEST)
    return None


def _outlived(ipvs: Ipvs, connection: "Connection") -> bool:
    """Whether a SYN does not belong to the connection that is known by its addresses and ports."""
    sysctl = ipvs.sysctl
    mode = sysctl.conn_reuse_mode
    if not mode and sysctl.release < _QUIESCED_WHATEVER_MODE_SINCE:
        return False
    if sysctl.expire_nodest_conn and connection.dest.weight == 0:
        return True
    return bool(mode) and connection.control is None and connection.state in _OVER


def _start_anew(t: Traversal, ipvs: Ipvs, connection: "Connection", reason: DropReason) -> DropReason | None:
    old = connection.nfct and t.ct is not None
    if ipvs.sysctl.release >= _SPARES_NEW_CONNTRACK_SINCE:
        old = old and t.ct.entry.confirmed  # ip_vs_conn_uses_old_conntrack
    if not old:
        connection.nfct = False  # the entry of the new connection is not to be dropped with the old one
    ipvs.expire_now(connection)
    return reason if old else None


def _transmit(t: Traversal, connection: "Connection") -> Verdict:
    """ip_vs_nat_xmit: to the real server. A local one gets the packet at once, others by LOCAL_OUT and POSTROUTING."""
    ns, packet, dest = t.ns, t.packet, connection.dest
    flow = packet.flow
    packet.flow = Flow(flow.src, dest.address, flow.sport, dest.port, flow.proto)
    t.ipvs = connection
    if ns.journeys:
        ns.tell(packet, t.now, "ipvs", str(packet.flow), t.hook.name, ipvs_text.matched(connection))
    local = ns.is_local(dest.address)
    if not local:
        if flow.src[0] == _LOOPBACK_FIRST_BYTE and len(flow.src) == 4:
            return DropReason.IPVS_LOOPBACK
        if not path.choose_device(t, t.hook):
            return STOLEN  # said and counted there
        reason = _leaves(t)
        if reason is not None:
            return reason
    _tell_conntrack(t, connection, INPUT)
    if local:
        return ACCEPT
    arrived_by, t.in_device = t.in_device, None
    if path.run(t, Hook.OUTPUT):
        path.leave(t)
        ipvs_path.remember(t, arrived_by)
    return STOLEN


def _leaves(t: Traversal) -> DropReason | None:
    """__ip_vs_get_out_rt: time to live and MTU."""
    packet, device = t.packet, t.out_device
    assert device is not None
    if packet.ttl <= 1:
        t.ns.icmp_error(packet, icmp.TIME_EXCEEDED, 0, t.now)
        return DropReason.IP_TTL_EXPIRED
    if packet.size > device.mtu + _FRAME_HEADER:
        icmp.send_too_big(t.ns, packet, device.mtu, t.now)
        return DropReason.PKT_TOO_BIG
    packet.ttl -= 1
    return None


def _tell_conntrack(t: Traversal, connection: "Connection", direction: int) -> None:
    """ip_vs_update_conntrack: the answers to a client's first packet will come from the real server, those to a real
    server's (conntrack forgets UDP sooner) will go to the virtual one; or leave conntrack alone (ip_vs_notrack)."""
    half = t.ct
    if not connection.nfct:
        t.ct = t.packet.ct = None
        t.ctstate = UNTRACKED
    elif half is not None and half.direction == ORIGINAL and not half.entry.confirmed:
        entry, dest, virtual = half.entry, connection.dest, connection.flow
        if direction == INPUT:
            reply = entry.reply.flow._replace(src=dest.address, sport=dest.port)
        else:
            reply = entry.reply.flow._replace(dst=virtual.dst, dport=virtual.dport)
        entry.translate(reply, 0)


def ip_vs_out(t: Traversal) -> Verdict:
    """LOCAL_IN, FORWARD, LOCAL_OUT: an answer of a real server comes from the virtual one (handle_response)."""
    ipvs = t.ns.ipvs
    if t.ipvs is not None or ipvs is None:
        return ACCEPT
    flow = t.packet.flow
    connection = ipvs.answers.get(flow)
    if connection is None:
        return ACCEPT
    virtual = connection.flow
    t.packet.flow = Flow(virtual.dst, flow.dst, virtual.dport, flow.dport, flow.proto)
    t.ipvs = connection
    connection.saw(OUTPUT, t.packet, t.now)
    if t.ns.journeys:
        hit = ipvs_text.matched(connection)
        t.ns.tell(t.packet, t.now, "ipvs", str(t.packet.flow), t.hook.name, hit)
    _tell_conntrack(t, connection, OUTPUT)
    return ACCEPT
