"""One submission, one process: bounded in processor time, memory, file size and wall time, and killed at the end.

Called by `course` and `netsim lab check`. What students hand in is data and is never executed; the bounds are for data
that make the simulator work for ever. Linux and macOS have `fork` and resource limits; elsewhere the grading runs in
this process, and the bounds on events, simulated time, requests and replicas still hold.
"""

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from netsim.engine.engine import EventLimitError
from netsim.experiment.lab.instance import Instance
from netsim.experiment.lab.marks import Mark, Marks, mark, mark_folder
from netsim.experiment.lab.measure import Limits

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_FORKS: Final = "fork" in multiprocessing.get_all_start_methods()
_FILES_BYTES: Final = 16 << 20


@dataclass(slots=True)
class _Running:
    index: int
    process: "BaseProcess"
    answer: Connection
    deadline: float


def grade_all(
    work: Sequence[tuple[Instance, Path]],
    jobs: int = 0,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Marks]:
    """Grade folders, `jobs` at a time (0: one per processor); the marks come in the order of the work."""
    limits, done = limits or Limits(), {}
    found = _in_processes(work, jobs or os.cpu_count() or 1, limits) if _FORKS else _here(work, limits)
    for index, marks in found:
        done[index] = marks
        if progress is not None:
            progress(len(done), len(work))
    return [done[index] for index in range(len(work))]


def _here(work: Sequence[tuple[Instance, Path]], limits: Limits) -> Iterator[tuple[int, Marks]]:
    for index, (made, folder) in enumerate(work):
        yield index, _guarded(made, folder, limits)


def _in_processes(
    work: Sequence[tuple[Instance, Path]], jobs: int, limits: Limits
) -> Iterator[tuple[int, Marks]]:
    _warm(work)
    context = multiprocessing.get_context("fork")
    pending, running = list(enumerate(work))[::-1], list[_Running]()
    try:
        while pending or running:
            while pending and len(running) < jobs:
                index, (made, folder) = pending.pop()
                mine, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(theirs, made, folder, limits), daemon=True)
                process.start()
                theirs.close()
                running.append(_Running(index, process, mine, monotonic() + limits.wall_s))
            wait([one.answer for one in running], timeout=0.5)
            for one in [one for one in running if one.answer.poll() or monotonic() > one.deadline]:
                running.remove(one)
                yield one.index, _collected(one, work[one.index][0], limits)
    finally:
        for one in running:
            one.process.kill()


def _warm(work: Sequence[tuple[Instance, Path]]) -> None:
    """Load here what every process would load by itself, by grading an instance's own files once per lab."""
    if len(work) > 1:
        for made in {made.lab: made for made, _ in work}.values():
            mark(made, {}, made.files())


def _collected(one: _Running, made: Instance, limits: Limits) -> Marks:
    """The answer of a process that has one, or why it has none."""
    try:
        if one.answer.poll():
            return Marks.from_dict(json.loads(one.answer.recv_bytes()))
        reason = f"grading took longer than {limits.wall_s:g} s"
    except (EOFError, OSError):
        one.process.join(5)
        reason = _ended(one.process.exitcode, limits)
    finally:
        one.process.kill()
        one.process.join()
        one.answer.close()
    return nothing(made, reason)


def _ended(code: int | None, limits: Limits) -> str:
    import signal

    if code == -signal.SIGXCPU:
        return f"grading took more than {limits.cpu_s} s of processor time"
    if code == -signal.SIGKILL:
        return "grading was killed: more memory or processor time than a lab may take"
    return f"grading ended by itself (exit code {code})"


def nothing(made: Instance, reason: str) -> Marks:
    """No points, and why."""
    marks = tuple(Mark(task.id, task.points, 0, "not graded") for task in made.spec.tasks)
    return Marks(made.lab, made.student, marks, reason)


def _child(answer: Connection, made: Instance, folder: Path, limits: Limits) -> None:
    _limit(limits)
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    answer.send_bytes(json.dumps(_guarded(made, folder, limits).to_dict()).encode())
    answer.close()
    os._exit(0)  # nothing to tear down; the parent's exit handlers are not ours


def _guarded(made: Instance, folder: Path, limits: Limits) -> Marks:
    try:
        return mark_folder(made, folder, limits)
    except MemoryError:
        return nothing(made, f"grading needs more than {limits.memory_bytes >> 20} MiB of memory")
    except EventLimitError as error:
        return nothing(made, str(error))
    except RecursionError:
        return nothing(made, "something here is nested too deeply")
    except Exception as error:  # a bug, but one submission must not stop a class
        return nothing(made, f"internal error: {type(error).__name__}: {error}"[:300])


def _limit(limits: Limits) -> None:
    """The kernel's limits for this process."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        def bound(which: int, most: int) -> None:
            _, hard = resource.getrlimit(which)
            new = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(which, (new, new if which != resource.RLIMIT_CPU else hard))

        bound(resource.RLIMIT_CORE, 0)
        bound(resource.RLIMIT_CPU, limits.cpu_s)
        bound(resource.RLIMIT_FSIZE, _FILES_BYTES)
        bound(resource.RLIMIT_AS, _mapped_bytes() + limits.memory_bytes)


def _mapped_bytes() -> int:
    """Address space that this process has already (Linux; elsewhere a guess)."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except (OSError, ValueError):
        return 4 << 30
    size: Any = os.sysconf("SC_PAGE_SIZE")
    return pages * int(size)
