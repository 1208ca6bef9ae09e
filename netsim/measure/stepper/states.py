"""What a packet's headers hold, field by field, as names and texts; and its payload in words.

Called by `frames.py` for the packet after each step. Field names are Wireshark's; checksums are read from the true
bytes. Layers inside a tunnel come behind "Outer ..." ones, so that a frame keeps its layers when it is wrapped.
"""

from typing import Final, NamedTuple

from netsim.kernel.journey import Step
from netsim.kernel.tcp_options import parse_syn_options
from netsim.wire import dns_read
from netsim.wire.addr import ip_text, mac_text
from netsim.wire.describe import describe
from netsim.wire.dns import DNS_PORT, RCODE_NAMES, type_text
from netsim.wire.packet import (
    ARP,
    ETHERNET_HEADER,
    IPV4_HEADER,
    IPV6_HEADER,
    NO_MACS,
    PROTOCOL_NAMES,
    SYN,
    ArpMessage,
    Body,
    Flow,
    IcmpMessage,
    Packet,
    TcpSegment,
    UdpDatagram,
    VxlanFrame,
    arp_packet,
    tcp_flags_text,
)
from netsim.wire.sctp import SctpPacket, chunk_text

_FLAG_NAMES: Final = ((0x02, "SYN"), (0x10, "ACK"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"))
_SHOWN_BYTES: Final = 320  # a page is to be read; whole packets are for captures
_SHOWN_LINES: Final = 12

Fields = tuple[tuple[str, str], ...]


class Layer(NamedTuple):
    """One header, or the payload in words."""

    name: str
    fields: Fields


class State(NamedTuple):
    """A packet at one moment: its layers, outermost first, and the first bytes of the frame."""

    layers: tuple[Layer, ...]
    frame: bytes
    length: int


def state_of(step: Step) -> State:
    """The packet as it is after a step."""
    packet = _packet(step)
    frame = packet.to_bytes()
    return State(tuple(_layers(packet, frame, "")), frame[:_SHOWN_BYTES], len(frame))


def _packet(step: Step) -> Packet:
    if isinstance(step.body, ArpMessage):
        return arp_packet(step.body, step.macs, step.uid)
    packet = Packet(step.flow, step.body, step.uid)
    packet.ttl, packet.macs = step.ttl, step.macs
    return packet


def _layers(packet: Packet, frame: bytes, outer: str) -> list[Layer]:
    flow, body = packet.flow, packet.body
    if isinstance(body, VxlanFrame):
        outside = _plain(packet, frame, "Outer ")
        return [*outside, Layer("VXLAN", (("vni", str(body.vni)),)), *_layers(body.inner, frame[50:], "")]
    return [*_plain(packet, frame, outer), *_payload(flow, body)]


def _plain(packet: Packet, frame: bytes, outer: str) -> list[Layer]:
    """Ethernet, IP and transport."""
    flow = packet.flow
    found = [Layer(f"{outer}Ethernet", _ethernet(packet.macs, frame))]
    if flow.proto == ARP:
        return found
    is_v6 = len(flow.src) == 16
    at = ETHERNET_HEADER + (IPV6_HEADER if is_v6 else IPV4_HEADER)
    found.append(Layer(f"{outer}{'IPv6' if is_v6 else 'IPv4'}", _network(packet, frame)))
    transport = _transport(flow, packet.body, frame[at:])
    if transport:
        found.append(Layer(outer + PROTOCOL_NAMES.get(flow.proto, "other").upper(), transport))
    return found


def _ethernet(macs: bytes, frame: bytes) -> Fields:
    if macs == NO_MACS:
        return (("dst", "not yet known"), ("src", "not yet known"))
    return (("dst", mac_text(macs[:6])), ("src", mac_text(macs[6:])), ("type", "0x" + frame[12:14].hex()))


def _network(packet: Packet, frame: bytes) -> Fields:
    flow = packet.flow
    ends = (("src", ip_text(flow.src)), ("dst", ip_text(flow.dst)))
    protocol = ("proto", f"{flow.proto} ({PROTOCOL_NAMES.get(flow.proto, 'other')})")
    if len(flow.src) == 16:
        return (*ends, ("hlim", str(packet.ttl)), protocol)
    total = ("len", str(packet.size - ETHERNET_HEADER))
    return (*ends, ("ttl", str(packet.ttl)), protocol, total, ("checksum", "0x" + frame[24:26].hex()))


def _transport(flow: Flow, body: Body, segment: bytes) -> Fields:
    ports = (("srcport", str(flow.sport)), ("dstport", str(flow.dport)))
    if isinstance(body, TcpSegment):
        return (*ports, *_tcp(body), ("checksum", "0x" + segment[16:18].hex()))
    if isinstance(body, UdpDatagram | VxlanFrame):
        return (*ports, ("length", str(body.length)), ("checksum", "0x" + segment[6:8].hex()))
    if isinstance(body, IcmpMessage):
        return (
            ("type", str(body.type)),
            ("code", str(body.code)),
            *((("ident", str(flow.sport)), ("seq", str(body.rest))) if body.type in (0, 8, 128, 129) else ()),
            ("checksum", "0x" + segment[2:4].hex()),
        )
    if isinstance(body, SctpPacket):
        return (*ports, ("vtag", f"0x{int.from_bytes(segment[4:8]):08x}"))
    return ()


def _tcp(body: TcpSegment) -> Fields:
    names = ", ".join(name for bit, name in _FLAG_NAMES if body.flags & bit)
    fields = (
        ("flags", f"{names} [{tcp_flags_text(body.flags)}]"),
        ("seq", str(body.seq)),
        ("ack", str(body.ack)),
        ("window", str(body.window)),
    )
    if body.flags & SYN:
        options = parse_syn_options(body.options)
        scale = "none" if options.window_scale < 0 else str(options.window_scale)
        sack = "yes" if options.sack_permitted else "no"
        return (*fields, ("mss", str(options.mss)), ("wscale", scale), ("sackOK", sack))
    return (*fields, ("payload", f"{len(body.payload)} bytes"))


def _payload(flow: Flow, body: Body) -> list[Layer]:
    if isinstance(body, UdpDatagram) and DNS_PORT in (flow.sport, flow.dport):
        return [Layer("DNS", _dns(flow, body.payload))]
    if isinstance(body, TcpSegment) and b"HTTP/1." in body.payload.split(b"\r\n", 1)[0]:
        return [Layer("HTTP", _http(body.payload))]
    if isinstance(body, ArpMessage | SctpPacket):
        chunks = body.chunks if isinstance(body, SctpPacket) else ()
        said = " ".join(map(chunk_text, chunks)) or describe(flow, body).removeprefix("ARP ")
        return [Layer("SCTP chunks" if chunks else "ARP", (("says", said),))]
    if isinstance(body, IcmpMessage):
        return [Layer("Message", (("says", describe(flow, body)),))]
    return []


def _dns(flow: Flow, payload: bytes) -> Fields:
    ident = ("id", "0x" + payload[:2].hex())
    if flow.dport == DNS_PORT:
        query = dns_read.read_query(payload)
        if query is None or isinstance(query, int):
            return (("says", "a malformed query"),)
        return (ident, ("question", f"{type_text(query.question.type)}? {query.question.name}"))
    message = dns_read.read_message(payload)
    if message is None:
        return (("says", "a malformed answer"),)
    question, reply = message
    answers = [
        (f"answer {number}", f"{record.name} {record.ttl} {type_text(record.type)} {record.data}")
        for number, record in enumerate(reply.answer[:_SHOWN_LINES], 1)
    ]
    return (
        ident,
        ("question", f"{type_text(question.type)}? {question.name}"),
        ("rcode", RCODE_NAMES.get(reply.rcode, str(reply.rcode))),
        *(answers or [("answers", "none")]),
    )


def _http(payload: bytes) -> Fields:
    head, _, content = payload.partition(b"\r\n\r\n")
    first, *headers = head.decode("latin-1").split("\r\n")
    named = [line.partition(":") for line in headers[:_SHOWN_LINES]]
    shown = tuple((name, value.strip()) for name, _, value in named)
    what = "status" if first.startswith("HTTP/") else "request"
    return ((what, first), *shown, ("content", f"{len(content)} bytes in this segment"))
