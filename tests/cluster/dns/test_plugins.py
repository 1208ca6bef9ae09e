"""Cache, forward, hosts and autopath on their own (the kubernetes plugin has its conformance cases)."""

from collections.abc import Callable
from random import Random

import pytest

from netsim.cluster.dns.autopath import AutoPath
from netsim.cluster.dns.cache import Cache, CacheOptions, Limits
from netsim.cluster.dns.chain import (
    NEVER_AGAIN,
    UNTIL_CHANGE,
    EndOfChain,
    Request,
    Respond,
    in_zone,
    match_zone,
)
from netsim.cluster.dns.exchange import Done
from netsim.cluster.dns.exchange_tcp import tcp_frames
from netsim.cluster.dns.finder import Finder, KubernetesOptions
from netsim.cluster.dns.forward import Forward, ForwardOptions
from netsim.cluster.dns.hosts import Hosts, HostsOptions, parse_hosts
from netsim.cluster.dns.kubernetes import Kubernetes
from netsim.cluster.dns.loadbalance import LoadBalance
from netsim.cluster.dns.names import endpoint_name, parse_name, reverse_address
from netsim.cluster.dns.views import EndpointView
from netsim.cluster.dns.world import World
from netsim.cluster.objects.registry import parse_object
from netsim.engine import MS, S
from netsim.wire.addr import Address, ip, ip_text
from netsim.wire.dns import (
    AAAA,
    CNAME,
    NOERROR,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    TCP_SIZE,
    A,
    Query,
    Record,
    Reply,
    ask,
)
from netsim.wire.dns_codec import DnsCodec


class Answers:
    """A handler that always gives the same reply and counts."""

    def __init__(self, reply: Reply, until: int = UNTIL_CHANGE) -> None:
        self.reply, self.until, self.asked = reply, until, 0

    def serve(self, request: Request, respond: Respond) -> None:
        self.asked += 1
        respond(self.reply, self.until)


def replies_of(handler: object, *requests: Request) -> list[tuple[Reply, int]]:
    found: list[tuple[Reply, int]] = []
    for request in requests:
        handler.serve(request, lambda reply, until: found.append((reply, until)))  # type: ignore[attr-defined]
    return found


# -- zones and names -----------------------------------------------------------------------------------------------


def test_zones_end_at_label_boundaries() -> None:
    assert in_zone("a.example.", "example.")
    assert in_zone("example.", "example.")
    assert not in_zone("myexample.", "example.")
    assert in_zone("anything.", ".")
    assert match_zone("a.b.example.", ("example.", "b.example.", ".")) == "b.example."
    assert match_zone("a.org.", ("example.",)) == ""


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("1.0.96.10.in-addr.arpa.", "10.96.0.1"),
        ("96.10.in-addr.arpa.", ""),
        ("1.0.96.999.in-addr.arpa.", ""),
        ("5.0.0.0." + "0.0.0.0." * 5 + "0.1.0.0.0.0.d.f.ip6.arpa.", "fd00:10::5"),
        ("5.0.ip6.arpa.", ""),
        ("www.example.", ""),
    ],
)
def test_reverse_names(name: str, address: str) -> None:
    assert reverse_address(name) == address


def test_an_escaped_dot_does_not_end_a_label() -> None:
    parsed = parse_name("foo\\.bar.ns.svc.cluster.local.", "cluster.local.")
    assert parsed is not None
    assert (parsed.service, parsed.namespace) == ("foo\\.bar", "ns")


def test_zones_of_a_zonal_name_may_have_dots() -> None:
    name = "corp.example.com.pin._zone.web.ns.svc.cluster.local."
    parsed = parse_name(name, "cluster.local.", zonal=True)
    assert parsed is not None
    assert (parsed.zone, parsed.service) == ("corp.example.com", "web")
    assert parse_name(name, "cluster.local.") is None


@pytest.mark.parametrize(
    ("endpoint", "pod_names", "label"),
    [
        (EndpointView("10.0.0.1", "h", "p", ""), True, "h"),
        (EndpointView("10.0.0.1", "", "p", ""), True, "p"),
        (EndpointView("10.0.0.1", "", "p", ""), False, "10-0-0-1"),
        (EndpointView("fd00::", "", "", ""), False, "fd00--0"),
    ],
)
def test_endpoint_names(endpoint: EndpointView, pod_names: bool, label: str) -> None:
    assert endpoint_name(endpoint, pod_names=pod_names) == label


# -- cache -----------------------------------------------------------------------------------------------------------

PLAIN = Reply(answer=(Record("a.example.", A, 20, "192.0.2.1"),))


