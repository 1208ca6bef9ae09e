"""tcpdump's filters, as flows that they let through."""

import pytest

from netsim.experiment.terminal.capture_filter import FilterError, compile_filter
from netsim.wire.addr import ip
from netsim.wire.packet import ARP, ICMP, TCP, UDP, Flow

WEB = Flow(ip("10.0.0.1"), ip("10.0.0.2"), 4000, 80, TCP)
BACK = WEB.reverse()
DNS = Flow(ip("10.0.0.1"), ip("10.96.0.10"), 5000, 53, UDP)
PING = Flow(ip("10.0.0.1"), ip("10.0.0.2"), 80, 8 << 8, ICMP)
ARPED = Flow(ip("10.0.0.1"), ip("10.0.0.2"), 0, 0, ARP)
V6 = Flow(ip("fd00::1"), ip("fd00::2"), 4000, 80, TCP)
NAMES = {"WEB": WEB, "BACK": BACK, "DNS": DNS, "PING": PING, "ARPED": ARPED, "V6": V6}


def address_of(name: str) -> bytes | None:
    return {"kube-dns": ip("10.96.0.10")}.get(name)


@pytest.mark.parametrize(
    ("text", "through"),
    [
        ("", "WEB BACK DNS PING ARPED V6"),
        ("tcp", "WEB BACK V6"),
        ("port 80", "WEB BACK V6"),
        ("dst port 80", "WEB V6"),
        ("tcp dst port 80", "WEB V6"),
        ("udp port 53", "DNS"),
        ("port domain or http", "WEB BACK DNS V6"),
        ("host 10.0.0.2", "WEB BACK PING ARPED"),
        ("src host 10.0.0.2", "BACK"),
        ("dst 10.0.0.2 and not arp", "WEB PING"),
        ("10.0.0.2", "WEB BACK PING ARPED"),
        ("host kube-dns", "DNS"),
        ("net 10.96.0.0/16", "DNS"),
        ("icmp", "PING"),
        ("arp", "ARPED"),
        ("ip", "WEB BACK DNS PING"),
        ("ip6", "V6"),
        ("portrange 50-60", "DNS"),
        ("not port 80 and not arp", "DNS PING"),
        ("!(tcp or udp)", "PING ARPED"),
        ("(port 53 || port 80) && ip", "WEB BACK DNS"),
    ],
)
def test_filters(text: str, through: str) -> None:
    test = compile_filter(text, address_of)
    assert [name for name, flow in NAMES.items() if test(flow)] == through.split()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port", "syntax error"), ("tcp tcp", "syntax error"), ("(port 80", "syntax error"),
        ("host nowhere", "unknown host 'nowhere'"), ("port nope", "unknown port 'nope'"), ("port 80)", "syntax error"),
        ("net x/y", "invalid network address"), ("portrange 9-1", "unknown port"),
    ],
)  # fmt: skip
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        compile_filter(text, address_of)
