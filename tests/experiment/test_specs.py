"""Specs: units, names of nodes, selectors, URLs, and that a dumped spec loads again."""

from typing import Any

import pytest
from pydantic import ValidationError

from netsim.cluster.timing import Timing
from netsim.engine import MS, S
from netsim.experiment.rules_faults import percentage
from netsim.experiment.spec_cluster import ClusterSpec, LinkQuality
from netsim.experiment.spec_experiment import Check, ExperimentSpec, Load, Server
from netsim.experiment.spec_select import Selector


def names(*nodes: dict[str, Any]) -> list[str]:
    return [entry.name for entry in ClusterSpec.model_validate({"nodes": list(nodes)}).node_entries()]


CONTROL, WORKER = {"role": "control-plane"}, {"role": "worker"}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([CONTROL], ["control-plane"]),
        ([CONTROL, WORKER], ["control-plane", "worker"]),
        ([CONTROL, WORKER, WORKER], ["control-plane", "worker-1", "worker-2"]),
        ([CONTROL, {**WORKER, "count": 2}, {"name": "db"}], ["control-plane", "worker-1", "worker-2", "db"]),
        ([{"name": "db", "count": 2}, WORKER], ["db-1", "db-2", "worker"]),
        ([{**CONTROL, "count": 3}], ["control-plane-1", "control-plane-2", "control-plane-3"]),
    ],
)
def test_node_names(nodes: list[dict[str, Any]], expected: list[str]) -> None:
    assert names(*nodes) == expected


def test_node_addresses_and_taints() -> None:
    spec = ClusterSpec.model_validate({"nodes": [CONTROL, {"address": "172.18.0.3"}, WORKER]})
    control, given, free = spec.node_entries()
    assert [entry.address for entry in (control, given, free)] == ["172.18.0.2", "172.18.0.3", "172.18.0.4"]
    assert [taint.effect for taint in control.taints] == ["NoSchedule"]
    assert "node-role.kubernetes.io/control-plane" in control.labels
    assert given.labels["kubernetes.io/hostname"] == "worker-1"
    assert ClusterSpec().node_entries()[0].taints == ()  # the only node runs pods


def test_units_become_numbers() -> None:
    link = LinkQuality.model_validate({"delay": "1.5ms", "rate": "10Gbit", "loss": "0.1%", "queue": "2ms"})
    assert (link.delay_ns, link.rate_bps, link.loss, link.queue_ns) == (1_500_000, 10**10, 0.001, 2 * MS)
    load = Load.model_validate({"name": "a", "from": {"run": "c"}, "to": "http://web/", "rate": "90/m"})
    assert (load.rate_per_s, load.timeout_ns, load.for_ns) == (1.5, 1 * S, None)


def test_link_overrides() -> None:
    links = {
        "default": {"delay": "1ms", "rate": "1Gbit"},
        "overrides": [
            {"endpoints": ["worker-*"], "loss": "1%"},
            {"endpoints": ["worker-2:eth0"], "delay": "5ms"},
        ],
    }
    spec = ClusterSpec.model_validate({"nodes": [{"count": 2}], "links": links})
    first, second, router = (spec.link(f"{name}:eth0") for name in ("worker-1", "worker-2", "router"))
    assert (first.delay_ns, first.loss, first.rate_bps) == (1 * MS, 0.01, 10**9)
    assert (second.delay_ns, second.loss) == (5 * MS, 0.01)
    assert router == spec.links.default


@pytest.mark.parametrize("delay", [50, "50", 1.5, "5 seconds", "-1s", True, [], "1h30", "ms"])
def test_durations_need_a_unit(delay: object) -> None:
    with pytest.raises(ValidationError):
        LinkQuality.model_validate({"delay": delay})


@pytest.mark.parametrize("loss", [1, 0.01, "1", "101%", "-1%", "one%", "%", True])
def test_probabilities_need_a_percent_sign(loss: object) -> None:
    with pytest.raises(ValidationError):
        LinkQuality.model_validate({"loss": loss})


@pytest.mark.parametrize(
    ("raw", "minor", "release"),
    [({}, 34, (6, 8)), ({"kubernetesVersion": "v1.29.3", "kernel": "5.15.0-91-generic"}, 29, (5, 15))],
)
def test_versions(raw: dict[str, Any], minor: int, release: tuple[int, int]) -> None:
    spec = ClusterSpec.model_validate(raw)
    assert (spec.minor, spec.kernel_release) == (minor, release)


@pytest.mark.parametrize("version", [1.34, "1.7", "1.37", "2.0", "one", "1", "1.2.3.4"])
def test_wrong_versions(version: object) -> None:
    with pytest.raises(ValidationError):
        ClusterSpec.model_validate({"kubernetesVersion": version})