def test_hits_count_down_are_authoritative_and_last_a_second() -> None:
    backend = Answers(PLAIN)
    cache = Cache(CacheOptions(success=Limits(30)), backend)
    query = ask("a.example.", A)
    found = replies_of(cache, *(Request(query, now=int(t * S)) for t in (0, 0.5, 3.2, 19.9, 20)))
    assert [reply.answer[0].ttl for reply, _ in found] == [20, 20, 17, 1, 20]
    assert [reply.authoritative for reply, _ in found] == [False, True, True, True, False]
    assert [until for _, until in found[:4]] == [NEVER_AGAIN, 1 * S, 4 * S, 20 * S]
    assert backend.asked == 2


def test_spelling_does_not_matter_to_the_cache_but_the_type_does() -> None:
    backend = Answers(PLAIN)
    cache = Cache(CacheOptions(), backend)
    for name, qtype in (("a.example.", A), ("A.EXAMPLE.", A), ("a.example.", AAAA)):
        replies_of(cache, Request(ask(name, qtype)))
    assert backend.asked == 2


def test_zones_that_are_not_cached_pass_unchanged() -> None:
    backend = Answers(PLAIN)
    cache = Cache(CacheOptions(zones=("cluster.local.",)), backend)
    [(reply, until)] = replies_of(cache, Request(ask("a.example.", A)))
    assert (reply, until) == (PLAIN, UNTIL_CHANGE)


def test_a_disabled_zone_gets_its_ttl_but_is_not_kept() -> None:
    backend = Answers(PLAIN)
    cache = Cache(CacheOptions(success=Limits(10), no_success=("example.",)), backend)
    found = replies_of(cache, *[Request(ask("a.example.", A))] * 2)
    assert [(reply.answer[0].ttl, until) for reply, until in found] == [(10, UNTIL_CHANGE)] * 2
    assert backend.asked == 2


def test_loadbalance_marks_only_what_can_be_shuffled() -> None:
    several = Reply(answer=PLAIN.answer * 2)
    assert not replies_of(LoadBalance(Answers(PLAIN)), Request(ask("a.", A)))[0][0].shuffle
    assert replies_of(LoadBalance(Answers(several)), Request(ask("a.", A)))[0][0].shuffle


# -- hosts -----------------------------------------------------------------------------------------------------------


def test_hosts() -> None:
    entries = parse_hosts(["10.0.0.1 a.example b.example # both", "fd00::1 a.example", "", "nonsense here"])
    hosts = Hosts(HostsOptions(entries, fallthrough=("example.",)), EndOfChain())

    def answer(name: str, qtype: int) -> tuple[int, list[str]]:
        [(reply, _)] = replies_of(hosts, Request(ask(name, qtype)))
        return reply.rcode, [record.data for record in reply.answer]

    assert answer("A.example.", A) == (NOERROR, ["10.0.0.1"])
    assert answer("a.example.", AAAA) == (NOERROR, ["fd00::1"])
    assert answer("b.example.", AAAA) == (NOERROR, [])
    assert answer("1.0.0.10.in-addr.arpa.", PTR) == (NOERROR, ["a.example.", "b.example."])
    assert answer("c.example.", A) == (SERVFAIL, [])  # fell through to the end of the chain
    assert answer("c.test.", A) == (NXDOMAIN, [])


# -- forward ---------------------------------------------------------------------------------------------------------


class Upstreams:
    """Servers that reply, stay silent or refuse, and a clock."""

    def __init__(self, **behaviour: str) -> None:
        self.behaviour = {name.replace("_", "."): how for name, how in behaviour.items()}
        self.asked: list[tuple[str, bool]] = []
        self.now = 0
        self.later: list[tuple[int, Callable[[], None]]] = []
        self._codec = DnsCodec()

    def exchange(
        self, server: Address, port: int, tail: bytes, timeout_ns: int, done: Done, *, over_tcp: bool = False
    ) -> None:
        text = ip_text(server)
        self.asked.append((text, over_tcp))
        how = self.behaviour["s" + text.rpartition(".")[2]]
        if how == "waits":
            return
        if how in ("silent", "refuses"):
            self.now += timeout_ns if how == "silent" else 1
            done(None, self.now)
            return
        query = self._codec.read_query(b"\0\0" + tail)
        assert isinstance(query, Query)
        name = "other." if how == "confused" else query.question.name
        reply = Reply(
            answer=(Record(name, A, 60, "192.0.2.9"),), truncated=how == "truncates" and not over_tcp
        )
        asked = ask(name, query.question.type)
        done(b"\0\0" + self._codec.body(asked, reply, TCP_SIZE).tail(Random(1)), self.now)

    def call_later(self, delay_ns: int, function: Callable[[], None]) -> None:
        self.later.append((delay_ns, function))


def forwarder(outside: Upstreams, count: int = 1, **options: object) -> Forward:
    servers = tuple((ip(f"10.0.0.{n}"), 53) for n in range(1, count + 1))
    made = ForwardOptions(servers, policy="sequential", **options)  # type: ignore[arg-type]
    return Forward(made, outside, DnsCodec(), Random(1), EndOfChain())


