"""What users hand in: what becomes of it, and which sentence they read when it cannot be sent."""

import subprocess
import sys

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP as ScapyICMP
from scapy.layers.inet import IP, IPOption_NOP
from scapy.layers.inet import TCP as ScapyTCP
from scapy.layers.inet import UDP as ScapyUDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP as ScapyARP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Padding, Raw
from scapy.volatile import RandShort

from netsim.wire.addr import ip
from netsim.wire.codec import from_scapy
from netsim.wire.packet import (
    ICMPV6,
    NO_MACS,
    SCTP,
    TCP,
    UDP,
    Flow,
    IcmpMessage,
    Packet,
    RawBody,
    TcpSegment,
    UdpDatagram,
)
from netsim.wire.parse import transport

V4 = {"src": "10.0.0.1", "dst": "10.0.0.2"}
PLAIN = {**V4, "id": 0, "flags": "DF"}
V6 = {"src": "fd00::1", "dst": "fd00::2"}
QUOTE = bytes(IP(**V4) / ScapyUDP())

BODIES: dict[str, tuple[ScapyPacket, type]] = {
    "tcp": (IP(**PLAIN) / ScapyTCP(sport=1, dport=2, flags="S", options=[("MSS", 1460)]), TcpSegment),
    "udp": (IP(**PLAIN) / ScapyUDP(sport=1, dport=2) / Raw(b"x"), UdpDatagram),
    "dns": (IP(**PLAIN) / ScapyUDP(dport=53) / DNS(qd=DNSQR(qname="my-nginx")), UdpDatagram),
    "echo": (IP(**PLAIN) / ScapyICMP(id=1, seq=2) / Raw(b"x"), IcmpMessage),
    "error": (IP(**PLAIN) / ScapyICMP(type=3, code=1) / Raw(QUOTE), IcmpMessage),
    "udp6": (IPv6(**V6) / ScapyUDP(sport=1, dport=2), UdpDatagram),
    "echo6": (IPv6(**V6) / ICMPv6EchoRequest(id=1, seq=2), IcmpMessage),
    "in a frame": (Ether() / IP(**PLAIN) / ScapyUDP(), UdpDatagram),
    "padded": (Ether() / IP(**PLAIN) / ScapyUDP() / Padding(b"\0" * 18), UdpDatagram),
    "scapy's identification": (IP(**V4) / ScapyUDP(sport=1, dport=2), RawBody),
    "without DF": (IP(**V4, id=0) / ScapyUDP(sport=1, dport=2), RawBody),
    "ip options": (IP(**PLAIN, options=[IPOption_NOP()] * 4) / ScapyUDP(), RawBody),
    "fragment": (IP(**V4, id=0, flags="MF", frag=2) / Raw(bytes(16)), RawBody),
    "wrong checksum": (IP(**PLAIN) / ScapyUDP(sport=1, dport=2, chksum=1), RawBody),
    "no checksum": (IP(**PLAIN) / ScapyUDP(sport=1, dport=2, chksum=0), RawBody),
    "wrong udp length": (IP(**PLAIN) / ScapyUDP(sport=1, dport=2, len=4), RawBody),
    "wrong data offset": (IP(**PLAIN) / ScapyTCP(sport=1, dport=2, dataofs=4), RawBody),
    "icmp timestamp": (IP(**PLAIN) / ScapyICMP(type=13, ts_ori=1, ts_rx=0, ts_tx=0), RawBody),
    "short quote": (IP(**PLAIN) / ScapyICMP(type=3, code=1) / Raw(QUOTE[:24]), RawBody),
    "neighbour discovery": (IPv6(**V6) / ICMPv6ND_NS(tgt="fd00::2"), RawBody),
    "flow label": (IPv6(**V6, fl=9) / ScapyUDP(), RawBody),
    "other protocol": (IP(**PLAIN, proto=50) / Raw(b"secret"), RawBody),
    "icmpv6 over ipv4": (IP(**PLAIN, proto=ICMPV6) / Raw(bytes(8)), RawBody),
    "nothing inside": (IP(**PLAIN), RawBody),
}


