"""iptables rules as text, in two styles.

- kube-proxy's own: rules as it writes them for `iptables-restore`, chains in the order in which upstream's tests
  compare them (KUBE-NODEPORTS, KUBE-SERVICES, other KUBE-* by name, the rest by name; tables by name);
- the tool's: what `iptables-save` prints (header options first, addresses with their length, built-in chains first).

Called by `Xtables.save`, by the report of a sync and by tests. Sources: `sortIPTablesRules` in
pkg/proxy/iptables/proxier_test.go of Kubernetes v1.34; iptables/iptables-save.c of iptables 1.8. Left out: the tool's
comment lines with date and version.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from netsim.kernel.xtables_chain import Chain, Table

if TYPE_CHECKING:
    from netsim.kernel.xtables import Xtables
    from netsim.kernel.xtables_counter import Counter


def normal_order(names: Iterable[str]) -> list[str]:
    """Chain names in kube-proxy's normalised order."""
    return sorted(names, key=_rank)


def _rank(name: str) -> tuple[int, str]:
    if name == "KUBE-NODEPORTS":
        return 0, name
    if name == "KUBE-SERVICES":
        return 1, name
    return (2 if name.startswith("KUBE-") else 3), name


def render(table: Table) -> list[str]:
    """One table as lines for `iptables-restore --noflush`: chains, rules, deletions. A deleted chain has a line too,
    which empties it first."""
    chains = table.chains
    lines = [f"*{table.name}"]
    for name in normal_order((*chains, *table.deleted)):
        policy = chains[name].policy if name in chains else "-"
        lines.append(f":{name} {policy} [0:0]")
    for name in normal_order(chains):
        lines += chains[name].lines()
    lines += [f"-X {name}" for name in normal_order(table.deleted)]
    return [*lines, "COMMIT"]


def save(xtables: "Xtables", counters: bool = False, tool: bool = False) -> str:
    """All tables that hold anything; `counters` as `iptables-save -c`, `tool` in the tool's own style."""
    lines: list[str] = []
    for table in sorted(xtables.tables):
        chains = xtables.tables[table]
        if any(chain.rules or chain.policy != "ACCEPT" for chain in chains.values()):
            lines += _table(xtables, table, _order(chains.values(), tool), counters, tool)
    return "".join(f"{line}\n" for line in lines)


def _order(chains: Iterable[Chain], tool: bool) -> list[Chain]:
    if tool:  # built-in chains stand first in their dictionary, in the hooks' order
        return sorted(chains, key=lambda chain: ("", "") if chain.policy != "-" else ("-", chain.name))
    return sorted(chains, key=lambda chain: _rank(chain.name))


def _table(xtables: "Xtables", table: str, chains: Sequence[Chain], counters: bool, tool: bool) -> list[str]:
    lines = [f"*{table}"]
    for chain in chains:
        count = xtables.policy_counter(table, chain.name)
        lines.append(f":{chain.name} {chain.policy} {count if counters else '[0:0]'}")
    for chain in chains:
        lines += _rules(chain, xtables.counters(table, chain.name) if counters else None, tool)
    return [*lines, "COMMIT"]


def _rules(chain: Chain, counters: "list[Counter] | None", tool: bool) -> list[str]:
    lines = chain.lines(tool)
    if counters is None:
        return lines
    return [f"{counter} {line}" for counter, line in zip(counters, lines, strict=True)]
