"""The rules of one network namespace, their counters and recent lists, and every way to change them.

The base of `Xtables` (`xtables.py`), which adds the evaluation. A change forgets what was remembered of evaluations
and calls `changed`; counters follow their rules as with iptables(8).

Source: net/ipv4/netfilter/ip_tables.c of Linux 6.8; iptables-restore(8).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from netsim.kernel.ipset import IpSet
from netsim.kernel.rule_engine import RuleEngine
from netsim.kernel.xtables_chain import Chain, Rule
from netsim.kernel.xtables_counter import Counter
from netsim.kernel.xtables_recent import RecentList, RecentLists

BUILTIN: Final[Mapping[str, tuple[str, ...]]] = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}
POLICY: Final = -1  # the counter of a chain's policy stands before those of its rules


class XtablesError(ValueError):
    """A change that iptables would refuse; the message is what it would say."""


class RuleStore(RuleEngine):
    """The tables of one namespace for one family (`ipv6`: those of ip6tables). Every built-in chain is there from the
    start, empty, with policy ACCEPT."""

    __slots__ = ("_counters", "_nfacct", "_recent", "ipsets", "ipv6", "raw_rules")

    tables: dict[str, dict[str, Chain]]

    def __init__(self, ipv6: bool = False) -> None:
        super().__init__()
        self.ipv6 = ipv6
        self.raw_rules = False  # whether the raw table has any
        self.tables = {
            table: {name: Chain(name, policy="ACCEPT") for name in chains}
            for table, chains in BUILTIN.items()
        }
        self._counters: dict[tuple[str, str], dict[int, Counter]] = {}
        self._recent = RecentLists()
        self._nfacct: dict[str, Counter] = {}
        self.ipsets: dict[str, IpSet] = {}  # whoever changes a set calls `changed`

    # ------------------------------------------------------------------ counters and lists
    def counters(self, table: str, chain: str) -> list[Counter]:
        """One counter per rule of a chain, in order; zero where nothing matched yet. Not live."""
        self._memo.settle()
        cells = self._counters.get((table, chain), {})
        return [cells.get(position) or Counter() for position in range(len(self.tables[table][chain].rules))]

    def policy_counter(self, table: str, chain: str) -> Counter:
        """Packets that reached the end of a built-in chain."""
        self._memo.settle()
        return self._counters.get((table, chain), {}).get(POLICY) or Counter()

    def nfacct(self, name: str) -> Counter:
        """The named accounting object; made on first use."""
        counter = self._nfacct.get(name)
        if counter is None:
            counter = self._nfacct[name] = Counter()
        return counter

    def recent(self, name: str) -> RecentList:
        """The recent list of a name."""
        return self._recent.get(name)

    # ------------------------------------------------------------------ changes
    def commit(self, table: str, chains: Iterable[Chain], deleted: Iterable[str] = ()) -> None:
        """Replace some chains and delete others at one stroke, as `iptables-restore --noflush` does.

        Chains that are not named keep rules and counters; named ones begin counting at zero. A built-in chain keeps
        its policy where the new one has none. Jumps are not checked here (`restore` does)."""
        self._memo.forget()
        for chain in chains:
            self._put(table, chain)
            self._counters.pop((table, chain.name), None)
        for name in deleted:
            if name in BUILTIN[table]:
                raise XtablesError(f"{table}: {name} is built in and cannot be deleted")
            gone = self.tables[table].pop(name, None)
            self._counters.pop((table, name), None)
            if gone is not None:
                self._recent.release(gone.recent_names)
        self.changed()

    def _put(self, table: str, chain: Chain) -> None:
        there = self.tables[table]
        old = there.get(chain.name)
        if old is not None and old.policy != "-" and chain.policy == "-":
            chain = Chain(chain.name, chain.rules, old.policy)
        there[chain.name] = chain
        if table == "raw":
            self.raw_rules = any(chain.rules for chain in there.values())
        if chain is not old:
            self._recent.use(chain.recent_names)
            if old is not None:
                self._recent.release(old.recent_names)

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
        self._memo.forget()
        self._counters.get((table, chain), {}).pop(at, None)
        self._shift(table, Chain(chain, old.rules[:at] + old.rules[at + 1 :], old.policy), at, -1)
        return True

    def _shift(self, table: str, chain: Chain, start: int, by: int) -> None:
        """Put a chain whose rules from `start` on have moved, taking their counters along."""
        self._memo.forget()
        cells = self._counters.get((table, chain.name), {})
        self._put(table, chain)
        if cells:
            moved = {at + by if at >= start else at: cell for at, cell in cells.items()}
            self._counters[table, chain.name] = moved
        self.changed()

    def append(self, table: str, chain: str, rules: Iterable[Rule]) -> None:
        """`iptables -A`: more rules at the end of a chain that exists. Counters of the others are kept."""
        self._memo.forget()
        old = self.tables[table][chain]
        self._put(table, Chain(chain, (*old.rules, *rules), old.policy))
        self.changed()

    def set_policy(self, table: str, chain: str, policy: str) -> None:
        """`iptables -P`."""
        self._memo.forget()
        old = self.tables[table][chain]
        self._put(table, Chain(chain, old.rules, policy))
        self.changed()
