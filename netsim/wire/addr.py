"""Addresses as the wire has them: 4 or 16 bytes for IP, 6 for Ethernet; text only at the edges.

Bytes hash once and compare in C, order as numbers do, and need no conversion when a packet is rendered. The length is
the family.
"""

import ipaddress
from functools import lru_cache
from typing import NamedTuple

Address = bytes

BROADCAST_MAC = b"\xff" * 6


@lru_cache(maxsize=65536)
def ip(text: str) -> Address:
    """The bytes of an IPv4 or IPv6 address. Raises ValueError for anything else."""
    return ipaddress.ip_address(text).packed


@lru_cache(maxsize=65536)
def ip_text(address: Address) -> str:
    """The usual text of an address (RFC 5952 for IPv6)."""
    return str(ipaddress.ip_address(address))


def mac_text(address: bytes) -> str:
    """`02:00:00:00:00:01` from six bytes."""
    return address.hex(":")


class Prefix(NamedTuple):
    """A network: the bytes of its first address and its length in bits."""

    address: bytes
    length: int

    @classmethod
    def parse(cls, text: str) -> "Prefix":
        """From `10.0.0.0/8` or a single address. Raises ValueError, also when host bits are set."""
        network = ipaddress.ip_network(text)
        return cls(network.network_address.packed, network.prefixlen)

    @classmethod
    def host(cls, address: Address) -> "Prefix":
        """The prefix of one address (/32 or /128)."""
        return cls(address, len(address) * 8)

    def contains(self, address: Address) -> bool:
        """Whether an address of the same family lies inside."""
        if len(address) != len(self.address):
            return False
        shift = len(address) * 8 - self.length
        return int.from_bytes(address) >> shift == int.from_bytes(self.address) >> shift

    def nth(self, index: int) -> Address:
        """The address at an offset from the first. Raises ValueError outside the prefix."""
        if not 0 <= index < 1 << (len(self.address) * 8 - self.length):
            raise ValueError(f"{self} has no address number {index}")
        return (int.from_bytes(self.address) + index).to_bytes(len(self.address))

    def __str__(self) -> str:
        return f"{ip_text(self.address)}/{self.length}"
