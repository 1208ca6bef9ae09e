"""Retries: which failures are tried again, after how long, and when the tokens are gone."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from httplab import HttpLab
from hypothesis import given
from hypothesis import strategies as st

from netsim.engine import MS, S
from netsim.workload.retries import Retries, RetrySpec


def attempt(outcome: str = "timeout", attempts: int = 1, **more: Any) -> Any:
    fields = {"status": 0, "connected_ns": 0, "reused": False, **more}
    return SimpleNamespace(outcome=outcome, attempts=attempts, **fields)


def retries(spec: RetrySpec, method: str = "GET") -> Retries:
    return Retries(spec, method, lambda: random.Random(1))


@pytest.mark.parametrize(
    ("spec", "waits"),
    [
        (RetrySpec(4, 100), [100, 200, 400, 800, None]),
        (RetrySpec(4, 100, "constant"), [100, 100, 100, 100, None]),
        (RetrySpec(4, 100, longest_ns=300), [100, 200, 300, 300, None]),
        (RetrySpec(1), [0, None]),
    ],
)
def test_back_off(spec: RetrySpec, waits: list[int | None]) -> None:
    mine = retries(spec)
    assert [mine.wait_ns(attempt(attempts=number)) for number in range(1, len(waits) + 1)] == waits


@given(st.integers(0, 10**9), st.integers(1, 20), st.sampled_from(["full", "equal"]))
def test_jitter_stays_within_its_bounds(backoff: int, attempts: int, jitter: Any) -> None:
    spec = RetrySpec(20, backoff, jitter=jitter)
    wait = retries(spec).wait_ns(attempt(attempts=attempts))
    whole = spec.backoff(attempts)
    assert wait is not None
    assert (0 if jitter == "full" else whole - whole // 2) <= wait <= whole


def test_jitter_spreads_evenly() -> None:
    mine = retries(RetrySpec(1, 1000, jitter="full"))
    waits = [mine.wait_ns(attempt()) or 0 for _ in range(4000)]
    assert sum(waits) / len(waits) == pytest.approx(500, abs=20)
    assert min(waits) < 20
    assert max(waits) > 980


CONNECTED = {"connected_ns": 7}


@pytest.mark.parametrize(
    ("method", "on", "nonidempotent", "failure", "again"),
    [
        ("GET", (), False, attempt("timeout", **CONNECTED), True),
        ("GET", (), False, attempt("http-error", status=503, **CONNECTED), True),
        ("GET", (), False, attempt("http-error", status=404, **CONNECTED), False),
        ("GET", (), False, attempt("aborted"), False),
        # What was sent may have been done: POST is repeated only where nothing was.
        ("POST", (), False, attempt("timeout", **CONNECTED), False),
        ("POST", (), False, attempt("reset", reused=True), False),
        ("POST", (), False, attempt("refused"), True),
        ("POST", (), True, attempt("reset", **CONNECTED), True),
        ("GET", ("connect",), False, attempt("timeout"), True),
        ("GET", ("connect",), False, attempt("timeout", **CONNECTED), False),
        ("GET", ("connect",), False, attempt("timeout", reused=True), False),
        ("GET", ("refused", "reset"), False, attempt("reset", **CONNECTED), True),
        ("GET", ("refused", "reset"), False, attempt("dns"), False),
    ],
)
def test_what_is_tried_again(method: str, on: Any, nonidempotent: bool, failure: Any, again: bool) -> None:
    mine = retries(RetrySpec(1, on=frozenset(on), non_idempotent=nonidempotent), method)
    assert (mine.wait_ns(failure) is not None) == again


def test_throttling_as_in_grfc_a6() -> None:
    mine = retries(RetrySpec(1, max_tokens=10, token_ratio=0.5))
    told = [mine.wait_ns(attempt()) is not None for _ in range(7)]
    assert told == [True] * 4 + [False] * 3  # 9, 8, 7, 6 are above one half, 5 is not
    assert mine.tokens == 3
    for _ in range(6):
        assert mine.wait_ns(attempt("ok")) is None
    assert mine.tokens == 6
    assert mine.wait_ns(attempt()) is None  # down to 5
    for _ in range(100):
        mine.wait_ns(attempt("ok"))
    assert mine.tokens == 10


def test_a_load_with_throttling_stops_trying() -> None:
    lab = HttpLab()  # nobody listens
    lab.load(rate_per_s=100.0, for_ns=1 * S, retry=RetrySpec(3, 1 * MS, max_tokens=10))
    lab.run(3 * S)
    assert set(lab.outcomes()) == {"refused"}
    assert [record.attempts for record in lab.records] == [4] + [1] * 99  # tokens: 9, 8, 7, 6, and then 5


def test_jitter_depends_on_the_seed_only() -> None:
    def ends(seed: int) -> list[int]:
        lab = HttpLab(seed)
        lab.load(rate_per_s=10.0, for_ns=1 * S, retry=RetrySpec(3, 50 * MS, jitter="equal"))
        lab.run(3 * S)
        return [record.ended_ns for record in lab.records]

    assert ends(1) == ends(1)
    assert ends(1) != ends(2)
