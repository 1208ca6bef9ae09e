"""The filter of a tcpdump command line: the everyday part of pcap-filter(7).

Called by: `tcpdump`. Known: host, net, port, portrange with src and dst; tcp, udp, sctp, icmp, icmp6, arp, ip, ip6
alone or before those; and, or, not, parentheses. `host` takes names of pods, Services and nodes too. In VXLAN only the
outer packet is looked at, as the kernel's filter does.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Final

from netsim.wire.addr import ip
from netsim.wire.packet import ARP, ICMP, ICMPV6, SCTP, TCP, UDP, Flow

Test = Callable[[Flow], bool]

_TOKEN: Final = re.compile(r"[()!]|[^\s()!]+")
_PROTOCOLS: Final = {
    "tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmp6": ICMPV6, "arp": ARP,
}  # fmt: skip
_WHAT: Final = ("host", "net", "port", "portrange")
_PORTED: Final = (TCP, UDP, SCTP)
_SERVICES: Final = {"domain": 53, "http": 80, "https": 443, "ssh": 22, "mysql": 3306, "ntp": 123}


class FilterError(ValueError):
    """A filter that tcpdump would not take; the message is tcpdump's."""


def compile_filter(text: str, address_of: Callable[[str], bytes | None]) -> Test:
    """A test of flows. `address_of` knows names. Raises FilterError."""
    tokens = _TOKEN.findall(text.replace("&&", " and ").replace("||", " or "))
    if not tokens:
        return lambda _flow: True
    parser = _Parser(tokens, address_of)
    found = parser.any_of()
    if parser.left:
        raise FilterError("can't parse filter expression: syntax error")
    return found


class _Parser:
    def __init__(self, tokens: list[str], address_of: Callable[[str], bytes | None]) -> None:
        self.left = tokens
        self._address_of = address_of
        self._last = ""  # `port 80 or 443` means `port 80 or port 443`

    def _take(self) -> str:
        if not self.left:
            raise FilterError("can't parse filter expression: syntax error")
        return self.left.pop(0)

    def _next(self, *words: str) -> bool:
        if self.left and self.left[0] in words:
            self.left.pop(0)
            return True
        return False

    def any_of(self) -> Test:
        """OR has the same rank as AND in pcap-filter, from left to right."""
        found = self._one()
        while self.left and self.left[0] in ("and", "or"):
            word, before, after = self.left.pop(0), found, self._one()
            found = _both(before, after) if word == "and" else _either(before, after)
        return found

    def _one(self) -> Test:
        if self._next("not", "!"):
            test = self._one()
            return lambda flow: not test(flow)
        if self._next("("):
            found = self.any_of()
            if not self._next(")"):
                raise FilterError("can't parse filter expression: syntax error")
            return found
        return self._primitive()

    def _primitive(self) -> Test:
        protocol = self.left[0] if self.left and self.left[0] in (*_PROTOCOLS, "ip", "ip6") else ""
        tests: list[Test] = []
        if protocol:
            self.left.pop(0)
            tests.append(_is_protocol(protocol))
        side = ""
        if self.left and self.left[0] in ("src", "dst"):
            side = self.left.pop(0)
        if self.left and self.left[0] in _WHAT:
            self._last = self.left.pop(0)
        elif side:
            self._last = "host"
        elif protocol or not self._last:
            if protocol:
                return tests[0]
            self._last = "host"
        tests.append(self._qualified(side, self._last, self._take()))
        return tests[0] if len(tests) == 1 else _both(*tests)

    def _qualified(self, side: str, what: str, value: str) -> Test:
        if what in ("port", "portrange"):
            low, high = _ports(value)
            return _sided(side, lambda flow, end: flow.proto in _PORTED and low <= _port(flow, end) <= high)
        if what == "net":
            try:
                network = ipaddress.ip_network(value, strict=False)
            except ValueError:
                raise FilterError(f"invalid network address {value}") from None
            return _sided(side, lambda flow, end: ipaddress.ip_address(flow[end]) in network)
        address = self._address(value)
        return _sided(side, lambda flow, end: flow[end] == address)

    def _address(self, value: str) -> bytes:
        try:
            return ip(value)
        except ValueError:
            found = self._address_of(value)
            if found is None:
                raise FilterError(f"unknown host '{value}'") from None
            return found


def _both(one: Test, other: Test) -> Test:
    return lambda flow: one(flow) and other(flow)


def _either(one: Test, other: Test) -> Test:
    return lambda flow: one(flow) or other(flow)


def _sided(side: str, test: Callable[[Flow, int], bool]) -> Test:
    """A test of one end (0: source, 1: destination), or of either."""
    if side:
        end = ("src", "dst").index(side)
        return lambda flow: test(flow, end)
    return lambda flow: test(flow, 0) or test(flow, 1)


def _port(flow: Flow, end: int) -> int:
    return flow.dport if end else flow.sport


def _is_protocol(name: str) -> Test:
    if name in ("ip", "ip6"):
        length = 4 if name == "ip" else 16
        return lambda flow: len(flow.src) == length and flow.proto != ARP
    number = _PROTOCOLS[name]
    return lambda flow: flow.proto == number


def _ports(value: str) -> tuple[int, int]:
    low, dash, high = value.partition("-")
    first = int(low) if low.isdigit() else _SERVICES.get(low)
    last = first if not dash else int(high) if high.isdigit() else None
    if first is None or last is None or not 0 <= first <= last <= 65535:
        raise FilterError(f"unknown port '{value}'")
    return first, last
