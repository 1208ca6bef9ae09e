"""Running an experiment: replications, each with its own seed, in parallel processes, into one `Results`.

Replications are independent: replication 0 uses the experiment's seed itself, so that a single run is the
first replication. They run in forked processes where the platform has them, else one after the other; the
results are the same, in the same order.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from netsim.experiment.cluster import Cluster
from netsim.experiment.play import play
from netsim.measure.collect import Recording

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import SynchronizedArray

    from netsim.experiment.loader import ExperimentBundle

Progress = Callable[[int, int], None]
"""`progress(done, total)` in nanoseconds of simulated time over all replications."""

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


def run_replications(
    bundle: "ExperimentBundle", seed: int, replications: int, jobs: int = 0, progress: Progress | None = None
) -> list[Recording]:
    """All replications, in order. `jobs` 0: one process per processor."""
    jobs = min(jobs or os.cpu_count() or 1, replications)
    total = replications * bundle.spec.duration_ns
    tell = progress or (lambda _done, _total: None)
    if jobs == 1 or "fork" not in multiprocessing.get_all_start_methods():
        return list(_in_turn(bundle, seed, replications, lambda done: tell(done, total)))
    return _in_parallel(bundle, seed, replications, jobs, lambda done: tell(done, total))


def _in_turn(
    bundle: "ExperimentBundle", seed: int, replications: int, tell: Callable[[int], None]
) -> Iterator[Recording]:
    duration = bundle.spec.duration_ns
    for number in range(replications):
        yield run_replication(bundle, seed, number, lambda done, n=number: tell(n * duration + done))  # type: ignore[misc]


def _in_parallel(
    bundle: "ExperimentBundle", seed: int, replications: int, jobs: int, tell: Callable[[int], None]
) -> list[Recording]:
    context = multiprocessing.get_context("fork")
    done = context.Array("q", replications)
    with context.Pool(jobs, _prepare, (bundle, seed, done)) as pool:
        work = pool.map_async(_worker, range(replications), chunksize=1)
        while not work.ready():
            work.wait(0.1)
            tell(sum(done[:]))
        return work.get()


_job: "tuple[ExperimentBundle, int, SynchronizedArray[int]] | None" = None


def _prepare(bundle: "ExperimentBundle", seed: int, done: "SynchronizedArray[int]") -> None:
    """In a worker process: what all its replications have in common."""
    import signal

    global _job  # noqa: PLW0603 - a worker process has one job, handed over at its start
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; it ends the pool
    _job = (bundle, seed, done)


def _worker(replication: int) -> Recording:
    assert _job is not None
    bundle, seed, done = _job

    def tell(simulated_ns: int) -> None:
        done[replication] = simulated_ns

    return run_replication(bundle, seed, replication, tell)
