"""Flows in the shape of Hubble's GetFlowsResponse: what nodes saw of packets at pods, network and tunnel.

Made from what a `Tcpdump` of the nodes heard; `flows_text.py` prints them as `hubble observe` does. One flow per packet
and observation point, as with Cilium's monitor aggregation "none"; look-ups and HTTP requests of pods make L7 flows
too, as with L7 visibility. Sources: api/v1/flow/flow.proto, pkg/monitor/api (observation points, drop reasons),
pkg/hubble/parser/threefour of Cilium 1.17. Simplified: no endpoint IDs and interface indexes; a flow's first packet
seen on a node says which direction is the original one.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from netsim.fabric.tcpdump import Interface, Seen, Tcpdump
from netsim.kernel.hooks import DropReason
from netsim.kernel.journey import Dropped
from netsim.measure.flows_endpoints import Directory
from netsim.measure.flows_l7 import Layer7, Questions
from netsim.wire.addr import ip_text, mac_text
from netsim.wire.ndp import is_discovery
from netsim.wire.packet import (
    ARP,
    ICMP,
    ICMPV6,
    NO_MACS,
    SCTP,
    TCP,
    UDP,
    Body,
    Flow,
    IcmpMessage,
    RawBody,
    TcpSegment,
    VxlanFrame,
)

# pkg/monitor/api/types.go: message types, and observation points by kind of device and direction.
TRACE, DROP, ACCESS_LOG = 4, 1, 129
POINTS: Final[Mapping[tuple[str, bool], tuple[str, int]]] = {
    ("veth", False): ("FROM_ENDPOINT", 5),
    ("veth", True): ("TO_ENDPOINT", 0),
    ("eth0", False): ("FROM_NETWORK", 10),
    ("eth0", True): ("TO_NETWORK", 11),
    ("flannel", False): ("FROM_OVERLAY", 9),
    ("flannel", True): ("TO_OVERLAY", 4),
}
UNKNOWN_REASON: Final = ("DROP_REASON_UNKNOWN", 0)
# flow.proto, DropReason: those that mean the same. The simulator's own name stands in the summary.
REASONS: Final[Mapping[DropReason, tuple[str, int]]] = {
    DropReason.NETFILTER_DROP: ("POLICY_DENIED", 133),
    DropReason.NETFILTER_REJECT: ("POLICY_DENIED", 133),
    DropReason.IP_MALFORMED: ("INVALID_PACKET_DROPPED", 134),
    DropReason.IP_UNKNOWN_PROTOCOL: ("UNKNOWN_L4_PROTOCOL", 142),
    DropReason.IP_BLACKHOLE: ("STALE_OR_UNROUTABLE_IP", 151),
    DropReason.CONNTRACK_TABLE_FULL: ("CT_MAP_INSERTION_FAILED", 155),
    DropReason.CONNTRACK_INSERT_FAILED: ("CT_MAP_INSERTION_FAILED", 155),
    DropReason.IPVS_NO_REAL_SERVER: ("SERVICE_BACKEND_NOT_FOUND", 158),
    DropReason.IPVS_NO_DEST: ("SERVICE_BACKEND_NOT_FOUND", 158),
    DropReason.LB_NO_BACKEND: ("SERVICE_BACKEND_NOT_FOUND", 158),
    DropReason.VXLAN_NO_REMOTE: ("NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT", 160),
    DropReason.NAT_NO_PORT: ("NO_MAPPING_FOR_NAT_MASQUERADE", 167),
    DropReason.IP_NO_ROUTE: ("FIB_LOOKUP_FAILED", 169),
    DropReason.IP_UNREACHABLE: ("FIB_LOOKUP_FAILED", 169),
    DropReason.NEIGH_FAILED: ("FIB_LOOKUP_FAILED", 169),
    DropReason.LB_SOURCE_RANGE: ("DENIED_BY_LB_SRC_RANGE_CHECK", 177),
    DropReason.NO_SOCKET: ("SOCKET_LOOKUP_FAILED", 178),
    DropReason.VXLAN_VNI_NOT_FOUND: ("INVALID_VNI", 183),
    DropReason.IP_TTL_EXPIRED: ("TTL_EXCEEDED", 196),
}
# The rule by which kube-proxy refuses connections to a Service without endpoints.
_NO_ENDPOINTS: Final = "has no endpoints"
_BACKEND: Final = ("SERVICE_BACKEND_NOT_FOUND", 158)
_FLAGS: Final = ((0x02, "SYN"), (0x10, "ACK"), (0x04, "RST"), (0x01, "FIN"), (0x08, "PSH"))
_ICMP4: Final = {0: "EchoReply", 3: "DestinationUnreachable", 8: "EchoRequest", 11: "TimeExceeded"}
_ICMP6: Final = {1: "DestinationUnreachable", 2: "PacketTooBig", 3: "TimeExceeded", 128: "EchoRequest",
                 129: "EchoReply"}  # fmt: skip

Message = dict[str, Any]


class _Directions:
    """Which direction of a flow is the original one, as a node's connection tracking knows it."""

    def __init__(self) -> None:
        self._original: dict[tuple[str, Flow], bool] = {}  # whether there was an answer

    def see(self, node: str, flow: Flow, body: Body) -> tuple[bool, str] | None:
        """Whether it is an answer, and the trace reason; None for what belongs to no flow."""
        if isinstance(body, IcmpMessage) and body.type not in (0, 8, 128, 129):
            return None
        forward, back = (node, flow), (node, flow.reverse())
        if back in self._original:
            self._original[back] = True
            return True, "REPLY"
        if isinstance(body, TcpSegment) and body.flags & 0x12 == 0x12:
            self._original[back] = True  # the SYN was not seen
            return True, "REPLY"
        answered = self._original.setdefault(forward, False)
        return False, "ESTABLISHED" if answered else "NEW"


