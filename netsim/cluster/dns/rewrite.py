"""The rewrite plugin: a query is answered as if it had asked something else.

Made by `build`. Source: CoreDNS plugin/rewrite (name.go, type.go, reverter.go). The question of a reply is always the
one that was asked. The owner names of its records are turned back for `name exact`, and for other rules where the
Corefile says so (`answer auto`, `answer name FROM TO`; `answer value FROM TO` changes names in the data).
Simplified: the fields name and type only.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from netsim.cluster.dns.chain import Handler, Request, Respond
from netsim.wire.dns import CNAME, MX, NS, PTR, SRV, Record, Reply

_NAMES_IN_DATA = (CNAME, NS, PTR, SRV, MX)


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """What becomes of the `name` or the `value` of a record in the reply: a regular expression and its replacement."""

    part: str
    pattern: re.Pattern[str]
    to: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line. `change(name, type)` gives the new question, None when the rule does not match. `auto` undoes it."""

    change: Callable[[str, int], tuple[str, int] | None]
    answers: tuple[AnswerRule, ...] = ()
    auto: bool = False
    go_on: bool = False


class Rewrite:
    """The plugin."""

    def __init__(self, rules: Iterable[Rule], next_handler: Handler) -> None:
        self.rules = tuple(rules)
        self.next = next_handler

    def serve(self, request: Request, respond: Respond) -> None:
        """Ask the next plugin for what the rules make of the question."""
        name, qtype = asked = request.query.question
        back: list[AnswerRule] = []
        for rule in self.rules:
            changed = rule.change(name.lower(), qtype)
            if changed is None:
                continue
            if rule.auto:
                pattern = re.compile(re.escape(changed[0]), re.IGNORECASE)
                back += [AnswerRule(part, pattern, name) for part in ("name", "value")]
            back += rule.answers
            name, qtype = changed
            if not rule.go_on:
                break
        if (name, qtype) == tuple(asked):
            self.next.serve(request, respond)
            return

        def turned_back(reply: Reply, until_ns: int) -> None:
            sections = [
                tuple(_turned(record, back) for record in section)
                for section in (reply.answer, reply.authority, reply.additional)
            ]
            changed = replace(reply, answer=sections[0], authority=sections[1], additional=sections[2])
            respond(changed, until_ns)

        self.next.serve(request.about(name, qtype), turned_back)


def _turned(record: Record, rules: Iterable[AnswerRule]) -> Record:
    for rule in rules:
        if rule.part == "name":
            record = record._replace(name=_substituted(rule, record.name))
        elif record.type in _NAMES_IN_DATA:
            before, space, last = record.data.rpartition(" ")
            record = record._replace(data=before + space + _substituted(rule, last))
    return record


def _substituted(rule: AnswerRule, name: str) -> str:
    match = rule.pattern.fullmatch(name)
    return filled(rule.to, match) if match is not None else name


def filled(template: str, match: re.Match[str]) -> str:
    """`{1}` in a replacement stands for the first group."""
    return re.sub(r"\{(\d+)\}", lambda found: match.group(int(found[1])) or "", template)
