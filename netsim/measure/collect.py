"""Collecting: the recorder listens on the bus while a simulation runs and keeps what it hears, one append per record.

The experiment's runner makes one `Recorder` per replication before the cluster boots (the boot tells which endpoints
there are), and takes a `Recording` from it when the run is over. A recording is plain picklable data, so replications
can run in other processes; `frames` turns recordings into tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from netsim.cluster.records import ClusterEvent
from netsim.engine import Bus
from netsim.measure.books import PacketBooks
from netsim.workload.ingress.records import ProxiedRequest
from netsim.workload.records import FaultInjected, RequestDone


@dataclass(frozen=True, slots=True)
class Recording:
    """What one replication leaves behind. Times inside are engine nanoseconds; the experiment's zero is `epoch_ns`.

    `counters` are further whole numbers for the fingerprint (packet and rule counters by name).
    """

    replication: int
    epoch_ns: int
    end_ns: int
    requests: tuple[RequestDone, ...]
    events: tuple[ClusterEvent, ...]
    faults: tuple[FaultInjected, ...] = ()
    books: PacketBooks | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    # pcapng files by name; not in the fingerprint.
    captures: Mapping[str, bytes] = field(default_factory=dict)
    # The access log of ingress controllers.
    proxied: tuple[ProxiedRequest, ...] = ()


class Recorder:
    """Keeps the records of one run. `epoch_ns` may be set later, when the cluster has settled."""

    def __init__(self, bus: Bus, epoch_ns: int = 0) -> None:
        self.epoch_ns = epoch_ns
        self.requests: list[RequestDone] = []
        self.events: list[ClusterEvent] = []
        self.faults: list[FaultInjected] = []
        self.proxied: list[ProxiedRequest] = []
        self._endings = [
            bus.subscribe(RequestDone, self.requests.append),
            bus.subscribe(ClusterEvent, self.events.append),
            bus.subscribe(FaultInjected, self.faults.append),
            bus.subscribe(ProxiedRequest, self.proxied.append),
        ]

    def stop(self) -> None:
        """Listen no more; what was heard stays."""
        while self._endings:
            self._endings.pop()()

    def recording(
        self,
        replication: int,
        end_ns: int,
        books: PacketBooks | None = None,
        counters: Mapping[str, int] | None = None,
    ) -> Recording:
        """Everything heard so far, as values. `end_ns` is the engine time at which the run ended."""
        # Emitters hand out read-only views of their details, which cannot cross to another process: copy them.
        events = tuple(replace(event, detail=dict(event.detail)) for event in self.events)
        return Recording(
            replication,
            self.epoch_ns,
            end_ns,
            tuple(self.requests),
            events,
            tuple(self.faults),
            books,
            dict(counters or {}),
            proxied=tuple(self.proxied),
        )
