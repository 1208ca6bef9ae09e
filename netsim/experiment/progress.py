"""The progress bar: on stderr, in terminals and notebooks, nothing where neither is.

Called by every command that takes long. `rich` draws it; the numbers are nanoseconds of simulated time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Update(Protocol):
    """`progress(done, total)`; `said` replaces the title."""

    def __call__(self, done: int, total: int, said: str = ...) -> None: ...


@contextmanager
def progress_bar(title: str, quiet: bool = False) -> Iterator["Update"]:
    """Gives a function `progress(done, total)`; the bar goes away at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    shown = not quiet and (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(title, total=None)

        def update(done: int, total: int, said: str = title) -> None:
            bar.update(task, completed=done, total=total, description=said)

        yield update


@contextmanager
def cells_bar(title: str, quiet: bool = False) -> Iterator[Callable[[int, int, float], None]]:
    """The bar of a sweep: gives `progress(cells done, cells in all, share of the work done)`."""
    with progress_bar(title, quiet) as update_bar:
        yield lambda done, total, share: update_bar(
            round(share * 10_000), 10_000, f"{title}: {done} of {total} cells"
        )
