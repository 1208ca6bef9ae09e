"""A node whose kube-proxy runs in ipvs mode, for the facts of upstream's tests.

A case's manifests become a `ServiceTable` by kube-proxy's own translation, the ipvs dataplane writes it into a real
namespace, and flows are real packets: each is sent as often as there are real servers, from another port each time, and
what the node does with it is read off its devices, its drop counters and conntrack.
"""

from collections.abc import Iterable
from random import Random
from typing import Any

from netlab import Clock, Inbox, Port

from netsim.cluster.objects import EndpointSlice, Service
from netsim.cluster.proxy_table import Translator
from netsim.dataplane.ipvs import IpvsDataplane
from netsim.dataplane.ipvs_config import IpvsConfig
from netsim.dataplane.node_view import DetectLocal, LocalDetector, NodeView
from netsim.dataplane.service_table import PROTOCOL_NUMBERS, ServiceTable
from netsim.kernel.conntrack import SRC_NAT
from netsim.kernel.hooks import DropReason
from netsim.kernel.netfilter import enable_netfilter
from netsim.kernel.netns import Namespace
from netsim.kernel.routing import Route
from netsim.kernel.sysctl import Sysctl
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import SYN, Flow, Packet, RawBody, TcpSegment, UdpDatagram, endpoint_text

ZONE = "topology.kubernetes.io/zone"
PRIMARY = {4: "192.0.2.200", 16: "2001:db8::200"}  # where a case says nothing of the node's addresses
_REFUSALS = (DropReason.NETFILTER_REJECT, DropReason.IPVS_NO_REAL_SERVER)

Answer = tuple[str | list[str], bool]


class IpvsWorld:
    """One case."""

    def __init__(self, case: dict[str, Any]) -> None:
        proxier = case["proxier"]
        self.view = view_of(proxier, case["objects"])
        self.table = table_of(case["objects"], 6 if self.view.is_ipv6 else 4)
        self.clock = Clock()
        self.ns = Namespace("node", self.clock, Random(1), Sysctl(ip_forward=True))
        enable_netfilter(self.ns)
        self.inbox = Inbox(self.ns)
        self.ns.sockets = self.inbox  # type: ignore[assignment]
        self.eth0 = Port(self.ns, "eth0", self.clock)
        self.lo = Port(self.ns, "lo", self.clock, 65536)
        for address in dict.fromkeys((self.view.primary_ip, *self.view.addresses)):
            self.ns.add_address(address, self.eth0.device)
        length = len(self.view.primary_ip)
        self.ns.add_route(Route(Prefix(bytes(length), 0), self.eth0.device, source=self.view.primary_ip))
        self.ns.neighbours.fixed(self.eth0.device, b"\x02\0\0\0\0\x63")
        config = IpvsConfig(scheduler=proxier.get("scheduler", "rr"), masquerade_random_fully=False)
        self.proxier = IpvsDataplane(config).on_node(self.view)
        self.proxier.sync(self.ns, None, self.table)
        self._sport = 40000

    def virtual_servers(self) -> list[dict[str, Any]]:
        """In the words of ipvs.json, in order of address, port and protocol."""
        assert self.ns.ipvs is not None
        names = {number: name for name, number in PROTOCOL_NUMBERS.items()}
        found = []
        for key, service in self.ns.ipvs.services.items():
            real = [endpoint_text(*dest.key) + f" {dest.weight}" for dest in service.dests]
            where = endpoint_text(key.address, key.port)
            found.append(
                {"at": f"{where}/{names[key.protocol]}", "by": service.server.scheduler, "real": sorted(real)}
            )
        return sorted(found, key=lambda row: row["at"])

    def ask(self, flow: dict[str, Any]) -> Answer:
        """Where connections like this go, and whether their source is rewritten."""
        number = PROTOCOL_NUMBERS[flow["protocol"]]
        assert self.ns.ipvs is not None
        service = self.ns.ipvs.services.get((number, ip(flow["destIP"]), flow["destPort"]))  # type: ignore[call-overload]
        times = max(1, len(service.dests)) if service is not None else 1
        answers = [self._once(flow, number) for _ in range(times)]
        first = answers[0]
        if not isinstance(first[0], list):
            assert answers == [first] * times
            return first
        reached = {endpoint for output, _ in answers for endpoint in output}
        return sorted(reached), any(masq for _, masq in answers)

    def _once(self, flow: dict[str, Any], number: int) -> Answer:
        self._sport += 1
        sent = Flow(ip(flow["sourceIP"]), ip(flow["destIP"]), self._sport, flow["destPort"], number)
        packet = Packet(sent, _body(sent))
        assert self.ns.ipvs is not None
        assert self.ns.conntrack is not None
        self.ns.ipvs.templates.clear()  # the rows assume that nobody has been here before
        self.ns.drops.clear()
        self.inbox.got.clear()
        if self.ns.is_local(sent.src):
            self.ns.output(packet, 0)
        else:
            self.eth0.arrive(packet)
        for looped in self.lo.take():
            self.lo.arrive(looped)
        left = [p for p in self.eth0.take() if p is packet]
        half = self.ns.conntrack.table.get(sent)
        masqueraded = half is not None and bool(half.entry.nat & SRC_NAT)
        if left:
            after = left[0].flow
            return ("" if after.dst == sent.dst else [endpoint_text(after.dst, after.dport)]), masqueraded
        if self.inbox.got:
            return "", masqueraded
        reasons = {reason for _, reason in self.ns.drops}
        return ("REJECT" if reasons & set(_REFUSALS) else "DROP"), False


