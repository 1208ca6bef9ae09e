"""Intervals against theory: how often do they hold the truth?"""

import math

import numpy as np
import pytest

from netsim.measure.confidence import Interval, mean_interval, quantile, quantile_interval


@pytest.mark.parametrize(
    ("law", "truth", "n"),
    [("normal", 5.0, 20), ("exponential", 1.0, 30), ("uniform", 0.5, 20), ("normal", 5.0, 3)],
)
def test_the_interval_of_a_mean_covers_the_truth(law: str, truth: float, n: int) -> None:
    generator = np.random.default_rng(11)
    draw = {"normal": lambda: generator.normal(5, 2, n), "exponential": lambda: generator.exponential(1, n),
            "uniform": lambda: generator.random(n)}[law]  # fmt: skip
    hits = sum(truth in mean_interval(draw(), f"{law}/{i}") for i in range(300))
    assert 0.92 <= hits / 300 <= 0.98


@pytest.mark.parametrize(("q", "n"), [(0.5, 20), (0.95, 100)])
def test_the_interval_of_a_quantile_covers_the_truth(q: float, n: int) -> None:
    generator = np.random.default_rng(12)
    truth = -math.log(1 - q)
    hits = sum(truth in quantile_interval(generator.exponential(1, n), q) for _ in range(1000))
    assert 0.94 <= hits / 1000 <= 0.99


def test_a_p95_needs_72_runs() -> None:
    assert not quantile_interval(range(71), 0.95).known
    assert quantile_interval(range(72), 0.95).known
    found = quantile_interval(range(6), 0.5)  # between 0 and 1, and between 4 and 5
    assert (found.low, found.high) == pytest.approx((0.357, 4.643), abs=0.001)
    assert not quantile_interval(range(5), 0.5).known


def test_too_few_values_have_no_interval_and_equal_ones_a_point() -> None:
    assert not mean_interval([], "x").known
    assert not mean_interval([1.0], "x").known
    assert mean_interval([3.0, 3.0, 3.0], "x") == Interval(3, 3)
    assert not quantile_interval([], 0.5).known
    assert math.isnan(quantile([], 0.5))


def test_few_distinct_values_still_give_a_finite_interval() -> None:
    found = mean_interval([0.0] * 19 + [1.0], "x")
    assert 0 <= found.low <= 0.05 <= found.high < 1


def test_the_same_data_and_name_give_the_same_interval() -> None:
    values = np.random.default_rng(1).random(50)
    assert mean_interval(values, "a") == mean_interval(values, "a") != mean_interval(values, "b")
