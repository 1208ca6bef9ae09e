"""The bounded-frequency runner: when a change leads to a synchronisation (timing facts kp.bfr.semantics)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from netsim.cluster.runner import BoundedFrequencyRunner
from netsim.cluster.timing import ProxyTiming
from netsim.engine import MS, Engine, S

STRICT = ProxyTiming(min_sync_period_ns=1 * S, full_sync_period_ns=30 * S, runner="strict")
BURST = replace(STRICT, runner="burst")


def runs(timing: ProxyTiming, asks_ms: Sequence[int], takes_ms: int, until_ms: int) -> list[tuple[int, bool]]:
    """(start in ms, forced) of every run, for changes at these times and runs of that length."""
    engine = Engine(1)
    made: list[tuple[int, bool]] = []

    def begin(forced: bool) -> None:
        made.append((engine.now // MS, forced))
        engine.call_later(takes_ms * MS, runner.ended)

    runner = BoundedFrequencyRunner(engine, timing, begin)
    for at in asks_ms:
        engine.call_at(at * MS, runner.ask)
    engine.run(until_ms * MS)
    return made


@pytest.mark.parametrize(
    ("asks", "takes", "expected"),
    [
        pytest.param([100], 20, [100], id="an isolated change runs at once"),
        pytest.param([100, 300], 20, [100, 1120], id="the next waits a period from the END of the last"),
        pytest.param([100, 300, 500, 1000], 20, [100, 1120], id="changes meanwhile are one run"),
        pytest.param([100, 2000], 20, [100, 2000], id="after the period at once again"),
        pytest.param([100, 1119], 20, [100, 1120], id="one ms early waits one ms"),
        pytest.param([100, 1120], 20, [100, 1120], id="exactly the period is enough"),
        pytest.param([100, 150], 500, [100, 1600], id="a change during a run is served by the next"),
        pytest.param([100, 5000], 3000, [100, 5000], id="a slow run"),
        pytest.param(
            [100, 200, 1200, 2300], 20, [100, 1120, 2140, 3160], id="churn: a run every period and its length"
        ),
    ],
)
def test_strict(asks: list[int], takes: int, expected: list[int]) -> None:
    assert [at for at, _ in runs(STRICT, asks, takes, 20_000)] == expected


def test_a_run_is_forced_when_none_has_happened_for_the_maximum() -> None:
    assert runs(STRICT, [100], 20, 70_000) == [(100, False), (30_120, True), (60_140, True)]


def test_without_a_minimum_every_change_runs() -> None:
    timing = replace(STRICT, min_sync_period_ns=0)
    assert [at for at, _ in runs(timing, [100, 101, 150, 151], 10, 1000)] == [100, 110, 150, 160]


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        pytest.param([100, 200], [100, 200], id="two may follow each other at once"),
        pytest.param([100, 200, 300], [100, 200, 1100], id="the third waits for its token"),
        pytest.param([100, 200, 300, 5000, 5100], [100, 200, 1100, 5000, 5100], id="saved up again"),
    ],
)
def test_burst(asks: list[int], expected: list[int]) -> None:
    got = [at for at, _ in runs(BURST, asks, 10, 20_000)]
    assert len(got) == len(expected)
    assert all(abs(a - b) <= 25 for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("timing", [STRICT, BURST])
def test_a_stopped_runner_runs_no_more(timing: ProxyTiming) -> None:
    engine = Engine(1)
    made: list[int] = []
    runner = BoundedFrequencyRunner(engine, timing, lambda forced: made.append(engine.now))
    runner.ask()
    runner.ended()
    runner.ask()
    runner.stop()
    runner.ask()
    engine.run(100 * S)
    assert len(made) == (1 if timing is STRICT else 2)
