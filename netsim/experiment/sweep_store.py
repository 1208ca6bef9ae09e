"""The folder of a sweep: each finished cell in a file of its own, whole or not there at all.

Called by: `sweep`. A cell's file is named by its key, so what was done is found again after an interruption, by another
sweep over the same cells, and in any order; a changed cell has another key. It is written beside its place and renamed
(rename(2) is atomic). One sweep at a time may write into a folder; the lock goes away with its process.

    cells/KEY.json     the rows of a cell by replication
    .lock              held by the sweep that runs
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from netsim.experiment.folder import MANIFEST
from netsim.experiment.loader_sweep import FORMAT
from netsim.experiment.sweep_tasks import Row, SweepError

KIND: Final = "SweepResult"
TABLE: Final = "cells.parquet"
ARRAY: Final = "cells.nc"
_PART: Final = ".part"


class Store:
    """Cells that are done. Raises FileExistsError for a folder that is not a sweep's, SweepError for one in use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cells = folder / "cells"
        _refuse_foreign(folder)
        self._cells.mkdir(parents=True, exist_ok=True)
        self.lock = _lock(folder)
        for leftover in self._cells.glob(f"*{_PART}"):
            leftover.unlink()

    def read(self, key: str) -> dict[int, list[Row]]:
        """The rows of a cell by replication; nothing for one that was not finished or cannot be read."""
        try:
            found = json.loads((self._cells / f"{key}.json").read_text(encoding="utf-8"))
            if found["format"] != FORMAT or found["key"] != key:
                return {}
            return {int(number): rows for number, rows in found["replications"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def write(self, key: str, replications: Mapping[int, list[Row]]) -> None:
        """Keep a cell, all or nothing."""
        ordered = {str(number): replications[number] for number in sorted(replications)}
        text = json.dumps({"format": FORMAT, "key": key, "replications": ordered}, indent=1)
        write_atomically(self._cells / f"{key}.json", f"{text}\n".encode())

    def begin(self, manifest: Mapping[str, Any]) -> None:
        """Tables of an earlier run do not outlive their cells."""
        for table in (TABLE, ARRAY):
            (self.folder / table).unlink(missing_ok=True)
        self.write_manifest(manifest)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """`run.json`, by which the folder is known for a sweep's."""
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        write_atomically(self.folder / MANIFEST, f"{text}\n".encode())

    def close(self) -> None:
        """Let others write."""
        if self.lock >= 0:
            os.close(self.lock)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a crash."""
    part = path.with_name(f"{path.name}{_PART}")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    if folder.is_dir() and (not any(folder.iterdir()) or _kind(folder) == KIND or _begun(folder)):
        return
    raise FileExistsError(f"{folder} is there and holds no sweep: choose another name or remove it")


def _begun(folder: Path) -> bool:
    """A sweep that was stopped before it could write its first file."""
    return all(entry.name in ("cells", ".lock", f"{MANIFEST}{_PART}") for entry in folder.iterdir())


def _kind(folder: Path) -> str:
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _lock(folder: Path) -> int:
    """An open file that is locked, -1 where there are no such locks (Windows)."""
    try:
        import fcntl
    except ImportError:
        return -1
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SweepError(
            f"another sweep writes into {folder}: wait for it, or choose another folder"
        ) from None
    return descriptor
