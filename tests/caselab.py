"""kube-proxy's conformance cases made alive: a case's manifests become a `ServiceTable` by kube-proxy's own
translation, a dataplane (`proxylab.py`) writes its rules into a scratch node, and flows are walked through those rules;
where the rules draw lots, every branch is walked. Used by tests/conformance and tests/referee.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from proxylab import DATAPLANES, Question, expected

from netsim.cluster.objects import EndpointSlice, Service
from netsim.cluster.proxy_table import Translator
from netsim.dataplane.base import NodeDataplane
from netsim.dataplane.node_view import DetectLocal, LocalDetector, NodeView
from netsim.dataplane.service_table import PROTOCOL_NUMBERS, ServiceTable
from netsim.kernel.netns import Namespace
from netsim.kernel.nft import Nftables
from netsim.kernel.targets import Drop, Reject
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_outcomes import Outcome, outcomes
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import Flow, endpoint_text

ZONE = "topology.kubernetes.io/zone"


class ScratchNode:
    """A namespace as far as rules see it, of one address family."""

    def __init__(self, view: NodeView) -> None:
        self.xtables: Xtables | None = Xtables(view.is_ipv6)
        self.ip6tables = self.xtables
        self.nft: Nftables | None = Nftables()
        self.random = Random(1)
        self.view = view

    def is_local(self, address: bytes) -> bool:
        return address in self.view.addresses or self.view.loopback.contains(address)


@dataclass
class World:
    """One case: its manifests, translated and written into a node by one dataplane."""

    backend: str
    case: dict[str, Any]
    view: NodeView
    table: ServiceTable
    node: ScratchNode | Namespace
    proxier: NodeDataplane[Any]

    def trace(self, flow: dict[str, Any], hooks: bool = False) -> list[Outcome]:
        """All ways of a flow of the case: through the chains of upstream's tracer, or by the `hooks` that such a packet
        meets."""
        number = PROTOCOL_NUMBERS[flow["protocol"]]
        first = Flow(ip(flow["sourceIP"]), ip(flow["destIP"]), 40000, flow["destPort"], number)
        steps = None if hooks else DATAPLANES[self.backend].tracer_steps
        if steps and self.view.is_ipv6:
            steps = [(table.replace("ip ", "ip6 "), chain) for table, chain in steps]
        return outcomes(self.node, first, device="eth0", steps=steps)

    def expected(self, flow: dict[str, Any]) -> tuple[str | list[str], bool]:
        """What this dataplane must do with a flow of the case."""
        return expected(self.backend, Question(self.case["proxier"], self.table, flow))


def build(
    case: dict[str, Any], sync: bool = True, backend: str = "iptables", onto: Namespace | None = None
) -> World:
    """The world of a case, in a scratch node or `onto` a namespace; without `sync` no rules are written yet."""
    proxier = case["proxier"]
    view = node_view(proxier, case["objects"])
    table = service_table(case["objects"], 4 if proxier["ipFamily"] == "IPv4" else 6)
    dataplane = DATAPLANES[backend].make(proxier, view)
    world = World(backend, case, view, table, onto or ScratchNode(view), dataplane)
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
        proxier.get("localhostNodePorts", False),
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
    if any("-j DNAT" in hit.text or " dnat to " in hit.text for hit in last.hits):
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
        lines += [f"    {hit}" for hit in outcome.hits]
    return "\n".join(lines)
