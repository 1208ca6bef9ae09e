"""Ephemeral ports: which local port a connection or a datagram socket gets when the application does not care.

Called by `sockets.py`. Source: net/ipv4/inet_hashtables.c __inet_hash_connect (RFC 6056, algorithm 4): the search
begins at an offset that depends on both addresses and the destination port, tries every second port (even ones, so
that the others stay free for bind), then the rest; the next search for the same destination begins behind the port
found, plus a little noise. There the first offset is a keyed hash, here it is drawn from the namespace's random
stream. A port is free if no connection to this destination uses it, TIME_WAIT included (net.ipv4.tcp_tw_reuse
needs timestamps), and nobody listens on it.
"""

import random
from collections import deque
from collections.abc import Callable, Container
from typing import Any, Final

from netsim.wire.addr import Address
from netsim.wire.packet import TCP

_CROWDED: Final = 0.75
_NOISE_BITS: Final = 3  # get_random_u32_below(8) * 2, since Linux 5.18


class EphemeralPorts:
    """net.ipv4.ip_local_port_range of one namespace, and how far the search has come for each destination."""

    __slots__ = ("_towards", "low", "random", "size")

    def __init__(self, port_range: tuple[int, int], rng: random.Random) -> None:
        self.low = port_range[0]
        self.size = (port_range[1] - port_range[0] + 1) & ~1  # __inet_hash_connect wants an even range
        self.random = rng
        self._towards: dict[tuple[Address, Address, int], PortUse] = {}

    def towards(self, src: Address, dst: Address, dport: int) -> "PortUse":
        """The ports used towards a destination."""
        use = self._towards.get((src, dst, dport))
        if use is None:
            use = self._towards[src, dst, dport] = PortUse(self, src, dst, dport)
        return use

    def unbound(self, is_free: Callable[[int], bool]) -> int:
        """A free port for a socket without destination (udp_lib_get_port): a random start, then upwards; 0 if none."""
        start = int(self.random.random() * self.size)
        for step in range(self.size):
            port = self.low + (start + step) % self.size
            if is_free(port):
                return port
        return 0


class PortUse:
    """One source, one destination: `used` counts the connections that have a port from here, TIME_WAIT included, by the
    port's parity. Each parity has its own place to search on from. When most of a half is in use, ports come back in
    the order in which they were released; Linux goes on searching then, which ends at some free port too, after a long
    way."""

    __slots__ = ("_destination", "_next", "_ports", "_released", "used")

    def __init__(self, ports: EphemeralPorts, src: Address, dst: Address, dport: int) -> None:
        self._ports = ports
        self._destination = (dst, src, dport)
        start = int(ports.random.random() * ports.size) & ~1
        self._next = [start, start | 1]
        self.used = [0, 0]
        self._released: tuple[deque[int], deque[int]] = (
            deque(maxlen=ports.size // 2),
            deque(maxlen=ports.size // 2),
        )

    def free_port(self, connections: Container[Any], listeners: Container[Any]) -> int:
        """A port that is free now; 0 if there is none (EADDRNOTAVAIL). The caller counts it in `used`."""
        half = self._ports.size // 2
        for parity in (0, 1):
            if self.used[parity] < half:
                port = self._search(parity, half, connections, listeners)
                if port:
                    return port
        return 0

    def _search(self, parity: int, half: int, connections: Container[Any], listeners: Container[Any]) -> int:
        dst, src, dport = self._destination
        size, low, start = self._ports.size, self._ports.low, self._next[parity]
        released = self._released[parity]
        while released and self.used[parity] > half * _CROWDED:
            port = released.popleft()
            if (dst, src, dport, port, TCP) not in connections and (None, port) not in listeners:
                return port
        for step in range(half):
            offset = (start + 2 * step) % size
            port = low + offset
            if (dst, src, dport, port, TCP) not in connections and (None, port) not in listeners:
                noise = self._ports.random.getrandbits(_NOISE_BITS) << 1
                self._next[parity] = (offset + 2 + noise) % size
                return port
        return 0

    def count(self, port: int, change: int) -> None:
        """A connection took (1) or gave back (-1) a port."""
        parity = (port - self._ports.low) & 1
        self.used[parity] += change
        if change < 0:
            self._released[parity].append(port)
