"""What a `rewrite` line of a Corefile means: `rewrite [continue|stop] FIELD [TYPE] FROM TO [answer ...]`.

Called by `build`. Source: CoreDNS plugin/rewrite/README.md, setup.go, name.go.
"""

import re
from collections.abc import Callable
from typing import Final

import dns.exception
import dns.rdatatype

from netsim.cluster.dns.chain import normal_zone
from netsim.cluster.dns.corefile import Directive
from netsim.cluster.dns.options import OptionError
from netsim.cluster.dns.rewrite import AnswerRule, Rule, filled

_MATCHES: Final = ("exact", "prefix", "suffix", "substring", "regex")

Change = Callable[[str, int], tuple[str, int] | None]


def rewrite_rule(directive: Directive) -> Rule:
    """The rule of a line, or of the block form, whose lines are the rule and its answers."""
    words = list(directive.args)
    for line in directive.block:
        words += [line.name, *line.args]
    go_on = words[:1] == ["continue"]
    if words[:1] in (["continue"], ["stop"]):
        del words[0]
    field, *words = words or [""]
    if field == "type" and len(words) == 2:
        return Rule(_type_change(*words), go_on=go_on)
    if field != "name":
        raise OptionError(f"field {field!r} is unknown or not modelled (known: name FROM TO, type FROM TO)")
    how = words.pop(0) if words[:1] and words[0] in _MATCHES else "exact"
    if len(words) < 2:
        raise OptionError("name takes FROM and TO")
    start, to, *rest = words
    answers, auto = _answers(rest)
    return Rule(_name_change(how, start, to), answers, auto or how == "exact", go_on)


def _type_change(start: str, to: str) -> Change:
    try:
        before, after = (int(dns.rdatatype.from_text(text)) for text in (start, to))
    except dns.exception.DNSException as error:
        raise OptionError(f"no record type: {error}") from error
    return lambda name, qtype: (name, after) if qtype == before else None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise OptionError(f"{text!r} is no regular expression: {error}") from error


def _name_change(how: str, start: str, to: str) -> Change:
    if how == "regex":
        pattern = _pattern(start)

        def by_pattern(name: str, qtype: int) -> tuple[str, int] | None:
            match = pattern.search(name)
            return (normal_zone(filled(to, match)), qtype) if match is not None else None

        return by_pattern
    if how == "exact":
        start, to = normal_zone(start), normal_zone(to)
    start = start.lower()
    if how == "suffix":
        start, to = (text if text.endswith(".") else f"{text}." for text in (start, to))
    changes: dict[str, Callable[[str], str | None]] = {
        "exact": lambda name: to if name == start else None,
        "prefix": lambda name: to + name[len(start) :] if name.startswith(start) else None,
        "suffix": lambda name: name[: -len(start)] + to if name.endswith(start) else None,
        "substring": lambda name: name.replace(start, to) if start in name else None,
    }
    change = changes[how]

    def changed(name: str, qtype: int) -> tuple[str, int] | None:
        found = change(name)
        return None if found is None else (found, qtype)

    return changed


def _answers(words: list[str]) -> tuple[tuple[AnswerRule, ...], bool]:
    """`answer auto`, or any number of `answer name|value FROM TO`; `answer FROM TO` is about the name."""
    rules: list[AnswerRule] = []
    if words == ["answer", "auto"]:
        return (), True
    while words:
        if words.pop(0) != "answer":
            raise OptionError(
                "after FROM and TO come answer auto, answer name FROM TO or answer value FROM TO"
            )
        part = words.pop(0) if words[:1] in (["name"], ["value"]) else "name"
        if len(words) < 2:
            raise OptionError(f"answer {part} takes FROM and TO")
        rules.append(AnswerRule(part, _pattern(words[0]), normal_zone(words[1])))
        del words[:2]
    return tuple(rules), False
