"""iptables in one network namespace: what its tables say about packets.

Called by the hook functions of `netfilter.py` (`nat`, `filter`), by dataplanes and CNI plug-ins (`commit`,
`ensure_rule`, `restore`, see `xtables_store.py`) and by whoever prints rules (`save`).

An evaluation follows Linux: rule by rule, into chains and back, until something final is said or the policy of the
built-in chain applies. `Traversal.visited` grows by the number of rules that Linux would have looked at, which is what
the crossing costs in simulated time (`xtables_cost.py`); the walk itself looks only at rules that may match
(`xtables_chain.py`), and is remembered for packets of the same kind (`xtables_memo.py`), so wall time does not grow
with the number of Services.

Sources: net/ipv4/netfilter/ip_tables.c (`ipt_do_table`), Linux 6.8.
Simplified: no `-g` (goto); an empty built-in chain with policy ACCEPT does not count packets.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final

from netsim.kernel import reject
from netsim.kernel.hooks import ESTABLISHED, NEW, DropReason
from netsim.kernel.journey import RuleHit
from netsim.kernel.targets import ACCEPT, DROP, Dnat, Kind, Masquerade, Reject, Snat, Target
from netsim.kernel.xtables_chain import Chain, Rule, Table
from netsim.kernel.xtables_cost import traversal_ns
from netsim.kernel.xtables_counter import Counter
from netsim.kernel.xtables_memo import Fork, Key, Leaf, Node
from netsim.kernel.xtables_store import BUILTIN, POLICY, RuleStore, XtablesError
from netsim.wire.packet import Flow

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.netns import Device

# The built-in chain of a hook, by the hook's number.
_CHAIN_AT: Final = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


def _count_nothing(packets: int, size: int) -> None:
    """No rule was met."""


class Xtables(RuleStore):
    """The tables of one namespace and what they say about packets."""

    __slots__ = (
        "_answers",
        "_draws",
        "_ends",
        "_hits",
        "_traversal",
        "lasting",
        "port_blind",
        "pure",
    )

    def __init__(self) -> None:
        super().__init__()
        # The traversal being evaluated, and the ends of its walks so far.
        self._traversal: Traversal | None = None
        self._ends: list[Leaf] = []
        # The walk being made: draws answered beforehand, draws met, rules hit, whether it may be remembered.
        self._answers: Sequence[bool] = ()
        self._draws: list[tuple[int, bool]] = []
        self._hits: list[Counter] = []
        self.pure = True
        self.port_blind = True
        self.lasting = True

    # ------------------------------------------------------------------ evaluation
    def nat(self, t: "Traversal") -> Target | None:
        """What the nat table says at the traversal's hook about the first packet of a flow: Dnat, Snat, Masquerade or
        None."""
        return self.evaluate("nat", _CHAIN_AT[t.hook], t)

    def raw(self, t: "Traversal") -> Target | None:
        """What the raw table says at the traversal's hook: NoTrack, Drop, or None."""
        return self.evaluate("raw", _CHAIN_AT[t.hook], t)

    def filter(self, t: "Traversal") -> DropReason | None:
        """What the filter table says at the traversal's hook; the sender of a rejected packet is told."""
        verdict = self.evaluate("filter", _CHAIN_AT[t.hook], t)
        if verdict is None:
            return None
        if type(verdict) is Reject:
            reject.tell_sender(t.ns, t.packet, verdict.type, t.now)
            return DropReason.NETFILTER_REJECT
        return DropReason.NETFILTER_DROP

    def evaluate(self, table: str, chain: str, t: "Traversal") -> Target | None:
        """The verdict of a chain on a packet: Drop, Reject, Dnat, Snat, Masquerade, or None to let it pass.

        MARK targets change `t.packet.mark`; `t.visited` and, where a journey is followed, `t.trace` grow."""
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
        while type(node) is Fork:
            answer = ns.random.getrandbits(31) < node.threshold
            answers.append(answer)
            node = node.yes if answer else node.no
        if type(node) is not Leaf:
            return self._explore(table, entry, t, answers, key, blind).verdict
        t.visited += node.visited
        packet.mark = node.mark
        node.packets += 1
        node.bytes += packet.size
        self._ends.append(node)
        return node.verdict

    def _explore(
        self,
        table: str,
        entry: Chain,
        t: "Traversal",
        answers: Sequence[bool],
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
            self._hit(table, entry.name, POLICY)
            verdict = DROP if entry.policy == "DROP" else ACCEPT
        leaf = Leaf(
            None if verdict == ACCEPT else verdict, t.visited - before, t.packet.mark, tuple(self._hits)
        )
        leaf.lasting = self.lasting and not self._draws
        leaf.packets, leaf.bytes = 1, t.packet.size
        if key is not None and self.pure:
            self._memo.insert(blind if blind is not None and self.port_blind else key, self._draws, leaf)
        else:
            leaf.settle()
        self._ends.append(leaf)
        return leaf

    def _walk(self, table: str, chains: dict[str, Chain], chain: Chain, t: "Traversal") -> Target | None:
        """Go through a chain; None when it has nothing final to say."""
        steps = chain.program.steps
        if chain.program.indexed:
            self.port_blind = False
        passed = 0  # rules of this chain counted as visited so far
        for position in chain.program.candidates(t.packet.flow):
            tests, target = steps[position]
            for test in tests:
                if not test.matches(t, self):
                    break
            else:
                t.visited += position + 1 - passed
                passed = position + 1
                self._hit(table, chain.name, position)
                if t.trace is not None:
                    self._tell(table, chain, position, t)
                if target is None:
                    continue
                kind = target.kind
                if kind is Kind.JUMP:
                    verdict = self._walk(table, chains, _destination(table, chains, target), t)
                    if verdict is not None:
                        return verdict
                elif kind is Kind.FINAL:
                    return target
                elif kind is Kind.RETURN:
                    return None
                else:
                    target.change(t.packet)
        t.visited += len(steps) - passed
        return None

    def draw(self, threshold: int, rng: Random) -> bool:
        """A random decision of the walk: whether 31 random bits are below the threshold."""
        met = len(self._draws)
        answer = self._answers[met] if met < len(self._answers) else rng.getrandbits(31) < threshold
        self._draws.append((threshold, answer))
        return answer

    def _hit(self, table: str, chain: str, position: int) -> None:
        cells = self._counters.get((table, chain))
        if cells is None:
            cells = self._counters[table, chain] = {}
        counter = cells.get(position)
        if counter is None:
            counter = cells[position] = Counter()
        self._hits.append(counter)

    @staticmethod
    def _tell(table: str, chain: Chain, position: int, t: "Traversal") -> None:
        text = str(chain.rules[position])
        assert t.trace is not None
        t.trace.append(RuleHit(table, chain.name, text))
        if t.ns.journeys:
            t.ns.tell(t.packet, t.now, "rule", f"{table}: -A {chain.name} {text}", t.hook.name)

    # ------------------------------------------------------------------ what is remembered
    def counting(self, t: "Traversal") -> Callable[[int, int], None] | None:
        """A function that counts further packets on all rules that this traversal has matched; None if it met none.

        For the remembered way of an established flow, whose packets are not evaluated one by one."""
        if t is not self._traversal or not self._ends:
            return None
        hits = [counter for end in self._ends for counter in end.hits]

        def count(packets: int, size: int) -> None:
            for counter in hits:
                counter.add(packets, size)

        return count

    def foreseen(
        self, src: bytes, dst: bytes, in_device: "Device", out_device: "Device"
    ) -> Callable[[int, int], None] | None:
        """If it is remembered that FORWARD lets every established packet from `src` to `dst` pass: the function that
        counts such packets on the rules; None if that is not known."""
        entry, memo = self.tables["filter"]["FORWARD"], self._memo
        if not entry.rules and entry.policy == "ACCEPT":
            return _count_nothing
        leaf = memo.roots.get(("filter", "FORWARD", src, dst, -1, -1, ESTABLISHED, 0, in_device, out_device))
        if type(leaf) is Leaf and leaf.lasting and leaf.verdict is None and leaf.mark == 0:
            return leaf.credit
        return None

    def first_packets(
        self, before: Flow, after: Flow, in_device: "Device", out_device: "Device"
    ) -> tuple[Node | None, Leaf | None, tuple[Leaf, ...]] | None:
        """What is remembered of unmarked first packets that were `before` and became `after`: how PREROUTING
        branches, the end that it came to just now, and the ends in FORWARD and POSTROUTING; None if not all
        of that is known."""
        known, root = self._known("nat", "PREROUTING", before, in_device, None)
        if not known:
            return None
        reached = self._ends[0] if root is not None else None
        rest: list[Leaf] = []
        for table, chain in (("filter", "FORWARD"), ("nat", "POSTROUTING")):
            known, leaf = self._known(table, chain, after, in_device, out_device)
            if not known or isinstance(leaf, Fork) or (leaf is not None and leaf.verdict is not None):
                return None
            rest += [leaf] if leaf is not None else []
        ends = rest if reached is None else [reached, *rest]
        return (root, reached, tuple(rest)) if all(not end.mark for end in ends) else None

    def _known(
        self, table: str, chain: str, flow: Flow, in_device: "Device", out_device: "Device | None"
    ) -> tuple[bool, Node | None]:
        """Whether it is remembered what a chain does with a first packet, and what (None: it has no rules)."""
        entry = self.tables[table][chain]
        if not entry.rules and entry.policy == "ACCEPT":
            return True, None
        src, dst, _, dport, proto = flow
        node = self._memo.roots.get((table, chain, src, dst, dport, proto, NEW, 0, in_device, out_device))
        return node is not None, node

    def lasts(self, t: "Traversal") -> bool:
        """Whether what the rules said of this traversal goes for the flow's next packets too: no lots were drawn, and
        nothing with a memory was asked."""
        return t is not self._traversal or all(end.lasting for end in self._ends)

    def scratch(self) -> "Xtables":
        """The same rules with counters at zero and empty recent lists, for trying things out. Not to be changed."""
        twin = Xtables()
        twin.tables = self.tables
        return twin

    # ------------------------------------------------------------------ text
    def restore(self, text: str) -> None:
        """Load rules written for `iptables-restore --noflush`. Raises XtablesError naming the line."""
        from netsim.kernel import xtables_restore

        xtables_restore.restore(self, text)

    def save(self, counters: bool = False, tool: bool = False) -> str:
        """The rules as text; see `xtables_text.save`."""
        from netsim.kernel import xtables_text

        return xtables_text.save(self, counters, tool)


def _destination(table: str, chains: dict[str, Chain], target: Target) -> Chain:
    name: str = target.chain  # type: ignore[attr-defined]
    try:
        return chains[name]
    except KeyError:
        raise XtablesError(f"{table}: a rule jumps to {name}, which does not exist") from None


__all__ = [
    "BUILTIN", "Chain", "Counter", "Dnat", "Masquerade", "Rule", "Snat", "Table", "Xtables", "XtablesError",
    "traversal_ns",
]  # fmt: skip
