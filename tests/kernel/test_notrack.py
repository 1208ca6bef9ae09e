"""The raw table: NOTRACK leaves conntrack and NAT out, and nothing remembered goes round it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netlab import Bench, Lab, Service, tcp, udp

from netsim.kernel.netfilter import conntrack_in, raw_table
from netsim.kernel.xtables_store import XtablesError
from netsim.wire.addr import ip_text

NOTRACK = "*raw\n-A PREROUTING -d 10.2.0.9/32 -p udp -m udp --dport 53 -j NOTRACK\nCOMMIT\n"
DNAT = "-A PREROUTING -d 10.2.0.9/32 -j DNAT --to-destination 10.2.0.5"


def test_an_untracked_packet_has_no_entry_and_no_nat() -> None:
    bench = Bench()
    bench.rules(DNAT)
    bench.rules(NOTRACK)
    bench.left.arrive(udp("10.1.0.9", 4000, "10.2.0.9", 53))
    assert ip_text(bench.right.one().flow.dst) == "10.2.0.9"
    assert not bench.ct.table
    bench.left.arrive(udp("10.1.0.9", 4000, "10.2.0.9", 54))
    bench.left.arrive(tcp("10.1.0.9", 4000, "10.2.0.9", 53, "S"))
    assert [ip_text(packet.flow.dst) for packet in bench.right.take()] == ["10.2.0.5"] * 2
    assert len(bench.ct.table) == 4


def test_the_filter_sees_it_as_untracked() -> None:
    bench = Bench()
    bench.rules(NOTRACK)
    bench.rules("*filter\n-A FORWARD -m conntrack --ctstate UNTRACKED -j DROP\nCOMMIT\n")
    bench.left.arrive(udp("10.1.0.9", 4000, "10.2.0.9", 53))
    bench.left.arrive(udp("10.1.0.9", 4000, "10.2.0.9", 54))
    assert [packet.flow.dport for packet in bench.right.take()] == [54]
    assert bench.drops() == {("FORWARD", "NETFILTER_DROP"): 1}


def test_raw_can_drop() -> None:
    bench = Bench()
    bench.rules("*raw\n-A PREROUTING -p udp -m udp --dport 53 -j DROP\nCOMMIT\n")
    bench.left.arrive(udp("10.1.0.9", 4000, "10.2.0.9", 53))
    bench.ended("PREROUTING", "NETFILTER_DROP")
    assert not bench.ct.table


def test_the_hook_is_there_only_while_there_are_rules() -> None:
    bench = Bench()
    assert bench.ns.hooks[0][0] is conntrack_in
    bench.rules(NOTRACK)
    assert bench.ns.hooks[0][0] is bench.ns.hooks[3][0] is raw_table
    bench.rules("*raw\n-F PREROUTING\nCOMMIT\n")
    assert bench.ns.hooks[0][0] is conntrack_in


@pytest.mark.parametrize("target", ["NOTRACK", "CT --notrack"])
def test_as_text(target: str) -> None:
    bench = Bench()
    line = f"-A PREROUTING -d 10.2.0.9/32 -p udp -m udp --dport 53 -j {target}"
    bench.rules(f"*raw\n{line}\nCOMMIT\n")
    assert bench.ns.xtables is not None
    assert line in bench.ns.xtables.save()


@pytest.mark.parametrize(
    ("table", "rule", "words"),
    [
        ("filter", "-A FORWARD -j NOTRACK", "works in table raw only"),
        ("raw", "-A PREROUTING -j CT --zone 1", "unknown option"),
    ],
)
def test_what_is_refused(table: str, rule: str, words: str) -> None:
    with pytest.raises(XtablesError, match=words):
        Bench().rules(f"*{table}\n{rule}\nCOMMIT\n")


ADDRESSES = [f"10.1.0.{n}" for n in (5, 6)]
packets = st.lists(
    st.tuples(st.sampled_from(ADDRESSES), st.integers(4000, 4003), st.sampled_from([53, 54]), st.booleans()),
    max_size=30,
)


@settings(max_examples=60)
@given(packets)
def test_remembered_paths_do_as_the_full_one(steps: list[tuple[str, int, int, bool]]) -> None:
    """The same packets and answers by `fastpath.receiver` and by the full path, with raw rules for a part of them."""
    fast, full = Bench(), Bench()
    for bench in (fast, full):
        bench.rules(DNAT.replace("-j", "-p udp -m udp --dport 54 -j"))
        bench.rules(
            NOTRACK
            + "*raw\n-A PREROUTING -s 10.2.0.5/32 -p udp -m udp --sport 54 --dport 4001 -j NOTRACK\nCOMMIT\n"
        )
    for now, (source, port, dport, answered) in enumerate(steps, start=1):
        for bench, arrive in ((fast, "arrive_fast"), (full, "arrive")):
            getattr(bench.left, arrive)(udp(source, port, "10.2.0.9", dport), now * 1000)
            if answered:
                target = "10.2.0.5" if dport == 54 else "10.2.0.9"
                getattr(bench.right, arrive)(udp(target, dport, source, port), now * 1000 + 500)
    seen = [[(p.flow, p.ttl) for p in (*b.left.take(), *b.right.take())] for b in (fast, full)]
    assert seen[0] == seen[1]
    assert list(fast.ct.table) == list(full.ct.table)


def test_a_fabrics_books_close_with_it() -> None:
    lab = Lab()
    server, client = lab.pod(2, 1), lab.pod(1, 1)
    lab.serve(Service("10.96.0.10", 53, [(ip_text(server.address), 53)]))
    lab.rules("*raw\n-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j NOTRACK\nCOMMIT\n")
    lab.send(client, udp(ip_text(client.address), 4000, "10.96.0.10", 53))
    lab.run(10**9)
    lab.check_books()  # to a ClusterIP without NAT: nobody has the address
    assert sum(number for (_, reason), number in lab.fabric.router.ns.drops.items() if reason) == 1
