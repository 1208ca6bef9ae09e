"""Loads of look-ups: what is recorded, when they begin and end, and that each is a process of its own."""

from typing import Any

import pytest

from netsim.cluster.dns.outside import authoritative_server
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cni.flat import FlatCni
from netsim.engine import MS, Engine, S
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.measure.fingerprint import Fingerprint
from netsim.wire.addr import ip
from netsim.workload.load import LoadSpec
from netsim.workload.load_lookups import LookupGenerator
from netsim.workload.records import RequestDone
from netsim.workload.resolver import Resolver
from netsim.workload.resolver_cache import CachePolicy, cache_policy

SERVER = "198.51.100.53"


class Lab:
    """A client and a name server that knows `web`."""

    def __init__(self, *, silent: bool = False) -> None:
        self.engine = Engine(seed=1)
        fabric = Fabric(self.engine, FabricConfig(), FlatCni())
        self.client = fabric.add_outside("client", ip("198.51.100.1"))
        host = fabric.add_outside("dns", ip(SERVER))
        if not silent:
            authoritative_server(host, ["web 30 A 192.0.2.7", "web 30 A 192.0.2.8"]).start(0)
        else:
            host.ns.sockets.open_udp(lambda *_: None, 53)
        self.records: list[RequestDone] = []
        self.engine.bus.subscribe(RequestDone, self.records.append)

    def load(self, name: str = "web.", cache: str = "none", **spec: Any) -> LookupGenerator:
        resolver = Resolver(self.client, ResolvConf((SERVER,), ("example",), ("ndots:2",)), cache=cache)
        wanted = {"rate_per_s": 100.0, "arrivals": "constant", "for_ns": 50 * MS, "family": "ipv4", **spec}
        generator = LookupGenerator(self.client, LoadSpec("names", name, **wanted), resolver, 0)
        generator.start(0)
        return generator

    def run(self, ns: int) -> list[RequestDone]:
        self.engine.run(self.engine.now + ns)
        return self.records


@pytest.mark.parametrize(
    ("name", "family", "outcome", "queries", "error"),
    [
        ("web.", "ipv4", "ok", 1, ""),
        ("web.", "any", "ok", 2, ""),
        ("web", "any", "ok", 4, ""),
        ("web", "ipv6", "dns", 2, "NODATA"),
        ("nope", "ipv4", "dns", 2, "NXDOMAIN"),
    ],
)
def test_records(name: str, family: str, outcome: str, queries: int, error: str) -> None:
    lab = Lab()
    lab.load(name, family=family)
    records = lab.run(1 * S)
    assert [record.started_ns for record in records] == [1, 10 * MS, 20 * MS, 30 * MS, 40 * MS]
    for record in records:
        assert (record.outcome, record.queries, record.error) == (outcome, queries, error)
        assert record.endpoint in (("192.0.2.7", "192.0.2.8") if outcome == "ok" else ("",))
        assert (record.service, record.connection, record.host) == ("", 0, name)
        assert 0 < record.ended_ns - record.started_ns < 5 * MS
        assert record.resolved_ns == (record.ended_ns if outcome == "ok" else 0)


def test_a_closed_load_waits_and_thinks() -> None:
    lab = Lab()
    lab.load(model="closed", connections=2, think_time_ns=10 * MS)
    records = lab.run(1 * S)
    assert len(records) == 10
    assert [record.request for record in records] == list(range(1, 11))


def test_a_cache_asks_once_and_time_does_not_stand_still() -> None:
    lab = Lab()
    lab.load(cache="forever", model="closed", connections=1)
    records = lab.run(1 * S)
    assert [record.queries for record in records][:3] == [1, 0, 0]
    assert 40 < len(records) < 60  # BUSY_LOOP_NS between answers that take no time


def test_each_look_up_is_a_new_process_unless_it_has_a_cache() -> None:
    """glibc remembers to ask in turn after a lost answer; `nslookup` run again does not."""
    for cache, kept in (("none", False), ("jvm", True)):
        lab = Lab()
        generator = lab.load(cache=cache)
        generator._resolver.memory.single_request = True
        lab.run(1 * S)
        assert generator._resolver.memory.single_request is kept


def test_silence_is_a_timeout_and_the_end_aborts() -> None:
    lab = Lab(silent=True)
    generator = lab.load(for_ns=15 * MS)
    lab.run(10_005 * MS)
    [first] = lab.records
    assert (first.outcome, first.error, first.ended_ns) == ("timeout", "TIMEOUT", 10 * S + 1)
    generator.stop(lab.engine.now)
    assert [(record.outcome, record.request) for record in lab.records] == [("timeout", 1), ("aborted", 2)]
    assert len(lab.run(30 * S)) == 2  # nothing comes after the end


def test_a_dead_host_asks_no_more() -> None:
    lab = Lab()
    lab.load(for_ns=1 * S)
    lab.run(25 * MS)
    lab.client.die()
    assert len(lab.run(1 * S)) == 3


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", None),
        ("none", None),
        ("ttl", CachePolicy(None, None)),
        ("jvm", CachePolicy(30, 10)),
        ("forever", CachePolicy(-1, 10)),
        ("90s", CachePolicy(90, 10)),
    ],
)
def test_caches(text: str, policy: CachePolicy | None) -> None:
    assert cache_policy(text) == policy


def test_an_unknown_cache_is_refused() -> None:
    with pytest.raises(ValueError, match="write none, ttl, jvm, forever or a duration"):
        cache_policy("java")


def test_queries_count_in_the_fingerprint_only_where_there_are_some() -> None:
    def digest(**change: Any) -> str:
        made = Fingerprint()
        made.add("request", RequestDone("c", "l", 1, 0, "", "web", 1, 2, 3, 4, "ok", **change))
        return made.hexdigest()

    assert digest() == digest(queries=0)
    assert len({digest(), digest(queries=1), digest(queries=2)}) == 3
    # What the record was before it could count queries.
    old = Fingerprint()
    old.add(
        "request", ["c", "l", 1, 0, "", "web", 1, 2, 3, 4, "ok", 0, 1, "", "", "", "", False, "", "", "", ""]
    )
    assert digest() == old.hexdigest()