def test_timing_flags_are_those_that_the_control_plane_knows() -> None:
    spec = ClusterSpec.model_validate(
        {
            "kubeProxy": {"iptables": {"minSyncPeriod": "10s", "syncPeriod": "1m"}},
            "kubelet": {
                "nodeLeaseDurationSeconds": 20, "nodeStatusUpdateFrequency": "5s", "maxPods": 50, "kubeAPIQPS": 5,
                "kubeAPIBurst": 9, "crashLoopBackOff": {"maxContainerRestartPeriod": "1m"},
            },
            "controllerManager": {
                "nodeMonitorPeriod": "2s", "nodeMonitorGracePeriod": "16s", "podEvictionTimeout": "1m",
                "nodeEvictionRate": 1, "secondaryNodeEvictionRate": 0.5, "unhealthyZoneThreshold": 0.5,
                "largeClusterSizeThreshold": 9, "kubeApiQps": 100, "kubeApiBurst": 100, "maxEndpointsPerSlice": 50,
                "endpointsliceUpdatesBatchPeriod": "1s", "concurrentServiceEndpointSyncs": 2,
            },
        }
    )  # fmt: skip
    timing = Timing.for_version(spec.kubernetesVersion, spec.timing_flags())
    assert timing.node_failure.grace_period_ns == 16 * S
    assert timing.proxy.min_sync_period_ns == 10 * S
    assert timing.kubelet.lease_duration_ns == 20 * S
    assert timing.controllers.updates_batch_period_ns == 1 * S
    assert ClusterSpec().timing_flags() == {}


@pytest.mark.parametrize(
    ("raw", "kind", "text"),
    [
        ({"run": "web"}, "labels", "run=web"),
        ({"run": "web", "namespace": "shop"}, "labels", "namespace=shop,run=web"),
        ({"labels": {"node": "x"}}, "labels", "node=x"),
        ({"pod": "web-0"}, "pod", "pod=web-0"),
        ({"node": "worker-*"}, "node", "node=worker-*"),
        ({"link": "worker-1:eth0"}, "link", "link=worker-1:eth0"),
        ({}, "", ""),
    ],
)
def test_selectors(raw: dict[str, Any], kind: str, text: str) -> None:
    selector = Selector.model_validate(raw)
    assert (selector.kind, str(selector)) == (kind, text)


@pytest.mark.parametrize(
    ("raw", "selected"),
    [
        ({"run": "web"}, True),
        ({"run": "web", "namespace": "shop"}, True),
        ({"run": "web", "namespace": "default"}, False),
        ({"run": "web", "tier": "front"}, False),
        ({"pod": "web-0"}, True),
        ({"pod": "shop/web-0"}, True),
        ({"pod": "default/web-0"}, False),
        ({"node": "worker-1"}, False),
    ],
)
def test_who_is_selected(raw: dict[str, Any], selected: bool) -> None:
    assert Selector.model_validate(raw).selects_pod("shop", "web-0", {"run": "web", "a": "b"}) is selected


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("http://web", "web", 80, "/"),
        ("http://web/", "web", 80, "/"),
        ("http://nginx-service:5000/a?b=c", "nginx-service", 5000, "/a?b=c"),
        ("http://10.96.0.1:443", "10.96.0.1", 443, "/"),
    ],
)
def test_urls(text: str, host: str, port: int, path: str) -> None:
    load = Load.model_validate({"name": "a", "from": {"run": "c"}, "to": text})
    assert (load.to.host, load.to.port, load.to.path) == (host, port, path)


def test_service_time_is_a_duration_or_a_distribution() -> None:
    plain = Server.model_validate({"selector": {"a": "b"}, "serviceTime": "2ms"}).serviceTime
    spread = {"mean": "2ms", "distribution": "exponential"}
    full = Server.model_validate({"selector": {"a": "b"}, "serviceTime": spread}).serviceTime
    assert plain is not None
    assert full is not None
    assert (plain.mean_ns, plain.distribution) == (2 * MS, "constant")
    assert (full.mean_ns, full.distribution) == (2 * MS, "exponential")


@pytest.mark.parametrize("expr", ["failover('web').outage < 5s", "errors == 0", "split('w').min_share > 30%"])
def test_check_expressions(expr: str) -> None:
    assert Check.model_validate({"name": "a", "expr": expr}).expr == expr


@pytest.mark.parametrize(
    ("value", "number"), [("50%", 50.0), ("100%", 100.0), ("0%", None), (50, None), ("101%", None)]
)
def test_percentages_of_faults(value: int | str, number: float | None) -> None:
    assert percentage(value) == number


def test_a_dumped_spec_loads_again() -> None:
    raw = {
        "topology": "t.yaml", "duration": "90s", "warmup": "500ms", "seed": 3,
        "load": [{"name": "a", "from": {"run": "c"}, "to": "http://w:81/x", "rate": "200/s", "timeout": "1500ms"}],
        "servers": [{"selector": {"a": "b"}, "serviceTime": "2ms"}],
        "faults": [
            {"at": "20s", "for": "1m", "action": "link-netem", "selector": {"node": "w"}, "loss": "0.1%"},
            {"at": "20s", "action": "link-netem", "selector": {"node": "w"}, "rate": "1Gbit", "delay": "1ms"},
        ],
        "checks": [{"name": "a", "expr": "errors == 0", "during": ["1s", "2s"]}],
    }  # fmt: skip
    spec = ExperimentSpec.model_validate(raw)
    assert ExperimentSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert ExperimentSpec.model_validate(spec.model_dump(mode="json", exclude_defaults=True)) == spec
