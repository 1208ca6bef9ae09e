"""Everything that the rules of a namespace may do with a new connection, with its probability.

Called by tests, by `explain` and by whoever wants the split to expect: where Linux draws a random number, both branches
are taken, and the real evaluation runs once per branch. Nothing in the namespace changes: counters and recent lists are
scratch copies. The idea is that of the packet tracer in upstream's pkg/proxy/iptables/proxier_test.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from netsim.kernel import nat
from netsim.kernel.conntrack import Entry
from netsim.kernel.hooks import NEW, Traversal
from netsim.kernel.journey import RuleHit
from netsim.kernel.targets import Dnat, Masquerade, Snat, Target
from netsim.kernel.xtables import Xtables
from netsim.wire.packet import Flow, Packet, RawBody

if TYPE_CHECKING:
    from netsim.kernel.netns import Device, Namespace

Steps = Sequence[tuple[str, str]]

_BITS: Final = 31
_EMPTY_BODY: Final = RawBody(bytes([0x45]) + bytes(19))


class Ruled(Protocol):
    """What is asked of a namespace."""

    xtables: Xtables | None
    ip6tables: Xtables | None

    def is_local(self, address: bytes) -> bool:
        """Whether an address is its own."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way that a new connection can take.

    `flow` is the first packet's after DNAT; `verdict` the Drop or Reject that ended it, or None; `source` how its
    source is rewritten (Masquerade or Snat), or None; `hits` the rules that matched, in order; `visited` how many
    rules Linux would have looked at."""

    probability: float
    flow: Flow
    verdict: Target | None
    source: Target | None
    hits: tuple[RuleHit, ...]
    visited: int


def outcomes(
    ns: Ruled, flow: Flow, now: int = 0, device: str = "", steps: Steps | None = None
) -> list[Outcome]:
    """All outcomes for the first packet of `flow`, most decisive branch first.

    `device` is the name of the device it comes in by, "" for one made here. `steps` are the chains to go through as
    (table, chain); by default those of the hooks that such a packet meets."""
    found: list[Outcome] = []
    todo: list[tuple[bool, ...]] = [()]
    while todo:
        chance = _Chance(todo.pop())
        walk = _Walk(ns, flow, now, device, chance)
        found.append(walk.run(steps))
        todo += chance.untried()
    return found


class _Chance:
    """Stands for the random numbers: follows a script, then says yes, and remembers where it might have said no."""

    def __init__(self, script: tuple[bool, ...]) -> None:
        self.script = script
        self.taken: list[bool] = []
        self.probability = 1.0

    def getrandbits(self, _bits: int) -> "_Draw":
        return _Draw(self)

    def decide(self, threshold: int) -> bool:
        likely = threshold / (1 << _BITS)
        depth = len(self.taken)
        answer = self.script[depth] if depth < len(self.script) else likely > 0
        self.taken.append(answer)
        self.probability *= likely if answer else 1 - likely
        return answer

    def untried(self) -> list[tuple[bool, ...]]:
        """Scripts of the branches that left this one after its own script ended, the deepest last."""
        new = range(len(self.script), len(self.taken))
        return [(*self.taken[:depth], False) for depth in new if self.taken[depth]]


class _Draw(int):
    """A random number that lets its `_Chance` answer the comparison."""

    chance: _Chance

    def __new__(cls, chance: _Chance) -> "_Draw":
        draw = super().__new__(cls)
        draw.chance = chance
        return draw

    def __lt__(self, threshold: int) -> bool:
        return self.chance.decide(threshold)


class _Walk:
    """One pass of the first packet; also the namespace that the matches see."""

    journeys: tuple[Any, ...] = ()

    def __init__(self, ns: Ruled, flow: Flow, now: int, device: str, chance: _Chance) -> None:
        rules = ns.xtables if len(flow.src) == 4 else ns.ip6tables
        assert rules is not None
        self.is_local = ns.is_local
        self.random = chance
        self.tables = rules.scratch()
        self.entry = Entry(flow, now)
        self.t = Traversal(cast("Namespace", self), Packet(flow, _EMPTY_BODY), None, now)
        self.t.ct, self.t.ctstate, self.t.trace = self.entry.original, NEW, []
        if device:
            self.t.in_device = cast("Device", _Named(device))

    def run(self, steps: Steps | None) -> Outcome:
        first, rest = (steps[:1], steps[1:]) if steps is not None else self._arrival()
        verdict = self._go(first)
        if verdict is None:
            verdict = self._go(rest if steps is not None else self._onward())
        source = verdict if isinstance(verdict, Masquerade | Snat) else None
        hits = tuple(self.t.trace or ())
        ended = None if source is not None else verdict
        return Outcome(self.random.probability, self.t.packet.flow, ended, source, hits, self.t.visited)

    def _go(self, steps: Steps) -> Target | None:
        for table, chain in steps:
            target = self.tables.evaluate(table, chain, self.t)
            if isinstance(target, Dnat):
                nat.dnat(self.entry, target.address, target.port)
                flow = self.t.packet.flow
                self.t.packet.flow = nat.with_destination(flow, self.entry.original.rewritten)
            elif target is not None:
                return target
        return None

    def _arrival(self) -> tuple[Steps, Steps]:
        return [("nat", "PREROUTING" if self.t.in_device is not None else "OUTPUT")], ()

    def _onward(self) -> Steps:
        here = self.is_local(self.t.packet.flow.dst)
        if self.t.in_device is None:
            return [("filter", "OUTPUT"), ("nat", "POSTROUTING"), *([("filter", "INPUT")] if here else [])]
        return [("filter", "INPUT")] if here else [("filter", "FORWARD"), ("nat", "POSTROUTING")]


@dataclass(frozen=True, slots=True)
class _Named:
    """A device of which only the name counts."""

    name: str
