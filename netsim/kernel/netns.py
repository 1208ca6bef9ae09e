"""A network namespace and its devices: the state that the functions of `path.py` work on.

Made by `fabric` for nodes, pods and outside hosts. A namespace without netfilter rules (a pod) has no conntrack and no
hook functions, as in Linux, where conntrack registers in a namespace only when a rule there asks for it.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Protocol

from netsim.kernel import icmp, path
from netsim.kernel.conntrack import Conntrack, Path
from netsim.kernel.errno import Errno
from netsim.kernel.firstpath import First
from netsim.kernel.hooks import DropReason, Hook, HookFunction
from netsim.kernel.journey import Dropped, Rewritten, RuleHit, Step
from netsim.kernel.neighbour import Neighbours, NextHop
from netsim.kernel.routing import Route, Routes
from netsim.kernel.sysctl import Sysctl
from netsim.wire import ndp
from netsim.wire.addr import Address, Prefix, ip
from netsim.wire.packet import Packet

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.ipvs import Ipvs
    from netsim.kernel.nft import Nftables
    from netsim.kernel.rule_engine import RuleEngine
    from netsim.kernel.sockets import Sockets
    from netsim.kernel.targets import Target
    from netsim.kernel.xtables import Xtables

_LOOPBACK_FIRST_BYTE = 127  # 127.0.0.0/8
LOOPBACK_V6 = ip("::1")
LINK_LOCAL_NET = Prefix(ip("fe80::"), 64)

Transmit = Callable[[Packet, int], None]


class Timers(Protocol):
    """What the kernel needs of the engine's timer queue."""

    def arm(self, timed: "TimedObject", at_ns: int) -> None:
        """Call `timed.expired(now)` at `at_ns`."""


class TimedObject(Protocol):
    """See `netsim.engine.Timed`."""

    deadline_ns: int
    armed_ns: int

    def expired(self, now: int) -> None:
        """The time has come."""


class Device:
    """A network device. `transmit(packet, at_ns)` is given by whatever it is plugged into."""

    __slots__ = ("mac", "mtu", "name", "ns", "transmit", "up")

    def __init__(self, ns: "Namespace", name: str, mac: bytes, mtu: int = 1500) -> None:
        self.ns = ns
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.up = True
        self.transmit: Transmit = self._unplugged

    def _unplugged(self, packet: Packet, now: int) -> None:
        self.ns.drop(packet, Hook.POSTROUTING, DropReason.DEVICE_DOWN, now, self)

    def __repr__(self) -> str:
        return f"<Device {self.ns.name}:{self.name}>"


