"""Links: serialisation and propagation to the nanosecond, the queue's limit, netem's impairments, up and down."""

import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlab import Clock, Port, namespace, udp

from netsim.engine import MS, US, Engine, S
from netsim.fabric.link import Link, LinkSpec, Netem
from netsim.kernel.hooks import DropReason
from netsim.wire.packet import Packet

HEADERS = 14 + 20 + 8


def frame(size: int, uid: int = 0) -> Packet:
    packet = udp("10.0.0.1", 1, "10.0.0.2", 2, b"x" * (size - HEADERS))
    packet.uid = uid
    return packet


class Wire:
    """One link from nowhere, and the arrivals at its end."""

    def __init__(self, seed: int = 1, netem: Netem | None = None, **spec: Any) -> None:
        self.engine = Engine(seed)
        self.link = Link(self.engine, "wire", LinkSpec(**spec))
        self.arrivals: list[tuple[int, int]] = []
        self.link.connect(lambda packet: self.arrivals.append((self.engine.now, packet.uid)))
        self.impair(netem)

    def impair(self, netem: Netem | None) -> None:
        self.link.netem = netem
        self.link.rewire()

    def send_at(self, at_ns: int, size: int = 1000, uid: int = 0, start_ns: int | None = None) -> None:
        start = at_ns if start_ns is None else start_ns
        self.engine.call_at(at_ns, lambda: self.link.forward(frame(size, uid), start))

    def run(self, until: int = 100 * S) -> list[tuple[int, int]]:
        self.engine.run(until)
        return self.arrivals

    @property
    def times(self) -> list[int]:
        return [at for at, _ in self.arrivals]

    def drops(self) -> dict[str, int]:
        return {reason.name: number for reason, number in self.link.drops.items()}


# ---------------------------------------------------------------- the plain link
@pytest.mark.parametrize(
    ("size", "rate", "delay", "expected"),
    [
        (1000, 10**9, 100 * US, 8 * US + 100 * US),
        (1500, 10**10, 0, 1200),
        (98, 10**10, 0, 78),  # 78.4 ns: whole nanoseconds
        (1514, 25 * 10**9, 1700, 484 + 1700),
        (1000, 10**6, 5 * MS, 8 * MS + 5 * MS),
        (1000, 1000, 0, 8 * S),
    ],
)
def test_serialisation_and_propagation(size: int, rate: int, delay: int, expected: int) -> None:
    wire = Wire(rate_bps=rate, delay_ns=delay)
    wire.send_at(1000, size)
    wire.run()
    assert wire.times == [1000 + expected]


def test_one_after_the_other() -> None:
    """Back to back frames leave one serialisation time apart; a later one finds the transmitter idle again."""
    wire = Wire(rate_bps=10**9, delay_ns=100 * US)
    for uid, at in enumerate([1000, 1000, 3000, 10**6]):
        wire.send_at(at, 1000, uid)
    first = 1000 + 8 * US + 100 * US
    assert wire.run() == [(first, 0), (first + 8 * US, 1), (first + 16 * US, 2), (10**6 + 108 * US, 3)]
    assert (wire.link.packets, wire.link.bytes) == (4, 4000)


def test_transmission_may_start_later_than_now() -> None:
    """A router asks for it: the time that crossing it takes."""
    wire = Wire(rate_bps=10**9, delay_ns=0)
    wire.send_at(1000, 1000, start_ns=1000 + 30 * US)
    wire.run()
    assert wire.times == [1000 + 38 * US]


def test_the_queue_has_a_limit() -> None:
    """A frame that would wait longer than the limit is lost: 10 us of 8 us frames are the one in service and two."""
    wire = Wire(rate_bps=10**9, delay_ns=0, queue_ns=10 * US)
    for uid in range(5):
        wire.send_at(1000, 1000, uid)
    assert [uid for _, uid in wire.run()] == [0, 1]
    assert wire.drops() == {"LINK_QUEUE_FULL": 3}
    assert wire.link.packets == 2


def test_the_limit_itself_is_still_allowed() -> None:
    wire = Wire(rate_bps=10**9, delay_ns=0, queue_ns=16 * US)
    for uid in range(5):
        wire.send_at(1000, 1000, uid)
    assert [uid for _, uid in wire.run()] == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(HEADERS, 1514)), min_size=1, max_size=30))
def test_never_reorders_and_never_exceeds_its_rate(gaps: list[tuple[int, int]]) -> None:
    wire, at = Wire(rate_bps=10**9, delay_ns=5000, queue_ns=S), 1
    for uid, (gap, size) in enumerate(gaps):
        at += gap
        wire.send_at(at, size, uid)
    arrivals = wire.run()
    assert [uid for _, uid in arrivals] == list(range(len(gaps)))
    for (before, _), (after, uid) in pairwise(arrivals):
        assert after - before >= gaps[uid][1] * 8
    # Lindley's recursion, written down independently.
    free, sent, expected = 0, 1, []
    for gap, size in gaps:
        sent += gap
        free = max(free, sent) + size * 8
        expected.append(free + 5000)
    assert wire.times == expected