QUERY = Request(ask("www.example.", A))


def test_an_upstreams_reply_is_passed_on() -> None:
    [(reply, until)] = replies_of(forwarder(Upstreams(s1="replies")), QUERY)
    assert (reply.answer[0].data, until) == ("192.0.2.9", NEVER_AGAIN)


def test_silence_leads_to_the_next_upstream() -> None:
    outside = Upstreams(s1="silent", s2="replies")
    [(reply, _)] = replies_of(forwarder(outside, 2), QUERY)
    assert reply.rcode == NOERROR
    assert outside.now >= 2 * S
    assert [server for server, _ in outside.asked if server != "10.0.0.1"] == ["10.0.0.2"]


def test_five_seconds_are_the_end() -> None:
    outside = Upstreams(s1="silent")
    plugin = forwarder(outside, max_fails=0)
    [(reply, _)] = replies_of(plugin, QUERY)
    assert (reply.rcode, outside.now) == (
        SERVFAIL,
        6 * S,
    )  # three attempts of 2 s: the last one began in time


def test_an_upstream_that_fails_its_health_checks_is_passed_over() -> None:
    outside = Upstreams(s1="silent", s2="replies")
    plugin = forwarder(outside, 2)
    replies_of(plugin, QUERY)
    for _ in range(2):  # with the check at the first failure: three in all, more than max_fails
        delay, check = outside.later.pop()
        assert delay == 500 * MS
        check()
    outside.asked.clear()
    replies_of(plugin, QUERY)
    assert outside.asked == [("10.0.0.2", False)]
    outside.behaviour["s1"] = "replies"
    outside.later.pop()[1]()
    outside.asked.clear()
    replies_of(plugin, QUERY)
    assert outside.asked == [("10.0.0.1", False)]


def test_truncated_replies_are_asked_for_again_over_tcp_with_prefer_udp() -> None:
    outside = Upstreams(s1="truncates")
    [(reply, _)] = replies_of(forwarder(outside, prefer_udp=True), QUERY)
    assert outside.asked == [("10.0.0.1", False), ("10.0.0.1", True)]
    assert not reply.truncated
    assert replies_of(forwarder(Upstreams(s1="truncates")), QUERY)[0][0].truncated


def test_clients_over_tcp_are_served_over_tcp() -> None:
    outside = Upstreams(s1="replies")
    replies_of(forwarder(outside), Request(ask("www.example.", A), over_tcp=True))
    assert outside.asked == [("10.0.0.1", True)]


def test_too_many_at_once_are_refused() -> None:
    plugin = forwarder(Upstreams(s1="waits"), max_concurrent=2)
    assert [reply.rcode for reply, _ in replies_of(plugin, QUERY, QUERY, QUERY)] == [REFUSED]


def test_excepted_names_go_on_and_a_reply_about_something_else_is_no_reply() -> None:
    outside = Upstreams(s1="confused")
    plugin = forwarder(outside, excepted=("corp.example.",))
    assert replies_of(plugin, Request(ask("a.corp.example.", A)))[0][0].rcode == SERVFAIL
    assert not outside.asked
    assert replies_of(plugin, QUERY)[0][0].rcode == 1


# -- autopath --------------------------------------------------------------------------------------------------------


def test_autopath_walks_only_for_known_pods() -> None:
    world = World()
    for kind in ("shop", "default"):
        world.put(parse_object({"kind": "Namespace", "metadata": {"name": kind}}), 0)
    world.put(parse_object({
        "kind": "Pod", "metadata": {"name": "client", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}, "status": {"podIP": "10.244.0.9"},
    }), 0)  # fmt: skip
    world.synced = True
    finder = Finder(world, KubernetesOptions(("cluster.local.",), pods="verified"))
    outside = Answers(Reply(answer=(Record("www.example.", A, 60, "192.0.2.9"),)))
    kubernetes = Kubernetes(finder, lambda _request, _respond: None, outside)
    plugin = AutoPath((".",), finder, (), kubernetes)
    query = ask("www.example.shop.svc.cluster.local.", A)
    [(found, _), (stranger, _)] = replies_of(
        plugin, Request(query, ip("10.244.0.9")), Request(query, ip("10.244.0.10"))
    )
    assert [(record.type, record.data) for record in found.answer] == [
        (CNAME, "www.example."),
        (A, "192.0.2.9"),
    ]
    assert stranger.rcode == NXDOMAIN


def test_tcp_frames_come_in_any_pieces() -> None:
    stream = b"".join(len(m).to_bytes(2) + m for m in (b"abc", b"", b"de" * 300))
    for size in (1, 2, 3, 7, 1000):
        buffer, found = bytearray(), []
        for at in range(0, len(stream), size):
            found += tcp_frames(buffer, stream[at : at + size])
        assert found == [b"abc", b"", b"de" * 300]
        assert not buffer
