"""A bench for kernel and fabric tests: namespaces whose sockets and devices write down what they get; small fabrics.

`Bench` is one router namespace between two recording devices, with time as an argument and no simulation. `Lab` is an
engine with a fabric of nodes and pods. Both use `Inbox` in place of real sockets, so a test sees packets.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from scapy.layers.inet import ICMP as ScapyICMP
from scapy.layers.inet import IP as ScapyIP
from scapy.layers.l2 import Ether

from netsim.cni.flat import FlatCni
from netsim.dataplane.nftables import NftablesDataplane
from netsim.dataplane.nftables_config import NftablesConfig
from netsim.dataplane.node_view import LocalDetector, NodeView
from netsim.dataplane.service_table import (
    Endpoint,
    ServicePort,
    ServicePortName,
    ServiceTable,
    order_endpoints,
)
from netsim.engine import Engine, TimerQueue
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.fabric.host import Host, NodeHost, PodHost
from netsim.kernel import fastpath, path
from netsim.kernel.hooks import DropReason
from netsim.kernel.netfilter import enable_netfilter
from netsim.kernel.netns import Device, Namespace
from netsim.kernel.routing import Route
from netsim.kernel.sysctl import Sysctl
from netsim.kernel.targets import Jump
from netsim.kernel.xtables_chain import Rule
from netsim.wire.addr import Prefix, ip, ip_text
from netsim.wire.packet import (
    ACK,
    FIN,
    ICMP,
    RST,
    SYN,
    TCP,
    UDP,
    ArpMessage,
    Flow,
    IcmpMessage,
    Packet,
    TcpSegment,
    UdpDatagram,
    arp_packet,
)

FLAGS = {"S": SYN, ".": ACK, "F": FIN, "R": RST}


def flow(src: str, sport: int, dst: str, dport: int, proto: int = UDP) -> Flow:
    return Flow(ip(src), ip(dst), sport, dport, proto)


def udp(src: str, sport: int, dst: str, dport: int, payload: bytes = b"data") -> Packet:
    return Packet(flow(src, sport, dst, dport), UdpDatagram(payload))


def tcp(src: str, sport: int, dst: str, dport: int, flags: str, payload: bytes = b"") -> Packet:
    """`flags` in tcpdump's letters: S, S., ., F., R."""
    bits = sum(FLAGS[letter] for letter in flags)
    return Packet(flow(src, sport, dst, dport, TCP), TcpSegment(1, 1, bits, 1000, b"", payload))


def ping(src: str, dst: str, identifier: int = 7, sequence: int = 1) -> Packet:
    return Packet(flow(src, identifier, dst, 8 << 8, ICMP), IcmpMessage(8, 0, sequence, b"payload."))


def arp(op: int, sender_mac: bytes, sender: str, target: str, target_mac: bytes = b"\0" * 6) -> Packet:
    message = ArpMessage(op, sender_mac, ip(sender), target_mac, ip(target))
    return arp_packet(message, target_mac + sender_mac, 0)


class Inbox:
    """In place of sockets: keeps what is delivered. `answer(packet, now)` may react; `refuse` makes closed ports."""

    def __init__(self, ns: Namespace) -> None:
        self.ns = ns
        self.got: list[tuple[int, Packet]] = []
        self.errors: list[tuple[int, Flow, int, int]] = []
        self.answer: Callable[[Packet, int], object] | None = None
        self.refuse = False

    def deliver(self, packet: Packet, now: int) -> DropReason | None:
        if self.refuse:
            self.ns.icmp_error(packet, 3, 3, now)
            return DropReason.NO_SOCKET
        self.got.append((now, packet))
        if self.answer is not None:
            self.answer(packet, now)
        return None

    def icmp_error(self, about: Flow, type: int, code: int, now: int) -> None:
        self.errors.append((now, about, type, code))

    def echo(self) -> "Inbox":
        """Send every UDP datagram back."""
        self.answer = lambda packet, now: self.ns.output(
            Packet(packet.flow.reverse(), packet.body, next(self.ns.uids)), now
        )
        return self

    def destroy(self) -> None:
        self.answer = None

    @property
    def flows(self) -> list[Flow]:
        return [packet.flow for _, packet in self.got]


