"""Captures as pcapng files: interfaces named after hosts, addresses after what they belong to, times of the experiment.

Called by experiments (`capture:`) and notebooks. Each cable is one interface, that of the host it is named
after; what the host sends is outbound.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.wire.describe import describe
from netsim.wire.pcapng import Direction, PcapngWriter

if TYPE_CHECKING:
    from netsim.fabric.capture import Capture


def write_pcapng(
    capture: "Capture", path: str | Path, names: Mapping[bytes, str] | None = None, epoch_ns: int = 0
) -> int:
    """Write what was captured; the number of packets. `epoch_ns` is the time that the file calls zero (1970)."""
    hops = [hop for hop in capture if hop.at_ns >= epoch_ns]
    with PcapngWriter(path, names=names, offset_ns=-epoch_ns) as writer:
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


def pcapng_bytes(capture: "Capture", names: Mapping[bytes, str], epoch_ns: int) -> bytes:
    """The file's contents."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.pcapng"
        write_pcapng(capture, path, names, epoch_ns)
        return path.read_bytes()
