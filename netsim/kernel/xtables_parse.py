"""One rule of iptables from its text.

Called by `xtables_restore.py`. Knows the matches and targets of `matches.py` and `targets.py`, in kube-proxy's
spelling and in that of `iptables-save`. Raises RuleError for anything else; the caller adds the line.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from netsim.kernel.matches import (
    AddrType,
    Comment,
    CtState,
    Destination,
    DestinationPort,
    InInterface,
    IpProtocol,
    Mark,
    Match,
    Module,
    MultiPort,
    OutInterface,
    Source,
    SourcePort,
)
from netsim.kernel.matches_set import PhysdevIsIn, SetMatch
from netsim.kernel.matches_stateful import Nfacct, RecentCheck, RecentSet, Statistic
from netsim.kernel.reject import TCP_RESET, UNREACHABLE_CODES, UNREACHABLE_CODES_V6
from netsim.kernel.targets import (
    Accept,
    Dnat,
    Drop,
    Jump,
    Masquerade,
    NoTrack,
    Reject,
    Return,
    SetMark,
    Snat,
    Target,
)
from netsim.kernel.xtables_chain import Rule
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import ICMPV6, PROTOCOL_NAMES, SCTP, TCP, UDP

_PROTOCOLS: Final = {name: number for number, name in PROTOCOL_NAMES.items() if number}
_PROTOCOLS["ipv6-icmp"] = ICMPV6
_WITH_PORTS: Final = (TCP, UDP, SCTP)
_STATES: Final = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT", "DNAT")
_MULTIPORT_MAX: Final = 15  # XT_MULTI_PORTS
_MAX_MARK: Final = 0xFFFF_FFFF
# Matches whose options say all.
_SILENT_MODULES: Final = (
    "comment", "conntrack", "state", "mark", "addrtype", "statistic", "nfacct", "multiport", "set",
    "physdev",
)  # fmt: skip


class RuleError(ValueError):
    """A rule that cannot be understood."""


def parse_rule(words: Sequence[str], ipv6: bool = False) -> Rule:
    """A rule from the words after `-A CHAIN`; `ipv6`: one of ip6tables."""
    return _Parser(list(words), ipv6).rule()


def split(line: str) -> list[str]:
    """The words of a line, quotes removed."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise RuleError(str(error).lower()) from None


class _Parser:
    """Goes through the words of one rule from left to right."""

    def __init__(self, words: list[str], ipv6: bool) -> None:
        self.words = words[::-1]
        self.ipv6 = ipv6
        self.matches: list[Match] = []
        self.target: Target | None = None
        self.negated = False
        self.recent: dict[str, str] = {}

    def rule(self) -> Rule:
        while self.words:
            word = self.words.pop()
            if word == "!":
                self.negated = True
                continue
            handle = _OPTIONS.get(word)
            if handle is None:
                raise RuleError(f'unknown option "{word}"')
            handle(self, word)
            self.negated = False
        self.end_recent()
        self._check_ports()
        return Rule(tuple(self.matches), self.target)

    def argument(self, option: str) -> str:
        """The word after an option."""
        if not self.words:
            raise RuleError(f'option "{option}" requires an argument')
        return self.words.pop()

    def add(self, match: Match) -> None:
        self.matches.append(match)

    def end_recent(self) -> None:
        """The options of `-m recent` are complete: turn them into a match."""
        options, self.recent = self.recent, {}
        if not options:
            return
        name = options.get("--name", "DEFAULT")
        if "--set" in options:
            self.add(RecentSet(name, self.ipv6))
        elif "--rcheck" in options and "--seconds" in options:
            seconds = number(options["--seconds"], 1, 2**31)
            self.add(RecentCheck(name, seconds, "--reap" in options, self.ipv6))
        else:
            raise RuleError("recent: needs --set, or --rcheck with --seconds")

    def _check_ports(self) -> None:
        ports = any(isinstance(m, SourcePort | DestinationPort | MultiPort) for m in self.matches)
        protocols = [m.number for m in self.matches if isinstance(m, IpProtocol) and not m.negated]
        if ports and not any(protocol in _WITH_PORTS for protocol in protocols):
            raise RuleError("a port needs -p tcp, udp or sctp")


