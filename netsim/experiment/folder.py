"""Writing a result folder all or nothing: whoever sees it sees it whole, also after Ctrl-C, a crash or a full disk.

Everything is written into a hidden folder beside the target, which is then renamed; a rename within one file system
is atomic (POSIX rename(2); MoveFileEx on Windows). An older result folder is moved aside for the moment in between and
comes back when anything fails. A folder that is not a result folder is never replaced.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

MANIFEST: Final = "run.json"


def write_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write the files of `target`. Raises FileExistsError when something else is there, OSError as usual."""
    target = target.absolute()
    _refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part, old = _beside(target, "part"), _beside(target, "old")
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        part.mkdir()
        fill(part)
        _swap(part, target, old)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _beside(target: Path, what: str) -> Path:
    # The process id keeps two runs that write at the same time apart.
    return target.with_name(f".{target.name}.{what}-{os.getpid()}")


def _refuse_foreign(target: Path) -> None:
    if target.is_dir() and (not any(target.iterdir()) or (target / MANIFEST).is_file()):
        return
    if target.exists() or target.is_symlink():
        raise FileExistsError(
            f"{target} is there and is no result folder of netsim: choose another name or remove it"
        )


def _swap(part: Path, target: Path, old: Path) -> None:
    moved = target.exists()
    if moved:
        target.rename(old)
    try:
        part.rename(target)
    except BaseException:
        if moved and not target.exists():
            old.rename(target)
        raise
