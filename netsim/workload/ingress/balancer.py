"""Whose turn it is: round robin over an upstream's endpoints, one pointer per worker and upstream.

Called by `proxy.py`. Source: ingress-nginx rootfs/etc/nginx/lua/balancer/round_robin.lua and lua-resty-balancer's
roundrobin.lua: all weights are equal, and whenever the endpoints change the pointer starts anywhere. A retry takes the
next endpoint, which can be the same one if there is only one. Simplified: no ewma, no hash, no session cookie.
"""

from collections.abc import Mapping
from random import Random

from netsim.cluster.ingress.configuration import Peer


class RoundRobin:
    """The endpoints of one upstream, as one worker knows them."""

    __slots__ = ("_next", "peers")

    def __init__(self, peers: tuple[Peer, ...], random: Random) -> None:
        self.peers = peers
        self._next = random.randrange(len(peers)) if peers else 0

    def pick(self) -> Peer | None:
        """The next endpoint; None without endpoints."""
        if not self.peers:
            return None
        peer = self.peers[self._next]
        self._next = (self._next + 1) % len(self.peers)
        return peer


class Balancers:
    """All upstreams of one worker."""

    __slots__ = ("_by_name", "_random")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._by_name: dict[str, RoundRobin] = {}

    def sync(self, upstreams: Mapping[str, tuple[Peer, ...]]) -> None:
        """Take over new endpoints; upstreams that have not changed go on where they are."""
        kept = self._by_name
        self._by_name = {
            name: kept[name]
            if name in kept and kept[name].peers == peers
            else RoundRobin(peers, self._random)
            for name, peers in upstreams.items()
        }

    def peers(self, upstream: str) -> tuple[Peer, ...]:
        """The endpoints of an upstream, as this worker knows them."""
        found = self._by_name.get(upstream)
        return found.peers if found is not None else ()

    def pick(self, upstream: str) -> Peer | None:
        """The endpoint whose turn it is; None if there is none."""
        found = self._by_name.get(upstream)
        return found.pick() if found is not None else None
