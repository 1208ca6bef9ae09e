"""Tables, chains, rules, sets and maps of nftables (nft(8)).

Chains, rules, elements and the descriptions of sets are immutable values, which all nodes of a cluster may share; what
a namespace adds is which of them it holds (`NamedSet.elements`) and what dynamic sets have learnt (`NamedSet.holds`).
Source: net/netfilter/{nf_tables_api,nft_set_hash}.c of Linux 6.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from netsim.kernel.hooks import Hook
from netsim.kernel.nft_key import Key, Value
from netsim.kernel.nft_match import Expression, InSet, Update
from netsim.kernel.nft_verdict import Chooser, Verdict

Family = Literal["ip", "ip6", "inet"]
# nft gives dynamic sets without a size this one (src/evaluate.c).
DYNAMIC_SIZE: Final = 65535
_SWEEP_FROM: Final = 256


# How long the addresses are, in bytes, of the packets that tables of a family see.
FAMILY_LENGTHS: Final[Mapping[Family, tuple[int, ...]]] = {"ip": (4,), "ip6": (16,), "inet": (4, 16)}


class TableId(NamedTuple):
    """A table's family and name; the text is what nft puts before every name."""

    family: Family
    name: str

    def __str__(self) -> str:
        return f"{self.family} {self.name}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Expressions in written order, then a verdict (None: only what the expressions do). `counted`: it has a counter,
    which stands before the verdict."""

    expressions: tuple[Expression, ...] = ()
    verdict: Verdict | Chooser | None = None
    comment: str = ""
    counted: bool = False

    def __str__(self) -> str:
        """The rule as kube-proxy writes it."""
        parts = [*map(str, self.expressions), *(["counter"] if self.counted else [])]
        return self._text([*parts, str(self.verdict)] if self.verdict is not None else parts)

    def listed(self, counter: str = "") -> str:
        """The rule as `nft list ruleset` prints it, with the text of its counter."""
        parts = [expression.listed for expression in self.expressions] + ([counter] if counter else [])
        if isinstance(self.verdict, Verdict):
            parts.append(str(self.verdict))
        elif self.verdict is not None:
            parts.append(self.verdict.listed)
        return self._text(parts)

    def _text(self, parts: list[str]) -> str:
        return " ".join([*parts, f'comment "{self.comment}"'] if self.comment else parts)

    @property
    def uses(self) -> tuple[str, ...]:
        """The chains that it leads to and, as `@name`, the sets that it looks up."""
        looked_up = [f"@{e.name}" for e in self.expressions if isinstance(e, InSet | Update)]
        verdict = self.verdict
        if isinstance(verdict, Verdict):
            return (*looked_up, verdict.chain) if verdict.chain else tuple(looked_up)
        return (*looked_up, *(verdict.uses if verdict is not None else ()))


@dataclass(frozen=True, slots=True)
class Base:
    """What makes a chain a base chain."""

    type: Literal["filter", "nat"]
    hook: Hook
    priority: int
    policy: Literal["ACCEPT", "DROP"] = "ACCEPT"

    def __post_init__(self) -> None:
        if self.type == "nat" and self.hook is Hook.FORWARD:
            raise ValueError("a chain of type nat cannot be at the forward hook")


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: base chain if `base` is given."""

    name: str
    rules: tuple[Rule, ...] = ()
    base: Base | None = None
    comment: str = ""
    _uses: tuple[str, ...] | None = field(init=False, repr=False, compare=False, default=None)

    @property
    def uses(self) -> tuple[str, ...]:
        """What its rules use, as often as they do; worked out once."""
        uses = self._uses
        if uses is None:
            uses = tuple(name for rule in self.rules for name in rule.uses)
            object.__setattr__(self, "_uses", uses)
        return uses

    @property
    def policy(self) -> str:
        """ACCEPT or DROP of a base chain, else "-"."""
        return self.base.policy if self.base is not None else "-"


class Element(NamedTuple):
    """An element of a set, or with a verdict of a map."""

    set: str
    key: Value
    verdict: Verdict | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class SetSpec:
    """A set, or a verdict map (`is_map`). A `dynamic` set is filled by rules; its elements go after `timeout_s`."""

    name: str
    key: Key
    is_map: bool = False
    comment: str = ""
    dynamic: bool = False
    timeout_s: int = 0

    def __post_init__(self) -> None:
        if self.dynamic and (self.is_map or not self.timeout_s):
            raise ValueError("a dynamic set needs a timeout and is no map")


class NamedSet:
    """A set in one namespace. `elements` are those that were written; a dynamic set learns its own."""

    __slots__ = ("_deadlines", "_sweep_at", "elements", "spec")

    def __init__(self, spec: SetSpec) -> None:
        self.spec = spec
        self.elements: dict[Value, Element] = {}
        self._deadlines: dict[Value, tuple[int, int]] = {}  # when it goes, and how long it may stay
        self._sweep_at = _SWEEP_FROM

    def holds(self, value: Value, now: int) -> bool:
        """Whether a dynamic set holds a value."""
        found = self._deadlines.get(value)
        return found is not None and found[0] > now

    def renew(self, value: Value, now: int, timeout_ns: int = 0) -> bool:
        """Put a value in, or let it stay longer; False when the set is full."""
        deadlines = self._deadlines
        if value not in deadlines and len(deadlines) >= self._sweep_at:
            self._sweep(now)
            if len(deadlines) >= DYNAMIC_SIZE:
                return False
        timeout_ns = timeout_ns or self.spec.timeout_s * 1_000_000_000
        deadlines[value] = now + timeout_ns, timeout_ns
        return True

    def _sweep(self, now: int) -> None:
        for value in [value for value, (deadline, _) in self._deadlines.items() if deadline <= now]:
            del self._deadlines[value]
        self._sweep_at = min(max(_SWEEP_FROM, 2 * len(self._deadlines)), DYNAMIC_SIZE)

    def learnt(self, now: int) -> list[tuple[Value, int, int]]:
        """Living values of a dynamic set: value, time it may stay, time left."""
        return [
            (value, timeout, deadline - now)
            for value, (deadline, timeout) in self._deadlines.items()
            if deadline > now
        ]

    def flush(self) -> None:
        """Empty the set."""
        self.elements.clear()
        self._deadlines.clear()

    def scratch(self) -> "NamedSet":
        """The same set without what it has learnt, for trying things out."""
        twin = NamedSet(self.spec)
        twin.elements = self.elements
        return twin
