"""nftables in one network namespace: what its tables say about packets.

Called at the hooks (`nft_hooks.py`) once there is a base chain, by dataplanes (`commit`), and by whoever prints rules
(`list_ruleset`). The evaluation and its memory are those of `rule_engine.py`. Sets and verdict maps are look-ups, so
the number of rules visited, and with it the cost of a first packet, does not grow with the number of Services.

Source: net/netfilter/nf_tables_core.c (`nft_do_chain`), nf_tables_api.c of Linux 6.8.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from netsim.kernel import nft_transaction as tx
from netsim.kernel.hooks import Hook
from netsim.kernel.journey import NftRuleHit
from netsim.kernel.nft_check import Draft, NftError
from netsim.kernel.nft_table import FAMILY_LENGTHS, Base, Chain, NamedSet, Rule, TableId
from netsim.kernel.nft_verdict import Flow, Verdict
from netsim.kernel.rule_engine import Place, RuleEngine
from netsim.kernel.targets import Target
from netsim.kernel.xtables_counter import Counter

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal


class BaseChain(NamedTuple):
    """A base chain in its place."""

    table: TableId
    name: str
    base: Base


_DNAT: Final = -100  # NF_IP_PRI_NAT_DST


def _nobody() -> None:
    """Nobody wants to know."""


class Nftables(RuleEngine):
    """The tables of one namespace and what they say about packets. `registered` is called when base chains came or
    went; `current` are the sets of the table being walked."""

    __slots__ = ("_counters", "_places", "_uses", "bases", "comments", "current", "registered", "sets")

    tables: dict[str, dict[str, Chain]]

    def __init__(self) -> None:
        super().__init__()
        self.tables = {}
        self.sets: dict[str, dict[str, NamedSet]] = {}
        self.comments: dict[TableId, str] = {}
        self.bases: tuple[BaseChain, ...] = ()  # the newest first
        self.registered: Callable[[], None] = _nobody
        self.current: dict[str, NamedSet] = {}
        self._places: dict[tuple[Hook, str, int], tuple[Place, ...]] = {}
        self._counters: dict[tuple[str, str, int], Counter] = {}
        # How often chains and sets (`@name`) are used by rules and elements, by table.
        self._uses: dict[str, dict[str, int]] = {}

    # ------------------------------------------------------------------ evaluation
    def places(self, hook: Hook, kind: str, length: int) -> Sequence[Place]:
        """See `RuleEngine.places`."""
        return self._places.get((hook, kind, length), ())

    def _walk(self, table: str, chains: dict[str, Chain], chain: Chain, t: "Traversal") -> Target | None:
        self.current = self.sets[table]
        return self._go(table, chains, chain, t)

    def _ended(self, table: str, chain: Chain) -> None:
        """Policies of nftables count nothing."""

    def _go(self, table: str, chains: dict[str, Chain], chain: Chain, t: "Traversal") -> Target | None:
        """Go through a chain; None when it has nothing final to say."""
        for position, rule in enumerate(chain.rules):
            t.visited += 1
            verdict = self._meets(rule, t)
            if verdict is None:
                continue
            if rule.counted:
                self._hits.append(self._counter(table, chain.name, position))
            if t.trace is not None:
                self._tell(table, chain, position, verdict, t)
            flow = verdict.flow
            if flow is Flow.FINAL:
                return verdict.target
            if flow is Flow.GOTO:
                return self._go(table, chains, chains[verdict.chain], t)
            if flow is Flow.JUMP:
                final = self._go(table, chains, chains[verdict.chain], t)
                if final is not None:
                    return final
            elif flow is Flow.RETURN:
                return None
        return None

    def _meets(self, rule: Rule, t: "Traversal") -> Verdict | None:
        """The verdict of a rule that matches."""
        for expression in rule.expressions:
            if not expression.matches(t, self):
                return None
        verdict = rule.verdict
        if type(verdict) is Verdict:
            return verdict
        return verdict.choose(t, self) if verdict is not None else _GO_ON  # type: ignore[union-attr]  # a Chooser

    def _counter(self, table: str, chain: str, position: int) -> Counter:
        return self._counters.setdefault((table, chain, position), Counter())

    def _tell(self, table: str, chain: Chain, position: int, verdict: Verdict, t: "Traversal") -> None:
        hit = NftRuleHit(table, chain.name, chain.rules[position].listed(), verdict=str(verdict))
        assert t.trace is not None
        t.trace.append(hit)
        if t.ns.journeys:
            counter = ""
            if chain.rules[position].counted:
                packets, size = self._hits[-1].including(t.packet.size)
                counter = f"counter packets {packets} bytes {size}"
            hit = replace(hit, saved=chain.rules[position].listed(counter))
            t.ns.tell(t.packet, t.now, "rule", str(hit), t.hook.name, hit)

    # ------------------------------------------------------------------ changes
    def commit(self, transaction: tx.Transaction) -> None:
        """Carry out a transaction. Raises NftError, and changes nothing, if nft would refuse it (`nft_check.py`)."""
        table = transaction.table
        chains, sets = self.tables.get(str(table), {}), self.sets.get(str(table), {})
        draft, uses = Draft(chains, sets), self._uses.setdefault(str(table), {})
        draft.check(transaction.commands, uses)
        for name, change in draft.delta.items():
            uses[name] = uses.get(name, 0) + change
            if not uses[name]:
                del uses[name]
        self._memo.forget()
        self.tables[str(table)], self.sets[str(table)] = chains, sets
        self.comments[table] = transaction.comment or self.comments.get(table, "")
        bases: list[tuple[str, Base | None]] = []
        for command in transaction.commands:
            kind = type(command)
            if kind is tx.Write:
                self._write(table, chains, command.chain, bases)  # type: ignore[union-attr]  # a Write
            elif kind is tx.AddElement or kind is tx.DeleteElement:
                element = command.element  # type: ignore[union-attr]  # one of these
                if kind is tx.AddElement:
                    sets[element.set].elements[element.key] = element
                else:
                    sets[element.set].elements.pop(element.key, None)
            else:
                _SIMPLE[kind](self, table, command, bases)
        if bases:
            self._register(table, bases)
        self.changed()

    def _write(
        self, table: TableId, chains: dict[str, Chain], chain: Chain, bases: list[tuple[str, Base | None]]
    ) -> None:
        old = chains.get(chain.name)
        if old is not None and any(rule.counted for rule in old.rules):
            self._forget_counters(table, chain.name)
        if chain.base != (old.base if old is not None else None):
            bases.append((chain.name, chain.base))
        chains[chain.name] = chain

    def _forget_counters(self, table: TableId, chain: str) -> None:
        for key in [key for key in self._counters if key[:2] == (str(table), chain)]:
            del self._counters[key]

    def delete_table(self, table: TableId) -> None:
        """`nft delete table`."""
        self._memo.forget()
        chains = self.tables.pop(str(table), {})
        self.sets.pop(str(table), None)
        self._uses.pop(str(table), None)
        self.comments.pop(table, None)
        for name in chains:
            self._forget_counters(table, name)
        self._register(table, [(name, None) for name, chain in chains.items() if chain.base is not None])
        self.changed()

    def _register(self, table: TableId, bases: list[tuple[str, Base | None]]) -> None:
        """Base chains came or went: a new one stands before older ones of the same priority (nf_hook_entries_grow)."""
        names = {name for name, _ in bases}
        kept = [b for b in self.bases if b.table != table or b.name not in names]
        new = [BaseChain(table, name, base) for name, base in bases if base is not None]
        self.bases = tuple(sorted((*reversed(new), *kept), key=lambda b: b.base.priority))
        self._places = {}
        for found in self.bases:
            for length in FAMILY_LENGTHS[found.table.family]:
                base = found.base
                late = (base.hook, base.type) == (Hook.PREROUTING, "filter") and base.priority >= _DNAT
                key = base.hook, "late" if late else base.type, length
                self._places[key] = (*self._places.get(key, ()), (str(found.table), found.name))
        self.registered()

    # ------------------------------------------------------------------ text and trials
    def counter(self, table: TableId, chain: str, position: int) -> Counter:
        """The counter of a rule; zero where nothing matched yet. Not live."""
        self._memo.settle()
        return self._counters.get((str(table), chain, position)) or Counter()

    def list_ruleset(self, now: int = 0) -> str:
        """`nft list ruleset`."""
        from netsim.kernel import nft_text

        return nft_text.ruleset(self, now)

    def scratch(self) -> "Nftables":
        """The same rules with counters at zero and nothing learnt, for trying things out. Not to be changed."""
        twin = Nftables()
        twin.tables, twin.bases, twin._places = self.tables, self.bases, self._places
        twin.sets = {
            table: {name: found.scratch() for name, found in sets.items()}
            for table, sets in self.sets.items()
        }
        return twin


_GO_ON = Verdict(Flow.CONTINUE)
_Bases = list[tuple[str, Base | None]]


def _flush_chain(x: Nftables, table: TableId, command: tx.Command, bases: _Bases) -> None:
    assert isinstance(command, tx.FlushChain)
    old = x.tables[str(table)][command.name]
    x._forget_counters(table, command.name)
    x.tables[str(table)][command.name] = Chain(old.name, (), old.base, old.comment)


def _delete_chain(x: Nftables, table: TableId, command: tx.Command, bases: _Bases) -> None:
    assert isinstance(command, tx.DeleteChain)
    old = x.tables[str(table)].pop(command.name, None)
    x._forget_counters(table, command.name)
    if old is not None and old.base is not None:
        bases.append((old.name, None))


def _add_set(x: Nftables, table: TableId, command: tx.Command, bases: _Bases) -> None:
    assert isinstance(command, tx.AddSet)
    sets, spec = x.sets[str(table)], command.spec
    if spec.name in sets:
        sets[spec.name].spec = spec
    else:
        sets[spec.name] = NamedSet(spec)


def _flush_set(x: Nftables, table: TableId, command: tx.Command, bases: _Bases) -> None:
    assert isinstance(command, tx.FlushSet)
    x.sets[str(table)][command.name].flush()


def _delete_set(x: Nftables, table: TableId, command: tx.Command, bases: _Bases) -> None:
    assert isinstance(command, tx.DeleteSet)
    x.sets[str(table)].pop(command.name, None)


_SIMPLE: dict[type[tx.Command], Callable[[Nftables, TableId, tx.Command, _Bases], None]] = {
    tx.FlushChain: _flush_chain,
    tx.DeleteChain: _delete_chain,
    tx.AddSet: _add_set,
    tx.FlushSet: _flush_set,
    tx.DeleteSet: _delete_set,
}

__all__ = ["BaseChain", "NftError", "Nftables"]
