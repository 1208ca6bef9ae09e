"""The cases of CoreDNS's kubernetes plugin once more, now with everything real: a Corefile, an API server that CoreDNS
watches, packets between a client and the server's host, an upstream name server for what is forwarded.

Asked over UDP with EDNS, and again over TCP when the reply is truncated, as resolvers do.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import pytest
from dnslab import Outside, check

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.dns.coredns import CoreDnsApp
from netsim.cluster.dns.exchange import HostExchanger
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.server import DnsServer
from netsim.cluster.errors import InvalidError
from netsim.cluster.objects.registry import parse_object
from netsim.cluster.timing import Timing
from netsim.cni.flat import FlatCni
from netsim.engine import MS, Engine, S
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.wire.addr import ip
from netsim.wire.dns import type_number
from netsim.wire.dns_codec import DnsCodec

Case = Mapping[str, Any]
CLIENT, SERVER, UPSTREAM = "198.51.100.1", "198.51.100.53", "198.51.100.99"


def runs(case: Case) -> bool:
    """Whether a Corefile can say it."""
    config = case["config"]
    plain = config["server"] == "coredns" and config.get("plugin") == "kubernetes"
    odd = (
        config.get("next")
        or config.get("synced") is False
        or config.get("localIPs")
        or config.get("autopath")
    )
    return bool(plain and not odd)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    file = Path(metafunc.config.getoption("--cases")) / "dns" / "cases.json"
    cases = [case for case in json.loads(file.read_text()) if runs(case)] if file.exists() else []
    metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])


@pytest.fixture(scope="session")
def object_sets(cases: Path) -> Mapping[str, list[Any]]:
    sets = json.loads((cases / "dns" / "objects.json").read_text())
    return {name: content["objects"] for name, content in sets.items()}


def corefile(config: Mapping[str, Any]) -> str:
    lines = [f"pods {config.get('pods', 'disabled')}"]
    lines += [f"ttl {config['ttl']}"] if config["ttl"] is not None else []
    lines += [f"namespaces {' '.join(config['namespaces'])}"] if config.get("namespaces") else []
    lines += [f"fallthrough {' '.join(config['fallthrough'])}"] if config.get("fallthrough") else []
    lines += [f"multicluster {' '.join(config['multicluster'])}"] if config.get("multicluster") else []
    switches = {
        "endpointPodNames": "endpoint_pod_names",
        "zonal": "zonal",
        "ignoreEmptyService": "ignore empty_service",
    }
    lines += [word for key, word in switches.items() if config.get(key)]
    options = "\n".join(f"        {line}" for line in lines)
    zones = " ".join(config["zones"])
    return f".:53 {{\n    kubernetes {zones} {{\n{options}\n    }}\n    forward . {UPSTREAM}\n}}\n"


class World:
    """A running CoreDNS with a case's objects."""

    def __init__(self, case: Case, objects: list[Any]) -> None:
        self.engine = Engine(seed=1)
        fabric = Fabric(self.engine, FabricConfig(), FlatCni())
        self.client = fabric.add_outside("client", ip(CLIENT))
        host = fabric.add_outside("coredns", ip(SERVER))
        host.resolv_conf = ResolvConf((UPSTREAM,))
        outside = {53: Outside(case["config"].get("upstream"))}
        DnsServer(fabric.add_outside("upstream", ip(UPSTREAM)), outside, DnsCodec()).start(0)
        api = ApiServer(self.engine, Timing(), "0.0.0.0/0")
        refused = []  # mocks that no API server would take (one address for two Services): seen all the same
        for raw in objects:
            spec = {"spec": {"containers": [{"name": "c", "image": "i"}]}} if raw["kind"] == "Pod" else {}
            made = parse_object({**raw, **spec})
            try:
                api.create(made)
            except InvalidError:
                refused.append(made)
        self.app = CoreDnsApp(host, api, Timing(), corefile(case["config"]))
        self.app.start(0)
        self.engine.run(2 * S)
        assert not self.app.problem
        for made in refused:
            self.app.world.put(made, self.engine.now)
        self.exchanger = HostExchanger(self.client, self, self.engine.stream("client"))

    def ask(self, name: str, qtype: int) -> dns.message.Message:
        tail = DnsCodec().query(name, qtype, 1232)
        for over_tcp in (False, True):
            got: list[bytes | None] = []
            self.exchanger.exchange(
                ip(SERVER), 53, tail, S, lambda payload, _now, got=got: got.append(payload), over_tcp=over_tcp
            )
            self.engine.run(self.engine.now + 100 * MS)
            assert got
            assert got[0] is not None
            message = dns.message.from_wire(got[0], one_rr_per_rrset=True)
            if not message.flags & dns.flags.TC:
                break
        return message


def test_reply_over_the_network(case: Case, object_sets: Mapping[str, list[Any]]) -> None:
    objects = [*object_sets.get(case.get("objectsRef"), ()), *case["objects"]]
    world = World(case, objects)
    check(world.ask(case["query"]["qname"], type_number(case["query"]["qtype"])), case)
