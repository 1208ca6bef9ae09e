"""What Hubble's proxies tell of DNS and HTTP: the Layer7 message of a flow, and its summary.

Called by `flows.py` for packets of pods. Sources: flow.proto (Layer7, DNS, HTTP), pkg/hubble/parser/seven (dnsSummary,
httpSummary) of Cilium; the names of response codes are gopacket's (layers/dns.go).
"""

from typing import Any, Final, NamedTuple

from netsim.wire import dns_read
from netsim.wire.dns import DNS_PORT, type_text
from netsim.wire.packet import Body, Flow, TcpSegment, UdpDatagram

_RCODES: Final = {
    1: "Format Error", 2: "Server Failure ", 3: "Non-Existent Domain", 4: "Not Implemented", 5: "Query Refused",
}  # fmt: skip
_HTTP: Final = b" HTTP/1."


class Layer7(NamedTuple):
    """The message, the summary, and by what the answer is known to belong to the question."""

    message: dict[str, Any]
    summary: str
    key: tuple[Flow, bytes]


class Questions:
    """Requests whose answers have not come yet."""

    def __init__(self) -> None:
        self._open: dict[tuple[Flow, bytes], tuple[int, str, str]] = {}

    def request(self, flow: Flow, body: Body, at_ns: int) -> Layer7 | None:
        """A packet that a pod sends: a query or a request?"""
        found = _dns_query(flow, body) or _http_request(flow, body)
        if found is not None:
            http = found.message.get("http", {})
            self._open[found.key] = (at_ns, http.get("method", ""), http.get("url", ""))
        return found

    def response(self, flow: Flow, body: Body, at_ns: int) -> Layer7 | None:
        """A packet that a pod gets: the answer to one of those?"""
        asked = flow.reverse()
        if isinstance(body, UdpDatagram) and flow.sport == DNS_PORT:
            asked_ns, _, _ = self._open.pop((asked, body.payload[:2]), (at_ns, "", ""))
            return _dns_answer(asked, body, at_ns - asked_ns)
        if isinstance(body, TcpSegment) and body.payload.startswith(b"HTTP/1."):
            asked_ns, method, url = self._open.pop((asked, b""), (at_ns, "", ""))
            return _http_response(asked, body, at_ns - asked_ns, method, url)
        return None


def _dns_query(flow: Flow, body: Body) -> Layer7 | None:
    if not isinstance(body, UdpDatagram) or flow.dport != DNS_PORT:
        return None
    query = dns_read.read_query(body.payload)
    if query is None or isinstance(query, int):
        return None
    name, qtype = query.question.name, type_text(query.question.type)
    dns = {"query": name, "observation_source": "proxy", "qtypes": [qtype]}
    return Layer7({"type": "REQUEST", "dns": dns}, f"DNS Query {name} {qtype}", (flow, body.payload[:2]))


def _dns_answer(asked: Flow, body: UdpDatagram, latency_ns: int) -> Layer7 | None:
    read = dns_read.read_message(body.payload)
    if read is None:
        return None
    question, reply = read
    qtype = type_text(question.type)
    ips = [record.data for record in reply.answer if type_text(record.type) in ("A", "AAAA")]
    cnames = [record.data for record in reply.answer if type_text(record.type) == "CNAME"]
    ttl = min((record.ttl for record in reply.answer), default=0)
    dns: dict[str, Any] = {"query": question.name}
    dns |= {"ips": ips} if ips else {}
    dns |= {"ttl": ttl} if ttl else {}
    dns |= {"cnames": cnames} if cnames else {}
    dns |= {"observation_source": "proxy"}
    dns |= {"rcode": reply.rcode} if reply.rcode else {}
    dns |= {"qtypes": [qtype]}
    dns |= {"rrtypes": [type_text(record.type) for record in reply.answer]} if reply.answer else {}
    if reply.rcode:
        answer = f"RCode: {_RCODES.get(reply.rcode, str(reply.rcode))}"
    else:
        parts = [f'"{",".join(ips)}"'] if ips else []
        parts += [f"TTL: {ttl}"] if ttl else []
        parts += [f'CNAMEs: "{",".join(cnames)}"'] if cnames else []
        answer = " ".join(parts)
    summary = f"DNS Answer {answer} (Proxy {question.name} {qtype})"
    message = {"type": "RESPONSE", "latency_ns": str(latency_ns), "dns": dns}
    return Layer7(message, summary, (asked, body.payload[:2]))


def _http_request(flow: Flow, body: Body) -> Layer7 | None:
    if not isinstance(body, TcpSegment) or _HTTP not in body.payload.split(b"\r\n", 1)[0]:
        return None
    first, headers = _head(body.payload)
    method, path, protocol = [*first.split(" "), "", ""][:3]
    host = next((h["value"] for h in headers if h["key"].lower() == "host"), "")
    url = f"http://{host}{path}"
    http = {"method": method, "url": url, "protocol": protocol, "headers": headers}
    return Layer7({"type": "REQUEST", "http": http}, f"{protocol} {method} {url}", (flow, b""))


def _http_response(asked: Flow, body: TcpSegment, latency_ns: int, method: str, url: str) -> Layer7:
    first, headers = _head(body.payload)
    protocol, code = [*first.split(" "), ""][:2]
    http = {"code": int(code) if code.isdigit() else 0, "method": method, "url": url, "protocol": protocol}
    message = {"type": "RESPONSE", "latency_ns": str(latency_ns), "http": {**http, "headers": headers}}
    summary = f"{protocol} {code} {latency_ns // 1_000_000}ms ({method} {url})"
    return Layer7(message, summary, (asked, b""))


def _head(payload: bytes) -> tuple[str, list[dict[str, str]]]:
    first, *lines = payload.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")
    named = [line.partition(":") for line in lines]
    return first, [{"key": name, "value": value.strip()} for name, _, value in named]
