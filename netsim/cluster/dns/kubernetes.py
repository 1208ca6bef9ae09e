"""The kubernetes plugin: answers for the cluster's zones from the API's objects.

Made by `build`. Source: CoreDNS 4b26cced (2026-08) plugin/kubernetes/handler.go, plugin/backend_lookup.go.
Simplified: zone transfers are refused; answers are not compressed here (the server does that).

NXDOMAIN or NODATA is decided by whether the name exists: `Finder.find` gives None or a list that has nothing of the
asked type. Both carry the zone's SOA.
"""

from typing import Final

from netsim.cluster.dns.chain import (
    NEVER_AGAIN,
    UNTIL_CHANGE,
    Handler,
    Lookup,
    Request,
    Respond,
    in_zone,
    match_zone,
    soa,
)
from netsim.cluster.dns.finder import NO_PORT, NS_LABELS, Entry, Finder, address_type
from netsim.cluster.dns.names import reverse_address
from netsim.wire.dns import (
    AAAA,
    AXFR,
    CNAME,
    IXFR,
    NOERROR,
    NS,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    SOA,
    SRV,
    TXT,
    A,
    Record,
    Reply,
)

DNS_SCHEMA_VERSION: Final = "1.1.0"  # kubernetes/dns docs/specification.md
VERSION_TTL: Final = 28800  # CoreDNS plugin/kubernetes/kubernetes.go: the TXT record of dns-version
_LONGEST_CHAIN: Final = 8  # CNAMEs that backend_lookup.go follows inside the zone

Found = tuple[list[Record], list[Record]] | None  # answer and additional section, or no such name