def flows(dump: Tcpdump, directory: Directory, epoch_ns: int) -> Iterator[Message]:
    """All flows, in order of time; of what began before `epoch_ns` nothing."""
    directions, questions = _Directions(), Questions()
    events: list[tuple[int, Seen | Dropped]] = [(seen.at_ns, seen) for seen in dump.seen]
    events += [(dropped.at_ns, dropped) for dropped in dump.drops]
    for at_ns, event in sorted(events, key=lambda pair: pair[0]):
        if at_ns < epoch_ns:
            continue
        found = (
            _dropped(event, directory, epoch_ns)
            if isinstance(event, Dropped)
            else _traced(event, directory, directions, questions, epoch_ns)
        )
        for flow in found:
            yield {"flow": flow, "node_name": flow["node_name"], "time": flow["time"]}


def _traced(
    seen: Seen, directory: Directory, directions: _Directions, questions: Questions, epoch_ns: int
) -> Iterator[Message]:
    point = _point(seen.interface, seen.outbound)
    if point is None or _is_no_flow(seen.flow, seen.body):
        return
    name, number = point
    node = seen.interface.host
    direction = directions.see(node, seen.flow, seen.body)
    flow = _common(seen.at_ns - epoch_ns, "FORWARDED", node, seen.flow, seen.body, seen.macs, directory)
    flow["event_type"] = {"type": TRACE, **({"sub_type": number} if number else {})}
    if direction is not None:
        is_reply, reason = direction
        towards = name in ("TO_ENDPOINT", "FROM_NETWORK", "FROM_OVERLAY")
        flow["traffic_direction"] = "INGRESS" if towards != is_reply else "EGRESS"
        flow["trace_reason"] = reason
        flow["is_reply"] = is_reply
    flow["trace_observation_point"] = name
    flow["interface"] = {"name": seen.interface.device}
    flow["Summary"] = _summary(seen.flow, seen.body)
    yield flow
    ask = {"FROM_ENDPOINT": questions.request, "TO_ENDPOINT": questions.response}.get(name)
    layer7 = ask(seen.flow, seen.body, seen.at_ns) if ask is not None else None
    if layer7 is not None:
        yield _proxied(flow, layer7, name == "TO_ENDPOINT")


def _point(interface: Interface, outbound: bool) -> tuple[str, int] | None:
    if interface.kind != "node":
        return None
    kind = next((kind for kind in ("veth", "flannel", "eth0") if interface.device.startswith(kind)), "")
    return POINTS.get((kind, outbound))


def _is_no_flow(flow: Flow, body: Body) -> bool:
    """ARP, neighbour discovery, and tunnels' datagrams, whose insides have been seen at the tunnel."""
    return flow.proto == ARP or isinstance(body, VxlanFrame) or is_discovery(flow)


