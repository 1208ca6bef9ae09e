"""The routing table: longest prefix wins (net/ipv4/fib_trie.c), with a cache by destination.

The local table (addresses of the namespace itself) is asked first, by the caller, as Linux's rule 0 does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from netsim.wire.addr import Address, Prefix, ip_text

if TYPE_CHECKING:
    from netsim.kernel.netns import Device


# IP6_RT_PRIO_ADDRCONF and IP6_RT_PRIO_USER (include/uapi/linux/ipv6_route.h).
_METRIC_KERNEL: Final = 256
_METRIC_USER: Final = 1024


class RouteKind(Enum):
    """ip-route(8) types: what becomes of a packet that matches."""

    UNICAST = "unicast"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One route; `gateway` None means the destination is on the link, `source` is the preferred source address."""

    prefix: Prefix
    device: "Device | None" = None
    gateway: Address | None = None
    source: Address | None = None
    kind: RouteKind = RouteKind.UNICAST
    protocol: str = "boot"  # what `ip route add` gives, and `ip route` does not show
    onlink: bool = False  # the gateway is on the link, whatever the routes say

    @property
    def is_ipv6(self) -> bool:
        """Whether it is listed by `ip -6 route`."""
        return len(self.prefix.address) == 16

    def __str__(self) -> str:
        return self._text_v6() if self.is_ipv6 else self._text()

    def _text(self) -> str:
        words = [] if self.kind is RouteKind.UNICAST else [self.kind.value]
        words.append(_destination_text(self.prefix))
        if self.gateway is not None:
            words += ["via", ip_text(self.gateway)]
        if self.device is not None:
            words += ["dev", self.device.name]
        if self.protocol != "boot":
            words += ["proto", self.protocol]
        if self.gateway is None and self.device is not None:
            words += ["scope", "link"]
        if self.source is not None:
            words += ["src", ip_text(self.source)]
        if self.onlink:
            words.append("onlink")
        return " ".join(words)

    def _text_v6(self) -> str:
        """As print_route in iproute2 does: no scope, but a metric and a router preference."""
        words = [] if self.kind is RouteKind.UNICAST else [self.kind.value]
        words.append(_destination_text(self.prefix))
        if self.gateway is not None:
            words += ["via", ip_text(self.gateway)]
        words += ["dev", self.device.name if self.device is not None else "lo"]
        if self.protocol != "boot":
            words += ["proto", self.protocol]
        if self.source is not None:
            words += ["src", ip_text(self.source)]
        metric = _METRIC_KERNEL if self.protocol == "kernel" else _METRIC_USER
        return " ".join([*words, "metric", str(metric), "pref", "medium"])


def _destination_text(prefix: Prefix) -> str:
    if prefix.length == 0:
        return "default"
    host = prefix.length == len(prefix.address) * 8
    return ip_text(prefix.address) if host else str(prefix)


class Routes:
    """The main table of one namespace.

    `shared` is a table that many namespaces have in common (a pod network's routes to every node): asked as well, and
    its routes name no device, because that is found by routing to their gateway (recursive next hop).
    """

    __slots__ = ("_by_length", "_cache", "shared")

    def __init__(self, shared: "Routes | None" = None) -> None:
        self._by_length: dict[tuple[int, int], dict[int, Route]] = {}
        self._cache: dict[Address, Route | None] = {}
        self.shared = shared

    def add(self, route: Route) -> None:
        """Insert or replace the route of a prefix."""
        family, length = len(route.prefix.address), route.prefix.length
        table = self._by_length.setdefault((family, length), {})
        table[_network(route.prefix.address, length)] = route
        self._by_length = dict(sorted(self._by_length.items(), reverse=True))
        self._cache.clear()

    def remove(self, prefix: Prefix) -> None:
        """Delete the route of a prefix; harmless when there is none."""
        table = self._by_length.get((len(prefix.address), prefix.length), {})
        table.pop(_network(prefix.address, prefix.length), None)
        self._cache.clear()

    def forget(self, device: "Device") -> None:
        """A device is gone, and its routes with it."""
        for table in self._by_length.values():
            for network in [network for network, route in table.items() if route.device is device]:
                del table[network]
        self._cache.clear()

    def lookup(self, destination: Address) -> Route | None:
        """The route of the longest matching prefix."""
        try:
            return self._cache[destination]
        except KeyError:
            found = self._cache[destination] = self._best(destination)
            return found

    def _best(self, destination: Address) -> Route | None:
        own = self._search(destination)
        other = self.shared._search(destination) if self.shared is not None else None
        if other is None or (own is not None and own.prefix.length >= other.prefix.length):
            return own
        return self._with_device(other)

    def _with_device(self, route: Route) -> Route | None:
        if route.device is not None or route.gateway is None:
            return route
        via = self.lookup(route.gateway)
        if via is None or via.device is None:
            return None
        return replace(route, device=via.device, source=route.source or via.source)

    def forget_cached(self) -> None:
        """The shared table has changed."""
        self._cache.clear()

    def _search(self, destination: Address) -> Route | None:
        for (family, length), table in self._by_length.items():
            if family == len(destination):
                route = table.get(_network(destination, length))
                if route is not None:
                    return route
        return None

    def __iter__(self) -> Iterator[Route]:
        """Routes as `ip route` lists them: shortest prefix first, then by address."""
        found = {route.prefix: route for route in self.shared._own()} if self.shared is not None else {}
        found |= {route.prefix: route for route in self._own()}
        routes = [full for route in found.values() if (full := self._with_device(route)) is not None]
        return iter(sorted(routes, key=lambda r: (r.prefix.length != 0, r.prefix.address, r.prefix.length)))

    def _own(self) -> Iterator[Route]:
        return (route for by_network in self._by_length.values() for route in by_network.values())

    def render(self, family: int = 4) -> str:
        """The text of `ip route`, or of `ip -6 route` for a `family` of 16, which has the default route last."""
        found = [route for route in self if len(route.prefix.address) == family]
        if family == 16:
            found.sort(key=lambda route: route.prefix.length == 0)
        return "".join(f"{route}\n" for route in found)


def _network(address: Address, length: int) -> int:
    return int.from_bytes(address) >> (len(address) * 8 - length)
