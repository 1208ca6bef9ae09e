"""Keys of nftables sets and maps: which parts of a packet are looked up together, and how their values are written.

Sources: nft(8) (concatenations, data types); src/{datatype,expression}.c of nftables 1.0.6 for texts and order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from netsim.wire.addr import ip_text
from netsim.wire.packet import PROTOCOL_NAMES, Flow

Value = Any  # bytes, int, or a tuple of these for a concatenation

# Selector and data type of each field; %d stands for the IP version.
_SELECTORS: Final[Mapping[str, str]] = {
    "saddr": "ip{} saddr",
    "daddr": "ip{} daddr",
    "l4proto": "meta l4proto",
    "dport": "th dport",
}
_TYPES: Final[Mapping[str, str]] = {
    "saddr": "ipv{}_addr",
    "daddr": "ipv{}_addr",
    "l4proto": "inet_proto",
    "dport": "inet_service",
}
_GETTERS: Final[Mapping[tuple[str, ...], Callable[[Flow], Value]]] = {
    ("saddr",): lambda flow: flow.src,
    ("daddr",): lambda flow: flow.dst,
    ("l4proto", "dport"): lambda flow: (flow.proto, flow.dport),
    ("daddr", "l4proto", "dport"): lambda flow: (flow.dst, flow.proto, flow.dport),
}


@dataclass(frozen=True, slots=True)
class Key:
    """Some fields of a packet, of IPv4 or (`v6`) IPv6. Raises KeyError for fields that are not looked up together."""

    fields: tuple[str, ...]
    v6: bool = False
    of: Callable[[Flow], Value] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", _GETTERS[self.fields])

    @property
    def has_port(self) -> bool:
        """Whether protocol or port are among the fields."""
        return "l4proto" in self.fields

    def __str__(self) -> str:
        return " . ".join(_SELECTORS[name].format("6" if self.v6 else "") for name in self.fields)

    @property
    def type(self) -> str:
        """The data type of a set with this key: `ipv4_addr . inet_proto . inet_service`."""
        return " . ".join(_TYPES[name].format("6" if self.v6 else "4") for name in self.fields)


def value_text(value: Value) -> str:
    """`10.0.0.1`, or `10.0.0.1 . tcp . 80`: the value of a key as both kube-proxy and nft write it."""
    if isinstance(value, bytes):
        return ip_text(value)
    *addresses, protocol, port = value
    return " . ".join([*map(ip_text, addresses), PROTOCOL_NAMES[protocol], str(port)])


def value_order(value: Value) -> int:
    """Sorts values as nft lists them: addresses as numbers, concatenations as numbers whose last byte counts most
    (nft compares them as one number in the byte order of the machine)."""
    if isinstance(value, bytes):
        return int.from_bytes(value)
    *addresses, protocol, port = value
    padded = b"".join([*addresses, bytes([protocol, 0, 0, 0]), port.to_bytes(2), bytes(2)])
    return int.from_bytes(padded, "little")
