"""What each time and rate of the control plane does, and where its default is from: text for the report.

Called by `assumptions`. Keys are `part.field` of `netsim.cluster.timing.Timing`; what has no line here is shown
with its value alone. Files are those of kubernetes/kubernetes unless they say otherwise.
"""

from collections.abc import Mapping
from typing import Final

MODEL: Final = "model: no published distribution, kept within published bounds"

_NODE: Final = "pkg/controller/nodelifecycle/config/v1alpha1/defaults.go"
_KUBELET: Final = "pkg/kubelet/apis/config/v1beta1/defaults.go"
_SLICES: Final = "pkg/controller/endpointslice/endpointslice_controller.go"
_PROXY: Final = "pkg/proxy/apis/config/v1alpha1/defaults.go"
_EVICTION: Final = "kubernetes/website: concepts/architecture/nodes.md"
_MANAGER: Final = "kubernetes/website: command-line-tools-reference/kube-controller-manager.md"

# "part.field": (source of the default, what it does)
TIMING: Final[Mapping[str, tuple[str, str]]] = {
    "api.write": (MODEL, "a component's write to the API server"),
    "api.watch": (MODEL, "from a change in the API server to a watcher that hears of it, each by itself"),
    "kubelet.pleg_relist_period_ns": (
        "pkg/kubelet/kubelet.go genericPlegRelistPeriod",
        "how often the kubelet looks for containers that ended",
    ),
    "kubelet.pleg_relist": (MODEL, "how long one such look takes"),
    "kubelet.lease_duration_ns": (_KUBELET, "nodeLeaseDurationSeconds"),
    "kubelet.lease_renew_fraction": (
        "pkg/kubelet/kubelet.go nodeLeaseRenewIntervalFraction",
        "the node's lease is renewed after this part of its duration",
    ),
    "kubelet.lease_renew_jitter": (
        "staging/src/k8s.io/component-helpers/apimachinery/lease/controller.go",
        "with up to so much more",
    ),
    "kubelet.node_status_update_ns": (_KUBELET, "nodeStatusUpdateFrequency"),
    "kubelet.status_sync_ns": (
        "pkg/kubelet/status/status_manager.go syncPeriod",
        "statuses not yet written are written",
    ),
    "kubelet.api_qps": (_KUBELET, "kubeAPIQPS: writes to the API server per second"),
    "kubelet.api_burst": (_KUBELET, "kubeAPIBurst"),
    "kubelet.crash_backoff_ns": (
        "pkg/kubelet/kubelet.go",
        "wait before the second restart, doubling (CrashLoopBackOff)",
    ),
    "kubelet.crash_backoff_max_ns": ("pkg/kubelet/kubelet.go MaxContainerBackOff", "the longest such wait"),
    "kubelet.sandbox_create": (
        MODEL,
        "making a pod's sandbox, within the pod start-up objective of 5 s at p99",
    ),
    "kubelet.container_start": (MODEL, "creating and starting a container whose image is there"),
    "kubelet.sandbox_remove": (MODEL, "taking a pod's sandbox down"),
    "kubelet.container_reap": (MODEL, "from the end of a process to a container reported as dead"),
    "kubelet.minimum_grace_ns": (
        "pkg/kubelet/kuberuntime/kuberuntime_container.go minimumGracePeriodInSeconds",
        "SIGTERM's time where a preStop hook used the grace period up",
    ),
    "kubelet.max_pods": (_KUBELET, "maxPods"),
    "node_failure.monitor_period_ns": (_NODE, "--node-monitor-period: how often leases are looked at"),
    "node_failure.monitor_pass": (MODEL, "how long one pass over the nodes takes"),
    "node_failure.grace_period_ns": (
        _NODE,
        "--node-monitor-grace-period: silence until a node counts as unknown",
    ),
    "node_failure.toleration_seconds": (
        "plugin/pkg/admission/defaulttolerationseconds/admission.go",
        "how long pods stay on a node that is not ready or unreachable",
    ),
    "node_failure.eviction_qps": (_EVICTION, "--node-eviction-rate: nodes per second"),
    "node_failure.secondary_eviction_qps": (_EVICTION, "the same in an unhealthy zone"),
    "node_failure.unhealthy_zone_threshold": (_EVICTION, "share of bad nodes that makes a zone unhealthy"),
    "node_failure.large_cluster_size": (_EVICTION, "smaller unhealthy zones evict nothing"),
    "node_failure.eviction": ("taint-based since 1.13", "how pods leave a node that died"),
    "node_failure.pod_eviction_timeout_ns": (_NODE, "--pod-eviction-timeout, before taints"),
    "node_failure.pod_gc_period_ns": (
        "pkg/controller/podgc/gc_controller.go gcCheckPeriod",
        "orphaned pods are looked for",
    ),
    "node_failure.pod_gc_quarantine_ns": (
        "pkg/controller/podgc/gc_controller.go quarantineTime",
        "how long a node must be gone for that",
    ),
    "controllers.api_qps": (_MANAGER, "--kube-api-qps: writes per second of the controllers"),
    "controllers.api_burst": (_MANAGER, "--kube-api-burst"),
    "controllers.concurrent_syncs": (
        "pkg/controller/endpointslice/config/v1alpha1/defaults.go",
        "--concurrent-service-endpoint-syncs: Services worked on at once",
    ),
    "controllers.max_endpoints_per_slice": (
        "pkg/controller/endpointslice/config/v1alpha1/defaults.go",
        "--max-endpoints-per-slice",
    ),
    "controllers.updates_batch_period_ns": (
        _MANAGER,
        "--endpointslice-updates-batch-period: pod changes are collected",
    ),
    "controllers.slice_change_delay_ns": (
        f"{_SLICES} endpointSliceChangeMinSyncDelay",
        "wait after a change of a slice that somebody else made",
    ),
    "controllers.slice_retry_ns": (f"{_SLICES} defaultSyncBackOff", "first retry, doubling"),
    "controllers.slice_retry_max_ns": (f"{_SLICES} maxSyncBackOff", "the longest retry"),
    "controllers.retry_ns": (
        "staging/src/k8s.io/client-go/util/workqueue/default_rate_limiters.go",
        "first retry of other controllers, doubling",
    ),
    "controllers.retry_max_ns": (
        "staging/src/k8s.io/client-go/util/workqueue/default_rate_limiters.go",
        "their longest retry",
    ),
    "controllers.sync": (MODEL, "the computation of one reconciliation"),
    "controllers.schedule": (MODEL, "one cycle of kube-scheduler"),
    "proxy.min_sync_period_ns": (_PROXY, "minSyncPeriod: least time between the writing of rules"),
    "proxy.sync_period_ns": (_PROXY, "syncPeriod"),
    "proxy.full_sync_period_ns": ("pkg/proxy/util FullSyncPeriod", "all rules are written again"),
    "proxy.runner": (
        "pkg/proxy/runner/bounded_frequency_runner.go (strict since 1.34)",
        "whether a burst of two syncs may follow at once",
    ),
    "proxy.burst": ("pkg/util/async/bounded_frequency_runner.go, before 1.34", "how many"),
    "proxy.conntrack_cleanup": ("pkg/proxy/conntrack/cleanup.go", "when stale UDP entries go"),
    "proxy.terminating_endpoints": (
        "KEP-1669, on by default since 1.26",
        "terminating endpoints serve when no others are there",
    ),
    "cloud.ensure": (MODEL, "from a LoadBalancer Service to its balancer"),
}

TOPICS: Final[Mapping[str, str]] = {
    "api": "API server and watches",
    "kubelet": "kubelet and container runtime",
    "node_failure": "Node failure",
    "controllers": "Controllers and scheduler",
    "proxy": "kube-proxy",
    "cloud": "Cloud",
}
