"""What a DNS plugin is: a handler that answers a request or hands it to the next one (CoreDNS plugin.Handler).

A handler calls `respond` exactly once, at once or later (a forwarded query waits for its upstream), and may wrap the
`respond` that it passes on, as CoreDNS plugins wrap the ResponseWriter: on its way out a reply passes the same
handlers in the opposite order.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from netsim.wire.dns import REFUSED, SERVFAIL, SOA, Query, Question, Record, Reply

# How long the same question may get the same reply: until the world changes, or not at all.
UNTIL_CHANGE: Final = 1 << 62
NEVER_AGAIN: Final = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A query on its way through the chain: who asks, when (ns), and over which transport."""

    query: Query
    client: bytes = b""
    now: int = 0
    over_tcp: bool = False

    def about(self, name: str, qtype: int) -> "Request":
        """The same client asking something else."""
        return replace(self, query=replace(self.query, question=Question(name, qtype), key=name.lower()))


# respond(reply, until_ns): until when the server may give this reply to the same question without asking the chain.
Respond = Callable[[Reply, int], None]


class Handler(Protocol):
    """A plugin in its place in a chain."""

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer, now or later, or let the next handler do so."""


# lookup(request about the wanted name and type, respond): ask the whole server, as plugin/pkg/upstream does.
Lookup = Callable[[Request, Respond], None]


class EndOfChain:
    """Nobody answered: SERVFAIL (plugin.NextOrFailure)."""

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer SERVFAIL."""
        respond(Reply(SERVFAIL), UNTIL_CHANGE)


class ServerBlocks:
    """The server blocks of one port: the longest zone that the name is in decides (core/dnsserver)."""

    def __init__(self, chains: dict[str, Handler]) -> None:
        self.chains = chains

    def serve(self, request: Request, respond: Respond) -> None:
        """Hand over to the chain of the name's zone; REFUSED when there is none."""
        zone = match_zone(request.query.key, self.chains)
        if zone:
            self.chains[zone].serve(request, respond)
        else:
            respond(Reply(REFUSED), UNTIL_CHANGE)


def in_zone(name: str, zone: str) -> bool:
    """Whether a name is the zone's apex or below it; both in lower case with a final dot."""
    return zone == "." or name == zone or name.endswith("." + zone)


def match_zone(name: str, zones: Iterable[str]) -> str:
    """The longest zone that contains the name, or "" (plugin.Zones.Matches)."""
    return max((zone for zone in zones if in_zone(name, zone)), key=len, default="")


def normal_zone(text: str) -> str:
    """A zone as written in a configuration -> lower case with a final dot."""
    return text.lower().rstrip(".") + "."


def soa(zone: str, mname: str, rname: str, serial: int, ttl: int, minimum: int) -> Record:
    """A SOA record with the timers that CoreDNS's backends use (plugin/backend_lookup.go)."""
    return Record(zone, SOA, ttl, f"{mname} {rname} {serial} 7200 1800 86400 {minimum}")
