"""kube-dns, the cluster DNS before CoreDNS: the records of its SkyDNS half, as a handler like the kubernetes plugin.

Differences to CoreDNS that matter: wildcard labels still work, endpoints without a hostname have no PTR record, the
bare name has no SRV ports, SRV priority is 10, TTL 30.
Source: kubernetes/dns 9aa70b8f pkg/dns/dns.go, pkg/dns/util. Its configuration is in `kubedns_config`.
Simplified: no federation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from netsim.cluster.dns.chain import (
    NEVER_AGAIN,
    UNTIL_CHANGE,
    Handler,
    Request,
    Respond,
    in_zone,
    soa,
)
from netsim.cluster.dns.finder import Entry, address_type
from netsim.cluster.dns.names import POD, SVC, endpoint_name, is_reverse, pod_address, reverse_address
from netsim.cluster.dns.views import NO_PORT, ServiceView
from netsim.cluster.dns.world import World
from netsim.wire.dns import AAAA, CNAME, NOERROR, NXDOMAIN, PTR, SRV, TXT, A, Record, Reply

TTL: Final = 30  # kubernetes/dns pkg/dns/util/util.go defaultTTL
PRIORITY: Final = 10  # defaultPriority
_WILDCARDS: Final = ("*", "any")


class KubeDns:
    """Answers for the cluster domain and for the reverse names of cluster IPs and named endpoints."""

    def __init__(self, domain: str, world: World, next_handler: Handler) -> None:
        self._domain = domain.lower().rstrip(".") + "."
        self._world = world
        self._next = next_handler

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer a request about the domain."""
        name, qtype = request.query.question
        key = request.query.key
        if is_reverse(key):
            targets = self._pointers(reverse_address(key)) if qtype == PTR else []
            if targets:
                answer = tuple(Record(name, PTR, TTL, target) for target in targets)
                respond(Reply(answer=answer, authoritative=True), UNTIL_CHANGE)
                return
        elif in_zone(key, self._domain):
            self._follow(self._answer(name, key, qtype), request, respond)
            return
        self._next.serve(request, respond)

    def _follow(self, reply: Reply, request: Request, respond: Respond) -> None:
        """An ExternalName that leads out of the domain: add what upstream knows of it, if anything (SkyDNS Lookup)."""
        last = reply.answer[-1] if reply.answer else None
        outside = last is not None and last.type == CNAME and not in_zone(last.data.lower(), self._domain)
        if last is None or not outside or request.query.question.type not in (A, AAAA):
            respond(reply, UNTIL_CHANGE)
            return

        def looked_up(found: Reply, _until_ns: int) -> None:
            respond(replace(reply, answer=(*reply.answer, *found.answer)), NEVER_AGAIN)

        self._next.serve(request.about(last.data, request.query.question.type), looked_up)

    def _answer(self, name: str, key: str, qtype: int) -> Reply:
        if qtype == TXT and key == f"dns-version.{self._domain}":
            return Reply(answer=(Record(name, TXT, TTL, '"1.1.0"'),), authoritative=True)
        labels = key[: -len(self._domain)].rstrip(".").split(".")
        entries = [] if labels == [""] else list(self._entries(labels[::-1]))
        wanted = [entry for entry in entries if qtype == SRV or entry.type in (qtype, CNAME)]
        if wanted:
            records = self._services(name, wanted) if qtype == SRV else _addresses(name, qtype, wanted)
            return Reply(answer=tuple(dict.fromkeys(records)), authoritative=True)
        authority = soa(self._domain, f"ns.dns.{self._domain}", f"hostmaster.{self._domain}", 1, TTL, TTL)
        exists = entries or len(labels) <= 1
        return Reply(NOERROR if exists else NXDOMAIN, authority=(authority,), authoritative=True)

    def _entries(self, path: list[str]) -> Iterator[Entry]:
        """What is stored at or below a path of labels, the one next to the domain first."""
        branch, namespace, service = (*path, "", "")[:3]
        if branch == POD and len(path) == 3:
            address = pod_address(service)
            if address_type(address) != CNAME:
                yield Entry(address_type(address), address, 0, f"{service}.{namespace}.{POD}.{self._domain}")
        if not _match(branch, SVC) or not service:
            return
        for view in self._matching(namespace, service):
            yield from self._service(view, path[3:])

    def _matching(self, namespace: str, service: str) -> list[ServiceView]:
        if namespace not in _WILDCARDS and service not in _WILDCARDS:
            found = self._world.local.service(namespace, service)
            return [found] if found else []
        services = self._world.local.services.values()
        return [view for view in services if _match(namespace, view.namespace) and _match(service, view.name)]

    def _service(self, view: ServiceView, rest: list[str]) -> Iterator[Entry]:
        base = f"{view.name}.{view.namespace}.{SVC}.{self._domain}"
        named = len(rest) == 2  # _protocol, _port
        if view.external_name:
            if not rest:
                yield Entry(CNAME, view.external_name.rstrip(".") + ".", 0, base)
        elif view.headless:
            yield from self._endpoints(view, rest, base)
        elif not rest:
            for address in view.cluster_ips:
                yield Entry(address_type(address), address, 0, base)
        elif named:
            for port in view.ports:
                if port.name and _match(rest[0], f"_{port.protocol}") and _match(rest[1], f"_{port.name}"):
                    yield from (
                        Entry(address_type(address), address, port.number, base)
                        for address in view.cluster_ips
                    )

    def _endpoints(self, view: ServiceView, rest: list[str], base: str) -> Iterator[Entry]:
        for part in self._world.local.slices(view.namespace, view.name):
            for endpoint in part.endpoints:
                label = endpoint_name(endpoint, pod_names=False)
                kind = address_type(endpoint.address)
                if not rest or (len(rest) == 1 and _match(rest[0], label)):
                    yield Entry(kind, endpoint.address, 0, f"{label}.{base}")
                elif len(rest) == 2:
                    for port in part.ports:
                        named = port.name and port.number != NO_PORT
                        if (
                            named
                            and _match(rest[0], f"_{port.protocol}")
                            and _match(rest[1], f"_{port.name}")
                        ):
                            yield Entry(kind, endpoint.address, port.number, f"{label}.{base}")

    def _services(self, name: str, entries: list[Entry]) -> list[Record]:
        weight = max(100 // len(entries), 1)
        return [
            Record(name, SRV, TTL, f"{PRIORITY} {weight} {e.port} {e.target}")
            for e in entries
            if e.type != CNAME
        ]

    def _pointers(self, address: str) -> list[str]:
        services = self._world.local.with_cluster_ip(address)
        if services:
            return [f"{view.name}.{view.namespace}.{SVC}.{self._domain}" for view in services[:1]]
        return [
            f"{endpoint.hostname}.{part.service}.{part.namespace}.{SVC}.{self._domain}"
            for part in self._world.local.with_endpoint(address)
            for endpoint in part.endpoints
            if endpoint.address == address and endpoint.hostname
        ]


def _match(wanted: str, label: str) -> bool:
    return wanted in _WILDCARDS or wanted == label


def _addresses(name: str, qtype: int, entries: Sequence[Entry]) -> list[Record]:
    return [Record(name, entry.type if entry.type == CNAME else qtype, TTL, entry.host) for entry in entries]
