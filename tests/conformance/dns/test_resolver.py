"""resolver_expansion.json: a name typed -> the questions on the wire and the result (see cases/dns/README.md).

The state machine of `netsim.workload.resolver_lookup` talks to a scripted server in no time at all; silence costs what
it costs.
"""

import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.engine import S
from netsim.wire.addr import ip, ip_text
from netsim.wire.dns import AAAA, NOERROR, NXDOMAIN, REFUSED, SERVFAIL, A, Answer, type_number, type_text
from netsim.workload.resolver_exchange import Memory
from netsim.workload.resolver_lookup import FAMILIES, STYLES, Lookup, LookupResult, Style
from netsim.workload.resolver_search import Settings, settings

STYLE_OF = {
    "glibc getaddrinfo": "glibc",
    "musl getaddrinfo": "musl",
    "BIND 9.18 nslookup": "nslookup",
    "BIND 9.18 dig": "bind",
}
FAMILY_OF = {"unspec": "any", "inet": "ipv4", "inet6": "ipv6"}
RCODES = {"SERVFAIL": SERVFAIL, "REFUSED": REFUSED}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    file = Path(metafunc.config.getoption("--cases")) / "dns" / "resolver_expansion.json"
    cases = json.loads(file.read_text()) if file.exists() else []
    metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])


class Scripted(Lookup):
    """A look-up that talks to scripted servers, with a clock that only silence moves."""

    def __init__(self, case: Mapping[str, Any], style: Style, types: tuple[int, ...], conf: Settings) -> None:
        super().__init__(case["name"], style, types, conf, Memory())
        self.case = case
        self.wire: list[dict[str, str]] = []
        self.answered_by: str | None = None
        self.result: LookupResult | None = None
        self._until = 0
        self._replies: deque[tuple[int, int, Answer]] = deque()

    def run(self) -> LookupResult:
        self.begin(0)
        while self.result is None:
            if self._replies:
                slot, server, answer = self._replies.popleft()
                self.heard(slot, server, answer, self.now)
            else:
                self.silence(self._until)
        return self.result

    def ask(self, slot: int, server: int, *, over_tcp: bool) -> None:
        server_name = self.case["nameservers"][server]
        self.wire.append({"server": server_name, "name": self.current, "type": type_text(self.types[slot])})
        if server_name not in self.case["silentNameservers"]:
            self._replies.append((slot, server, self.answer(self.current, self.types[slot])))

    def answer(self, name: str, qtype: int) -> Answer:
        known = self.case["exists"].get(name)
        if known is None:
            return Answer(b"", NXDOMAIN, False, (), name, 5, 0)
        if isinstance(known, str):
            return Answer(b"", RCODES[known], False, (), name, 0, 0)
        addresses = tuple(map(ip, known.get(type_text(qtype), ())))
        if addresses:
            self.answered_by = name
        return Answer(b"", NOERROR, False, addresses, name, 5, len(addresses))

    def reopen(self) -> None:
        """Replies to the old port are lost."""
        self._replies.clear()

    def wait(self, until_ns: int) -> None:
        self._until = until_ns

    def finished(self, result: LookupResult) -> None:
        self.result = result


def style_and_types(case: Mapping[str, Any]) -> tuple[Style, tuple[int, ...]]:
    style = STYLES[STYLE_OF[case["resolver"]]]
    if case["family"] is None:
        command = case["command"]
        types = [type_number(word) for word in command[1:] if word in ("A", "AAAA", "SRV", "TXT", "PTR")] or [
            A
        ]
        return style, tuple(types) if command[0] == "dig" else (A, AAAA)
    return style, FAMILIES[FAMILY_OF[case["family"]]]


def test_expansion(case: Mapping[str, Any]) -> None:
    addresses = [f"10.0.0.{number}" for number, _ in enumerate(case["nameservers"], start=1)]
    # dig uses the search list only when told to.
    search = (
        () if case.get("command", [""])[0] == "dig" and "+search" not in case["command"] else case["search"]
    )
    conf = settings(ResolvConf(tuple(addresses), tuple(search), tuple(case["options"])))
    assert conf.ndots == case["ndots"]
    style, types = style_and_types(case)
    world = Scripted(case, style, types, conf)
    result = world.run()

    expect = case["expect"]
    assert list(dict.fromkeys(row["name"] for row in world.wire)) == expect["queryNames"]
    if len(case["nameservers"]) > 1 and "musl" in case["resolver"]:  # the order between servers says nothing
        key = sorted
    else:
        key = list
    assert key(map(as_text, world.wire)) == key(map(as_text, case["wire"]))
    assert world.answered_by == expect["answeredBy"]
    if case["elapsedSeconds"] is not None:
        assert world.now == case["elapsedSeconds"] * S
    if expect["result"] is not None:
        check_result(result, expect["result"], case["resolver"].split()[0])


def as_text(row: Mapping[str, str]) -> str:
    return " ".join((row["server"], row["name"], row["type"]))


def check_result(result: LookupResult, expect: Mapping[str, Any], libc: str) -> None:
    if "error" in expect:
        assert eai(result.error, libc) == expect["error"]
    else:
        assert [ip_text(address) for address in result.addresses] == expect["addresses"]


def eai(error: str | None, libc: str) -> str:
    """getaddrinfo's name for an outcome (musl 1.2.3 has no EAI_NODATA)."""
    names = {"NXDOMAIN": "EAI_NONAME", "NODATA": "EAI_NODATA" if libc == "glibc" else "EAI_NONAME"}
    return names.get(error or "", "EAI_AGAIN")