# ---------------------------------------------------------------- M/M/1
def test_waiting_times_are_those_of_an_mm1_queue() -> None:
    """Poisson arrivals of packets with exponential sizes: the mean time in the system is 1 / (mu - lambda), the mean
    wait rho / (mu - lambda), and a share of 1 - rho waits not at all (Kleinrock, Queueing Systems I, 3.2; PASTA)."""
    rho, mean_ns, number = 0.7, 8000.0, 60_000
    rng = random.Random(12345)
    wire = Wire(rate_bps=10**9, delay_ns=0, queue_ns=10**12)
    at, sent = 1.0, []
    for uid in range(number):
        at += rng.expovariate(rho / mean_ns)
        packet = frame(HEADERS)
        packet.uid, packet.size = uid, round(rng.expovariate(8 / mean_ns))
        sent.append((round(at), packet.size * 8))
        wire.engine.call_at(round(at), wire.link.forward, packet, round(at))
    wire.run(10**12)
    total = [arrived - start for (start, _), (arrived, _) in zip(sent, wire.arrivals, strict=True)]
    waits = [spent - service for spent, (_, service) in zip(total, sent, strict=True)]
    mu_minus_lambda = (1 - rho) / mean_ns
    # Samples depend on each other over a busy period; the relative error at this length is about 3 %.
    assert sum(total) / number == pytest.approx(1 / mu_minus_lambda, rel=0.1)
    assert sum(waits) / number == pytest.approx(rho / mu_minus_lambda, rel=0.12)
    assert sum(wait < 8 for wait in waits) / number == pytest.approx(1 - rho, abs=0.02)


# ---------------------------------------------------------------- netem
def many(netem: Netem, number: int = 4000, gap: int = 20 * US, seed: int = 1, **spec: Any) -> Wire:
    wire = Wire(seed, netem, **({"rate_bps": 10**9, "delay_ns": 100 * US} | spec))
    for uid in range(number):
        wire.send_at(1 + uid * gap, 1000, uid)
    wire.run()
    return wire


def within(count: int, number: int, probability: float, sigmas: float = 4) -> bool:
    """Whether a binomial count is within some standard deviations; seeds are fixed, so this never flickers."""
    return abs(count - number * probability) <= sigmas * math.sqrt(number * probability * (1 - probability))


@pytest.mark.parametrize("loss", [0.01, 0.3, 1.0])
def test_loss(loss: float) -> None:
    wire = many(Netem(loss=loss))
    lost = wire.drops()["LINK_LOSS"]
    assert within(lost, 4000, loss)
    assert lost + len(wire.arrivals) == 4000


def test_losses_are_independent_of_each_other() -> None:
    """Runs test: losses come singly as often as independence says."""
    arrived = {uid for _, uid in many(Netem(loss=0.3)).arrivals}
    pairs = Counter((uid in arrived, uid + 1 in arrived) for uid in range(3999))
    assert within(pairs[False, False], 3999, 0.09, 5)


def test_delay_comes_on_top() -> None:
    wire = many(Netem(delay_ns=5 * MS))
    assert [at - (1 + uid * 20 * US) for at, uid in wire.arrivals] == [8 * US + 100 * US + 5 * MS] * 4000


def test_jitter_is_uniform_around_the_delay() -> None:
    wire = many(Netem(delay_ns=5 * MS, jitter_ns=2 * MS))
    late = sorted(at - (1 + uid * 20 * US) - 108 * US for at, uid in wire.arrivals)
    assert 3 * MS <= late[0] < late[-1] <= 7 * MS
    assert sum(late) / 4000 == pytest.approx(5 * MS, rel=0.02)
    # Kolmogorov's distance to the uniform distribution; 1.63 / sqrt(n) is its 1 % quantile.
    distance = max(abs(rank / 4000 - (at - 3 * MS) / (4 * MS)) for rank, at in enumerate(late))
    assert distance < 1.63 / math.sqrt(4000)
    assert wire.arrivals != sorted(wire.arrivals, key=lambda arrival: arrival[1])  # they overtake each other


def test_jitter_larger_than_the_delay_never_reaches_into_the_past() -> None:
    wire = many(Netem(delay_ns=MS, jitter_ns=10 * MS))
    late = [at - (1 + uid * 20 * US) - 108 * US for at, uid in wire.arrivals]
    assert min(late) == 0
    assert within(sum(extra == 0 for extra in late), 4000, 0.45)


def test_duplicates() -> None:
    wire = many(Netem(duplicate=0.2))
    assert within(wire.link.duplicated, 4000, 0.2)
    assert len(wire.arrivals) == 4000 + wire.link.duplicated
    copies = Counter(uid for _, uid in wire.arrivals)
    assert set(copies.values()) == {1, 2}


def test_a_duplicate_is_a_packet_of_its_own() -> None:
    wire = Wire(netem=Netem(duplicate=1.0), delay_ns=0)
    arrived: list[Packet] = []
    wire.link.connect(arrived.append)
    wire.send_at(1)
    wire.run()
    one, other = arrived
    assert one is not other
    one.ttl -= 1
    assert (other.ttl, other.uid, other.flow, other.body) == (64, one.uid, one.flow, one.body)


