"""One connection of IPVS, or one persistence template (struct ip_vs_conn).

Made by `ipvs.py`, moved on by the hook functions of `ipvs_hooks.py` and by the remembered way of `ipvs_path.py`. A
connection lives as long as its timer: every packet starts it anew with the time-out of the state. It runs in the
namespace's timer queue, so that the counts of active and inactive connections are exact at any moment.

Source: net/netfilter/ipvs/ip_vs_conn.c of Linux 6.8.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel.ipvs_states import ACTIVE, BY_FLAGS, EXPIRE_LATER_NS, OUTPUT, TcpState
from netsim.wire.packet import SCTP, TCP, UDP, Flow, Packet

if TYPE_CHECKING:
    from netsim.kernel.ipvs import Ipvs
    from netsim.kernel.ipvs_service import Dest

_NONE: Final = int(TcpState.NONE)
_ESTABLISHED: Final = int(TcpState.ESTABLISHED)
_ASSURED: Final = 1  # IP_VS_CTPL_S_ASSURED, a state of templates
_STATE_TEXT: Final = {UDP: "UDP", SCTP: "ESTABLISHED"}  # of the protocols that know one state only


class Connection:
    """`flow` is what the client sends, `answers` what the real server sends. `nfct` says that a conntrack entry goes
    with it. A template (`template`) has the client's port 0; `control` is the template that a connection follows,
    `controlled` counts the connections that follow this one."""

    __slots__ = (
        "active", "answers", "armed_ns", "control", "controlled", "deadline_ns", "dest", "flow", "ipvs", "nfct",
        "proto", "state", "template", "timeout_ns",
    )  # fmt: skip

    def __init__(self, ipvs: "Ipvs", flow: Flow, dest: "Dest", template: bool = False) -> None:
        self.ipvs = ipvs
        self.flow = flow
        self.proto = flow.proto
        self.answers = Flow(dest.address, flow.src, dest.port, flow.sport, flow.proto)
        self.dest = dest
        self.template = template
        self.nfct = ipvs.sysctl.conntrack
        self.state = _NONE
        self.active = False
        self.control: Connection | None = None
        self.controlled = 0
        self.timeout_ns = ipvs.timeouts.first(flow.proto)
        self.deadline_ns = self.armed_ns = 0
        dest.refs += 1
        if template:
            dest.persistent += 1
        else:
            dest.inactive += 1

    def follow(self, template: "Connection") -> None:
        """ip_vs_control_add."""
        self.control = template
        template.controlled += 1

    def release(self) -> None:
        """ip_vs_control_del."""
        if self.control is not None:
            self.control.controlled -= 1
            self.control = None

    # ------------------------------------------------------------------ packets
    def saw(self, direction: int, packet: Packet, now: int) -> None:
        """A packet went by: state, counters, timer (ip_vs_set_state, ip_vs_{in,out}_stats, ip_vs_conn_put)."""
        self.count(direction, 1, packet.size - 14)
        self.advance(direction, getattr(packet.body, "flags", 0), now)

    def advance(self, direction: int, flags: int, now: int) -> None:
        """The state after a segment with these flags, and the timer."""
        if self.proto == TCP:
            new = BY_FLAGS[direction][flags & 63][self.state]
            if new != self.state:
                self.become(new)
            self.timeout_ns = self.ipvs.timeouts.tcp[new]
        else:
            self.timeout_ns = self.ipvs.timeouts.first(self.proto)
            if direction == OUTPUT:
                self._assure()
        self.restart(now)

    def become(self, new: int) -> None:
        """Another state of TCP; the real server's counts follow."""
        active, dest = ACTIVE[new], self.dest
        if active and not self.active:
            dest.active += 1
            dest.inactive -= 1
        elif self.active and not active:
            dest.active -= 1
            dest.inactive += 1
        self.active, self.state = active, new
        if new == _ESTABLISHED:
            self._assure()

    def _assure(self) -> None:
        """A connection that stands vouches for its template (ip_vs_control_assure_ct)."""
        if self.control is not None:
            self.control.state = _ASSURED

    def count(self, direction: int, packets: int, size: int) -> None:
        """Packets and bytes of the real server and its service."""
        for stats in (self.dest.stats, self.dest.service.stats):
            if direction == OUTPUT:
                stats.out_packets += packets
                stats.out_bytes += size
            else:
                stats.in_packets += packets
                stats.in_bytes += size

    # ------------------------------------------------------------------ timer
    def restart(self, now: int) -> None:
        """Start the timer anew."""
        self.ipvs.ns.timers.arm(self, now + self.timeout_ns)

    def expired(self, now: int) -> None:
        """The timer has run out (ip_vs_conn_expire)."""
        if self.controlled:
            self.ipvs.ns.timers.arm(self, now + EXPIRE_LATER_NS)
            return
        self.ipvs.unlink(self)

    @property
    def state_text(self) -> str:
        """As `ipvsadm -Lnc` names it."""
        if self.template:
            return "ASSURED" if self.state == _ASSURED else "NONE"
        return TcpState(self.state).name if self.proto == TCP else _STATE_TEXT[self.proto]

    def __repr__(self) -> str:
        return f"<Connection {self.flow} {self.state_text} to {self.dest!r}>"
