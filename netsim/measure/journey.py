"""Journeys: the steps that namespaces told about packets, put in order and made readable.

A journey is what `netsim explain` prints: each packet with every hook, rule, rewrite, route and device it
met, and the time. The same steps also make a sequence diagram (`sequence`), as a figure or in Mermaid.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netsim.kernel.journey import Step
from netsim.measure.sequence import Arrow, hosts, sequence
from netsim.wire.describe import describe
from netsim.wire.ndp import is_discovery
from netsim.wire.packet import ARP

if TYPE_CHECKING:
    from netsim.measure.style import Plot

_MOVES = ("transmit", "receive")


@dataclass(frozen=True, slots=True)
class PacketJourney:
    """All steps of one packet, in the order in which they happened."""

    uid: int
    steps: tuple[Step, ...]

    @property
    def first(self) -> Step:
        """Where it began."""
        return self.steps[0]

    @property
    def last(self) -> Step:
        """Where it ended, as far as was seen."""
        return self.steps[-1]

    @property
    def fate(self) -> str:
        """`delivered to HOST`, `dropped at HOST: REASON`, or `in flight`."""
        if self.last.kind == "deliver":
            return f"delivered to {self.last.namespace}"
        if self.last.kind == "drop":
            return f"dropped at {self.last.namespace} {self.last.where}: {self.last.detail}"
        return f"taken in by {self.last.namespace}" if self.last.kind == "receive" else "in flight"

    @property
    def summary(self) -> str:
        """What the packet says, with the addresses it set out with."""
        return f"{self.first.flow}  {describe(self.first.flow, self.first.body)}"


class Journey:
    """The packets of one question: a request, a lookup, an injected packet.

    `names` maps addresses to what they belong to; `epoch_ns` is the time that the output calls zero."""

    def __init__(
        self,
        steps: Iterable[Step],
        epoch_ns: int,
        names: Mapping[bytes, str] | None = None,
        arp: bool = False,
    ) -> None:
        self.epoch_ns = epoch_ns
        self.names = dict(names or {})
        grouped: dict[int, list[Step]] = {}
        for step in steps:
            if arp or not (step.flow.proto == ARP or is_discovery(step.flow)):
                grouped.setdefault(step.uid, []).append(step)
        # Steps are told when they are decided; a transmission may start later than the next telling.
        self.packets = [
            PacketJourney(uid, tuple(sorted(found, key=lambda step: step.at_ns)))
            for uid, found in grouped.items()
        ]
        self.packets.sort(key=lambda packet: (packet.first.at_ns, packet.uid))

    def text(self) -> str:
        """Plain text, at most about 120 columns."""
        return "\n".join(self._packet_text(number, packet) for number, packet in enumerate(self.packets, 1))

    def _packet_text(self, number: int, packet: PacketJourney) -> str:
        lines = [f"{number:>3}. {packet.summary}"]
        place = ""
        for step in packet.steps:
            here = step.namespace
            shown, place = ("" if here == place else here), here
            lines.append(f"     {self._ms(step.at_ns):>12}  {shown:<24} {_step_text(step)}")
        lines.append(f"     {'':>12}  => {packet.fate}")
        return "".join(f"{line.rstrip()}\n" for line in lines)

    def _ms(self, at_ns: int) -> str:
        return f"{(at_ns - self.epoch_ns) / 1e6:.4f} ms"

    def mermaid(self) -> str:
        """A sequence diagram: one actor per host, one arrow per link, a note per rewrite, in order of time."""
        events = sequence(self)
        identifiers = {name: f"h{number}" for number, name in enumerate(hosts(events))}
        lines = ["sequenceDiagram"]
        lines += [f"  participant {identifiers[name]} as {name}" for name in identifiers]
        for event in events:
            if isinstance(event, Arrow):
                said = event.words.replace(";", ",").replace("#", " ")
                arrow = f"{identifiers[event.source]}->>{identifiers[event.destination]}"
                lines.append(f"  {arrow}: {said} ({event.target})")
            else:
                lines.append(f"  Note over {identifiers[event.host]}: {event.kind} {event.words}")
        return "\n".join(lines) + "\n"

    def plot(self, title: str = "") -> "Plot":
        """The sequence diagram as a figure: lifelines, arrows, rewrites marked."""
        from netsim.measure.figures_sequence import sequence_plot

        return sequence_plot(self, title)

    def filtered(self, keep: Callable[[PacketJourney], bool]) -> "Journey":
        """Only some of the packets."""
        steps = [step for packet in self.packets if keep(packet) for step in packet.steps]
        return Journey(steps, self.epoch_ns, self.names, arp=True)

    def __len__(self) -> int:
        return len(self.packets)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        """The diagram, and the text folded away."""
        from html import escape

        told = f"<pre style='line-height:1.25'>{escape(self.text())}</pre>"
        return (
            f"{self.plot().image('sequence diagram')}<details><summary>every step</summary>{told}</details>"
        )


def _step_text(step: Step) -> str:
    where = f"{step.where:<12}" if step.where else f"{'':<12}"
    if step.kind in _MOVES:
        detail = f"ttl {step.ttl}" + (f", {step.detail}" if step.kind == "transmit" and step.detail else "")
    elif step.kind in ("send", "deliver"):
        detail = ""
    else:
        detail = step.detail
    if step.kind == "hook":
        return step.where
    return f"{where} {step.kind:<9} {detail}".rstrip()
