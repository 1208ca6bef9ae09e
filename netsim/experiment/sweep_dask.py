"""A sweep on a Dask cluster: the same tasks, done by workers anywhere.

Called by: `sweep`, with `--executor dask`. Dask is imported here only; it comes with the extra `k8s-netsim[dask]`. The
workers need the same version of netsim. A cell's experiment travels with its task (about 15 kB).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from netsim.experiment.sweep_tasks import Outcome, SweepError, Task, run_cell

if TYPE_CHECKING:
    from netsim.experiment.loader import ExperimentBundle

MISSING: Final = "Dask is not installed: pip install 'k8s-netsim[dask]'"
_AHEAD: Final = (
    2  # tasks per thread that are sent before they can begin, so that no worker waits for the network
)


class DaskWorkers:
    """The workers of a scheduler, or `jobs` processes of a cluster on this machine."""

    def __init__(
        self, bundles: "Sequence[ExperimentBundle]", seed: int, jobs: int, scheduler: str = ""
    ) -> None:
        distributed = _distributed()
        self._bundles, self._seed = bundles, seed
        self._cluster: Any = None
        self._close: list[Callable[[], object]] = []
        try:
            if not scheduler:
                self._cluster = distributed.LocalCluster(
                    n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=40
                )
                self._close.append(self._cluster.close)
            self._client = distributed.Client(self._cluster or scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            self.close()
            raise SweepError(f"no Dask scheduler at {scheduler or 'this machine'}: {error}") from None
        self._close.insert(0, self._client.close)
        self._same_version()
        self.slots = max(1, sum(self._client.nthreads().values())) * _AHEAD
        self._done = distributed.as_completed()
        self._tasks: dict[str, Task] = {}

    def _same_version(self) -> None:
        """Another version would give other results, and none would fail later."""
        from netsim import __version__

        if not self._client.nthreads():
            self.close()
            raise SweepError("the Dask scheduler has no workers")
        try:
            found = set(self._client.run(_version).values())
        except ModuleNotFoundError:
            found = {"none"}
        if found != {__version__}:
            self.close()
            raise SweepError(f"Dask workers have netsim {', '.join(sorted(found))}, this is {__version__}")

    def submit(self, task: Task) -> None:
        """Send it to the scheduler; earlier ones first."""
        future = self._client.submit(run_cell, self._bundles[task.cell], task, self._seed, pure=False)
        self._tasks[future.key] = task
        self._done.add(future)

    def next(self) -> Outcome:
        """What the first task that has finished found."""
        future = next(self._done)
        task = self._tasks.pop(future.key)
        try:
            outcome: Outcome = future.result()
        except Exception as error:
            raise SweepError(
                f"a Dask worker was lost in cell {task.cell}, replication {task.replication}: {error}"
            ) from None
        return outcome

    def close(self) -> None:
        """Leave the cluster; end it if it is ours."""
        for close in self._close:
            close()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise SweepError(MISSING) from None
    return distributed


def _version() -> str:
    from netsim import __version__

    return __version__
