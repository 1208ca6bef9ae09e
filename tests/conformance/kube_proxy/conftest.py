"""Runs kube-proxy's facts (`CASES/kube_proxy/*.json`, see the README there) against our dataplanes.

A case's manifests become a `ServiceTable` by kube-proxy's own translation, the dataplane writes its rules into a
scratch node, and each flow is walked through those rules; where the rules draw lots, every branch is walked.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from netsim.cluster.objects import EndpointSlice, Service
from netsim.cluster.proxy_table import Translator
from netsim.dataplane.iptables import IptablesDataplane, IptablesProxier
from netsim.dataplane.iptables_config import IptablesConfig
from netsim.dataplane.node_view import DetectLocal, LocalDetector, NodeView
from netsim.dataplane.service_table import PROTOCOL_NUMBERS, ServiceTable
from netsim.kernel.targets import Drop, Reject
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_outcomes import Outcome, Steps, outcomes
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import Flow, endpoint_text

ZONE = "topology.kubernetes.io/zone"
# The chains that upstream's tracer goes through, whichever hook the packet would meet.
TRACER_STEPS: Steps = (
    ("nat", "PREROUTING"),
    ("filter", "KUBE-SERVICES"),
    ("filter", "KUBE-EXTERNAL-SERVICES"),
    ("filter", "KUBE-NODEPORTS"),
    ("filter", "KUBE-PROXY-FIREWALL"),
    ("nat", "POSTROUTING"),
)
DATAPLANES = ("iptables",)  # the backends that exist; cases of others are not collected


class ScratchNode:
    """A namespace as far as rules see it."""

    def __init__(self, view: NodeView) -> None:
        self.xtables: Xtables | None = Xtables()
        self.ip6tables: Xtables | None = Xtables(ipv6=True)
        self.random = Random(1)
        self.view = view

    def is_local(self, address: bytes) -> bool:
        return address in self.view.addresses or self.view.loopback.contains(address)


@dataclass
class World:
    """One case: its manifests, translated and written into a node."""

    view: NodeView
    table: ServiceTable
    node: ScratchNode
    proxier: IptablesProxier

    def trace(self, flow: dict[str, Any], steps: Steps | None = TRACER_STEPS) -> list[Outcome]:
        """All ways of a flow of the case."""
        number = PROTOCOL_NUMBERS[flow["protocol"]]
        first = Flow(ip(flow["sourceIP"]), ip(flow["destIP"]), 40000, flow["destPort"], number)
        return outcomes(self.node, first, device="eth0", steps=steps)


def build(case: dict[str, Any], sync: bool = True) -> World:
    """The world of a case; without `sync` no rules are written yet."""
    proxier = case["proxier"]
    view = node_view(proxier, case["objects"])
    table = service_table(case["objects"], 4 if proxier["ipFamily"] == "IPv4" else 6)
    config = IptablesConfig(nfacct=proxier.get("nfacct", False), masquerade_random_fully=False)
    world = World(view, table, ScratchNode(view), IptablesDataplane(config).on_node(view))
    if sync:
        world.proxier.sync(world.node, None, table)
    return world


def node_view(proxier: dict[str, Any], objects: Iterable[dict[str, Any]] = ()) -> NodeView:
    """The node that a case's `proxier` describes."""
    length = 4 if proxier["ipFamily"] == "IPv4" else 16
    addresses = tuple(a for a in map(ip, proxier["nodeIPs"]) if len(a) == length)
    primary = ip(proxier["nodeIP"])
    ranges = proxier["nodePortAddresses"]
    labels = proxier.get("nodeLabels") or _labels(objects, proxier["nodeName"])
    return NodeView(
        proxier["nodeName"],
        primary if len(primary) == length else addresses[0],
        addresses,
        labels.get(ZONE, ""),
        _detector(proxier["localDetector"]),
        proxier["masqueradeAll"],
        proxier["localhostNodePorts"],
        None if ranges is None else tuple(p for p in map(Prefix.parse, ranges) if len(p.address) == length),
    )


def _labels(objects: Iterable[dict[str, Any]], name: str) -> dict[str, str]:
    nodes = [o["metadata"] for o in objects if o["kind"] == "Node" and o["metadata"]["name"] == name]
    return nodes[0].get("labels", {}) if nodes else {}


def _detector(detector: dict[str, Any]) -> LocalDetector | None:
    if detector["type"] == "NoOp":
        return None
    return LocalDetector(DetectLocal(detector["type"]), Prefix.parse(detector["cidr"]))


def service_table(objects: Iterable[dict[str, Any]], family: int = 4) -> ServiceTable:
    """What kube-proxy makes of the manifests."""
    translator = Translator(family)
    manifests = list(objects)
    slices = [EndpointSlice.model_validate(o) for o in manifests if o["kind"] == "EndpointSlice"]
    ports = []
    for manifest in manifests:
        if manifest["kind"] == "Service":
            service = Service.model_validate(manifest)
            key = service.metadata.namespace, service.metadata.name
            own = [s for s in slices if (s.metadata.namespace, s.service_name) == key]
            ports += translator.ports(service, own)
    return ServiceTable(ports)


