"""cases.json: a question, a cluster and a server's configuration -> the reply (see cases/dns/README.md).

Each case goes through bytes: the query is written and read, the reply is written, read by dnspython and compared.
"""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dns.message
import pytest
from dnslab import Outside, check, record_of

from netsim.cluster.dns.autopath import AutoPath
from netsim.cluster.dns.chain import EndOfChain, Handler, Request, Respond
from netsim.cluster.dns.finder import Finder, KubernetesOptions
from netsim.cluster.dns.k8s_external import External, ExternalOptions
from netsim.cluster.dns.kubedns import KubeDns
from netsim.cluster.dns.kubernetes import Kubernetes
from netsim.cluster.dns.world import World
from netsim.cluster.dns.zonefile import ZoneFile
from netsim.cluster.objects.registry import parse_object
from netsim.wire.addr import ip
from netsim.wire.dns import TCP_SIZE, Query, Reply, type_number
from netsim.wire.dns_codec import DnsCodec

Case = Mapping[str, Any]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    file = Path(metafunc.config.getoption("--cases")) / "dns" / "cases.json"
    cases = json.loads(file.read_text()) if file.exists() else []
    metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])


@pytest.fixture(scope="session")
def object_sets(cases: Path) -> Mapping[str, list[Any]]:
    sets = json.loads((cases / "dns" / "objects.json").read_text())
    return {name: content["objects"] for name, content in sets.items()}


def test_reply(case: Case, object_sets: Mapping[str, list[Any]]) -> None:
    asked = case["query"]
    codec = DnsCodec()
    tail = codec.query(asked["qname"], type_number(asked["qtype"]))
    query = codec.read_query(b"\0\0" + tail)
    assert isinstance(query, Query)
    replies: list[Reply] = []
    request = Request(query, ip(case["client"]["ip"]))
    server(case, object_sets).serve(request, lambda reply, _until: replies.append(reply))
    [reply] = replies
    message = dns.message.from_wire(
        b"\0\0" + codec.body(query, reply, TCP_SIZE).tail(random.Random(1)), one_rr_per_rrset=True
    )
    check(message, case)


# -- the server under test -------------------------------------------------------------------------------------------


def world_of(case: Case, object_sets: Mapping[str, list[Any]]) -> World:
    world = World()
    for raw in (*object_sets.get(case.get("objectsRef"), ()), *case["objects"]):
        # The model insists on a container.
        spec = {"spec": {"containers": [{"name": "c", "image": "i"}]}} if raw["kind"] == "Pod" else {}
        world.put(parse_object({**raw, **spec}), 0)
    world.synced = case["config"].get("synced", True)
    return world


def server(case: Case, object_sets: Mapping[str, list[Any]]) -> Handler:
    config = case["config"]
    world = world_of(case, object_sets)
    zones = tuple(zone.lower() for zone in config["zones"])
    handler: Handler = Outside(config.get("upstream"))
    top: list[Handler] = []

    def lookup(request: Request, respond: Respond) -> None:
        top[0].serve(request, respond)

    following = config.get("next")
    if following:
        records = [record_of(raw) for raw in following["records"]]
        handler = ZoneFile(following["zone"], records, handler, lookup)
    ttl = 5 if config["ttl"] is None else config["ttl"]
    options = KubernetesOptions(
        zones, config.get("pods", "disabled"), ttl, frozenset(config.get("namespaces") or ()),
        tuple(config.get("fallthrough") or ()), config.get("ignoreEmptyService", False),
        config.get("endpointPodNames", False), zonal=config.get("zonal", False),
        multicluster=tuple(config.get("multicluster") or ()),
    )  # fmt: skip
    finder = Finder(world, options, config.get("localIPs") or ())
    if config["server"] == "kube-dns":
        handler = KubeDns(config["zone"], world, handler)
    elif config.get("plugin") == "k8s_external":
        addresses = config.get("externalAddresses")
        external = ExternalOptions(zones, config.get("headless", False), ttl)
        given = (lambda: addresses) if addresses is not None else None
        handler = External(external, finder, lookup, EndOfChain(), given)
    else:
        handler = Kubernetes(finder, lookup, handler)
    if config.get("autopath"):
        handler = AutoPath(zones, finder, (), handler)
    top.append(handler)
    return handler
