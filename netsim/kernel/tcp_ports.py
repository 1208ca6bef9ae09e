"""Ephemeral ports: which local port a connection or a datagram socket gets when the application does not care.

Called by `sockets.py`. Source: net/ipv4/inet_hashtables.c __inet_hash_connect (RFC 6056, algorithm 4): the search
begins at an offset that depends on both addresses and the destination port, tries every second port (even ones, so
that the others stay free for bind), then the rest; the next search for the same destination begins behind the port
found, plus a little noise. There the first offset is a keyed hash, here it is drawn from the namespace's random
stream. A port is free if no connection to this destination uses it, TIME_WAIT included (net.ipv4.tcp_tw_reuse
needs timestamps).
"""

import random
from collections.abc import Callable
from typing import Final

from netsim.wire.addr import Address

# get_random_u32_below(8) * 2, since Linux 5.18.
_NOISE: Final = 8

Destination = tuple[Address, Address, int]


class EphemeralPorts:
    """The ports of one namespace's active opens, by (source address, destination address, destination port)."""

    __slots__ = ("_low", "_random", "_size", "_start", "_used")

    def __init__(self, port_range: tuple[int, int], rng: random.Random) -> None:
        self._low = port_range[0]
        self._size = (port_range[1] - port_range[0] + 1) & ~1  # __inet_hash_connect wants an even range
        self._random = rng
        self._start: dict[Destination, int] = {}
        self._used: dict[Destination, int] = {}

    def take(self, destination: Destination, is_free: Callable[[int], bool]) -> int:
        """A free port, counted as used; 0 if there is none (EADDRNOTAVAIL)."""
        used = self._used.get(destination, 0)
        if used >= self._size:
            return 0
        start = self._start.get(destination)
        if start is None:
            start = int(self._random.random() * self._size) & ~1
        for step in range(self._size):
            offset = (start + 2 * step + (2 * step >= self._size)) % self._size
            if is_free(self._low + offset):
                noise = 2 * int(self._random.random() * _NOISE)
                self._start[destination] = (offset + 2 + noise) % self._size & ~1
                self._used[destination] = used + 1
                return self._low + offset
        return 0

    def give_back(self, destination: Destination) -> None:
        """A connection with a port from here is gone."""
        self._used[destination] -= 1

    def unbound(self, is_free: Callable[[int], bool]) -> int:
        """A free port for a socket without destination (udp_lib_get_port): a random start, then upwards; 0 if none."""
        start = int(self._random.random() * self._size)
        for step in range(self._size):
            port = self._low + (start + step) % self._size
            if is_free(port):
                return port
        return 0