class Clock:
    """The timer queue without an engine; `run(until)` rings every alarm that was asked for."""

    def __init__(self) -> None:
        self.alarms: list[int] = []
        self.queue = TimerQueue(self.alarms.append)
        self.arm = self.queue.arm
        self._now = 0

    def run(self, until: int) -> None:
        while self.alarms and min(self.alarms) <= until:
            self._now = min(self.alarms)
            self.alarms.remove(self._now)
            self.queue.run_due(self._now)
        self._now = until


class Port:
    """A device that writes down what it transmits; `arrive` is the other end's sending."""

    def __init__(self, ns: Namespace, name: str, clock: Clock, mtu: int = 1500) -> None:
        self.device = Device(ns, name, b"\x02\0\0\0\0" + bytes([len(ns.devices)]), mtu)
        self.sent: list[tuple[int, Packet]] = []
        self.device.transmit = lambda packet, at: self.sent.append((at, packet))
        self.clock = clock
        ns.add_device(self.device)

    def arrive(self, packet: Packet, now: int = 0) -> None:
        """By the full path."""
        packet.callbacks = None
        path.receive(self.device, packet, now)

    def arrive_fast(self, packet: Packet, now: int = 0) -> None:
        """As a link delivers it."""
        self.clock._now = now
        fastpath.receiver(self.device, self.clock)(packet)

    def take(self) -> list[Packet]:
        """What was transmitted since the last time."""
        packets = [packet for _, packet in self.sent]
        self.sent.clear()
        return packets

    def one(self) -> Packet:
        packets = self.take()
        assert len(packets) == 1, packets
        return packets[0]


def namespace(
    name: str = "ns", clock: Clock | None = None, netfilter: bool = False, **sysctl: Any
) -> Namespace:
    """A namespace with an Inbox and a loopback device that delivers at once."""
    ns = Namespace(name, clock or Clock(), random.Random(1), Sysctl(**sysctl))
    ns.sockets = Inbox(ns)  # type: ignore[assignment]
    if netfilter:
        enable_netfilter(ns)
    lo = Device(ns, "lo", b"\0" * 6, 65536)
    lo.transmit = lambda packet, at: path.receive(lo, packet, at)
    ns.add_device(lo)
    return ns


class Bench:
    """A router `ns` (10.1.0.1 and 10.2.0.1) between `left` (10.1.0.0/24) and `right` (10.2.0.0/24), whose hosts are all
    known neighbours."""

    def __init__(self, netfilter: bool = True, mtu: int = 1500, **sysctl: Any) -> None:
        self.clock = Clock()
        self.ns = namespace("node", self.clock, netfilter, **({"ip_forward": True} | sysctl))
        self.left = self._port("left", "10.1.0.1", 1500)
        self.right = self._port("right", "10.2.0.1", mtu)
        self.inbox: Inbox = self.ns.sockets  # type: ignore[assignment]
        self.ct: Any = self.ns.conntrack

    def _port(self, name: str, address: str, mtu: int) -> Port:
        port = Port(self.ns, name, self.clock, mtu)
        self.ns.add_address(ip(address), port.device)
        self.ns.add_route(Route(Prefix(ip(address)[:3] + b"\0", 24), port.device, source=ip(address)))
        self.ns.neighbours.fixed(port.device, b"\x02\0\0\0\xff" + name[:1].encode())
        return port

    def rules(self, text: str) -> None:
        """Rules in iptables-restore's format, of the nat table unless they say otherwise."""
        assert self.ns.xtables is not None
        self.ns.xtables.restore(text if text.lstrip().startswith("*") else nat(text))

    def drops(self) -> dict[tuple[str, str], int]:
        return {(hook, reason.name): number for (hook, reason), number in self.ns.drops.items()}

    def ended(self, hook: str, reason: str) -> None:
        """One packet was dropped, and nothing came out on the right."""
        assert self.drops() == {(hook, reason): 1}
        assert self.right.take() == []


