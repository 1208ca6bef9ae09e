"""Published measurements beside simulated ones: `python tests/published/table.py [ID...]` runs them and prints.

`published.json` has the tables: what was measured, by whom, in which setting, within which tolerance we have to be,
and why we are not where we are not. A value's `basis` is "calibrated" where a default of the simulator was derived from
this very table, so that agreement is no evidence; else "independent". Nothing is fitted here.

Also called by: `test_published.py` and tests/conftest.py, which prints the table at the end of a run.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

PROPERTY: Final = "published"
HERE: Final = Path(__file__).parent
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Value:
    """One published value. `why` is given where the simulated one is outside the tolerance, `note` where something
    has to be known about agreement."""

    name: str
    published: str | float
    low: float
    high: float
    unit: str
    tolerance: str
    basis: str
    why: str = ""
    note: str = ""

    def agrees(self, simulated: float) -> bool:
        """Whether a simulated value is within the tolerance."""
        return self.low <= simulated <= self.high

    def verdict(self, simulated: float) -> str:
        """In words."""
        if not self.agrees(simulated):
            return "DIFFERS"
        return "agrees" if self.basis == "independent" else "agrees (calibrated)"


@dataclass(frozen=True, slots=True)
class Missing:
    """A part of a table, or all of it, that is not simulated."""

    what: str
    published: str
    why: str


@dataclass(frozen=True, slots=True)
class Table:
    """A published table."""

    id: str
    title: str
    source: str
    settings: str
    experiment: str
    reading: str
    values: tuple[Value, ...]
    missing: tuple[Missing, ...]

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "Table":
        """From `published.json`."""
        values = tuple(Value(**value) for value in raw.pop("values"))
        return cls(**{**raw, "values": values, "missing": tuple(Missing(**m) for m in raw["missing"])})


def tables() -> list[Table]:
    """All of them, in order."""
    return [Table.of(raw) for raw in json.loads((HERE / "published.json").read_text(encoding="utf-8"))]


# ------------------------------------------------------------------ printing
def lines(found: Mapping[str, Figures]) -> Iterator[str]:
    """The tables with their simulated figures, and what they come to; with those that are not simulated when all the
    others are there."""
    every = tables()
    complete = all(table.id in found for table in every if table.values)
    shown = [table for table in every if table.id in found or (complete and not table.values)]
    for table in shown:
        yield from _of_table(table, found.get(table.id, {}))
        yield ""
    yield from _total(shown, found)


def _of_table(table: Table, figures: Figures) -> Iterator[str]:
    yield f"{table.id}  {table.title} [{table.source}]"
    if table.values:
        yield f"      {'':<34}{'published':>18}{'simulated':>12}  {'unit':<6}{'tolerance':<27}"
    reasons: dict[str, None] = {}
    for value in table.values:
        simulated = figures[value.name]
        row = f"      {value.name:<34}{value.published!s:>18}{_rounded(simulated):>12}  {value.unit:<6}"
        yield f"{row}{value.tolerance:<27}{value.verdict(simulated)}"
        reasons |= dict.fromkeys(text for text in (value.why and f"differs: {value.why}", value.note) if text)
    yield from (f"      {reason}" for reason in reasons)
    for missing in table.missing:
        yield f"      not simulated: {missing.what} ({missing.published}): {missing.why}"


def _rounded(figure: float) -> str:
    """Four digits, and never an exponent."""
    return f"{figure:.0f}" if abs(figure) >= 1000 else f"{figure:.4g}"


def _total(shown: Sequence[Table], found: Mapping[str, Figures]) -> Iterator[str]:
    verdicts = Counter(
        value.verdict(found[table.id][value.name]) for table in shown for value in table.values
    )
    simulated = [table for table in shown if table.values]
    whole = [table.id for table in simulated if _all_agree(table, found[table.id])]
    part = [table.id for table in simulated if table.id not in whole]
    none = [table.id for table in shown if not table.values]
    yield f"{len(shown)} tables, {len(simulated)} simulated with {verdicts.total()} values:"
    yield f"  {verdicts['agrees']} agree, from parameters that do not come from the table;"
    yield f"  {verdicts['agrees (calibrated)']} agree, but a parameter was calibrated with the table: no evidence;"
    yield f"  {verdicts['DIFFERS']} differ, with the reasons above."
    yield f"All values within tolerance in {len(whole)}: {', '.join(whole) or '-'}"
    yield f"Some outside: {', '.join(part) or '-'}. Not simulated at all: {', '.join(none) or '-'}"


def _all_agree(table: Table, figures: Figures) -> bool:
    return all(value.agrees(figures[value.name]) for value in table.values)


def write(terminal: pytest.TerminalReporter) -> None:
    """Print the table at the end of a run of tests, if some of them have handed in figures."""
    found = dict(_handed_in(r for kind in ("passed", "failed") for r in terminal.stats.get(kind, [])))
    if found:
        terminal.section("published measurements")
        for line in lines(found):
            terminal.write_line(line)


def _handed_in(reports: Iterable[pytest.TestReport]) -> Iterator[tuple[str, Figures]]:
    for report in reports:
        if report.when == "call":
            for name, value in report.user_properties:
                if name == PROPERTY and isinstance(value, list):
                    yield value[0], value[1]


def main(wanted: Sequence[str]) -> int:
    """Run the tables that are named, or all; 1 if a value is not where it is said to be."""
    sys.path.insert(0, str(HERE.parent))
    from published.readings import READINGS

    unknown = [name for name in wanted if name not in READINGS]
    if unknown:
        print(f"no simulated table {', '.join(unknown)}; there are {', '.join(READINGS)}", file=sys.stderr)
        return 2
    found: dict[str, Figures] = {}
    for name in wanted or READINGS:
        print(f"running {name}", file=sys.stderr)
        found[name] = READINGS[name]()
    print("\n".join(lines(found)))
    expected = (
        value.agrees(found[table.id][value.name]) == (not value.why)
        for table in tables()
        if table.id in found
        for value in table.values
    )
    return 0 if all(expected) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
