"""The table of agreements at the end of a run: per feature and mode, how many flows were replayed and agreed.

Tests hand in rows by `record_property`, so that they arrive from other processes (pytest-xdist) too; tests/conftest.py
prints the table.
"""

from collections.abc import Iterable, Sequence

import pytest

PROPERTY = "referee"
ALL = "all"
_NOTE = "Flows that agree, of those that were compared, counted under each of their case's features."
_NOTE_INEXPRESSIBLE = """Flows behind the + are replayed, but compared only with each other: upstream's iptables
tracer leads what the node itself sends through KUBE-EXTERNAL-SERVICES, OUTPUT does not."""

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
    """Print the table, if there is anything in it: a row per feature, a column per mode."""
    found = rows(r for kind in ("passed", "failed") for r in terminal.stats.get(kind, []) if r.when == "call")
    if not found:
        return
    terminal.section("agreements of the simulator with the real kernel")
    modes = sorted({str(mode) for mode, *_ in found})
    cells = {(str(feature), str(mode)): cell(numbers) for mode, feature, *numbers in found}
    features = sorted({feature for feature, _ in cells}, key=lambda name: (name != ALL, name))
    for first, texts in [
        ("feature", modes),
        *((f, [cells.get((f, m), "-") for m in modes]) for f in features),
    ]:
        terminal.write_line(f"{first:<29}" + "".join(f"{text:>18}" for text in texts))
    terminal.write_line(_NOTE)
    if any("+" in text for text in cells.values()):
        terminal.write_line(_NOTE_INEXPRESSIBLE)


def cell(numbers: Sequence[str | int]) -> str:
    """`120 of 120`: flows that agree of those compared; `+ 3` for those that are not expressible."""
    flows, agree, _, inexpressible = map(int, numbers)
    return f"{agree} of {flows - inexpressible}" + (f" + {inexpressible}" if inexpressible else "")
