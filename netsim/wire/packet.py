"""Packets: a mutable envelope (addresses, ports, TTL, MACs, mark) around an immutable body.

A hop replaces references in the envelope; nothing is parsed, copied or summed. The true bytes are made on demand by
`netsim.wire.codec` from a Scapy-built template. A packet is also its own SimPy event (SimPy's step needs only
`callbacks` and `_ok`), so a link hop costs one heap entry and no new object.

Sizes are those of the Ethernet frame without preamble and check sequence.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netsim.wire.addr import ip_text
from netsim.wire.sctp import SctpPacket

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

ARP: Final = 0
ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58
SCTP: Final = 132
PROTOCOL_NAMES: Final = {ARP: "arp", ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMPV6: "icmpv6", SCTP: "sctp"}

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10

ETHERNET_HEADER: Final = 14
IPV4_HEADER: Final = 20
IPV6_HEADER: Final = 40
ARP_LENGTH: Final = 28
VXLAN_HEADER: Final = 8

# Echo request and reply turn into each other when a flow is reversed (RFC 792, RFC 4443).
_ECHO_INVERSE: Final = {8 << 8: 0, 0: 8 << 8, 128 << 8: 129 << 8, 129 << 8: 128 << 8}


class Flow(NamedTuple):
    """What Linux calls a tuple: who talks to whom. For ICMP echo `sport` is the identifier and `dport` is
    type << 8 | code, as in nf_conntrack_tuple."""

    src: bytes
    dst: bytes
    sport: int
    dport: int
    proto: int

    def reverse(self) -> "Flow":
        """The flow of the answers."""
        if self.proto in (ICMP, ICMPV6):
            return Flow(self.dst, self.src, self.sport, _ECHO_INVERSE.get(self.dport, self.dport), self.proto)
        # tuple.__new__ makes a Flow in half the time of Flow(...).
        return tuple.__new__(Flow, (self[1], self[0], self[3], self[2], self[4]))

    def __str__(self) -> str:
        name = PROTOCOL_NAMES.get(self.proto, str(self.proto))
        if self.proto in (TCP, UDP, SCTP):
            return f"{name} {endpoint_text(self.src, self.sport)} > {endpoint_text(self.dst, self.dport)}"
        return f"{name} {ip_text(self.src)} > {ip_text(self.dst)}"


def endpoint_text(address: bytes, port: int) -> str:
    """`10.0.0.1:80` or `[2001:db8::1]:80`."""
    text = ip_text(address)
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"


class TcpSegment:
    """A TCP header without its ports, and its payload (RFC 9293). Immutable by convention: it may be shared."""

    __slots__ = ("ack", "flags", "length", "options", "payload", "payload_sum", "seq", "window")

    def __init__(
        self, seq: int, ack: int, flags: int, window: int, options: bytes = b"", payload: bytes = b""
    ) -> None:
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.window = window
        self.options = options
        self.payload = payload
        self.length = 20 + len(options) + len(payload)
        self.payload_sum = -1  # one's-complement sum, kept by the renderer

    def __repr__(self) -> str:
        return (
            f"TcpSegment({tcp_flags_text(self.flags)} seq={self.seq} ack={self.ack} win={self.window} "
            f"len={len(self.payload)})"
        )


class UdpDatagram:
    """A UDP payload (RFC 768)."""

    __slots__ = ("length", "payload", "payload_sum")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.length = 8 + len(payload)
        self.payload_sum = -1

    def __repr__(self) -> str:
        return f"UdpDatagram(len={len(self.payload)})"


class IcmpMessage:
    """ICMP or ICMPv6 (RFC 792, RFC 4443). `rest` is the sequence number of an echo (its identifier is the flow's
    `sport`), the last four header bytes of anything else. Errors carry the offending packet as payload."""

    __slots__ = ("code", "length", "payload", "rest", "type")

    def __init__(self, type: int, code: int, rest: int, payload: bytes = b"") -> None:
        self.type = type
        self.code = code
        self.rest = rest
        self.payload = payload
        self.length = 8 + len(payload)

    def __repr__(self) -> str:
        return f"IcmpMessage(type={self.type} code={self.code} rest={self.rest})"


class ArpMessage:
    """An ARP request (op 1) or reply (op 2) for IPv4 over Ethernet (RFC 826)."""

    __slots__ = ("length", "op", "sender_ip", "sender_mac", "target_ip", "target_mac")

    def __init__(
        self, op: int, sender_mac: bytes, sender_ip: bytes, target_mac: bytes, target_ip: bytes
    ) -> None:
        self.op = op
        self.sender_mac = sender_mac
        self.sender_ip = sender_ip
        self.target_mac = target_mac
        self.target_ip = target_ip
        self.length = ARP_LENGTH

    def __repr__(self) -> str:
        if self.op == 1:
            return f"ArpMessage(who-has {ip_text(self.target_ip)} tell {ip_text(self.sender_ip)})"
        return f"ArpMessage({ip_text(self.sender_ip)} is-at {self.sender_mac.hex(':')})"


class RawBody:
    """Any other IP packet, kept as the bytes it came with (from the IP header on). `flags` are the TCP flags if it has
    any, because conntrack asks for them."""

    __slots__ = ("flags", "length", "packet")

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        header = IPV6_HEADER if packet[0] >> 4 == 6 else IPV4_HEADER
        self.length = len(packet) - header
        at = 40 if header == IPV6_HEADER else (packet[0] & 15) * 4
        protocol = packet[6 if header == IPV6_HEADER else 9]
        self.flags = packet[at + 13] if protocol == TCP and len(packet) > at + 13 else 0

    def __repr__(self) -> str:
        return f"RawBody(len={len(self.packet)})"


class VxlanFrame:
    """A UDP datagram that carries an Ethernet frame: the VXLAN header and the `inner` packet, which is as it was when
    it was wrapped and is never changed again (RFC 7348). `vni` is the network identifier."""

    __slots__ = ("inner", "length", "vni")

    def __init__(self, vni: int, inner: "Packet") -> None:
        self.vni = vni
        self.inner = inner
        self.length: int = 8 + VXLAN_HEADER + inner.size

    @property
    def payload(self) -> bytes:
        """What an ordinary UDP socket would read: VXLAN header and frame."""
        from netsim.wire.vxlan import header

        return header(self.vni) + self.inner.to_bytes()

    def __repr__(self) -> str:
        return f"VxlanFrame(vni={self.vni} {self.inner.flow})"


Body = TcpSegment | UdpDatagram | IcmpMessage | ArpMessage | SctpPacket | RawBody | VxlanFrame

NO_MACS: Final = b"\0" * 12


class Packet:
    """One packet on its way. `ct` refers to its conntrack entry inside the namespace it is in (Linux: skb->_nfct)."""

    __slots__ = ("body", "callbacks", "ct", "flow", "macs", "mark", "size", "tos", "ttl", "uid")
    _ok = True  # SimPy: an event that succeeded

    def __init__(self, flow: Flow, body: Body, uid: int = 0) -> None:
        self.flow = flow
        self.body = body
        self.uid = uid
        self.size: int = body.length + (34 if len(flow.src) == 4 else 54)
        self.ttl = 64
        self.tos = 0
        self.mark = 0
        self.macs = NO_MACS
        self.ct: Any = None
        self.callbacks: Any = None

    def copy(self, uid: int) -> "Packet":
        """A second packet with the same content (netem duplicates, broadcasts)."""
        twin = Packet(self.flow, self.body, uid)
        twin.size, twin.ttl, twin.tos, twin.macs = self.size, self.ttl, self.tos, self.macs
        return twin

    def to_bytes(self) -> bytes:
        """The Ethernet frame as it is on the wire now."""
        from netsim.wire.render import render

        return render(self)

    def to_scapy(self) -> "ScapyPacket":
        """The frame dissected by Scapy."""
        from netsim.wire.codec import to_scapy

        return to_scapy(self)

    def __repr__(self) -> str:
        return f"<Packet {self.uid} {self.flow} ttl={self.ttl} {self.body!r}>"


def arp_packet(message: ArpMessage, macs: bytes, uid: int) -> Packet:
    """An ARP frame; its flow is a pseudo flow, for books and displays only."""
    packet = Packet(Flow(message.sender_ip, message.target_ip, 0, 0, ARP), message, uid)
    packet.size = ETHERNET_HEADER + ARP_LENGTH
    packet.macs = macs
    return packet


def tcp_flags_text(flags: int) -> str:
    """tcpdump's letters: `S`, `S.`, `P.`, `F.`, `R`, `.`."""
    letters = "".join(
        letter for bit, letter in ((FIN, "F"), (SYN, "S"), (RST, "R"), (PSH, "P")) if flags & bit
    )
    return (letters + ("." if flags & ACK else "")) or "none"
