"""Everything that the rules of a namespace may do with a new connection, with its probability.

Called by tests, by `explain` and by whoever wants the split to expect: where Linux draws a random number, both branches
are taken, and the real evaluation runs once per branch. Nothing in the namespace changes: counters and recent lists are
scratch copies. The idea is that of the packet tracer in upstream's pkg/proxy/iptables/proxier_test.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from netsim.kernel import nat
from netsim.kernel.conntrack import DST_NAT, Entry
from netsim.kernel.hooks import NEW, Hook, Traversal
from netsim.kernel.journey import RuleHit
from netsim.kernel.nft import BaseChain, Nftables
from netsim.kernel.rule_engine import RuleEngine
from netsim.kernel.targets import Dnat, Masquerade, Snat, Target
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_store import BUILTIN
from netsim.wire.packet import Flow, Packet, RawBody

if TYPE_CHECKING:
    from netsim.kernel.netns import Device, Namespace

Steps = Sequence[tuple[str, str]]  # table and chain; nftables' tables by family and name

_BITS: Final = 31
_SCALE: Final = 32  # reciprocal_scale keeps the upper half of a product with 32 random bits
_EMPTY_BODY: Final = RawBody(bytes([0x45]) + bytes(19))
# iptables's chains by hook, with their priorities: what a new connection meets of them.
_IPTABLES: Final[Mapping[Hook, tuple[tuple[int, str], ...]]] = {
    Hook.PREROUTING: ((-100, "nat"),),
    Hook.INPUT: ((0, "filter"),),
    Hook.FORWARD: ((0, "filter"),),
    Hook.OUTPUT: ((-100, "nat"), (0, "filter")),
    Hook.POSTROUTING: ((100, "nat"),),
}


class Ruled(Protocol):
    """What is asked of a namespace."""

    xtables: Xtables | None
    ip6tables: Xtables | None
    nft: Nftables | None

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
    (table, chain), of iptables or nftables; by default those of the hooks that such a packet meets."""
    found: list[Outcome] = []
    todo: list[tuple[int, ...]] = [()]
    while todo:
        chance = _Chance(todo.pop())
        walk = _Walk(ns, flow, now, device, chance)
        found.append(walk.run(steps))
        todo += chance.untried()
    return found


class _Chance:
    """Stands for the random numbers: follows a script of answers, then takes the first possible one each time, and
    remembers which others there were."""

    def __init__(self, script: tuple[int, ...]) -> None:
        self.script = script
        self.taken: list[int] = []
        self.others: list[tuple[int, ...]] = []
        self.probability = 1.0

    def getrandbits(self, _bits: int) -> "_Draw":
        return _Draw(self)

    def decide(self, threshold: int) -> bool:
        """Whether a random number is below the threshold; yes comes first."""
        likely = threshold / (1 << _BITS)
        return bool(self._take({1: likely, 0: 1 - likely} if likely > 0 else {0: 1.0}))

    def choose(self, modulus: int) -> int:
        """A random number below the modulus."""
        return self._take(dict.fromkeys(range(modulus), 1 / modulus))

    def _take(self, chances: dict[int, float]) -> int:
        depth = len(self.taken)
        answer = self.script[depth] if depth < len(self.script) else next(iter(chances))
        self.taken.append(answer)
        self.others.append(tuple(other for other in chances if other != answer))
        self.probability *= chances[answer]
        return answer

    def untried(self) -> list[tuple[int, ...]]:
        """Scripts of the branches that left this one after its own script ended, the deepest and next one last."""
        new = range(len(self.script), len(self.taken))
        return [(*self.taken[:at], other) for at in new for other in reversed(self.others[at])]


class _Draw(int):
    """A random number that lets its `_Chance` answer the comparison, or the multiplication with a modulus."""

    chance: _Chance

    def __new__(cls, chance: _Chance) -> "_Draw":
        draw = super().__new__(cls)
        draw.chance = chance
        return draw

    def __lt__(self, threshold: int) -> bool:
        return self.chance.decide(threshold)

    def __mul__(self, modulus: int) -> int:
        return self.chance.choose(modulus) << _SCALE


class _Walk:
    """One pass of the first packet; also the namespace that the matches see."""

    journeys: tuple[Any, ...] = ()
    rewrite_subscribers: tuple[Any, ...] = ()

    def __init__(self, ns: Ruled, flow: Flow, now: int, device: str, chance: _Chance) -> None:
        xtables = ns.xtables if len(flow.src) == 4 else ns.ip6tables
        assert xtables is not None
        self.is_local = ns.is_local
        self.random = chance
        self.engines: dict[str, RuleEngine] = dict.fromkeys(BUILTIN, xtables.scratch())
        self.bases: tuple[BaseChain, ...] = ()
        if ns.nft is not None:
            nft = ns.nft.scratch()
            self.engines |= dict.fromkeys(nft.tables, nft)
            self.bases = tuple(b for b in nft.bases if b.table.family in ("inet", family_of(flow.src)))
        self.entry = Entry(flow, now)
        self.t = Traversal(cast("Namespace", self), Packet(flow, _EMPTY_BODY), None, now)
        self.t.ct, self.t.ctstate, self.t.trace = self.entry.original, NEW, []
        if device:
            self.t.in_device = cast("Device", _Named(device))

    def run(self, steps: Steps | None) -> Outcome:
        verdict = self._go(steps) if steps is not None else self._through_hooks()
        source = verdict if isinstance(verdict, Masquerade | Snat) else None
        hits = tuple(self.t.trace or ())
        ended = None if source is not None else verdict
        return Outcome(self.random.probability, self.t.packet.flow, ended, source, hits, self.t.visited)

    def _through_hooks(self) -> Target | None:
        """The hooks that the packet meets; where it goes is decided after the first one's DNAT."""
        coming = self.t.in_device is not None
        verdict = self._go(self._at(Hook.PREROUTING if coming else Hook.OUTPUT))
        if verdict is not None:
            return verdict
        here = self.is_local(self.t.packet.flow.dst)
        if coming:
            rest = [Hook.INPUT] if here else [Hook.FORWARD, Hook.POSTROUTING]
        else:
            rest = [Hook.POSTROUTING, *([Hook.INPUT] if here else [])]
        return self._go([step for hook in rest for step in self._at(hook)])

    def _at(self, hook: Hook) -> list[tuple[str, str]]:
        """The chains at a hook in the order of their priorities, nftables' before others of the same."""
        rows = [
            (b.base.priority, 0, str(b.table), b.name)
            for b in self.bases
            if b.base.hook is hook and not (hook is Hook.INPUT and b.base.type == "nat")
        ]
        rows += [(priority, 1, table, hook.name) for priority, table in _IPTABLES[hook]]
        return [(table, chain) for _, _, table, chain in sorted(rows, key=lambda row: row[:2])]

    def _go(self, steps: Steps) -> Target | None:
        """Through chains, until one ends the packet or rewrites its source; a second DNAT does not count."""
        for table, chain in steps:
            target = self.engines[table].evaluate(table, chain, self.t)
            if isinstance(target, Dnat):
                if not self.entry.nat & DST_NAT:
                    nat.dnat(self.entry, target.address, target.port)
                    flow = self.t.packet.flow
                    self.t.packet.flow = nat.with_destination(flow, self.entry.original.rewritten)
            elif target is not None:
                return target
        return None


@dataclass(frozen=True, slots=True)
class _Named:
    """A device of which only the name counts."""

    name: str


def family_of(address: bytes) -> str:
    """The nftables family of an address."""
    return "ip" if len(address) == 4 else "ip6"
