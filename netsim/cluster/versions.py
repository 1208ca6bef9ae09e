"""What changed between releases of Kubernetes, as far as the control plane's behaviour in time depends on it.

Called by: `timing.py`, which fills its fields from here, components that ask for one behaviour (`value`), and
`netsim describe versions`. Values are those of upstream's defaults; `kubernetesVersion` of a Cluster chooses.
Sources stand with each row; "F:" is a row of the project's collection of timing facts.
"""

from collections.abc import Mapping
from typing import Any, Final

from netsim.engine import S
from netsim.engine.switches import Release, Switch, by_name

_EVER: Final = (1, 0)

SWITCHES: Final[Mapping[str, Switch]] = by_name((
    Switch(
        "node-monitor-grace-period",
        "how long a node may be silent before it counts as dead",
        ((_EVER, 40 * S), ((1, 32), 50 * S)),
        "kubernetes#126287; F:kcm.nodeMonitorGracePeriod",
        "node_failure.grace_period_ns",
        "kube-controller-manager",
    ),
    Switch(
        "eviction",
        "who deletes the pods of a dead node: the node controller 300 s after its last sign of life (legacy), or the "
        "NoExecute taint and the pods' tolerationSeconds (taint)",
        ((_EVER, "legacy"), ((1, 13), "taint")),
        "TaintBasedEvictions, beta and on since 1.13; F:kcm.podEvictionTimeout.legacy",
        "node_failure.eviction",
        "kube-controller-manager",
    ),
    Switch(
        "kubeAPIQPS",
        "the kubelet's requests per second",
        ((_EVER, 5.0), ((1, 27), 50.0)),
        "pkg/kubelet/apis/config/v1beta1/defaults.go (release from memory); F:kubelet.kubeAPIQPS",
        "kubelet.api_qps",
        "kubelet",
    ),
    Switch(
        "kubeAPIBurst",
        "the kubelet's requests at once",
        ((_EVER, 10), ((1, 27), 100)),
        "pkg/kubelet/apis/config/v1beta1/defaults.go (release from memory); F:kubelet.kubeAPIQPS",
        "kubelet.api_burst",
        "kubelet",
    ),
    Switch(
        "exec probe timeout",
        "whether timeoutSeconds ends an exec probe; before, it ran as long as it liked",
        ((_EVER, False), ((1, 20), True)),
        "ExecProbeTimeout (KEP-1972), on since 1.20 (from memory); F:probe.timeoutSeconds",
        "kubelet.exec_probe_timeout",
        "kubelet",
    ),
    Switch(
        "minSyncPeriod",
        "the shortest time between two syncs of kube-proxy",
        ((_EVER, 0), ((1, 20), 1 * S)),
        "kubernetes#92836; F:kp.iptables.minSyncPeriod",
        "proxy.min_sync_period_ns",
        "kube-proxy",
    ),
    Switch(
        "full sync",
        "how often kube-proxy writes everything anew without a reason",
        ((_EVER, 30 * S), ((1, 18), 3600 * S)),
        "pkg/proxy/util FullSyncPeriod; since 1.18 (from memory) a canary chain is looked after instead",
        "proxy.full_sync_period_ns",
        "kube-proxy",
    ),
    Switch(
        "bounded-frequency runner",
        "whether a sync may follow at once on one after a rest (burst: a token bucket of 2), or never sooner than "
        "minSyncPeriod (strict)",
        ((_EVER, "burst"), ((1, 34), "strict")),
        "pkg/proxy/runner/bounded_frequency_runner.go (release from memory); F:kp.bfr.semantics",
        "proxy.runner",
        "kube-proxy",
    ),
    Switch(
        "conntrack clean-up",
        "UDP entries deleted after a sync: by changes seen (events), all that lead to no serving endpoint but of "
        "Services without any (reconcile-skip-empty), of those too (reconcile)",
        ((_EVER, "events"), ((1, 32), "reconcile-skip-empty"), ((1, 37), "reconcile")),
        "kubernetes#127318, #139628, #139629 (pkg/proxy/conntrack/cleanup.go); F:kp.conntrack.cleanup",
        "proxy.conntrack_cleanup",
        "kube-proxy",
    ),
    Switch(
        "terminating endpoints",
        "whether a Service without ready endpoints uses those that are serving and terminating",
        ((_EVER, False), ((1, 26), True)),
        "ProxyTerminatingEndpoints, beta and on since 1.26 (KEP-1669); F:kubeproxy.terminatingFallback",
        "proxy.terminating_endpoints",
        "kube-proxy",
    ),
    Switch(
        "draining nodes",
        "whether kube-proxy's /healthz fails on a node that is about to be deleted",
        ((_EVER, False), ((1, 30), True)),
        "KubeProxyDrainingTerminatingNodes (KEP-3836)",
        component="kube-proxy",
    ),
    Switch(
        "stable load balancer node set",
        "whether a node that is not Ready stays behind cloud load balancers, for their health checks to judge",
        ((_EVER, False), ((1, 27), True)),
        "StableLoadBalancerNodeSet (KEP-3458)",
        component="cloud-controller-manager",
    ),
    Switch(
        "loadBalancer ipMode",
        "whether status.loadBalancer says how packets arrive (VIP or Proxy)",
        ((_EVER, False), ((1, 30), True)),
        "LoadBalancerIPMode, beta and on since 1.30 (KEP-1860)",
        component="cloud-controller-manager",
    ),
    Switch(
        "StatefulSet pod index",
        "whether the pods of a StatefulSet have the label apps.kubernetes.io/pod-index",
        ((_EVER, False), ((1, 28), True)),
        "PodIndexLabel, beta and on since 1.28 (KEP-4017)",
        component="kube-controller-manager",
    ),
))  # fmt: skip


def value(name: str, version: Release) -> Any:
    """What a release does."""
    return SWITCHES[name].at(version)


def timing_fields(version: Release) -> dict[str, dict[str, Any]]:
    """The values of a release by part and field of `Timing`."""
    parts: dict[str, dict[str, Any]] = {}
    for switch in SWITCHES.values():
        if switch.field:
            part, _, name = switch.field.partition(".")
            parts.setdefault(part, {})[name] = switch.at(version)
    return parts
