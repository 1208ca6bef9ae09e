"""The fabric: nodes on an underlay switch, pods on their nodes, a router to the outside; built once, changed by faults.

::

    pod eth0 ==veth== node eth0 ------ switch ------ node, load balancer ...
                                          |
                                        router ------ outside hosts ------ hosts behind them

Who calls it: `experiment/build.py` at the start, the kubelet's runtime for pods, faults for the rest. The pod network
itself (addresses, routes, masquerade) is the CNI's, handed in as `Cni`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from netsim.fabric.host import Host, HostNetworkPod, NodeHost, PodHost
from netsim.fabric.link import Link, LinkSpec, Netem
from netsim.fabric.switch import Switch
from netsim.kernel.cost import LinuxCost
from netsim.kernel.fastpath import receiver
from netsim.kernel.hooks import DropReason
from netsim.kernel.netfilter import enable_netfilter, masquerade_all
from netsim.kernel.netns import Device
from netsim.kernel.routing import Route, RouteKind, Routes
from netsim.kernel.sysctl import Sysctl, with_settings
from netsim.wire.addr import Address, Prefix, ip
from netsim.wire.packet import Packet

if TYPE_CHECKING:
    from netsim.engine import Engine

# A veth is memory: 1.7 us for a namespace crossing (timing facts cost.veth_netns_crossing), 25 Gbit/s as commonly
# measured.
VETH = LinkSpec(delay_ns=1_700, rate_bps=25 * 10**9, queue_ns=1_000_000)
DEFAULT_V4 = Prefix(b"\0\0\0\0", 0)
DEFAULT_V6 = Prefix(bytes(16), 0)
DEFAULTS = {4: DEFAULT_V4, 16: DEFAULT_V6}
# The next hop in a pod, which only its neighbour table knows. As Calico has them: for IPv6 the link-local address of
# its ee:ee:ee:ee:ee:ee, the MAC address of the node's ends of all veths there.
GATEWAY = ip("169.254.1.1")
GATEWAY_V6 = ip("fe80::ecee:eeff:feee:eeee")
GATEWAYS = {4: GATEWAY, 16: GATEWAY_V6}


class Cni(Protocol):
    """A pod network. One file per kind in `netsim/cni`."""

    name: str
    mtu: int
    pods_on_link: bool
    """Whether the pods of a node share a link, of its whole range; else each is alone (/32)."""

    def setup_node(self, fabric: "Fabric", node: NodeHost) -> None:
        """A node has joined; `node.pod_cidr` is set."""

    def add_pod(self, fabric: "Fabric", pod: PodHost, veth: Device, eth0: Device) -> None:
        """CNI ADD: addresses, routes, neighbours."""

    def remove_pod(self, fabric: "Fabric", pod: PodHost) -> None:
        """CNI DEL: before the veth goes away."""


@dataclass(frozen=True, slots=True)
class Cable:
    """Both directions between two devices, or a device and the switch."""

    name: str
    there: Link
    back: Link

    @property
    def links(self) -> tuple[Link, Link]:
        """The two directions."""
        return (self.there, self.back)


@dataclass(slots=True)
class FabricConfig:
    """What the topology file decides about the hardware. A cluster with a second family has a second underlay and pod
    subnet."""

    underlay: Prefix = field(default_factory=lambda: Prefix.parse("172.18.0.0/16"))
    pod_subnet: Prefix = field(default_factory=lambda: Prefix.parse("10.244.0.0/16"))
    node_sysctl: Sysctl = field(default_factory=lambda: Sysctl(ip_forward=True))
    pod_sysctl: Sysctl = field(default_factory=Sysctl)
    default_link: LinkSpec = field(default_factory=LinkSpec)
    more_underlays: tuple[Prefix, ...] = ()
    more_pod_subnets: tuple[Prefix, ...] = ()

    @property
    def underlays(self) -> tuple[Prefix, ...]:
        """The nodes' networks, one per family."""
        return (self.underlay, *self.more_underlays)

    @property
    def pod_subnets(self) -> tuple[Prefix, ...]:
        """The pod networks, one per family."""
        return (self.pod_subnet, *self.more_pod_subnets)