def nat(rules: str) -> str:
    return f"*nat\n{rules.strip()}\nCOMMIT\n"


def filter(rules: str) -> str:
    return f"*filter\n{rules.strip()}\nCOMMIT\n"


class Service(NamedTuple):
    """A ClusterIP Service and its endpoints."""

    cluster_ip: str
    port: int
    backends: list[tuple[str, int]]
    proto: str = "udp"


def services(*wanted: Service, pods: str = "10.244.0.0/16") -> str:
    """The nat rules that kube-proxy writes: traffic from outside the pods is masqueraded, and so is a pod that reaches
    itself."""
    lines = [
        ":KUBE-SERVICES - [0:0]",
        ":KUBE-POSTROUTING - [0:0]",
        ":KUBE-MARK-MASQ - [0:0]",
        ":PREROUTING ACCEPT [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
        "-A KUBE-POSTROUTING -j MASQUERADE",
    ]
    for service in wanted:
        lines += _service_lines(service, pods)
    return nat("\n".join(lines))


def _service_lines(service: Service, pods: str) -> list[str]:
    there = f"-d {service.cluster_ip}/32 -p {service.proto} -m {service.proto} --dport {service.port}"
    name = f"{service.cluster_ip}:{service.port}"
    lines = [
        f":KUBE-SVC-{name} - [0:0]",
        f"-A KUBE-SERVICES {there} -j KUBE-SVC-{name}",
        f"-A KUBE-SVC-{name} {there} ! -s {pods} -j KUBE-MARK-MASQ",
    ]
    for index, (address, port) in enumerate(service.backends):
        left = len(service.backends) - index
        chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        to = f"--to-destination {address}:{port}"
        lines += [
            f":KUBE-SEP-{name}-{index} - [0:0]",
            f"-A KUBE-SVC-{name} {chance}-j KUBE-SEP-{name}-{index}",
            f"-A KUBE-SEP-{name}-{index} -s {address}/32 -j KUBE-MARK-MASQ",
            f"-A KUBE-SEP-{name}-{index} -p {service.proto} -m {service.proto} -j DNAT {to}",
        ]
    return lines


class Lab:
    """An engine and a flat fabric: nodes n1 (172.18.0.2), n2, ... and pods, `pod(1, 5)` being 10.244.1.5 on n1. All
    have inboxes, or with `real` the kernel's own sockets."""

    def __init__(
        self, nodes: int = 2, seed: int = 1, follow: bool = False, real: bool = False, **config: Any
    ) -> None:
        self.real = real
        self.engine = Engine(seed)
        self.fabric = Fabric(self.engine, FabricConfig(**config), FlatCni())
        self.follow = follow
        self.steps: list[Any] = []
        self._watch(self.fabric.router)
        self.nodes = [self.node(index) for index in range(1, nodes + 1)]

    def node(self, index: int) -> NodeHost:
        cidr = Prefix.parse(f"10.244.{index}.0/24")
        return self._watch(self.fabric.add_node(f"n{index}", ip(f"172.18.0.{index + 1}"), cidr))

    def pod(self, node: int, number: int) -> PodHost:
        return self._watch(
            self.fabric.add_pod(f"n{node}", f"p{node}-{number}", ip(f"10.244.{node}.{number}"))
        )

    def outside(self, address: str = "203.0.113.10") -> Host:
        return self._watch(self.fabric.add_outside("laptop", ip(address)))

    def _watch(self, host: Any) -> Any:
        if not self.real:
            host.ns.sockets = Inbox(host.ns)  # type: ignore[assignment]
        if self.follow:
            host.ns.follow(self.steps.append)
        return host

    def rules(self, text: str) -> None:
        """Load rules on every node."""
        for node in self.nodes:
            assert node.ns.xtables is not None
            node.ns.xtables.restore(text)

    def serve(self, *wanted: Service) -> None:
        """Load the rules of Services on every node, in place of those before."""
        self.rules(services(*wanted))
        for node in self.nodes:
            assert node.ns.xtables is not None
            node.ns.xtables.ensure_rule("nat", "POSTROUTING", Rule((), Jump("KUBE-POSTROUTING")), append=True)

    def send(self, host: Host, packet: Packet) -> Any:
        packet.uid = packet.uid or next(self.engine.uids)
        return host.ns.output(packet, self.engine.now)

    def run(self, for_ns: int) -> None:
        self.engine.run(self.engine.now + for_ns)

    def books(self) -> tuple[int, int]:
        """Sent and copied; delivered, dropped and in flight: equal at any moment."""
        hosts = list(self.fabric.hosts())
        made = sum(host.ns.sent for host in hosts) + self.fabric.copies()
        ended = (
            sum(host.ns.delivered for host in hosts) + self.fabric.drops().total() + self.fabric.in_flight()
        )
        return made, ended

    def check_books(self) -> None:
        made, ended = self.books()
        assert made == ended


