"""cache.json: how long CoreDNS's cache keeps a reply and which TTL it gives (see cases/dns/README.md)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from netsim.cluster.dns.cache import Cache, CacheOptions, Limits
from netsim.cluster.dns.chain import NEVER_AGAIN, Request, Respond
from netsim.engine import S
from netsim.wire.dns import NOERROR, NXDOMAIN, SERVFAIL, SOA, A, Record, Reply, ask

RCODES = {"NOERROR": NOERROR, "NXDOMAIN": NXDOMAIN, "SERVFAIL": SERVFAIL}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    file = Path(metafunc.config.getoption("--cases")) / "dns" / "cache.json"
    cases = json.loads(file.read_text()) if file.exists() else []
    metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])


class Backend:
    """What the cache asks: always the same reply; counts how often it was needed."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked = 0

    def serve(self, request: Request, respond: Respond) -> None:
        self.asked += 1
        respond(self.reply, NEVER_AGAIN)


def reply_of(given: Mapping[str, Any], name: str) -> Reply:
    ttls = given.get("ttls", [given["messageTTL"]] if "messageTTL" in given else [])
    answer = tuple(Record(name, A, ttl, f"10.0.0.{number}") for number, ttl in enumerate(ttls, start=1))
    authority: tuple[Record, ...] = ()
    if "soaTTL" in given:
        authority = (Record(name, SOA, given["soaTTL"], "ns.example. root.example. 1 7200 1800 86400 60"),)
    return Reply(
        RCODES[given.get("rcode", "NOERROR")], answer, authority, truncated=given.get("truncated", False)
    )


def test_duration(case: Mapping[str, Any]) -> None:
    given, expect = case["input"], case["expect"]
    name = f"name.{given.get('zone', 'example.')}"
    limits = Limits(given["maxTTL"], given["minTTL"])
    disabled: dict[str, tuple[str, ...]] = {"success": (), "denial": ()}
    for line in given.get("disable", ()):
        kind, *zones = line.split()
        disabled[kind] += tuple(f"{zone}." for zone in zones)
    options = CacheOptions(
        success=limits, denial=limits, no_success=disabled["success"], no_denial=disabled["denial"]
    )
    backend = Backend(reply_of(given, name))
    cache = Cache(options, backend)

    replies: list[Reply] = []

    def query(second: float) -> bool:
        """Ask at a time; whether the backend was needed."""
        before = backend.asked
        cache.serve(Request(ask(name, A), now=int(second * S)), lambda reply, _until: replies.append(reply))
        return backend.asked > before

    assert query(0)
    if "answerTTL" in expect:
        records = (*replies[0].answer, *replies[0].authority)
        assert {record.ttl for record in records} == {expect["answerTTL"]}
    if expect["cacheSeconds"]:
        assert not query(expect["cacheSeconds"] - 0.5)
        assert {r.ttl for r in (*replies[1].answer, *replies[1].authority)} <= {1}
    assert query(expect["cacheSeconds"])
