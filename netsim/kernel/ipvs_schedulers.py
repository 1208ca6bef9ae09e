"""The schedulers of IPVS: which real server a new connection gets.

Called by `ipvs.py`. One object per service holds the scheduler's memory; it is told of every change of the list of real
servers. A weight of 0 means: no new connections. State is per namespace, so every node turns its own wheel.

Sources: net/netfilter/ipvs/ip_vs_{rr,wrr,lc,wlc,sed,nq,lblc,lblcr}.c of Linux 6.8; the hashing ones are in
`ipvs_hashing.py`. kube-proxy accepts every name here (KubeProxyConfiguration `ipvs.scheduler`, virtual-ips.md); as it
gives weight 1 to all, wrr is rr and wlc is lc. Simplified: lblc and lblcr do not forget old addresses, lblcr does not
shrink its sets.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from math import gcd
from typing import Final

from netsim.kernel.ipvs_hashing import DestinationHashing, Maglev, SourceHashing
from netsim.kernel.ipvs_service import Dest, Service
from netsim.wire.addr import Address
from netsim.wire.packet import Flow


class Unmoved:
    """Those that keep no memory of the list: its changes are nothing to them."""

    __slots__ = ()

    def added(self, service: Service) -> None:
        """A real server has been put in front of the list."""

    def removed(self, service: Service, index: int) -> None:
        """The real server that stood at `index` is gone."""

    def updated(self, service: Service) -> None:
        """A weight has changed."""


class Scheduler(Unmoved, ABC):
    """Base of all; the hooks of struct ip_vs_scheduler."""

    __slots__ = ()

    @abstractmethod
    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        """The real server for the first packet of a connection; None when there is none."""


class RoundRobin(Scheduler):
    """rr: the next one that has a weight. `at` is the place of the last choice, -1 before the list."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = -1

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        dests = service.dests
        count = len(dests)
        for step in range(1, count + 1):
            at = (self.at + step) % count
            if dests[at].weight > 0:
                self.at = at
                return dests[at]
        return None

    def added(self, service: Service) -> None:
        if self.at >= 0:
            self.at += 1

    def removed(self, service: Service, index: int) -> None:
        if index <= self.at:
            self.at -= 1


class WeightedRoundRobin(Scheduler):
    """wrr: each as often as its weight, interleaved; starts anew when the list changes."""

    __slots__ = ("at", "current", "maximum", "step")

    def __init__(self) -> None:
        self.at = -1
        self.current = self.maximum = self.step = 0

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        dests = service.dests
        if self.maximum <= 0:
            return None
        while True:
            self.at += 1
            if self.at >= len(dests):
                self.at = 0
                self.current -= self.step
                if self.current <= 0:
                    self.current = self.maximum
            if dests[self.at].weight >= self.current:
                return dests[self.at]

    def _changed(self, service: Service) -> None:
        weights = [dest.weight for dest in service.dests if dest.weight > 0]
        self.at = -1
        self.step = gcd(*weights) if weights else 1
        self.maximum = max(weights, default=0) - (self.step - 1) if weights else 0
        if self.current > self.maximum or not self.current:
            self.current = self.maximum
        elif self.step > 1:
            self.current = self.current // self.step * self.step + 1

    def added(self, service: Service) -> None:
        self._changed(service)

    def removed(self, service: Service, index: int) -> None:
        self._changed(service)

    def updated(self, service: Service) -> None:
        self._changed(service)


def _least(dests: Iterable[Dest], load: Callable[[Dest], int]) -> Dest | None:
    """The first of those with the least load per weight."""
    best: Dest | None = None
    best_load = 0
    for dest in dests:
        if dest.weight <= 0:
            continue
        own = load(dest)
        if best is None or own * best.weight < best_load * dest.weight:
            best, best_load = dest, own
    return best


def _overhead(dest: Dest) -> int:
    return dest.overhead


def _expected_delay(dest: Dest) -> int:
    return dest.active + 1


class LeastConnection(Scheduler):
    """lc: the fewest connections, an active one counting as 256 inactive ones; weights do not count."""

    __slots__ = ()

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        usable = (dest for dest in service.dests if dest.weight > 0)
        return min(usable, key=_overhead, default=None)


class WeightedLeastConnection(Scheduler):
    """wlc: the fewest connections per weight."""

    __slots__ = ()

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        return _least(service.dests, _overhead)


class ShortestExpectedDelay(Scheduler):
    """sed: the least of (active connections + 1) per weight."""

    __slots__ = ()

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        return _least(service.dests, _expected_delay)


class NeverQueue(Scheduler):
    """nq: an idle one, whatever its weight; else as sed."""

    __slots__ = ()

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        for dest in service.dests:
            if dest.weight > 0 and not dest.active:
                return dest
        return _least(service.dests, _expected_delay)


def _overloaded(dest: Dest, service: Service) -> bool:
    """More connections than weight while another one is less than half full (is_overloaded)."""
    return dest.active > dest.weight and any(d.active * 2 < d.weight for d in service.dests)


class LocalityBased(Scheduler):
    """lblc: one real server per destination address (so one per virtual address), until it is full."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[Address, Dest] = {}

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        dest = self.known.get(flow.dst)
        if dest is not None and dest.available and dest.weight > 0 and not _overloaded(dest, service):
            return dest
        dest = _least(service.dests, _overhead)
        if dest is not None:
            self.known[flow.dst] = dest
        return dest


class LocalityBasedReplicated(Scheduler):
    """lblcr: a set of real servers per destination address, which grows when its best one is full."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[Address, list[Dest]] = {}

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        known = [d for d in self.known.get(flow.dst, ()) if d.available]
        dest = _least(known, _overhead)
        if dest is None or _overloaded(dest, service):
            dest = _least(service.dests, _overhead)
            if dest is not None and dest not in known:
                known.append(dest)
        self.known[flow.dst] = known
        return dest


class _Hashed(Scheduler):
    """Those that look a table up; the table follows the list, and is made when it is asked."""

    __slots__ = ("stale", "table")

    def __init__(self, table: SourceHashing | DestinationHashing | Maglev) -> None:
        self.table = table
        self.stale = True

    def schedule(self, service: Service, flow: Flow) -> Dest | None:
        if self.stale:
            self.table.assign(service.dests)
            self.stale = False
        dest = self.table.look_up(flow)
        return dest if dest is not None and dest.weight > 0 else None

    def added(self, service: Service) -> None:
        self.stale = True

    def removed(self, service: Service, index: int) -> None:
        self.stale = True

    def updated(self, service: Service) -> None:
        self.stale = True


# By the name after `ipvsadm -s`; the argument is whether the source port takes part in a hash.
SCHEDULERS: Final[Mapping[str, Callable[[bool], Scheduler]]] = {
    "rr": lambda _: RoundRobin(),
    "wrr": lambda _: WeightedRoundRobin(),
    "lc": lambda _: LeastConnection(),
    "wlc": lambda _: WeightedLeastConnection(),
    "lblc": lambda _: LocalityBased(),
    "lblcr": lambda _: LocalityBasedReplicated(),
    "sh": lambda port: _Hashed(SourceHashing(port)),
    "dh": lambda _: _Hashed(DestinationHashing()),
    "sed": lambda _: ShortestExpectedDelay(),
    "nq": lambda _: NeverQueue(),
    "mh": lambda port: _Hashed(Maglev(port)),
}
