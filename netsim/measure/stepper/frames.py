"""The steps of a journey as the data of the page: plain JSON values, each text once.

Called by `page.py`. A frame is one step of one packet: where the packet is, what it holds afterwards, the rule that
matched, the conntrack entry of the moment, a sentence. Packets follow one another in the order in which they set out,
also where two are under way at once, so that each is seen from end to end.
"""

from typing import Any, Final

from netsim.kernel.hooks import Hook
from netsim.kernel.journey import NftRuleHit, Step
from netsim.measure.journey import Journey, PacketJourney
from netsim.measure.stepper.layout import Box, Layout, layout
from netsim.measure.stepper.narrate import sentence
from netsim.measure.stepper.scene import Scene
from netsim.measure.stepper.states import State, state_of
from netsim.wire.describe import describe
from netsim.wire.packet import ARP, ICMP, ICMPV6, UDP, TcpSegment

_HOOKS: Final = tuple(hook.name for hook in Hook)
# The function at a hook that takes a step of a kind.
_STATIONS: Final = {"dnat": "nat", "snat": "nat", "related": "conntrack", "balance": "balance"}
# After these a packet has no conntrack entry yet.
_FRESH: Final = ("receive", "send", "encapsulate", "decapsulate")
_XTABLES: Final = {"nat": "nat", "filter": "filter", "raw": "conntrack"}
_SIMPLE_NAMES: Final = {
    0x02: "SYN",
    0x12: "SYN, ACK",
    0x10: "ACK",
    0x11: "FIN, ACK",
    0x04: "RST",
    0x14: "RST, ACK",
}


