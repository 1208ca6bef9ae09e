"""What became of one connection that was tried, as both referees tell it: the real kernel and the simulator."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from netsim.wire.addr import ip_text
from netsim.wire.packet import ICMP, ICMPV6, RST, TCP, Flow
from netsim.wire.rewrite import layout, read_flow

ANSWERED, REFUSED, SILENCE = "answered", "refused", "silence"


@dataclass(frozen=True, slots=True)
class Seen:
    """`ending`: answered, refused or silence. Of what arrived: `place` (node, pods, outside), `destination` as
    `ip:port`, and `source`, the address that it came from. Of a refusal: `refusal`, how, about what and by whom.
    `verdict`: what the filter table did to it (DROP, REJECT; ACCEPT by KUBE-NODEPORTS), "" for none of these, None
    where nobody counted. `errno`: what the system call said that sent a datagram."""

    ending: str
    place: str = ""
    destination: str = ""
    source: str = ""
    refusal: str = ""
    verdict: str | None = None
    errno: str = ""


def counting(seen: Seen, before: Counter[str] | None, after: Counter[str] | None) -> Seen:
    """With what the filter table's counters say."""
    if before is None or after is None:
        return seen
    return replace(seen, verdict=" ".join(sorted(after - before)))


def endpoint(address: str, port: int) -> str:
    """`10.0.0.1:80` or `[2001:db8::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def judged(seen: Seen, flow: dict[str, Any]) -> tuple[str, bool]:
    """In the words of the cases: one output (an endpoint, REJECT, DROP, ACCEPT or ""), and whether the source was
    rewritten."""
    if seen.ending == REFUSED and "unreachable" in seen.refusal:
        return "REJECT", False
    if seen.ending == SILENCE:
        return "DROP", False
    if seen.ending == REFUSED:
        return seen.refusal, False
    masqueraded = seen.source != flow["sourceIP"]
    if seen.destination != endpoint(flow["destIP"], flow["destPort"]):
        return seen.destination, masqueraded
    return ("ACCEPT" if seen.verdict == "ACCEPT" else ""), masqueraded


# ICMP errors by protocol and type: RFC 792, RFC 4443.
_ERRORS = {
    (ICMP, 3): "unreachable",
    (ICMP, 11): "time exceeded",
    (ICMPV6, 1): "unreachable",
    (ICMPV6, 2): "too big",
    (ICMPV6, 3): "time exceeded",
}


def refusal(packet: bytes) -> str:
    """What an IP packet says, if it is a RST or an ICMP error: by whom, how, and about what; else ""."""
    flow, where = read_flow(packet), layout(packet)
    if flow.proto == TCP and packet[where.l4 + 13] & RST:
        return f"reset by {endpoint(ip_text(flow.src), flow.sport)}"
    kind, code = packet[where.l4 : where.l4 + 2]
    if (flow.proto, kind) not in _ERRORS:
        return ""
    told = icmp_error(flow.proto, kind, code, read_flow(packet[where.l4 + 8 :]))
    return f"{told}, by {ip_text(flow.src)}"


def icmp_error(protocol: int, kind: int, code: int, about: Flow) -> str:
    """An ICMP error in words. `about` is the flow of the packet that it quotes."""
    return f"{_ERRORS[protocol, kind]}, code {code}, about {endpoint(ip_text(about.dst), about.dport)}"
