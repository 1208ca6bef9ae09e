"""A bench for a bridge without a simulation: a node with `cni0`, three ports and an uplink, and rules of Services."""

from netlab import Bench, Port, arp, nat

from netsim.kernel.bridge import Bridge
from netsim.kernel.netns import Device
from netsim.kernel.routing import Route
from netsim.wire.addr import BROADCAST_MAC, Prefix, ip
from netsim.wire.packet import Packet

A, B, C = (bytes((2, 0, 0, 0, 1, number)) for number in (5, 6, 7))
GATEWAY = bytes((2, 0, 0, 0, 1, 1))
SERVICE = nat("""
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 10.96.0.10 -p udp -m udp --dport 53 -j DNAT --to-destination 10.244.1.6:8053
-A PREROUTING -d 10.96.0.11 -p udp -m udp --dport 53 -j DNAT --to-destination 10.244.1.5:8053
-A PREROUTING -d 10.96.0.12 -p udp -m udp --dport 53 -j DNAT --to-destination 10.2.0.9:8053
""")


class BridgeBench:
    """cni0 (10.244.1.1/24) with three ports, and an uplink `right` to 10.2.0.0/24."""

    def __init__(self, netfilter: bool = True, hairpin: bool = True, **sysctl: bool) -> None:
        bench = Bench(netfilter, **sysctl)
        self.ns, self.right, self.clock, self.inbox = bench.ns, bench.right, bench.clock, bench.inbox
        self.device = Device(self.ns, "cni0", GATEWAY)
        self.ns.add_device(self.device)
        self.ns.add_address(ip("10.244.1.1"), self.device)
        self.ns.add_route(Route(Prefix.parse("10.244.1.0/24"), self.device, source=ip("10.244.1.1")))
        self.bridge = Bridge(self.device)
        self.plugs = [Port(self.ns, f"veth{number}", self.clock) for number in (5, 6, 7)]
        self.ports = [self.bridge.add_port(plug.device, hairpin) for plug in self.plugs]
        self.now = 0

    def frame(self, port: int, to: bytes, source: bytes, packet: Packet) -> Packet:
        packet.macs = to + source
        self.bridge.handle_frame(self.ports[port], packet, self.now)
        return packet

    def learn(self) -> None:
        """All three are known, as after their gratuitous ARP."""
        for port, mac in enumerate((A, B, C)):
            self.frame(port, BROADCAST_MAC, mac, arp(1, mac, f"10.244.1.{5 + port}", f"10.244.1.{5 + port}"))
            self.ns.neighbours.permanent(self.device, ip(f"10.244.1.{5 + port}"), mac)
        for plug in self.plugs:
            plug.take()

    def out(self) -> list[int]:
        """How many frames each port has sent since the last time."""
        return [len(plug.take()) for plug in self.plugs]
