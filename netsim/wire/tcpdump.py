"""Packets as tcpdump(8) prints them, one line each.

Called by: the terminal's `tcpdump`. Source: tcpdump 4.99 (print-tcp.c, print-domain.c, print-icmp.c, print-arp.c,
print-vxlan.c). Sequence numbers are counted from each connection's first packet, as tcpdump does without -S.
Simplified: no -v, -X or -e; names of ports are those of /etc/services that Kubernetes clusters use.
"""

from collections.abc import Callable
from typing import Final

from netsim.wire import dns_read, ndp
from netsim.wire.addr import ip_text
from netsim.wire.dns import DNS_PORT, type_text
from netsim.wire.packet import (
    ACK,
    FIN,
    ICMPV6,
    RST,
    SYN,
    ArpMessage,
    Flow,
    IcmpMessage,
    Packet,
    TcpSegment,
    UdpDatagram,
    VxlanFrame,
    tcp_flags_text,
)
from netsim.wire.sctp import SctpPacket, chunk_text

_PORTS: Final = {
    22: "ssh", 53: "domain", 80: "http", 123: "ntp", 443: "https", 3306: "mysql", 4789: "4789", 5432: "postgresql",
    8080: "http-alt", 9092: "9092",
}  # fmt: skip
_HTTP: Final = (80, 3128, 8000, 8080)  # tcpdump looks for HTTP on these
_RCODES: Final = {1: " FormErr", 2: " ServFail", 3: " NXDomain", 4: " NotImp", 5: " Refused"}
_OTV: Final = 8472  # Linux's own VXLAN port, which tcpdump reads as OTV
_UNREACHABLE: Final = {
    0: "net {dst} unreachable",
    1: "host {dst} unreachable",
    13: "host {dst} unreachable - admin prohibited filter",
}
_UNREACHABLE_6: Final = {0: "unreachable route", 1: "unreachable prohibited", 3: "unreachable address"}


class Printer:
    """Lines of one tcpdump. `name_of` gives an address's name ("": none), where names are wanted at all."""

    def __init__(self, name_of: Callable[[bytes], str] | None = None) -> None:
        self._name_of = name_of
        self._first: dict[Flow, int] = {}

    def line(self, packet: Packet) -> str:
        """The line without its time."""
        flow, body = packet.flow, packet.body
        if isinstance(body, ArpMessage):
            return _arp(body)
        family = "IP" if len(flow.src) == 4 else "IP6"
        if isinstance(body, IcmpMessage):
            return f"{family} {self._host(flow.src)} > {self._host(flow.dst)}: {self._icmp(flow, body)}"
        ends = f"{family} {self._end(flow.src, flow.sport)} > {self._end(flow.dst, flow.dport)}: "
        if isinstance(body, TcpSegment):
            return ends + self._tcp(flow, body)
        if isinstance(body, VxlanFrame):
            kind = "OTV" if flow.dport == _OTV else "VXLAN"
            rest = f"overlay 0, instance {body.vni}" if kind == "OTV" else f"vni {body.vni}"
            return f"{ends}{kind}, flags [I] (0x08), {rest}\n{self.line(body.inner)}"
        if isinstance(body, UdpDatagram):
            return ends + _udp(flow, body)
        if isinstance(body, SctpPacket):
            return (
                ends
                + "sctp "
                + " ".join(f"({number}) {chunk_text(chunk)}" for number, chunk in enumerate(body.chunks, 1))
            )
        return (
            f"{family} {self._host(flow.src)} > {self._host(flow.dst)}: ip-proto-{flow.proto} {body.length}"
        )

    # ------------------------------------------------------------------ names
    def _host(self, address: bytes) -> str:
        return (self._name_of(address) if self._name_of is not None else "") or ip_text(address)

    def _end(self, address: bytes, port: int) -> str:
        name = _PORTS.get(port, str(port)) if self._name_of is not None else str(port)
        return f"{self._host(address)}.{name}"

    # ------------------------------------------------------------------ protocols
    def _tcp(self, flow: Flow, segment: TcpSegment) -> str:
        length = len(segment.payload)
        text = f"Flags [{tcp_flags_text(segment.flags)}]"
        first, other = self._numbers(flow, segment)
        if segment.flags & (SYN | FIN | RST) or length:
            begin = (segment.seq - first) & 0xFFFFFFFF
            text += f", seq {begin}:{begin + length}" if length else f", seq {begin}"
        if segment.flags & ACK:
            text += f", ack {(segment.ack - other) & 0xFFFFFFFF}"
        text += f", win {segment.window}"
        if segment.options:
            text += f", options [{_options(segment.options)}]"
        text += f", length {length}"
        if length and (flow.sport in _HTTP or flow.dport in _HTTP):
            first_line = segment.payload.split(b"\r\n", 1)[0].decode("latin-1")
            text += f": HTTP: {first_line}" if "HTTP/1." in first_line else ": HTTP"
        return text

    def _numbers(self, flow: Flow, segment: TcpSegment) -> tuple[int, int]:
        """What sequence and acknowledgment numbers are counted from; SYNs show their own."""
        if segment.flags & SYN:
            self._first[flow] = segment.seq
            if segment.flags & ACK:
                self._first.setdefault(flow.reverse(), segment.ack - 1)
            return 0, 0
        first = self._first.setdefault(flow, segment.seq - 1 if not len(segment.payload) else segment.seq)
        if not segment.flags & ACK:
            return first, 0
        return first, self._first.setdefault(flow.reverse(), segment.ack - 1)

    def _icmp(self, flow: Flow, message: IcmpMessage) -> str:
        if flow.proto == ICMPV6:
            return self._icmp6(message, flow)
        if message.type in (0, 8):
            kind = "reply" if message.type == 0 else "request"
            return f"ICMP echo {kind}, id {flow.sport}, seq {message.rest & 0xFFFF}, length {message.length}"
        inner = message.payload
        target = ip_text(inner[16:20]) if len(inner) >= 20 else "?"
        if message.type == 11:
            return f"ICMP time exceeded in-transit, length {message.length}"
        if message.type == 3 and message.code == 3:
            protocol = {6: "tcp", 17: "udp", 132: "sctp"}.get(inner[9] if len(inner) > 9 else 0, "ip")
            port = int.from_bytes(inner[22:24])
            return f"ICMP {target} {protocol} port {port} unreachable, length {message.length}"
        if message.type == 3 and message.code == 4:
            return f"ICMP {target} unreachable - need to frag (mtu {message.rest & 0xFFFF}), length {message.length}"
        if message.type == 3 and message.code in _UNREACHABLE:
            return f"ICMP {_UNREACHABLE[message.code].format(dst=target)}, length {message.length}"
        return f"ICMP type-#{message.type}, length {message.length}"

    def _icmp6(self, message: IcmpMessage, flow: Flow) -> str:
        if message.type in (128, 129):
            kind = "request" if message.type == 128 else "reply"
            return (
                f"ICMP6, echo {kind}, id {flow.sport}, seq {message.rest & 0xFFFF}, length {message.length}"
            )
        found = ndp.read(message) if ndp.is_discovery(flow) else None
        if found is not None:
            asking = found.type == ndp.SOLICITATION
            what = "solicitation, who has" if asking else "advertisement, tgt is"
            return f"ICMP6, neighbor {what} {ip_text(found.target)}, length {message.length}"
        inner = message.payload
        target = ip_text(inner[24:40]) if len(inner) >= 40 else "?"
        if message.type == 1 and message.code == 4:
            protocol = {6: "tcp", 17: "udp", 132: "sctp"}.get(inner[6] if len(inner) > 6 else 0, "ip")
            port = int.from_bytes(inner[42:44])
            where = f"unreachable port, {target} {protocol} port {port}"
            return f"ICMP6, destination unreachable, {where}, length {message.length}"
        if message.type == 1 and message.code in _UNREACHABLE_6:
            why = _UNREACHABLE_6[message.code]
            return f"ICMP6, destination unreachable, {why} {target}, length {message.length}"
        if message.type == 2:
            return f"ICMP6, packet too big, mtu {message.rest}, length {message.length}"
        return f"ICMP6, type-#{message.type}, length {message.length}"


