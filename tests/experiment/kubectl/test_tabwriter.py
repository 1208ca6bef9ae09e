"""Elastic columns against Go's documentation of text/tabwriter."""

from hypothesis import given
from hypothesis import strategies as st

from netsim.experiment.kubectl.tabwriter import DESCRIBE, TABLE, align, table


def test_a_column_is_a_block_of_lines_that_have_it() -> None:
    text = "a\tb\nlonger\tc\nnone\nx\ty\tz\n"
    assert align(text, DESCRIBE) == "a       b\nlonger  c\nnone\nx  y  z\n"


def test_a_table_has_columns_of_at_least_six() -> None:
    assert table([("A", "B"), ("1", "2")], TABLE) == "A     B\n1     2\n"
    assert table([("NAME", "AGE"), ("client", "1s")]) == "NAME     AGE\nclient   1s\n"
    assert table([]) == ""


@given(st.lists(st.lists(st.text("abc", max_size=9), min_size=3, max_size=3), min_size=1, max_size=6))
def test_nothing_is_lost_and_columns_begin_together(rows: list[list[str]]) -> None:
    lines = table([tuple(row) for row in rows]).split("\n")[:-1]
    starts = [
        max(max(len(row[0]) for row in rows) + 3, 6),
        max(max(len(row[1]) for row in rows) + 3, 6),
    ]
    for row, line in zip(rows, lines, strict=True):
        assert line == row[0].ljust(starts[0]) + row[1].ljust(starts[1]) + row[2]