class Namespace:
    """One network namespace.

    `generation` grows with every change of rules, routes, neighbours or devices: whatever was remembered under another
    generation is stale. `sent`, `copied`, `delivered` and `drops` are the packet books.
    """

    __slots__ = (
        "_own",
        "addresses",
        "conntrack",
        "copied",
        "cost",
        "delivered",
        "devices",
        "drop_subscribers",
        "drops",
        "engines",
        "firsts",
        "generation",
        "hooks",
        "ip6tables",
        "ipvs",
        "journeys",
        "name",
        "nat_rules",
        "neighbours",
        "next_hops",
        "nft",
        "output",
        "paths",
        "random",
        "rewrite_subscribers",
        "routes",
        "sent",
        "sockets",
        "sysctl",
        "timers",
        "uids",
        "unforeseen",
        "xtables",
    )

    def __init__(
        self,
        name: str,
        timers: Timers,
        rng: random.Random,
        sysctl: Sysctl | None = None,
        uids: Iterator[int] | None = None,
    ) -> None:
        self.name = name
        self.timers = timers
        self.random = rng
        self.sysctl = sysctl or Sysctl()
        self.uids = uids if uids is not None else count(1)
        self.devices: dict[str, Device] = {}
        self.addresses: dict[Address, Device | None] = {}
        self.routes = Routes()
        self.neighbours = Neighbours(self)
        self.next_hops: dict[Address, NextHop] = {}
        self.paths: dict[tuple[Address, Address, Address, Device, Device], Path] = {}
        self.unforeseen: set[tuple[Address, Address, Address, Device, Device]] = set()  # no path is known yet
        self.firsts: dict[tuple[Address, Address, int, int, Device], First] = {}
        # A locally made packet starts its way; an error known at once is returned (`path.output`).
        self._own: dict[tuple[Device, int], Address | None] = {}  # answers of `address_of`
        self.output: Callable[[Packet, int], Errno | None] = partial(path.output, self)
        self.hooks: list[tuple[HookFunction, ...]] = [()] * 5
        self.conntrack: Conntrack | None = None
        self.xtables: Xtables | None = None  # iptables; those of IPv6 are a set of their own
        self.ip6tables: Xtables | None = None
        self.nft: Nftables | None = None
        # The engines whose rules packets may meet, and what answers for nat at each hook, in the order of asking.
        self.engines: tuple[RuleEngine, ...] = ()
        self.nat_rules: list[tuple[Callable[[Traversal], Target | None], ...]] = [()] * 5
        self.ipvs: Ipvs | None = None
        self.cost = NO_COST
        self.sockets: Sockets = _sockets(self)
        self.generation = 1
        self.sent = 0
        self.delivered = 0
        self.copied = 0  # by floods of a bridge: packets that nobody sent
        self.drops: Counter[tuple[str, DropReason]] = Counter()
        self.drop_subscribers: list[Callable[[Dropped], None]] = []
        self.rewrite_subscribers: list[Callable[[Rewritten], None]] = []
        self.journeys: list[Callable[[Step], None]] = []

    # ------------------------------------------------------------------ configuration (ip link, ip addr, ip route)
    def add_device(self, device: Device) -> None:
        """Plug a device in."""
        self.devices[device.name] = device
        self.changed()

    def remove_device(self, name: str, now: int) -> None:
        """Take a device away with its addresses, routes and neighbours."""
        device = self.devices.pop(name)
        device.up = False
        for address in [address for address, owner in self.addresses.items() if owner is device]:
            del self.addresses[address]
        self.routes.forget(device)
        self.neighbours.forget(device, now)
        self.changed()

    def add_address(self, address: Address, device: Device | None) -> None:
        """Make an address local."""
        self.addresses[address] = device
        self.changed()

    def remove_address(self, address: Address) -> None:
        """An address is not local any more."""
        del self.addresses[address]
        self.changed()

    def add_route(self, route: Route) -> None:
        """Insert or replace a route."""
        self.routes.add(route)
        self.changed()

    def remove_route(self, prefix: Prefix) -> None:
        """Delete a route."""
        self.routes.remove(prefix)
        self.changed()

    def changed(self) -> None:
        """Rules, routes, neighbours or devices are not what they were."""
        self.generation += 1
        self.next_hops.clear()
        self.paths.clear()
        self.unforeseen.clear()
        self.firsts.clear()
        self._own.clear()

    def start_ipv6(self, device: Device) -> None:
        """IPv6 begins on a device: ::1 on the loopback device, a link-local address and its network on any other."""
        if LOOPBACK_V6 not in self.addresses:
            self.add_address(LOOPBACK_V6, self.devices.get("lo"))
        self.add_address(ndp.link_local(device.mac), device)
        self.add_route(Route(LINK_LOCAL_NET, device, protocol="kernel"))

    # ------------------------------------------------------------------ questions
    def iptables_for(self, address: Address) -> "Xtables | None":
        """The rules of an address's family: those of iptables or of ip6tables."""
        return self.xtables if len(address) == 4 else self.ip6tables

    def is_local(self, address: Address) -> bool:
        """Whether an address is this namespace's own."""
        return address in self.addresses or (address[0] == _LOOPBACK_FIRST_BYTE and len(address) == 4)

    def source_for(self, destination: Address) -> Address | None:
        """The source address that routing chooses for a destination; None without a route."""
        if self.is_local(destination):
            return destination
        route = self.routes.lookup(destination)
        if route is None or route.device is None:
            return None
        return route.source if route.source is not None else self.address_of(route.device, len(destination))

    def mtu_for(self, destination: Address) -> int:
        """The MTU towards a destination, bytes."""
        route = self.routes.lookup(destination)
        if self.is_local(destination) or route is None or route.device is None:
            return 65536
        return route.device.mtu

    def address_of(self, device: Device, family: int) -> Address | None:
        """A device's own address, or else the namespace's first one, of 4 or 16 bytes (inet_select_addr); of global
        scope, since those of a link mean nothing elsewhere."""
        key = device, family
        if key not in self._own:
            same = [
                (address, owner)
                for address, owner in self.addresses.items()
                if len(address) == family and not (family == 16 and is_scoped(address))
            ]
            first = same[0][0] if same else None
            self._own[key] = next((address for address, owner in same if owner is device), first)
        return self._own[key]

    # ------------------------------------------------------------------ what sockets call
    def icmp_error(self, packet: Packet, type: int, code: int, now: int) -> None:
        """Tell the sender of a packet what went wrong with it."""
        icmp.send_error(self, packet, type, code, now)

    # ------------------------------------------------------------------ books and observers
    def drop(
        self,
        packet: Packet,
        hook: Hook | str,
        reason: DropReason,
        now: int,
        device: Device | None = None,
        rule: str = "",
    ) -> None:
        """End a packet here: counted by hook and reason, and told to whoever listens. `rule`: what dropped it."""
        where = hook if isinstance(hook, str) else hook.name
        self.drops[where, reason] += 1
        packet.ct = None
        for subscriber in self.drop_subscribers:
            name = device.name if device else ""
            last = packet.copy(packet.uid)
            subscriber(Dropped(now, self.name, where, reason, packet.flow, packet.uid, name, last, rule))
        if self.journeys:
            self.tell(packet, now, "drop", f"{reason.name}: {reason.value}", where)

    def tell(
        self,
        packet: Packet,
        now: int,
        kind: str,
        detail: str,
        where: str = "",
        rule: RuleHit | None = None,
        entry: str = "",
    ) -> None:
        """Add a step to the journeys being followed; `entry` is the packet's conntrack entry as text."""
        flow, ttl, uid = packet.flow, packet.ttl, packet.uid
        step = Step(
            now, self.name, where, kind, detail, flow, ttl, uid, packet.body, packet.macs, rule, entry
        )
        for subscriber in self.journeys:
            subscriber(step)

    def listen(
        self, rewritten: Callable[[Rewritten], None], dropped: Callable[[Dropped], None]
    ) -> Callable[[], None]:
        """Tell what NAT decides and what is dropped, until what this returns is called. First packets of flows take
        the full way meanwhile, the others need not."""
        self.rewrite_subscribers.append(rewritten)
        self.drop_subscribers.append(dropped)
        self.changed()

        def stop() -> None:
            self.rewrite_subscribers.remove(rewritten)
            self.drop_subscribers.remove(dropped)
            self.changed()

        return stop

    def follow(self, subscriber: Callable[[Step], None]) -> Callable[[], None]:
        """Report every step of every packet, until what this returns is called; remembered paths are not used
        meanwhile, so that nothing is skipped."""
        self.journeys.append(subscriber)
        self.changed()

        def stop() -> None:
            self.journeys.remove(subscriber)
            self.changed()

        return stop

    def __repr__(self) -> str:
        return f"<Namespace {self.name}>"


def is_scoped(address: Address) -> bool:
    """Whether an IPv6 address counts on its host or link only: ::1 and fe80::/10 (RFC 4291, 2.4)."""
    return address == LOOPBACK_V6 or (address[0] == 0xFE and address[1] & 0xC0 == 0x80)


class Cost:
    """Simulated time that a crossing takes; see `netsim.kernel.cost` for Linux's figures."""

    __slots__ = ()

    def forward_ns(self, new: bool, visited: int) -> int:
        """Nanoseconds for a forwarded or locally handled packet."""
        return 0


NO_COST = Cost()


def _sockets(ns: Namespace) -> "Sockets":
    from netsim.kernel.sockets import Sockets

    return Sockets(ns)
