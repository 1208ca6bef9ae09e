"""The k8s_external plugin: names for the external addresses of Services (`svc.namespace.example.com`).

Made by `build` beside a kubernetes plugin whose `Finder` it uses. Source: CoreDNS plugin/k8s_external (external.go,
apex.go, msg_to_dns.go), plugin/kubernetes/external.go.
External addresses are spec.externalIPs and the load balancer's addresses or host names; with `headless`, Services that
have none answer with their endpoints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from netsim.cluster.dns.chain import (
    NEVER_AGAIN,
    UNTIL_CHANGE,
    Handler,
    Lookup,
    Request,
    Respond,
    match_zone,
    soa,
)
from netsim.cluster.dns.finder import NO_PORT, Entry, Finder, address_type
from netsim.cluster.dns.names import endpoint_name, is_reverse, reverse_address
from netsim.cluster.dns.views import ServiceView
from netsim.wire.dns import AAAA, CNAME, NOERROR, NS, NXDOMAIN, PTR, SOA, SRV, A, Record, Reply

DEFAULT_TTL: Final = 5


@dataclass(frozen=True, slots=True)
class ExternalOptions:
    """The k8s_external block of a Corefile."""

    zones: tuple[str, ...]
    headless: bool = False
    ttl: int = DEFAULT_TTL
    apex: str = "dns"
    fallthrough: tuple[str, ...] = ()


class External:
    """The plugin. `addresses` replaces what the world says about the name server's own addresses (tests)."""

    def __init__(
        self,
        options: ExternalOptions,
        finder: Finder,
        lookup: Lookup,
        next_handler: Handler,
        addresses: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.options = options
        self._finder = finder
        self._lookup = lookup
        self._next = next_handler
        self._addresses = addresses or (lambda: finder.external_addresses(headless=options.headless))

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer a request about one of the zones."""
        matched = match_zone(request.query.key, self.options.zones)
        if not matched:
            self._next.serve(request, respond)
            return
        name, qtype = request.query.question
        zone = name[len(name) - len(matched) :]
        below = request.query.key[: -len(matched)].rstrip(".")
        labels = below.split(".") if below else []
        if not labels:
            respond(self._apex(zone, qtype), UNTIL_CHANGE)
        elif labels[-1] == self.options.apex and not is_reverse("." + matched):
            respond(self._below_apex(zone, name, qtype, labels), UNTIL_CHANGE)
        elif qtype == PTR and reverse_address(request.query.key):
            self._pointers(request, zone, respond)
        else:
            self._services(request, zone, labels, respond)

    # -- the zone itself -------------------------------------------------------------------------------------------

    def _apex(self, zone: str, qtype: int) -> Reply:
        server = f"ns1.{self.options.apex}.{zone}"
        if qtype == SOA:
            return Reply(answer=(self._soa(zone),), authoritative=True)
        if qtype == NS:
            record = Record(zone, NS, self.options.ttl, server)
            return Reply(answer=(record,), additional=self._glue(server), authoritative=True)
        return self._negative(zone, NOERROR)

    def _below_apex(self, zone: str, name: str, qtype: int, labels: list[str]) -> Reply:
        """dns.<zone> is an inner node; ns1.dns.<zone> is the name server."""
        if len(labels) > 2 or (len(labels) == 2 and labels[0] != "ns1"):
            return self._negative(zone, NXDOMAIN)
        glue = self._glue(name) if len(labels) == 2 else ()
        answer = tuple(record for record in glue if record.type == qtype)
        return Reply(answer=answer, authoritative=True) if answer else self._negative(zone, NOERROR)

    def _glue(self, name: str) -> tuple[Record, ...]:
        found = dict.fromkeys(self._addresses())
        return tuple(
            Record(name, address_type(address), self.options.ttl, address)
            for address in found
            if address_type(address) != CNAME
        )

    def _soa(self, zone: str) -> Record:
        base = f"{self.options.apex}.{zone}"
        serial = self._finder.world.serial
        return soa(zone, f"ns1.{base}", f"hostmaster.{base}", serial, self.options.ttl, self.options.ttl)

    def _negative(self, zone: str, rcode: int) -> Reply:
        return Reply(rcode, authority=(self._soa(zone),), authoritative=True)

    # -- Services --------------------------------------------------------------------------------------------------

    def _pointers(self, request: Request, zone: str, respond: Respond) -> None:
        name = request.query.question.name
        services = self._finder.world.local.with_external(reverse_address(request.query.key))
        primary = self.options.zones[0]
        targets = [f"{s.name}.{s.namespace}.{primary}" for s in services if self._finder.exposed(s.namespace)]
        if targets:
            answer = tuple(Record(name, PTR, self.options.ttl, target) for target in targets)
            respond(Reply(answer=answer, authoritative=True), UNTIL_CHANGE)
        else:
            self._missing(request, zone, NXDOMAIN, respond)

    def _services(self, request: Request, zone: str, labels: list[str], respond: Respond) -> None:
        entries = self._find(labels, zone)
        name, qtype = request.query.question
        if entries is None:
            self._missing(request, zone, NXDOMAIN, respond)
            return
        if qtype in (A, AAAA):
            self._answer_addresses(request, zone, entries, respond)
            return
        if qtype == SRV:
            answer, glue = self._srv(name, entries)
            if answer:
                self._answer_srv(request, answer, glue, entries, respond)
                return
        respond(self._negative(zone, NOERROR), UNTIL_CHANGE)

    def _missing(self, request: Request, zone: str, rcode: int, respond: Respond) -> None:
        if match_zone(request.query.key, self.options.fallthrough):
            self._next.serve(request, respond)
        else:
            respond(self._negative(zone, rcode), UNTIL_CHANGE)

    def _find(self, labels: list[str], zone: str) -> list[Entry] | None:
        """What is behind [_port._protocol. | endpoint.]service.namespace; [] for the namespace alone."""
        namespace, service_name, *rest = (*labels[::-1], "") if len(labels) == 1 else labels[::-1]
        if not self._finder.exposed(namespace) or len(rest) > 2:
            return None
        if not service_name:
            return []
        service = self._finder.world.local.service(namespace, service_name)
        if service is None:
            return None
        endpoint = rest[0].removeprefix("_") if len(rest) == 1 else ""
        protocol, port = (label.removeprefix("_") for label in rest) if len(rest) == 2 else ("", "")
        base = f"{service.name}.{service.namespace}.{zone}"
        if self.options.headless and not service.external and (service.headless or endpoint):
            return self._endpoints(service, endpoint, port, protocol, base) or None
        return [
            Entry(address_type(host), host, known.number, base)
            for host in service.external
            for known in service.ports
            if known.matches(port, protocol)
        ] or None

    def _endpoints(
        self, service: ServiceView, wanted: str, port: str, protocol: str, base: str
    ) -> list[Entry]:
        found = []
        for part in self._finder.world.local.slices(service.namespace, service.name):
            for endpoint in part.endpoints:
                label = endpoint_name(endpoint, pod_names=self._finder.options.endpoint_pod_names)
                if wanted and label.lower() != wanted:
                    continue
                kind = address_type(endpoint.address)
                found += [
                    Entry(kind, endpoint.address, known.number, f"{label}.{base}")
                    for known in part.ports
                    if known.matches(port, protocol)
                ]
        return found

    # -- answers ---------------------------------------------------------------------------------------------------

    def _answer_addresses(self, request: Request, zone: str, entries: list[Entry], respond: Respond) -> None:
        name, qtype = request.query.question
        ttl = self.options.ttl
        hosts = dict.fromkeys((entry.type, entry.host) for entry in entries)
        records = [Record(name, qtype, ttl, host) for kind, host in hosts if kind == qtype]
        aliases = [Record(name, CNAME, ttl, host.rstrip(".") + ".") for kind, host in hosts if kind == CNAME]

        def finish(found: list[Reply], until_ns: int) -> None:
            answer = list(records)
            for alias, reply in zip(aliases, found, strict=True):
                answer += [alias, *reply.answer]
            tc = any(reply.truncated for reply in found)
            complete = Reply(answer=tuple(answer), authoritative=True, truncated=tc)
            respond(complete if answer else self._negative(zone, NOERROR), until_ns)

        self._gather([request.about(alias.data, qtype) for alias in aliases], finish)

    def _srv(self, name: str, entries: list[Entry]) -> tuple[list[Record], list[Record]]:
        weight = max(100 // len(entries), 1) if entries else 0
        answer: dict[Record, None] = {}
        glue: dict[Record, None] = {}
        for kind, host, port, target in entries:
            if port == NO_PORT:
                continue
            to = host.rstrip(".") + "." if kind == CNAME else target
            answer[Record(name, SRV, self.options.ttl, f"0 {weight} {port} {to}")] = None
            if kind != CNAME:
                glue[Record(target, kind, self.options.ttl, host)] = None
        return list(answer), list(glue)

    def _answer_srv(
        self,
        request: Request,
        answer: list[Record],
        glue: list[Record],
        entries: list[Entry],
        respond: Respond,
    ) -> None:
        outside = dict.fromkeys(entry.host.rstrip(".") + "." for entry in entries if entry.type == CNAME)

        def finish(found: list[Reply], until_ns: int) -> None:
            extra = [*glue, *(record for reply in found for record in reply.answer)]
            respond(Reply(answer=tuple(answer), additional=tuple(extra), authoritative=True), until_ns)

        self._gather([request.about(name, kind) for name in outside for kind in (A, AAAA)], finish)

    def _gather(self, requests: list[Request], finish: Callable[[list[Reply], int], None]) -> None:
        """Look all of them up, then call `finish` with the replies in the same order."""
        if not requests:
            finish([], UNTIL_CHANGE)
            return
        replies: dict[int, Reply] = {}

        def arrived(number: int, reply: Reply) -> None:
            replies[number] = reply
            if len(replies) == len(requests):
                finish([replies[n] for n in range(len(requests))], NEVER_AGAIN)

        for number, request in enumerate(requests):
            self._lookup(request, lambda reply, _until, number=number: arrived(number, reply))  # type: ignore[misc]
