"""nftables in one namespace: evaluation, sets, base chains at the hooks beside iptables, transactions."""

from collections import Counter

import pytest
from netlab import Bench, filter, ping, tcp, udp

from netsim.kernel.hooks import ESTABLISHED, NEW, Hook, Traversal
from netsim.kernel.nft import Nftables, NftError
from netsim.kernel.nft_key import Key
from netsim.kernel.nft_match import (
    Address,
    CtState,
    InSet,
    InterfaceName,
    L4Protocol,
    LocalAddress,
    Mark,
    Port,
    SetMark,
    Update,
)
from netsim.kernel.nft_table import DYNAMIC_SIZE, Base, Chain, Element, NamedSet, Rule, SetSpec, TableId
from netsim.kernel.nft_transaction import (
    AddElement,
    AddSet,
    DeleteChain,
    DeleteElement,
    DeleteSet,
    FlushChain,
    FlushSet,
    Transaction,
    Write,
)
from netsim.kernel.nft_verdict import (
    ACCEPT,
    CONTINUE,
    DROP,
    REJECT,
    RETURN,
    RandomMap,
    VerdictMap,
    final,
    goto,
    jump,
)
from netsim.kernel.targets import Dnat, Masquerade, Reject, Snat
from netsim.wire.addr import Prefix, ip, ip_text
from netsim.wire.packet import SCTP, TCP, UDP

TABLE = TableId("ip", "lab")
FORWARD = Base("filter", Hook.FORWARD, 0)
CLIENT, SERVER = "10.1.0.5", "10.2.0.5"
SERVICE = Key(("daddr", "l4proto", "dport"))
S = 1_000_000_000


def tx(*commands, table=TABLE):
    return Transaction(table, commands)


def chains(**rules):
    """Writes regular chains; `forward` is a base chain."""
    return [
        Write(Chain(name, tuple(found), FORWARD if name == "forward" else None))
        for name, found in rules.items()
    ]


def to(address, negated=False):
    return Address("daddr", (Prefix.parse(address),), negated)


def judged(*commands, packet=None, state=NEW, table=TABLE):
    """Verdict, mark and rules visited of a packet that is forwarded; asked twice, so that memory must agree."""
    bench = Bench()
    bench.ns.nft.commit(tx(*commands, table=table))
    answers = []
    for _ in range(2):
        t = Traversal(bench.ns, packet or tcp(CLIENT, 4000, SERVER, 80, "S"), bench.left.device, 0)
        t.packet.mark = 0
        t.out_device, t.ctstate = bench.right.device, state
        verdict = bench.ns.nft.evaluate(str(table), "forward", t)
        answers.append((verdict, t.packet.mark, t.visited))
    assert answers[0] == answers[1]
    return answers[0]


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        (to("10.2.0.0/16"), True),
        (to("10.2.0.5/32", negated=True), False),
        (Address("saddr", (Prefix.parse("10.9.0.0/16"), Prefix.parse("10.1.0.5/32"))), True),
        (Address("saddr", (Prefix.parse("10.9.0.0/16"),), negated=True), True),
        (L4Protocol(TCP), True),
        (L4Protocol(UDP), False),
        (Port(TCP, 80), True),
        (Port(UDP, 80), False),
        (Port(TCP, 70, 79), False),
        (Port(TCP, 80, negated=True), False),
        (CtState(("NEW", "RELATED")), True),
        (CtState(("INVALID",)), False),
        (Mark(0, 0x4000), True),
        (Mark(1), False),
        (LocalAddress("daddr"), False),
        (InterfaceName("left"), True),
        (InterfaceName("le*"), True),
        (InterfaceName("le*", negated=True), False),
        (InterfaceName("right", outgoing=True), True),
    ],
    ids=str,
)
def test_expressions(expression, matches):
    verdict, _, visited = judged(*chains(forward=[Rule((expression,), DROP)]))
    assert (verdict is not None, visited) == (matches, 1)


