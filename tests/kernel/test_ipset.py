"""IP sets and the match that asks them: types, sides, text, and that rules stay remembered rightly."""

import pytest
from netlab import Bench, udp

from netsim.kernel import ipset
from netsim.kernel.ipset import IpSet, IpSetError, Member, SetType, parse_member
from netsim.kernel.matches_set import IpvsMatch, PhysdevIsIn, SetMatch
from netsim.kernel.xtables_store import XtablesError
from netsim.wire.addr import ip
from netsim.wire.packet import ICMP, TCP, UDP, Flow

WEB = Flow(ip("10.1.0.5"), ip("10.96.0.20"), 4000, 80, TCP)
DNS = WEB._replace(dport=53, proto=UDP)
PING = WEB._replace(dport=8 << 8, proto=ICMP)
# Type, members, sides, the flows that are in the set.
LOOK_UPS = [
    ("hash:ip", ["10.96.0.20"], "dst", [WEB, DNS, PING]),
    ("hash:ip", ["10.96.0.20"], "src", []),
    ("bitmap:port", ["80"], "dst", [WEB]),
    ("bitmap:port", ["4000"], "src", [WEB, DNS]),
    ("bitmap:port", ["2048"], "dst", []),
    ("hash:ip,port", ["10.96.0.20,tcp:80", "10.96.0.20,udp:80"], "dst,dst", [WEB]),
    ("hash:ip,port", ["10.1.0.5,udp:53"], "src,dst", [DNS]),
    ("hash:ip,port,ip", ["10.96.0.20,tcp:80,10.1.0.5"], "dst,dst,src", [WEB]),
    ("hash:ip,port,ip", ["10.96.0.20,tcp:80,10.1.0.6"], "dst,dst,src", []),
    ("hash:ip,port,net", ["10.96.0.20,udp:53,10.1.0.0/16", "10.96.0.20,tcp:80,10.2.0.0/16"], "dst,dst,src", [DNS]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "members", "sides", "inside"), LOOK_UPS)
def test_look_up(kind: str, members: list[str], sides: str, inside: list[Flow]) -> None:
    found = IpSet(SetType("S", kind))
    for text in members:
        found.add(parse_member(kind, text))
    assert [flow for flow in (WEB, DNS, PING) if found.test(flow, tuple(sides.split(",")))] == inside
    for text in members:
        found.remove(parse_member(kind, text))
    assert not any(found.test(flow, tuple(sides.split(","))) for flow in (WEB, DNS, PING))


def test_text() -> None:
    one, other = (
        IpSet(SetType("KUBE-CLUSTER-IP", "hash:ip,port")),
        IpSet(SetType("KUBE-NODE-PORT-TCP", "bitmap:port")),
    )
    for text in ("10.96.0.10,udp:53", "10.96.0.1,tcp:443"):
        one.add(parse_member("hash:ip,port", text))
    other.add(Member(port=30080))
    one.references = 2
    assert ipset.listing([one, other]) == (
        "Name: KUBE-CLUSTER-IP\nType: hash:ip,port\nRevision: 7\n"
        "Header: family inet hashsize 1024 maxelem 65536\nReferences: 2\nNumber of entries: 2\nMembers:\n"
        "10.96.0.1,tcp:443\n10.96.0.10,udp:53\n\n"
        "Name: KUBE-NODE-PORT-TCP\nType: bitmap:port\nRevision: 3\nHeader: range 0-65535\nReferences: 0\n"
        "Number of entries: 1\nMembers:\n30080\n"
    )
    assert ipset.save([one]) == (
        "create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536\n"
        "add KUBE-CLUSTER-IP 10.96.0.1,tcp:443\nadd KUBE-CLUSTER-IP 10.96.0.10,udp:53\n"
    )


@pytest.mark.parametrize("text", ["10.96.0.300,tcp:80", "10.96.0.1", "10.96.0.1,foo:80", "10.96.0.1,tcp:x"])
def test_what_is_no_member(text: str) -> None:
    with pytest.raises(IpSetError, match="hash:ip,port"):
        parse_member("hash:ip,port", text)


def test_limits() -> None:
    with pytest.raises(IpSetError, match="unknown settype"):
        IpSet(SetType("S", "hash:mac"))
    full = IpSet(SetType("S", "hash:ip"))
    for number in range(65536):
        full.add(Member(number.to_bytes(4)))
    with pytest.raises(IpSetError, match="Hash is full"):
        full.add(Member(ip("10.0.0.1")))