class Fabric:
    """All hosts and links of a simulation."""

    def __init__(self, engine: "Engine", config: FabricConfig, cni: Cni) -> None:
        self.engine = engine
        self.config = config
        self.cni = cni
        self.switch = Switch(engine)
        self.nodes: dict[str, NodeHost] = {}
        self.pods: dict[str, PodHost] = {}
        self.outside: dict[str, Host] = {}
        self.gateways: dict[str, Host] = {}  # of outside hosts behind another one
        self.balancers: dict[str, Host] = {}
        self.cables: dict[str, Cable] = {}
        self.gone: list[Host] = []
        self.cable_added: list[Callable[[Cable], None]] = []
        self._duplicated = 0  # by netem, on cables that are gone
        self.pod_routes = Routes()
        address, *more = (underlay.nth(1) for underlay in config.underlays)
        self.router = Host(engine, "router", address, Sysctl(ip_forward=True), tuple(more))
        self._join_underlay(self.router, config.default_link)
        for default in DEFAULTS.values():
            self.router.ns.add_route(Route(default, kind=RouteKind.BLACKHOLE))

    # ------------------------------------------------------------------ building
    def add_node(
        self,
        name: str,
        address: Address,
        pod_cidr: Prefix,
        link: LinkSpec | None = None,
        more: Iterable[tuple[Address, Prefix]] = (),
    ) -> NodeHost:
        """A node on the switch, with netfilter and forwarding on and the CNI set up. `more`: its address and range of
        pod addresses in another family."""
        second = tuple(more)
        node = NodeHost(
            self.engine, name, address, self.config.node_sysctl, tuple(known for known, _ in second)
        )
        node.pod_cidr, node.more_pod_cidrs = pod_cidr, tuple(cidr for _, cidr in second)
        node.ns.routes.shared = self.pod_routes
        node.ns.cost = LinuxCost()
        enable_netfilter(node.ns)
        self._join_underlay(node, link or self.config.default_link)
        eth0 = node.ns.devices["eth0"]
        for own in node.addresses:
            gateway, prefix = self.router.address_of(len(own)), DEFAULTS[len(own)]
            node.ns.add_route(Route(prefix, eth0, gateway, own, protocol="dhcp"))
        self.nodes[name] = node
        self.cni.setup_node(self, node)
        return node

    def add_outside(
        self,
        name: str,
        address: Address,
        link: LinkSpec | None = None,
        more: tuple[Address, ...] = (),
        *,
        behind: Host | None = None,
        translates: bool = False,
    ) -> Host:
        """A machine beyond the router, perhaps with more than one address; with `behind` on the private side of a
        machine that `translates` (source NAT, as an office's or a mobile network's gateway)."""
        sysctl = Sysctl(ip_forward=True) if translates else self.config.pod_sysctl
        host = Host(self.engine, name, address, sysctl, more)
        if translates:
            enable_netfilter(host.ns)
            masquerade_all(host.ns, "eth0")
        gateway = behind or self.router
        eth0 = Device(host.ns, "eth0", mac_for(name, "eth0"))
        port = Device(gateway.ns, f"to-{name}", mac_for(gateway.name, name))
        self._connect(f"{name}:eth0", eth0, port, link or self.config.default_link)
        host.ns.neighbours.fixed(eth0, port.mac)
        for own in host.addresses:
            _take_address(host, own, eth0)
            host.ns.add_route(Route(DEFAULTS[len(own)], eth0, source=own))
            gateway.ns.add_route(Route(Prefix.host(own), port))
            gateway.ns.neighbours.permanent(port, own, eth0.mac)
        self.outside[name] = host
        if behind is not None:
            self.gateways[name] = behind
        return host

    def add_balancer(
        self, name: str, address: Address, vips: Prefix, sysctl: Sysctl, link: LinkSpec | None = None
    ) -> Host:
        """A load balancer beside the nodes: the router sends its addresses there. With `ip_forward` it has netfilter,
        and translates; without it passes frames on as they are (`balancer_forward.py`)."""
        host = Host(self.engine, name, address, sysctl)
        if sysctl.ip_forward:
            enable_netfilter(host.ns)
        self._join_underlay(host, link or self.config.default_link)
        host.ns.add_route(Route(DEFAULT_V4, host.ns.devices["eth0"], self.router.address, address))
        for node in self.nodes.values():  # a cloud knows where its machines are, and asks nobody
            host.ns.neighbours.permanent(host.ns.devices["eth0"], node.address, node.ns.devices["eth0"].mac)
        self.route_outside(vips, address)
        self.balancers[name] = host
        return host

    def route_outside(self, prefix: Prefix, gateway: Address) -> None:
        """A static route of the router: what comes from outside for these addresses goes to a node or balancer."""
        self.router.ns.add_route(Route(prefix, self.router.ns.devices["eth0"], gateway))

    def _join_underlay(self, host: Host, link: LinkSpec) -> None:
        eth0 = Device(host.ns, "eth0", mac_for(host.name, "eth0"))
        there = Link(self.engine, f"{host.name}:eth0", link, eth0)
        back = Link(self.engine, f"switch:{host.name}", link)
        self.cables[there.name] = Cable(there.name, there, back)
        host.ns.add_device(eth0)
        there.connect(self.switch.arrived)
        back.connect(receiver(eth0, self.engine.env))
        self.switch.plug(eth0, back)
        for own, underlay in zip(host.addresses, self.config.underlays, strict=True):
            _take_address(host, own, eth0)
            host.ns.add_route(Route(underlay, eth0, source=own, protocol="kernel"))

    def _connect(self, name: str, one: Device, other: Device, link: LinkSpec) -> None:
        there = Link(self.engine, name, link, one)
        back = Link(self.engine, f"{other.ns.name}:{other.name}", link, other)
        self.cables[name] = Cable(name, there, back)
        one.ns.add_device(one)
        other.ns.add_device(other)
        there.connect(receiver(other, self.engine.env))
        back.connect(receiver(one, self.engine.env))
        for listener in self.cable_added:
            listener(self.cables[name])

    # ------------------------------------------------------------------ pods
    def add_pod(
        self,
        node_name: str,
        name: str,
        address: Address,
        more: tuple[Address, ...] = (),
        sysctls: Mapping[str, str] | None = None,
    ) -> PodHost:
        """A pod sandbox on a node (RunPodSandbox and CNI ADD). Names are unique while the pod lives. `sysctls` are the
        pod's own settings (`net.ipv4.tcp_retries2`); a new namespace has the kernel's defaults, not the node's."""
        node = self.nodes[node_name]
        sysctl = with_settings(self.config.pod_sysctl, sysctls or {})
        pod = PodHost(self.engine, name, address, node, sysctl, more)
        pod.veth = "veth" + hashlib.sha256(name.encode()).hexdigest()[:8]
        eth0 = Device(pod.ns, "eth0", mac_for(name, "eth0"), self.cni.mtu)
        veth = Device(node.ns, pod.veth, mac_for(node_name, pod.veth), self.cni.mtu)
        self._connect(f"{name}:eth0", eth0, veth, VETH)
        for own in pod.addresses:
            _take_address(pod, own, eth0)
        self.cni.add_pod(self, pod, veth, eth0)
        self.pods[name] = node.pods[name] = pod
        return pod

    def add_host_network_pod(self, node_name: str, name: str) -> HostNetworkPod:
        """A pod without a sandbox of its own: no CNI, no veth, no further address."""
        node = self.nodes[node_name]
        pod = node.pods[name] = HostNetworkPod(name, node)
        return pod

    def remove_pod(self, pod: PodHost) -> None:
        """The sandbox is torn down: no FIN, no RST, the address leads nowhere."""
        if isinstance(pod, HostNetworkPod):
            pod.node.pods.pop(pod.name, None)
            pod.die()
            return
        if self.pods.get(pod.name) is not pod:
            return
        del self.pods[pod.name]
        del pod.node.pods[pod.name]
        self.cni.remove_pod(self, pod)
        pod.die()
        pod.node.ns.remove_device(pod.veth, self.engine.now)
        self.gone.append(pod)
        cable = self.cables.pop(f"{pod.name}:eth0")
        self.set_cable(cable, up=False)
        self._duplicated += sum(link.duplicated for link in cable.links)

    def crash_node(self, name: str) -> None:
        """A node loses power, and with it all its pods."""
        node = self.nodes[name]
        for host in (node, *node.pods.values()):
            host.die()
        self.set_cable(self.cables[f"{name}:eth0"], up=False)

    def set_cable(self, cable: Cable, up: bool) -> None:
        """Pull a cable, or plug it in again."""
        for link in cable.links:
            link.up = up
            link.rewire()

    def set_netem(self, cable: Cable, netem: Netem | None, direction: str = "both") -> None:
        """Impair a cable, or one direction of it as the named end sees it ("from": what it sends), or stop doing so."""
        chosen = {"both": cable.links, "from": (cable.there,), "to": (cable.back,)}[direction]
        for link in chosen:
            link.netem = netem
            link.rewire()

    # ------------------------------------------------------------------ books
    def hosts(self) -> Iterator[Host]:
        """Every host there is or was."""
        yield self.router
        yield from self.nodes.values()
        yield from self.pods.values()
        yield from self.outside.values()
        yield from self.balancers.values()
        yield from self.gone

    def in_flight(self) -> int:
        """Packets on links (they are events in the engine's queue) and waiting for a neighbour."""
        pending: list[Any] = self.engine.env._queue
        on_links = sum(1 for item in pending if type(item[3]) is Packet)
        return on_links + sum(host.ns.neighbours.waiting for host in self.hosts())

    def drops(self) -> Counter[tuple[str, str, DropReason]]:
        """Dropped packets by host (or switch), hook and reason."""
        found: Counter[tuple[str, str, DropReason]] = Counter()
        for host in self.hosts():
            for (hook, reason), number in host.ns.drops.items():
                found[host.name, hook, reason] += number
        for cable in self.cables.values():
            for reason, number in cable.back.drops.items():
                found["switch", "LINK", reason] += number
        for reason, number in self.switch.drops.items():
            found["switch", "SWITCH", reason] += number
        return found

    def copies(self) -> int:
        """Packets that came into being on the way: broadcast copies and netem duplicates."""
        links = [link for cable in self.cables.values() for link in cable.links]
        bridged = sum(host.ns.copied for host in self.hosts())
        return self.switch.copied + bridged + self._duplicated + sum(link.duplicated for link in links)


def _take_address(host: Host, address: Address, device: Device) -> None:
    """`ip addr add`; the first IPv6 address starts IPv6 on the device."""
    host.ns.add_address(address, device)
    if len(address) == 16:
        host.ns.start_ipv6(device)


def mac_for(host: str, device: str) -> bytes:
    """A locally administered MAC address that depends on the names only (IEEE 802, second bit of the first byte)."""
    return b"\x02" + hashlib.sha256(f"{host}/{device}".encode()).digest()[:5]
