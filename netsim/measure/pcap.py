"""Captures as pcapng files: interfaces named after hosts, addresses after what they belong to, times of the experiment.

Called by experiments (`capture:`), the command line (`--capture`) and notebooks. A `Tcpdump` has an interface per
device, with packets commented and drops marked. In a `Capture` each cable is one interface, that of the host it is
named after; what the host sends is outbound.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.fabric.tcpdump import SWITCH, Interface, Seen, Tcpdump
from netsim.measure.pcap_comments import Comments, dropped_text
from netsim.wire.describe import describe
from netsim.wire.pcapng import Direction, PcapngWriter, Verdict

if TYPE_CHECKING:
    from netsim.fabric.capture import Capture
    from netsim.kernel.journey import Dropped


def write_pcapng(
    capture: "Capture | Tcpdump",
    path: str | Path,
    names: Mapping[bytes, str] | None = None,
    epoch_ns: int = 0,
    about: str = "",
    application: str = "netsim",
) -> int:
    """Write what was captured; the number of packets. `epoch_ns` is the time that the file calls zero (1970), `about`
    says what was run, `application` by what. Raises OSError."""
    with PcapngWriter(
        path, names=names, comment=about, application=application, offset_ns=-epoch_ns
    ) as writer:
        if isinstance(capture, Tcpdump):
            return _write_interfaces(writer, capture, names or {}, epoch_ns)
        return _write_cables(writer, capture, epoch_ns)


def pcapng_bytes(
    capture: "Capture | Tcpdump",
    names: Mapping[bytes, str],
    epoch_ns: int,
    about: str = "",
    application: str = "netsim",
) -> bytes:
    """The file's contents."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.pcapng"
        write_pcapng(capture, path, names, epoch_ns, about, application)
        return path.read_bytes()


def _write_cables(writer: PcapngWriter, capture: "Capture", epoch_ns: int) -> int:
    hops = [hop for hop in capture if hop.at_ns >= epoch_ns]
    for hop in sorted(hops, key=lambda hop: hop.at_ns):
        outbound = hop.link.device is not None and hop.link.name == hop.cable
        writer.packet(
            writer.interface(hop.cable),
            hop.at_ns,
            hop.packet().to_bytes(),
            packet_id=hop.uid,
            direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
            comments=(describe(hop.flow, hop.body),),
        )
    return len(hops)


def _write_interfaces(writer: PcapngWriter, dump: Tcpdump, names: Mapping[bytes, str], epoch_ns: int) -> int:
    seen = sorted((s for s in dump.seen if s.at_ns >= epoch_ns), key=lambda s: s.at_ns)
    drops = sorted((d for d in dump.drops if d.at_ns >= epoch_ns), key=lambda d: d.at_ns)
    fates, unseen = _fates(seen, drops)
    comments = Comments(names, dump.rewrites)
    for interface in dump.interfaces.values():
        writer.interface(interface.name, interface.description, interface.mac)
    records = [(s, fates.get(number)) for number, s in enumerate(seen)] + unseen
    for record, dropped in sorted(records, key=lambda pair: pair[0].at_ns):
        said = comments.of(record.flow, record.body, record.at_ns)
        if dropped is not None:
            said.append(dropped_text(dropped))
        interface = record.interface
        writer.packet(
            writer.interface(interface.name, interface.description, interface.mac),
            record.at_ns,
            record.packet().to_bytes(),
            packet_id=record.uid,
            direction=Direction.OUTBOUND if record.outbound else Direction.INBOUND,
            verdict=Verdict.DROP if dropped is not None else None,
            comments=said,
        )
    return len(records)


_Record = tuple[Seen, "Dropped | None"]


def _fates(seen: list[Seen], drops: "list[Dropped]") -> "tuple[dict[int, Dropped], list[_Record]]":
    """Which records are a dropped packet's last: by their number; and records for those that no interface of their
    host has seen."""
    numbers: dict[tuple[str, int], list[int]] = {}
    for number, record in enumerate(seen):
        numbers.setdefault((record.interface.host, record.uid), []).append(number)
    fates: dict[int, Dropped] = {}
    unseen: list[_Record] = []
    for dropped in drops:
        own = numbers.get((dropped.namespace, dropped.uid), [])
        last = next((n for n in reversed(own) if seen[n].at_ns <= dropped.at_ns and n not in fates), None)
        if last is not None:
            fates[last] = dropped
        elif dropped.packet is not None:
            unseen.append((_record_of(dropped), dropped))
    return fates, unseen


def _record_of(dropped: "Dropped") -> Seen:
    """A record on an interface that is none: the packet ended before it met one."""
    packet = dropped.packet
    assert packet is not None
    if dropped.namespace == SWITCH:
        said = f"port of the underlay switch to {dropped.device}"
        where = Interface(SWITCH, SWITCH, dropped.device, description=said)
    else:
        said = f"packets that ended in {dropped.namespace} before they met an interface"
        where = Interface(dropped.namespace, "", "any", description=said)
    return Seen(
        dropped.at_ns,
        where,
        True,
        packet.uid,
        packet.flow,
        packet.ttl,
        packet.tos,
        packet.macs,
        packet.size,
        packet.body,
    )