class Kubernetes:
    """The plugin. `lookup` asks the whole server (targets of ExternalName outside the zone)."""

    def __init__(self, finder: Finder, lookup: Lookup, next_handler: Handler) -> None:
        self.finder = finder
        self.options = finder.options
        self._lookup = lookup
        self._next = next_handler
        self._ttl = finder.options.ttl

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer a request about one of the zones."""
        matched = match_zone(request.query.key, self.options.zones)
        if not matched:
            self._next.serve(request, respond)
            return
        name, qtype = request.query.question
        zone = name[len(name) - len(matched) :]  # keep the spelling of the query
        if qtype in (AXFR, IXFR):
            respond(Reply(REFUSED), UNTIL_CHANGE)
        elif qtype in (A, AAAA):
            self._addresses(request, zone, respond)
        else:
            self._finish(self._records(request, zone), request, zone, respond)

    # -- everything but addresses ----------------------------------------------------------------------------------

    def _records(self, request: Request, zone: str) -> Found:
        name, qtype = request.query.question
        key = request.query.key
        at_apex = len(name) == len(zone)
        if qtype == SOA:  # no look-up is made: below the apex NODATA even for a missing name
            return ([self._soa(zone)] if at_apex else []), []
        if qtype == NS and at_apex:
            return self._name_servers(zone)
        if qtype == TXT and key == f"dns-version.{zone.lower()}":
            return [Record(name, TXT, VERSION_TTL, f'"{DNS_SCHEMA_VERSION}"')], []
        if qtype == PTR and reverse_address(key):
            targets = self.finder.reverse(key)
            return ([Record(name, PTR, self._ttl, target) for target in targets], []) if targets else None
        entries = self._find(key, zone)
        if entries is None:
            return None
        if qtype == SRV:
            return self._services(name, entries)
        if qtype == CNAME and entries and entries[0].type == CNAME:
            return [Record(name, CNAME, self._ttl, entries[0].host)], []
        return [], []

    def _find(self, key: str, zone: str) -> list[Entry] | None:
        if key == NS_LABELS + zone.lower():
            servers = self.finder.name_servers(zone)
            return [Entry(address_type(address), address, NO_PORT, name) for name, address in servers]
        return self.finder.find(key, zone)

    def _name_servers(self, zone: str) -> Found:
        servers = self.finder.name_servers(zone)
        names = dict.fromkeys(name for name, _ in servers)
        glue = [Record(name, address_type(address), self._ttl, address) for name, address in servers]
        return [Record(zone, NS, self._ttl, name) for name in names], glue

    def _services(self, name: str, entries: list[Entry]) -> Found:
        # ExternalName has no SRV. The weight counts duplicates, which are dropped afterwards.
        addresses = [entry for entry in entries if entry.type != CNAME]
        weight = max(100 // len(addresses), 1) if addresses else 0
        answer: dict[Record, None] = {}
        glue: dict[Record, None] = {}
        for entry in addresses:
            if entry.port != NO_PORT:
                answer[Record(name, SRV, self._ttl, f"0 {weight} {entry.port} {entry.target}")] = None
                glue[Record(entry.target, entry.type, self._ttl, entry.host)] = None
        return list(answer), list(glue)

    # -- addresses -------------------------------------------------------------------------------------------------

    def _addresses(self, request: Request, zone: str, respond: Respond) -> None:
        """A and AAAA: follow ExternalNames inside the zone; one that leads out is looked up by the whole server."""
        name, qtype = request.query.question
        chain: list[Record] = []
        while True:
            entries = self._find(name.lower(), zone)
            if entries is None:
                self._finish(([], []) if chain else None, request, zone, respond)
                return
            if not entries or entries[0].type != CNAME:
                records = [Record(name, qtype, self._ttl, host) for host in _of_type(entries, qtype)]
                self._finish((chain + records if records else [], []), request, zone, respond)
                return
            alias = Record(name, CNAME, self._ttl, entries[0].host)
            if _loops(alias, chain):
                self._finish(([], []), request, zone, respond)
                return
            chain.append(alias)
            name = alias.data
            if not in_zone(name.lower(), zone.lower()):
                self._complete(chain, request, respond)
                return

    def _complete(self, chain: list[Record], request: Request, respond: Respond) -> None:
        """The chain leads out of the zone: add whatever the whole server finds there, if anything."""

        def looked_up(reply: Reply, _until_ns: int) -> None:
            answer = (*chain, *reply.answer)
            respond(Reply(answer=answer, authoritative=True, truncated=reply.truncated), NEVER_AGAIN)

        self._lookup(request.about(chain[-1].data, request.query.question.type), looked_up)

    # -- replies ---------------------------------------------------------------------------------------------------

    def _finish(self, found: Found, request: Request, zone: str, respond: Respond) -> None:
        if found is None and match_zone(request.query.key, self.options.fallthrough):
            self._next.serve(request, respond)
            return
        if found is None:
            rcode = NXDOMAIN if self.finder.world.synced else SERVFAIL
            respond(self._negative(zone, rcode), UNTIL_CHANGE)
        elif not found[0]:
            respond(self._negative(zone, NOERROR), UNTIL_CHANGE)
        else:
            reply = Reply(answer=tuple(found[0]), additional=tuple(found[1]), authoritative=True)
            respond(reply, UNTIL_CHANGE)

    def _negative(self, zone: str, rcode: int) -> Reply:
        return Reply(rcode, authority=(self._soa(zone),), authoritative=True)

    def _soa(self, zone: str) -> Record:
        serial = self.finder.world.serial
        return soa(zone, NS_LABELS + zone, f"hostmaster.{zone}", serial, min(self._ttl, 300), self._ttl)


def _of_type(entries: list[Entry], qtype: int) -> list[str]:
    """The different addresses of a family, in order."""
    return list(dict.fromkeys(entry.host for entry in entries if entry.type == qtype))


def _loops(alias: Record, chain: list[Record]) -> bool:
    """Whether a CNAME must not be followed: it points at itself, comes round again, or the chain is too long."""
    target = alias.data.lower()
    return (
        alias.name.lower() == target
        or len(chain) >= _LONGEST_CHAIN
        or any(r.data.lower() == target for r in chain)
    )