def summary(found: list[Outcome]) -> tuple[str | list[str], bool]:
    """Outcomes in the words of the cases: output, and whether the source is rewritten."""
    last = found[0]
    if isinstance(last.verdict, Drop):
        return "DROP", False
    if isinstance(last.verdict, Reject):
        return "REJECT", False
    if any("-j DNAT" in hit.text for hit in last.hits):
        reached = dict.fromkeys(endpoint_text(o.flow.dst, o.flow.dport) for o in found)
        return list(reached), any(o.source is not None for o in found)
    accepted = any(hit.text.endswith("-j ACCEPT") for hit in last.hits)
    return "ACCEPT" if accepted else "", last.source is not None


def journey(found: list[Outcome]) -> str:
    """The rules that matched, branch by branch."""
    lines = []
    for number, outcome in enumerate(found, start=1):
        end = outcome.verdict or outcome.source or "goes on"
        lines.append(f"branch {number}, probability {outcome.probability:.4f}, to {outcome.flow}: {end}")
        lines += [f"    {hit.table}: -A {hit.chain} {hit.text}" for hit in outcome.hits]
    return "\n".join(lines)


def _load(config: pytest.Config, name: str) -> Any:
    path = Path(config.getoption("--cases")) / "kube_proxy" / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _flows(config: pytest.Config) -> list[Any]:
    return [
        pytest.param(case, flow, id=f"{case['id']}: {flow['name']}")
        for case in _load(config, "cases.json")
        if case["proxier"]["backend"] in DATAPLANES
        for flow in case["flows"]
    ]


def _device_flows(config: pytest.Config) -> list[Any]:
    """Flows whose first packet comes in by a device: their source is not an address of the node."""
    return [row for row in _flows(config) if not _from_node(*row.values)]


def _from_node(case: dict[str, Any], flow: dict[str, Any]) -> bool:
    view = node_view(case["proxier"], case["objects"])
    return ScratchNode(view).is_local(ip(flow["sourceIP"]))


def _cases(config: pytest.Config) -> list[Any]:
    cases = [c for c in _load(config, "cases.json") if c["proxier"]["backend"] in DATAPLANES]
    return [pytest.param(case, id=case["id"]) for case in cases]


def _named(name: str, key: str | None = None) -> Callable[[pytest.Config], list[Any]]:
    def rows(config: pytest.Config) -> list[Any]:
        data = _load(config, name)
        listed = data if key is None else data.get(key, []) if isinstance(data, dict) else []
        return [pytest.param(row, id=row["id"]) for row in listed]

    return rows


def _sequences(config: pytest.Config) -> list[Any]:
    """Dumps that are steps of one history, and single ones."""
    histories: dict[str, list[Any]] = {}
    data = _load(config, "rules.json")
    for dump in data["rules"] if data else []:
        name = dump["id"].rsplit("/step-", 1)[0]
        histories.setdefault(name, []).append(dump)
    return [
        pytest.param(history, at, id=d["id"])
        for history in histories.values()
        for at, d in enumerate(history)
    ]


def _probabilities(config: pytest.Config) -> list[Any]:
    data = _load(config, "rules.json")
    return list(data["probability"].items()) if data else []


def _conntrack(config: pytest.Config) -> list[Any]:
    return [
        pytest.param(c, id=c["id"])
        for c in _load(config, "conntrack.json")
        if "entries" in c and "objects" in c
    ]


SOURCES: dict[tuple[str, ...], Callable[[pytest.Config], list[Any]]] = {
    ("case", "flow"): _flows,
    ("device_case", "device_flow"): _device_flows,
    ("whole_case",): _cases,
    ("history", "step"): _sequences,
    ("snippet",): _named("rules.json", "snippets"),
    ("count", "text"): _probabilities,
    ("topology",): _named("topology.json"),
    ("conntrack_case",): _conntrack,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per row of the case files."""
    for names, rows in SOURCES.items():
        if names[0] in metafunc.fixturenames:
            metafunc.parametrize(",".join(names) if len(names) > 1 else names[0], rows(metafunc.config))


@pytest.fixture(scope="session")
def build_world() -> Callable[..., World]:
    """Makes the world of a case; worlds of the same case are built once."""
    known: dict[str, World] = {}

    def make(case: dict[str, Any], sync: bool = True) -> World:
        if not sync:
            return build(case, sync=False)
        if case["id"] not in known:
            known[case["id"]] = build(case)
        return known[case["id"]]

    return make


@pytest.fixture(scope="session")
def translate() -> Callable[..., ServiceTable]:
    """Manifests to table."""
    return service_table


@pytest.fixture(scope="session")
def summarise() -> Callable[[list[Outcome]], tuple[str | list[str], bool]]:
    """Outcomes in the words of the cases."""
    return summary


@pytest.fixture(scope="session")
def tell() -> Callable[[list[Outcome]], str]:
    """Outcomes as text, for a failure."""
    return journey
