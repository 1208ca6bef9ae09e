"""The resolver against real servers over the simulated network: sockets, ports, time-outs, TCP, caches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from netsim.cluster.dns.chain import NEVER_AGAIN, UNTIL_CHANGE, Request, Respond
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.server import SERVICE_NS, DnsServer
from netsim.cni.flat import FlatCni
from netsim.engine import MS, Engine, S
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.fabric.host import Host
from netsim.wire.addr import ip, ip_text
from netsim.wire.dns import AAAA, NXDOMAIN, SERVFAIL, A, Record, Reply
from netsim.wire.dns_codec import DnsCodec
from netsim.workload.resolver import Resolver
from netsim.workload.resolver_lookup import LookupResult

SERVER = "198.51.100.53"
OTHER = "198.51.100.54"


@dataclass
class Script:
    """A handler: records by name and type; can be made to stay silent, or to answer some questions never."""

    records: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    silent: Callable[[Request], bool] = lambda _request: False
    rcode: int = NXDOMAIN
    ttl: int = 30
    seen: list[tuple[str, int, bool]] = field(default_factory=list)

    def serve(self, request: Request, respond: Respond) -> None:
        name, qtype = request.query.question
        self.seen.append((name, qtype, request.over_tcp))
        if self.silent(request):
            return
        data = self.records.get((name, qtype), ())
        answer = tuple(Record(name, qtype, self.ttl, text) for text in data)
        exists = any(known == name for known, _ in self.records)
        respond(Reply(0 if exists else self.rcode, answer), NEVER_AGAIN)


class Lab:
    """A client and two name servers beyond one router."""

    def __init__(self) -> None:
        self.engine = Engine(seed=3)
        fabric = Fabric(self.engine, FabricConfig(), FlatCni())
        self.client = fabric.add_outside("client", ip("198.51.100.1"))
        self.hosts = {text: fabric.add_outside(text, ip(text)) for text in (SERVER, OTHER)}
        self.scripts = {text: Script({("web.", A): ("192.0.2.7",)}) for text in self.hosts}
        self.servers = {text: self.serve(host, self.scripts[text]) for text, host in self.hosts.items()}
        self.results: list[tuple[LookupResult, int]] = []

    def serve(self, host: Host, script: Script) -> DnsServer:
        server = DnsServer(host, {53: script}, DnsCodec())
        server.start(0)
        return server

    def resolver(self, *options: str, servers: tuple[str, ...] = (SERVER,), **more: Any) -> Resolver:
        return Resolver(self.client, ResolvConf(servers, ("svc.local",), options), **more)

    def look_up(self, resolver: Resolver, name: str, family: str = "any", wait: int = 60 * S) -> LookupResult:
        before = len(self.results)
        resolver.lookup(name, lambda result, now: self.results.append((result, now)), family)
        self.engine.run(self.engine.now + wait)
        assert len(self.results) == before + 1
        return self.results[-1][0]


def test_a_name_is_found() -> None:
    lab = Lab()
    started = lab.engine.now
    result = lab.look_up(lab.resolver(), "web.")
    assert [ip_text(address) for address in result.addresses] == ["192.0.2.7"]
    assert (result.canonical, result.error, result.queries, result.ttl) == ("web.", None, 2, 30)
    assert lab.scripts[SERVER].seen == [("web.", A, False), ("web.", AAAA, False)]
    assert SERVICE_NS < lab.results[0][1] - started < 5 * MS


def test_the_search_list_costs_queries() -> None:
    lab = Lab()
    result = lab.look_up(lab.resolver("ndots:5"), "web")
    assert (result.error, result.queries, result.canonical) == (None, 4, "web.")
    assert [name for name, _, _ in lab.scripts[SERVER].seen[::2]] == ["web.svc.local.", "web."]


def test_nothing_is_left_behind() -> None:
    lab = Lab()
    resolver = lab.resolver()
    lab.look_up(resolver, "web.")
    lab.look_up(resolver, "nope.")
    assert not lab.client.ns.sockets._udp
    assert not resolver._active
    assert resolver.deadline_ns == 0


@pytest.mark.parametrize(
    ("rcode", "name", "error"), [(NXDOMAIN, "nope.", "NXDOMAIN"), (SERVFAIL, "nope.", "SERVFAIL")]
)
def test_errors(rcode: int, name: str, error: str) -> None:
    lab = Lab()
    lab.scripts[SERVER].rcode = rcode
    assert lab.look_up(lab.resolver(), name).error == error


def test_a_name_without_addresses_of_the_family() -> None:
    lab = Lab()
    assert lab.look_up(lab.resolver(), "web.", "ipv6").error == "NODATA"


def test_silence_costs_two_times_five_seconds_for_each_of_two_names() -> None:
    lab = Lab()
    lab.scripts[SERVER].silent = lambda _request: True
    assert lab.look_up(lab.resolver("ndots:5"), "web").error == "TIMEOUT"
    assert lab.results[0][1] == 20 * S
    assert lab.results[0][0].queries == 8


def test_the_second_server_is_asked_after_five_seconds() -> None:
    lab = Lab()
    lab.scripts[SERVER].silent = lambda _request: True
    result = lab.look_up(lab.resolver(servers=(SERVER, OTHER)), "web.")
    assert result.error is None
    assert 5 * S < lab.results[0][1] < 5 * S + 5 * MS


def test_a_closed_port_leads_on_at_once() -> None:
    lab = Lab()
    lab.servers[SERVER].kill(0)
    result = lab.look_up(lab.resolver(servers=(SERVER, OTHER)), "web.")
    assert result.error is None
    assert lab.results[0][1] < 5 * MS
    lab.servers[OTHER].kill(lab.engine.now)
    assert lab.look_up(lab.resolver(servers=(SERVER, OTHER)), "web.").error == "UNREACHABLE"


def test_no_route_is_told_at_once() -> None:
    lab = Lab()
    lab.client.ns.devices["eth0"].up = False
    lab.client.ns.changed()
    result = lab.look_up(lab.resolver("timeout:1", "attempts:1"), "web.")
    assert result.error in ("UNREACHABLE", "TIMEOUT")


def test_a_lost_half_costs_five_seconds_once_and_then_questions_come_in_turn() -> None:
    """The race of two packets from one port: the AAAA question is lost the first time."""
    lab = Lab()
    lost = iter([True])
    lab.scripts[SERVER].silent = lambda request: request.query.question.type == AAAA and next(lost, False)
    resolver = lab.resolver()
    assert lab.look_up(resolver, "web.").error is None
    assert 5 * S < lab.results[0][1] < 5 * S + 10 * MS
    assert resolver.memory.single_request
    started = lab.engine.now
    assert lab.look_up(resolver, "web.").error is None
    assert lab.results[1][1] - started < 10 * MS


def test_a_repetition_comes_from_the_same_port_and_another_name_from_another() -> None:
    lab = Lab()
    ports: list[tuple[str, int]] = []
    server = lab.servers[SERVER]
    port = server._ports[0]
    receive = port.datagram

    def spy(socket: Any, payload: bytes, src: bytes, sport: int, now: int) -> None:
        query = server.codec.read_query(payload)
        ports.append((query.key, sport))  # type: ignore[union-attr]
        receive(socket, payload, src, sport, now)

    lab.hosts[SERVER].ns.sockets._udp[None, 53].on_datagram = spy
    lab.scripts[SERVER].silent = lambda request: True
    lab.look_up(lab.resolver("ndots:5"), "web", "ipv4")
    assert [name for name, _ in ports] == ["web.svc.local."] * 2 + ["web."] * 2
    assert ports[0][1] == ports[1][1] != ports[2][1] == ports[3][1]


def test_truncated_replies_are_asked_for_again_over_tcp() -> None:
    lab = Lab()
    many = tuple(f"192.0.2.{number}" for number in range(1, 61))
    lab.scripts[SERVER].records[("many.", A)] = many
    result = lab.look_up(lab.resolver(), "many.")
    assert sorted(map(ip_text, result.addresses)) == sorted(many)
    assert [over_tcp for _, qtype, over_tcp in lab.scripts[SERVER].seen if qtype == A] == [False, True]
    assert result.queries == 3


def test_old_musl_takes_what_fits() -> None:
    lab = Lab()
    lab.scripts[SERVER].records[("many.", A)] = tuple(f"192.0.2.{number}" for number in range(1, 61))
    result = lab.look_up(lab.resolver(style="musl"), "many.")
    assert 0 < len(result.addresses) < 60
    assert len(lab.look_up(lab.resolver(style="musl-1.2.4"), "many.").addresses) == 60


def test_musl_asks_all_servers_at_once() -> None:
    lab = Lab()
    lab.scripts[SERVER].silent = lambda _request: True
    result = lab.look_up(lab.resolver(servers=(SERVER, OTHER), style="musl"), "web.")
    assert (result.error, result.queries) == (None, 4)
    assert lab.results[0][1] < 5 * MS


def test_nslookup_asks_for_aaaa_afterwards() -> None:
    lab = Lab()
    result = lab.look_up(lab.resolver("ndots:5", style="nslookup"), "web")
    assert [(name, qtype) for name, qtype, _ in lab.scripts[SERVER].seen] == [
        ("web.svc.local.", A), ("web.", A), ("web.", AAAA),
    ]  # fmt: skip
    assert [ip_text(address) for address in result.addresses] == ["192.0.2.7"]


@pytest.mark.parametrize(
    ("name", "address"), [("10.1.2.3", "10.1.2.3"), ("::1", "::1"), ("localhost", "127.0.0.1")]
)
def test_what_needs_no_server(name: str, address: str) -> None:
    lab = Lab()
    result = lab.look_up(lab.resolver(), name, wait=1)
    assert [ip_text(found) for found in result.addresses] == [address]
    assert (result.queries, lab.scripts[SERVER].seen) == (0, [])


@pytest.mark.parametrize(
    ("cache", "ages", "asked"),
    [
        ("none", (0, 1), 2),
        ("ttl", (0, 29, 31), 2),
        ("jvm", (0, 29, 31), 2),
        ("forever", (0, 29, 3600), 1),
    ],
)
def test_caches_of_applications(cache: str, ages: tuple[int, ...], asked: int) -> None:
    lab = Lab()
    resolver = lab.resolver(cache=cache)
    for age in ages:
        lab.engine.run(max(age * S, lab.engine.now + 1))
        lab.look_up(resolver, "web.", "ipv4", wait=10 * MS)
    assert len(lab.scripts[SERVER].seen) == asked


def test_an_impossible_name_ends_the_search() -> None:
    lab = Lab()
    assert lab.look_up(lab.resolver(), "a" * 64).error == "REFUSED"


def test_stop_forgets_everything() -> None:
    lab = Lab()
    lab.scripts[SERVER].silent = lambda _request: True
    resolver = lab.resolver()
    resolver.lookup("web.", lambda result, now: lab.results.append((result, now)))
    resolver.stop()
    lab.engine.run(60 * S)
    assert not lab.results
    assert not lab.client.ns.sockets._udp


def test_rotate_spreads_the_load() -> None:
    lab = Lab()
    resolver = lab.resolver("rotate", servers=(SERVER, OTHER))
    for _ in range(10):
        lab.look_up(resolver, "web.", "ipv4", wait=10 * MS)
    assert len(lab.scripts[SERVER].seen) == len(lab.scripts[OTHER].seen) == 5


# -- the server's side -------------------------------------------------------------------------------------------------


def test_the_server_works_off_its_queue_with_two_processors() -> None:
    lab = Lab()
    resolver = lab.resolver()
    for _ in range(20):
        resolver.lookup("web.", lambda result, now: lab.results.append((result, now)), "ipv4")
    lab.engine.run(1 * S)
    times = sorted(now for _, now in lab.results)
    assert len(times) == 20
    assert times[-1] - times[0] == pytest.approx(9 * SERVICE_NS, abs=SERVICE_NS)


def test_kept_replies_are_forgotten_when_the_world_changes() -> None:
    lab = Lab()

    class Kept(Script):
        def serve(self, request: Request, respond: Respond) -> None:
            super().serve(request, lambda reply, _until: respond(reply, UNTIL_CHANGE))

    host = lab.hosts[OTHER]
    lab.servers[OTHER].kill(0)
    script = Kept({("web.", A): ("192.0.2.7",)})
    server = lab.serve(host, script)
    resolver = lab.resolver(servers=(OTHER,))
    for _ in range(3):
        lab.look_up(resolver, "web.", "ipv4", wait=10 * MS)
    assert len(script.seen) == 1
    script.records[("web.", A)] = ("192.0.2.8",)
    server.forget()
    assert [ip_text(a) for a in lab.look_up(resolver, "web.", "ipv4", wait=10 * MS).addresses] == [
        "192.0.2.8"
    ]


def test_a_killed_server_answers_nothing_and_tells_once() -> None:
    lab = Lab()
    server = lab.servers[SERVER]
    ended: list[tuple[int, int]] = []
    server.exited = lambda code, now: ended.append((code, now))
    lab.resolver().lookup("web.", lambda result, now: lab.results.append((result, now)))
    lab.engine.run(lab.engine.now + 250_000)  # the question is on its way or in the queue
    server.kill(lab.engine.now)
    server.kill(lab.engine.now)
    assert [code for code, _ in ended] == [137]
    lab.engine.run(30 * S)
    assert lab.results[0][0].error in ("TIMEOUT", "UNREACHABLE")


def test_garbage_gets_an_error_or_nothing() -> None:
    lab = Lab()
    got: list[bytes] = []
    socket = lab.client.ns.sockets.open_udp(lambda _s, payload, _src, _sport, _now: got.append(payload))
    for payload in (b"", b"xx", b"\1\2\1\0\0\2" + bytes(6), b"\1\2\x81\0\0\1" + bytes(6)):
        socket.send(payload, ip(SERVER), 53, lab.engine.now)
    lab.engine.run(1 * S)
    assert [(payload[:2], payload[3] & 0xF) for payload in got] == [(b"\1\2", 1)]


def test_another_edns_version_is_badvers() -> None:
    lab = Lab()
    got: list[bytes] = []
    socket = lab.client.ns.sockets.open_udp(lambda _s, payload, _src, _sport, _now: got.append(payload))
    query = bytearray(b"\1\2" + DnsCodec().query("web.", A, 1232))
    query[-5] = 1  # the version byte in the OPT record
    socket.send(bytes(query), ip(SERVER), 53, lab.engine.now)
    lab.engine.run(1 * S)
    import dns.message

    assert dns.message.from_wire(got[0]).rcode() == 16
