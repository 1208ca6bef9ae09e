"""Expressions of nftables rules: what a rule asks of a packet, and what it changes on the way (nft(8)).

Values made by the dataplane; asked by `Nftables` in written order. `str()` is the text as kube-proxy writes it,
`listed` as `nft list ruleset` prints it. An expression whose answer depends on more than the walk's key
(`xtables_memo.py`) says so by `x.pure = False`.

Sources: net/netfilter/{nft_payload,nft_meta,nft_ct,nft_fib,nft_lookup,nft_dynset}.c of Linux 6.8; src/{expression,
meta,ct,fib}.c of nftables 1.0.6.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from netsim.kernel.nft_key import Key
from netsim.kernel.nft_ranges import ranges_text
from netsim.wire.addr import Prefix
from netsim.wire.packet import PROTOCOL_NAMES

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.nft import Nftables

S: Final = 1_000_000_000
# Order in which nft lists states: by their bits (ct_state_tbl).
_STATES: Final = ("INVALID", "ESTABLISHED", "RELATED", "NEW", "UNTRACKED")


class Expression(Protocol):
    """One part of a rule."""

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        """Whether the evaluation of the rule goes on."""
        ...

    @property
    def listed(self) -> str:
        """As `nft list ruleset` prints it."""
        ...


class ExpressionBase:
    """What most expressions are: spelt the same in both styles."""

    __slots__ = ()

    @property
    def listed(self) -> str:
        """As `nft list ruleset` prints it."""
        return str(self)


def _unequal(negated: bool) -> str:
    return "!= " if negated else ""


@dataclass(frozen=True, slots=True)
class Address(ExpressionBase):
    """`ip saddr != 10.0.0.0/8`, or with `braces` an anonymous set: `ip saddr != { 10.0.0.0/8, 1.2.3.4 }`."""

    field: str  # saddr or daddr
    prefixes: tuple[Prefix, ...]
    negated: bool = False
    braces: bool = False

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        flow = t.packet.flow
        address = flow.src if self.field == "saddr" else flow.dst
        for prefix in self.prefixes:
            if prefix.contains(address):
                return not self.negated
        return self.negated

    def __str__(self) -> str:
        inside = " , ".join(map(_prefix_text, self.prefixes))
        return self._text(f"{{ {inside} }}" if self.braces else inside)

    @property
    def listed(self) -> str:
        return self._text(ranges_text(self.prefixes))

    def _text(self, what: str) -> str:
        version = "6" if len(self.prefixes[0].address) == 16 else ""
        return f"ip{version} {self.field} {_unequal(self.negated)}{what}"


def _prefix_text(prefix: Prefix) -> str:
    text = str(prefix)
    return text.partition("/")[0] if prefix.length == 8 * len(prefix.address) else text


@dataclass(frozen=True, slots=True)
class InSet(ExpressionBase):
    """`ip daddr @cluster-ips`. A set whose elements time out has a memory."""

    key: Key
    name: str

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        if self.key.has_port:
            x.port_blind = False
        named, value = x.current[self.name], self.key.of(t.packet.flow)
        if named.spec.dynamic:
            x.pure = x.lasting = False
            return named.holds(value, t.now)
        return value in named.elements

    def __str__(self) -> str:
        return f"{self.key} @{self.name}"


@dataclass(frozen=True, slots=True)
class Update(ExpressionBase):
    """`update @affinity { ip saddr }`: put the packet's key into a set, or renew it there. A full set takes no more:
    then the rule ends here."""

    key: Key
    name: str
    timeout_s: int = 0  # 0: the set's own

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        x.pure = x.lasting = False
        return x.current[self.name].renew(self.key.of(t.packet.flow), t.now, self.timeout_s * S)

    def __str__(self) -> str:
        timeout = f" timeout {self.timeout_s}s" if self.timeout_s else ""
        return f"update @{self.name} {{ {self.key}{timeout} }}"

    @property
    def listed(self) -> str:
        timeout = f" timeout {duration_text(self.timeout_s * S)}" if self.timeout_s else ""
        return f"update @{self.name} {{ {self.key}{timeout} }}"


@dataclass(frozen=True, slots=True)
class L4Protocol(ExpressionBase):
    """`meta l4proto tcp`."""

    number: int

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        x.port_blind = False
        return t.packet.flow.proto == self.number

    def __str__(self) -> str:
        return f"meta l4proto {PROTOCOL_NAMES[self.number]}"


@dataclass(frozen=True, slots=True)
class Port(ExpressionBase):
    """`tcp dport 80`, or `tcp dport 80-90` where `last` is given."""

    proto: int
    first: int
    last: int = 0
    negated: bool = False

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        x.port_blind = False
        flow = t.packet.flow
        if flow.proto != self.proto:
            return False
        return (self.first <= flow.dport <= (self.last or self.first)) is not self.negated

    def __str__(self) -> str:
        last = f"-{self.last}" if self.last else ""
        return f"{PROTOCOL_NAMES[self.proto]} dport {_unequal(self.negated)}{self.first}{last}"


@dataclass(frozen=True, slots=True)
class CtState(ExpressionBase):
    """`ct state new`."""

    states: tuple[str, ...]

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        return t.ctstate in self.states

    def __str__(self) -> str:
        return f"ct state {','.join(s.lower() for s in sorted(self.states, key=_STATES.index))}"


@dataclass(frozen=True, slots=True)
class LocalAddress(ExpressionBase):
    """`fib daddr type local`: whether an address is this namespace's own."""

    field: str

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        flow = t.packet.flow
        return t.ns.is_local(flow.src if self.field == "saddr" else flow.dst)

    def __str__(self) -> str:
        return f"fib {self.field} type local"


