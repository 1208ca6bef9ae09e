"""Name servers outside the cluster: the resolver that the nodes' resolv.conf names, and authoritative ones.

Made by whoever builds the world. The resolver knows the names below and those that the topology adds, so that
ExternalName and `forward` are look-ups over packets without any Internet; everything else is NXDOMAIN, as for a
misspelt name. It answers after a delay, which stands for the way over the Internet, and loses a share of the queries.
An authoritative server (for stub domains, for example) answers for its own zones and refuses everything else.

The SOA's times are the real root zone's (a negative answer counts for a day; CoreDNS remembers it for less). Addresses
are those that the names had in 2024; the tutorials' names are theirs (liruilongs.github.io, widget.com).
Simplified: TTLs of the resolver do not count down.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from netsim.cluster.dns.chain import NEVER_AGAIN, EndOfChain, Handler, Request, Respond, ServerBlocks
from netsim.cluster.dns.server import DnsServer
from netsim.cluster.dns.zonefile import ZoneFile, parse_lines, parse_zone
from netsim.engine import Engine
from netsim.fabric.host import Host
from netsim.wire.dns import DNS_PORT, SOA, Record, Reply
from netsim.wire.dns_codec import DnsCodec

ROOT: Final = """
. 86400 IN SOA a.root-servers.net. nstld.verisign-grs.com. 2026010100 1800 900 604800 86400
. 86400 IN NS a.root-servers.net.
"""
NAMES: Final = """
$TTL 300
example.com.            A     93.184.215.14
example.com.            AAAA  2606:2800:21f:cb07:6820:80da:af6b:8b2c
example.com.            MX    0 .
example.com.            TXT   "v=spf1 -all"
example.com.            NS    a.iana-servers.net.
www.example.com.        A     93.184.215.14
www.example.com.        AAAA  2606:2800:21f:cb07:6820:80da:af6b:8b2c
example.org.            A     93.184.215.14
www.google.com.         A     142.250.74.36
www.google.com.         AAAA  2a00:1450:4001:82a::2004
google.com.             A     142.250.74.46
google.com.             MX    10 smtp.google.com.
github.com.             A     140.82.121.4
www.github.com.         CNAME github.com.
liruilongs.github.io.   A     185.199.108.153
liruilongs.github.io.   A     185.199.109.153
liruilongs.github.io.   A     185.199.110.153
liruilongs.github.io.   A     185.199.111.153
liruilongs.github.io.   AAAA  2606:50c0:8000::153
liruilongs.github.io.   AAAA  2606:50c0:8001::153
liruilongs.github.io.   AAAA  2606:50c0:8002::153
liruilongs.github.io.   AAAA  2606:50c0:8003::153
kubernetes.io.          A     15.197.167.90
kubernetes.io.          A     3.33.186.135
www.kubernetes.io.      CNAME kubernetes.io.
registry.k8s.io.        A     34.96.108.209
www.baidu.com.          CNAME www.a.shifen.com.
www.a.shifen.com.       A     180.101.50.188
www.a.shifen.com.       A     180.101.50.242
widget.com.             A     203.0.113.80
dns.google.             A     8.8.8.8
dns.google.             A     8.8.4.4
"""


class Outside:
    """What the resolvers of one world know, and how quickly they say it: shared by all of them."""

    def __init__(
        self, engine: Engine, names: Iterable[str] = (), delay_ns: int = 0, loss: float = 0.0
    ) -> None:
        # A name that the topology gives replaces the default one of that name.
        given = parse_lines(names)
        theirs = {record.name.lower() for record in given}
        defaults = (record for record in parse_zone(NAMES, ".") if record.name.lower() not in theirs)
        self.records = (*parse_zone(ROOT, "."), *defaults, *given)
        self.delay_ns = delay_ns
        self.loss = loss
        self.engine = engine

    def resolver(self, host: Host) -> DnsServer:
        """A resolver on a host, not started yet."""
        return DnsServer(host, {DNS_PORT: _Recursive(self, host)}, DnsCodec())


class _Recursive:
    """Answers for the whole tree, as a resolver does: RA and no AA, no authority section beside an answer."""

    def __init__(self, outside: Outside, host: Host) -> None:
        self._outside = outside
        self._zone = ZoneFile(".", outside.records, EndOfChain(), EndOfChain().serve)
        self._random = outside.engine.stream(f"outside-names/{host.name}")

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer after the delay, or not at all."""
        outside = self._outside
        if outside.loss and self._random.random() < outside.loss:
            return

        def found(reply: Reply, until_ns: int) -> None:
            authority = () if reply.answer else reply.authority
            answer = replace(reply, authority=authority, authoritative=False, recursion_available=True)
            if outside.delay_ns:
                outside.engine.call_later(outside.delay_ns, respond, answer, NEVER_AGAIN)
            else:
                respond(answer, NEVER_AGAIN if outside.loss else until_ns)

        self._zone.serve(request, found)


def authoritative_server(host: Host, lines: Iterable[str]) -> DnsServer:
    """A name server for the zones of these records, not started yet."""
    zones = zones_of(parse_lines(lines))
    end = EndOfChain()
    chains: dict[str, Handler] = {}
    blocks = ServerBlocks(chains)
    chains.update({origin: ZoneFile(origin, records, end, blocks.serve) for origin, records in zones.items()})
    return DnsServer(host, {DNS_PORT: blocks}, DnsCodec())


def zones_of(records: Iterable[Record]) -> Mapping[str, tuple[Record, ...]]:
    """The records by the zone that they are in: zones begin at SOA records; without any, all is one zone of "."."""
    all_records = tuple(records)
    apexes = sorted({r.name.lower() for r in all_records if r.type == SOA}, key=len, reverse=True)
    if not apexes:
        return {".": (*parse_zone(ROOT, "."), *all_records)}
    zones: dict[str, list[Record]] = {apex: [] for apex in apexes}
    for record in all_records:
        name = record.name.lower()
        home = next(
            (apex for apex in apexes if apex == "." or name == apex or name.endswith("." + apex)), None
        )
        if home is not None:
            zones[home].append(record)
    return {apex: tuple(found) for apex, found in zones.items()}
