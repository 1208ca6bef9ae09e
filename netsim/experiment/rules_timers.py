"""Timers of pods and workloads that contradict each other.

Called by: `rules_objects`. What the API server refuses is an error; what it takes although it cannot work as it reads
is a note with file and line. Sources: pkg/apis/core/validation (validateProbe, validateLifecycle), pkg/apis/apps/
validation (ValidateDeploymentSpec), Kubernetes 1.34.
"""

from netsim.cluster.kubelet.termination import hook_duration_ns
from netsim.cluster.objects import Container, DaemonSet, Deployment, Probe, ReplicaSet, StatefulSet
from netsim.engine import S, format_duration
from netsim.experiment.rules_place import Path, Place

_MINIMUM_GRACE_S = 2  # what SIGTERM still gets after a hook that used the period up


def check_probe_timers(probe: Probe, name: str, place: Place, path: Path) -> None:
    """A probe that lasts longer than its period; a grace period where there is nothing to end."""
    period, timeout, failures = probe.periodSeconds, probe.timeoutSeconds, probe.failureThreshold
    if timeout > period:
        place.note(
            (*path, "timeoutSeconds"),
            f"{timeout} s is longer than periodSeconds ({period} s): a probe that hangs delays the next one, so "
            f"{failures} of them take {failures * timeout} s, not {(failures - 1) * period + timeout} s",
        )
    if probe.terminationGracePeriodSeconds is not None and name == "readinessProbe":
        place.error((*path, "terminationGracePeriodSeconds"), "must not be set for readinessProbes")


def check_stop_timers(container: Container, grace_s: int, place: Place, path: Path) -> None:
    """A preStop hook that leaves the process no time to end."""
    hook = container.lifecycle.preStop if container.lifecycle else None
    if hook is None:
        return
    where: Path = (*path, "lifecycle", "preStop")
    if hook.sleep is not None and hook.sleep.seconds > grace_s:
        place.error(
            (*where, "sleep", "seconds"),
            f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s}), not {hook.sleep.seconds}",
        )
        return
    takes_ns = hook_duration_ns(hook)
    if takes_ns and takes_ns >= grace_s * S:
        place.note(
            where,
            f"the hook takes {format_duration(takes_ns)} and terminationGracePeriodSeconds is {grace_s}: SIGTERM "
            f"comes when the period is over, and SIGKILL {_MINIMUM_GRACE_S} s later",
        )


def check_workload_timers(thing: Deployment | ReplicaSet | StatefulSet | DaemonSet, place: Place) -> None:
    """A deadline that passes before a pod can count as available."""
    if not isinstance(thing, Deployment):
        return
    deadline, wait = thing.spec.progressDeadlineSeconds, thing.spec.minReadySeconds
    if isinstance(deadline, int) and deadline <= wait:
        place.error(
            ("spec", "progressDeadlineSeconds"),
            f"must be greater than minReadySeconds ({wait}), not {deadline}",
        )
