"""What a packet says, in tcpdump's words: for journeys, captures' comments and logs.

Not a parser: the bodies are values already; only DNS and HTTP payloads are looked into.
"""

from netsim.wire import dns_read
from netsim.wire.dns import DNS_PORT, RCODE_NAMES, type_text
from netsim.wire.packet import (
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


def describe(flow: Flow, body: Body) -> str:
    """One short phrase, such as `Flags [S], seq 1, win 64240` or `DNS A? my-nginx.default.svc.cluster.local.`."""
    if isinstance(body, TcpSegment):
        return _tcp(body)
    if isinstance(body, UdpDatagram):
        return _udp(flow, body)
    if isinstance(body, IcmpMessage):
        name = _ICMP_NAMES.get((body.type, body.code), f"ICMP type {body.type} code {body.code}")
        return f"{name}, seq {body.rest}" if body.type in (0, 8) else name
    if isinstance(body, ArpMessage):
        return repr(body)[len("ArpMessage(") : -1].join(("ARP ", ""))
    if isinstance(body, VxlanFrame):
        inner = body.inner
        return f"VXLAN, vni {body.vni}: {inner.flow} {describe(inner.flow, inner.body)}"
    assert isinstance(body, RawBody)
    return f"IP protocol {flow.proto}, length {body.length}"


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
