"""Every time and rate of the control plane, with where it comes from.

Called by: the assembly (`controlplane.py`), which hands one `Timing` to every component. `Timing.for_version("1.34")`
takes what changed between Kubernetes releases from the table in `versions.py`; overrides are written by the names of
upstream's flags and configuration fields (`node-monitor-grace-period`, `iptables.minSyncPeriod`).

Sources: "F:id" is a row of the project's collection of timing facts (each read in kubernetes/kubernetes or its
documentation). Values without a published distribution (API and watch latency, pod start) are models that keep
inside the published bounds; they are said to be models.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, Self

from netsim.cluster.delays import Delay, LogNormal, Uniform
from netsim.cluster.versions import timing_fields
from netsim.engine import MS, S, parse_duration

DEFAULT_VERSION: Final = "1.34"

EvictionMode = Literal["taint", "legacy"]
RunnerMode = Literal["strict", "burst"]
ConntrackCleanup = Literal["events", "reconcile-skip-empty", "reconcile"]


@dataclass(frozen=True, slots=True)
class ApiTiming:
    """The API server and the way to it and back."""

    # Model: 5..50 ms for a kubelet's or controller's write, median about 10 ms a hop (F:watch.latency).
    write: Delay = LogNormal(10 * MS, 0.5, 2 * MS, 1 * S)
    # Model: 1..100 ms, log-normal, independent for each watcher (F:watch.latency, timing README step d).
    watch: Delay = LogNormal(10 * MS, 0.8, 1 * MS, 1 * S)


@dataclass(frozen=True, slots=True)
class KubeletTiming:
    """The kubelet and its container runtime."""

    # F:kubelet.plegRelistPeriod; the relist itself takes 0.05..0.3 s (timing README, step a1).
    pleg_relist_period_ns: int = 1 * S
    pleg_relist: Delay = Uniform(50 * MS, 300 * MS)
    # F:kubelet.leaseRenewInterval: a quarter of nodeLeaseDurationSeconds (40 s), with up to 4 % more.
    lease_duration_ns: int = 40 * S
    lease_renew_fraction: float = 0.25
    lease_renew_jitter: float = 0.04
    # F:kubelet.nodeStatusUpdateFrequency, F:kubelet.statusSyncFallback.
    node_status_update_ns: int = 10 * S
    status_sync_ns: int = 10 * S
    # F:kubelet.kubeAPIQPS.
    api_qps: float = 50.0
    api_burst: int = 100
    # F:kubelet.crashLoop: the first restart at once, then 10 s doubling to 300 s; forgotten after twice the maximum.
    crash_backoff_ns: int = 10 * S
    crash_backoff_max_ns: int = 300 * S
    # Model: sandbox and container creation together 1..3 s with the image cached (timing README, formula 5), inside the
    # pod start-up objective of 5 s at p99 (F:kubelet.podStartupSLO). A restart in a living sandbox took 0.47 s (V01).
    sandbox_create: Delay = LogNormal(900 * MS, 0.35, 200 * MS, 10 * S)
    container_start: Delay = LogNormal(450 * MS, 0.35, 100 * MS, 10 * S)
    sandbox_remove: Delay = LogNormal(200 * MS, 0.4, 20 * MS, 5 * S)
    # Model: from the signal to a container reported as dead by the runtime once its process has ended.
    container_reap: Delay = Uniform(5 * MS, 40 * MS)
    # F:pod.terminationGracePeriodSeconds: a preStop hook that overran the period gets 2 s for SIGTERM.
    minimum_grace_ns: int = 2 * S
    # ExecProbeTimeout: before 1.20 nothing ended an exec probe.
    exec_probe_timeout: bool = True
    # Upstream's KubeletConfiguration default (pkg/kubelet/apis/config/v1beta1/defaults.go).
    max_pods: int = 110


@dataclass(frozen=True, slots=True)
class NodeFailureTiming:
    """The node lifecycle controller."""

    # F:kcm.nodeMonitorPeriod; a pass takes some milliseconds, so that passes drift (formula 4: 8-11 passes < 0.4 s).
    monitor_period_ns: int = 5 * S
    monitor_pass: Delay = Uniform(5 * MS, 35 * MS)
    # F:kcm.nodeMonitorGracePeriod: 50 s since 1.32, 40 s before.
    grace_period_ns: int = 50 * S
    # F:pod.tolerationSeconds.
    toleration_seconds: int = 300
    # F:kcm.evictionRate.
    eviction_qps: float = 0.1
    secondary_eviction_qps: float = 0.01
    unhealthy_zone_threshold: float = 0.55
    large_cluster_size: int = 50
    # F:kcm.podEvictionTimeout.legacy: up to 1.12 pods went 300 s after the node's last heartbeat.
    eviction: EvictionMode = "taint"
    pod_eviction_timeout_ns: int = 300 * S
    # pkg/controller/podgc/gc_controller.go: gcCheckPeriod 20 s, quarantineTime 40 s.
    pod_gc_period_ns: int = 20 * S
    pod_gc_quarantine_ns: int = 40 * S


@dataclass(frozen=True, slots=True)
class ControllerTiming:
    """kube-controller-manager and kube-scheduler."""

    # F:kcm.clientQPS.
    api_qps: float = 20.0
    api_burst: int = 30
    # F:eps.concurrentSyncs; deployments and replica sets have 5 workers too (kube-controller-manager.md).
    concurrent_syncs: int = 5
    # F:eps.maxEndpointsPerSlice, F:eps.updatesBatchPeriod, F:eps.sliceChangeMinSyncDelay, F:eps.retryBackoff.
    max_endpoints_per_slice: int = 100
    updates_batch_period_ns: int = 0
    slice_change_delay_ns: int = 1 * S
    slice_retry_ns: int = 1 * S
    slice_retry_max_ns: int = 1000 * S
    # client-go's default controller rate limiter: 5 ms doubling to 1000 s.
    retry_ns: int = 5 * MS
    retry_max_ns: int = 1000 * S
    # Model: the computation of one reconciliation.
    sync: Delay = Uniform(200_000, 2 * MS)
    # Model: one scheduling cycle (filter and score) of kube-scheduler.
    schedule: Delay = Uniform(1 * MS, 5 * MS)


@dataclass(frozen=True, slots=True)
class ProxyTiming:
    """kube-proxy."""

    # F:kp.iptables.minSyncPeriod, F:kp.iptables.syncPeriod (nftables the same; ipvs has no minimum).
    min_sync_period_ns: int = 1 * S
    sync_period_ns: int = 30 * S
    # pkg/proxy/util FullSyncPeriod: a full sync without any reason happens once an hour (read in iptables/proxier.go).
    # Before 1.18, which looks after the canary chain instead, it was syncPeriod (recall).
    full_sync_period_ns: int = 3600 * S
    # F:kp.bfr.semantics: strict since 1.34; a token bucket with a burst of two before.
    runner: RunnerMode = "strict"
    burst: int = 2
    # F:kp.conntrack.cleanup.
    conntrack_cleanup: ConntrackCleanup = "reconcile-skip-empty"
    # F:kubeproxy.terminatingFallback: on by default since 1.26.
    terminating_endpoints: bool = True


@dataclass(frozen=True, slots=True)
class CloudTiming:
    """The cloud behind the service controller."""

    # Model: a balancer is ready some seconds after it is asked for; clouds take up to minutes. It happens at the boot,
    # when nobody waits, and after changes of the nodes.
    ensure: Delay = LogNormal(2 * S, 0.5, 500 * MS, 30 * S)


@dataclass(frozen=True, slots=True)
class Timing:
    """All of the above for one cluster."""

    version: tuple[int, int] = (1, 34)
    api: ApiTiming = field(default_factory=ApiTiming)
    kubelet: KubeletTiming = field(default_factory=KubeletTiming)
    node_failure: NodeFailureTiming = field(default_factory=NodeFailureTiming)
    controllers: ControllerTiming = field(default_factory=ControllerTiming)
    proxy: ProxyTiming = field(default_factory=ProxyTiming)
    cloud: CloudTiming = field(default_factory=CloudTiming)

    @classmethod
    def for_version(
        cls, version: str = DEFAULT_VERSION, overrides: Mapping[str, object] | None = None
    ) -> Self:
        """The defaults of a Kubernetes release ("1.34", "v1.29.3") with overrides by upstream's flag names.

        Raises ValueError for a version that is not one or for an unknown flag, with the nearest known names.
        """
        release = parse_version(version)
        changed = timing_fields(release)
        timing = cls(
            version=release,
            kubelet=KubeletTiming(**changed["kubelet"]),
            node_failure=NodeFailureTiming(**changed["node_failure"]),
            proxy=ProxyTiming(**changed["proxy"]),
        )
        return timing.with_flags(overrides or {})

    def with_flags(self, overrides: Mapping[str, object]) -> Self:
        """A copy with some flags set. Durations may be Go texts ("40s") or whole nanoseconds."""
        timing = self
        for flag, value in overrides.items():
            if flag not in FLAGS:
                raise ValueError(
                    f"{flag!r} is not a flag that netsim knows (known: {', '.join(sorted(FLAGS))})"
                )
            part_name, field_name = FLAGS[flag]
            part = getattr(timing, part_name)
            part = replace(part, **{field_name: _flag_value(flag, field_name, value)})
            timing = replace(timing, **{part_name: part})
        return timing

    def with_parts(self, **parts: Any) -> Self:
        """A copy with whole parts replaced (tests)."""
        return replace(self, **parts)


# Upstream's flag or configuration field -> (part, field). Flags of kube-controller-manager, kubelet, kube-apiserver,
# kube-proxy in this order.
FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "node-monitor-period": ("node_failure", "monitor_period_ns"),
    "node-monitor-grace-period": ("node_failure", "grace_period_ns"),
    "node-eviction-rate": ("node_failure", "eviction_qps"),
    "secondary-node-eviction-rate": ("node_failure", "secondary_eviction_qps"),
    "unhealthy-zone-threshold": ("node_failure", "unhealthy_zone_threshold"),
    "large-cluster-size-threshold": ("node_failure", "large_cluster_size"),
    "pod-eviction-timeout": ("node_failure", "pod_eviction_timeout_ns"),
    "kube-api-qps": ("controllers", "api_qps"),
    "kube-api-burst": ("controllers", "api_burst"),
    "max-endpoints-per-slice": ("controllers", "max_endpoints_per_slice"),
    "endpointslice-updates-batch-period": ("controllers", "updates_batch_period_ns"),
    "concurrent-service-endpoint-syncs": ("controllers", "concurrent_syncs"),
    "default-not-ready-toleration-seconds": ("node_failure", "toleration_seconds"),
    "default-unreachable-toleration-seconds": ("node_failure", "toleration_seconds"),
    "nodeLeaseDurationSeconds": ("kubelet", "lease_duration_ns"),
    "nodeStatusUpdateFrequency": ("kubelet", "node_status_update_ns"),
    "maxPods": ("kubelet", "max_pods"),
    "kubeAPIQPS": ("kubelet", "api_qps"),
    "kubeAPIBurst": ("kubelet", "api_burst"),
    "crashLoopBackOff.maxContainerRestartPeriod": ("kubelet", "crash_backoff_max_ns"),
    "minSyncPeriod": ("proxy", "min_sync_period_ns"),
    "syncPeriod": ("proxy", "sync_period_ns"),
    "iptables.minSyncPeriod": ("proxy", "min_sync_period_ns"),
    "iptables.syncPeriod": ("proxy", "sync_period_ns"),
    "nftables.minSyncPeriod": ("proxy", "min_sync_period_ns"),
    "nftables.syncPeriod": ("proxy", "sync_period_ns"),
    "ipvs.minSyncPeriod": ("proxy", "min_sync_period_ns"),
    # The ipvs mode compares everything every syncPeriod (NewProxier: the runner's maximum interval).
    "ipvs.syncPeriod": ("proxy", "full_sync_period_ns"),
}


def _flag_value(flag: str, field_name: str, value: object) -> object:
    if not field_name.endswith("_ns"):
        return value
    if flag.endswith("Seconds"):
        return int(str(value)) * S
    return value if isinstance(value, int) else parse_duration(str(value))


def parse_version(text: str) -> tuple[int, int]:
    """(1, 34) from "1.34", "v1.34" or "v1.34.2". Raises ValueError otherwise."""
    parts = text.removeprefix("v").split(".")
    if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
        raise ValueError(f'"{text}" is not a Kubernetes version (write for example "1.34")')
    return int(parts[0]), int(parts[1])


def describe(timing: Timing) -> list[str]:
    """One line per setting, for reports: `node_failure.grace_period_ns = 50000000000`."""
    lines = []
    for part in fields(timing):
        value = getattr(timing, part.name)
        if part.name == "version":
            lines.append(f"version = {value[0]}.{value[1]}")
            continue
        lines += [f"{part.name}.{entry.name} = {getattr(value, entry.name)}" for entry in fields(value)]
    return lines
