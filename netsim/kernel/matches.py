"""Matches of iptables rules: what a rule asks of a packet (iptables(8), iptables-extensions(8)).

Values made by dataplanes and by the parser of `xtables_parse.py`; asked by `Xtables.evaluate`. `str(match)` is the text
as kube-proxy writes it, `saved` as `iptables-save` prints it. A match with memory or chance is `stateful`
(`matches_stateful.py`): it must be asked exactly when Linux would ask it, so the index of a chain may not skip it.
`passive` ones never say no. A match whose answer depends on more than the walk's key (`xtables_memo.py`) says so by
`x.pure = False`.

Sources: net/netfilter/{xt_tcpudp,xt_conntrack,xt_mark,xt_addrtype}.c of Linux 6.8.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from netsim.kernel.conntrack import DST_NAT, SRC_NAT
from netsim.wire.addr import Prefix, ip_text
from netsim.wire.packet import PROTOCOL_NAMES

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.xtables import Xtables

# Characters that need no quotes (xtables_save_string in libxtables).
_BARE: Final = frozenset("_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Order in which `iptables-save` lists states (print_state in libxt_conntrack.c).
_STATE_ORDER: Final = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")


class Match(Protocol):
    """One condition of a rule."""

    stateful: ClassVar[bool]
    passive: ClassVar[bool]
    # Place among the header options of `iptables-save`: -s -d -i -o -p, then the extensions in written order.
    place: ClassVar[int]

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        """Whether the packet meets the condition."""
        ...

    @property
    def saved(self) -> str:
        """As `iptables-save` prints it."""
        ...


def quoted(text: str) -> str:
    """A string as `iptables-save` prints it: in quotes unless it is one plain word."""
    if text and set(text) <= _BARE:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _not(negated: bool) -> str:
    return "! " if negated else ""


class MatchBase:
    """What most matches are: without memory, an extension, spelt the same in both styles."""

    __slots__ = ()
    stateful: ClassVar[bool] = False
    passive: ClassVar[bool] = False
    place: ClassVar[int] = 9

    @property
    def saved(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Comment(MatchBase):
    """`-m comment`: for readers only. kube-proxy quotes it where it holds a blank."""

    text: str
    passive: ClassVar[bool] = True

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return True

    def __str__(self) -> str:
        text = f'"{self.text}"' if " " in self.text else self.text
        return f"-m comment --comment {text}"

    @property
    def saved(self) -> str:
        return f"-m comment --comment {quoted(self.text)}"


@dataclass(frozen=True, slots=True)
class Module(MatchBase):
    """`-m tcp`: loads the match whose options follow (`--dport`); asks nothing by itself beside the `-p` it needs."""

    name: str
    passive: ClassVar[bool] = True

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return True

    def __str__(self) -> str:
        return f"-m {self.name}"


@dataclass(frozen=True, slots=True)
class IpProtocol(MatchBase):
    """`-p tcp`."""

    number: int
    negated: bool = False
    place: ClassVar[int] = 4

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        x.port_blind = False
        return (t.packet.flow.proto == self.number) is not self.negated

    def __str__(self) -> str:
        return f"{_not(self.negated)}-p {PROTOCOL_NAMES.get(self.number, str(self.number))}"


@dataclass(frozen=True, slots=True)
class _Address(MatchBase):
    """A source or destination range. `full` writes the length even of a single address."""

    prefix: Prefix
    negated: bool = False
    full: bool = field(default=False, compare=False)
    _shift: int = field(init=False, repr=False, compare=False)
    _network: int = field(init=False, repr=False, compare=False)
    option: ClassVar[str] = ""

    def __post_init__(self) -> None:
        shift = len(self.prefix.address) * 8 - self.prefix.length
        object.__setattr__(self, "_shift", shift)
        object.__setattr__(self, "_network", int.from_bytes(self.prefix.address) >> shift)

    @property
    def is_host(self) -> bool:
        """Whether the range is one address."""
        return self._shift == 0

    def holds(self, address: bytes) -> bool:
        """Whether an address is in the range, or outside it when negated."""
        if self._shift == 0:
            return (address == self.prefix.address) is not self.negated
        same_family = len(address) == len(self.prefix.address)
        inside = same_family and int.from_bytes(address) >> self._shift == self._network
        return inside is not self.negated

    def __str__(self) -> str:
        text = ip_text(self.prefix.address) if self.is_host and not self.full else str(self.prefix)
        return f"{_not(self.negated)}{self.option} {text}"

    @property
    def saved(self) -> str:
        return f"{_not(self.negated)}{self.option} {self.prefix}"


@dataclass(frozen=True, slots=True)
class Source(_Address):
    """`-s`."""

    option: ClassVar[str] = "-s"
    place: ClassVar[int] = 0

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return self.holds(t.packet.flow.src)


@dataclass(frozen=True, slots=True)
class Destination(_Address):
    """`-d`."""

    option: ClassVar[str] = "-d"
    place: ClassVar[int] = 1

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return self.holds(t.packet.flow.dst)


@dataclass(frozen=True, slots=True)
class InInterface(MatchBase):
    """`-i`; a name ending in `+` stands for all that begin like it."""

    name: str
    negated: bool = False
    place: ClassVar[int] = 2

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return _interface(self.name, t.in_dev) is not self.negated

    def __str__(self) -> str:
        return f"{_not(self.negated)}-i {self.name}"


@dataclass(frozen=True, slots=True)
class OutInterface(MatchBase):
    """`-o`."""

    name: str
    negated: bool = False
    place: ClassVar[int] = 3

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return _interface(self.name, t.out_dev) is not self.negated

    def __str__(self) -> str:
        return f"{_not(self.negated)}-o {self.name}"


def _interface(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


@dataclass(frozen=True, slots=True)
class _Port(MatchBase):
    """A port or a range of ports, both ends included."""

    first: int
    last: int
    negated: bool = False
    option: ClassVar[str] = ""

    def __str__(self) -> str:
        text = str(self.first) if self.first == self.last else f"{self.first}:{self.last}"
        return f"{_not(self.negated)}{self.option} {text}"


@dataclass(frozen=True, slots=True)
class SourcePort(_Port):
    """`--sport`."""

    option: ClassVar[str] = "--sport"

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        x.pure = False
        return (self.first <= t.packet.flow.sport <= self.last) is not self.negated


@dataclass(frozen=True, slots=True)
class DestinationPort(_Port):
    """`--dport`."""

    option: ClassVar[str] = "--dport"

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        x.port_blind = False
        return (self.first <= t.packet.flow.dport <= self.last) is not self.negated


@dataclass(frozen=True, slots=True)
class MultiPort(MatchBase):
    """`-m multiport --destination-ports`: one of up to 15 ports (xt_multiport)."""

    ports: tuple[int, ...]
    negated: bool = False

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        x.port_blind = False
        return (t.packet.flow.dport in self.ports) is not self.negated

    def __str__(self) -> str:
        return f"-m multiport {_not(self.negated)}--destination-ports {','.join(map(str, self.ports))}"

    @property
    def saved(self) -> str:
        return f"-m multiport {_not(self.negated)}--dports {','.join(map(str, self.ports))}"


@dataclass(frozen=True, slots=True)
class CtState(MatchBase):
    """`-m conntrack --ctstate`: the packet's state, or SNAT/DNAT when its connection is so translated."""

    states: tuple[str, ...]
    negated: bool = False
    _nat: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nat = (SRC_NAT if "SNAT" in self.states else 0) | (DST_NAT if "DNAT" in self.states else 0)
        object.__setattr__(self, "_nat", nat)

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        hit = t.ctstate in self.states
        if not hit and self._nat:
            x.pure = False
            hit = t.ct is not None and bool(t.ct.entry.nat & self._nat)
        return hit is not self.negated

    def __str__(self) -> str:
        return f"-m conntrack {_not(self.negated)}--ctstate {','.join(self.states)}"

    @property
    def saved(self) -> str:
        states = ",".join(sorted(self.states, key=_STATE_ORDER.index))
        return f"-m conntrack {_not(self.negated)}--ctstate {states}"


@dataclass(frozen=True, slots=True)
class Mark(MatchBase):
    """`-m mark --mark value/mask`."""

    value: int
    mask: int = 0xFFFF_FFFF
    negated: bool = False

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return (t.packet.mark & self.mask == self.value) is not self.negated

    def __str__(self) -> str:
        mask = "" if self.mask == 0xFFFF_FFFF else f"/{self.mask:#x}"
        return f"-m mark {_not(self.negated)}--mark {self.value:#x}{mask}"


@dataclass(frozen=True, slots=True)
class AddrType(MatchBase):
    """`-m addrtype --src-type LOCAL` or `--dst-type LOCAL`: whether the address is one of the namespace's own.

    Simplified: LOCAL only, of the types of iptables-extensions(8); kube-proxy and CNI plug-ins use no other."""

    side: str
    negated: bool = False

    def __post_init__(self) -> None:
        if self.side not in ("src", "dst"):
            raise ValueError(f"addrtype asks about src or dst, not {self.side!r}")

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        flow = t.packet.flow
        return t.ns.is_local(flow.src if self.side == "src" else flow.dst) is not self.negated

    def __str__(self) -> str:
        return f"-m addrtype {_not(self.negated)}--{self.side}-type LOCAL"
