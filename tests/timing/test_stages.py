"""Monte Carlo of each stage of a failover against its formula: 10,000 draws of the component alone, Kolmogorov-Smirnov.

The seeds are fixed, so a test that passes goes on to pass; a component that is wrong by a tenth of its spread fails.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from timinglab import (
    Cdf,
    Floats,
    agrees,
    cut_log_normal,
    node_loss,
    slowest_of,
    uniform,
    uniform_plus_uniform,
)

from netsim.cluster.admission import UNREACHABLE
from netsim.cluster.apiserver import ApiServer
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.nodelifecycle import NodeLifecycleController
from netsim.cluster.controllers.zones import ZoneQueue
from netsim.cluster.informer import Informers
from netsim.cluster.kubelet.backoff import CrashBackoff
from netsim.cluster.kubelet.container import ContainerRun, RunState, Snapshot
from netsim.cluster.kubelet.pleg import Pleg
from netsim.cluster.kubelet.probes import ProbeKind, ProbeWorker, Result
from netsim.cluster.objects import (
    ConfigMap,
    Container,
    Lease,
    Node,
    NodeSpec,
    ObjectMeta,
    Probe,
    Taint,
)
from netsim.cluster.reconnect import next_attempt_ns, resumed_ns
from netsim.cluster.records import ClusterEvent
from netsim.cluster.runner import BoundedFrequencyRunner
from netsim.cluster.timing import KubeletTiming, ProxyTiming, Timing
from netsim.engine import MS, Engine, S
from netsim.kernel.tcp_timer import syn_interval_ns

DRAWS = 10_000


# -------------------------------------------------------------------------------------------------- probes
@dataclass
class Probed:
    """A container whose process breaks at one moment, or mends at one."""

    engine: Engine
    probe: Probe
    breaks_ns: int
    mends_ns: int = 1 << 62
    takes_ns: int = 0  # until a failed probe is known to have failed
    deleting: bool = False
    told: list[tuple[int, Result]] = field(default_factory=list)

    def begin(self) -> None:
        container = ContainerRun(Container(name="c"), KubeletTiming())
        container.seen = Snapshot(RunState.RUNNING, 1, started_ns=0)
        container.started = True
        worker = ProbeWorker(self.engine, self, container, ProbeKind.READINESS, self.probe, self._ask)
        worker.start(3600 * S, Random(1))

    def _ask(self, _container: ContainerRun, _probe: Probe, done: Callable[[bool, str], None]) -> None:
        good = not self.breaks_ns <= self.engine.now < self.mends_ns
        self.engine.call_later(0 if good else self.takes_ns, done, good, "")

    def probe_result(self, _container: ContainerRun, _kind: ProbeKind, result: Result) -> None:
        self.told.append((self.engine.now, result))


def probe_delays(probe: Probe, takes_ns: int, recovery: bool = False) -> Floats:
    """How long after the break (or the mending) the probe's state changes, for moments at random."""
    engine, random = Engine(1), Random(11)
    period = probe.periodSeconds * S
    settled = 2 * period * (probe.successThreshold + probe.failureThreshold)
    pods = []
    for _ in range(DRAWS):
        at = settled + int(random.random() * period)
        pod = Probed(engine, probe, 0, at) if recovery else Probed(engine, probe, at)
        pod.takes_ns = takes_ns
        pod.begin()
        pods.append((at, pod))
    engine.run(settled + period * (probe.failureThreshold + probe.successThreshold + 3))
    wanted = Result.SUCCESS if recovery else Result.FAILURE
    found = [next(t - at for t, result in pod.told if result is wanted and t >= at) for at, pod in pods]
    return np.array(found) / S


