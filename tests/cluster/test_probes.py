"""Probe workers: rhythm, thresholds, and what they depend on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from netsim.cluster.kubelet.container import ContainerRun, RunState, Snapshot
from netsim.cluster.kubelet.probes import ProbeKind, ProbeWorker, Result
from netsim.cluster.objects import Container, Probe
from netsim.cluster.timing import KubeletTiming
from netsim.engine import MS, Engine, S

OLD_KUBELET = 3600 * S


@dataclass
class Bench:
    """A worker with a pod that only listens and an application that answers by a script."""

    engine: Engine
    kind: ProbeKind = ProbeKind.READINESS
    probe: Probe = field(default_factory=Probe)
    deleting: bool = False
    answers: list[bool] = field(default_factory=list)
    takes_ns: int = 0
    asked: list[int] = field(default_factory=list)
    told: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.container = ContainerRun(Container(name="c"), KubeletTiming())
        self.worker = ProbeWorker(self.engine, self, self.container, self.kind, self.probe, self._run)

    def _run(self, container: ContainerRun, probe: Probe, done: Callable[[bool, str], None]) -> None:
        self.asked.append(self.engine.now // MS)
        ok = self.answers.pop(0) if self.answers else True
        self.engine.call_later(self.takes_ns, done, ok, "")

    def probe_result(self, container: ContainerRun, kind: ProbeKind, result: Result) -> None:
        self.told.append((self.engine.now // MS, result.value))

    def see(self, state: RunState = RunState.RUNNING, instance: int = 1, started: bool = True) -> None:
        self.container.seen = Snapshot(state, instance, started_ns=self.engine.now)
        self.container.started = started

    def start(self, age_ns: int = OLD_KUBELET) -> None:
        self.worker.start(age_ns, Random(3))


def test_the_first_probe_is_immediate_and_the_rest_periodic(engine: Engine) -> None:
    bench = Bench(engine)
    engine.run(500 * MS)
    bench.see()
    bench.start()
    engine.run(31 * S)
    assert bench.asked == [500, 10500, 20500, 30500]


def test_a_young_kubelet_waits_a_random_part_of_the_period(engine: Engine) -> None:
    bench = Bench(engine)
    bench.see()
    bench.start(age_ns=9 * S)
    engine.run(40 * S)
    assert 0 < bench.asked[0] < 10000
    assert {b - a for a, b in zip(bench.asked, bench.asked[1:], strict=False)} == {10000}


def test_nothing_is_probed_before_the_container_was_seen_to_run(engine: Engine) -> None:
    bench = Bench(engine)
    bench.start()
    engine.run(25 * S)
    assert bench.asked == []
    bench.see()
    bench.worker.trigger()
    engine.run(40 * S)
    # The trigger restarts the ticker: the container is probed every ten seconds from the moment it was seen.
    assert bench.asked == [25000, 35000]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([True], [(0, "Success")]),
        ([True, False, False, True], [(0, "Success")]),
        ([True, False, False, False, True], [(0, "Success"), (30000, "Failure"), (40000, "Success")]),
        ([False, True], [(10000, "Success")]),
        ([True, False, True, False, False, False], [(0, "Success"), (50000, "Failure"), (60000, "Success")]),
    ],
)
def test_three_failures_in_a_row_count(
    engine: Engine, answers: list[bool], told: list[tuple[int, str]]
) -> None:
    bench = Bench(engine, answers=answers)
    bench.see()
    bench.start()
    engine.run(69 * S)
    assert bench.told == told


def test_success_threshold(engine: Engine) -> None:
    bench = Bench(engine, probe=Probe(successThreshold=2), answers=[True, False, True, True])
    bench.see()
    bench.start()
    engine.run(49 * S)
    assert bench.told == [(30000, "Success")]


def test_a_container_that_does_not_run_is_not_ready_at_once(engine: Engine) -> None:
    bench = Bench(engine)
    bench.see()
    bench.start()
    engine.run(12 * S)
    bench.see(RunState.EXITED)
    engine.run(21 * S)
    assert bench.told == [(0, "Success"), (20000, "Failure")]
    assert bench.asked == [0, 10000]


def test_a_new_instance_starts_from_the_initial_value(engine: Engine) -> None:
    bench = Bench(engine, answers=[True, False])
    bench.see()
    bench.start()
    engine.run(5 * S)
    assert bench.worker.succeeded(1)
    bench.see(instance=2)
    assert not bench.worker.succeeded(2)
    bench.worker.trigger()
    engine.run(6 * S)
    assert bench.told == [(0, "Success"), (5000, "Failure")]


def test_initial_delay(engine: Engine) -> None:
    bench = Bench(engine, probe=Probe(initialDelaySeconds=15, periodSeconds=10))
    bench.see()
    bench.start()
    engine.run(35 * S)
    assert bench.asked == [20000, 30000]


def test_a_slow_probe_keeps_one_tick(engine: Engine) -> None:
    bench = Bench(engine, probe=Probe(periodSeconds=1, timeoutSeconds=3), takes_ns=2500 * MS)
    bench.see()
    bench.start()
    engine.run(8 * S)
    assert bench.asked == [0, 2500, 5000, 7500]


def test_a_trigger_during_a_probe_waits_for_its_end(engine: Engine) -> None:
    bench = Bench(engine, takes_ns=300 * MS)
    bench.see()
    bench.start()
    engine.run(100 * MS)
    bench.worker.trigger()
    bench.worker.trigger()
    engine.run(20 * S)
    assert bench.asked == [0, 300, 10300]


def test_startup_gates_the_others(engine: Engine) -> None:
    startup, readiness = Bench(engine, ProbeKind.STARTUP), Bench(engine)
    for bench in (startup, readiness):
        bench.see(started=False)
        bench.start()
    engine.run(1 * S)
    assert startup.asked == [0]
    assert startup.told == [(0, "Success")]
    assert readiness.asked == []
    for bench in (startup, readiness):
        bench.container.started = True
    engine.run(21 * S)
    assert startup.asked == [0]
    assert readiness.asked == [10000, 20000]


def test_liveness_failure_holds_until_the_successor(engine: Engine) -> None:
    bench = Bench(engine, ProbeKind.LIVENESS, answers=[False] * 3)
    bench.see()
    bench.start()
    engine.run(55 * S)
    assert bench.told == [(20000, "Failure")]
    assert bench.asked == [0, 10000, 20000]
    bench.see(instance=2)
    engine.run(75 * S)
    assert bench.told == [(20000, "Failure"), (60000, "Success")]
    assert bench.asked == [0, 10000, 20000, 60000, 70000]


@pytest.mark.parametrize(
    ("kind", "asked"), [(ProbeKind.READINESS, [0, 10000, 20000]), (ProbeKind.LIVENESS, [0])]
)
def test_deletion_ends_all_but_readiness(engine: Engine, kind: ProbeKind, asked: list[int]) -> None:
    bench = Bench(engine, kind)
    bench.see()
    bench.start()
    engine.run(5 * S)
    bench.deleting = True
    engine.run(25 * S)
    assert bench.asked == asked


def test_a_stopped_worker_is_silent(engine: Engine) -> None:
    bench = Bench(engine, takes_ns=1 * S)
    bench.see()
    bench.start()
    engine.run(500 * MS)
    bench.worker.stop()
    bench.worker.trigger()
    engine.run(30 * S)
    assert bench.asked == [0]
    assert bench.told == []
