"""Every published table is simulated within its tolerance, or says why not; see `table.py`."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from published.readings import READINGS
from published.table import HERE, PROPERTY, Table, lines, tables

SIMULATED = [table for table in tables() if table.values]


def test_all_tables_are_there() -> None:
    numbers = "01 03 04 06 08a 09 11 12 14 15 16 20 22 23 24 25 30 32 33 34 36 37 38 41 42 50"
    assert [table.id for table in tables()] == [f"V{number}" for number in numbers.split()]
    assert [table.id for table in SIMULATED] == list(READINGS)


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.id)
def test_a_table_says_what_it_is(table: Table) -> None:
    assert table.title
    assert table.source
    assert table.settings
    assert table.values or table.missing
    assert bool(table.reading) == bool(table.values)
    assert all(missing.what and missing.published and missing.why for missing in table.missing)
    for value in table.values:
        assert value.basis in ("independent", "calibrated")
        assert value.tolerance
        assert value.low <= value.high
        if isinstance(value.published, float | int):
            assert value.agrees(value.published) or "line" in value.tolerance


def test_every_experiment_is_used() -> None:
    named = {table.experiment for table in tables()} - {""}
    there = {path.name for path in (HERE / "experiments").glob("*.yaml")}
    assert named <= there
    used = " ".join(path.read_text(encoding="utf-8") for path in (HERE / "experiments").glob("*.yaml"))
    assert all(name in used for name in there - named), there - named


@pytest.mark.parametrize("table", SIMULATED, ids=lambda table: table.id)
def test_simulated_values_are_within_tolerance(
    table: Table, record_property: Callable[[str, object], None]
) -> None:
    """Those that are not are declared, and are outside indeed: when that changes, `published.json` has to."""
    figures = {name: float(figure) for name, figure in READINGS[table.id]().items()}
    record_property(PROPERTY, [table.id, figures])
    names = [value.name for value in table.values]
    assert names == [name for name in names if name in figures], "a value without a figure"
    wrong = [
        f"{value.name}: {figures[value.name]:.4g}, published {value.published} ({value.tolerance})"
        for value in table.values
        if value.agrees(figures[value.name]) != (not value.why)
    ]
    assert not wrong


def test_the_text_tells_apart() -> None:
    table = next(table for table in SIMULATED if table.id == "V16")
    (value,) = table.values
    inside, outside = ("\n".join(lines({"V16": {"total": total}})) for total in (350.0, 400.0))
    assert "agrees\n" in inside
    assert "1 agree," in inside
    assert "DIFFERS" in outside
    assert "0 agree," in outside
    assert replace(value, basis="calibrated").verdict(350.0) == "agrees (calibrated)"
