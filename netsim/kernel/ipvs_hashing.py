"""The hashing schedulers of IPVS: tables from an address (and port) to a real server.

Held by `ipvs_schedulers.py`. The same table on every node sends a client to the same real server whichever node it
enters by, as long as the lists are in the same order.

Sources: net/netfilter/ipvs/ip_vs_{sh,dh,mh}.c and lib/siphash.c (`hsiphash_1u32` is SipHash-1-3 on 64-bit machines) of
Linux 6.8. Simplified: sh and mh without their fallback flags, which kube-proxy does not set: a client whose real server
has weight 0 is refused.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import gcd
from typing import Final

from netsim.kernel.ipvs_service import Dest
from netsim.wire.addr import Address
from netsim.wire.packet import Flow

_BITS: Final = 8  # CONFIG_IP_VS_SH_TAB_BITS, CONFIG_IP_VS_DH_TAB_BITS
_GOLDEN_RATIO_32: Final = 0x61C88647
_PRIME: Final = 4093  # primes[] at CONFIG_IP_VS_MH_TAB_INDEX 12
_M32: Final = 0xFFFF_FFFF
_M64: Final = 0xFFFF_FFFF_FFFF_FFFF
# generate_hash_secret: two constants, each used as both words of the key.
_HASH_1: Final = 2654435761
_HASH_2: Final = 2654446892


def _fold(address: Address) -> int:
    """IPv6 addresses are folded to 32 bits by XOR."""
    folded = 0
    for at in range(0, len(address), 4):
        folded ^= int.from_bytes(address[at : at + 4])
    return folded


def _hash_32(value: int, bits: int) -> int:
    return (value * _GOLDEN_RATIO_32 & _M32) >> 32 - bits


class SourceHashing:
    """sh: 256 buckets by source address; each real server gets as many in a row as its weight."""

    __slots__ = ("_buckets", "_port")

    def __init__(self, port: bool) -> None:
        self._port = port
        self._buckets: list[Dest | None] = [None] * (1 << _BITS)

    def assign(self, dests: Sequence[Dest]) -> None:
        """Deal the buckets out (ip_vs_sh_reassign)."""
        at = dealt = 0
        for bucket in range(len(self._buckets)):
            self._buckets[bucket] = dests[at % len(dests)] if dests else None
            dealt += 1
            if dests and dealt >= dests[at % len(dests)].weight:
                at, dealt = at + 1, 0

    def look_up(self, flow: Flow) -> Dest | None:
        """The real server of a client."""
        port = flow.sport if self._port else 0
        return self._buckets[_hash_32(port + _fold(flow.src) & _M32, _BITS)]


class DestinationHashing:
    """dh: 256 buckets by destination address, dealt out in turn. A virtual server has one address, so one real
    server gets everything."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: list[Dest | None] = [None] * (1 << _BITS)

    def assign(self, dests: Sequence[Dest]) -> None:
        """Deal the buckets out (ip_vs_dh_reassign)."""
        for bucket in range(len(self._buckets)):
            self._buckets[bucket] = dests[bucket % len(dests)] if dests else None

    def look_up(self, flow: Flow) -> Dest | None:
        """The real server of a destination."""
        return self._buckets[_hash_32(_fold(flow.dst), _BITS)]


class Maglev:
    """mh: Maglev hashing (Eisenbud and others, NSDI 2016): few clients move when the list changes."""

    __slots__ = ("_port", "_table")

    def __init__(self, port: bool) -> None:
        self._port = port
        self._table: list[Dest] = []

    def assign(self, dests: Sequence[Dest]) -> None:
        """Fill the table (ip_vs_mh_permutate, ip_vs_mh_populate)."""
        self._table = []
        usable = [dest for dest in dests if dest.weight > 0]
        if not usable:
            return
        divisor = gcd(*(dest.weight for dest in usable))
        turns = [dest.weight // divisor for dest in usable]
        starts = [_key_hash(dest.address, dest.port, _HASH_1) % _PRIME for dest in usable]
        skips = [_key_hash(dest.address, dest.port, _HASH_2) % (_PRIME - 1) + 1 for dest in usable]
        self._table = [usable[index] for index in _populate(starts, skips, turns)]

    def look_up(self, flow: Flow) -> Dest | None:
        """The real server of a client."""
        if not self._table:
            return None
        return self._table[_key_hash(flow.src, flow.sport if self._port else 0, _HASH_1) % _PRIME]


def _populate(places: list[int], skips: Sequence[int], turns: Sequence[int]) -> list[int]:
    """Each in its turn takes its next free slot, until all are taken."""
    table = [-1] * _PRIME
    left = _PRIME
    while True:
        for index, skip in enumerate(skips):
            for _ in range(turns[index]):
                place = places[index]
                while table[place] >= 0:
                    place = (place + skip) % _PRIME
                table[place], places[index] = index, place
                left -= 1
                if not left:
                    return table


@lru_cache(maxsize=1 << 14)
def _key_hash(address: Address, port: int, key: int) -> int:
    """ip_vs_mh_hashkey."""
    return _siphash_1_3(port + _fold(address) & _M32, key) & _M32


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> 64 - by) & _M64


def _round(v: list[int]) -> None:
    v[0] = v[0] + v[1] & _M64
    v[1] = _rotated(v[1], 13) ^ v[0]
    v[0] = _rotated(v[0], 32)
    v[2] = v[2] + v[3] & _M64
    v[3] = _rotated(v[3], 16) ^ v[2]
    v[0] = v[0] + v[3] & _M64
    v[3] = _rotated(v[3], 21) ^ v[0]
    v[2] = v[2] + v[1] & _M64
    v[1] = _rotated(v[1], 17) ^ v[2]
    v[2] = _rotated(v[2], 32)


def _siphash_1_3(value: int, key: int) -> int:
    """SipHash with one round per word and three at the end, of one 32-bit number; both words of the key are `key`."""
    v = [
        0x736F6D6570736575 ^ key,
        0x646F72616E646F6D ^ key,
        0x6C7967656E657261 ^ key,
        0x7465646279746573 ^ key,
    ]
    word = 4 << 56 | value
    v[3] ^= word
    _round(v)
    v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
