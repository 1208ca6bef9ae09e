"""ARP frames are those that Scapy builds from scratch, before and after their MACs change."""

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import ARP as ScapyARP
from scapy.layers.l2 import Ether

from netsim.wire.addr import ip_text, mac_text
from netsim.wire.packet import ArpMessage, arp_packet

macs = st.binary(min_size=6, max_size=6)
addresses = st.binary(min_size=4, max_size=4)
messages = st.builds(ArpMessage, st.sampled_from([1, 2]), macs, addresses, macs, addresses)


def build(envelope: bytes, message: ArpMessage) -> bytes:
    arp = ScapyARP(
        op=message.op,
        hwsrc=mac_text(message.sender_mac),
        psrc=ip_text(message.sender_ip),
        hwdst=mac_text(message.target_mac),
        pdst=ip_text(message.target_ip),
    )
    return bytes(Ether(dst=mac_text(envelope[:6]), src=mac_text(envelope[6:])) / arp)


@given(message=messages, envelopes=st.lists(macs, min_size=2, max_size=6))
def test_bytes_equal_scapy(message: ArpMessage, envelopes: list[bytes]) -> None:
    packet = arp_packet(message, envelopes[0] + envelopes[1], 0)
    assert packet.size == len(packet.to_bytes())
    for mac in envelopes:
        packet.macs = packet.macs[6:] + mac
        assert packet.to_bytes() == build(packet.macs, message)
    assert ScapyARP in packet.to_scapy()
