"""A host: a network namespace in which applications run. Nodes, pods and machines outside the cluster are hosts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netsim.kernel.fastpath import receiver
from netsim.kernel.netns import Device, Namespace

if TYPE_CHECKING:
    from netsim.engine import Engine
    from netsim.kernel.sysctl import Sysctl
    from netsim.wire.addr import Address, Prefix
    from netsim.wire.packet import Packet

LOOPBACK_MTU = 65536
# Two passes through the local stack; a netns crossing costs 1.7 us (timing facts cost.veth_netns_crossing), lo is
# alike.
LOOPBACK_DELAY_NS = 1_700


class Host:
    """Name, namespace, and what a process sees of its machine besides the network: environment and resolv.conf.

    `addresses` has one address per family; `address` is the first, of the cluster's primary family."""

    def __init__(
        self,
        engine: "Engine",
        name: str,
        address: "Address",
        sysctl: "Sysctl | None" = None,
        more: "tuple[Address, ...]" = (),
    ) -> None:
        self.engine = engine
        self.name = name
        self.hostname = name
        self.address = address
        self.addresses = (address, *more)
        self.alive = True
        self.env: dict[str, str] = {}
        self.etc_hosts: dict[str, tuple[Address, ...]] = {}  # what /etc/hosts has besides the host itself
        self.resolv_conf: Any = None
        self.ns = Namespace(name, engine.timers, engine.stream(f"kernel/{name}"), sysctl, engine.uids)
        self.ns.add_device(self._loopback())

    @property
    def now(self) -> int:
        """The time, ns."""
        return self.engine.now

    def address_of(self, family: int) -> "Address | None":
        """The address of 4 or 16 bytes, if it has one."""
        return next((address for address in self.addresses if len(address) == family), None)

    def _loopback(self) -> Device:
        lo = Device(self.ns, "lo", b"\0" * 6, LOOPBACK_MTU)
        schedule = self.engine.env.schedule
        arrived: list[tuple[Callable[[Packet], None]]] = []

        def transmit(packet: "Packet", at_ns: int) -> None:
            if not arrived:  # late: netfilter may be enabled after lo was made
                arrived.append((receiver(lo, self.engine.env),))
            packet.callbacks = arrived[0]
            schedule(packet, 1, at_ns - self.engine.env._now + LOOPBACK_DELAY_NS)  # type: ignore[arg-type]

        lo.transmit = transmit
        return lo

    def die(self) -> None:
        """Power off: nothing is received, sent or remembered any more."""
        self.alive = False
        for device in self.ns.devices.values():
            device.up = False
            self.ns.neighbours.forget(device, self.now)
        self.ns.sockets.destroy()
        self.ns.changed()

    def __repr__(self) -> str:
        return f"<Host {self.name}>"


class NodeHost(Host):
    """A node: forwards between its uplink `eth0` and the veths of its pods, through netfilter."""

    def __init__(
        self,
        engine: "Engine",
        name: str,
        address: "Address",
        sysctl: "Sysctl",
        more: "tuple[Address, ...]" = (),
    ) -> None:
        super().__init__(engine, name, address, sysctl, more)
        self.pods: dict[str, PodHost] = {}
        self.pod_cidr: Any = None
        self.more_pod_cidrs: tuple[Prefix, ...] = ()

    @property
    def pod_cidrs(self) -> "tuple[Prefix, ...]":
        """The ranges of its pods' addresses, one per family."""
        return (self.pod_cidr, *self.more_pod_cidrs)


class PodHost(Host):
    """A pod's sandbox: one namespace with `eth0`, joined to its node by a veth pair."""

    def __init__(
        self,
        engine: "Engine",
        name: str,
        address: "Address",
        node: NodeHost,
        sysctl: "Sysctl | None" = None,
        more: "tuple[Address, ...]" = (),
    ) -> None:
        super().__init__(engine, name, address, sysctl, more)
        self.node = node
        self.veth = ""  # name of the node's end


class HostNetworkPod(PodHost):
    """A pod with `hostNetwork`: it has no namespace of its own, but environment and resolv.conf. Its processes open
    their sockets beside those of the node and of others like it."""

    def __init__(self, name: str, node: NodeHost) -> None:
        self.engine = node.engine
        self.name = name
        self.hostname = node.hostname
        self.address = node.address
        self.addresses = node.addresses
        self.alive = node.alive
        self.env = {}
        self.etc_hosts = node.etc_hosts
        self.resolv_conf = None
        self.ns = node.ns
        self.node = node
        self.veth = ""

    def die(self) -> None:
        """It is gone. The node goes on, or dies by itself."""
        self.alive = False
