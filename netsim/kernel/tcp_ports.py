"""Ephemeral ports: which local port a connection or a datagram socket gets when the application does not care.

Called by `sockets.py`. Source: net/ipv4/inet_hashtables.c __inet_hash_connect (RFC 6056, algorithm 4): the search
begins at an offset that depends on both addresses and the destination port, tries every second port (even ones, so
that the others stay free for bind), then the rest; the next search for the same destination begins behind the port
found, plus a little noise. There the first offset is a keyed hash, here it is drawn from the namespace's random
stream. A port is free if no connection to this destination uses it, TIME_WAIT included (net.ipv4.tcp_tw_reuse
needs timestamps), and nobody listens on it.
"""

import random
from collections.abc import Callable, Container
from typing import Any, Final

from netsim.wire.addr import Address
from netsim.wire.packet import TCP

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
    """One source, one destination: `used` counts the connections that have a port from here, TIME_WAIT included."""

    __slots__ = ("_destination", "_ports", "_start", "used")

    def __init__(self, ports: EphemeralPorts, src: Address, dst: Address, dport: int) -> None:
        self._ports = ports
        self._destination = (dst, src, dport)
        self._start = int(ports.random.random() * ports.size) & ~1
        self.used = 0

    def free_port(self, connections: Container[Any], listeners: Container[Any]) -> int:
        """A port that is free now; 0 if there is none (EADDRNOTAVAIL)."""
        dst, src, dport = self._destination
        size, low = self._ports.size, self._ports.low
        steps = size if self.used < size else 0
        for step in range(steps):
            offset = (self._start + 2 * step + (2 * step >= size)) % size
            port = low + offset
            if (dst, src, dport, port, TCP) not in connections and (None, port) not in listeners:
                noise = self._ports.random.getrandbits(_NOISE_BITS) << 1
                self._start = (offset + 2 + noise) % size & ~1
                return port
        return 0
