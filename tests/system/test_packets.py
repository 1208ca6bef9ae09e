"""Packets as bytes: every cable carries what Scapy builds; what users send with Scapy is answered or ends by name."""

from collections.abc import Iterator

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Raw
from systemlab import Ask, ask, ping, service_ip, settled

from netsim.experiment.cluster import Cluster
from netsim.fabric.capture import Capture, Hop

SOURCE = "pod/client"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return settled("my-nginx")


@pytest.fixture
def capture(cluster: Cluster) -> Iterator[Capture]:
    made = cluster.capture()
    yield made
    made.stop()


def _rebuilt(frame: bytes) -> bytes:
    """The frame as Scapy builds it, with lengths and checksums of its own."""
    packet = Ether(frame)
    for layer in (IP, UDP, TCP, ICMP):
        if packet.haslayer(layer):
            del packet[layer].chksum
    if packet.haslayer(IP):
        del packet[IP].len
    if packet.haslayer(UDP):
        del packet[UDP].len
    return bytes(packet)


def _matches_scapy(hop: Hop) -> bool:
    frame = hop.packet().to_bytes()
    return len(frame) == hop.size and _rebuilt(frame) == frame


def test_every_frame_on_every_cable_is_what_scapy_builds(cluster: Cluster, capture: Capture) -> None:
    assert ask(cluster, SOURCE, "my-nginx").outcome == "ok"
    assert ask(cluster, "node/worker-1", service_ip(cluster, "my-nginx")).outcome == "ok"
    assert ask(cluster, SOURCE, "no-such-name").outcome == "dns"
    assert ask(cluster, SOURCE, service_ip(cluster, "my-nginx"), 81, timeout_ns=10**9).outcome == "timeout"
    assert ping(cluster, "external/laptop", "172.18.0.3") == "reply"
    cluster.send(SOURCE, IP(dst="172.18.0.3") / UDP(sport=9, dport=9) / b"nobody listens")
    cluster.run("200ms")
    assert len(capture) > 100
    assert [hop for hop in capture if not _matches_scapy(hop)] == []
    dissected = [Ether(hop.packet().to_bytes()) for hop in capture]
    for layer in (ARP, DNS, TCP, ICMP):
        assert any(frame.haslayer(layer) for frame in dissected), layer
    # Both before and after the rewrites.
    towards = {frame[IP].dst for frame in dissected if frame.haslayer(TCP) and frame[TCP].dport == 80}
    assert {service_ip(cluster, "my-nginx"), "10.244.1.2"} & towards
    assert len(towards) >= 2


def test_a_dns_query_by_hand_is_answered(cluster: Cluster, capture: Capture) -> None:
    name = "my-nginx.default.svc.cluster.local."
    query = IP(dst="10.96.0.10") / UDP(sport=40000, dport=53) / DNS(id=77, rd=1, qd=DNSQR(qname=name))
    sent = cluster.send(SOURCE, query)
    cluster.run("50ms")
    assert sent in {hop.uid for hop in capture}
    arrived = [
        hop for hop in capture if hop.flow.dst == cluster.host(SOURCE).address and hop.flow.dport == 40000
    ]
    answer = Ether(arrived[-1].packet().to_bytes())
    assert (answer[IP].src, answer[UDP].sport, answer[DNS].id, answer[DNS].rcode) == ("10.96.0.10", 53, 77, 0)
    assert answer[DNS].an[0].rdata == service_ip(cluster, "my-nginx")


def test_a_syn_by_hand_is_answered_and_reset(cluster: Cluster, capture: Capture) -> None:
    """The client's kernel knows of no such connection: it answers the SYN ACK with a RST (RFC 9293)."""
    address = service_ip(cluster, "my-nginx")
    cluster.send(SOURCE, IP(dst=address) / TCP(sport=41000, dport=80, flags="S", seq=1000))
    cluster.run("50ms")
    cable = cluster.fabric.cables["default/client:eth0"]
    at_client = [hop for hop in capture if hop.link in cable.links and 41000 in hop.flow]
    seen = [Ether(hop.packet().to_bytes())[TCP] for hop in at_client]
    assert [str(segment.flags) for segment in seen] == ["S", "SA", "R"]
    assert (seen[1].ack, seen[2].seq) == (1001, 1001)