@pytest.mark.parametrize("name", BODIES)
def test_body_and_bytes(name: str) -> None:
    scapy, body = BODIES[name]
    packet = from_scapy(scapy)
    assert type(packet.body) is body
    network = bytes(scapy.payload if isinstance(scapy, Ether) else scapy)
    assert packet.to_bytes()[14:] == network[: packet.size - 14]


def test_flow_ttl_tos_and_macs() -> None:
    frame = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / IP(**PLAIN, ttl=9, tos=0xB8)
    packet = from_scapy(frame / ScapyTCP(sport=1000, dport=80))
    assert packet.flow == Flow(ip("10.0.0.1"), ip("10.0.0.2"), 1000, 80, TCP)
    assert (packet.ttl, packet.tos) == (9, 0xB8)
    assert packet.macs == bytes.fromhex("020000000002020000000001")


@pytest.mark.parametrize("proto", [TCP, UDP, SCTP])
def test_ports_of_protocols_with_ports(proto: int) -> None:
    packet = from_scapy(IP(**V4, proto=proto) / Raw(bytes([0, 7, 0, 9]) + bytes(16)))
    assert (packet.flow.sport, packet.flow.dport) == (7, 9)


def test_source_is_filled_in_but_an_explicit_one_is_kept() -> None:
    """Otherwise Scapy asks the routing table of the machine that the simulator runs on."""
    source = ip("10.244.1.5")
    assert from_scapy(IP(dst="10.96.0.10") / ScapyUDP(), source).flow.src == source
    assert from_scapy(IP(**V4) / ScapyUDP(), source).flow.src == ip("10.0.0.1")
    assert from_scapy(IPv6(dst="fd00::2") / ScapyUDP(), ip("fd00::9")).flow.src == ip("fd00::9")


def test_users_packet_is_not_changed() -> None:
    scapy = IP(dst="10.96.0.10") / ScapyUDP(dport=53)
    from_scapy(scapy, ip("10.244.1.5"))
    assert "src" not in scapy.fields


def test_ether_without_addresses_does_not_ask_the_real_network() -> None:
    assert from_scapy(Ether() / IP(**V4) / ScapyUDP()).macs == NO_MACS


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_bytes_of_a_packet_or_a_frame(wrap: type) -> None:
    network = IP(**PLAIN) / ScapyUDP(sport=1, dport=2) / Raw(b"x")
    frame = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / network
    assert from_scapy(wrap(bytes(network))).to_bytes()[14:] == bytes(network)
    assert from_scapy(wrap(bytes(frame))).to_bytes() == bytes(frame)


class Broken(ScapyPacket):  # type: ignore[misc]
    """A layer that cannot be built."""

    name = "Broken"

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        raise KeyError("no such table")