@pytest.mark.parametrize(
    ("rules", "dropped", "visited"),
    [
        ({"forward": [Rule((), jump("a")), Rule((), DROP)], "a": [Rule()]}, True, 3),
        ({"forward": [Rule((), goto("a")), Rule((), DROP)], "a": [Rule()]}, False, 2),
        (
            {"forward": [Rule((), jump("a")), Rule((), DROP)], "a": [Rule((), RETURN), Rule((), ACCEPT)]},
            True,
            3,
        ),
        ({"forward": [Rule((), jump("a")), Rule((), DROP)], "a": [Rule((), ACCEPT)]}, False, 2),
        ({"forward": [Rule((), RETURN), Rule((), DROP)]}, False, 1),
        ({"forward": [Rule((), CONTINUE), Rule((), DROP)]}, True, 2),
        # The end of a chain that was gone to leads back to where its caller was called.
        (
            {
                "forward": [Rule((), jump("a")), Rule((), DROP)],
                "a": [Rule((), goto("b")), Rule((), ACCEPT)],
                "b": [Rule()],
            },
            True,
            4,
        ),
        ({"forward": [Rule((L4Protocol(UDP),), DROP), Rule((L4Protocol(TCP),), DROP)]}, True, 2),
    ],
)
def test_the_way_through_chains(rules, dropped, visited):
    verdict, _, seen = judged(*chains(**rules))
    assert (verdict is not None, seen) == (dropped, visited)


@pytest.mark.parametrize(
    ("policy", "end", "dropped"),
    [("DROP", ACCEPT, False), ("DROP", CONTINUE, True), ("ACCEPT", CONTINUE, False)],
)
def test_policy(policy, end, dropped):
    chain = Chain("forward", (Rule((), end),), Base("filter", Hook.FORWARD, 0, policy))
    assert (judged(Write(chain))[0] is not None) is dropped


@pytest.mark.parametrize(("how", "mark"), [("or", 0x6), ("xor", 0x6), ("and", 0), ("", 0x4)])
def test_marks(how, mark):
    rules = [Rule((SetMark(2),)), Rule((SetMark(4, how),)), Rule((Mark(mark),), DROP)]
    assert judged(*chains(forward=rules))[:2] == (DROP.target, mark)


def maps(*elements, name="services", key=SERVICE):
    return [AddSet(SetSpec(name, key, True)), *(AddElement(Element(name, *rest)) for rest in elements)]


@pytest.mark.parametrize(
    ("packet", "dropped", "visited"),
    [
        (tcp(CLIENT, 1, SERVER, 80, "S"), True, 2),
        (tcp(CLIENT, 1, SERVER, 81, "S"), False, 2),
        (udp(CLIENT, 1, SERVER, 80), False, 2),
        (ping(CLIENT, SERVER), False, 2),
    ],
)
def test_a_verdict_map_is_one_look_up(packet, dropped, visited):
    elements = [((ip(f"10.3.{n >> 8}.{n & 255}"), TCP, 80), goto("sink")) for n in range(3000)]
    elements.append(((ip(SERVER), TCP, 80), goto("sink")))
    rules = chains(forward=[Rule((), VerdictMap(SERVICE, "services")), Rule()], sink=[Rule((), DROP)])
    verdict, _, seen = judged(*maps(*elements), *rules, packet=packet)
    assert (verdict is not None, seen) == (dropped, visited)


def test_sets():
    found = [AddSet(SetSpec("ips", Key(("daddr",)))), AddElement(Element("ips", ip(SERVER)))]
    rules = chains(forward=[Rule((InSet(Key(("daddr",)), "ips"),), DROP)])
    assert judged(*found, *rules)[0] is not None
    assert judged(*found, DeleteElement(found[1].element), *rules)[0] is None
    assert judged(*found, FlushSet("ips"), *rules)[0] is None


def test_tables_see_their_family_only():
    bench = Bench()
    for family, count in (("ip6", 0), ("ip", 1), ("inet", 2)):
        write = Write(Chain("forward", (Rule((), DROP),), FORWARD))
        bench.ns.nft.commit(tx(write, table=TableId(family, "lab")))
        bench.left.arrive(tcp(CLIENT, 4000 + count, SERVER, 80, "S"))
        assert sum(bench.ns.drops.values()) == count


