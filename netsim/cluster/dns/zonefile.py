"""The file plugin: an authoritative zone from a master file. It also plays name servers outside the cluster.

Made by `build` and `outside`. Source: CoreDNS plugin/file (lookup.go): positive answers carry the zone's NS records
in the authority section, negative ones its SOA; a wildcard answers for names that do not exist; CNAMEs are followed.
Simplified: no delegations, no DNSSEC, no transfers.
"""

from collections.abc import Iterable

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone

from netsim.cluster.dns.chain import (
    NEVER_AGAIN,
    UNTIL_CHANGE,
    Handler,
    Lookup,
    Request,
    Respond,
    in_zone,
    match_zone,
)
from netsim.wire.dns import CNAME, NOERROR, NS, NXDOMAIN, SOA, Record, Reply

_LONGEST_CHAIN = 8
_LINE_TTL_S = 300


class ZoneFile:
    """The plugin for one zone. `lookup` finds the targets of CNAMEs that lead out of it."""

    def __init__(
        self,
        origin: str,
        records: Iterable[Record],
        next_handler: Handler,
        lookup: Lookup,
        fallthrough: tuple[str, ...] = (),
    ) -> None:
        self.origin = origin
        self._next = next_handler
        self._lookup = lookup
        self._fallthrough = fallthrough
        self._nodes: dict[str, list[Record]] = {}
        for record in records:
            self._nodes.setdefault(record.name.lower(), []).append(record)
        self._inner = {parent for name in self._nodes for parent in _parents(name, origin)}

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer for the zone."""
        if not in_zone(request.query.key, self.origin):
            self._next.serve(request, respond)
            return
        name, qtype = request.query.question
        answer: list[Record] = []
        for _ in range(_LONGEST_CHAIN):
            node = self._at(name)
            if node is None:
                self._missing(request, answer, respond)
                return
            alias = next((record for record in node if record.type == CNAME and qtype != CNAME), None)
            if alias is None:
                answer += [record._replace(name=name) for record in node if record.type == qtype]
                break
            answer.append(alias._replace(name=name))
            name = alias.data
            if not in_zone(name.lower(), self.origin):
                self._follow(request, answer, respond)
                return
        section = self._own(NS) if answer else self._own(SOA)
        respond(Reply(NOERROR, tuple(answer), section, authoritative=True), UNTIL_CHANGE)

    def _at(self, name: str) -> list[Record] | None:
        """The records of a name, of the wildcard above it, or none of an empty node; None when it does not exist."""
        key = name.lower()
        if key in self._nodes:
            return self._nodes[key]
        if key in self._inner:
            return []
        for parent in _parents(key, self.origin):
            if f"*.{parent}" in self._nodes:
                return self._nodes[f"*.{parent}"]
            if parent in self._nodes or parent in self._inner:
                return None
        return None

    def _own(self, rtype: int) -> tuple[Record, ...]:
        return tuple(record for record in self._nodes.get(self.origin, ()) if record.type == rtype)

    def _missing(self, request: Request, answer: list[Record], respond: Respond) -> None:
        if not answer and match_zone(request.query.key, self._fallthrough):
            self._next.serve(request, respond)
            return
        rcode = NXDOMAIN if not answer else NOERROR
        respond(Reply(rcode, tuple(answer), self._own(SOA), authoritative=True), UNTIL_CHANGE)

    def _follow(self, request: Request, answer: list[Record], respond: Respond) -> None:
        def found(reply: Reply, _until_ns: int) -> None:
            records = (*answer, *reply.answer)
            respond(Reply(NOERROR, records, self._own(NS), authoritative=True), NEVER_AGAIN)

        self._lookup(request.about(answer[-1].data, request.query.question.type), found)


def _parents(name: str, origin: str) -> list[str]:
    """The names above, nearest first, up to the zone's apex."""
    found = []
    while name != origin and in_zone(name, origin):
        name = name.partition(".")[2] or "."
        found.append(name)
    return found


def parse_lines(lines: Iterable[str]) -> tuple[Record, ...]:
    """The records of lines `NAME [TTL] [IN] TYPE DATA` with absolute names; a TTL that is left out is 300 s. Raises
    ValueError for a bad one."""
    return tuple(map(_record, lines))


def _record(line: str) -> Record:
    name, ttl, words = "", _LINE_TTL_S, line.split(None, 1)
    try:
        name = dns.name.from_text(words[0]).to_text()
        words = words[1].split(None, 1)
        while words[0].isdigit() or words[0].upper() == "IN":
            ttl = int(words[0]) if words[0].isdigit() else ttl
            words = words[1].split(None, 1)
        rtype = dns.rdatatype.from_text(words[0])
        data = dns.rdata.from_text(dns.rdataclass.IN, rtype, words[1], dns.name.root, relativize=False)
    except IndexError:
        raise ValueError(f'"{line}" is no record: write NAME TTL TYPE DATA') from None
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f'"{line}" is no record: {error or type(error).__name__}') from error
    return Record(name, int(rtype), ttl, data.to_text())


def parse_zone(text: str, origin: str) -> tuple[Record, ...]:
    """The records of a master file (RFC 1035 section 5). Raises ValueError with dnspython's words for a bad one."""
    try:
        zone = dns.zone.from_text(text, origin=origin, relativize=False, check_origin=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"zone {origin}: {error}") from error
    return tuple(
        Record(name.to_text(), int(rdataset.rdtype), rdataset.ttl, data.to_text())
        for name, rdataset in zone.iterate_rdatasets()
        for data in rdataset
    )
