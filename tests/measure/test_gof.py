"""The goodness-of-fit test against theory."""

import numpy as np
import pytest
from scipy import stats

from netsim.measure.gof import Segment, fit, jain, named_generator


def ones(probability: list[float], draws: int) -> Segment:
    return Segment(np.array(probability), np.ones(draws))


def test_one_segment_is_pearsons_chi_square() -> None:
    observed = np.array([350.0, 310.0, 340.0])
    found = fit(observed, [ones([1 / 3] * 3, 1000)], "t")
    reference = stats.chisquare(observed)
    assert found.statistic == pytest.approx(reference.statistic)
    assert found.pvalue == pytest.approx(reference.pvalue)
    assert (found.dof, found.method) == (2, "chi-square")


def test_unequal_probabilities_are_pearsons_too() -> None:
    observed, p = np.array([500.0, 330.0, 170.0]), [0.5, 0.3, 0.2]
    reference = stats.chisquare(observed, np.array(p) * 1000)
    assert fit(observed, [ones(p, 1000)], "t").pvalue == pytest.approx(reference.pvalue)


def test_nothing_to_choose_with_one_endpoint_or_none() -> None:
    assert fit(np.array([7.0]), [ones([1.0], 7)], "t").pvalue == 1
    assert fit(np.zeros(0), [], "t").dof == 0


def test_endpoints_that_replace_each_other_lose_a_degree_of_freedom() -> None:
    segments = [ones([0.5, 0.5, 0, 0], 100), ones([0, 0, 0.5, 0.5], 100)]
    assert fit(np.array([50.0, 50, 50, 50]), segments, "t").dof == 2
    overlapping = [ones([0.5, 0.5, 0], 100), ones([0, 0.5, 0.5], 100)]
    assert fit(np.array([50.0, 100, 50]), overlapping, "t").dof == 2


def _pvalues(segments: list[Segment], runs: int, tag: str) -> list[float]:
    generator = named_generator(f"test/{tag}")
    found = []
    for run in range(runs):
        observed = np.zeros(segments[0].probability.size)
        for s in segments:
            chosen = generator.choice(s.probability.size, s.weights.size, p=s.probability)
            observed += np.bincount(chosen, s.weights, minlength=observed.size)
        found.append(fit(observed, segments, f"{tag}/{run}").pvalue)
    return found


@pytest.mark.parametrize(
    ("tag", "segments"),
    [
        ("even", [ones([1 / 3] * 3, 3000)]),
        ("periods", [ones([1 / 3] * 3, 700), ones([0.5, 0.5, 0], 400), ones([0, 0.5, 0.5], 300)]),
        ("weights", [Segment(np.full(4, 0.25), np.array([1.0] * 300 + [5.0] * 200))]),
    ],
)
def test_pvalues_are_uniform_under_the_null(tag: str, segments: list[Segment]) -> None:
    found = _pvalues(segments, 1500, tag)
    assert stats.kstest(found, "uniform").pvalue > 0.001
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_simulated_pvalues_are_not_too_small_for_few_draws() -> None:
    segments = [Segment(np.full(3, 1 / 3), np.array([40.0, 30, 20, 10, 5, 1]))]
    found = np.array(_pvalues(segments, 300, "few"))
    assert fit(np.array([106.0, 0, 0]), segments, "t").method == "simulated"
    for alpha in (0.01, 0.05, 0.2):
        assert (found <= alpha).mean() <= alpha + 3 * (alpha / 300) ** 0.5


def test_power_against_a_small_skew() -> None:
    observed = np.array([10500.0, 9750, 9750])
    assert fit(observed, [ones([1 / 3] * 3, 30000)], "t").pvalue < 1e-6


@pytest.mark.parametrize(
    ("values", "index"), [([1, 1, 1], 1.0), ([1, 0, 0, 0], 0.25), ([], 1.0), ([0, 0], 1.0), ([4, 2], 36 / 40)]
)
def test_jain(values: list[float], index: float) -> None:
    assert jain(np.array(values, dtype=float)) == pytest.approx(index)
