"""Evaluation of iptables rules: the verdict, the rules visited, the counters; remembered walks equal full ones."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.kernel.conntrack import DST_NAT, Entry
from netsim.kernel.hooks import ESTABLISHED, NEW, DropReason, Hook, Traversal
from netsim.kernel.rule_engine import counting
from netsim.kernel.targets import Dnat, Drop, Jump, Kind, Masquerade, Reject
from netsim.kernel.xtables import Chain, Rule, Xtables, XtablesError, traversal_ns
from netsim.kernel.xtables_parse import parse_rule, split
from netsim.wire.addr import ip
from netsim.wire.packet import TCP, UDP, Flow, Packet, UdpDatagram

CLIENT, NODE, SERVICE = ip("10.0.0.2"), ip("192.168.0.2"), ip("172.30.0.41")


class Device:
    def __init__(self, name):
        self.name = name


ETH0, VETH = Device("eth0"), Device("veth1")


class Node:
    """A namespace as far as rules see it."""

    def __init__(self, seed=1):
        self.random = Random(seed)
        self.generation = 1
        self.unforeseen: set[object] = set()
        self.journeys = []
        self.rewrite_subscribers = []
        self.uids = iter(range(1000))
        self.told = []

    def is_local(self, address):
        return address == NODE

    def icmp_error(self, packet, type, code, now):
        self.told.append((type, code))


def traversal(
    node, *, dst=SERVICE, dport=80, src=CLIENT, proto=TCP, mark=0, state=NEW, now=0, hook=Hook.PREROUTING
):
    packet = Packet(Flow(src, dst, 40000, dport, proto), UdpDatagram(b"x" * 58))
    packet.mark = mark
    t = Traversal(node, packet, None, now)
    t.ctstate, t.hook = state, hook
    t.in_device, t.out_device = ETH0, VETH
    return t


def loaded(text):
    x = Xtables()
    x.restore(text)
    return x


def rule(text):
    return parse_rule(split(text))


SERVICES = """
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC - [0:0]
:KUBE-SEP - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A KUBE-SERVICES -m tcp -p tcp -d 172.30.0.40 --dport 80 -j RETURN
-A KUBE-SERVICES -m tcp -p tcp -d 172.30.0.41 --dport 80 -j KUBE-SVC
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.9.9.9
-A KUBE-SVC ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SVC -j KUBE-SEP
-A KUBE-SEP -s 10.0.0.2 -j KUBE-MARK-MASQ
-A KUBE-SEP -m tcp -p tcp -j DNAT --to-destination 10.0.1.1:8080
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
COMMIT
"""


@pytest.mark.parametrize(
    ("packet", "verdict", "mark", "visited"),
    [
        ({}, Dnat(ip("10.0.1.1"), 8080), 0x4000, 1 + 2 + 2 + 1 + 1 + 1),
        ({"src": ip("10.0.0.3")}, Dnat(ip("10.0.1.1"), 8080), 0, 1 + 2 + 2 + 2),
        ({"src": ip("8.8.8.8")}, Dnat(ip("10.0.1.1"), 8080), 0x4000, 1 + 2 + 1 + 1 + 1 + 2),
        ({"dport": 81}, None, 0, 1 + 3),
        ({"proto": UDP}, None, 0, 1 + 3),
        ({"dst": ip("172.30.0.40")}, None, 0, 1 + 1),
        ({"dst": NODE}, Dnat(ip("10.9.9.9")), 0, 1 + 3),
    ],
)
def test_walk(packet, verdict, mark, visited):
    x, node = loaded(SERVICES), Node()
    for _ in range(3):  # the second and third time from memory
        t = traversal(node, **packet)
        assert x.nat(t) == verdict
        assert (t.packet.mark, t.visited) == (mark, visited)


def test_counters_and_policy():
    x, node = loaded(SERVICES), Node()
    size = traversal(node).packet.size - 14
    for _ in range(5):
        x.nat(traversal(node, src=ip("10.0.0.3")))
    x.nat(traversal(node, dport=99))
    assert [c.packets for c in x.counters("nat", "KUBE-SERVICES")] == [0, 5, 0]
    assert [c.bytes for c in x.counters("nat", "KUBE-SEP")] == [0, 5 * size]
    assert x.policy_counter("nat", "PREROUTING").packets == 1
    assert repr(x.counters("nat", "PREROUTING")[0]) == f"[6:{6 * size}]"


def test_counting_on_behalf_of_later_packets():
    x, node = loaded(SERVICES), Node()
    t = traversal(node, src=ip("10.0.0.3"))
    assert counting((x,), t) is None
    x.nat(t)
    count = counting((x,), t)
    count(10, 1000)
    assert [c.packets for c in x.counters("nat", "KUBE-SEP")] == [0, 11]
    assert counting((x,), traversal(node)) is None


@pytest.mark.parametrize(
    ("rules", "answer", "told"),
    [
        ("-A FORWARD -j DROP", DropReason.NETFILTER_DROP, []),
        ("-A FORWARD -j REJECT", DropReason.NETFILTER_REJECT, [(3, 3)]),
        ("-A FORWARD -j REJECT --reject-with icmp-admin-prohibited", DropReason.NETFILTER_REJECT, [(3, 13)]),
        ("-A FORWARD -j ACCEPT\n-A FORWARD -j DROP", None, []),
        (":FORWARD DROP [0:0]", DropReason.NETFILTER_DROP, []),
        ("-A FORWARD -m conntrack --ctstate ESTABLISHED -j DROP", None, []),
    ],
)
def test_filter(rules, answer, told):
    x, node = loaded(f"*filter\n{rules}\nCOMMIT"), Node()
    assert x.filter(traversal(node, hook=Hook.FORWARD)) is answer
    assert node.told == told


def test_state_dnat_is_asked_of_the_connection():
    x, node = (
        loaded("*filter\n-A INPUT -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\nCOMMIT"),
        Node(),
    )
    plain = traversal(node, hook=Hook.INPUT)
    translated = traversal(node, hook=Hook.INPUT)
    entry = Entry(translated.packet.flow, 0)
    entry.nat = DST_NAT
    translated.ct = entry.original
    assert x.filter(plain) is DropReason.NETFILTER_DROP
    assert x.filter(translated) is None
    assert x.filter(traversal(node, hook=Hook.INPUT, state=ESTABLISHED)) is None


AFFINITY = """
*nat
:SVC - [0:0]
:A - [0:0]
:B - [0:0]
-A PREROUTING -j SVC
-A SVC -m recent --name A --rcheck --seconds 10 --reap -j A
-A SVC -m recent --name B --rcheck --seconds 10 --reap -j B
-A SVC -m statistic --mode random --probability 0.5 -j A
-A SVC -j B
-A A -m recent --name A --set -m tcp -p tcp -j DNAT --to-destination 10.0.1.1
-A B -m recent --name B --set -m tcp -p tcp -j DNAT --to-destination 10.0.1.2
COMMIT
"""


def test_affinity_keeps_a_client_until_its_time_is_over():
    x, node = loaded(AFFINITY), Node()
    second = 1_000_000_000
    first = x.nat(traversal(node, now=0))
    # Each new connection renews the entry, so the client stays although 10 s pass between first and last.
    assert {x.nat(traversal(node, now=at * second)) for at in range(0, 40, 8)} == {first}
    seen = {x.nat(traversal(node, now=(100 + 20 * n) * second)) for n in range(20)}
    assert len(seen) == 2


def test_recent_list_goes_with_the_last_rule_that_names_it():
    x, node = loaded(AFFINITY), Node()
    while "10.0.1.1" not in str(x.nat(traversal(node, now=10**12))):
        node.random.random()
        x.recent("B").seen(CLIENT, 10**15, True)  # forget, and draw again
    assert len(x.recent("A")) == 1
    x.restore("*nat\n:A - [0:0]\n-A A -m recent --name A --set -j ACCEPT\nCOMMIT")
    assert len(x.recent("A")) == 1
    x.restore("*nat\n:A - [0:0]\n:SVC - [0:0]\nCOMMIT")
    assert len(x.recent("A")) == 0


def test_draws_are_fair():
    x = loaded(
        "*nat\n-A PREROUTING -m statistic --mode random --probability 0.3333333333 -j DNAT --to-destination 10.0.1.1\n"
        "-A PREROUTING -m statistic --mode random --probability 0.5000000000 -j DNAT --to-destination 10.0.1.2\n"
        "-A PREROUTING -j DNAT --to-destination 10.0.1.3\nCOMMIT"
    )
    node = Node()
    got = [x.nat(traversal(node)).address for _ in range(6000)]
    for last in (1, 2, 3):
        assert got.count(ip(f"10.0.1.{last}")) == pytest.approx(2000, abs=150)


def test_nfacct_counts_by_name():
    x, node = loaded("*filter\n-A FORWARD -m nfacct --nfacct-name seen -j ACCEPT\nCOMMIT"), Node()
    for _ in range(3):
        x.filter(traversal(node, hook=Hook.FORWARD))
    assert x.nfacct("seen").packets == 3


def test_journey_names_every_rule():
    x, node = loaded(SERVICES), Node()
    t = traversal(node, src=ip("10.0.0.3"))
    t.trace = []
    x.nat(t)
    assert [(hit.table, hit.chain) for hit in t.trace] == [
        ("nat", "PREROUTING"),
        ("nat", "KUBE-SERVICES"),
        ("nat", "KUBE-SVC"),
        ("nat", "KUBE-SEP"),
    ]
    assert t.trace[-1].text == "-m tcp -p tcp -j DNAT --to-destination 10.0.1.1:8080"


def test_memory_ends_with_the_generation():
    x, node = (
        loaded("*nat\n-A PREROUTING -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.0.1.1\nCOMMIT"),
        Node(),
    )
    assert x.nat(traversal(node)) is None
    node.is_local = lambda address: True
    node.generation += 1
    assert x.nat(traversal(node)) == Dnat(ip("10.0.1.1"))


def test_jump_to_nowhere():
    x = Xtables()
    x.commit("nat", [Chain("PREROUTING", (Rule((), Jump("GONE")),))])
    with pytest.raises(XtablesError, match="jumps to GONE"):
        x.nat(traversal(Node()))


# ------------------------------------------------------------------ changes
def test_commit_keeps_what_it_does_not_name():
    x, node = loaded(SERVICES), Node()
    calls = []
    x.changed = lambda: calls.append(1)
    x.nat(traversal(node))
    x.commit("nat", [Chain("KUBE-SEP", (rule("-j DNAT --to-destination 10.0.1.9"),))], ["NOBODY"])
    assert calls
    assert [c.packets for c in x.counters("nat", "KUBE-SERVICES")] == [0, 1, 0]
    assert [c.packets for c in x.counters("nat", "KUBE-SEP")] == [0]
    assert x.nat(traversal(node)) == Dnat(ip("10.0.1.9"))
    with pytest.raises(XtablesError, match="built in"):
        x.commit("nat", [], ["PREROUTING"])


def test_single_rules_take_counters_along():
    x, node = loaded("*nat\n-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE\nCOMMIT"), Node()
    assert x.nat(traversal(node, hook=Hook.POSTROUTING)) == Masquerade()
    top = rule("-m mark --mark 0x4000/0x4000 -j ACCEPT")
    assert x.ensure_rule("nat", "POSTROUTING", top)
    assert not x.ensure_rule("nat", "POSTROUTING", top)
    assert [c.packets for c in x.counters("nat", "POSTROUTING")] == [0, 1]
    assert x.ensure_rule("nat", "POSTROUTING", rule("-j ACCEPT"), append=True)
    assert x.delete_rule("nat", "POSTROUTING", top)
    assert not x.delete_rule("nat", "POSTROUTING", top)
    assert [c.packets for c in x.counters("nat", "POSTROUTING")] == [1, 0]
    assert x.ensure_rule("nat", "NEW-CHAIN", rule("-j RETURN"))
    assert x.tables["nat"]["NEW-CHAIN"].policy == "-"


# ------------------------------------------------------------------ index and memory against a plain walk
ADDRESSES = [ip(f"172.30.0.{n}") for n in range(4)]
PORTS = [80, 443]
MATCHES = st.lists(
    st.sampled_from(
        [
            "-p tcp -m tcp --dport 80",
            "-p udp --dport 80",
            "-p tcp --dport 443",
            "-p tcp --dport 1:100",
            "-p tcp ! --dport 80",
            "-d 172.30.0.1",
            "-d 172.30.0.2",
            "! -d 172.30.0.1",
            "-d 172.30.0.0/30",
            "-s 10.0.0.2",
            "-m mark --mark 0x1/0x1",
            "-m statistic --mode random --probability 0.4",
            "-m conntrack --ctstate NEW",
            "-m comment --comment x",
            "-i eth0",
            "-p tcp --sport 40000",
        ]
    ),
    max_size=3,
    unique_by=lambda text: text.split()[0] + text.split()[-2],
)
TARGETS = st.sampled_from(
    [
        "-j DROP",
        "-j ACCEPT",
        "-j RETURN",
        "-j MARK --or-mark 1",
        "-j MARK --xor-mark 1",
        "-j SUB",
        "",
        "-j REJECT",
    ]
)
RULES = st.lists(st.tuples(MATCHES, TARGETS), max_size=24)
PACKETS = st.lists(
    st.tuples(
        st.sampled_from(ADDRESSES),
        st.sampled_from([80, 443, 5]),
        st.sampled_from([TCP, UDP]),
        st.sampled_from([0, 1]),
    ),
    min_size=1,
    max_size=12,
)


def reference(x, chains, chain, t):
    """`ipt_do_table`, rule by rule."""
    for r in chain.rules:
        t.visited += 1
        if not all(m.matches(t, x) for m in r.matches):
            continue
        target = r.target
        if target is None:
            continue
        if target.kind is Kind.JUMP:
            verdict = reference(x, chains, chains[target.chain], t)
            if verdict is not None:
                return verdict
        elif target.kind is Kind.RETURN:
            return None
        elif target.kind is Kind.CHANGE:
            target.change(t.packet)
        else:
            return target
    return None


def usable(matches, target):
    """A rule that iptables would take: one -p, ports only with it."""
    words = " ".join(matches)
    if words.count("-p tcp") + words.count("-p udp") > 1 or words.count("-d ") > 1:
        return None
    return rule(f"{words} {target}")


@settings(max_examples=200)
@given(main=RULES, sub=RULES, packets=PACKETS, seed=st.integers(0, 99))
def test_same_as_rule_by_rule(main, sub, packets, seed):
    sub_rules = [
        r for r in (usable(m, t) for m, t in sub) if r is not None and not isinstance(r.target, Jump)
    ]
    main_rules = [r for r in (usable(m, t) for m, t in main) if r is not None]
    chains = [Chain("FORWARD", tuple(main_rules)), Chain("SUB", tuple(sub_rules))]
    fast, slow, told = Xtables(), Xtables(), Xtables()
    for x in (fast, slow, told):
        x.commit("filter", chains)
    fast_node, slow_node, told_node = Node(seed), Node(seed), Node(seed)
    for dst, dport, proto, mark in packets * 3:
        t = traversal(fast_node, dst=dst, dport=dport, proto=proto, mark=mark)
        u = traversal(slow_node, dst=dst, dport=dport, proto=proto, mark=mark)
        verdict = fast.evaluate("filter", "FORWARD", t)
        slow._answers, slow._draws = (), []
        expected = reference(slow, slow.tables["filter"], slow.tables["filter"]["FORWARD"], u)
        assert verdict == (expected if isinstance(expected, Drop | Reject) else None)
        assert (t.visited, t.packet.mark) == (u.visited, u.packet.mark)
        v = traversal(told_node, dst=dst, dport=dport, proto=proto, mark=mark)
        v.trace = []  # a journey is followed: always a full walk
        assert told.evaluate("filter", "FORWARD", v) == verdict
    for name in ("FORWARD", "SUB"):
        assert repr(fast.counters("filter", name)) == repr(told.counters("filter", name))
    assert repr(fast.policy_counter("filter", "FORWARD")) == repr(told.policy_counter("filter", "FORWARD"))


def test_wall_work_does_not_grow_with_services():
    """A chain of 10,000 services offers two rules to try, and counts ten thousand as visited."""
    rules = [rule(f"-m tcp -p tcp -d 172.30.{n >> 8}.{n & 255} --dport 80 -j ACCEPT") for n in range(10_000)]
    last = rule("-m addrtype --dst-type LOCAL -j RETURN")
    chain = Chain("KUBE-SERVICES", (*rules, last))
    tried = chain.program.candidates(Flow(CLIENT, ip("172.30.20.0"), 1, 80, TCP))
    assert tried == (20 * 256, 10_000)
    assert chain.program.candidates(Flow(CLIENT, ip("172.30.20.0"), 1, 81, TCP)) == (10_000,)


@pytest.mark.parametrize(
    ("visited", "ns"), [(0, 0), (100, 600), (10_000, 60_000), (30_000, 60_000 + 20_000 * 21)]
)
def test_cost_is_convex(visited, ns):
    assert traversal_ns(visited) == ns