def _dns(payload: bytes) -> ScapyPacket:
    return IP(dst="10.96.0.10") / UDP(sport=40001, dport=53) / Raw(payload)


STRANGE = {
    "unknown protocol": IP(dst="10.244.1.2", proto=253) / Raw(b"\x01\x02\x03"),
    "protocol 0": IP(dst="10.96.0.10", proto=0) / Raw(b""),
    "sctp-like": IP(dst="10.96.0.10", proto=132) / Raw(bytes(4)),
    "tcp cut short": IP(dst="10.244.1.2", proto=6) / Raw(b"\x00\x50"),
    "udp cut short": IP(dst="10.244.1.2", proto=17) / Raw(b"\x00\x35\x00"),
    "icmp cut short": IP(dst="10.244.1.2", proto=1) / Raw(b"\x08"),
    "no transport at all": IP(dst="10.244.1.2", proto=6),
    "wrong checksum": IP(dst="10.244.1.2") / TCP(dport=80, flags="S", chksum=1),
    "wrong ip checksum": IP(dst="10.244.1.2", chksum=1) / TCP(dport=80, flags="S"),
    "all flags": IP(dst="10.96.0.10") / TCP(dport=53, flags="FSRPAUEC"),
    "no flags": IP(dst="10.244.1.2") / TCP(dport=80, flags=0),
    "port 0": IP(dst="10.244.1.2") / TCP(sport=0, dport=0, flags="S"),
    "ttl 0": IP(dst="10.244.1.2", ttl=0) / UDP(dport=53),
    "ttl 1": IP(dst="10.244.1.2", ttl=1) / UDP(dport=53),
    "fragment": IP(dst="10.244.1.2", flags="MF", frag=0) / UDP(dport=53) / Raw(bytes(8)),
    "later fragment": IP(dst="10.244.1.2", frag=9) / Raw(bytes(8)),
    "options": IP(dst="10.244.1.2", options=[IPOption_NOP()] * 4) / ICMP(),
    "to everybody": IP(dst="255.255.255.255") / UDP(dport=67),
    "to a group": IP(dst="224.0.0.1") / UDP(dport=67),
    "to itself": IP(dst="127.0.0.1") / UDP(dport=67),
    "from nowhere": IP(src="0.0.0.0", dst="10.244.1.2") / UDP(dport=53),
    "from somebody else": IP(src="10.244.1.2", dst="10.244.2.2") / TCP(dport=80, flags="S"),
    "too big": IP(dst="10.244.1.2") / UDP(dport=53) / Raw(bytes(4000)),
    "bad icmp error": IP(dst="10.244.1.2") / ICMP(type=3, code=3) / Raw(b"\x45"),
    "icmp error about nothing": IP(dst="10.244.1.2") / ICMP(type=3, code=3) / IP(dst="1.2.3.4") / UDP(),
    "unknown icmp": IP(dst="10.244.1.2") / ICMP(type=200),
    "empty dns": _dns(b""),
    "garbage dns": _dns(b"\xff" * 40),
    "dns cut short": _dns(bytes(DNS(qd=DNSQR(qname="my-nginx")))[:15]),
    "dns pointer loop": _dns(bytes.fromhex("0001010000010000000000000000c00c00010001")),
    "dns answer as question": _dns(bytes(DNS(qr=1, qd=DNSQR(qname="my-nginx")))),
    "ipv6 in an ipv4 cluster": bytes.fromhex("6000000000003b40") + bytes(32),
}


@pytest.mark.parametrize("source", [SOURCE, "node/worker-2", "external/laptop"])
@pytest.mark.parametrize("what", STRANGE)
def test_strange_packets_do_no_harm(cluster: Cluster, source: str, what: str) -> None:
    cluster.send(source, STRANGE[what])
    cluster.run("2s")
    assert cluster.books().closes
    assert Ask(cluster, SOURCE, "my-nginx")().outcome == "ok"


@pytest.mark.parametrize(
    "what", [b"", b"\x45", bytes(20), b"\x45" + bytes(30), ARP(), Ether(), UDP(), 7, None]
)
def test_what_is_no_ip_packet_is_refused(cluster: Cluster, what: object) -> None:
    before = cluster.books()
    with pytest.raises(ValueError, match=r"\w"):
        cluster.send(SOURCE, what)
    assert cluster.books() == before
