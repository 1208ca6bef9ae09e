"""The table of agreements at the end of a run: per feature and mode, how many flows were replayed and agreed.

Tests hand in rows by `record_property`, so that they arrive from other processes (pytest-xdist) too; tests/conftest.py
prints the table.
"""

from collections.abc import Iterable, Sequence

import pytest

PROPERTY = "referee"
_HEAD = ("mode", "feature", "flows", "agree", "disagree", "not expressible")
_NOTE = """Flows are counted under each of their case's features. Flows of "not expressible" are replayed, but compared
only with each other: upstream's iptables tracer leads what the node itself sends through KUBE-EXTERNAL-SERVICES,
OUTPUT does not."""

Row = Sequence[str | int]


def rows(reports: Iterable[pytest.TestReport]) -> list[Row]:
    """What the tests have handed in, added up: mode, feature, flows, agreements, disagreements, not expressible."""
    sums: dict[tuple[str, str], list[int]] = {}
    for report in reports:
        for name, value in report.user_properties:
            if name == PROPERTY and isinstance(value, list):
                for mode, feature, *numbers in value:
                    old = sums.get((mode, feature), [0] * len(numbers))
                    sums[mode, feature] = [a + b for a, b in zip(old, numbers, strict=True)]
    return [(*key, *sums[key]) for key in sorted(sums)]


def write(terminal: pytest.TerminalReporter) -> None:
    """Print the table, if there is anything in it."""
    found = rows(r for kind in ("passed", "failed") for r in terminal.stats.get(kind, []) if r.when == "call")
    if not found:
        return
    terminal.section("agreements of the simulator with the real kernel")
    for row in [_HEAD, *found]:
        mode, feature, *numbers = map(str, row)
        terminal.write_line(f"{mode:<15} {feature:<29}" + "".join(f"{number:>16}" for number in numbers))
    terminal.write_line(_NOTE)