def _dropped(dropped: Dropped, directory: Directory, epoch_ns: int) -> Iterator[Message]:
    packet = dropped.packet
    if packet is None or _is_no_flow(packet.flow, packet.body):
        return
    name, number = REASONS.get(dropped.reason, UNKNOWN_REASON)
    if _NO_ENDPOINTS in dropped.rule:
        name, number = _BACKEND
    node = _node_of(dropped.namespace, directory)
    flow = _common(
        dropped.at_ns - epoch_ns, "DROPPED", node, packet.flow, packet.body, packet.macs, directory
    )
    flow["drop_reason"] = number
    flow["event_type"] = {"type": DROP, **({"sub_type": number} if number else {})}
    is_egress = packet.flow.src in directory.pods
    flow["traffic_direction"] = "EGRESS" if is_egress else "INGRESS"
    flow["drop_reason_desc"] = name
    by = f" by {dropped.rule}" if dropped.rule else ""
    reason = f"{dropped.reason.name}: {dropped.reason.value} at {dropped.hook} of {dropped.namespace}{by}"
    flow["Summary"] = f"{_summary(packet.flow, packet.body)}; {reason}"
    yield flow


def _node_of(namespace: str, directory: Directory) -> str:
    """The node that a namespace is on; a host that is no pod is its own."""
    return directory.pod_nodes.get(namespace, namespace)


def _common(
    at_ns: int, verdict: str, node: str, flow: Flow, body: Body, macs: bytes, directory: Directory
) -> Message:
    version = "IPv4" if len(flow.src) == 4 else "IPv6"
    found: Message = {"time": time_text(at_ns), "verdict": verdict}
    if macs != NO_MACS:
        found["ethernet"] = {"source": mac_text(macs[6:]), "destination": mac_text(macs[:6])}
    found["IP"] = {"source": ip_text(flow.src), "destination": ip_text(flow.dst), "ipVersion": version}
    layer4 = _layer4(flow, body)
    if layer4:
        found["l4"] = layer4
    found["source"] = directory.endpoint(flow.src, node)
    found["destination"] = directory.endpoint(flow.dst, node)
    found["Type"] = "L3_L4"
    found["node_name"] = node
    for key, address in (("source_service", flow.src), ("destination_service", flow.dst)):
        service = directory.service(address)
        if service is not None:
            found[key] = service
    return found


def _proxied(flow: Message, layer7: Layer7, is_reply: bool) -> Message:
    """The L7 flow beside an L3/L4 one."""
    kept = (
        "time",
        "verdict",
        "IP",
        "source",
        "destination",
        "node_name",
        "source_service",
        "destination_service",
    )
    found = {key: flow[key] for key in kept if key in flow}
    (protocol, ports), *_ = flow["l4"].items()
    found["l4"] = {protocol: {key: ports[key] for key in ("source_port", "destination_port")}}
    found |= {"Type": "L7", "l7": layer7.message, "event_type": {"type": ACCESS_LOG}}
    return found | {"traffic_direction": "EGRESS", "is_reply": is_reply, "Summary": layer7.summary}


def _layer4(flow: Flow, body: Body) -> Message:
    ports = {"source_port": flow.sport, "destination_port": flow.dport}
    if flow.proto == TCP:
        return {"TCP": {**ports, "flags": dict.fromkeys(_flag_names(body), True)}}
    if flow.proto in (UDP, SCTP):
        return {"UDP" if flow.proto == UDP else "SCTP": ports}
    if flow.proto in (ICMP, ICMPV6) and isinstance(body, IcmpMessage):
        return {"ICMPv4" if flow.proto == ICMP else "ICMPv6": {"type": body.type, "code": body.code}}
    return {}


def _flag_names(body: Body) -> Iterable[str]:
    flags = body.flags if isinstance(body, TcpSegment | RawBody) else 0
    return [name for bit, name in _FLAGS if flags & bit]


def _summary(flow: Flow, body: Body) -> str:
    if flow.proto == TCP:
        return f"TCP Flags: {', '.join(_flag_names(body))}"
    if flow.proto in (ICMP, ICMPV6) and isinstance(body, IcmpMessage):
        names, version = (_ICMP4, "ICMPv4") if flow.proto == ICMP else (_ICMP6, "ICMPv6")
        return f"{version} {names.get(body.type, str(body.type))}"
    return {UDP: "UDP", SCTP: "SCTP"}.get(flow.proto, f"IP protocol {flow.proto}")


def time_text(at_ns: int) -> str:
    """RFC 3339 with nanoseconds; the experiment's zero is 1970, as in captures."""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{rest:09d}Z"
