"""Conntrack entries as conntrack(8) prints them (libnetfilter_conntrack's default output)."""

from typing import TYPE_CHECKING

from netsim.wire.addr import ip_text
from netsim.wire.packet import ICMP, ICMPV6, PROTOCOL_NAMES, SCTP, TCP, UDP, Flow

if TYPE_CHECKING:
    from netsim.kernel.conntrack import Entry


def render(entry: "Entry", now: int) -> str:
    """One line, such as `tcp      6 119 SYN_SENT src=... [UNREPLIED] src=... mark=0 use=1`."""
    name = PROTOCOL_NAMES.get(entry.proto, "unknown")
    seconds = max(0, (entry.expires_ns - now) // 1_000_000_000)
    words = [f"{name:<8} {entry.proto} {seconds}"]
    if entry.state_name:
        words.append(entry.state_name)
    words.append(_tuple_text(entry.original.flow))
    if not entry.seen_reply:
        words.append("[UNREPLIED]")
    words.append(_tuple_text(entry.reply.flow))
    if entry.assured:
        words.append("[ASSURED]")
    words.append(f"mark={entry.mark} use=1")
    return " ".join(words)


def _tuple_text(flow: Flow) -> str:
    addresses = f"src={ip_text(flow.src)} dst={ip_text(flow.dst)}"
    if flow.proto in (ICMP, ICMPV6):
        return f"{addresses} type={flow.dport >> 8} code={flow.dport & 255} id={flow.sport}"
    if flow.proto in (TCP, UDP, SCTP):
        return f"{addresses} sport={flow.sport} dport={flow.dport}"
    return addresses