@pytest.mark.parametrize(
    ("probe", "takes_ns", "low", "mean", "high"),
    [
        pytest.param(Probe(), 1 * S, 21, 26, 31, id="a hang, defaults"),
        pytest.param(Probe(), 0, 20, 25, 30, id="refused, defaults"),
        pytest.param(
            Probe(periodSeconds=5, failureThreshold=2, timeoutSeconds=3), 3 * S, 8, 10.5, 13, id="5 s, 2, 3 s"
        ),
        pytest.param(
            Probe(periodSeconds=1, failureThreshold=1), 1 * S, 1, 1.5, 2, id="as quick as a probe can be"
        ),
    ],
)
def test_a_probe_takes_a_phase_and_the_threshold(
    probe: Probe, takes_ns: int, low: float, mean: float, high: float
) -> None:
    """D = U(0, P) + (F-1)P + T."""
    found = probe_delays(probe, takes_ns)
    agrees(found, uniform(low, high))
    assert low <= found.min() < low + 0.01
    assert high - 0.01 < found.max() <= high
    assert found.mean() == pytest.approx(mean, abs=0.1)


@pytest.mark.parametrize("successes", [1, 3])
def test_recovery_takes_a_phase_and_the_success_threshold(successes: int) -> None:
    """U(0, P) + (successThreshold-1)P."""
    found = probe_delays(Probe(successThreshold=successes), 0, recovery=True)
    agrees(found, uniform((successes - 1) * 10, successes * 10))


# -------------------------------------------------------------------------------------------------- crash
def test_a_crash_is_seen_at_the_next_list() -> None:
    """U(0, 1) + U(0.05, 0.3)."""
    engine, random, found = Engine(2), Random(12), []

    def begin(pleg: Pleg, at: int) -> None:
        engine.call_at(at, pleg.changed, lambda: found.append(engine.now - at))

    for number in range(DRAWS):
        begin(Pleg(engine, KubeletTiming(), engine.stream(f"pleg/{number}")), int(random.random() * 10 * S))
    engine.run(20 * S)
    delays = np.array(found) / S
    agrees(delays, uniform_plus_uniform(1.0, 0.05, 0.3))
    assert delays.mean() == pytest.approx(0.675, abs=0.01)


