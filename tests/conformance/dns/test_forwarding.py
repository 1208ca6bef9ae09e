"""forwarding.json: stub domains and upstream name servers (see cases/dns/README.md)."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from netsim.cluster.dns.build import Configuration, Surroundings, build
from netsim.cluster.dns.chain import Request, Respond
from netsim.cluster.dns.corefile import parse_corefile
from netsim.cluster.dns.exchange import Done
from netsim.cluster.dns.kubedns_config import (
    corefile_from,
    dnsmasq_arguments,
    upstream_servers,
    validate_config,
)
from netsim.cluster.dns.resolvconf import parse_resolv_conf
from netsim.cluster.dns.world import World
from netsim.wire.addr import Address, ip_text
from netsim.wire.dns import NXDOMAIN, TCP_SIZE, A, Query, Record, Reply, ask
from netsim.wire.dns_codec import DnsCodec

# What the Go test's fake resolver says.
RESOLVED = {"google-public-dns-a.google.com": "8.8.8.8"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    file = Path(metafunc.config.getoption("--cases")) / "dns" / "forwarding.json"
    kind = metafunc.function.__name__.removeprefix("test_")
    cases = [case for case in json.loads(file.read_text()) if case["kind"] == kind] if file.exists() else []
    metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])


def test_validate(case: Mapping[str, Any]) -> None:
    assert (not validate_config(case["input"]["configMap"])) == case["expect"]["valid"]


def test_dnsmasqArgs(case: Mapping[str, Any]) -> None:
    given, expect = case["input"], case["expect"]
    found = dnsmasq_arguments(given["args"], given["configMap"], lambda name: RESOLVED[name])
    assert (found if expect["ordered"] else sorted(found)) == (
        expect["args"] if expect["ordered"] else sorted(expect["args"])
    )


def test_kubednsUpstreams(case: Mapping[str, Any]) -> None:
    given = case["input"]
    conf = parse_resolv_conf(given["resolvConf"] or "")
    assert upstream_servers(given["configMap"], conf.nameservers) == case["expect"]["nameservers"]


class Servers:
    """The outside world: every server replies with what it has, and notes that it was asked."""

    def __init__(self, records: Mapping[str, str]) -> None:
        self.asked: list[str] = []
        self._records = records
        self._codec = DnsCodec()

    def exchange(
        self, server: Address, port: int, tail: bytes, timeout_ns: int, done: Done, *, over_tcp: bool = False
    ) -> None:
        self.asked.append(ip_text(server) if port == 53 else f"{ip_text(server)}:{port}")
        query = self._codec.read_query(b"\0\0" + tail)
        assert isinstance(query, Query)
        data = self._records.get(query.key)
        answer = (Record(query.question.name, A, 60, data),) if data else ()
        reply = Reply(0 if answer else NXDOMAIN, answer)
        done(b"\0\0" + self._codec.body(query, reply, TCP_SIZE).tail(Random(1)), 0)

    def call_later(self, delay_ns: int, function: Callable[[], None]) -> None:
        raise AssertionError("no server is ill")


def configured(given: Mapping[str, Any], servers: Servers) -> Configuration:
    text = corefile_from(given, given.get("clusterDomain", "cluster.local"))
    world = World()
    world.synced = True
    return build(text, Surroundings(world, DnsCodec(), Random(1), servers))


def collect(replies: list[Reply]) -> Respond:
    return lambda reply, _until: replies.append(reply)


def test_route(case: Mapping[str, Any]) -> None:
    given, expect = case["input"], case["expect"]
    destinations: set[str] = set()
    answers: list[str] = []
    for _ in range(20):  # the order of several upstreams is random
        servers = Servers(given.get("serverRecords", {}))
        replies: list[Reply] = []
        configuration = configured(given, servers)
        for seed in range(5):
            request = Request(ask(given["qname"], A), now=seed)
            configuration.ports[53].serve(request, collect(replies))
        destinations |= set(servers.asked) or {"cluster"}
        answers = [record.data for record in replies[0].answer]
    assert destinations == set(expect["destinations"])
    assert answers == expect.get("answer", answers)


def test_configMapTranslation(case: Mapping[str, Any]) -> None:
    given, expect = case["input"], case["expect"]
    servers = Servers({})
    configuration = configured(given, servers)
    chains = configuration.ports[53].chains
    assert set(chains) == {zone.rstrip(".") + "." for zone in expect["forward"]}
    for zone, wanted in expect["forward"].items():
        servers.asked.clear()
        name = f"x.{zone}." if zone != "." else "x.example."
        for number in range(40):
            configuration.ports[53].serve(Request(ask(f"{number}{name}", A)), lambda _reply, _until: None)
        assert set(servers.asked) == set(wanted)
    for block in parse_corefile(corefile_from(given)):
        options = {directive.name: directive for directive in block.directives}
        zone = block.keys[0].removesuffix(":53")
        assert options["cache"].args == (str(expect["cache"][zone]),)
        assert [option.args for option in options["forward"].block] == [(str(expect["maxConcurrent"]),)]
