"""The timer queue: one heap entry per object, one alarm for all, the right moment for each."""

from hypothesis import given
from hypothesis import strategies as st
from netlab import Clock

from netsim.engine import Engine, S


class Recorder:
    """A timed object that writes down when it was called."""

    def __init__(self) -> None:
        self.deadline_ns = 0
        self.armed_ns = 0
        self.calls: list[int] = []

    def expired(self, now: int) -> None:
        self.calls.append(now)


def test_expires_once_at_its_deadline() -> None:
    clock, timed = Clock(), Recorder()
    clock.arm(timed, 50)
    clock.run(49)
    assert timed.calls == []
    clock.run(1000)
    assert timed.calls == [50]
    assert timed.deadline_ns == timed.armed_ns == 0


def test_cancelled_is_never_called() -> None:
    clock, timed = Clock(), Recorder()
    clock.arm(timed, 50)
    timed.deadline_ns = 0
    clock.run(1000)
    assert timed.calls == []


def test_moving_later_costs_no_heap_entry() -> None:
    clock, timed = Clock(), Recorder()
    for at in range(50, 90):
        clock.arm(timed, at)
    assert len(clock.queue) == 1
    clock.run(1000)
    assert timed.calls == [89]


def test_moving_earlier_rings_earlier_and_once() -> None:
    clock, timed = Clock(), Recorder()
    clock.arm(timed, 90)
    clock.arm(timed, 40)
    clock.run(1000)
    assert timed.calls == [40]


def test_earlier_then_later_again() -> None:
    clock, timed = Clock(), Recorder()
    clock.arm(timed, 90)
    clock.arm(timed, 40)
    clock.arm(timed, 90)
    clock.run(1000)
    assert timed.calls == [90]


def test_cancelled_and_armed_anew() -> None:
    clock, timed = Clock(), Recorder()
    clock.arm(timed, 50)
    timed.deadline_ns = 0
    clock.arm(timed, 70)
    clock.run(60)
    assert timed.calls == []
    clock.run(1000)
    assert timed.calls == [70]


def test_rearmed_while_expiring() -> None:
    clock = Clock()

    class Ticker(Recorder):
        def expired(self, now: int) -> None:
            super().expired(now)
            if now < 50:
                clock.arm(self, now + 10)

    ticker = Ticker()
    clock.arm(ticker, 10)
    clock.run(1000)
    assert ticker.calls == [10, 20, 30, 40, 50]


def test_rearmed_for_the_same_moment_while_expiring() -> None:
    clock = Clock()

    class Twice(Recorder):
        def expired(self, now: int) -> None:
            super().expired(now)
            if len(self.calls) == 1:
                clock.arm(self, now)

    twice = Twice()
    clock.arm(twice, 10)
    clock.run(1000)
    assert twice.calls == [10, 10]


def test_same_deadline_in_the_order_of_arming() -> None:
    clock, order = Clock(), []

    class Named(Recorder):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def expired(self, now: int) -> None:
            order.append(self.name)

    for name in "abcdefg":
        clock.arm(Named(name), 50)
    clock.run(50)
    assert "".join(order) == "abcdefg"


def test_short_timers_below_a_long_one_leave_few_alarms() -> None:
    """Each alarm is an event in the engine's heap until it rings, and a heap full of them slows everything."""
    clock, long = Clock(), Recorder()
    clock.arm(long, 10**12)
    most = 0
    for at in range(10, 20_000, 10):
        clock.arm(Recorder(), at)
        clock.run(at)
        most = max(most, len(clock.alarms))
    assert most <= 2
    clock.run(2 * 10**12)
    assert long.calls == [10**12]


def test_many_timers_that_keep_moving() -> None:
    """As TCP does: every packet moves a deadline, few ever expire."""
    clock = Clock()
    timers = [Recorder() for _ in range(500)]
    for now in range(1, 40):
        for timed in timers[: 500 - now]:
            clock.arm(timed, now * 100 + 1000)
        clock.run(now * 100)
    clock.run(10**6)
    assert len(clock.queue) == 0
    last = [min(39, 499 - index) for index in range(500)]
    assert [timed.calls for timed in timers] == [[now * 100 + 1000] if now else [] for now in last]


steps = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["arm", "cancel", "wait"]), st.integers(1, 60)), max_size=60
)


@given(steps)
def test_behaves_as_a_plain_list_of_deadlines(script: list[tuple[int, str, int]]) -> None:
    clock, timers = Clock(), [Recorder() for _ in range(5)]
    deadlines: dict[int, int] = {}
    expected: list[tuple[int, int]] = []
    now = 0
    for which, action, amount in [*script, (0, "wait", 10_000)]:
        if action == "arm":
            clock.arm(timers[which], now + amount)
            deadlines[which] = now + amount
        elif action == "cancel":
            timers[which].deadline_ns = 0
            deadlines.pop(which, None)
        else:
            now += amount
            due = [(at, who) for who, at in deadlines.items() if at <= now]
            expected += due
            for _, who in due:
                del deadlines[who]
            clock.run(now)
    assert sorted((at, who) for who, timed in enumerate(timers) for at in timed.calls) == sorted(expected)


def test_in_the_engine_one_event_stands_for_all() -> None:
    engine = Engine()
    timers = [Recorder() for _ in range(1000)]
    for index, timed in enumerate(timers):
        engine.timers.arm(timed, S + index)
    assert len(engine.env._queue) == 1
    engine.run(2 * S)
    assert [timed.calls for timed in timers] == [[S + index] for index in range(1000)]


def test_a_call_can_be_taken_back() -> None:
    engine, calls = Engine(), []
    kept = engine.call_later(10, calls.append, "kept")
    gone = engine.call_at(10, calls.append, "gone")
    assert kept.pending
    gone.cancel()
    assert not gone.pending
    engine.run(100)
    assert calls == ["kept"]
    assert not kept.pending
    kept.cancel()
