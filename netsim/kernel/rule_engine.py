"""What iptables and nftables have in common in one namespace: walking packets through rules, and remembering the walks.

`Xtables` and `Nftables` add the walk itself. An evaluation follows Linux rule by rule, until something final is said or
the policy of the base chain applies; `Traversal.visited` grows by the rules that Linux would have looked at, which is
what the crossing costs in simulated time. Walks are remembered for packets of the same kind (`xtables_memo.py`), so
that wall time does not grow with the number of Services. The functions at the end ask all engines of a namespace at
once: packets of known flows are not evaluated one by one (`path.py`, `firstpath.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from netsim.kernel import reject
from netsim.kernel.hooks import ESTABLISHED, NEW, DropReason, Hook
from netsim.kernel.targets import ACCEPT, DROP, Reject, Target
from netsim.kernel.xtables_memo import Draw, Fork, Key, Leaf, Memo, Node, Spread
from netsim.wire.packet import Flow

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.netns import Device
    from netsim.kernel.xtables_counter import Counter

Place = tuple[str, str]  # table and base chain
Credit = Callable[[int, int], None]


class Known(NamedTuple):
    """What an engine remembers of first packets: how PREROUTING's nat rules branch (None: it has none), the end that
    was come to just now, and the ends of the other chains."""

    root: Node | None
    reached: Leaf | None
    rest: tuple[Leaf, ...]


class RuleEngine(ABC):
    """The rules of one kind in one namespace. `tables` holds the chains by table and name; `changed` is to be called
    after every change of rules."""

    __slots__ = (
        "_answers",
        "_draws",
        "_ends",
        "_hits",
        "_memo",
        "_traversal",
        "changed",
        "lasting",
        "port_blind",
        "pure",
        "tables",
    )

    tables: dict[str, dict[str, Any]]

    def __init__(self) -> None:
        self.changed: Callable[[], None] = _nobody
        self._memo = Memo()
        # The traversal being evaluated, and the ends of its walks so far.
        self._traversal: Traversal | None = None
        self._ends: list[Leaf] = []
        # The walk being made: draws answered beforehand, draws met, rules hit, whether it may be remembered.
        self._answers: Sequence[int] = ()
        self._draws: list[Draw] = []
        self._hits: list[Counter] = []
        self.pure = True
        self.port_blind = True
        self.lasting = True

    # ------------------------------------------------------------------ what the kinds of engine add
    @abstractmethod
    def places(self, hook: Hook, kind: str, length: int) -> Sequence[Place]:
        """The base chains of a kind ("filter", "nat", or "late": filter chains behind PREROUTING's nat) at a hook that
        a packet may meet whose addresses have `length` bytes, in order."""

    @abstractmethod
    def _walk(self, table: str, chains: dict[str, Any], chain: Any, t: "Traversal") -> Target | None:
        """Go through a chain; None when it has nothing final to say."""

    @abstractmethod
    def _ended(self, table: str, chain: Any) -> None:
        """A packet has come to the end of a base chain."""

    # ------------------------------------------------------------------ evaluation
    def evaluate(self, table: str, chain: str, t: "Traversal") -> Target | None:
        """The verdict of a base chain on a packet: Drop, Reject, Dnat, Snat, Masquerade, or None to let it pass.

        Rules may change `t.packet.mark`; `t.visited` and, where a journey is followed, `t.trace` grow."""
        entry = self.tables[table][chain]
        if not entry.rules and entry.policy == "ACCEPT":
            return None
        if t is not self._traversal:
            self._traversal = t
            self._ends = []
        if t.trace is not None:
            return self._explore(table, entry, t, (), None, None).verdict
        ns, packet, memo = t.ns, t.packet, self._memo
        if memo.generation != ns.generation:
            memo.forget()
            memo.generation = ns.generation
        src, dst, _, dport, proto = packet.flow
        node, blind, state = None, None, t.ctstate
        if state is ESTABLISHED:
            # Most walks of established packets never ask for protocol or port, which answers have another one of.
            blind = (table, chain, src, dst, -1, -1, state, packet.mark, t.in_device, t.out_device)
            node = memo.roots.get(blind)
        key: Key = blind or ()
        if node is None:
            key = (table, chain, src, dst, dport, proto, state, packet.mark, t.in_device, t.out_device)
            node = memo.roots.get(key)
        answers = []
        while type(node) is not Leaf and node is not None:
            if type(node) is Fork:
                answer = int(ns.random.getrandbits(31) < node.threshold)
            else:
                answer = ns.random.getrandbits(32) * node.modulus >> 32  # type: ignore[union-attr]  # a Spread
            answers.append(answer)
            node = node.child(answer)  # type: ignore[union-attr]  # no Leaf
        if node is None:
            return self._explore(table, entry, t, answers, key, blind).verdict
        t.visited += node.visited
        packet.mark = node.mark
        node.packets += 1
        node.bytes += packet.size
        self._ends.append(node)
        return node.verdict

    def judge(self, table: str, chain: str, t: "Traversal") -> DropReason | None:
        """What a filter chain says: None, or why the packet ends; the sender of a rejected packet is told."""
        verdict = self.evaluate(table, chain, t)
        if verdict is None:
            return None
        if type(verdict) is Reject:
            reject.tell_sender(t.ns, t.packet, verdict.type, t.now)
            return DropReason.NETFILTER_REJECT
        return DropReason.NETFILTER_DROP

    def _explore(
        self,
        table: str,
        entry: Any,
        t: "Traversal",
        answers: Sequence[int],
        key: Key | None,
        blind: Key | None,
    ) -> Leaf:
        """Walk through the rules, with the first draws already answered; remember the way under `key`, or under
        `blind` for an established packet whose port nobody asked for."""
        self.pure = self.port_blind = self.lasting = True
        self._answers, self._draws, self._hits = answers, [], []
        before = t.visited
        verdict = self._walk(table, self.tables[table], entry, t)
        if verdict is None:
            self._ended(table, entry)
            verdict = DROP if entry.policy == "DROP" else ACCEPT
        leaf = Leaf(
            None if verdict == ACCEPT else verdict, t.visited - before, t.packet.mark, tuple(self._hits)
        )
        leaf.lasting = self.lasting and not self._draws
        leaf.packets, leaf.bytes = 1, t.packet.size
        if key is not None and self.pure:
            t.ns.unforeseen.clear()
            self._memo.insert(blind if blind is not None and self.port_blind else key, self._draws, leaf)
        else:
            leaf.settle()
        self._ends.append(leaf)
        return leaf

    def draw(self, threshold: int, rng: Random) -> bool:
        """A random decision of the walk: whether 31 random bits are below the threshold."""
        met = len(self._draws)
        answer = bool(self._answers[met] if met < len(self._answers) else rng.getrandbits(31) < threshold)
        self._draws.append((Fork, threshold, answer))
        return answer

    def pick(self, modulus: int, rng: Random) -> int:
        """A random number of the walk, from 0 to `modulus` - 1."""
        met = len(self._draws)
        answer = self._answers[met] if met < len(self._answers) else rng.getrandbits(32) * modulus >> 32
        self._draws.append((Spread, modulus, answer))
        return answer

    # ------------------------------------------------------------------ what is remembered
    def lasts(self, t: "Traversal") -> bool:
        """Whether what the rules said of this traversal goes for the flow's next packets too: no lots were drawn, and
        nothing with a memory was asked."""
        return t is not self._traversal or all(end.lasting for end in self._ends)

    def counters_met(self, t: "Traversal") -> "list[Counter]":
        """The counters of all rules that this traversal has matched."""
        return [] if t is not self._traversal else [counter for end in self._ends for counter in end.hits]

    def foreseen(
        self, src: bytes, asked: bytes, dst: bytes, in_device: "Device", out_device: "Device"
    ) -> list[Leaf] | None:
        """If it is remembered that the filters let every established packet pass that comes from `src` for `asked` and
        goes to `dst`: the ends it comes to; None if that is not known."""
        wanted: list[tuple[Place, bytes, Device | None]]
        size = len(src)
        wanted = [(place, asked, None) for place in self.places(Hook.PREROUTING, "filter", size)]
        wanted += [(place, dst, out_device) for place in self.places(Hook.FORWARD, "filter", size)]
        if self.places(Hook.PREROUTING, "late", size) or self.places(Hook.POSTROUTING, "filter", size):
            return None
        ends = []
        for (table, chain), address, out in wanted:
            entry = self.tables[table][chain]
            if entry.rules or entry.policy != "ACCEPT":
                leaf = self._memo.roots.get(
                    (table, chain, src, address, -1, -1, ESTABLISHED, 0, in_device, out)
                )
                if type(leaf) is not Leaf or not leaf.lasting or leaf.verdict is not None or leaf.mark:
                    return None
                ends.append(leaf)
        return ends

    def first_packets(
        self, before: Flow, after: Flow, in_device: "Device", out_device: "Device"
    ) -> Known | None:
        """What is remembered of unmarked first packets that were `before` and became `after`; None if not all of it is
        known, or if it is not always the same but for the nat rules of PREROUTING."""
        size = len(before.src)
        asking = self.places(Hook.PREROUTING, "nat", size)
        if len(asking) > 1 or self.places(Hook.PREROUTING, "late", size):
            return None
        early = self._all_ends(self.places(Hook.PREROUTING, "filter", size), before, in_device, None)
        late = self._all_ends(
            (
                *self.places(Hook.FORWARD, "filter", size),
                *self.places(Hook.POSTROUTING, "filter", size),
                *self.places(Hook.POSTROUTING, "nat", size),
            ),
            after,
            in_device,
            out_device,
        )
        known, root = self._known(asking[0], before, in_device, None) if asking else (True, None)
        if early is None or late is None or not known:
            return None
        reached = self._ends[len(early)] if root is not None else None
        if reached is not None and reached.mark:
            return None
        return Known(root, reached, (*early, *late))

    def _all_ends(
        self, places: Iterable[Place], flow: Flow, in_device: "Device", out_device: "Device | None"
    ) -> list[Leaf] | None:
        """The ends in some chains, if all are known and let the packet pass as it is."""
        ends: list[Leaf] = []
        for place in places:
            known, node = self._known(place, flow, in_device, out_device)
            if not known:
                return None
            if node is not None:
                if type(node) is not Leaf or node.verdict is not None or node.mark:
                    return None
                ends.append(node)
        return ends

    def _known(
        self, place: Place, flow: Flow, in_device: "Device", out_device: "Device | None"
    ) -> tuple[bool, Node | None]:
        """Whether it is remembered what a chain does with a first packet, and what (None: it has no rules)."""
        table, chain = place
        entry = self.tables[table][chain]
        if not entry.rules and entry.policy == "ACCEPT":
            return True, None
        src, dst, _, dport, proto = flow
        node = self._memo.roots.get((table, chain, src, dst, dport, proto, NEW, 0, in_device, out_device))
        return node is not None, node


def _nobody() -> None:
    """Nobody wants to know of changes."""


def _count_nothing(packets: int, size: int) -> None:
    """No rule was met that counts."""


# ---------------------------------------------------------------------- all engines of a namespace
def counting(engines: Iterable[RuleEngine], t: "Traversal") -> Credit | None:
    """A function that counts further packets on all rules that this traversal has matched; None if it met none.

    For the remembered way of an established flow."""
    hits = [counter for engine in engines for counter in engine.counters_met(t)]
    if not hits:
        return None

    def count(packets: int, size: int) -> None:
        for counter in hits:
            counter.add(packets, size)

    return count


def foreseen(
    engines: Iterable[RuleEngine],
    src: bytes,
    asked: bytes,
    dst: bytes,
    in_device: "Device",
    out_device: "Device",
) -> Credit | None:
    """See `RuleEngine.foreseen`: a function that counts such packets on the rules; None if an engine does not know."""
    ends: list[Leaf] = []
    for engine in engines:
        found = engine.foreseen(src, asked, dst, in_device, out_device)
        if found is None:
            return None
        ends += [end for end in found if end.hits]
    if len(ends) <= 1:
        return ends[0].credit if ends else _count_nothing

    def credit(packets: int, size: int) -> None:
        for end in ends:
            end.credit(packets, size)

    return credit


def first_packets(
    engines: Iterable[RuleEngine], before: Flow, after: Flow, in_device: "Device", out_device: "Device"
) -> Known | None:
    """See `RuleEngine.first_packets`. Only one engine may have nat rules in PREROUTING: with two, what the second is
    asked depends on the first."""
    root, reached = None, None
    rest: tuple[Leaf, ...] = ()
    for engine in engines:
        known = engine.first_packets(before, after, in_device, out_device)
        if known is None or (root is not None and known.root is not None):
            return None
        if known.root is not None:
            root, reached = known.root, known.reached
        rest += known.rest
    return Known(root, reached, rest)


def spread(node: Node | None, rng: Random) -> Leaf | None:
    """Follow draws of every kind to their end."""
    while type(node) is not Leaf and node is not None:
        if type(node) is Fork:
            node = node.yes if rng.getrandbits(31) < node.threshold else node.no
        else:
            node = node.child(rng.getrandbits(32) * node.modulus >> 32)  # type: ignore[union-attr]  # a Spread
    return node
