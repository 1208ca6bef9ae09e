"""How long each step of a failover takes, through the real components, over hundreds of seeds.

The bounds and means are the formulas of the project's timing notes (section 2); the faults come at random moments.
"""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import pytest
from clusterlab import World, deployment, make_world, service

from netsim.cluster.objects import HTTPGetAction, Pod, Probe
from netsim.cluster.timing import Timing
from netsim.engine import MS, S

SEEDS = 220
DEFAULT_PROBE = Probe(httpGet=HTTPGetAction(port=80))


@dataclass(frozen=True)
class Steps:
    """Durations in seconds: fault to detection, to the status, to the slice, to the rules of the last node."""

    detected: float
    status: float
    slices: float
    rules: float


def fail(seed: int, fault: Callable[[World, Pod], None], version: str, reason: str) -> Steps:
    """One cluster, one fault at a random moment."""
    world = make_world(2, seed, Timing.for_version(version))
    world.boot([deployment(replicas=2, probe=DEFAULT_PROBE), service()])
    world.run(int(random.Random(seed).random() * 20 * S))
    victim, now = world.pods()[0], world.engine.now
    fault(world, victim)
    while not (noticed := world.recorded.of(reason, now)):
        world.run(1 * S)
    world.run(5 * S)
    written = next(
        e for e in world.recorded.of("PodStatusWritten", now, ready="False") if e.name == victim.metadata.name
    )
    updated = next(
        e
        for e in world.recorded.of("EndpointSliceUpdated", now)
        if victim.status.podIP in e.detail["removed"]
    )
    synced: dict[str, int] = {}
    for event in world.recorded.of("RulesSynced", updated.at_ns):
        if int(event.detail["started_ns"]) >= updated.at_ns and "default/web" in event.detail["services"]:
            synced.setdefault(event.node, event.at_ns)
    marks = [now, noticed[0].at_ns, written.at_ns, updated.at_ns, max(synced.values())]
    return Steps(*((b - a) / S for a, b in itertools.pairwise(marks)))


def set_mode(mode: str) -> Callable[[World, Pod], None]:
    return lambda world, pod: setattr(world.app_of(pod), "mode", mode)


def kill(world: World, pod: Pod) -> None:
    world.plane.kill_container(pod)


def crash(world: World, pod: Pod) -> None:
    world.plane.crash_node(pod.spec.nodeName)


@pytest.mark.parametrize(
    ("fault", "version", "reason", "low", "mean", "high"),
    [
        # Hang: U(0,P) + (F-1)P + T with P=10, F=3, T=1.
        pytest.param(set_mode("hang"), "1.34", "PodUnready", 21.0, 26.0, 31.0, id="hang"),
        # Refused connection: the same without T.
        pytest.param(set_mode("refuse"), "1.34", "PodUnready", 20.0, 25.0, 30.01, id="refused"),
        # Crash: U(0,1) + 0.05..0.3.
        pytest.param(kill, "1.34", "PodUnready", 0.05, 0.675, 1.3, id="crash"),
        # Node: G - age of the last renewal + wait for a pass + overruns; the age is at most 10.4 s.
        pytest.param(crash, "1.34", "NodeNotReady", 39.6, 47.6, 55.4, id="node-1.34"),
        pytest.param(crash, "1.31", "NodeNotReady", 29.6, 37.6, 45.4, id="node-1.31"),
    ],
)
def test_detection(
    fault: Callable[[World, Pod], None], version: str, reason: str, low: float, mean: float, high: float
) -> None:
    steps = [fail(seed, fault, version, reason) for seed in range(SEEDS)]
    detected = [step.detected for step in steps]
    assert low <= min(detected)
    assert max(detected) <= high
    # Four standard errors of a uniform distribution of that width.
    assert abs(fmean(detected) - mean) < 4 * (high - low) / (12 * SEEDS) ** 0.5
    # The rest of the chain: a write, a watch and a write, a watch and a sync (of 20 ms here).
    for name, most in (("status", 0.3), ("slices", 1.6), ("rules", 1.5)):
        durations = [getattr(step, name) for step in steps]
        assert min(durations) > 0.001
        assert max(durations) < most
    assert fmean(step.status for step in steps) < 0.06
    assert 0.01 < fmean(step.slices for step in steps) < 0.06


def test_deletion_is_known_at_once() -> None:
    """The endpoint leaves the slice some tens of milliseconds after the deletion, whatever the pod does."""
    waits = []
    for seed in range(60):
        world = make_world(2, seed)
        world.boot([deployment(replicas=2), service()])
        victim, now = world.pods()[0], world.engine.now
        world.app_of(victim).term_takes_ns = None
        world.plane.delete_pod(victim)
        world.run(2 * S)
        removed = next(e for e in world.recorded.of("EndpointSliceUpdated", now) if e.detail["removed"])
        waits.append(removed.at_ns - now)
    assert max(waits) < 300 * MS
    assert 10 * MS < fmean(waits) < 60 * MS
