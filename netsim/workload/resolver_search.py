"""Which names a resolver tries for the name that an application asks for: the search list, as data and pure functions.

Called by `resolver_lookup`. A search is a generator: it yields a name to look up (absolute, with a final dot), is sent
the outcome, and returns the outcome of the whole. Sources, each observed too (tests/conformance/cases/dns):
glibc resolv/res_query.c __res_context_search; musl src/network/lookup_name.c name_from_dns_search; BIND 9.18
bin/dig/dighost.c next_origin.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.engine import S
from netsim.wire.addr import Address, ip


class Outcome(Enum):
    """How the look-up of one name ended. REFUSED stands for every other rcode, UNREACHABLE for ICMP errors only."""

    ANSWER = "ANSWER"
    NODATA = "NODATA"
    NXDOMAIN = "NXDOMAIN"
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    TIMEOUT = "TIMEOUT"
    UNREACHABLE = "UNREACHABLE"


Search = Generator[str, Outcome, Outcome]


@dataclass(frozen=True, slots=True)
class Settings:
    """A resolv.conf as a resolver understands it. `searches` have no final dot; "." stays a dot."""

    servers: tuple[Address, ...]
    searches: tuple[str, ...]
    ndots: int
    timeout_ns: int
    attempts: int
    rotate: bool = False
    single_request: bool = False
    reopen: bool = False
    edns_size: int = 0
    over_tcp: bool = False


# resolv.conf(5), glibc resolv.h: RES_TIMEOUT, RES_DFLRETRY, MAXNS and their caps; 1200: RESOLV_EDNS_BUFFER_SIZE.
_TIMEOUT_S: Final = 5
_ATTEMPTS: Final = 2
_MOST_SERVERS: Final = 3
_EDNS_SIZE: Final = 1200


def settings(conf: ResolvConf) -> Settings:
    """What a resolv.conf means. Without a name server the local host is asked (resolv.conf(5))."""
    single = conf.option("single-request") is not None
    reopen = conf.option("single-request-reopen") is not None
    return Settings(
        servers=tuple(map(ip, conf.nameservers[:_MOST_SERVERS] or ("127.0.0.1",))),
        searches=tuple(path.rstrip(".") or "." for path in conf.searches),
        ndots=_number(conf, "ndots", 1, 15),
        timeout_ns=max(1, _number(conf, "timeout", _TIMEOUT_S, 30)) * S,
        attempts=max(1, _number(conf, "attempts", _ATTEMPTS, 5)),
        rotate=conf.option("rotate") is not None,
        single_request=single or reopen,
        reopen=reopen,
        edns_size=_EDNS_SIZE if conf.option("edns0") is not None else 0,
        over_tcp=conf.option("use-vc") is not None,
    )


def _number(conf: ResolvConf, option: str, default: int, most: int) -> int:
    text = conf.option(option) or ""
    return min(int(text), most) if text.isdigit() else default


def _below(name: str, path: str) -> str:
    return f"{name}." if path == "." else f"{name}.{path}."


# NXDOMAIN and NODATA say that the name is not there; SERVFAIL says that this server does not know.
_GLIBC_GOES_ON: Final = (Outcome.NXDOMAIN, Outcome.NODATA, Outcome.SERVFAIL)


def glibc_search(name: str, conf: Settings) -> Search:
    """Enough dots: as is, then the list; else the list, then as is. Only an answer, a refusal or silence ends the
    list, and then the bare name is still tried."""
    absolute = name.endswith(".")
    as_is = name if absolute else f"{name}."
    first = None
    if absolute or name.count(".") >= conf.ndots:
        first = yield as_is
        if first is Outcome.ANSWER or absolute:
            return first
    last, seen = first, set()
    for path in conf.searches:
        last = yield _below(name, path)
        seen.add(last)
        if last in (Outcome.ANSWER, Outcome.UNREACHABLE):
            return last
        if last not in _GLIBC_GOES_ON:
            break
    if first is None and "." not in conf.searches:
        last = yield as_is
        if last is Outcome.ANSWER:
            return last
    # The first of these that applies is what the application is told.
    if first is not None:
        return first
    return next((o for o in (Outcome.NODATA, Outcome.SERVFAIL) if o in seen), last or Outcome.NXDOMAIN)


def until_found(name: str, conf: Settings) -> Search:
    """Enough dots: as is, without the list; else the list and then as is, until anything but NXDOMAIN is heard."""
    absolute = name.endswith(".")
    if not absolute and name.count(".") < conf.ndots:
        for path in conf.searches:
            outcome = yield _below(name, path)
            if outcome is not Outcome.NXDOMAIN:
                return outcome
    return (yield name if absolute else f"{name}.")