def _body(flow: Flow) -> Any:
    if flow.proto == PROTOCOL_NUMBERS["TCP"]:
        return TcpSegment(1, 0, SYN, 1000)
    if flow.proto == PROTOCOL_NUMBERS["UDP"]:
        return UdpDatagram(b"data")
    return RawBody(bytes([0x45]) + bytes(19) if len(flow.src) == 4 else bytes([0x60]) + bytes(39))


def view_of(proxier: dict[str, Any], objects: Iterable[dict[str, Any]]) -> NodeView:
    """The node that a case describes."""
    length = 4 if proxier["ipFamily"] == "IPv4" else 16
    addresses = tuple(a for a in map(ip, proxier["nodeIPs"]) if len(a) == length)
    primary = ip(proxier.get("nodeIP") or (proxier["nodeIPs"] or [PRIMARY[length]])[0])
    if len(primary) != length:
        primary = addresses[0] if addresses else ip(PRIMARY[length])
    nodes = [o["metadata"] for o in objects if o["kind"] == "Node"]
    labels = proxier.get("nodeLabels") or next(
        (n.get("labels", {}) for n in nodes if n["name"] == proxier["nodeName"]), {}
    )
    detector = proxier["localDetector"]
    known = None
    if detector["type"] != "NoOp":
        known = LocalDetector(DetectLocal(detector["type"]), Prefix.parse(detector["cidr"]))
    ranges = [p for p in map(Prefix.parse, proxier["nodePortAddresses"] or ()) if len(p.address) == length]
    return NodeView(
        proxier["nodeName"], primary, addresses, labels.get(ZONE, ""), known,
        masquerade_all=proxier.get("masqueradeAll", False), node_port_addresses=tuple(ranges) or None,
    )  # fmt: skip


def table_of(objects: Iterable[dict[str, Any]], family: int) -> ServiceTable:
    """What kube-proxy makes of the manifests."""
    manifests = list(objects)
    translator = Translator(family)
    slices = [EndpointSlice.model_validate(o) for o in manifests if o["kind"] == "EndpointSlice"]
    ports = []
    for manifest in manifests:
        if manifest["kind"] == "Service":
            service = Service.model_validate(manifest)
            key = service.metadata.namespace, service.metadata.name
            ports += translator.ports(
                service, [s for s in slices if (s.metadata.namespace, s.service_name) == key]
            )
    return ServiceTable(ports)
