"""iptables (or ip6tables: a second set of tables) in one network namespace: what its tables say about packets.

Called by the hook functions of `netfilter.py` (`nat`, `filter`), by dataplanes and CNI plug-ins (`commit`,
`ensure_rule`, `restore`, see `xtables_store.py`) and by whoever prints rules (`save`).

The evaluation and its memory are those of `rule_engine.py`. The walk counts every rule that Linux would have looked at
(`xtables_cost.py` says what that costs), but looks only at rules that may match (`xtables_chain.py`).

Sources: net/ipv4/netfilter/ip_tables.c (`ipt_do_table`), Linux 6.8.
Simplified: no `-g` (goto); an empty built-in chain with policy ACCEPT does not count packets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netsim.kernel.hooks import DropReason, Hook
from netsim.kernel.journey import RuleHit
from netsim.kernel.rule_engine import Place
from netsim.kernel.targets import Dnat, Kind, Masquerade, Snat, Target
from netsim.kernel.xtables_chain import Chain, Rule, Table
from netsim.kernel.xtables_cost import traversal_ns
from netsim.kernel.xtables_counter import Counter
from netsim.kernel.xtables_store import BUILTIN, POLICY, RuleStore, XtablesError

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal

# The built-in chain of a hook, by the hook's number.
_CHAIN_AT: Final = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_PLACES: Final[Mapping[tuple[Hook, str], tuple[Place, ...]]] = {
    (Hook[chain], table): ((table, chain),) for table in ("nat", "filter") for chain in BUILTIN[table]
}


class Xtables(RuleStore):
    """The tables of one namespace and what they say about packets."""

    __slots__ = ()

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
        return self.judge("filter", _CHAIN_AT[t.hook], t)

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

    def _ended(self, table: str, chain: Chain) -> None:
        self._hit(table, chain.name, POLICY)

    def _hit(self, table: str, chain: str, position: int) -> None:
        cells = self._counters.get((table, chain))
        if cells is None:
            cells = self._counters[table, chain] = {}
        counter = cells.get(position)
        if counter is None:
            counter = cells[position] = Counter()
        self._hits.append(counter)

    def _tell(self, table: str, chain: Chain, position: int, t: "Traversal") -> None:
        rule = chain.rules[position]
        assert t.trace is not None
        hit = RuleHit(table, chain.name, str(rule))
        t.trace.append(hit)
        if t.ns.journeys:
            packets, size = self._hits[-1].including(t.packet.size)
            hit = replace(hit, saved=f"[{packets}:{size}] -A {chain.name} {rule.saved}")
            t.ns.tell(t.packet, t.now, "rule", str(hit), t.hook.name, hit)

    def places(self, hook: Hook, kind: str, length: int) -> Sequence[Place]:
        """See `RuleEngine.places`."""
        return _PLACES.get((hook, kind), ()) if (length == 16) is self.ipv6 else ()

    def scratch(self) -> "Xtables":
        """The same rules with counters at zero and empty recent lists, for trying things out. Not to be changed."""
        twin = Xtables(self.ipv6)
        twin.tables, twin.ipsets = self.tables, self.ipsets
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
