"""nftables rules as text: what `nft list ruleset` prints, and `nft -f` reads again.

Called by `Nftables.list_ruleset`. Sets and maps first, then chains, each in the order of their making; elements sorted.
Source: src/{rule,expression}.c of nftables 1.0.6 (`do_list_table`, `set_print_declaration`, `calculate_delim`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from netsim.kernel.nft_key import value_order, value_text
from netsim.kernel.nft_match import duration_text
from netsim.kernel.nft_priority import priority_text
from netsim.kernel.nft_table import DYNAMIC_SIZE, Chain, NamedSet, TableId
from netsim.kernel.nft_transaction import element_text

if TYPE_CHECKING:
    from netsim.kernel.nft import Nftables

_BREAK: Final = ",\n\t\t\t     "


def ruleset(x: "Nftables", now: int) -> str:
    """All tables."""
    return "".join(_table(x, table, now) for table in x.comments)


def _table(x: "Nftables", table: TableId, now: int) -> str:
    blocks = [_set(found, now) for found in x.sets[str(table)].values()]
    blocks += [_chain(x, table, chain) for chain in x.tables[str(table)].values()]
    comment = f'\tcomment "{x.comments[table]}"\n' if x.comments[table] else ""
    body = "\n".join("".join(f"\t{line}\n" for line in block) for block in blocks)
    return f"table {table} {{\n{comment}{body}}}\n"


def _set(found: NamedSet, now: int) -> Iterator[str]:
    spec = found.spec
    yield f"{'map' if spec.is_map else 'set'} {spec.name} {{"
    yield f"\ttype {spec.key.type}{' : verdict' if spec.is_map else ''}"
    if spec.dynamic:
        yield f"\tsize {DYNAMIC_SIZE}"
        yield "\tflags dynamic,timeout"
        yield f"\ttimeout {duration_text(spec.timeout_s * 1_000_000_000)}"
    if spec.comment:
        yield f'\tcomment "{spec.comment}"'
    elements = _learnt(found, now) if spec.dynamic else _written(found)
    if elements:
        short = spec.key.type == "ipv4_addr"
        yield f"\telements = {{ {_lines(elements, 2 if short else 1)} }}"
    yield "}"


def _written(found: NamedSet) -> list[str]:
    return [element_text(found.elements[key]) for key in sorted(found.elements, key=value_order)]


def _learnt(found: NamedSet, now: int) -> list[str]:
    texts = []
    for value, timeout_ns, left_ns in sorted(found.learnt(now), key=lambda row: value_order(row[0])):
        own = timeout_ns != found.spec.timeout_s * 1_000_000_000
        timeout = f" timeout {duration_text(timeout_ns)}" if own else ""
        texts.append(f"{value_text(value)}{timeout} expires {duration_text(left_ns)}")
    return texts


def _lines(elements: list[str], per_line: int) -> str:
    rows = [", ".join(elements[at : at + per_line]) for at in range(0, len(elements), per_line)]
    return _BREAK.join(rows)


def _chain(x: "Nftables", table: TableId, chain: Chain) -> Iterator[str]:
    yield f"chain {chain.name} {{"
    if chain.comment:
        yield f'\tcomment "{chain.comment}"'
    base = chain.base
    if base is not None:
        hook, priority = base.hook.name.lower(), priority_text(base.hook, base.priority)
        yield f"\ttype {base.type} hook {hook} priority {priority}; policy {base.policy.lower()};"
    for position, rule in enumerate(chain.rules):
        counter = ""
        if rule.counted:
            count = x.counter(table, chain.name, position)
            counter = f"counter packets {count.packets} bytes {count.bytes}"
        yield f"\t{rule.listed(counter)}"
    yield "}"