@dataclass(frozen=True, slots=True)
class InterfaceName(ExpressionBase):
    """`iifname != "cni*"`: a final `*` stands for anything."""

    name: str
    negated: bool = False
    outgoing: bool = False

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        device = t.out_dev if self.outgoing else t.in_dev
        found = device.startswith(self.name[:-1]) if self.name.endswith("*") else device == self.name
        return found is not self.negated

    def __str__(self) -> str:
        return f'{"o" if self.outgoing else "i"}ifname {_unequal(self.negated)}"{self.name}"'


@dataclass(frozen=True, slots=True)
class Mark(ExpressionBase):
    """`meta mark & mask == value`."""

    value: int
    mask: int = 0xFFFF_FFFF

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        return t.packet.mark & self.mask == self.value

    def __str__(self) -> str:
        if self.mask == 0xFFFF_FFFF:
            return f"mark {self.value:#x}"
        return f"mark and {self.mask:#x} == {self.value or '0'}"

    @property
    def listed(self) -> str:
        masked = "" if self.mask == 0xFFFF_FFFF else f"& {self.mask:#010x} == "
        return f"meta mark {masked}{self.value:#010x}"


@dataclass(frozen=True, slots=True)
class SetMark(ExpressionBase):
    """`meta mark set mark or value`: `how` is or, xor, and, or "" to set it outright."""

    value: int
    how: str = ""

    def matches(self, t: "Traversal", x: "Nftables") -> bool:
        packet = t.packet
        old = {
            "or": packet.mark | self.value,
            "xor": packet.mark ^ self.value,
            "and": packet.mark & self.value,
        }
        packet.mark = old.get(self.how, self.value)
        return True

    def __str__(self) -> str:
        return f"mark set {f'mark {self.how} ' if self.how else ''}{self.value:#x}"

    @property
    def listed(self) -> str:
        sign = {"or": "meta mark | ", "xor": "meta mark ^ ", "and": "meta mark & "}.get(self.how, "")
        return f"meta mark set {sign}{self.value:#010x}"


_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def duration_text(ns: int) -> str:
    """A time as nft prints it: `2h59m59s996ms` (time_print in src/datatype.c)."""
    left, text = ns // 1_000_000, ""
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        text += f"{number}{unit}" if number else ""
    return text or "0s"
