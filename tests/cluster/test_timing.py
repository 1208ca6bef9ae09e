"""What changed between Kubernetes releases, and overrides by upstream's names."""

from random import Random

import pytest

from netsim.cluster.delays import Constant, LogNormal, Uniform
from netsim.cluster.timing import FLAGS, Timing, describe, parse_version
from netsim.engine import MS, S


@pytest.mark.parametrize(
    ("version", "grace_s", "eviction", "runner", "cleanup", "min_sync_s", "terminating"),
    [
        ("1.12", 40, "legacy", "burst", "events", 0, False),
        ("1.13", 40, "taint", "burst", "events", 0, False),
        ("1.19", 40, "taint", "burst", "events", 0, False),
        ("1.20", 40, "taint", "burst", "events", 1, False),
        ("1.26", 40, "taint", "burst", "events", 1, True),
        ("1.31", 40, "taint", "burst", "events", 1, True),
        ("1.32", 50, "taint", "burst", "reconcile-skip-empty", 1, True),
        ("1.34", 50, "taint", "strict", "reconcile-skip-empty", 1, True),
        ("1.37", 50, "taint", "strict", "reconcile", 1, True),
    ],
)
def test_versions(
    version: str, grace_s: int, eviction: str, runner: str, cleanup: str, min_sync_s: int, terminating: bool
) -> None:
    timing = Timing.for_version(version)
    assert timing.node_failure.grace_period_ns == grace_s * S
    assert timing.node_failure.eviction == eviction
    proxy = timing.proxy
    assert (proxy.runner, proxy.conntrack_cleanup, proxy.terminating_endpoints) == (
        runner,
        cleanup,
        terminating,
    )
    assert proxy.min_sync_period_ns == min_sync_s * S


def test_overrides_take_durations_and_numbers() -> None:
    flags = {
        "node-monitor-grace-period": "16s",
        "node-monitor-period": 2 * S,
        "nodeLeaseDurationSeconds": 20,
        "iptables.minSyncPeriod": "10s",
        "kube-api-qps": 100.0,
    }
    timing = Timing.for_version("1.34", flags)
    assert timing.node_failure.grace_period_ns == 16 * S
    assert timing.node_failure.monitor_period_ns == 2 * S
    assert timing.kubelet.lease_duration_ns == 20 * S
    assert timing.proxy.min_sync_period_ns == 10 * S
    assert timing.controllers.api_qps == 100.0


def test_unknown_flag_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="node-monitor-grace-period"):
        Timing.for_version("1.34", {"node-monitor-graceperiod": "1s"})


@pytest.mark.parametrize("flag", sorted(FLAGS))
def test_every_flag_names_a_setting(flag: str) -> None:
    part, name = FLAGS[flag]
    assert hasattr(getattr(Timing.for_version(), part), name)


@pytest.mark.parametrize(("text", "release"), [("1.34", (1, 34)), ("v1.9", (1, 9)), ("v1.31.4", (1, 31))])
def test_parse_version(text: str, release: tuple[int, int]) -> None:
    assert parse_version(text) == release


@pytest.mark.parametrize("text", ["", "1", "latest", "1.x", "1.2.3.4"])
def test_parse_version_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes version"):
        parse_version(text)


def test_describe_lists_every_setting() -> None:
    lines = describe(Timing.for_version("1.31"))
    assert lines[0] == "version = 1.31"
    assert "node_failure.grace_period_ns = 40000000000" in lines


def test_delays_stay_within_their_bounds() -> None:
    random = Random(1)
    lognormal = LogNormal(10 * MS, 0.8, 1 * MS, 100 * MS)
    draws = [lognormal.sample(random) for _ in range(4000)]
    assert min(draws) >= 1 * MS
    assert max(draws) <= 100 * MS
    assert 9 * MS < sorted(draws)[2000] < 11 * MS
    uniform = [Uniform(50, 300).sample(random) for _ in range(4000)]
    assert min(uniform) >= 50
    assert max(uniform) < 300
    assert Constant(7).sample(random) == 7