REFUSED: dict[str, tuple[object, str]] = {
    "no ip": (ScapyUDP() / Raw(b"x"), r"not UDP/Raw.*put IP\(dst=\.\.\.\) in front"),
    "raw": (Raw(b"x"), "not Raw"),
    "arp": (Ether() / ScapyARP(), "not Ether/ARP.*neighbour tables"),
    "vlan": (Ether() / Dot1Q() / IP(**V4), "not Ether/Dot1Q/IP"),
    "text": ("10.0.0.1", "not str"),
    "nothing": (None, "not NoneType"),
    "list": ([IP(**V4)], "not list"),
    "no destination": (IP(src="10.0.0.1") / ScapyUDP(), r"no destination; write IP\(dst="),
    "no source": (IP(dst="10.0.0.1") / ScapyUDP(), r"no source address; write IP\(src="),
    "a prefix": (IP(src="10.0.0.1", dst="10.0.0.0/30") / ScapyUDP(), "several packets"),
    "a range of ports": (IP(**V4) / ScapyTCP(dport=(1, 5)), "several packets"),
    "a list of ports": (IP(**V4) / ScapyTCP(dport=[1, 5]), "several packets"),
    "random": (IP(**V4) / ScapyUDP(sport=RandShort()), r"UDP.sport is random"),
    "random inside": (
        IP(**V4) / ScapyUDP() / DNS(qd=[DNSQR(qname="a", qtype=RandShort())]),
        "qtype is random",
    ),
    "out of range": (IP(**V4, ttl=300) / ScapyUDP(), "cannot build this IP/UDP"),
    "failing layer": (IP(**V4) / Broken(), "cannot build this IP/Broken"),
    "mac": (Ether(dst="nonsense") / IP(**V4), "Ether.dst must be an address"),
    "declared too long": (IP(**V4, len=999) / ScapyUDP(), "declares 999 bytes, only 28"),
    "declared too short": (IP(**V4, len=10) / ScapyUDP(), "contradict"),
    "header length": (IP(**V4, ihl=3) / ScapyUDP(), "contradict"),
    "version": (IP(**V4, version=5) / ScapyUDP(), "version 5"),
    "no bytes": (b"", "version None"),
    "few bytes": (b"\x45\0\0", "at least 20 bytes, here are 3"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    scapy, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        from_scapy(scapy)


def test_misspelt_field() -> None:
    scapy = IP(**V4) / ScapyUDP()
    scapy[ScapyUDP].dprot = 53
    with pytest.raises(ValueError, match="UDP has no field 'dprot'; it has sport, dport, len, chksum"):
        from_scapy(scapy)


def test_source_of_the_other_family() -> None:
    with pytest.raises(ValueError, match="fd00::1 is not of the packet's family, IP"):
        from_scapy(IP(dst="10.0.0.1") / ScapyUDP(), ip("fd00::1"))


def test_receiver_of_scapys_default_packet_reads_the_datagram() -> None:
    """`IP()` has identification 1 and no DF, so the packet stays bytes; its receiver must not mind."""
    packet = from_scapy(IP(dst="10.96.0.10") / ScapyUDP(sport=5, dport=53) / Raw(b"question"), ip("10.0.0.1"))
    assert isinstance(packet.body, RawBody)
    packet.flow = packet.flow._replace(dst=ip("10.244.0.3"), dport=5353)
    body = transport(packet)
    assert isinstance(body, UdpDatagram)
    assert body.payload == b"question"


def test_dns_is_dissected_on_port_53() -> None:
    query = bytes(DNS(id=7, qd=DNSQR(qname="nginx-service.default.svc.cluster.local")))
    packet = Packet(Flow(ip("10.0.0.1"), ip("10.96.0.10"), 40000, 53, UDP), UdpDatagram(query))
    assert packet.to_scapy()[DNS].qd[0].qname == b"nginx-service.default.svc.cluster.local."


def test_garbage_on_port_53_is_dissected_without_error() -> None:
    packet = Packet(Flow(ip("10.0.0.1"), ip("10.96.0.10"), 40000, 53, UDP), UdpDatagram(b"\xc0\x0c" * 20))
    assert bytes(packet.to_scapy()) == packet.to_bytes()


def test_loading_is_silent_and_small() -> None:
    """Importing the wire loads no Scapy; the codec loads neither scapy.all nor vxlan, and prints nothing."""
    code = """
import sys
import netsim.wire.render, netsim.wire.parse, netsim.wire.pcapng
assert not [name for name in sys.modules if name.startswith("scapy")]
from netsim.wire import codec
from netsim.wire.packet import Flow, Packet, UdpDatagram
Packet(Flow(bytes(4), bytes(4), 1, 53, 17), UdpDatagram(b"")).to_scapy()
assert "scapy.layers.dns" in sys.modules
assert not {"scapy.all", "scapy.layers.vxlan"} & set(sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
