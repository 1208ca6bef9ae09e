"""The race of two UDP packets for one conntrack entry: when there is one, who loses, and what each kernel does then."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netlab import Bench, udp

from netsim.kernel.clash import resolution_of
from netsim.wire.addr import ip_text

WINDOW = 10_000
CLIENT, VIP, PODS = "10.1.0.9", "10.96.0.10", ("10.2.0.2", "10.2.0.3")
TO_TWO = f"""
-A PREROUTING -d {VIP}/32 -p udp -m udp --dport 53 -m statistic --mode random --probability 0.5000000000 -j DNAT --to-destination {PODS[0]}:53
-A PREROUTING -d {VIP}/32 -p udp -m udp --dport 53 -j DNAT --to-destination {PODS[1]}:53
"""  # noqa: E501 - as iptables-save prints them
TO_ONE = f"-A PREROUTING -d {VIP}/32 -p udp -m udp --dport 53 -j DNAT --to-destination {PODS[0]}:53"
LOST = ("POSTROUTING", "CONNTRACK_INSERT_FAILED")


def bench(how: str = "none", rules: str = TO_TWO, window_ns: int = WINDOW) -> Bench:
    made = Bench(conntrack_race_window_ns=window_ns, clash_resolution=how)
    made.rules(rules)
    return made


def pair(made: Bench, at: int, port: int, gap_ns: int = 26, *, busy: bool = True) -> list[str]:
    """A and AAAA from one port, on a node that has (`busy`) another first packet in hand; where they went."""
    if busy:
        made.left.arrive(udp("10.1.0.7", port, VIP, 53), at - 100)
        made.right.take()
    for when in (at, at + gap_ns):
        made.left.arrive(udp(CLIENT, port, VIP, 53), when)
    return [ip_text(packet.flow.dst) for packet in made.right.take()]


def lost(made: Bench) -> int:
    return made.drops().get(LOST, 0)


@pytest.mark.parametrize(
    ("kernel", "how"),
    [
        ((4, 15), "none"),
        ((4, 19), "none"),
        ((5, 0), "equal"),
        ((5, 6), "equal"),
        ((5, 7), "harder"),
        ((6, 8), "harder"),
    ],
)
def test_kernels(kernel: tuple[int, int], how: str) -> None:
    assert resolution_of(kernel) == how


@pytest.mark.parametrize("rules", [TO_ONE, TO_TWO])
def test_an_old_kernel_loses_the_second_packet(rules: str) -> None:
    made = bench("none", rules)
    assert len(pair(made, 10**9, 4000)) == 1
    assert (lost(made), made.ct.insert_failed, made.ct.clash_resolve) == (1, 1, 0)


def test_linux_5_0_saves_equals_only() -> None:
    made = bench("equal", TO_ONE)
    assert pair(made, 10**9, 4000) == [PODS[0]] * 2
    assert (lost(made), made.ct.clash_resolve) == (0, 1)
    made = bench("equal", TO_TWO)
    went = [pair(made, 10**9 * n, 4000 + n) for n in range(1, 41)]
    same = sum(len(targets) == 2 for targets in went)
    assert all(len(set(targets)) == 1 for targets in went)
    assert 8 <= same <= 32  # a half, by lot
    assert (lost(made), made.ct.insert_failed, made.ct.clash_resolve) == (40 - same, 40 - same, same)


def test_linux_5_7_saves_both_and_translates_both_answers() -> None:
    made = bench("harder")
    went = [pair(made, 10**9 * n, 4000 + n) for n in range(1, 41)]
    assert all(len(targets) == 2 for targets in went)
    assert any(len(set(targets)) == 2 for targets in went)
    assert lost(made) == made.ct.insert_failed == 0
    port, targets = next((4001 + n, targets) for n, targets in enumerate(went) if len(set(targets)) == 2)
    at = 10**9 * (port - 4000) + 500_000
    for target in targets:
        made.right.arrive(udp(target, 53, CLIENT, port), at)
        [answer] = made.left.take()
        assert (ip_text(answer.flow.src), answer.flow.sport) == (VIP, 53)


def test_the_extra_entry_lives_a_second_whatever_it_carries() -> None:
    made = bench("harder")
    for n in range(1, 40):
        at, port = 10**9 * 100 * n, 4000 + n
        targets = pair(made, at, port)
        if len(set(targets)) == 2:
            break
    made.right.arrive(udp(targets[1], 53, CLIENT, port), at + 900_000_000)
    assert len(made.left.take()) == 1
    # Nobody knows the second endpoint any more: its packet goes out as it came.
    made.right.arrive(udp(targets[1], 53, CLIENT, port), at + 1_100_000_000)
    assert [ip_text(packet.flow.src) for packet in made.left.take()] == [targets[1]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"busy": False}, "one CPU works off one packet after the other"),
        ({"gap_ns": WINDOW}, "the entry is in the table by then"),
    ],
)
def test_no_race(change: dict[str, int], why: str) -> None:
    made = bench("none")
    went = pair(made, 10**9, 4000, **change)  # type: ignore[arg-type]
    assert len(went) == 2, why
    assert len(set(went)) == 1, why
    assert lost(made) == 0


def test_an_answered_flow_and_another_port_do_not_race() -> None:
    made = bench("none")
    made.left.arrive(udp("10.1.0.7", 1, VIP, 53), 0)
    for port in (4000, 4001):  # single-request-reopen
        made.left.arrive(udp(CLIENT, port, VIP, 53), 100 + port)
    first = made.right.take()[1]
    made.right.arrive(udp(ip_text(first.flow.dst), 53, CLIENT, 4000), 5000)
    made.left.arrive(udp(CLIENT, 4000, VIP, 53), 5100)  # single-request: after the answer
    assert lost(made) == 0
    assert len(made.right.take()) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30_000), st.booleans()), max_size=30),
    st.sampled_from(["none", "equal", "harder"]),
)
def test_without_a_window_nothing_changes(steps: list[tuple[int, int, bool]], how: str) -> None:
    """Window 0, by the full and by the remembered path, is a node that finds each entry at once."""
    plain, windowless = bench("harder", TO_TWO, 1), bench(how, TO_TWO, 0)
    now = 10**9
    for port, gap, answered in steps:
        now += gap + 1
        for made in (plain, windowless):
            made.left.arrive(udp(CLIENT, 4000 + port, VIP, 53), now)
            if answered and made.right.sent:
                target = made.right.sent[-1][1].flow.dst
                made.right.arrive(udp(ip_text(target), 53, CLIENT, 4000 + port), now)
    outcome = [
        [(p.flow, p.ttl) for p in (*made.right.take(), *made.left.take())] + sorted(made.drops().items())
        for made in (plain, windowless)
    ]
    assert outcome[0] == outcome[1]
