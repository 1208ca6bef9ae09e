"""Running experiments: replications, each with its own seed, in parallel processes, as plain recordings.

Called by `api.py`, with one experiment or with all variants of one. Replications are independent: replication 0 uses
the experiment's seed itself, so that a single run is the first replication. They run in forked processes where the
platform has them, else one after the other; the results are the same, in the same order.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netsim.experiment.cluster import Cluster
from netsim.experiment.play import play
from netsim.measure.collect import Recording

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import SynchronizedArray

    from netsim.experiment.loader import ExperimentBundle

Progress = Callable[[int, int], None]
"""`progress(done, total)` in nanoseconds of simulated time over all runs."""

_STEPS = 100  # a replication reports progress this many times


def replication_seed(seed: int, replication: int) -> int:
    """The seed of a replication; that of the first one is the experiment's."""
    if replication == 0:
        return seed
    digest = hashlib.sha256(f"{seed}/replication/{replication}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def run_replication(
    bundle: "ExperimentBundle", seed: int, replication: int, progress: Callable[[int], None]
) -> Recording:
    """Boot a cluster, play the experiment on it, and return what was recorded."""
    cluster = Cluster(bundle.topology, replication_seed(seed, replication))
    return play(cluster, bundle.spec, replication, progress, _STEPS)


@dataclass(frozen=True, slots=True)
class Run:
    """One replication of one experiment."""

    bundle: "ExperimentBundle"
    seed: int
    replication: int

    def play(self, progress: Callable[[int], None]) -> Recording:
        """Do it, in this process."""
        return run_replication(self.bundle, self.seed, self.replication, progress)


def run_all(runs: Sequence[Run], jobs: int = 0, progress: Progress | None = None) -> list[Recording]:
    """All of them, in order. `jobs` 0: one process per processor."""
    jobs = min(jobs or os.cpu_count() or 1, len(runs))
    total = sum(run.bundle.spec.duration_ns for run in runs)

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, total)

    if jobs <= 1 or "fork" not in multiprocessing.get_all_start_methods():
        return list(_in_turn(runs, tell))
    return _in_parallel(runs, jobs, tell)


def _in_turn(runs: Sequence[Run], tell: Callable[[int], None]) -> Iterator[Recording]:
    before = 0
    for run in runs:
        yield run.play(lambda done, before=before: tell(before + done))  # type: ignore[misc]
        before += run.bundle.spec.duration_ns


def _in_parallel(runs: Sequence[Run], jobs: int, tell: Callable[[int], None]) -> list[Recording]:
    context = multiprocessing.get_context("fork")
    done = context.Array("q", len(runs))
    with context.Pool(jobs, _prepare, (runs, done)) as pool:
        work = pool.map_async(_worker, range(len(runs)), chunksize=1)
        while not work.ready():
            work.wait(0.1)
            tell(sum(done[:]))
        return work.get()


_job: "tuple[Sequence[Run], SynchronizedArray[int]] | None" = None


def _prepare(runs: Sequence[Run], done: "SynchronizedArray[int]") -> None:
    """In a worker process: what there is to do in all, inherited from the parent."""
    import signal

    global _job  # noqa: PLW0603 - a worker process has one job, handed over at its start
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; it ends the pool
    _job = (runs, done)


def _worker(number: int) -> Recording:
    assert _job is not None
    runs, done = _job

    def tell(simulated_ns: int) -> None:
        done[number] = simulated_ns

    return runs[number].play(tell)
