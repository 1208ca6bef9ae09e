"""Notebooks are kept as a pair, `.py` to compare and `.ipynb` to open, without outputs; `make test` also runs them."""

from pathlib import Path

import jupytext
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_both_halves_say_the_same(path: Path) -> None:
    """After a change: `jupytext --sync notebooks/NAME.py`."""
    halves = [jupytext.read(half) for half in (path, path.with_suffix(".py"))]
    cells = [[(cell.cell_type, cell.source) for cell in half.cells] for half in halves]
    assert cells[0] == cells[1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_outputs_are_kept(path: Path) -> None:
    code = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    assert not [cell.source for cell in code if cell.outputs or cell.execution_count]
