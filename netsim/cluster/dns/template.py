"""The template plugin: replies made from a pattern, for whatever names match a regular expression.

Made by `build`. Source: CoreDNS plugin/template (template.go, setup.go, README.md): a query of the zone that no
expression matches is SERVFAIL, unless `fallthrough`; another class or type goes to the next template.
Simplified: of Go's template language `.Name`, `.Zone`, `.Class`, `.Type`, `.Group.NAME` and `index .Match N` only; no
CNAME is followed (`upstream`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.rcode
import dns.rdatatype

from netsim.cluster.dns.chain import UNTIL_CHANGE, Handler, Request, Respond, match_zone
from netsim.cluster.dns.corefile import Directive
from netsim.cluster.dns.options import OptionError, zones_of_args
from netsim.cluster.dns.zonefile import parse_lines
from netsim.wire.dns import NOERROR, SERVFAIL, Record, Reply

_FIELD: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_INDEX: Final = re.compile(r"index \.Match (\d+)")
_SECTIONS: Final = ("answer", "authority", "additional")


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """A template block. `type` None: any. `records` are texts by section."""

    type: int | None
    zones: tuple[str, ...]
    matches: tuple[re.Pattern[str], ...]
    records: Mapping[str, tuple[str, ...]]
    rcode: int = NOERROR
    fallthrough: tuple[str, ...] = ()


class Template:
    """The plugin."""

    def __init__(self, options: TemplateOptions, next_handler: Handler) -> None:
        self.options = options
        self._next = next_handler

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer what matches."""
        options, key = self.options, request.query.key
        zone = match_zone(key, options.zones)
        if not zone or options.type not in (None, request.query.question.type):
            self._next.serve(request, respond)
            return
        name = request.query.question.name
        match = next((found for pattern in options.matches if (found := pattern.search(name))), None)
        if match is not None:
            respond(self._reply(request, match, zone), UNTIL_CHANGE)
        elif match_zone(key, options.fallthrough):
            self._next.serve(request, respond)
        else:
            respond(Reply(SERVFAIL), UNTIL_CHANGE)

    def _reply(self, request: Request, match: re.Match[str], zone: str) -> Reply:
        question = request.query.question
        words = {
            ".Name": question.name,
            ".Zone": zone,
            ".Class": "IN",
            ".Type": dns.rdatatype.to_text(dns.rdatatype.RdataType.make(question.type)),
            **{f".Group.{name}": text or "" for name, text in match.groupdict().items()},
        }
        try:
            sections = [self._records(section, words, match) for section in _SECTIONS]
        except ValueError:  # what the pattern makes of this name is no record: an error of the plugin
            return Reply(SERVFAIL)
        return Reply(self.options.rcode, sections[0], sections[1], sections[2], authoritative=True)

    def _records(self, section: str, words: Mapping[str, str], match: re.Match[str]) -> tuple[Record, ...]:
        texts = self.options.records.get(section, ())
        return parse_lines(filled(text, words, match) for text in texts)


def filled(text: str, words: Mapping[str, str], match: re.Match[str]) -> str:
    """A text with its `{{ }}` replaced. Raises ValueError for one that is unknown."""

    def replaced(found: re.Match[str]) -> str:
        index = _INDEX.fullmatch(found[1])
        if index is not None and int(index[1]) <= (match.re.groups or 0):
            return match.group(int(index[1])) or ""
        if found[1] not in words:
            raise ValueError(f"{found[0]} is unknown or not modelled")
        return words[found[1]]

    return _FIELD.sub(replaced, text)


def template_options(directive: Directive, zones: tuple[str, ...]) -> TemplateOptions:
    """`template CLASS TYPE [ZONES...] {match REGEX..., answer RR, rcode CODE, fallthrough [ZONES...]}`."""
    if len(directive.args) < 2 or directive.args[0].upper() not in ("IN", "ANY"):
        raise OptionError("template takes a class (IN or ANY), a type and zones")
    matches: list[re.Pattern[str]] = []
    records: dict[str, tuple[str, ...]] = {}
    rcode = NOERROR
    fallthrough: tuple[str, ...] = ()
    try:
        kind = dns.rdatatype.from_text(directive.args[1])
        for option in directive.block:
            if option.name == "match":
                matches += [re.compile(text) for text in option.args]
            elif option.name in _SECTIONS:
                records[option.name] = (*records.get(option.name, ()), " ".join(option.args))
            elif option.name == "rcode":
                rcode = int(dns.rcode.from_text(" ".join(option.args)))
            elif option.name == "fallthrough":
                fallthrough = zones_of_args(option.args, (".",))
            elif option.name not in ("upstream", "ederror"):
                raise OptionError(f"option {option.name!r} is unknown", option.line)
    except re.error as error:
        raise OptionError(f"match: {error}") from error
    except dns.exception.DNSException as error:
        raise OptionError(str(error) or type(error).__name__) from error
    wanted = None if kind == dns.rdatatype.ANY else int(kind)
    every = matches or [re.compile(".*")]
    return TemplateOptions(
        wanted, zones_of_args(directive.args[2:], zones), tuple(every), records, rcode, fallthrough
    )