@pytest.mark.parametrize("ways", [1, 2, 3, 7])
def test_lots_are_fair(ways):
    bench = Bench()
    ends = {f"end-{n}": [Rule((), final(Dnat(ip(f"10.2.0.{10 + n}"), 80)))] for n in range(ways)}
    draw = Rule((), RandomMap(tuple(goto(name) for name in ends)))
    nat = Chain("nat", (draw,), Base("nat", Hook.PREROUTING, -100))
    bench.ns.nft.commit(tx(*chains(**ends), Write(nat)))
    for port in range(1000 * ways):
        bench.left.arrive(udp(CLIENT, 1024 + port, SERVER, 53))
    split = Counter(ip_text(packet.flow.dst) for packet in bench.right.take())
    assert len(split) == ways
    assert (
        sum((count - 1000) ** 2 / 1000 for count in split.values()) < 27.9
    )  # 0.01 % point, 6 degrees of freedom


# ------------------------------------------------------------------ dynamic sets
def test_update_renews_and_elements_go():
    bench = Bench()
    key, spec = Key(("saddr",)), SetSpec("clients", Key(("saddr",)), dynamic=True, timeout_s=10)
    rules = [Rule((InSet(key, "clients"),), DROP), Rule((Port(TCP, 81), Update(key, "clients")))]
    bench.ns.nft.commit(tx(AddSet(spec), *chains(forward=rules)))
    passed = []
    for port, now in ((80, 0), (81, 1), (80, 10), (80, 12), (81, 13), (80, 22), (80, 24)):
        bench.left.arrive(udp(CLIENT, 1, SERVER, 9), now * S)
        bench.right.take()
        bench.left.arrive(tcp(CLIENT, 4000 + now, SERVER, port, "S"), now * S)
        passed.append(len(bench.right.take()))
    assert passed == [1, 1, 0, 1, 1, 0, 1]
    assert "elements" not in bench.ns.nft.list_ruleset(24 * S)
    assert "\t\telements = { 10.1.0.5 expires 7s }\n" in bench.ns.nft.list_ruleset(16 * S)


def test_a_full_set_takes_no_more():
    found = NamedSet(SetSpec("clients", Key(("saddr",)), dynamic=True, timeout_s=10))
    assert all(found.renew(number.to_bytes(4), 0) for number in range(DYNAMIC_SIZE))
    assert not found.renew(b"late", S)
    assert found.renew(bytes(4), S)
    assert found.renew(b"late", 10 * S)
    assert [value for value, _, _ in found.learnt(10 * S)] == [bytes(4), b"late"]


@pytest.mark.parametrize("wrong", [{"is_map": True, "timeout_s": 1}, {}])
def test_dynamic_sets_time_out_and_are_no_maps(wrong):
    with pytest.raises(ValueError, match="needs a timeout"):
        SetSpec("x", Key(("saddr",)), dynamic=True, **wrong)


# ------------------------------------------------------------------ at the hooks
def base(name, kind, hook, priority, *rules):
    return Write(Chain(name, rules, Base(kind, hook, priority)))


def test_accept_ends_one_base_chain_and_drop_all():
    """An accepted packet meets the later chains at the hook, iptables's too."""
    bench = Bench()
    accept = base("one", "filter", Hook.FORWARD, -1, Rule((), ACCEPT))
    bench.ns.nft.commit(tx(accept))
    bench.rules(filter("-A FORWARD -p udp -j DROP"))
    bench.left.arrive(udp(CLIENT, 1, SERVER, 1))
    assert bench.right.take() == []
    bench.left.arrive(tcp(CLIENT, 1, SERVER, 1, "S"))
    assert len(bench.right.take()) == 1
    bench.ns.nft.commit(tx(base("two", "filter", Hook.FORWARD, 5, Rule((), DROP))))
    bench.left.arrive(tcp(CLIENT, 2, SERVER, 1, "S"))
    assert bench.right.take() == []


def test_chains_of_one_priority_the_youngest_first():
    bench = Bench()
    for name in ("old", "young"):
        bench.ns.nft.commit(tx(base(name, "filter", Hook.FORWARD, 0, Rule())))
    assert [found.name for found in bench.ns.nft.bases] == ["young", "old"]


