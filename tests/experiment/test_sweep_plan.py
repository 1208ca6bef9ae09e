"""Which cells a sweep has, what is drawn, and how its columns are called."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.experiment.spec_sweep import Draw, SweepSpec
from netsim.experiment.sweep_plan import column, draw, parameters, points, scale, size


def spec(**parts: Any) -> SweepSpec:
    return SweepSpec.model_validate({"experiment": "e.yaml", **parts})


WHOLE = spec(
    parameters={"rate": "load[0].rate", "both": ["duration", "warmup"]},
    grid={"rate": ["1/s", "2/s"], "both": ["1s", "2s", "3s"]},
    list=[{"a": 1, "b": 2}, {"a": 3, "b": 4}],
    random={"count": 5, "parameters": {"c": {"uniform": [1, 10]}}},
)


def test_everything_is_crossed_and_the_last_changes_fastest() -> None:
    found = list(points(WHOLE, 1))
    assert len(found) == size(WHOLE) == 2 * 3 * 2 * 5
    assert [p.values["rate"] for p in found[::30]] == ["1/s", "2/s"]
    assert [(p.values["a"], p.values["b"]) for p in found[:10:5]] == [(1, 2), (3, 4)]
    assert len({p.values["c"] for p in found[:5]}) > 1
    assert [p.values["c"] for p in found[:5]] == [p.values["c"] for p in found[5:10]]
    assert found[-1].places["both"] == ("grid", "both", 2)
    assert found[-1].places["a"] == ("list", 1, "a")
    assert found[-1].places["c"] == ("random", "parameters", "c")


def test_parameters_and_their_fields() -> None:
    found = {parameter.name: parameter.paths for parameter in parameters(WHOLE)}
    assert found == {
        "rate": ("load[0].rate",),
        "both": ("duration", "warmup"),
        "a": ("a",),
        "b": ("b",),
        "c": ("c",),
    }


@pytest.mark.parametrize(
    ("how", "low", "high", "unit"),
    [
        ({"uniform": [1, 3]}, 1, 3, ""),
        ({"uniform": [0.5, 1.5]}, 0.5, 1.5, ""),
        ({"loguniform": [1, 1000]}, 1, 1000, ""),
        ({"loguniform": ["10/s", "1000/s"]}, 10, 1000, "/s"),
        ({"uniform": ["1%", "5%"]}, 1, 5, "%"),
        ({"uniform": ["10Mbit", "90Mbit"]}, 10, 90, "Mbit"),
    ],
)
def test_draws_stay_between_their_bounds(how: dict[str, Any], low: float, high: float, unit: str) -> None:
    found = draw(Draw.model_validate(how), 500, "x")
    numbers = [float(str(value).removesuffix(unit)) for value in found]
    assert low <= min(numbers) < low + 0.35 * (high - low)
    assert low + 0.65 * (high - low) < max(numbers) <= high
    assert all(str(value).endswith(unit) for value in found)


def test_whole_numbers_are_drawn_evenly_between_whole_bounds() -> None:
    found = draw(Draw.model_validate({"uniform": [1, 3]}), 3000, "x")
    assert all(abs(found.count(number) - 1000) < 120 for number in (1, 2, 3))
    assert {type(value) for value in found} == {int}


def test_logarithmic_draws_are_even_over_the_decades() -> None:
    found = draw(Draw.model_validate({"loguniform": ["1ms", "1s"]}), 3000, "x")
    times = column("x", found)[1]
    assert all(abs(sum(10**d <= t < 10 ** (d + 1) for t in times) - 1000) < 120 for d in (6, 7, 8))


def test_choices_come_from_the_list() -> None:
    found = draw(Draw(choice=("a", "b", 3)), 300, "x")
    assert {*found} == {"a", "b", 3}


@given(st.integers(1, 50), st.integers(0, 50), st.text(max_size=5))
def test_more_draws_leave_the_earlier_ones(count: int, more: int, name: str) -> None:
    what = Draw(uniform=(0.0, 1.0))
    assert draw(what, count + more, name)[:count] == draw(what, count, name)


def test_another_parameter_changes_no_draw() -> None:
    one = spec(random={"count": 4, "parameters": {"a": {"uniform": [0.0, 1.0]}}})
    two = spec(
        random={"count": 4, "parameters": {"b": {"uniform": [0.0, 1.0]}, "a": {"uniform": [0.0, 1.0]}}}
    )
    assert [p.values["a"] for p in points(one, 1)] == [p.values["a"] for p in points(two, 1)]
    assert [p.values["a"] for p in points(one, 2)] != [p.values["a"] for p in points(one, 1)]
    assert [p.values["b"] for p in points(two, 1)] != [p.values["a"] for p in points(two, 1)]


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ((2, 1), "2 is not below 1"),
        (("1s", "1s"), "is not below"),
        (("1%", 5), "no two numbers with the same unit"),
        (("1/s", "5/m"), "no two numbers with the same unit"),
        (("a", "b"), "no two numbers"),
        ((True, 2), "no two numbers"),
    ],
)
def test_bounds_that_are_none(bounds: tuple[Any, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        scale(bounds)


@pytest.mark.parametrize(
    ("values", "title", "found"),
    [
        (["10s", "200ms"], "x_ns", [10**10, 2 * 10**8]),
        (["10/s", "60/m"], "x_per_s", [10, 1]),
        (["1%", "0.5%"], "x_share", [0.01, 0.005]),
        (["10Mbit", "1Gbit"], "x_bps", [10**7, 10**9]),
        ([1, 2], "x", [1, 2]),
        ([1, 2.5], "x", [1, 2.5]),
        ([True, False], "x", [True, False]),
        (["a", 1, {"b": 2}], "x", ["a", "1", '{"b": 2}']),
        (["10s", "often"], "x", ["10s", "often"]),
    ],
)
def test_columns_have_units_in_their_names(values: list[Any], title: str, found: list[Any]) -> None:
    assert column("x", values) == (title, found)
