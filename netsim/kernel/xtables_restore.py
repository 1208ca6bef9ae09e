"""`iptables-restore --noflush`: load tables written as text.

Called by `Xtables.restore` (CNI plug-ins, users, tests). A table takes effect at its COMMIT, all at once or not at
all: a line `:CHAIN` makes a chain or empties it, `-A` and `-I` add rules, `-F` empties, `-X` deletes. Counters in the
text are accepted and ignored, as without `-c`. Errors name the line. Source: iptables-restore(8), iptables-restore.c.
"""

import re
from typing import TYPE_CHECKING, Final

from netsim.kernel.targets import Dnat, Jump, Masquerade, NoTrack, Reject, Snat, Target
from netsim.kernel.xtables import BUILTIN, Chain, Rule, Xtables, XtablesError
from netsim.kernel.xtables_parse import RuleError, parse_rule, split

if TYPE_CHECKING:
    from collections.abc import Iterable

_COUNTERS: Final = re.compile(r"^\[\d+:\d+\]\s+")
_ONLY_IN: Final[dict[type[Target], str]] = {
    Dnat: "nat",
    Snat: "nat",
    Masquerade: "nat",
    Reject: "filter",
    NoTrack: "raw",
}
_MAX_CHAIN_NAME: Final = 28


def restore(xtables: Xtables, text: str) -> None:
    """Load the text. Raises XtablesError (`line 3: ...`); tables committed before the error stay."""
    table: _Draft | None = None
    for count, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            table = _line(xtables, table, line, count)
        except (RuleError, XtablesError) as error:
            raise XtablesError(f"line {count}: {error}") from None
    if table is not None:
        raise XtablesError(f"table {table.name} has no COMMIT")


def _line(xtables: Xtables, table: "_Draft | None", line: str, count: int) -> "_Draft | None":
    if line.startswith("*"):
        if table is not None:
            raise XtablesError(f"table {table.name} has no COMMIT")
        return _Draft(xtables, line[1:].strip())
    if table is None:
        raise XtablesError('expected "*table"')
    if line == "COMMIT":
        table.commit()
        return None
    if line.startswith(":"):
        table.declare(line[1:].split())
    else:
        table.command(split(_COUNTERS.sub("", line)), count)
    return table


class _Draft:
    """The chains of one table that the text changes, until COMMIT."""

    def __init__(self, xtables: Xtables, name: str) -> None:
        if name not in BUILTIN:
            raise XtablesError(f'no table "{name}", only {", ".join(BUILTIN)}')
        self.name = name
        self.xtables = xtables
        self.there = xtables.tables[name]
        self.rules: dict[str, list[Rule]] = {}
        self.policies: dict[str, str] = {}
        self.emptied: set[str] = set()
        self.deleted: list[str] = []
        self.jumps: list[tuple[int, str, str]] = []

    # ------------------------------------------------------------------ lines
    def declare(self, words: list[str]) -> None:
        """`:CHAIN POLICY [packets:bytes]`."""
        chain, policy = (words[0], words[1]) if len(words) > 1 else ("", "")
        builtin = chain in BUILTIN[self.name]
        if not chain or len(chain) > _MAX_CHAIN_NAME:
            raise XtablesError(
                f"a chain line is ':NAME POLICY [0:0]', the name at most {_MAX_CHAIN_NAME} long"
            )
        if policy not in (("ACCEPT", "DROP") if builtin else ("-",)):
            raise XtablesError(f'chain {chain} cannot have policy "{policy}"')
        if builtin:
            self.policies[chain] = policy
        else:
            self._empty(chain)

    def command(self, words: list[str], line: int) -> None:
        """`-A`, `-I`, `-F` or `-X`."""
        if len(words) < 2:
            raise XtablesError(f'"{" ".join(words)}" is not a command')
        verb, chain, *rest = words
        if verb == "-F":
            self._known(chain)
            self._empty(chain)
        elif verb == "-X":
            self._delete(chain)
        elif verb in ("-A", "-I"):
            self._add(verb, chain, rest, line)
        else:
            raise XtablesError(f'unknown command "{verb}"')

    def _add(self, verb: str, chain: str, words: list[str], line: int) -> None:
        self._known(chain)
        rules = self._draft(chain)
        at = len(rules)
        if verb == "-I":
            at = int(words.pop(0)) - 1 if words and words[0].isdecimal() else 0
        rule = parse_rule(words, self.xtables.ipv6)
        only = _ONLY_IN.get(type(rule.target)) if rule.target is not None else None
        if only is not None and only != self.name:
            raise XtablesError(f"{str(rule.target).split()[1]} works in table {only} only")
        if isinstance(rule.target, Jump):
            self.jumps.append((line, chain, rule.target.chain))
        rules.insert(at, rule)

    def _delete(self, chain: str) -> None:
        self._known(chain)
        if chain in BUILTIN[self.name]:
            raise XtablesError(f"{chain} is built in and cannot be deleted")
        if self._draft(chain):
            raise XtablesError(f"chain {chain} is not empty and cannot be deleted")
        del self.rules[chain]
        self.deleted.append(chain)

    # ------------------------------------------------------------------ state
    def _known(self, chain: str) -> None:
        if chain in self.deleted or (chain not in self.rules and chain not in self.there):
            raise XtablesError(f"no chain {chain} in table {self.name}")

    def _empty(self, chain: str) -> None:
        self.rules[chain] = []
        self.emptied.add(chain)
        if chain in self.deleted:
            self.deleted.remove(chain)

    def _draft(self, chain: str) -> list[Rule]:
        if chain not in self.rules:
            self.rules[chain] = list(self.there[chain].rules)
        return self.rules[chain]

    # ------------------------------------------------------------------ COMMIT
    def commit(self) -> None:
        """Check, then change the namespace."""
        self._check_jumps()
        self._check_loops()
        kept = []
        for name, rules in self.rules.items():
            old = self.there.get(name)
            grown = (
                old is not None and name not in self.emptied and tuple(rules[: len(old.rules)]) == old.rules
            )
            if grown and old is not None:
                self.xtables.append(self.name, name, rules[len(old.rules) :])
            else:
                kept.append(Chain(name, tuple(rules), old.policy if old is not None else "-"))
        self.xtables.commit(self.name, kept, self.deleted)
        for name, policy in self.policies.items():
            self.xtables.set_policy(self.name, name, policy)

    def _check_jumps(self) -> None:
        for line, _, target in self.jumps:
            if target in self.deleted or (target not in self.rules and target not in self.there):
                raise XtablesError(f"line {line} jumps to {target}, which does not exist")
            if target in BUILTIN[self.name]:
                raise XtablesError(f"line {line} jumps to {target}, which is built in")

    def _check_loops(self) -> None:
        for line, chain, target in self.jumps:
            if self._reaches(target, chain):
                raise XtablesError(f"line {line} makes a loop: {target} leads back to {chain}")

    def _reaches(self, start: str, wanted: str) -> bool:
        seen: set[str] = set()
        todo = [start]
        while todo:
            chain = todo.pop()
            if chain == wanted:
                return True
            if chain not in seen:
                seen.add(chain)
                todo += _jumps(self.rules[chain] if chain in self.rules else self.there[chain].rules)
        return False


def _jumps(rules: "Iterable[Rule]") -> list[str]:
    return [rule.target.chain for rule in rules if isinstance(rule.target, Jump)]