def test_filter_before_dnat_sees_the_first_destination():
    bench = Bench()
    early = base("early", "filter", Hook.PREROUTING, -110, Rule((to("10.96.0.1/32"), Port(TCP, 81)), DROP))
    late = base("late", "filter", Hook.FORWARD, 0, Rule((to("10.96.0.1/32"),), DROP))
    nat = base("nat", "nat", Hook.PREROUTING, -100, Rule((), final(Dnat(ip(SERVER), 80))))
    bench.ns.nft.commit(tx(early, late, nat))
    bench.left.arrive(tcp(CLIENT, 1, "10.96.0.1", 80, "S"))
    assert bench.right.one().flow.dst == ip(SERVER)
    bench.left.arrive(tcp(CLIENT, 1, "10.96.0.1", 81, "S"))
    assert bench.drops() == {("PREROUTING", "NETFILTER_DROP"): 1}


@pytest.mark.parametrize(("priority", "address"), [(-101, "10.2.0.9"), (-100, "10.2.0.9"), (-99, "10.2.0.8")])
def test_the_first_nat_engine_that_decides_wins(priority, address):
    bench = Bench()
    bench.rules("-A PREROUTING -p tcp -j DNAT --to-destination 10.2.0.8")
    rules = (Rule((L4Protocol(TCP),), final(Dnat(ip("10.2.0.9")))),)
    bench.ns.nft.commit(tx(base("nat", "nat", Hook.PREROUTING, priority, *rules)))
    bench.left.arrive(tcp(CLIENT, 1, SERVER, 80, "S"))
    assert ip_text(bench.right.one().flow.dst) == address


@pytest.mark.parametrize(
    ("target", "source"),
    [(Masquerade(), "10.2.0.1"), (Snat(ip("10.2.0.77")), "10.2.0.77"), (Masquerade(True), "10.2.0.1")],
)
def test_source_nat(target, source):
    bench = Bench()
    bench.ns.nft.commit(tx(base("nat", "nat", Hook.POSTROUTING, 100, Rule((), final(target)))))
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    found = bench.right.one().flow
    assert ip_text(found.src) == source
    assert (found.sport == 4000) is (target != Masquerade(True))


@pytest.mark.parametrize("hook", [Hook.PREROUTING, Hook.POSTROUTING])
def test_nat_chains_may_drop(hook):
    bench = Bench()
    bench.ns.nft.commit(tx(base("nat", "nat", hook, 0, Rule((), DROP))))
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    bench.ended(hook.name, "NETFILTER_DROP")


@pytest.mark.parametrize(
    ("verdict", "told"),
    [(REJECT, (3, 3)), (final(Reject("icmp-admin-prohibited")), (3, 13))],
)
def test_reject_tells_the_sender(verdict, told):
    bench = Bench()
    bench.ns.nft.commit(tx(*chains(forward=[Rule((), verdict)])))
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    bench.ended("FORWARD", "NETFILTER_REJECT")
    answer = bench.left.one()
    assert (answer.body.type, answer.body.code) == told


def test_without_base_chains_iptables_is_alone():
    bench = Bench()
    before = list(bench.ns.hooks)
    bench.ns.nft.commit(tx(*chains(forward=[Rule()])))
    assert bench.ns.hooks[Hook.FORWARD] != before[Hook.FORWARD]
    assert bench.ns.engines == (bench.ns.xtables, bench.ns.ip6tables, bench.ns.nft)
    bench.ns.nft.delete_table(TABLE)
    assert bench.ns.hooks == before
    assert bench.ns.engines == (bench.ns.xtables, bench.ns.ip6tables)
    assert bench.ns.nft.list_ruleset() == ""


def test_nat_has_no_forward_hook():
    with pytest.raises(ValueError, match="forward"):
        Base("nat", Hook.FORWARD, 0)


# ------------------------------------------------------------------ counters and transactions
def test_counters_count_and_go_with_their_chain():
    bench = Bench()
    rules = [Rule((L4Protocol(UDP),), counted=True), Rule((CtState(("NEW",)),), ACCEPT, counted=True)]
    bench.ns.nft.commit(tx(*chains(forward=rules)))
    for port in range(5):
        bench.left.arrive(udp(CLIENT, port, SERVER, 1))
        bench.left.arrive(tcp(CLIENT, port, SERVER, 1, "S"))
    counts = [bench.ns.nft.counter(TABLE, "forward", n).packets for n in (0, 1)]
    assert counts == [5, 10]
    assert f"ct state new counter packets 10 bytes {5 * (32 + 40)} accept" in bench.ns.nft.list_ruleset()
    bench.ns.nft.commit(tx(*chains(forward=rules)))
    assert bench.ns.nft.counter(TABLE, "forward", 0).packets == 0