def _arp(message: ArpMessage) -> str:
    sender, target = ip_text(message.sender_ip), ip_text(message.target_ip)
    if message.op == 1:
        return f"ARP, Request who-has {target} tell {sender}, length {message.length}"
    return f"ARP, Reply {sender} is-at {message.sender_mac.hex(':')}, length {message.length}"


def _options(options: bytes) -> str:
    """`mss 1460,nop,nop,sackOK,nop,wscale 7`"""
    found, at = [], 0
    while at < len(options):
        kind = options[at]
        if kind in (0, 1):
            found.append("eol" if kind == 0 else "nop")
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2:
            break
        value = options[at + 2 : at + length]
        number = int.from_bytes(value)
        if kind == 8 and len(value) == 8:
            found.append(f"TS val {int.from_bytes(value[:4])} ecr {int.from_bytes(value[4:])}")
        else:
            found.append(
                {2: f"mss {number}", 3: f"wscale {number}", 4: "sackOK"}.get(kind, f"unknown-{kind}")
            )
        at += length
    return ",".join(found)


def _udp(flow: Flow, datagram: UdpDatagram) -> str:
    payload = datagram.payload
    if DNS_PORT not in (flow.sport, flow.dport) or len(payload) < 12:
        return f"UDP, length {len(payload)}"
    number, flags = int.from_bytes(payload[:2]), int.from_bytes(payload[2:4])
    return _answer(number, flags, payload) if flags & 0x8000 else _query(number, flags, payload)


def _query(number: int, flags: int, payload: bytes) -> str:
    """`4660+ [1au] A? my-nginx.default.svc.cluster.local. (52)`"""
    marks = ("+" if flags & 0x0100 else "") + ("%" if flags & 0x0010 else "")
    extra = int.from_bytes(payload[10:12])
    query = dns_read.read_query(payload)
    asked = (
        ""
        if query is None or isinstance(query, int)
        else f" {type_text(query.question.type)}? {query.question.name}"
    )
    return f"{number}{marks}{f' [{extra}au]' if extra else ''}{asked} ({len(payload)})"


def _answer(number: int, flags: int, payload: bytes) -> str:
    """`4660*- 1/0/0 A 10.96.44.11 (86)`"""
    marks = _RCODES.get(flags & 15, "")
    marks += "*" if flags & 0x0400 else ""
    marks += "" if flags & 0x0080 else "-"
    marks += "|" if flags & 0x0200 else ""
    counts = "/".join(str(int.from_bytes(payload[at : at + 2])) for at in (6, 8, 10))
    message = dns_read.read_message(payload)
    records = "" if message is None else ", ".join(f"{type_text(r.type)} {r.data}" for r in message[1].answer)
    return f"{number}{marks} {counts}{f' {records}' if records else ''} ({len(payload)})"
