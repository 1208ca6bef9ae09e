"""Problems of input files: collected, never raised one by one, shown as `file:line:col: path: message`.

Called by: everything in netsim.experiment that reads files; the command line prints them and exits with 2.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PathItem = str | int


@dataclass(frozen=True, slots=True, order=True)
class SpecError:
    """One problem. Lines and columns count from 1; `path` says where in the document, `message` also what to write."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return _printable(f"{self.file}:{self.line}:{self.column}: {self.path}: {self.message}")

    def as_dict(self) -> dict[str, Any]:
        """For `-o json`."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
        }


class SpecErrors(Exception):
    """Input files with problems; `errors` holds all of them, sorted by file and line."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors: tuple[SpecError, ...] = tuple(errors)
        super().__init__(self.errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


@dataclass(slots=True)
class Problems:
    """Where the readers and checks put what they find: errors, and notes that stop nothing."""

    errors: list[SpecError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, file: str, position: tuple[int, int], path: str, message: str) -> None:
        """Record one error."""
        self.errors.append(SpecError(file, *position, path, message))

    def note(self, text: str) -> None:
        """Record something worth knowing, once."""
        if text not in self.notes:
            self.notes.append(text)

    def raise_if_any(self) -> None:
        """Raises SpecErrors with everything found, each problem once."""
        if self.errors:
            raise SpecErrors(sorted(set(self.errors)))


def _printable(text: str) -> str:
    """Control characters and the like as escapes: what is in a file must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def path_text(path: Iterable[PathItem]) -> str:
    """`spec.faults[0].delay` from ("spec", "faults", 0, "delay"); keys that are no plain words go into brackets."""
    text = ""
    for item in path:
        if isinstance(item, str) and item.replace("-", "").replace("_", "").isalnum():
            text += f".{item}" if text else item
        else:
            text += f"[{item}]"
    return text or "(document)"


def shown(path: Path | str, beside: str = "") -> str:
    """A file's name for messages: as the user would write it, relative to the file `beside` which it was named in."""
    return Path(os.path.normpath(Path(beside).parent / path)).as_posix()