@pytest.mark.parametrize(
    ("lives_s", "waits_s"),
    [
        pytest.param([1] * 9, [0, 10, 20, 40, 80, 160, 300, 300, 300], id="CrashLoopBackOff"),
        pytest.param([1, 1, 1, 601, 1], [0, 10, 20, 0, 10], id="forgotten after ten minutes"),
    ],
)
def test_crash_back_off(lives_s: list[int], waits_s: list[int]) -> None:
    backoff, now, found = CrashBackoff(10 * S, 300 * S), 0, []
    for life in lives_s:
        now += life * S
        wait = backoff.wait_ns(now, now)
        found.append(wait // S)
        backoff.restarted(now, now + wait)
        now += wait
    assert found == waits_s


# -------------------------------------------------------------------------------------------------- node
class Leases:
    """Stands in for the API server's leases: renewed at each node's own rhythm until it dies."""

    def __init__(self, engine: Engine, api: ApiServer, renew_s: float) -> None:
        self.engine = engine
        self._get: Any = api.get
        self._renewals: dict[str, list[int]] = {}
        self._known: dict[str, Any] = {}
        self.died: dict[str, int] = {}
        self._renew_ns = int(renew_s * S)

    def add(self, name: str, random: Random, died_ns: int) -> None:
        """A node that dies at that moment."""
        at, times = int(random.random() * self._renew_ns), [1]
        while at < died_ns:
            times.append(at)
            at += int(self._renew_ns * (1 + 0.04 * random.random()))
        self._renewals[name], self.died[name] = times, died_ns

    def get(self, kind: Any, namespace: str, name: str) -> Any:
        """The lease as it is now; other kinds are the server's."""
        if kind is not Lease:
            return self._get(kind, namespace, name)
        times, known = self._renewals[name], self._known.get(name)
        while len(times) > 1 and times[1] <= self.engine.now:
            times.pop(0)
            known = None
        if known is None:
            known = self._known[name] = SimpleNamespace(spec=SimpleNamespace(renewTime=times[0]))
        return known


def node_detections(version: str) -> Floats:
    """How long after its death each node is found to be dead, by the real controller."""
    engine, random = Engine(3), Random(13)
    timing = Timing.for_version(version)
    api = ApiServer(engine, timing)
    leases = Leases(engine, api, 10)
    tainted = (Taint(key=UNREACHABLE, effect="NoExecute"),)  # so that nothing is left to evict
    found: dict[str, int] = {}

    def heard(event: ClusterEvent) -> None:
        if event.reason == "NodeNotReady":
            found[event.name] = event.at_ns

    engine.bus.subscribe(ClusterEvent, heard)
    for number in range(DRAWS):
        name = f"n{number}"
        api.create(Node(metadata=ObjectMeta(name=name), spec=NodeSpec(taints=tainted)))
        leases.add(name, random, 30 * S + int(random.random() * 20 * S))
    api.get = leases.get  # type: ignore[method-assign] # the renewals of 10,000 real kubelets would take minutes
    controller = NodeLifecycleController(ControllerContext(engine, api, timing, Informers(api, "test")))
    controller.start()
    engine.run(106 * S)
    assert len(found) == DRAWS
    return np.array([found[name] - at for name, at in leases.died.items()]) / S


@pytest.mark.parametrize(("version", "grace"), [("1.31", 40.0), ("1.34", 50.0)])
def test_a_dead_node_is_found_after_the_grace_period(version: str, grace: float) -> None:
    """G - A + W + o, mean G - R/2 + M/2."""
    found = node_detections(version)
    expected = node_loss(np.random.default_rng(14), 200_000, grace, 10.0, 5.0)
    result = stats.ks_2samp(found, expected)
    assert result.pvalue > 0.01, f"D = {result.statistic:.4f}"
    assert grace - 10.4 <= found.min()
    assert found.max() <= grace + 5 + 0.5
    assert found.mean() == pytest.approx(grace - 2.4, abs=0.15)


def test_nodes_of_a_zone_are_evicted_one_every_ten_seconds() -> None:
    """0.1 nodes per second; the first passes at once."""
    zone, found = ZoneQueue(0.1), []
    for number in range(5):
        zone.add(f"n{number}")
    for tick in range(500):
        while zone.pop(tick * 100 * MS) is not None:
            found.append(tick / 10)
    assert found == pytest.approx([0, 10, 20, 30, 40], abs=0.11)


# -------------------------------------------------------------------------------------------------- API and watch
def log_normal(delay: Any) -> Cdf:
    return cut_log_normal(delay.median_ns / S, delay.sigma, delay.low_ns / S, delay.high_ns / S)


def watch_delays(watchers: int) -> Floats:
    """How long after a commit each watcher hears of it."""
    engine, found = Engine(4), []
    api = ApiServer(engine, Timing())
    for number in range(watchers):
        api.watch_frames(ConfigMap, lambda _frame: found.append(engine.now), f"w{number}")
    engine.call_at(1 * S, api.create, ConfigMap(metadata=ObjectMeta(name="c", namespace="default")))
    engine.run(5 * S)
    return (np.array(found) - S) / S


def test_each_watcher_hears_after_a_delay_of_its_own() -> None:
    found = watch_delays(DRAWS)
    assert found.size == DRAWS
    inner = log_normal(Timing().api.watch)
    agrees(found[found > 0.001], lambda x: (inner(x) - inner(np.array(0.001))) / (1 - inner(np.array(0.001))))
    assert np.median(found) == pytest.approx(0.010, rel=0.03)


@pytest.mark.parametrize("nodes", [3, 10])
def test_the_last_of_several_nodes_is_the_maximum(nodes: int) -> None:
    """Cluster-wide removal takes as long as its slowest client node."""
    draws = np.random.default_rng(15).permutation(watch_delays(DRAWS))
    slowest = draws[: DRAWS // nodes * nodes].reshape(-1, nodes).max(axis=1)
    agrees(slowest, slowest_of(nodes, log_normal(Timing().api.watch)))


def test_a_write_takes_its_delay() -> None:
    delay, random = Timing().api.write, Random(16)
    found = np.array([delay.sample(random) for _ in range(DRAWS)]) / S
    agrees(found, log_normal(delay))


# -------------------------------------------------------------------------------------------------- kube-proxy
def runner_waits(churn: bool, sync_s: float) -> Floats:
    """How long each of 10,000 changes waits for the sync that holds it to begin."""
    engine, random = Engine(5), Random(17)
    waiting: list[int] = []
    found: list[int] = []

    def begin(_forced: bool) -> None:
        found.extend(engine.now - at for at in waiting)
        waiting.clear()
        engine.call_later(int(sync_s * S), runner.ended)

    def change() -> None:
        waiting.append(engine.now)
        runner.ask()

    runner = BoundedFrequencyRunner(engine, ProxyTiming(full_sync_period_ns=1 << 60), begin)
    at = 0
    for _ in range(DRAWS):
        at += int(random.expovariate(1 / (0.02 * S))) if churn else 10 * S
        engine.call_at(at, change)
    engine.run(at + 10 * S)
    return np.array(found) / S


@pytest.mark.parametrize("sync_s", [0.02, 0.5, 4.0])
def test_under_churn_a_change_waits_for_the_next_run(sync_s: float) -> None:
    """U(0, m+S): mean (m+S)/2, at most m+S."""
    found = runner_waits(churn=True, sync_s=sync_s)
    assert found.max() <= 1 + sync_s + 1e-6
    assert found.mean() == pytest.approx((1 + sync_s) / 2, rel=0.06)
    # Changes that come while one is waited for depend on each other a little: every 25th one is tested.
    agrees(found[::25], uniform(0, 1 + sync_s))


def test_an_isolated_change_does_not_wait() -> None:
    assert runner_waits(churn=False, sync_s=0.5).max() == 0


# -------------------------------------------------------------------------------------------------- ladders
def next_rung(since_s: Floats, rungs_s: Floats) -> Floats:
    """The first rung at or after each moment, as the time from it."""
    return np.asarray(rungs_s[np.searchsorted(rungs_s, since_s)] - since_s)


@pytest.mark.parametrize(
    ("linear", "rungs", "mean"),
    [
        pytest.param(0, [0, 1, 3, 7, 15, 31, 63], 10.4, id="Linux before 6.5"),
        pytest.param(4, [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67], 8.0, id="Linux 6.5"),
    ],
)
def test_the_syn_ladder(linear: int, rungs: list[int], mean: float) -> None:
    """A client that began at a random moment of a 40 s outage comes through with its next SYN."""
    steps = np.cumsum([0, *(syn_interval_ns(retry, linear) for retry in range(len(rungs) - 1))]) / S
    assert steps.tolist() == rungs
    left = np.random.default_rng(18).uniform(0, 40, DRAWS)
    waits = next_rung(left, steps)
    assert waits.mean() == pytest.approx(mean, abs=0.4)
    assert np.quantile(waits, 0.9) == pytest.approx(28, abs=0.5)


@pytest.mark.parametrize(
    ("cut_s", "low", "high"),
    [(1, 0.2, 0.5), (10, 2.5, 2.7), (40, 10.9, 11.1), (44, 6.9, 7.1)],
)
def test_a_short_cut_ends_with_the_next_retransmission(cut_s: int, low: float, high: float) -> None:
    """0.2, 0.6, 1.4, 3, 6.2, 12.6, 25.4, 51 s after the cut."""
    assert low <= resumed_ns(cut_s * S, Random(1)) / S <= high


def test_after_an_outage_clients_come_back_on_the_reflectors_ladder() -> None:
    """Rungs of 0.8 s doubling to 30 s, each up to twice as long; so after ten minutes the wait is below 60 s."""
    random = Random(19)
    first = np.array([next_attempt_ns(1, random) for _ in range(DRAWS)]) / S
    agrees(first, uniform(0.8, 1.6))
    late = np.array([next_attempt_ns(600 * S, random) for _ in range(DRAWS)]) / S
    assert late.min() >= 0
    assert late.max() <= 60
    # The length of the rung in which the end falls is U(30, 60) weighted by its length; the rest of it is uniform.
    assert late.mean() == pytest.approx((30**2 + 30 * 60 + 60**2) / 3 / (30 + 60), abs=0.4)
