"""The stop rule: how many replications, whether that was enough, and that looking does not cost the coverage."""

import math

import numpy as np
import pandas as pd
import pytest

from netsim.measure.frames import typed
from netsim.measure.observations import OBSERVATION_TYPES
from netsim.measure.precision import StopRule, enough, next_number, precision


def table(outages: "list[float] | np.ndarray", service: str = "default/web") -> pd.DataFrame:  # type: ignore[type-arg]
    """Observations with outages in nanoseconds."""
    nothing = dict.fromkeys(OBSERVATION_TYPES, float("nan")) | dict.fromkeys(
        ("requests", "failed", "retried", "faults"), 1
    )
    return typed(
        [
            {**nothing, "replication": i, "service": service, "recovered": True, "outage_ns": float(value)}
            for i, value in enumerate(outages)
        ],
        OBSERVATION_TYPES,
    )


def rule(metric: str = "outage.mean", relative: float = 0.05, least: int = 10, most: int = 1000) -> StopRule:
    return StopRule(metric, relative, 0.0, least, most)


def exponential(n: int, seed: int = 1) -> "list[float]":
    return list(np.random.default_rng(seed).exponential(1e9, n))


def test_it_goes_on_until_it_is_precise() -> None:
    values = exponential(5000)
    n, asked = 10, [10]
    while (wanted := next_number(precision(table(values[:n]), rule(relative=0.1)))) > n:
        n = wanted
        asked.append(n)
    found = precision(table(values[:n]), rule(relative=0.1))
    assert found.reached
    assert found.half_width <= 0.1 * found.estimate
    assert 250 < n < 600  # (1.96 / 0.1)^2 = 384 for an exponential law
    assert len(asked) < 15


@pytest.mark.parametrize(
    ("values", "stop", "wanted"),
    [
        ([5e8] * 10, rule(), 10),  # no chance at all
        ([0.0] * 10, rule(), 10),
        ([1e9, 2e9] * 5, rule(most=10), 10),
        ([1e9, 2e9] * 5, rule(most=11), 11),
        ([1e9, 2e9] * 5, rule("outage.p95"), 20),  # twice as many at most
        ([1e9, 2e9] * 20, rule("outage.p95"), 72),  # from there on there is an interval
        ([1.0, 1e9], rule(least=2, relative=0.0001), 4),
    ],
)
def test_how_many_there_shall_be(values: list[float], stop: StopRule, wanted: int) -> None:
    assert enough([table(values)], stop) == wanted


def test_the_worst_service_counts_unless_one_is_named() -> None:
    both = pd.concat([table([1e9] * 10), table(exponential(10), "default/other")])
    assert precision(both, rule()).service == "default/other"
    assert not precision(both, rule()).reached
    named = StopRule("outage.mean", 0.05, 0, 10, 100, "default/web")
    assert precision(both, named).reached
    nowhere = precision(both, StopRule("outage.mean", 0.05, 0, 10, 100, "default/none"))
    assert math.isnan(nowhere.estimate)
    assert not nowhere.reached
    assert "has no value after 10 replications" in nowhere.line()


def test_an_absolute_half_width() -> None:
    values = exponential(40)
    half = precision(table(values), rule()).half_width
    assert precision(table(values), StopRule("outage.mean", 0, half * 1.01, 10, 100)).reached
    assert not precision(table(values), StopRule("outage.mean", 0, half * 0.99, 10, 100)).reached


def test_the_line_says_how_many_and_whether() -> None:
    assert (
        "after 10 replications; a half width of 5% was reached" in precision(table([1e9] * 10), rule()).line()
    )
    few = precision(table([1e9, 2e9] * 5), rule("outage.p95", most=20)).line()
    assert "too few for an interval: a half width of 5% was not reached" in few
    assert "not reached (at most 1000 replications)" in precision(table(exponential(20)), rule()).line()


def test_stopping_when_it_looks_precise_keeps_most_of_the_coverage() -> None:
    hits, studies = 0, 150
    for study in range(studies):
        values = np.random.default_rng(study).normal(1e9, 3e8, 400)
        n = 10
        while (wanted := next_number(precision(table(values[:n]), rule(relative=0.1, most=400)))) > n:
            n = wanted
        hits += 1e9 in precision(table(values[:n]), rule(relative=0.1)).interval
    assert hits / studies >= 0.9
