"""Who gets which address: pod ranges for nodes, pod addresses on a node, cluster addresses and node ports of Services.

Called by: the API server's admission (Services), the node controller (pod ranges) and the kubelet (pod addresses).
Sources: host-local IPAM (containernetworking/plugins), the allocators of pkg/registry/core/service (KEP-3070,
KEP-3668: a static band that automatic allocation avoids).
"""

from itertools import chain
from random import Random
from typing import Final

from netsim.cluster.errors import InvalidError
from netsim.cluster.validation.allocation import (
    ADDRESS_ALLOCATED,
    PORT_ALLOCATED,
    address_not_in_range,
    failed_address,
    port_not_in_range,
)
from netsim.wire.addr import Prefix, ip, ip_text

HEALTH: Final = "healthCheckNodePort"

# pkg/registry/core/service/ipallocator/cidr.go: min(max(16, size/16), 256); portallocator: min(max(16, size/32), 128).
_MIN_BAND: Final = 16
_MAX_ADDRESS_BAND: Final = 256
_MAX_PORT_BAND: Final = 128


def _size(prefix: Prefix) -> int:
    return 1 << (len(prefix.address) * 8 - prefix.length)


class PodRange:
    """Hands out a node's pod addresses one after the other, starting again only at the end, so that the address of a
    dead pod stays unused for as long as possible (host-local IPAM's round robin)."""

    def __init__(self, cidr: str) -> None:
        self.prefix = Prefix.parse(cidr)
        self._next = 2  # 0 is the network, 1 the gateway
        self._used: dict[int, None] = {}

    def allocate(self) -> str:
        """The next free address. Raises InvalidError when all are in use."""
        last = _size(self.prefix) - 2  # the last one is the broadcast address
        for _ in range(last):
            index = self._next
            self._next = index + 1 if index < last else 2
            if index not in self._used:
                self._used[index] = None
                return ip_text(self.prefix.nth(index))
        raise InvalidError(f"no free address in pod range {self.prefix}")

    def release(self, address: str) -> None:
        """The pod is gone; harmless for an address that is not in use, or of another range."""
        value = ip(address)
        if self.prefix.contains(value):
            self._used.pop(int.from_bytes(value) - int.from_bytes(self.prefix.address), None)


class NodeRanges:
    """Cuts the cluster's pod subnet into one range per node (the node IPAM controller, mask size 24 or 64)."""

    def __init__(self, cidr: str, mask: int | None = None) -> None:
        self.prefix = Prefix.parse(cidr)
        default = 24 if len(self.prefix.address) == 4 else 64
        self.mask = max(default if mask is None else mask, self.prefix.length)
        self._next = 0

    def allocate(self) -> str:
        """The next node's range. Raises InvalidError when the subnet is used up."""
        if self._next >= 1 << (self.mask - self.prefix.length):
            raise InvalidError(f"pod subnet {self.prefix} has no /{self.mask} left for another node")
        size = 1 << (len(self.prefix.address) * 8 - self.mask)
        first = self.prefix.nth(self._next * size)
        self._next += 1
        return str(Prefix(first, self.mask))


class ServiceAddresses:
    """The cluster addresses of Services: asked for, or drawn at random above the static band."""

    def __init__(self, cidr: str) -> None:
        self.prefix = Prefix.parse(cidr)
        self._used: dict[bytes, str] = {}

    def claim(self, address: str, owner: str) -> None:
        """Take the address that a manifest asks for. Raises InvalidError outside the range or when it is taken."""
        value = ip(address)
        if not self.prefix.contains(value):
            raise InvalidError(failed_address(address, address_not_in_range(address, str(self.prefix))))
        if self._used.get(value, owner) != owner:
            raise InvalidError(failed_address(address, ADDRESS_ALLOCATED))
        self._used[value] = owner

    def allocate(self, owner: str, random: Random) -> str:
        """A free address. Raises InvalidError when there is none."""
        size = _size(self.prefix)
        band = min(max(_MIN_BAND, size // 16), _MAX_ADDRESS_BAND)
        last = size - 1  # neither the network's nor the last address
        for low, high in ((band, last), (1, min(band, last))):
            address = self._draw(low, high, random) if high > low else None
            if address is not None:
                self._used[address] = owner
                return ip_text(address)
        raise InvalidError(f"no free address in the service subnet {self.prefix} for {owner}")

    def _draw(self, low: int, high: int, random: Random) -> bytes | None:
        start = random.randrange(low, high)
        for index in chain(range(start, high), range(low, start)):
            address = self.prefix.nth(index)
            if address not in self._used:
                return address
        return None

    def release(self, address: str) -> None:
        """The Service is gone."""
        self._used.pop(ip(address), None)

    def release_of(self, owner: str) -> None:
        """Everything that a Service has."""
        self._used = {address: holder for address, holder in self._used.items() if holder != owner}


class NodePorts:
    """The node ports of Services, 30000-32767 unless configured (--service-node-port-range).

    A number belongs to one Service, whatever the protocol; only ports of the same Service share one, with different
    protocols (initNodePorts in alloc.go). HEALTH stands for a healthCheckNodePort, which shares with nobody."""

    def __init__(self, low: int = 30000, high: int = 32767) -> None:
        self.low, self.high = low, high
        self._used: dict[int, dict[str, str]] = {}

    def claim(self, port: int, protocol: str, owner: str) -> None:
        """Take the port that a manifest asks for. Raises InvalidError outside the range or when it is taken."""
        if not self.low <= port <= self.high:
            raise InvalidError(port_not_in_range(self.low, self.high))
        holders = self._used.get(port, {})
        alone = HEALTH in (protocol, *holders)
        if holders and (alone or protocol in holders or owner not in holders.values()):
            raise InvalidError(PORT_ALLOCATED)
        self._used.setdefault(port, {})[protocol] = owner

    def allocate(self, protocol: str, owner: str, random: Random) -> int:
        """A free port. Raises InvalidError when there is none."""
        band = min(max(_MIN_BAND, (self.high - self.low + 1) // 32), _MAX_PORT_BAND)
        start = random.randrange(self.low + band, self.high + 1)
        dynamic = self.low + band
        for port in chain(range(start, self.high + 1), range(dynamic, start), range(self.low, dynamic)):
            if port not in self._used:
                self._used[port] = {protocol: owner}
                return port
        raise InvalidError(f"no free node port in {self.low}-{self.high} for {owner}")

    def release(self, port: int, protocol: str) -> None:
        """The Service is gone."""
        holders = self._used.get(port, {})
        holders.pop(protocol, None)
        if not holders:
            self._used.pop(port, None)

    def release_of(self, owner: str) -> None:
        """Everything that a Service has."""
        for port, protocol in [
            (p, proto) for p, held in self._used.items() for proto, who in held.items() if who == owner
        ]:
            self.release(port, protocol)
