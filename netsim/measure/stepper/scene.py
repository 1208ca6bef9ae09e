"""The hosts and devices that a journey passed, as values: what the drawing shows. Made from the fabric when the journey
is over, so that it stays right when pods come and go later."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from netsim.fabric.host import HostNetworkPod, NodeHost, PodHost
from netsim.kernel.hooks_text import Station, stations
from netsim.wire.addr import ip_text, mac_text

if TYPE_CHECKING:
    from netsim.fabric.fabric import Fabric
    from netsim.fabric.host import Host

Kind = Literal["pod", "node", "router", "external", "balancer"]


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A network device: what it is and, for a veth, whose other end it is."""

    name: str
    kind: Literal["uplink", "veth", "bridge", "vxlan", "eth"]
    mac: str
    peer: str = ""


@dataclass(frozen=True, slots=True)
class HostView:
    """A host. `parent` is a pod's node, or the machine through which one outside is reached."""

    name: str
    kind: Kind
    parent: str
    addresses: tuple[str, ...]
    devices: tuple[DeviceView, ...]
    hooks: tuple[tuple[Station, ...], ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """All hosts of a drawing; parents are among them."""

    hosts: tuple[HostView, ...]
    network: str


def scene_of(fabric: "Fabric", names: Iterable[str]) -> Scene:
    """The hosts with these names, and those that they hang on."""
    there = {host.name: host for host in fabric.hosts() if not isinstance(host, HostNetworkPod)}
    wanted = dict.fromkeys(name for name in names if name in there)
    for name in list(wanted):
        parent = _parent(fabric, there[name])
        while parent and parent not in wanted:
            wanted[parent] = None
            parent = _parent(fabric, there[parent])
    hosts = tuple(_view(fabric, there[name]) for name in wanted)
    return Scene(hosts, fabric.cni.name)


def _parent(fabric: "Fabric", host: "Host") -> str:
    if isinstance(host, PodHost):
        return host.node.name
    if host.name in fabric.outside:
        gateway = fabric.gateways.get(host.name)
        return gateway.name if gateway is not None else fabric.router.name
    return ""


def _kind(fabric: "Fabric", host: "Host") -> Kind:
    if isinstance(host, PodHost):
        return "pod"
    if isinstance(host, NodeHost):
        return "node"
    if host is fabric.router:
        return "router"
    return "balancer" if host.name in fabric.balancers else "external"


def _view(fabric: "Fabric", host: "Host") -> HostView:
    kind = _kind(fabric, host)
    peers = {pod.veth: pod.name for pod in (*fabric.pods.values(), *fabric.gone) if isinstance(pod, PodHost)}
    devices = []
    for device in host.ns.devices.values():
        if device.name in ("lo", "kube-ipvs0"):
            continue
        peer = peers.get(device.name, "") if kind == "node" else device.name.removeprefix("to-")
        devices.append(DeviceView(device.name, _device_kind(kind, device.name), mac_text(device.mac), peer))
    return HostView(
        host.name,
        kind,
        _parent(fabric, host),
        tuple(map(ip_text, host.addresses)),
        tuple(devices),
        stations(host.ns),
    )


def _device_kind(host: Kind, name: str) -> Literal["uplink", "veth", "bridge", "vxlan", "eth"]:
    if name.startswith("veth"):
        return "veth"
    if name == "cni0":
        return "bridge"
    if name.startswith("flannel."):
        return "vxlan"
    return "uplink" if name == "eth0" and host in ("node", "router", "balancer") else "eth"
