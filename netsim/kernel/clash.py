"""The race of two packets for one conntrack entry: the cause of DNS lookups that take 5 seconds.

Called by `netfilter` (`conntrack_in`, `confirm`). A resolver sends A and AAAA back to back from one UDP socket. Each
of these packets belongs to no entry as long as neither is confirmed, so each makes its own; at the end both want to
insert the same original tuple, and the second comes too late (kubernetes/kubernetes#56903; weave.works/blog "Racy
conntrack and DNS lookup timeouts", 2018; tech.xing.com "A reason for unexplained connection timeouts on
Kubernetes/Docker").

The window. Here a packet crosses a namespace at one instant, whereas on a real node its entry is unconfirmed for as
long as the crossing takes. So a packet that arrives within `conntrack_race_window_ns` after the flow's first one may
not have found the entry. Whether the two were really worked on at the same time depends on the CPUs: one CPU does one
after the other (no race); a second one helps when the first has more to do. The model: the packets race if the node
had, at the flow's first packet, still another first packet in hand (begun within the window). So the share of races
grows with the rate of new flows, 1 - exp(-rate x window) for Poisson arrivals, and an idle node has none. No lots are
drawn.

What becomes of the loser (net/netfilter/nf_conntrack_core.c, nf_ct_resolve_clash):

    "none"     before Linux 5.0   NATed entries are not resolved: dropped, insert_failed
    "equal"    5.0 to 5.6         as the winner if both answers' tuples are equal (ed07d9a021df); else dropped
    "harder"   since 5.7          as above, else the answers' tuple alone is inserted for a second (6a757c07e51f)
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import releases
from netsim.kernel.sysctl import S
from netsim.wire.packet import UDP

if TYPE_CHECKING:
    from netsim.kernel.conntrack import Conntrack, Entry, Half
    from netsim.wire.packet import Packet

_CLASH_TIMEOUT_NS: Final = 1 * S  # __nf_ct_resolve_clash: nfct_time_stamp + HZ, IPS_FIXED_TIMEOUT


def resolution_of(kernel: tuple[int, int]) -> str:
    """How a kernel release resolves clashes."""
    return str(releases.value("nf_conntrack.clash", kernel))


def is_race(conntrack: "Conntrack", first: "Entry", now: int) -> bool:
    """Whether a packet that arrives now did not find the flow's entry, which another CPU had still in hand."""
    window_ns = conntrack.sysctl.conntrack_race_window_ns
    return (
        now - first.created_ns < window_ns
        and first.since_last_ns < window_ns
        and first.proto == UDP
        and not first.seen_reply
    )


def begin(conntrack: "Conntrack", first: "Entry", packet: "Packet", now: int) -> "Half":
    """The second packet's own unconfirmed entry."""
    half = conntrack.begin(packet, now)
    assert half is not None  # UDP is never INVALID
    half.entry.rival = first
    return half


def resolve(conntrack: "Conntrack", loser: "Entry", now: int) -> bool:
    """Whether the loser's packet may go on; it is rewritten as its own entry says."""
    rival = loser.rival
    assert rival is not None
    how = conntrack.sysctl.clash_resolution
    reply = loser.reply
    if how != "none" and reply.flow == rival.reply.flow:
        conntrack.clash_resolve += 1
        return True
    if how == "harder" and conntrack.lookup(reply.flow, now) is None:
        conntrack.clash_resolve += 1
        loser.confirmed = True
        loser.expires_ns = now + _CLASH_TIMEOUT_NS
        conntrack.table[reply.flow] = reply
        return True
    conntrack.insert_failed += 1
    return False
