"""The cache plugin: replies of the plugins behind it, kept for their TTL and counted down.

Made by `build` and `kubedns_pod` (dnsmasq). Source: CoreDNS plugin/cache (cache.go, item.go, handler.go),
plugin/pkg/response/typify.go, plugin/pkg/dnsutil/ttl.go.
Simplified: no prefetch and no serve_stale; when full, the older half goes (upstream evicts at random).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from netsim.cluster.dns.chain import NEVER_AGAIN, Handler, Request, Respond, match_zone
from netsim.engine import S
from netsim.wire.dns import NOERROR, NOTIMP, NS, NXDOMAIN, SERVFAIL, SOA, Bounded, Record, Reply

# CoreDNS plugin/cache/README.md and plugin/pkg/dnsutil/ttl.go.
CAPACITY: Final = 9984
MAX_TTL: Final = 3600
MAX_DENIAL_TTL: Final = 1800
MIN_TTL: Final = 5
SERVFAIL_TTL: Final = 5


class Kind(Enum):
    """What a reply is to the cache (plugin/pkg/response)."""

    SUCCESS = "success"
    DENIAL = "denial"
    SERVER_ERROR = "server error"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Limits:
    """One of the two halves of the cache; times in seconds."""

    max_ttl: int
    min_ttl: int = MIN_TTL
    capacity: int = CAPACITY

    def clamp(self, ttl: int) -> int:
        """How long something with this TTL is kept."""
        return min(max(ttl, self.min_ttl), self.max_ttl)


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """The cache block of a Corefile. Names in `no_success` and `no_denial` are not stored (`disable`)."""

    zones: tuple[str, ...] = (".",)
    success: Limits = Limits(MAX_TTL)
    denial: Limits = Limits(MAX_DENIAL_TTL)
    servfail_ttl: int = SERVFAIL_TTL
    no_success: tuple[str, ...] = ()
    no_denial: tuple[str, ...] = ()
    authoritative_hits: bool = True  # CoreDNS sets AA, dnsmasq does not


@dataclass(frozen=True, slots=True)
class _Item:
    reply: Reply
    ttl: int
    stored_ns: int


Key = tuple[str, int, bool]


class Cache:
    """The plugin."""

    def __init__(self, options: CacheOptions, next_handler: Handler) -> None:
        self.options = options
        self._next = next_handler
        self._success: Bounded[Key, _Item] = Bounded(options.success.capacity)
        self._denial: Bounded[Key, _Item] = Bounded(options.denial.capacity)

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer from the cache, or ask the next plugin and remember what it says."""
        query = request.query
        if not match_zone(query.key, self.options.zones):
            self._next.serve(request, respond)
            return
        key = (query.key, query.question.type, query.dnssec_ok)
        for store in (self._denial, self._success):
            item = store.get(key)
            age = (request.now - item.stored_ns) // S if item else 0
            if item and age < item.ttl:
                hit = replace(
                    with_ttl(item.reply, item.ttl - age), authoritative=self.options.authoritative_hits
                )
                respond(hit, item.stored_ns + (age + 1) * S)
                return

        def store_and_respond(reply: Reply, until_ns: int) -> None:
            kept, ttl = self._remember(key, reply, request.now)
            # What was stored will be counted down from now on; what was not may be asked for again as before.
            respond(with_ttl(reply, ttl), NEVER_AGAIN if kept else until_ns)

        self._next.serve(request, store_and_respond)

    def _remember(self, key: Key, reply: Reply, now: int) -> tuple[bool, int]:
        """Store a reply if it may be; whether it was, and the TTL that it gets (s)."""
        kind = classify(reply)
        ttl = self.seconds(kind, minimal_ttl(reply, kind))
        excepted = self.options.no_success if kind is Kind.SUCCESS else self.options.no_denial
        if ttl <= 0 or kind is Kind.OTHER or reply.truncated or match_zone(key[0], excepted):
            return False, ttl
        store = self._success if kind is Kind.SUCCESS else self._denial
        store.remember(key, _Item(reply, ttl, now))
        return True, ttl

    def seconds(self, kind: Kind, ttl: int) -> int:
        """How long a reply of this kind and TTL is kept."""
        if kind is Kind.SERVER_ERROR:
            return self.options.servfail_ttl
        return (self.options.denial if kind is Kind.DENIAL else self.options.success).clamp(ttl)


def classify(reply: Reply) -> Kind:
    """Success, denial (negative with a SOA), server error, or something that is never kept."""
    if reply.rcode in (SERVFAIL, NOTIMP):
        return Kind.SERVER_ERROR
    types = {record.type for record in reply.authority}
    if reply.rcode == NXDOMAIN:
        return Kind.DENIAL if SOA in types else Kind.OTHER
    if reply.rcode == NOERROR:
        denial = not reply.answer and SOA in types and NS not in types
        return Kind.DENIAL if denial else Kind.SUCCESS
    return Kind.OTHER


def minimal_ttl(reply: Reply, kind: Kind) -> int:
    """The lowest TTL of all sections, in seconds; 5 for an empty reply and for errors."""
    if kind in (Kind.SERVER_ERROR, Kind.OTHER):
        return MIN_TTL
    records = (*reply.answer, *reply.authority, *reply.additional)
    return min((record.ttl for record in records), default=MIN_TTL)


def with_ttl(reply: Reply, ttl: int) -> Reply:
    """The reply with one TTL for all its records."""
    return replace(
        reply,
        answer=_set_ttl(reply.answer, ttl),
        authority=_set_ttl(reply.authority, ttl),
        additional=_set_ttl(reply.additional, ttl),
    )


def _set_ttl(records: Iterable[Record], ttl: int) -> tuple[Record, ...]:
    return tuple(record._replace(ttl=ttl) for record in records)
