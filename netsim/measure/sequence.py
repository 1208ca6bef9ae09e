"""A journey as a sequence: who sent what to whom, and where addresses were rewritten, in order of time.

The figure (`figures_sequence`) and Mermaid (`Journey.mermaid`) are drawn from it. A rewrite that takes an earlier one
back, which connection tracking does to replies, is told apart from it by `un-`: DNAT on the way there is un-DNAT (a
change of the source) on the way back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from netsim.wire.addr import ip_text
from netsim.wire.describe import describe

if TYPE_CHECKING:
    from netsim.kernel.journey import Step
    from netsim.measure.journey import Journey, PacketJourney
    from netsim.wire.packet import Flow

_KINDS: Final = {
    "dnat": "DNAT",
    "snat": "SNAT",
    "ipvs": "IPVS",
    "encapsulate": "ENCAPSULATE",
    "decapsulate": "DECAPSULATE",
}
# A rewrite of one end is undone by one of the other.
_BACK: Final = {"snat": "un-DNAT", "dnat": "un-SNAT"}

Socket = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Arrow:
    """A packet goes from one host to the next. `protocol` is dns, tcp, udp, icmp...; `target` its destination's address
    or name at that moment."""

    at_ns: int
    until_ns: int
    source: str
    destination: str
    words: str
    target: str
    protocol: str
    uid: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Something happened to a packet in a host: `kind` is DNAT, un-DNAT, SNAT, un-SNAT, IPVS, ENCAPSULATE, DECAPSULATE
    or DROP; `words` are what the step tells, `short` only what changed (`to 10.244.1.2:80`)."""

    at_ns: int
    host: str
    kind: str
    words: str
    short: str
    uid: int


def sequence(journey: "Journey") -> tuple[Arrow | Mark, ...]:
    """Everything that a sequence diagram shows; times are those of the engine."""
    undone: set[tuple[str, Socket, Socket]] = set()
    found = [event for packet in journey.packets for event in _events(packet, journey, undone)]
    return tuple(sorted(found, key=lambda event: event.at_ns))


def hosts(events: "tuple[Arrow | Mark, ...]") -> tuple[str, ...]:
    """The hosts that appear, in the order in which they do."""
    seen: dict[str, None] = {}
    for event in events:
        seen.update(
            dict.fromkeys([event.host] if isinstance(event, Mark) else [event.source, event.destination])
        )
    return tuple(seen)


def _events(
    packet: "PacketJourney", journey: "Journey", undone: set[tuple[str, Socket, Socket]]
) -> Iterator[Arrow | Mark]:
    before, sent = packet.first, packet.first
    # A rewrite is told before it is done: the step that follows has the new addresses.
    for step, following in zip_longest(packet.steps, packet.steps[1:], fillvalue=packet.last):
        if step.kind == "transmit":
            sent = step
        elif step.kind == "receive" and step.namespace != before.namespace:
            yield _arrow(sent if sent.namespace == before.namespace else before, step, journey)
        elif step.kind in _KINDS:
            kind = _kind(step, following.flow, undone)
            short = _short(step, before.flow, following.flow)
            yield Mark(step.at_ns, step.namespace, kind, step.detail, short, step.uid)
        elif step.kind == "drop":
            reason = step.detail.split(":")[0]
            yield Mark(step.at_ns, step.namespace, "DROP", reason, reason, step.uid)
        before = step


def _arrow(sent: "Step", received: "Step", journey: "Journey") -> Arrow:
    flow = received.flow
    words = describe(flow, received.body)
    target = journey.names.get(flow.dst, ip_text(flow.dst))
    protocol = "dns" if words.startswith("DNS") else str(flow).partition(" ")[0]
    return Arrow(
        sent.at_ns, received.at_ns, sent.namespace, received.namespace, words, target, protocol, received.uid
    )


def _kind(step: "Step", after: "Flow", undone: set[tuple[str, Socket, Socket]]) -> str:
    """The word for a rewrite; remembers what would take it back."""
    before = step.flow
    if step.kind == "dnat":
        change, reverse = ((before.dst, before.dport), (after.dst, after.dport)), "snat"
    elif step.kind == "snat":
        change, reverse = ((before.src, before.sport), (after.src, after.sport)), "dnat"
    else:
        return _KINDS[step.kind]
    if (step.kind, *change) in undone:
        return _BACK[step.kind]
    undone.add((reverse, change[1], change[0]))
    return _KINDS[step.kind]


def _short(step: "Step", before: "Flow", after: "Flow") -> str:
    """What a rewrite changed: the destination, or else the source."""
    if step.kind in {"encapsulate", "decapsulate"}:
        tunnel, _, outer = step.detail.replace(" from ", " in ").partition(" in ")
        source, _, destination = outer.partition(" > ")
        return (
            f"{tunnel} to {destination}"
            if step.kind == "encapsulate"
            else f"{tunnel} from {source.rpartition(' ')[2]}"
        )
    ends, _, destination = str(after).partition(" > ")
    if (before.dst, before.dport) != (after.dst, after.dport):
        return f"to {destination}"
    return f"from {ends.rpartition(' ')[2]}"
