"""iptables in one network namespace: the tables, their evaluation, counters and recent lists.

Called by the hook functions of `netfilter.py` (`nat`, `filter`), by dataplanes and CNI plug-ins (`commit`,
`ensure_rule`, `restore`) and by whoever prints rules (`save`).

An evaluation follows Linux: rule by rule, into chains and back, until something final is said or the policy of the
built-in chain applies. `Traversal.visited` grows by the number of rules that Linux would have looked at, which is what
the crossing costs in simulated time (`xtables_cost.py`); the walk itself looks only at rules that may match
(`xtables_chain.py`), so wall time does not grow with the number of Services.

Sources: net/ipv4/netfilter/ip_tables.c (`ipt_do_table`), net/netfilter/xt_recent.c of Linux 6.8; iptables-restore(8).
Simplified: no `-g` (goto); an empty built-in chain with policy ACCEPT does not count packets.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from netsim.kernel import reject
from netsim.kernel.hooks import DropReason
from netsim.kernel.journey import RuleHit
from netsim.kernel.targets import ACCEPT, DROP, Dnat, Kind, Masquerade, Reject, Snat, Target
from netsim.kernel.xtables_chain import Chain, Rule, Table
from netsim.kernel.xtables_cost import traversal_ns
from netsim.kernel.xtables_recent import RecentList

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal

BUILTIN: Final[Mapping[str, tuple[str, ...]]] = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}
# The built-in chain of a hook, by the hook's number.
_CHAIN_AT: Final = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_POLICY: Final = -1  # the counter of a chain's policy stands before those of its rules
_JUMP, _RETURN, _FINAL = Kind.JUMP, Kind.RETURN, Kind.FINAL


class XtablesError(ValueError):
    """A change that iptables would refuse; the message is what it would say."""


class Counter:
    """Packets and bytes that a rule matched in one namespace."""

    __slots__ = ("bytes", "packets")

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0

    def add(self, packets: int, size: int) -> None:
        """Count packets of `size` bytes in all."""
        self.packets += packets
        self.bytes += size

    def __repr__(self) -> str:
        return f"[{self.packets}:{self.bytes}]"


def _nobody() -> None:
    """Nobody wants to know of changes."""


class Xtables:
    """The tables of one namespace. Every built-in chain is there from the start, empty, with policy ACCEPT.

    `changed` is called after every change of rules."""

    __slots__ = (
        "_counters",
        "_hits",
        "_nfacct",
        "_recent",
        "_recent_uses",
        "_traversal",
        "changed",
        "tables",
    )

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Chain]] = {
            table: {name: Chain(name, policy="ACCEPT") for name in chains}
            for table, chains in BUILTIN.items()
        }
        self.changed: Callable[[], None] = _nobody
        self._counters: dict[tuple[str, str], dict[int, Counter]] = {}
        self._recent: dict[str, RecentList] = {}
        self._recent_uses: dict[str, int] = {}
        self._nfacct: dict[str, Counter] = {}
        self._traversal: Traversal | None = None
        self._hits: list[Counter] = []

    # ------------------------------------------------------------------ evaluation
    def nat(self, t: "Traversal") -> Target | None:
        """What the nat table says at the traversal's hook about the first packet of a flow: Dnat, Snat, Masquerade or
        None."""
        return self.evaluate("nat", _CHAIN_AT[t.hook], t)

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
        """The verdict of a built-in chain on a packet: Drop, Reject, Dnat, Snat, Masquerade, or None to let it pass.

        MARK targets change `t.packet.mark`; `t.visited` and, where a journey is followed, `t.trace` grow."""
        chains = self.tables[table]
        entry = chains[chain]
        if not entry.rules and entry.policy == "ACCEPT":
            return None
        if t is not self._traversal:
            self._traversal = t
            self._hits = []
        verdict = self._walk(table, chains, entry, t)
        if verdict is None:
            self._count(table, chain, _POLICY, t.packet.size)
            return DROP if entry.policy == "DROP" else None
        return None if verdict == ACCEPT else verdict

    def _walk(self, table: str, chains: dict[str, Chain], chain: Chain, t: "Traversal") -> Target | None:
        """Go through a chain; None when it has nothing final to say."""
        packet = t.packet
        program = chain.program
        steps = program.steps
        passed = 0  # rules of this chain counted as visited so far
        for position in program.candidates(packet.flow):
            tests, target = steps[position]
            for test in tests:
                if not test.matches(t, self):
                    break
            else:
                t.visited += position + 1 - passed
                passed = position + 1
                self._count(table, chain.name, position, packet.size)
                if t.trace is not None:
                    self._tell(table, chain, position, t)
                if target is None:
                    continue
                kind = target.kind
                if kind is _JUMP:
                    verdict = self._walk(table, chains, _destination(table, chains, target), t)
                    if verdict is not None:
                        return verdict
                elif kind is _FINAL:
                    return target
                elif kind is _RETURN:
                    return None
                else:
                    target.change(packet)
        t.visited += len(steps) - passed
        return None

    def _count(self, table: str, chain: str, position: int, size: int) -> None:
        cells = self._counters.get((table, chain))
        if cells is None:
            cells = self._counters[table, chain] = {}
        counter = cells.get(position)
        if counter is None:
            counter = cells[position] = Counter()
        counter.packets += 1
        counter.bytes += size
        self._hits.append(counter)

    @staticmethod
    def _tell(table: str, chain: Chain, position: int, t: "Traversal") -> None:
        text = str(chain.rules[position])
        assert t.trace is not None
        t.trace.append(RuleHit(table, chain.name, text))
        if t.ns.journeys:
            t.ns.tell(t.packet, t.now, "rule", f"{table}: -A {chain.name} {text}", t.hook.name)

    # ------------------------------------------------------------------ counters and lists
    def counters(self, table: str, chain: str) -> list[Counter]:
        """One counter per rule of a chain, in order; zero where nothing matched yet. Not live."""
        cells = self._counters.get((table, chain), {})
        return [cells.get(position) or Counter() for position in range(len(self.tables[table][chain].rules))]

    def policy_counter(self, table: str, chain: str) -> Counter:
        """Packets that reached the end of a built-in chain."""
        return self._counters.get((table, chain), {}).get(_POLICY) or Counter()

    def counting(self, t: "Traversal") -> Callable[[int, int], None] | None:
        """A function that counts further packets on all rules that this traversal has matched; None if it met none.

        For the remembered way of an established flow, whose packets are not evaluated one by one."""
        if t is not self._traversal or not self._hits:
            return None
        hits = tuple(self._hits)

        def count(packets: int, size: int) -> None:
            for counter in hits:
                counter.add(packets, size)

        return count

    def nfacct(self, name: str) -> Counter:
        """The named accounting object; made on first use."""
        counter = self._nfacct.get(name)
        if counter is None:
            counter = self._nfacct[name] = Counter()
        return counter

    def recent(self, name: str) -> RecentList:
        """The recent list of a name; made on first use, gone with the last rule that names it."""
        found = self._recent.get(name)
        if found is None:
            found = self._recent[name] = RecentList()
        return found

    # ------------------------------------------------------------------ changes
    def commit(self, table: str, chains: Iterable[Chain], deleted: Iterable[str] = ()) -> None:
        """Replace some chains and delete others at one stroke, as `iptables-restore --noflush` does.

        Chains that are not named keep rules and counters; named ones begin counting at zero. A built-in chain keeps
        its policy where the new one has none. Jumps are not checked here (`restore` does)."""
        for chain in chains:
            self._put(table, chain)
            self._counters.pop((table, chain.name), None)
        for name in deleted:
            if name in BUILTIN[table]:
                raise XtablesError(f"{table}: {name} is built in and cannot be deleted")
            gone = self.tables[table].pop(name, None)
            self._counters.pop((table, name), None)
            if gone is not None:
                self._forget(gone.program.recent_names)
        self.changed()

    def _put(self, table: str, chain: Chain) -> None:
        there = self.tables[table]
        old = there.get(chain.name)
        if old is not None and old.policy != "-" and chain.policy == "-":
            chain = Chain(chain.name, chain.rules, old.policy)
        there[chain.name] = chain
        if chain is not old:
            for name in chain.program.recent_names:
                self._recent_uses[name] = self._recent_uses.get(name, 0) + 1
            if old is not None:
                self._forget(old.program.recent_names)

    def _forget(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._recent_uses[name] -= 1
            if not self._recent_uses[name]:
                del self._recent_uses[name]
                self._recent.pop(name, None)

    def ensure_rule(self, table: str, chain: str, rule: Rule, append: bool = False) -> bool:
        """`iptables -C` or else `-I` at the top (`-A` at the end); whether it was missing. Makes the chain if need be.

        Counters of the other rules are kept."""
        old = self.tables[table].get(chain) or Chain(chain)
        if rule in old.rules:
            return False
        rules = (*old.rules, rule) if append else (rule, *old.rules)
        self._shift(table, Chain(chain, rules, old.policy), len(old.rules) if append else 0, 1)
        return True

    def delete_rule(self, table: str, chain: str, rule: Rule) -> bool:
        """`iptables -D`; whether it was there."""
        old = self.tables[table].get(chain)
        if old is None or rule not in old.rules:
            return False
        at = old.rules.index(rule)
        self._counters.get((table, chain), {}).pop(at, None)
        self._shift(table, Chain(chain, old.rules[:at] + old.rules[at + 1 :], old.policy), at, -1)
        return True

    def _shift(self, table: str, chain: Chain, start: int, by: int) -> None:
        """Put a chain whose rules from `start` on have moved, taking their counters along."""
        cells = self._counters.get((table, chain.name), {})
        self._put(table, chain)
        if cells:
            moved = {at + by if at >= start else at: cell for at, cell in cells.items()}
            self._counters[table, chain.name] = moved
        self.changed()

    def append(self, table: str, chain: str, rules: Iterable[Rule]) -> None:
        """`iptables -A`: more rules at the end of a chain that exists. Counters of the others are kept."""
        old = self.tables[table][chain]
        self._put(table, Chain(chain, (*old.rules, *rules), old.policy))
        self.changed()

    def set_policy(self, table: str, chain: str, policy: str) -> None:
        """`iptables -P`."""
        old = self.tables[table][chain]
        self._put(table, Chain(chain, old.rules, policy))
        self.changed()

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
