"""The change point, and the budget whose stages add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.measure.budget import STAGES, budget
from netsim.measure.recovery import change_point

OK, BAD = False, True


def series(*runs: tuple[bool, int]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.array([value for value, count in runs for _ in range(count)], dtype=np.bool_)


def every(n: int, total: int) -> list[tuple[bool, int]]:
    """Every n-th request fails."""
    return [run for _ in range(total // n) for run in ((OK, n - 1), (BAD, 1))]


@pytest.mark.parametrize(
    ("name", "requests", "affected", "failed", "certain"),
    [
        ("nothing failed", series((OK, 100)), 0, 0, True),
        ("no requests at all", series(), 0, 0, True),
        ("all fail, then none", series((BAD, 50), (OK, 50)), 50, 50, True),
        ("all fail, one success is enough", series((BAD, 50), (OK, 1)), 50, 50, True),
        ("never recovered", series((BAD, 50)), 50, 50, False),
        ("a third fails, then none", series(*every(3, 300), (OK, 300)), 300, 100, True),
        ("a third fails until the end", series(*every(3, 300), (OK, 2)), 300, 100, False),
        ("a delay before it begins", series((OK, 40), *every(3, 300), (OK, 900)), 340, 100, True),
        (
            "a stray failure much later",
            series(*every(3, 300), (OK, 5000), (BAD, 1), (OK, 100)),
            300,
            100,
            True,
        ),
        ("one failure in a flood is no outage", series((OK, 20000), (BAD, 1), (OK, 20000)), 0, 0, True),
        ("one failure at once is one", series((BAD, 1), (OK, 1000)), 1, 1, True),
    ],
)
def test_change_point(
    name: str,
    requests: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    affected: int,
    failed: int,
    certain: bool,
) -> None:
    found = change_point(requests, 0.0)
    assert (found.affected, found.failed, found.certain) == (affected, failed, certain), name


def test_what_fails_anyway_is_no_outage() -> None:
    generator = np.random.default_rng(5)
    usual = generator.random(6000) < 0.02
    assert change_point(usual, 0.02).failed == 0
    worse = np.concatenate([generator.random(600) < 0.4, usual])
    found = change_point(worse, 0.02)
    assert 580 <= found.affected <= 640
    assert found.certain


def test_a_failure_before_the_rules_were_repaired_belongs_to_the_fault() -> None:
    requests = series(*every(3, 90), (OK, 200), (BAD, 1), (OK, 500))
    assert change_point(requests, 0.0).affected == 90
    assert change_point(requests, 0.0, unrepaired=350).affected == 291


def test_the_last_requests_cannot_vouch_for_recovery() -> None:
    """Those that hang at the end of a run have not failed yet, so only successes are seen there."""
    requests = series(*every(3, 300), (OK, 60))
    assert change_point(requests, 0.0).certain
    assert not change_point(requests, 0.0, observable=300).certain


def test_change_points_are_found_near_the_truth() -> None:
    generator = np.random.default_rng(6)
    errors = []
    for _ in range(200):
        failed = np.concatenate([generator.random(500) < 1 / 3, np.zeros(1000, dtype=bool)])
        errors.append(500 - change_point(failed, 0.0).affected)
    # The last of the failures, so on average 2 requests before the end.
    assert 1 <= np.mean(errors) <= 3
    assert min(errors) >= 0


marks = st.one_of(st.none(), st.integers(-(10**12), 10**12))


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**12), st.lists(marks, min_size=6, max_size=6))
def test_stages_add_up_whatever_the_marks_are(fault: int, outage: int, chain: list[int | None]) -> None:
    stages = budget(fault, fault + outage, chain)
    assert len(stages) == len(STAGES)
    assert sum(stages) == outage
    assert min(stages) >= 0


@pytest.mark.parametrize(
    ("end", "chain", "stages"),
    [
        (100, (10, 20, 30, 40, 50, 60), (10, 10, 10, 10, 10, 10, 40)),
        (35, (10, 20, 30, 40, 50, 60), (10, 10, 10, 5, 0, 0, 0)),
        (5, (10, 20, 30, 40, 50, 60), (5, 0, 0, 0, 0, 0, 0)),
        (0, (10, 20, 30, 40, 50, 60), (0, 0, 0, 0, 0, 0, 0)),
        (100, (None,) * 6, (100, 0, 0, 0, 0, 0, 0)),
        (100, (10, 20, None, None, None, None), (10, 10, 80, 0, 0, 0, 0)),
        (100, (None, None, 30, 40, 50, 60), (0, 0, 30, 10, 10, 10, 40)),
        (100, (10, 20, 30, None, None, None), (10, 10, 10, 70, 0, 0, 0)),
        (100, (30, 20, 30, 40, 50, 60), (20, 0, 10, 10, 10, 10, 40)),
        (100, (45, 45, 30, 40, 50, 60), (30, 0, 0, 10, 10, 10, 40)),
    ],
)
def test_budget(end: int, chain: tuple[int | None, ...], stages: tuple[int, ...]) -> None:
    assert budget(0, end, chain) == stages