def number(text: str, low: int, high: int) -> int:
    """A decimal or 0x number within bounds."""
    try:
        value = int(text, 0)
    except ValueError:
        raise RuleError(f'"{text}" is not a number') from None
    if not low <= value <= high:
        raise RuleError(f"{text} is not between {low} and {high}")
    return value


def _prefix(p: "_Parser", text: str) -> Prefix:
    try:
        prefix = Prefix.parse(text)
    except ValueError as error:
        raise RuleError(str(error)) from None
    if (len(prefix.address) == 16) is not p.ipv6:
        raise RuleError(f"host/network `{text}' not found: it is of the other family")
    return prefix


def _masked(text: str) -> tuple[int, int]:
    value, _, mask = text.partition("/")
    return number(value, 0, _MAX_MARK), number(mask, 0, _MAX_MARK) if mask else _MAX_MARK


def _place(text: str) -> tuple[bytes, int]:
    """`10.0.0.1:80`, `[2001:db8::1]:80` or an address alone."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        return ip(host), number(port, 1, 65535) if port else 0
    except RuleError:
        raise
    except ValueError as error:
        raise RuleError(str(error)) from None


def _source(p: _Parser, option: str) -> None:
    text = p.argument(option)
    p.add(Source(_prefix(p, text), p.negated, full="/" in text))


def _destination(p: _Parser, option: str) -> None:
    text = p.argument(option)
    p.add(Destination(_prefix(p, text), p.negated, full="/" in text))


def _protocol(p: _Parser, option: str) -> None:
    text = p.argument(option).lower()
    if text in ("all", "0"):
        return
    p.add(IpProtocol(_PROTOCOLS[text] if text in _PROTOCOLS else number(text, 1, 255), p.negated))


def _ports(p: _Parser, option: str) -> None:
    first, colon, last = p.argument(option).partition(":")
    low = number(first, 0, 65535) if first or not colon else 0
    high = (number(last, low, 65535) if last else 65535) if colon else low
    kind = DestinationPort if option in ("--dport", "--destination-port") else SourcePort
    p.add(kind(low, high, p.negated))


def _multiport(p: _Parser, option: str) -> None:
    ports = tuple(number(text, 0, 65535) for text in p.argument(option).split(","))
    if len(ports) > _MULTIPORT_MAX:
        raise RuleError("too many ports specified")
    p.add(MultiPort(ports, p.negated))


def _module(p: _Parser, option: str) -> None:
    p.end_recent()
    name = p.argument(option)
    if name == "recent":
        p.recent["-m"] = name
    elif name in ("tcp", "udp", "sctp", "icmp"):
        p.add(Module(name))
    elif name not in _SILENT_MODULES:
        raise RuleError(f'couldn\'t load match "{name}"')


def _recent_word(p: _Parser, option: str) -> None:
    if not p.recent:
        raise RuleError(f'"{option}" belongs to -m recent')
    p.recent[option] = ""


def _recent_value(p: _Parser, option: str) -> None:
    _recent_word(p, option)
    p.recent[option] = p.argument(option)


def _states(p: _Parser, option: str) -> None:
    states = tuple(p.argument(option).split(","))
    wrong = [state for state in states if state not in _STATES]
    if wrong:
        raise RuleError(f'bad ctstate "{wrong[0]}"')
    p.add(CtState(states, p.negated))


def _addrtype(p: _Parser, option: str) -> None:
    kind = p.argument(option)
    if kind != "LOCAL":
        raise RuleError(f'address type "{kind}" is not supported, only LOCAL')
    p.add(AddrType(option[2:5], p.negated))


def _match_set(p: _Parser, option: str) -> None:
    name = p.argument(option)
    sides = tuple(p.argument(option).split(","))
    if not set(sides) <= {"src", "dst"}:
        raise RuleError(f'--match-set: "{",".join(sides)}" is not src or dst for each part')
    p.add(SetMatch(name, sides, p.negated))


def _mode(p: _Parser, option: str) -> None:
    mode = p.argument(option)
    if mode != "random":
        raise RuleError(f'statistic mode "{mode}" is not supported, only random')


def _probability(p: _Parser, option: str) -> None:
    text = p.argument(option)
    try:
        p.add(Statistic(float(text)))
    except ValueError:
        raise RuleError(f'"{text}" is not a probability') from None


def _target(p: _Parser, option: str) -> None:
    p.end_recent()
    name = p.argument(option)
    make = _TARGETS.get(name)
    p.target = make(p) if make is not None else Jump(name)


def _reject(p: _Parser) -> Target:
    if not p.words or p.words[-1] != "--reject-with":
        return Reject(ipv6=p.ipv6)
    p.words.pop()
    how = p.argument("--reject-with")
    if how != TCP_RESET and how not in (UNREACHABLE_CODES_V6 if p.ipv6 else UNREACHABLE_CODES):
        raise RuleError(f'unknown reject type "{how}"')
    return Reject(how, p.ipv6)


def _no_track(p: _Parser) -> Target:
    option = p.argument("CT")
    if option != "--notrack":
        raise RuleError(f'CT: unknown option "{option}"')
    return NoTrack("CT --notrack")


def _set_mark(p: _Parser) -> Target:
    option = p.argument("MARK")
    try:
        return SetMark.spelled(option, *_masked(p.argument(option)))
    except KeyError:
        raise RuleError(f'MARK: unknown option "{option}"') from None


def _dnat(p: _Parser) -> Target:
    return Dnat(*_place(_after(p, "DNAT", "--to-destination")))


def _snat(p: _Parser) -> Target:
    return Snat(*_place(_after(p, "SNAT", "--to-source")))


def _after(p: _Parser, target: str, option: str) -> str:
    if p.argument(target) != option:
        raise RuleError(f"{target} needs {option}")
    return p.argument(option)


def _masquerade(p: _Parser) -> Target:
    fully = bool(p.words) and p.words[-1] in ("--random-fully", "--random")
    if fully:
        p.words.pop()
    return Masquerade(fully)


_TARGETS: Final[Mapping[str, Callable[[_Parser], Target]]] = {
    "ACCEPT": lambda _: Accept(),
    "CT": _no_track,
    "NOTRACK": lambda _: NoTrack(),
    "DROP": lambda _: Drop(),
    "RETURN": lambda _: Return(),
    "REJECT": _reject,
    "MARK": _set_mark,
    "DNAT": _dnat,
    "SNAT": _snat,
    "MASQUERADE": _masquerade,
}

_OPTIONS: Final[Mapping[str, Callable[[_Parser, str], None]]] = {
    "-s": _source,
    "--source": _source,
    "--src": _source,
    "-d": _destination,
    "--destination": _destination,
    "--dst": _destination,
    "-i": lambda p, option: p.add(InInterface(p.argument(option), p.negated)),
    "-o": lambda p, option: p.add(OutInterface(p.argument(option), p.negated)),
    "-p": _protocol,
    "--protocol": _protocol,
    "-m": _module,
    "--match": _module,
    "-j": _target,
    "--jump": _target,
    "--dport": _ports,
    "--destination-port": _ports,
    "--dports": _multiport,
    "--destination-ports": _multiport,
    "--sport": _ports,
    "--source-port": _ports,
    "--comment": lambda p, option: p.add(Comment(p.argument(option))),
    "--ctstate": _states,
    "--state": _states,
    "--mark": lambda p, option: p.add(Mark(*_masked(p.argument(option)), p.negated)),
    "--src-type": _addrtype,
    "--dst-type": _addrtype,
    "--match-set": _match_set,
    "--physdev-is-in": lambda p, option: p.add(PhysdevIsIn(p.negated)),
    "--mode": _mode,
    "--probability": _probability,
    "--nfacct-name": lambda p, option: p.add(Nfacct(p.argument(option))),
    "--set": _recent_word,
    "--rcheck": _recent_word,
    "--reap": _recent_word,
    "--rsource": _recent_word,
    "--name": _recent_value,
    "--seconds": _recent_value,
    "--mask": _recent_value,
}