OLD = Element("m", (ip(SERVER), TCP, 80), goto("old"))
NO_SUCH, BUSY = "No such file or directory", "Device or resource busy"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (chains(forward=[Rule((), jump("nowhere"))]), NO_SUCH),
        (chains(forward=[Rule((), RandomMap((goto("old"), goto("nowhere"))))]), NO_SUCH),
        ([AddElement(Element("m", (ip(SERVER), TCP, 81), goto("nowhere")))], NO_SUCH),
        ([AddElement(Element("no-set", ip(SERVER)))], NO_SUCH),
        (chains(forward=[Rule((), VerdictMap(SERVICE, "no-map"))]), NO_SUCH),
        ([FlushChain("nowhere")], NO_SUCH),
        ([DeleteChain("nowhere")], NO_SUCH),
        ([FlushSet("nowhere")], NO_SUCH),
        ([DeleteSet("nowhere")], NO_SUCH),
        ([DeleteElement(Element("m", (ip(SERVER), UDP, 80)))], NO_SUCH),
        ([DeleteElement(OLD), DeleteElement(OLD)], NO_SUCH),
        ([DeleteElement(OLD), DeleteChain("old")], BUSY),  # a rule still leads there
        ([FlushChain("user"), DeleteChain("old")], BUSY),  # an element still does
        ([DeleteSet("m"), FlushChain("user"), DeleteChain("old")], BUSY),
        ([DeleteSet("ips")], BUSY),
    ],
)
def test_what_nft_refuses_changes_nothing(wrong, error):
    nft = Nftables()
    key = Key(("daddr",))
    nft.commit(
        tx(
            AddSet(SetSpec("m", SERVICE, True)),
            AddSet(SetSpec("ips", key)),
            *chains(old=[Rule((), DROP)], user=[Rule((InSet(key, "ips"),), jump("old"))]),
            *chains(looks=[Rule((), VerdictMap(SERVICE, "m"))]),
            AddElement(OLD),
        )
    )
    before = nft.list_ruleset()
    with pytest.raises(NftError, match=error):
        nft.commit(tx(*wrong))
    assert nft.list_ruleset() == before
    # What is in use may go when its users go with it.
    nft.commit(
        tx(FlushChain("looks"), DeleteSet("m"), DeleteChain("user"), DeleteChain("old"), DeleteSet("ips"))
    )
    assert nft.tables[str(TABLE)].keys() == {"looks"}


def test_flush_and_delete():
    nft = Nftables()
    spec = SetSpec("ips", Key(("daddr",)))
    nft.commit(
        tx(
            AddSet(spec),
            AddElement(Element("ips", ip(SERVER))),
            *chains(a=[Rule((), DROP)], forward=[Rule()]),
        )
    )
    nft.commit(tx(AddSet(spec), FlushChain("a"), FlushChain("forward")))
    assert nft.sets[str(TABLE)]["ips"].elements.keys() == {
        ip(SERVER)
    }  # adding a set that is there changes nothing
    assert nft.tables[str(TABLE)]["a"].rules == ()
    assert nft.tables[str(TABLE)]["forward"].base == FORWARD
    nft.commit(tx(DeleteSet("ips"), DeleteChain("a"), DeleteChain("forward")))
    assert (nft.sets[str(TABLE)], nft.tables[str(TABLE)], nft.bases) == ({}, {}, ())


def test_established_packets_are_not_new():
    rules = chains(forward=[Rule((CtState(("NEW",)),), DROP)])
    assert judged(*rules, state=ESTABLISHED)[0] is None
    assert judged(*rules)[0] is not None


def test_protocols_of_ports():
    packet = udp(CLIENT, 1, SERVER, 80)
    packet.flow = packet.flow._replace(proto=SCTP)
    assert judged(*chains(forward=[Rule((Port(SCTP, 80),), DROP)]), packet=packet)[0] is not None
