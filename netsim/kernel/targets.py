"""Targets of iptables rules: what becomes of a packet that matches (iptables(8), iptables-extensions(8)).

`kind` tells `Xtables.evaluate` what to do: jump, return, change the mark and go on, or stop with this verdict.
`str(target)` is the text as kube-proxy writes it, `saved` as `iptables-save` prints it.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Final

from netsim.wire.addr import Address, ip_text
from netsim.wire.packet import Packet, endpoint_text


class Kind(IntEnum):
    """What a target does to the evaluation."""

    JUMP = 0
    RETURN = 1
    CHANGE = 2
    FINAL = 3


class Target:
    """Base of all targets."""

    __slots__ = ()
    kind: ClassVar[Kind] = Kind.FINAL

    def change(self, packet: Packet) -> None:
        """What a target of kind CHANGE does to the packet."""

    @property
    def saved(self) -> str:
        """As `iptables-save` prints it."""
        return str(self)


@dataclass(frozen=True, slots=True)
class Jump(Target):
    """`-j CHAIN`: go on there; come back if that chain says nothing final."""

    chain: str
    kind: ClassVar[Kind] = Kind.JUMP

    def __str__(self) -> str:
        return f"-j {self.chain}"


@dataclass(frozen=True, slots=True)
class Return(Target):
    """`-j RETURN`: back to the calling chain; in a built-in chain its policy applies."""

    kind: ClassVar[Kind] = Kind.RETURN

    def __str__(self) -> str:
        return "-j RETURN"


@dataclass(frozen=True, slots=True)
class Accept(Target):
    """`-j ACCEPT`."""

    def __str__(self) -> str:
        return "-j ACCEPT"


@dataclass(frozen=True, slots=True)
class Drop(Target):
    """`-j DROP`: silence."""

    def __str__(self) -> str:
        return "-j DROP"


@dataclass(frozen=True, slots=True)
class Reject(Target):
    """`-j REJECT`: drop, and tell the sender. `with_` is the `--reject-with` type; "" is the default, a port
    unreachable of ICMP or (`ipv6`, in ip6tables) ICMPv6."""

    with_: str = ""
    ipv6: bool = False

    def __str__(self) -> str:
        return f"-j REJECT --reject-with {self.with_}" if self.with_ else "-j REJECT"

    @property
    def type(self) -> str:
        """The type in words: `icmp-port-unreachable`, `tcp-reset`, ..."""
        return self.with_ or ("icmp6-port-unreachable" if self.ipv6 else "icmp-port-unreachable")

    @property
    def saved(self) -> str:
        return f"-j REJECT --reject-with {self.type}"


@dataclass(frozen=True, slots=True)
class NoTrack(Target):
    """`-j NOTRACK`, in today's spelling `-j CT --notrack` (raw table): conntrack leaves the packet alone.

    Simplified: it ends the walk, whereas in Linux the rules after it are still looked at."""

    option: str = field(default="NOTRACK", compare=False)

    def __str__(self) -> str:
        return f"-j {self.option}"


@dataclass(frozen=True, slots=True)
class SetMark(Target):
    """`-j MARK`: mark = (mark & ~mask) ^ value (xt_mark.c). `option` is the spelling it was written with."""

    value: int
    mask: int
    option: str = field(default="--set-xmark", compare=False)
    kind: ClassVar[Kind] = Kind.CHANGE

    @classmethod
    def spelled(cls, option: str, value: int, mask: int = 0xFFFF_FFFF) -> "SetMark":
        """From one of the options of libxt_MARK. Raises KeyError for another one."""
        forms = {
            "--or-mark": (value, value),
            "--xor-mark": (value, 0),
            "--and-mark": (0, ~value & 0xFFFF_FFFF),
            "--set-mark": (value, value | mask),
            "--set-xmark": (value, mask),
        }
        return cls(*forms[option], option)

    def change(self, packet: Packet) -> None:
        packet.mark = (packet.mark & ~self.mask & 0xFFFF_FFFF) ^ self.value

    def __str__(self) -> str:
        if self.option == "--and-mark":
            return f"-j MARK --and-mark {~self.mask & 0xFFFF_FFFF:#x}"
        if self.option in ("--or-mark", "--xor-mark"):
            return f"-j MARK {self.option} {self.value:#x}"
        return f"-j MARK {self.option} {self.value:#x}/{self.mask:#x}"

    @property
    def saved(self) -> str:
        return f"-j MARK --set-xmark {self.value:#x}/{self.mask:#x}"


@dataclass(frozen=True, slots=True)
class Dnat(Target):
    """`-j DNAT --to-destination`: send the connection there; port 0 keeps the port."""

    address: Address
    port: int = 0

    def __str__(self) -> str:
        return f"-j DNAT --to-destination {_place(self.address, self.port)}"


@dataclass(frozen=True, slots=True)
class Snat(Target):
    """`-j SNAT --to-source`: let the connection come from there; port 0 keeps the port where it is free."""

    address: Address
    port: int = 0

    def __str__(self) -> str:
        return f"-j SNAT --to-source {_place(self.address, self.port)}"


@dataclass(frozen=True, slots=True)
class Masquerade(Target):
    """`-j MASQUERADE`: let the connection come from the address of the outgoing device."""

    random_fully: bool = False

    def __str__(self) -> str:
        return "-j MASQUERADE --random-fully" if self.random_fully else "-j MASQUERADE"


Verdict = Accept | Drop | Reject | Dnat | Snat | Masquerade

ACCEPT: Final = Accept()
DROP: Final = Drop()
RETURN: Final = Return()


def _place(address: Address, port: int) -> str:
    return endpoint_text(address, port) if port else ip_text(address)
