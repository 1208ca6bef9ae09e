"""nftables rules as `nft list ruleset` 1.0.6 prints them; the texts are what the tool printed (Linux 6.18)."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.kernel.hooks import Hook
from netsim.kernel.nft import Nftables
from netsim.kernel.nft_key import Key
from netsim.kernel.nft_match import (
    Address,
    CtState,
    InterfaceName,
    LocalAddress,
    Mark,
    Port,
    SetMark,
    Update,
    duration_text,
)
from netsim.kernel.nft_priority import priority_text
from netsim.kernel.nft_ranges import ranges_text
from netsim.kernel.nft_table import Chain, Element, Rule, SetSpec, TableId
from netsim.kernel.nft_transaction import AddElement, AddSet, Transaction, Write
from netsim.kernel.nft_verdict import ACCEPT, DROP, RandomMap, VerdictMap, final, goto, jump
from netsim.kernel.targets import Dnat, Masquerade, Reject, Snat
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import SCTP, TCP, UDP

PORTS = Key(("l4proto", "dport"))


def prefixes(*texts):
    return tuple(map(Prefix.parse, texts))


@pytest.mark.parametrize(
    ("rule", "written", "listed"),
    [
        (Rule((SetMark(0x4000, "or"),)), "mark set mark or 0x4000", "meta mark set meta mark | 0x00004000"),
        (Rule((SetMark(0x4000, "xor"),)), "mark set mark xor 0x4000", "meta mark set meta mark ^ 0x00004000"),
        (Rule((SetMark(1),)), "mark set 0x1", "meta mark set 0x00000001"),
        (
            Rule((Mark(0, 0x4000),), final(Masquerade())),
            "mark and 0x4000 == 0 masquerade",
            "meta mark & 0x00004000 == 0x00000000 masquerade",
        ),
        (Rule((Mark(1),), DROP), "mark 0x1 drop", "meta mark 0x00000001 drop"),
        (
            Rule((Address("daddr", prefixes("172.30.0.0/16"), braces=True),), DROP, "unallocated"),
            'ip daddr { 172.30.0.0/16 } drop comment "unallocated"',
            'ip daddr 172.30.0.0/16 drop comment "unallocated"',
        ),
        (
            Rule((Address("saddr", prefixes("203.0.113.0/25", "10.1.2.3", "1.2.3.0/24"), True, True),), DROP),
            "ip saddr != { 203.0.113.0/25 , 10.1.2.3 , 1.2.3.0/24 } drop",
            "ip saddr != { 1.2.3.0/24, 10.1.2.3, 203.0.113.0/25 } drop",
        ),
        (
            Rule((CtState(("NEW", "ESTABLISHED", "RELATED")),), ACCEPT, counted=True),
            "ct state established,related,new counter accept",
            "ct state established,related,new counter packets 0 bytes 0 accept",
        ),
        (
            Rule((InterfaceName("cali*", negated=True), Port(TCP, 80)), jump("x")),
            'iifname != "cali*" tcp dport 80 jump x',
            'iifname != "cali*" tcp dport 80 jump x',
        ),
        (Rule((Port(SCTP, 80, 90),), final(Reject("tcp-reset"))),
         "sctp dport 80-90 reject with tcp reset", "sctp dport 80-90 reject with tcp reset"),
        (Rule((), final(Reject("icmp-host-unreachable"))),
         "reject with icmp host-unreachable", "reject with icmp host-unreachable"),
        (Rule((), final(Reject("icmp-port-unreachable"))), "reject", "reject"),
        (Rule((), final(Snat(ip("1.2.3.4")))), "snat to 1.2.3.4", "snat to 1.2.3.4"),
        (Rule((), final(Dnat(ip("fd00::1"), 80))), "dnat to [fd00::1]:80", "dnat to [fd00::1]:80"),
        (Rule((LocalAddress("saddr"),), goto("x")), "fib saddr type local goto x", "fib saddr type local goto x"),
        (
            Rule((), RandomMap((goto("a"), goto("b")))),
            "numgen random mod 2 vmap { 0 : goto a , 1 : goto b }",
            "numgen random mod 2 vmap { 0 : goto a, 1 : goto b }",
        ),
        (
            Rule((Update(Key(("saddr",)), "clients", 7200),)),
            "update @clients { ip saddr timeout 7200s }",
            "update @clients { ip saddr timeout 2h }",
        ),
        (
            Rule((), VerdictMap(Key(("daddr", "l4proto", "dport"), v6=True), "m")),
            "ip6 daddr . meta l4proto . th dport vmap @m",
            "ip6 daddr . meta l4proto . th dport vmap @m",
        ),
    ],
)  # fmt: skip
def test_rules(rule, written, listed):
    assert str(rule) == written
    assert rule.listed("counter packets 0 bytes 0" if rule.counted else "") == listed


@pytest.mark.parametrize(
    ("hook", "priority", "text"),
    [
        (Hook.PREROUTING, -110, "dstnat - 10"),
        (Hook.PREROUTING, -100, "dstnat"),
        (Hook.PREROUTING, -111, "-111"),
        (Hook.OUTPUT, -110, "-110"),
        (Hook.OUTPUT, -100, "-100"),
        (Hook.POSTROUTING, 100, "srcnat"),
        (Hook.FORWARD, 0, "filter"),
        (Hook.INPUT, 5, "filter + 5"),
        (Hook.INPUT, -300, "raw"),
    ],
)
def test_priorities(hook, priority, text):
    assert priority_text(hook, priority) == text
    assert priority_text(hook, priority, plain=True) == str(priority)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (10_800_000_000_000, "3h"),
        (10_799_996_000_000, "2h59m59s996ms"),
        (90_061_000_000_000, "1d1h1m1s"),
        (999_999, "0s"),
    ],
)
def test_durations(ns, text):
    assert duration_text(ns) == text


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("10.0.0.0/8",), "10.0.0.0/8"),
        (("10.0.0.0/25", "10.0.0.128/25"), "{ 10.0.0.0/24 }"),
        (("10.0.0.0/24", "10.0.0.7"), "{ 10.0.0.0/24 }"),
        (("10.0.1.0/24", "10.0.2.0/24"), "{ 10.0.1.0-10.0.2.255 }"),
        (("10.0.0.9", "1.2.3.4"), "{ 1.2.3.4, 10.0.0.9 }"),
        (("fd00::/64", "2001:db8::1"), "{ 2001:db8::1, fd00::/64 }"),
        (("0.0.0.0/0",), "0.0.0.0/0"),
    ],
)
def test_ranges(texts, expected):
    assert ranges_text(prefixes(*texts)) == expected


NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 32)).map(
    lambda pair: ipaddress.ip_network((pair[0], pair[1]), strict=False)
)


@given(st.lists(NETWORKS, min_size=1, max_size=6), st.lists(st.integers(0, 2**32 - 1), max_size=6))
def test_ranges_hold_the_same_addresses(networks, others):
    """What is printed holds exactly the addresses of the prefixes."""
    text = ranges_text(prefixes(*map(str, networks)))
    ranges = []
    for part in text.strip("{} ").split(", "):
        first, _, last = part.partition("-")
        network = ipaddress.ip_network(first) if not last else None
        bounds = (
            (network[0], network[-1])
            if network
            else (ipaddress.ip_address(first), ipaddress.ip_address(last))
        )
        ranges.append(tuple(map(int, bounds)))
    assert ranges == sorted(ranges)
    edges = [int(n[0]) + d for n in networks for d in (-1, 0, n.num_addresses - 1, n.num_addresses)]
    for number in (n for n in (*others, *edges) if 0 <= n < 2**32):
        inside = any(ipaddress.ip_address(number) in network for network in networks)
        assert any(first <= number <= last for first, last in ranges) is inside


def test_order_of_elements():
    """Addresses as numbers; concatenations by their last byte first, in the byte order of the machine."""
    nft, ips, services = Nftables(), Key(("daddr",)), Key(("daddr", "l4proto", "dport"))
    rows = [
        ("172.30.0.41", TCP, 80),
        ("172.30.0.41", UDP, 53),
        ("9.30.0.41", TCP, 443),
        ("9.30.0.41", SCTP, 90),
    ]
    commands = [AddSet(SetSpec("ips", ips)), AddSet(SetSpec("m", services, True, "all of them"))]
    commands += [
        AddElement(Element("ips", ip(a))) for a in ("172.30.0.47", "10.30.0.46", "9.30.0.4", "10.30.0.4")
    ]
    commands += [
        AddElement(Element("m", (ip(a), *rest), goto("c"), "x" if rest[1] == 90 else "")) for a, *rest in rows
    ]
    nft.commit(Transaction(TableId("ip", "lab"), (*commands, Write(Chain("c", comment="empty"))), "ours"))
    assert nft.list_ruleset() == (
        "table ip lab {\n"
        '\tcomment "ours"\n'
        "\tset ips {\n"
        "\t\ttype ipv4_addr\n"
        "\t\telements = { 9.30.0.4, 10.30.0.4,\n"
        "\t\t\t     10.30.0.46, 172.30.0.47 }\n"
        "\t}\n"
        "\n"
        "\tmap m {\n"
        "\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n"
        '\t\tcomment "all of them"\n'
        "\t\telements = { 172.30.0.41 . udp . 53 : goto c,\n"
        "\t\t\t     172.30.0.41 . tcp . 80 : goto c,\n"
        '\t\t\t     9.30.0.41 . sctp . 90 comment "x" : goto c,\n'
        "\t\t\t     9.30.0.41 . tcp . 443 : goto c }\n"
        "\t}\n"
        "\n"
        "\tchain c {\n"
        '\t\tcomment "empty"\n'
        "\t}\n"
        "}\n"
    )


def test_ipv6_elements_stand_one_per_line():
    nft, ips = Nftables(), Key(("daddr",), v6=True)
    elements = (AddElement(Element("ips", ip(text))) for text in ("fd00::1", "fc00::5", "fc00::4"))
    nft.commit(Transaction(TableId("ip6", "lab"), (AddSet(SetSpec("ips", ips)), *elements)))
    assert "\t\telements = { fc00::4,\n\t\t\t     fc00::5,\n\t\t\t     fd00::1 }\n" in nft.list_ruleset()
