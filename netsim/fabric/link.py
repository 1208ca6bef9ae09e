"""One direction of a cable: serialisation, propagation, a queue, and what netem does to it.

A packet that is sent is its own SimPy event, scheduled once, for its arrival. The transmitter is described by the
moment until which it is busy; the backlog at that moment is the queue. Nothing else is simulated per link, so a hop
costs one heap entry. Serialisation counts the frame without preamble, check sequence and gap, at whole picoseconds per
byte.

`send` is what devices call. Faults and captures do not add tests to it: they put another function in its place
(`Link.rewire`) and make the sending namespace forget the paths that it remembers.

Source of the impairments: tc-netem(8). As there, `delay` comes on top of the link's own delay, jitter is uniform,
packets whose delays differ overtake each other, and a rate goes with a queue of 1000 packets. Simplified: a corrupted
packet is lost here and now (its receiver would drop it for its checksum), and netem's queue does not count the packets
that it delays.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappush
from typing import TYPE_CHECKING, Final

from netsim.kernel.hooks import DropReason

if TYPE_CHECKING:
    from netsim.engine import Engine
    from netsim.kernel.netns import Device
    from netsim.wire.packet import Packet

# A 10 Gbit/s port with about 1 MB of buffer drains in 0.8 ms; data-centre switches have 0.1 to 10 ms.
DEFAULT_QUEUE_NS: Final = 1_000_000
PER_BYTE: Final = 8 * 10**12  # picoseconds that one byte takes at one bit per second
NETEM_LIMIT: Final = 1000  # packets that netem's queue holds by default

Tap = Callable[["Link", "Packet", int], None]


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """Delay in ns, rate in bit/s, the longest wait in the queue in ns."""

    delay_ns: int = 100_000
    rate_bps: int = 10**10
    queue_ns: int = DEFAULT_QUEUE_NS


@dataclass(frozen=True, slots=True)
class Netem:
    """Impairments of one direction; probabilities from 0 to 1."""

    delay_ns: int = 0
    jitter_ns: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate_bps: int = 0


def _nobody(packet: "Packet") -> None:
    """The cable ends nowhere."""


class Link:
    """From one device to whatever `connect` names."""

    __slots__ = (
        "_arrived",
        "_blocked",
        "_eid",
        "_env",
        "_ps_per_byte",
        "_queue",
        "_receiver",
        "_rng",
        "_schedule",
        "arrivals",
        "busy_ns",
        "bytes",
        "delay_ns",
        "device",
        "drops",
        "duplicated",
        "forward",
        "lost",
        "name",
        "netem",
        "packets",
        "queue_ns",
        "taps",
        "up",
    )

    def __init__(self, engine: "Engine", name: str, spec: LinkSpec, device: "Device | None" = None) -> None:
        self.name = name
        self.device = device
        self._env = engine.env
        self._schedule = engine.env.schedule
        self._queue = engine.env._queue
        self._eid = engine.env._eid
        self._rng: random.Random = engine.stream(f"link/{name}")
        self._arrived: tuple[Callable[[Packet], None], ...] = ()
        self._ps_per_byte = PER_BYTE // spec.rate_bps
        self.delay_ns = spec.delay_ns
        self.queue_ns = spec.queue_ns
        self.busy_ns = 0
        self.packets = 0
        self.bytes = 0
        self.duplicated = 0
        self.drops: Counter[DropReason] = Counter()
        self.up = True
        self.netem: Netem | None = None
        self._blocked: list[Callable[[Packet], bool]] = []
        self.taps: list[Tap] = []
        self.arrivals: list[Callable[[Packet], None]] = []
        self.lost: list[Callable[[Packet, DropReason, int], None]] = []
        self._receiver: Callable[[Packet], None] = _nobody
        self.forward: Callable[[Packet, int], None] = self.send

    def connect(self, arrived: Callable[["Packet"], None]) -> None:
        """What to call with each packet at the other end."""
        self._receiver = arrived
        self._arrived = (*self.arrivals, arrived)
        self.rewire()

    def on_arrival(self, tap: Callable[["Packet"], None]) -> Callable[[], None]:
        """Tell of each packet that arrives, before its receiver gets it, until what this returns is called. Packets
        that are under way already are not told of."""
        self.arrivals.append(tap)
        self.connect(self._receiver)

        def stop() -> None:
            self.arrivals.remove(tap)
            self.connect(self._receiver)

        return stop

    def rewire(self) -> None:
        """Let the device use the right `send` for the present state, and its namespace forget the old one."""
        self.forward = self._sender()
        if self.device is not None:
            self.device.transmit = self.forward
            self.device.ns.changed()

    def block(self, lost: Callable[["Packet"], bool]) -> None:
        """Lose the packets that a partition separates from their destination."""
        self._blocked.append(lost)
        self.rewire()

    def unblock(self, lost: Callable[["Packet"], bool]) -> None:
        """Lose them no longer."""
        self._blocked.remove(lost)
        self.rewire()

    @property
    def _plain(self) -> bool:
        return self.up and self.netem is None and not self._blocked

    def _sender(self) -> Callable[["Packet", int], None]:
        if self.taps:
            return self._send_tapped
        return self.send if self._plain else self._send_impaired

    def send(self, packet: "Packet", at_ns: int) -> None:
        """Transmit from `at_ns` (now or a little later) on: the plain case."""
        start = self.busy_ns
        if start < at_ns:
            start = at_ns
        elif start - at_ns > self.queue_ns:
            self._lose(packet, DropReason.LINK_QUEUE_FULL, at_ns)
            return
        self.busy_ns = start = start + packet.size * self._ps_per_byte // 1000
        self.packets += 1
        self.bytes += packet.size
        packet.callbacks = self._arrived
        # What env.schedule(packet, 1, delay) does, without the call: this is the simulator's innermost line.
        heappush(self._queue, (start + self.delay_ns, 1, next(self._eid), packet))  # type: ignore[misc]

    def _send_tapped(self, packet: "Packet", at_ns: int) -> None:
        for tap in self.taps:
            tap(self, packet, at_ns)
        if self._plain:
            self.send(packet, at_ns)
        else:
            self._send_impaired(packet, at_ns)

    def _send_impaired(self, packet: "Packet", at_ns: int) -> None:
        netem = self.netem
        if not self.up:
            self._lose(packet, DropReason.LINK_DOWN, at_ns)
        elif self._blocked and any(lost(packet) for lost in self._blocked):
            self._lose(packet, DropReason.LINK_PARTITION, at_ns)
        elif netem is None:
            self.send(packet, at_ns)
        elif netem.loss and self._rng.random() < netem.loss:
            self._lose(packet, DropReason.LINK_LOSS, at_ns)
        elif netem.corrupt and self._rng.random() < netem.corrupt:
            self._lose(packet, DropReason.CHECKSUM, at_ns)
        else:
            if netem.duplicate and self._rng.random() < netem.duplicate:
                self.duplicated += 1
                self._send_late(packet.copy(packet.uid), at_ns, netem)
            self._send_late(packet, at_ns, netem)

    def _send_late(self, packet: "Packet", at_ns: int, netem: Netem) -> None:
        """As `send`, at netem's rate if that is lower, and later by what netem adds."""
        took_ns = packet.size * self._ps_per_byte // 1000
        longest_ns = self.queue_ns
        if netem.rate_bps:
            took_ns = max(took_ns, packet.size * (PER_BYTE // netem.rate_bps) // 1000)
            longest_ns = max(longest_ns, NETEM_LIMIT * took_ns)
        start = max(self.busy_ns, at_ns)
        if start - at_ns > longest_ns:
            self._lose(packet, DropReason.LINK_QUEUE_FULL, at_ns)
            return
        self.busy_ns = start = start + took_ns
        self.packets += 1
        self.bytes += packet.size
        packet.callbacks = self._arrived
        late_ns = start + self.delay_ns + self._extra_ns(netem) - self._env._now
        self._schedule(packet, 1, late_ns)  # type: ignore[arg-type]

    def _extra_ns(self, netem: Netem) -> int:
        extra = netem.delay_ns
        if netem.jitter_ns:
            extra += self._rng.randrange(-netem.jitter_ns, netem.jitter_ns + 1)
        if netem.reorder and self._rng.random() < netem.reorder:
            return 0
        return max(0, extra)

    def _lose(self, packet: "Packet", reason: DropReason, now: int) -> None:
        for told in self.lost:
            told(packet, reason, now)
        if self.device is not None:
            self.device.ns.drop(packet, "LINK", reason, now, self.device)
        else:
            self.drops[reason] += 1