class _Pool:
    """Values that the page holds once and refers to by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, key: Any, value: Any = None) -> int:
        """Of a value, which is its own key if it is hashable."""
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.values)
            self.values.append(key if value is None else value)
        return found


class _Chains:
    """Which chains a packet went through at the hook where it is: base chain first."""

    def __init__(self, scene: Scene) -> None:
        self._stations = {
            (host.name, base): station.key
            for host in scene.hosts
            for hook in host.hooks
            for station in hook
            for base in station.bases
        }
        self.station = ""
        self.path: list[str] = []

    def enter(self, step: Step, before: Step | None) -> None:
        """A step; afterwards `station` and `path` are those of it."""
        if step.kind != "rule":
            self.path = []
            self.station = _station(step, before)
            return
        hit = step.rule
        assert hit is not None
        if isinstance(hit, NftRuleHit):
            station = self._stations.get((step.namespace, f"{hit.table} {hit.chain}"))
            if station is not None:
                self.station, self.path = station, []
        else:
            station = _XTABLES[hit.table]
            if station != self.station:
                self.station, self.path = station, []
        if hit.chain in self.path:
            del self.path[self.path.index(hit.chain) :]
        self.path.append(hit.chain)


def _station(step: Step, before: Step | None) -> str:
    if step.kind == "conntrack":
        return "confirm" if step.detail.startswith(("confirmed", "clash")) else "conntrack"
    if step.kind == "ipvs":
        is_answer = before is not None and before.flow.dst == step.flow.dst
        return "ip_vs_out" if is_answer else "ip_vs_in"
    if step.kind == "drop":
        return "drop"
    return _STATIONS.get(step.kind, "")


def frames(journey: Journey, scene: Scene) -> dict[str, Any]:
    """Everything that the page shows."""
    place = layout(scene)
    texts, states = _Pool(), _Pool()
    boxes = {box.view.name: (number, box) for number, box in enumerate(place.boxes)}
    chains = _Chains(scene)
    rows: list[list[Any]] = []
    packets = []
    for packet in journey.packets:
        packets.append(_packet(packet, len(rows), journey))
        before: Step | None = None
        entry, at_host = "", ""
        for step in packet.steps:
            if step.namespace != at_host or step.kind in _FRESH:
                entry, at_host = "", step.namespace
            entry = step.entry or entry
            chains.enter(step, before)
            number, box = boxes.get(step.namespace, (-1, None))
            state = state_of(step)
            rule = step.rule.saved if step.rule is not None else ""
            rows.append(
                [
                    len(packets) - 1,
                    step.at_ns - journey.epoch_ns,
                    number,
                    texts.number(step.where),
                    texts.number(step.kind),
                    texts.number(sentence(step, before, journey.names)),
                    states.number(state, _state(state, texts)),
                    texts.number(rule),
                    texts.number(entry),
                    texts.number(chains.station),
                    texts.number(" \u203a ".join(chains.path) if step.kind == "rule" else ""),
                    texts.number(
                        step.detail if step.kind in ("route", "bridge", "neighbour", "drop") else ""
                    ),
                    *(_point(box, step) if box is not None else (0, 0)),
                ]
            )
            before = step
    return {
        "drawing": _drawing(place, scene),
        "hooks": _HOOKS,
        "packets": packets,
        "frames": rows,
        "states": states.values,
        "texts": texts.values,
    }


def _packet(packet: PacketJourney, first: int, journey: Journey) -> dict[str, Any]:
    step = packet.first
    body = step.body
    return {
        "first": first,
        "kind": _kind(step),
        "name": _name(step),
        "flow": str(step.flow),
        "says": describe(step.flow, body),
        "fate": packet.fate,
        "dropped": packet.last.kind == "drop",
        "from": step.namespace,
        "to": journey.names.get(step.flow.dst, ""),
    }


def _kind(step: Step) -> str:
    """Decides the colour."""
    said = describe(step.flow, step.body)
    if said.startswith("DNS"):
        return "dns"
    if "HTTP/1." in said:
        return "http"
    proto = step.flow.proto
    return {ARP: "arp", ICMP: "icmp", ICMPV6: "icmp", UDP: "udp"}.get(proto, "tcp")


def _name(step: Step) -> str:
    """A short name, by which a packet is found: DNS A?, SYN, HTTP request."""
    said, body = describe(step.flow, step.body), step.body
    if said.startswith("DNS"):
        words = said.split(" ")
        return " ".join(words[:2]) if "?" in words[1] else f"DNS answer {words[1]}"
    if "HTTP/1." in said:
        first = said.partition(": ")[2]
        return (
            f"HTTP {first.split(' ', 1)[1]}"
            if first.startswith("HTTP/")
            else f"HTTP {first.rsplit(' ', 1)[0]}"
        )
    if isinstance(body, TcpSegment):
        name = _SIMPLE_NAMES.get(body.flags & 0x17, "TCP")
        return f"data, {len(body.payload)} bytes" if body.payload else name
    return said.split(",", 1)[0]


def _state(state: State, texts: _Pool) -> list[Any]:
    layers = [
        [
            texts.number(layer.name),
            [[texts.number(name), texts.number(value)] for name, value in layer.fields],
        ]
        for layer in state.layers
    ]
    return [layers, state.frame.hex(), state.length]


def _point(box: Box, step: Step) -> tuple[int, int]:
    """Where the packet is at a step: the device, the hook, or with the processes."""
    if step.kind in ("send", "deliver"):
        return box.places[""]
    return box.places.get(step.where, box.places[""])


def _drawing(place: Layout, scene: Scene) -> dict[str, Any]:
    return {
        "width": place.width,
        "height": place.height,
        "underlay": place.underlay_y,
        "network": scene.network,
        "hosts": [_box(box) for box in place.boxes],
    }


def _box(box: Box) -> dict[str, Any]:
    view = box.view
    kinds = {device.name: device for device in view.devices}
    return {
        "name": view.name,
        "kind": view.kind,
        "parent": view.parent,
        "addresses": view.addresses,
        "box": [box.x, box.y, box.width, box.height],
        "places": [
            [name, *point, kinds[name].kind if name in kinds else "hook" if name else "process"]
            for name, point in box.places.items()
        ],
        "macs": {device.name: device.mac for device in view.devices},
        "stations": [[[*station] for station in hook] for hook in view.hooks],
    }
