"""The resolver inside an application: names -> addresses by real datagrams from its host.

Called by clients (`netsim.workload`), by the shell's `nslookup`, and by whatever else runs in a pod:

    resolver = Resolver(host, host.resolv_conf, style="glibc")
    resolver.lookup("my-nginx", done)        # done(result, now)

What is asked when is `resolver_lookup`'s business; here are sockets, ports, ids, time-outs and the application's own
cache. As in glibc each name of the search list gets a new socket and port per server, from which A and AAAA leave back
to back, and again when they are repeated: so a repetition meets the conntrack entry of the first attempt.
One timer serves all look-ups of a resolver: nearly all of them end long before their time-out.

Simplified: no nscd, no mDNS; /etc/hosts has localhost, the host's own name, `Host.etc_hosts` and whatever is given.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from netsim.cluster.dns.exchange import HostExchanger
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.engine import S
from netsim.fabric.host import Host
from netsim.kernel.errno import Errno
from netsim.kernel.udp import UdpSocket
from netsim.wire.addr import Address, ip
from netsim.wire.dns import DNS_PORT, Bounded
from netsim.wire.dns_codec import DnsCodec
from netsim.wire.packet import Flow
from netsim.workload.address_order import in_order
from netsim.workload.resolver_cache import cache_policy
from netsim.workload.resolver_exchange import Memory
from netsim.workload.resolver_lookup import FAMILIES, STYLES, Lookup, LookupResult
from netsim.workload.resolver_search import Settings, settings

Done = Callable[[LookupResult, int], None]

_MOST_CACHED: Final = 10_000
_LOOPBACKS: Final = {4: ip("127.0.0.1"), 16: ip("::1")}
_LENGTHS: Final = {"any": (4, 16), "ipv4": (4,), "ipv6": (16,)}
# Annotations of a pod: the manners of the applications in it.
RESOLVER: Final = "netsim/resolver"
DNS_CACHE: Final = "netsim/dns-cache"


class Resolver:
    """One process's resolver. Raises KeyError for an unknown style, ValueError for an unknown cache."""

    __slots__ = ("_active", "_cache", "_files", "_policy", "armed_ns", "codec", "conf", "deadline_ns",
                 "exchanger", "host", "memory", "owner", "rng", "style", "timers")  # fmt: skip

    def __init__(
        self,
        host: Host,
        conf: ResolvConf,
        style: str = "glibc",
        *,
        cache: str = "none",
        codec: DnsCodec | None = None,
        hosts: Mapping[str, tuple[Address, ...]] | None = None,
        owner: object = None,
    ) -> None:
        self.host = host
        self.conf: Settings = settings(conf)
        self.codec = codec or DnsCodec()
        self.owner = owner
        self.rng = host.engine.stream(f"resolver/{host.name}")
        self.restart()
        self.exchanger = HostExchanger(host, owner, self.rng)
        self.timers = host.engine.timers
        self.deadline_ns = 0
        self.armed_ns = 0
        self.style = STYLES[style]
        self._policy = cache_policy(cache)
        self._cache: Bounded[tuple[str, str], tuple[int, LookupResult]] = Bounded(_MOST_CACHED)
        self._files = {**_own_names(host), **(hosts or {})}
        self._active: dict[HostLookup, None] = {}

    @property
    def remembers(self) -> bool:
        """Whether the application has a cache."""
        return self._policy is not None

    def restart(self) -> None:
        """A new process: what glibc's res_state has learnt is forgotten (asking for A and AAAA in turn, say)."""
        self.memory = Memory(self.conf.single_request, self.conf.reopen, self.rng.getrandbits(16))

    def lookup(self, name: str, done: Done, family: str = "any") -> None:
        """Look a name up; `done(result, now)` is called once: at once for an address, a local or a remembered name,
        otherwise when the servers have answered or all time-outs are over. `family`: any, ipv4 or ipv6."""
        now = self.host.now
        known = self._known(name, family, now)
        if known is not None:
            done(known, now)
            return
        lookup = HostLookup(self, name, family, done)
        self._active[lookup] = None
        lookup.begin(now)

    def stop(self) -> None:
        """The process is gone: forget what is under way and call nobody."""
        for lookup in self._active:
            lookup.hang_up()
        self._active.clear()
        self.deadline_ns = 0
        self.exchanger.stopped = True

    def forget(self) -> None:
        """Empty the application's cache."""
        self._cache.clear()

    # -- what needs no question --------------------------------------------------------------------------------------

    def _known(self, name: str, family: str, now: int) -> LookupResult | None:
        cached = self._cache.get((name, family)) if self._policy else None
        if cached is not None and (cached[0] > now or cached[0] < 0):
            return cached[1]
        known = self._files.get(name) or self.host.etc_hosts.get(name)
        addresses = _literal(name) if known is None else _of_family(known, family)
        if addresses is None:
            return None
        return self.sorted(LookupResult(name, addresses, name))

    def sorted(self, result: LookupResult) -> LookupResult:
        """The result as the application gets it: with the addresses in the order in which it tries them."""
        addresses = result.addresses
        if self.style.order is None or all(len(address) == 4 for address in addresses):
            return result
        return replace(result, addresses=in_order(addresses, self.host.ns.source_for, self.style.order))

    def remember(self, result: LookupResult, family: str, now: int) -> None:
        """Put a result into the application's cache, if it has one."""
        if self._policy is None:
            return
        seconds = self._policy.negative if result.error else self._policy.positive
        if seconds is None:
            seconds = result.ttl
        if seconds:
            until = now + seconds * S if seconds > 0 else -1
            self._cache.remember((result.name, family), (until, replace(result, queries=0)))

    # -- time --------------------------------------------------------------------------------------------------------

    def wait(self, until_ns: int) -> None:
        """A look-up wants to be told when it is that late."""
        if not self.deadline_ns or until_ns < self.deadline_ns:
            self.timers.arm(self, until_ns)

    def expired(self, now: int) -> None:
        """Timer queue: some look-up's time may be up."""
        if not self.host.alive:
            self.stop()
            return
        for lookup in list(self._active):
            if lookup.until_ns <= now:
                lookup.silence(now)
        if self._active:
            self.timers.arm(self, min(lookup.until_ns for lookup in self._active))

    def ended(self, lookup: "HostLookup") -> None:
        """A look-up is over."""
        self._active.pop(lookup, None)