# ------------------------------------------------------------------ in rules
def test_rules_with_sets_are_read_and_written() -> None:
    text = (
        "*nat\n:KUBE-SERVICES - [0:0]\n"
        "-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\n"
        "-A KUBE-SERVICES -m set ! --match-set KUBE-CLUSTER-IP src,dst -m physdev ! --physdev-is-in -j ACCEPT\n"
        "COMMIT\n"
    )
    bench = Bench()
    bench.rules(text)
    assert bench.ns.xtables is not None
    assert [line for line in bench.ns.xtables.save().splitlines() if "-A" in line] == text.splitlines()[2:4]
    with pytest.raises(XtablesError, match="not src or dst"):
        bench.rules("-A PREROUTING -m set --match-set S dest -j ACCEPT")


def test_texts() -> None:
    match = IpvsMatch(ip("1.2.3.4"), TCP, 80)
    assert str(match) == "-m ipvs --vaddr 1.2.3.4 --vproto tcp --vport 80"
    assert match.saved == "-m ipvs --vproto 6 --vaddr 1.2.3.4/32 --vport 80"
    assert str(PhysdevIsIn(negated=True)) == "-m physdev ! --physdev-is-in"
    assert str(SetMatch("S", ("dst",))) == "-m set --match-set S dst"


def dropped(bench: Bench, *packets: tuple[int, int]) -> list[bool]:
    """Whether datagrams from a port to a port are dropped."""
    found = []
    for sport, dport in packets:
        bench.left.arrive(udp("10.1.0.5", sport, "10.2.0.7", dport))
        found.append(bench.right.take() == [])
    return found


def test_a_change_of_a_set_counts_at_once() -> None:
    """The memory of evaluations knows nothing of sets: whoever changes one says so."""
    bench = Bench()
    assert bench.ns.xtables is not None
    sets = bench.ns.xtables.ipsets
    sets["S"] = IpSet(SetType("S", "hash:ip,port"))
    bench.rules("*filter\n-A FORWARD -m set --match-set S dst,dst -j DROP\nCOMMIT")
    assert dropped(bench, (4000, 53), (4001, 53)) == [False, False]
    sets["S"].add(parse_member("hash:ip,port", "10.2.0.7,udp:53"))
    bench.ns.changed()
    assert dropped(bench, (4000, 53), (4002, 53), (4002, 54)) == [True, True, False]


def test_established_packets_are_told_apart_by_port() -> None:
    """The memory for established packets leaves ports out unless a rule asks for them; a set with ports asks."""
    bench = Bench()
    assert bench.ns.xtables is not None
    found = bench.ns.xtables.ipsets["S"] = IpSet(SetType("S", "hash:ip,port"))
    for sport, dport in ((4000, 53), (4000, 54)):
        bench.left.arrive(udp("10.1.0.5", sport, "10.2.0.7", dport))
        bench.right.arrive(udp("10.2.0.7", dport, "10.1.0.5", sport))
    bench.right.take()
    found.add(parse_member("hash:ip,port", "10.2.0.7,udp:53"))
    bench.rules("*filter\n-A FORWARD -m set --match-set S dst,dst -j DROP\nCOMMIT")
    assert dropped(bench, (4000, 54), (4000, 53), (4000, 54)) == [False, True, False]


def test_source_ports_are_not_remembered() -> None:
    bench = Bench()
    assert bench.ns.xtables is not None
    found = bench.ns.xtables.ipsets["S"] = IpSet(SetType("S", "hash:ip,port"))
    found.add(parse_member("hash:ip,port", "10.1.0.5,udp:4001"))
    bench.rules("*filter\n-A FORWARD -m set --match-set S src,src -j DROP\nCOMMIT")
    assert dropped(bench, (4000, 53), (4001, 53), (4002, 53)) == [False, True, False]


def test_a_set_that_is_not_there_holds_nothing() -> None:
    bench = Bench()
    bench.rules(
        "*filter\n-A FORWARD -m set --match-set S dst -j DROP\n-A FORWARD -m set ! --match-set S dst\nCOMMIT"
    )
    assert dropped(bench, (4000, 53)) == [False]
    assert bench.ns.xtables is not None
    assert [counter.packets for counter in bench.ns.xtables.counters("filter", "FORWARD")] == [0, 1]