def test_reordered_packets_leave_at_once() -> None:
    wire = many(Netem(delay_ns=5 * MS, reorder=0.25))
    early = sum(at - (1 + uid * 20 * US) == 108 * US for at, uid in wire.arrivals)
    assert within(early, 4000, 0.25)
    assert sum(at - (1 + uid * 20 * US) == 108 * US + 5 * MS for at, uid in wire.arrivals) == 4000 - early


def test_corruption_is_loss_by_checksum() -> None:
    wire = many(Netem(corrupt=0.1))
    assert within(wire.drops()["CHECKSUM"], 4000, 0.1)
    assert wire.drops()["CHECKSUM"] + len(wire.arrivals) == 4000


def test_a_rate_below_the_links_own() -> None:
    """1 Mbit/s: 8 ms per frame, and netem's queue of 1000 packets before anything is lost."""
    wire = many(Netem(rate_bps=10**6), number=1100, gap=US)
    assert wire.times[0] == 1 + 8 * MS + 100 * US
    assert {after - before for before, after in pairwise(wire.times)} == {8 * MS}
    assert len(wire.arrivals) == 1001
    assert wire.drops() == {"LINK_QUEUE_FULL": 99}


def test_a_rate_above_the_links_own_changes_nothing() -> None:
    assert many(Netem(rate_bps=10**12), 50, US).times == many(Netem(), 50, US).times


def test_an_impaired_link_keeps_its_own_rate_and_queue() -> None:
    plain, impaired = (many(Netem(delay_ns=ns), 500, US, queue_ns=100 * US) for ns in (0, 3 * MS))
    assert impaired.times == [at + 3 * MS for at in plain.times]
    assert impaired.drops() == plain.drops()
    assert plain.drops()["LINK_QUEUE_FULL"] > 300


def test_netem_of_nothing_is_the_plain_link() -> None:
    wire = Wire(rate_bps=10**9, queue_ns=100 * US)
    for uid in range(500):
        wire.send_at(1 + uid * US, 1000, uid)
    assert wire.run() == many(Netem(), 500, US, queue_ns=100 * US).arrivals


def test_impairments_repeat_with_the_seed_and_differ_by_link() -> None:
    netem = Netem(delay_ns=MS, jitter_ns=MS, loss=0.1, duplicate=0.1)
    assert many(netem, 200).arrivals == many(netem, 200).arrivals
    assert many(netem, 200).arrivals != many(netem, 200, seed=2).arrivals


def test_plain_again() -> None:
    wire = Wire(netem=Netem(loss=1.0), delay_ns=0, rate_bps=10**9)
    wire.send_at(1, uid=1)
    wire.run(MS)
    wire.impair(None)
    wire.send_at(2 * MS, uid=2)
    wire.run()
    assert [uid for _, uid in wire.arrivals] == [2]
    assert wire.link.forward == wire.link.send


# ---------------------------------------------------------------- up and down, with a device at the end
class Plugged(Wire):
    """The link of a real device, whose drops are those of its namespace."""

    def __init__(self) -> None:
        super().__init__(delay_ns=100 * US)
        self.ns = namespace()
        self.port = Port(self.ns, "eth0", Clock())
        self.link.device = self.port.device
        self.link.rewire()

    def send(self, uid: int) -> None:
        self.port.device.transmit(frame(100, uid), self.engine.now)


def test_down_and_up() -> None:
    wire = Plugged()
    wire.send(1)
    wire.link.up = False
    wire.link.rewire()
    wire.send(2)
    wire.run(S)
    wire.link.up = True
    wire.link.rewire()
    wire.send(3)
    wire.run()
    assert [uid for _, uid in wire.arrivals] == [1, 3]  # what is on the wire arrives
    assert wire.ns.drops == {("LINK", DropReason.LINK_DOWN): 1}


def test_down_wins_over_netem() -> None:
    wire = Plugged()
    wire.link.up = False
    wire.impair(Netem(duplicate=1.0))
    wire.send(1)
    wire.run()
    assert wire.ns.drops == {("LINK", DropReason.LINK_DOWN): 1}
    assert wire.arrivals == []


@pytest.mark.parametrize("netem", [None, Netem(delay_ns=MS)])
def test_taps_see_what_enters(netem: Netem | None) -> None:
    wire, seen = Plugged(), []
    tap: Callable[..., None] = lambda link, packet, at: seen.append((link.name, packet.uid, at))  # noqa: E731
    wire.link.taps.append(tap)
    wire.impair(netem)
    wire.send(1)
    wire.run(S)
    wire.link.taps.remove(tap)
    wire.link.rewire()
    wire.send(2)
    wire.run()
    assert seen == [("wire", 1, 0)]
    assert [uid for _, uid in wire.arrivals] == [1, 2]


def test_rewiring_makes_the_namespace_forget() -> None:
    wire = Plugged()
    before = wire.ns.generation
    wire.link.rewire()
    assert wire.ns.generation > before
    assert wire.port.device.transmit == wire.link.forward
