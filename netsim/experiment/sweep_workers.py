"""Forked worker processes for a sweep: they know all cells from their parent, and are sent numbers only.

Called by: `sweep`. Each worker has a pipe of its own and holds no other end of any, so that it notices at once when the
parent is gone (`kill -9`) and leaves; and the parent notices a worker's death (out of memory) and says in which cell.
"""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from itertools import count
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from netsim.experiment.sweep_tasks import Outcome, SweepError, Task, run_task, tidy

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

    from netsim.experiment.loader import ExperimentBundle


def can_fork() -> bool:
    """Whether the platform has fork; without it cells run one after the other."""
    return "fork" in multiprocessing.get_all_start_methods()


class Workers:
    """`jobs` processes. `private` are file descriptors that they have no business to hold (the folder's lock)."""

    def __init__(
        self, bundles: "Sequence[ExperimentBundle]", seed: int, jobs: int, private: Sequence[int] = ()
    ) -> None:
        self.slots = jobs
        self._pipes: dict[Connection, ForkProcess] = {}
        self._busy: dict[Connection, Task] = {}
        context = multiprocessing.get_context("fork")
        gc.collect()
        gc.freeze()  # what is there now is shared with the workers: no collector may touch, and so copy, it
        for _ in range(jobs):
            ours, theirs = context.Pipe()
            foreign = [pipe.fileno() for pipe in (*self._pipes, ours)]
            close = [*foreign, *private]
            process = context.Process(
                target=_serve, args=(theirs, close, lambda task: run_task(bundles, task, seed))
            )
            process.start()
            theirs.close()
            self._pipes[ours] = process
        gc.unfreeze()

    def submit(self, task: Task) -> None:
        """Send it to a worker that has nothing to do."""
        pipe = next(pipe for pipe in self._pipes if pipe not in self._busy)
        self._busy[pipe] = task
        try:
            pipe.send(task)
        except OSError:
            raise self._lost(pipe) from None

    def next(self) -> Outcome:
        """What the first worker that has finished found."""
        pipe = wait(list(self._busy))[0]
        assert isinstance(pipe, Connection)
        try:
            outcome: Outcome = pipe.recv()
        except (EOFError, OSError):
            raise self._lost(pipe) from None
        del self._busy[pipe]
        return outcome

    def _lost(self, pipe: Connection) -> SweepError:
        process, task = self._pipes[pipe], self._busy[pipe]
        process.join()
        code = process.exitcode or 0
        why = f"by signal {-code}; is memory short?" if code < 0 else f"with exit code {code}"
        return SweepError(
            f"a worker process ended {why} while it ran cell {task.cell}, replication {task.replication}"
        )

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._pipes.values():
            process.terminate()
        for process in self._pipes.values():
            process.join()


def _serve(pipe: Connection, close: Sequence[int], work: Callable[[Task], Outcome]) -> None:
    """A worker: does what it is sent until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; it ends the workers
    for descriptor in close:
        os.close(descriptor)
    try:
        for number in count(1):
            pipe.send(work(pipe.recv()))
            tidy(number)
    except (EOFError, OSError):
        return
