"""What a packet says, in tcpdump's words: for journeys, captures' comments and logs.

Not a parser: the bodies are values already; only DNS and HTTP payloads are looked into.
"""

from netsim.wire import dns_read, ndp
from netsim.wire.addr import ip_text
from netsim.wire.dns import DNS_PORT, RCODE_NAMES, type_text
from netsim.wire.ndp import is_discovery
from netsim.wire.packet import (
    ICMPV6,
    ArpMessage,
    Body,
    Flow,
    IcmpMessage,
    RawBody,
    TcpSegment,
    UdpDatagram,
    VxlanFrame,
    tcp_flags_text,
)
from netsim.wire.sctp import SctpPacket, chunk_text

_ICMP_NAMES = {
    (0, 0): "ICMP echo reply",
    (8, 0): "ICMP echo request",
    (3, 0): "ICMP net unreachable",
    (3, 1): "ICMP host unreachable",
    (3, 2): "ICMP protocol unreachable",
    (3, 3): "ICMP port unreachable",
    (3, 4): "ICMP fragmentation needed",
    (11, 0): "ICMP time exceeded",
}
_ICMPV6_NAMES = {
    (1, 0): "ICMP6 no route",
    (1, 1): "ICMP6 administratively prohibited",
    (1, 3): "ICMP6 address unreachable",
    (1, 4): "ICMP6 port unreachable",
    (2, 0): "ICMP6 packet too big",
    (3, 0): "ICMP6 time exceeded",
    (4, 1): "ICMP6 unknown next header",
    (128, 0): "ICMP6 echo request",
    (129, 0): "ICMP6 echo reply",
}


def describe(flow: Flow, body: Body) -> str:
    """One short phrase, such as `Flags [S], seq 1, win 64240` or `DNS A? my-nginx.default.svc.cluster.local.`."""
    if isinstance(body, TcpSegment):
        return _tcp(body)
    if isinstance(body, UdpDatagram):
        return _udp(flow, body)
    if isinstance(body, IcmpMessage):
        return _icmp(flow, body)
    if isinstance(body, ArpMessage):
        return repr(body)[len("ArpMessage(") : -1].join(("ARP ", ""))
    if isinstance(body, VxlanFrame):
        inner = body.inner
        return f"VXLAN, vni {body.vni}: {inner.flow} {describe(inner.flow, inner.body)}"
    if isinstance(body, SctpPacket):
        return " ".join(map(chunk_text, body.chunks))
    assert isinstance(body, RawBody)
    return f"IP protocol {flow.proto}, length {body.length}"


def _icmp(flow: Flow, message: IcmpMessage) -> str:
    if is_discovery(flow):
        return _discovery(message)
    names, word = (_ICMPV6_NAMES, "ICMP6") if flow.proto == ICMPV6 else (_ICMP_NAMES, "ICMP")
    name = names.get((message.type, message.code), f"{word} type {message.type} code {message.code}")
    is_echo = message.type in ((128, 129) if flow.proto == ICMPV6 else (0, 8))
    return f"{name}, seq {message.rest}" if is_echo else name


def _discovery(message: IcmpMessage) -> str:
    found = ndp.read(message)
    if found is None:
        return "ICMP6 neighbor discovery, malformed"
    if found.type == ndp.SOLICITATION:
        return f"ICMP6 neighbor solicitation, who has {ip_text(found.target)}"
    return f"ICMP6 neighbor advertisement, tgt is {ip_text(found.target)}"


def _tcp(segment: TcpSegment) -> str:
    text = f"Flags [{tcp_flags_text(segment.flags)}]"
    if segment.payload:
        first = segment.payload.split(b"\r\n", 1)[0]
        text += f", length {len(segment.payload)}"
        if b"HTTP/1." in first:
            text += f": {first.decode('latin-1')}"
    return text


def _udp(flow: Flow, datagram: UdpDatagram) -> str:
    if DNS_PORT not in (flow.sport, flow.dport):
        return f"UDP, length {len(datagram.payload)}"
    if flow.dport == DNS_PORT:
        query = dns_read.read_query(datagram.payload)
        if query is None or isinstance(query, int):
            return "DNS, malformed query"
        return f"DNS {type_text(query.question.type)}? {query.question.name}"
    message = dns_read.read_message(datagram.payload)
    if message is None:
        return "DNS, malformed answer"
    question, reply = message
    records = ", ".join(f"{type_text(record.type)} {record.data}" for record in reply.answer)
    rcode = RCODE_NAMES.get(reply.rcode, str(reply.rcode))
    return f"DNS {rcode} {question.name} {records or 'no records'}"
