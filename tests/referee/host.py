"""What a host answers when nobody listens at a port, byte by byte: the same for both sides. (The real places cannot say
it by themselves: they answer from addresses that are not their own.)"""

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6

from netsim.wire.packet import TCP as TCP_NUMBER
from netsim.wire.rewrite import read_flow


def refuse(packet: bytes) -> bytes:
    """A RST, or a port unreachable."""
    ipv6 = packet[0] >> 4 == 6
    asked = IPv6(packet) if ipv6 else IP(packet)
    back = (IPv6 if ipv6 else IP)(src=asked.dst, dst=asked.src)
    if read_flow(packet).proto == TCP_NUMBER:
        syn = asked[TCP]
        return bytes(back / TCP(sport=syn.dport, dport=syn.sport, flags="RA", ack=syn.seq + 1))
    return bytes(back / (ICMPv6DestUnreach(code=4) if ipv6 else ICMP(type=3, code=3)) / packet)