class HostLookup(Lookup):
    """A look-up under way."""

    __slots__ = ("_asked", "_done", "_family", "_resolver", "_sockets", "_unsent", "until_ns")

    def __init__(self, resolver: Resolver, name: str, family: str, done: Done) -> None:
        super().__init__(name, resolver.style, FAMILIES[family], resolver.conf, resolver.memory)
        self._resolver = resolver
        self._family = family
        self._done = done
        self._sockets: dict[int, UdpSocket] = {}  # by server; musl has one for all of them
        self._unsent: int | None = None
        # What was asked from the present ports, by id: slot, server, question.
        self._asked: dict[int, tuple[int, int, bytes]] = {}
        self.until_ns = 0

    def ask(self, slot: int, server: int, *, over_tcp: bool) -> None:
        """Send a question."""
        resolver = self._resolver
        edns_size = resolver.conf.edns_size
        tail = resolver.codec.query(self.current, self.types[slot], edns_size)
        address = resolver.conf.servers[server]
        self.queries += 1
        if over_tcp:
            self._ask_over_tcp(slot, server, address, tail)
            return
        key = server if resolver.style.socket_per_server else 0
        socket = self._sockets.get(key) or self._open(key)
        number = resolver.rng.getrandbits(16)
        self._asked[number] = (slot, server, tail[10:-11] if edns_size else tail[10:])
        errno = socket.send(number.to_bytes(2) + tail, address, DNS_PORT, self.now)
        if errno is not None and self._unsent is None:  # no route, for example
            self._unsent = server
            resolver.host.engine.call_later(0, self._could_not_send)

    def _open(self, key: int) -> UdpSocket:
        sockets = self._resolver.host.ns.sockets
        socket = self._sockets[key] = sockets.open_udp(self._received, owner=self._resolver.owner)
        socket.on_error = self._icmp_error
        return socket

    def _ask_over_tcp(self, slot: int, server: int, address: Address, tail: bytes) -> None:
        def done(reply: bytes | None, now: int) -> None:
            answer = self._resolver.codec.answer(reply) if reply else None
            if answer is None:
                self.unreachable(server, now)
            else:
                self.heard(slot, server, answer, now, over_tcp=True)

        timeout_ns = self._resolver.conf.timeout_ns
        self._resolver.exchanger.exchange(address, DNS_PORT, tail, timeout_ns, done, over_tcp=True)

    def _received(self, _socket: UdpSocket, payload: bytes, src: Address, _sport: int, now: int) -> None:
        asked = self._asked.get(int.from_bytes(payload[:2]))
        if asked is None:
            return
        slot, server, question = asked
        answer = self._resolver.codec.answer(payload)
        # The socket is connected (glibc) or the source is checked (musl): a reply from elsewhere does not count.
        if answer is not None and answer.question == question and src == self._resolver.conf.servers[server]:
            self.heard(slot, server, answer, now)

    def _icmp_error(self, _socket: UdpSocket, _errno: Errno, flow: Flow, now: int) -> None:
        if flow.dst in self._resolver.conf.servers:
            self.unreachable(self._resolver.conf.servers.index(flow.dst), now)

    def _could_not_send(self) -> None:
        server, self._unsent = self._unsent, None
        if server is not None:
            self.unreachable(server, self._resolver.host.now)

    def reopen(self) -> None:
        """Ask from a new port: replies to the old one are lost."""
        self.hang_up()
        self._asked.clear()

    def hang_up(self) -> None:
        """Close the sockets."""
        for socket in self._sockets.values():
            socket.close()
        self._sockets.clear()
        self._unsent = None

    def wait(self, until_ns: int) -> None:
        """Have `silence` called then."""
        self.until_ns = until_ns
        self._resolver.wait(until_ns)

    def finished(self, result: LookupResult) -> None:
        """Tell the application."""
        now = self.now
        self.hang_up()
        self._resolver.ended(self)
        result = self._resolver.sorted(result)
        self._resolver.remember(result, self._family, now)
        self._done(result, now)


def _own_names(host: Host) -> dict[str, tuple[Address, ...]]:
    """/etc/hosts as the kubelet writes it: localhost and the host's own name, in the families that it has."""
    families = {len(address) for address in host.addresses}
    loopbacks = tuple(_LOOPBACKS[family] for family in (4, 16) if family in families)
    return {"localhost": loopbacks, host.hostname: host.addresses}


def _of_family(addresses: tuple[Address, ...], family: str) -> tuple[Address, ...]:
    lengths = _LENGTHS[family]
    return tuple(address for address in addresses if len(address) in lengths)


def _literal(name: str) -> tuple[Address, ...] | None:
    """The address that a name is, if it is one."""
    if not name[-1:].isdigit() and ":" not in name:
        return None
    try:
        return (ip(name),)
    except ValueError:
        return None
