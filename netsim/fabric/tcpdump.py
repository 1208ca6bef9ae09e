"""Listening on interfaces, as tcpdump does in pods and on nodes; and hearing what NAT decided and what was dropped.

Made by `Cluster.tcpdump`, for experiments (`capture:`), `--capture` and notebooks; written by `measure/pcap.py`. Where
`capture.py` records what is on a cable, once, this records what each chosen interface sees: what it sends at the moment
of sending, what it receives at the moment of arrival. One packet has one number on all of them.

A pattern names a host and perhaps a device: `pod/client`, `pod/shop/web-*`, `node/worker-1:veth*`, `external/laptop`,
`router`, `*`. A Deployment's pod is found by the beginning of its name. Simplified: a bridge's own device is not
listened to (its ports are), and on `lo` each packet is recorded once, when it is sent.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from netsim.fabric.host import HostNetworkPod, NodeHost, PodHost
from netsim.kernel.hooks import DropReason
from netsim.kernel.journey import Dropped, Rewritten
from netsim.wire.addr import ip_text
from netsim.wire.packet import Body, Flow, Packet

if TYPE_CHECKING:
    from netsim.fabric.fabric import Cable, Fabric
    from netsim.fabric.host import Host
    from netsim.fabric.link import Link
    from netsim.kernel.netns import Device, Namespace
    from netsim.kernel.vxlan import Vxlan

SWITCH: Final = "switch"


@dataclass(frozen=True, slots=True)
class Interface:
    """A device of a host. `kind` is pod, node, external, router, balancer or switch."""

    host: str
    kind: str
    device: str
    mac: bytes = b""
    description: str = ""

    @property
    def name(self) -> str:
        """`default/client:eth0`, `worker-1:veth76aae918`."""
        return f"{self.host}:{self.device}"


class Seen(NamedTuple):
    """A packet as an interface saw it."""

    at_ns: int
    interface: Interface
    outbound: bool
    uid: int
    flow: Flow
    ttl: int
    tos: int
    macs: bytes
    size: int
    body: Body

    def packet(self) -> Packet:
        """The packet as it was then."""
        packet = Packet(self.flow, self.body, self.uid)
        packet.ttl, packet.tos, packet.macs, packet.size = self.ttl, self.tos, self.macs, self.size
        return packet


def selects(pattern: str, kind: str, host: str, device: str) -> bool:
    """Whether a pattern means an interface."""
    wanted, _, wanted_device = pattern.partition(":")
    if wanted_device and not fnmatchcase(device, wanted_device):
        return False
    names = [host, f"{kind}/{host}"]
    if kind == "pod" and host.startswith("default/"):
        names.append(f"pod/{host.removeprefix('default/')}")
    if any(fnmatchcase(name, wanted) for name in names):
        return True
    return kind == "pod" and any(fnmatchcase(name, f"{wanted}-*") for name in names)


class Tcpdump:
    """What was seen on some interfaces: `seen`; and what happened on the way: `rewrites`, `drops`."""

    def __init__(self, fabric: "Fabric", patterns: Iterable[str], all_drops: bool = False) -> None:
        """`all_drops`: hear of what is dropped anywhere, not only where an interface was chosen."""
        self.seen: list[Seen] = []
        self.rewrites: list[Rewritten] = []
        self.drops: list[Dropped] = []
        self.interfaces: dict[str, Interface] = {}
        self._fabric = fabric
        self._all_drops = all_drops
        self._patterns = tuple(patterns) or ("*",)
        self._heard: set[int] = set()  # namespaces, which live as long as we are told of them
        self._undo: list[Callable[[], None]] = []
        for host in dict.fromkeys(fabric.hosts()):
            if host.alive and not isinstance(host, HostNetworkPod):
                self._consider(host)
        fabric.cable_added.append(self._new_cable)
        self._undo.append(lambda: fabric.cable_added.remove(self._new_cable))

    def unmatched(self) -> list[str]:
        """The patterns that mean no interface that there is (yet)."""
        return [
            pattern
            for pattern in self._patterns
            if not any(selects(pattern, i.kind, i.host, i.device) for i in self.interfaces.values())
        ]

    def stop(self) -> None:
        """Listen no more; what was seen stays."""
        while self._undo:
            self._undo.pop()()

    def __iter__(self) -> Iterator[Seen]:
        return iter(self.seen)

    def __len__(self) -> int:
        return len(self.seen)

    def __repr__(self) -> str:
        return f"<Tcpdump: {len(self.seen)} packets on {len(self.interfaces)} interfaces>"

    # ------------------------------------------------------------------ choosing
    def _new_cable(self, cable: "Cable") -> None:
        """A pod has come: its host is not registered yet, but its devices are."""
        for link in cable.links:
            device = link.device
            if device is None:
                continue
            host = next((h for h in self._fabric.hosts() if h.ns is device.ns), None)
            kind = self._kind(host) if host is not None else "pod"
            if self._all_drops:
                self._hear(device.ns)
            self._consider_device(kind, device.ns.name, device, cable)

    def _consider(self, host: "Host") -> None:
        kind = self._kind(host)
        if host.ns.conntrack is not None or self._all_drops:
            self._hear(host.ns)
        for device in host.ns.devices.values():
            self._consider_device(kind, host.name, device, self._cable_of(device))

    def _kind(self, host: "Host") -> str:
        if isinstance(host, PodHost):
            return "pod"
        if isinstance(host, NodeHost):
            return "node"
        if host is self._fabric.router:
            return "router"
        return "balancer" if host.name in self._fabric.balancers else "external"

    def _cable_of(self, device: "Device") -> "Cable | None":
        cables = self._fabric.cables.values()
        return next((c for c in cables if device in (c.there.device, c.back.device)), None)

    def _consider_device(self, kind: str, host: str, device: "Device", cable: "Cable | None") -> None:
        if not any(selects(pattern, kind, host, device.name) for pattern in self._patterns):
            return
        tunnel = self._tunnel(host, device)
        if cable is None and tunnel is None and device.name != "lo":
            return  # a bridge, or a device that never sends
        found = Interface(host, kind, device.name, device.mac, _description(kind, host, device, cable))
        self.interfaces[found.name] = found
        if cable is not None:
            self._listen_on(found, device, cable)
        else:
            self._undo.append(_wrap(device, self._sent(found)))
        if tunnel is not None:
            self._undo.append(tunnel.on_arrival(self._received(found)))
        self._hear(device.ns)

    def _tunnel(self, host: str, device: "Device") -> "Vxlan | None":
        tunnels: dict[str, Vxlan] = getattr(self._fabric.cni, "tunnels", {})
        tunnel = tunnels.get(host)
        return tunnel if tunnel is not None and tunnel.device is device else None

    # ------------------------------------------------------------------ listening
    def _listen_on(self, interface: Interface, device: "Device", cable: "Cable") -> None:
        out, back = cable.links if cable.there.device is device else cable.links[::-1]
        sent = self._sent(interface)

        def tap(_link: "Link", packet: Packet, at_ns: int) -> None:
            sent(packet, at_ns)

        out.taps.append(tap)
        out.rewire()
        self._undo.append(lambda: _untap(out, tap))
        self._undo.append(back.on_arrival(self._received(interface)))
        if back.device is None:  # a port of the switch, which has no namespace to say what it lost
            lost = self._lost(interface.host)
            back.lost.append(lost)
            self._undo.append(lambda: back.lost.remove(lost))

    def _sent(self, interface: Interface) -> Callable[[Packet, int], None]:
        append = self.seen.append
        return lambda packet, at_ns: append(_seen(at_ns, interface, True, packet))

    def _received(self, interface: Interface) -> Callable[[Packet], None]:
        append, engine = self.seen.append, self._fabric.engine
        return lambda packet: append(_seen(engine.now, interface, False, packet))

    def _lost(self, port: str) -> Callable[[Packet, DropReason, int], None]:
        def lost(packet: Packet, reason: DropReason, now: int) -> None:
            last = packet.copy(packet.uid)
            self.drops.append(Dropped(now, SWITCH, "LINK", reason, packet.flow, packet.uid, port, last))

        return lost

    def _hear(self, ns: "Namespace") -> None:
        """Hear of decisions and drops in a namespace."""
        if id(ns) not in self._heard:
            self._heard.add(id(ns))
            self._undo.append(ns.listen(self.rewrites.append, self._dropped))

    def _dropped(self, dropped: Dropped) -> None:
        if self._all_drops or any(
            interface.host == dropped.namespace for interface in self.interfaces.values()
        ):
            self.drops.append(dropped)


def _seen(at_ns: int, interface: Interface, outbound: bool, packet: Packet) -> Seen:
    return Seen(
        at_ns,
        interface,
        outbound,
        packet.uid,
        packet.flow,
        packet.ttl,
        packet.tos,
        packet.macs,
        packet.size,
        packet.body,
    )


def _description(kind: str, host: str, device: "Device", cable: "Cable | None") -> str:
    """if_description: whose it is, its addresses, what is at the other end."""
    own = [ip_text(address) for address, owner in device.ns.addresses.items() if owner is device]
    said = f"{device.name} of {kind} {host}"
    if own:
        said += f", {', '.join(own)}"
    if cable is None:
        return said
    other = cable.back.device if cable.there.device is device else cable.there.device
    return f"{said}; other end: {f'{other.ns.name}:{other.name}' if other is not None else 'underlay switch'}"


def _untap(link: "Link", tap: Callable[["Link", Packet, int], None]) -> None:
    link.taps.remove(tap)
    link.rewire()


def _wrap(device: "Device", tap: Callable[[Packet, int], None]) -> Callable[[], None]:
    """Tell of each packet that a device without a cable sends."""
    plain, live = device.transmit, [True]

    def transmit(packet: Packet, at_ns: int) -> None:
        if live:
            tap(packet, at_ns)
        plain(packet, at_ns)

    device.transmit = transmit
    device.ns.changed()

    def stop() -> None:
        live.clear()
        if device.transmit is transmit:
            device.transmit = plain
        device.ns.changed()

    return stop
