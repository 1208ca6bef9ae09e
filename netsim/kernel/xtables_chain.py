"""Rules, chains and tables of iptables as immutable values.

A chain may be shared by all nodes of a cluster: what a namespace adds (counters, recent lists) lives in `Xtables`.
Linux goes through a chain rule by rule. `Chain.program` prepares that walk once per chain, and `Program.candidates`
names the only rules that can match a flow: those that ask for exactly its destination and port, and those that ask for
neither. Whatever lies between would not match, so a walk over the candidates gives the same verdict; the walk counts
the rules passed over as visited.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from netsim.kernel.matches import Destination, DestinationPort, IpProtocol, Match
from netsim.kernel.matches_stateful import RecentCheck, RecentSet
from netsim.kernel.targets import Target
from netsim.wire.packet import Flow

# Below this length a plain walk is as quick as a look-up.
_INDEX_FROM: Final = 8

_Key = tuple[bytes | None, int, int]
_Step = tuple[tuple[Match, ...], Target | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches in written order, and what to do when all of them hold (None: only count)."""

    matches: tuple[Match, ...]
    target: Target | None = None

    def __str__(self) -> str:
        """The rule as kube-proxy writes it, without `-A CHAIN`."""
        return " ".join(map(str, (*self.matches, *_some(self.target))))

    @property
    def saved(self) -> str:
        """The rule as `iptables-save` prints it, without `-A CHAIN`: header options first."""
        parts = [match.saved for match in sorted(self.matches, key=lambda match: match.place)]
        return " ".join(parts if self.target is None else [*parts, self.target.saved])


def _some(target: Target | None) -> tuple[Target, ...]:
    return () if target is None else (target,)


class Program:
    """A chain made ready for evaluation.

    `steps[i]` holds what rule i has to ask beyond the index, and its target; `candidates(flow)` are the rules to try,
    ascending."""

    __slots__ = ("_by_key", "_everywhere", "candidates", "indexed", "steps")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._by_key: dict[_Key, list[int]] = {}
        self._everywhere: tuple[int, ...] = ()
        self.indexed = len(rules) >= _INDEX_FROM
        if not self.indexed:
            self.steps: tuple[_Step, ...] = tuple((_asking(rule.matches), rule.target) for rule in rules)
            everything = tuple(range(len(rules)))
            self.candidates: Callable[[Flow], tuple[int, ...]] = lambda _flow: everything
        else:
            self.steps = self._index(rules)
            self.candidates = self._look_up

    def _index(self, rules: tuple[Rule, ...]) -> tuple[_Step, ...]:
        steps, everywhere = [], []
        for position, rule in enumerate(rules):
            key, rest = _key_of(rule)
            if key is None:
                everywhere.append(position)
            else:
                self._by_key.setdefault(key, []).append(position)
            steps.append((rest, rule.target))
        self._everywhere = tuple(everywhere)
        return tuple(steps)

    def _look_up(self, flow: Flow) -> tuple[int, ...]:
        get = self._by_key.get
        exact = get((flow.dst, flow.proto, flow.dport))
        any_address = get((None, flow.proto, flow.dport))
        if exact is None and any_address is None:
            return self._everywhere
        return tuple(sorted((*(exact or ()), *(any_address or ()), *self._everywhere)))


def _recent_names(rules: tuple[Rule, ...]) -> list[str]:
    return [m.name for rule in rules for m in rule.matches if isinstance(m, RecentSet | RecentCheck)]


def _asking(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    return tuple(match for match in matches if not match.passive)


def _key_of(rule: Rule) -> tuple[_Key | None, tuple[Match, ...]]:
    """The index key of a rule, and the matches that the key does not answer.

    None where the rule does not ask for one protocol and one port, or asks something with memory before that."""
    protocol = port = None
    destination: Destination | None = None
    for match in rule.matches:
        if isinstance(match, IpProtocol) and not match.negated:
            protocol = match
        elif isinstance(match, DestinationPort) and not match.negated and match.first == match.last:
            port = match
        elif isinstance(match, Destination) and match.is_host and not match.negated:
            destination = match
        elif match.stateful and (protocol is None or port is None):
            break
    if protocol is None or port is None:
        return None, _asking(rule.matches)
    answered = (protocol, port, destination)
    rest = tuple(m for m in rule.matches if not m.passive and not any(m is a for a in answered))
    return (destination.prefix.address if destination else None, protocol.number, port.first), rest


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Chain:
    """A chain: its rules, and for a built-in chain the policy (ACCEPT or DROP), else "-"."""

    name: str
    rules: tuple[Rule, ...] = ()
    policy: str = "-"
    # Names of the recent lists that the rules use.
    recent_names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _program: Program | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "recent_names", tuple(dict.fromkeys(_recent_names(self.rules))))

    @property
    def program(self) -> Program:
        """The prepared form; made on first use."""
        program = self._program
        if program is None:
            program = Program(self.rules)
            object.__setattr__(self, "_program", program)
        return program

    def lines(self, saved: bool = False) -> list[str]:
        """The rules as text, each with `-A CHAIN`."""
        return [f"-A {self.name} {rule.saved if saved else rule}".rstrip() for rule in self.rules]


@dataclass(frozen=True, slots=True)
class Table:
    """Some chains of one table (filter, nat, mangle, raw), by name; `deleted` are those that a restore removes."""

    name: str
    chains: Mapping[str, Chain]
    deleted: tuple[str, ...] = ()