def inbox(host: Host) -> Inbox:
    assert isinstance(host.ns.sockets, Inbox)
    return host.ns.sockets


def error(packet: Packet) -> tuple[int, int, str, str]:
    """Type and code of an ICMP error, from whom and to whom."""
    assert isinstance(packet.body, IcmpMessage)
    return packet.body.type, packet.body.code, ip_text(packet.flow.src), ip_text(packet.flow.dst)


def quoted(packet: Packet) -> ScapyIP:
    """The packet inside an ICMP error, dissected by Scapy, which has checked nothing yet."""
    assert isinstance(packet.body, IcmpMessage)
    return ScapyIP(packet.body.payload)


def all_checksums_hold(frame: bytes) -> bool:
    """Scapy builds the same bytes when it has to compute the checksums of headers and quote itself."""
    found = Ether(frame)
    inner = ScapyIP(bytes(found[ScapyICMP].payload))
    for layer in (found[ScapyIP], found[ScapyICMP], inner, inner.payload):
        del layer.chksum
    found[ScapyICMP].remove_payload()
    rebuilt = Ether(bytes(found / bytes(inner)))
    return bytes(rebuilt)[:42] + bytes(inner) == frame


def clone(packet: Packet, **changes: Any) -> Packet:
    """A second packet with the same content and some fields of its flow changed."""
    twin = packet.copy(packet.uid)
    twin.flow = packet.flow._replace(**changes)
    return twin


def with_sysctl(sysctl: Sysctl, **changes: Any) -> Sysctl:
    return replace(sysctl, **changes)


class NftServices:
    """kube-proxy's nftables dataplane on the nodes of a `Lab`, one proxier each; `affinity` in seconds."""

    def __init__(self, nodes: Sequence[NodeHost], affinity: int = 0) -> None:
        self.affinity = affinity
        dataplane = NftablesDataplane(NftablesConfig(service_cidrs=(Prefix.parse("10.96.0.0/16"),)))
        detector = LocalDetector(prefix=Prefix.parse("10.244.0.0/16"))
        self.proxiers = {
            node: dataplane.on_node(
                NodeView(
                    node.name,
                    node.address,
                    (node.address,),
                    local_detector=detector,
                    node_port_addresses=(Prefix.host(node.address),),
                )
            )
            for node in nodes
        }
        self.tables = dict.fromkeys(nodes, ServiceTable())

    def serve(self, *wanted: Service, nodes: Iterable[NodeHost] | None = None) -> None:
        """Make these the Services, in place of those before."""
        for node in nodes if nodes is not None else self.proxiers:
            old, new = self.tables[node], ServiceTable(map(self._port, wanted))
            self.proxiers[node].sync(node.ns, old if len(old) else None, new)
            self.tables[node] = new

    def _port(self, service: Service) -> ServicePort:
        endpoints = order_endpoints(Endpoint(ip(address), port) for address, port in service.backends)
        name = ServicePortName(
            "default", f"s{service.cluster_ip.replace('.', '-')}", "", service.proto.upper()
        )
        return ServicePort(
            name,
            ip(service.cluster_ip),
            service.port,
            affinity_timeout_s=self.affinity,
            endpoints=endpoints,
        )
