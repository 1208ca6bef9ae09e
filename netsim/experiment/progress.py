"""The progress bar: on stderr in terminals, below the cell in notebooks, nothing where neither is.

Called by everything that takes long. `rich` draws it in a terminal; in a notebook it is a plain HTML element, since
rich's own bar there needs ipywidgets, which JupyterLab does not bring along. The numbers are what is done and all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Protocol


class Update(Protocol):
    """`progress(done, total)`; `said` replaces the title."""

    def __call__(self, done: int, total: int, said: str = ...) -> None: ...


@contextmanager
def progress_bar(title: str, quiet: bool = False) -> Iterator[Update]:
    """Gives a function `progress(done, total)`; the bar goes away at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_jupyter and not quiet:
        with _notebook_bar(title) as update:
            yield update
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def update_bar(done: int, total: int, said: str = title) -> None:
            bar.update(task, completed=done, total=total, description=said)

        yield update_bar


@contextmanager
def _notebook_bar(title: str) -> Iterator[Update]:
    """A display of its own that is replaced while it goes on, and emptied at the end."""
    from IPython import display

    html: Any = display.HTML  # has no types
    show: Any = display.display
    shown = show(html(""), display_id=True)
    percent = -1

    def update(done: int, total: int, said: str = title) -> None:
        nonlocal percent
        now = 100 * done // max(total, 1)
        if now != percent:
            percent = now
            shown.update(html(f"{escape(said)} <progress value='{now}' max='100'></progress> {now} %"))

    try:
        yield update
    finally:
        shown.update(html(""))


@contextmanager
def cells_bar(title: str, quiet: bool = False) -> Iterator[Callable[[int, int, float], None]]:
    """The bar of a sweep: gives `progress(cells done, cells in all, share of the work done)`."""
    with progress_bar(title, quiet) as update_bar:
        yield lambda done, total, share: update_bar(
            round(share * 10_000), 10_000, f"{title}: {done} of {total} cells"
        )
