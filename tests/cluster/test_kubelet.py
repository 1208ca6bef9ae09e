"""A pod's life on its node: start, crashes, back-off, deletion, reports."""

import itertools
from typing import Any

import pytest
from clusterlab import FakeApp, World, container, deployment, make_world, node_configs, service

from netsim.cluster.kubelet.backoff import CrashBackoff
from netsim.cluster.kubelet.termination import hook_duration_ns
from netsim.cluster.objects import (
    Condition,
    Container,
    ExecAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Probe,
    evolve,
)
from netsim.cluster.timing import Timing
from netsim.engine import MS, S

HTTP = Probe(httpGet=HTTPGetAction(port=80))


def pod(name: str = "p", *containers: Container, **spec: Any) -> Pod:
    raw = {"containers": containers or (container(),), **spec}
    meta = ObjectMeta(name=name, namespace="default", labels={"run": "web"})
    return Pod(metadata=meta, spec=PodSpec.model_validate(raw))


def boot(*objects: Any, workers: int = 1, seed: int = 1) -> World:
    world = make_world(workers, seed)
    world.boot(objects)
    return world


def stored(world: World, name: str = "p") -> Pod:
    found: Pod | None = world.api.get(Pod, "default", name)
    assert found is not None
    return found


# -------------------------------------------------------------------------------------------------- start
def test_a_pod_comes_up() -> None:
    world = boot(pod(), service())
    found = stored(world)
    assert found.status.phase == "Running"
    assert found.status.podIP == "10.244.1.2"
    assert found.status.hostIP == "172.18.0.4"
    kinds = {entry.type: entry.status for entry in found.status.conditions}
    assert kinds == {
        "PodScheduled": "True",
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "ContainersReady": "True",
        "Ready": "True",
    }
    (status,) = found.status.containerStatuses
    assert (status.ready, status.started, status.restartCount) == (True, True, 0)
    assert status.state.running is not None
    (host,) = world.runtime.hosts
    assert (host.name, host.hostname) == ("default/p", "p")
    assert host.env["WEB_SERVICE_PORT"] == "80"
    assert host.env["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"


def test_the_order_of_a_start() -> None:
    world = boot(pod("p", container(HTTP)))
    reasons = ["PodScheduled", "ContainerStarted", "PodReady", "PodStatusWritten"]
    times = [world.recorded.of(reason)[0].at_ns for reason in reasons]
    assert times == sorted(times)
    assert times[1] - times[0] >= 300 * MS
    assert world.prober.asked[0][:3] == ("worker-1", "10.244.1.2", 80)


def test_host_network_pods_have_the_nodes_address() -> None:
    world = boot(pod(hostNetwork=True))
    assert stored(world).status.podIP == "172.18.0.4"
    host = world.runtime.hosts[0]
    assert host.hostname == "worker-1"
    assert host.env["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"


def test_a_pod_without_service_links_knows_only_the_api() -> None:
    world = boot(pod(enableServiceLinks=False), service())
    names = world.runtime.hosts[0].env
    assert "KUBERNETES_SERVICE_HOST" in names
    assert "WEB_SERVICE_HOST" not in names


def test_several_containers_start_one_after_the_other() -> None:
    names = ("a", "b", "c")
    world = boot(pod("p", *(container().model_copy(update={"name": name}) for name in names)))
    assert [app.container.name for app in world.runtime.apps] == list(names)
    started = [app.log[0][1] for app in world.runtime.apps]
    assert started == sorted(started)
    assert len(set(started)) == 3


def test_sidecars_start_first_and_count_for_readiness() -> None:
    sidecar = Container(name="proxy", restartPolicy="Always", readinessProbe=HTTP)
    setup = Container(name="setup")
    world = boot(pod(initContainers=(setup, sidecar)))
    assert [app.container.name for app in world.runtime.apps] == ["proxy", "web"]
    for app in world.runtime.apps:
        app.mode = "refuse"  # only the sidecar has a probe
    world.run(35 * S)
    assert not stored(world).status.is_ready


def test_readiness_gates() -> None:
    world = make_world(1)
    world.plane.apply([pod(readinessGates=({"conditionType": "example.com/lb"},))])
    world.plane.start()
    world.run(15 * S)
    assert not stored(world).status.is_ready
    gate = Condition(type="example.com/lb", status="True")
    world.api.patch(
        Pod, "default", "p", lambda p: evolve(p, {"status.conditions": (*p.status.conditions, gate)})
    )
    world.run(1 * S)
    assert stored(world).status.is_ready
    assert stored(world).status.condition("example.com/lb") is not None


# -------------------------------------------------------------------------------------------------- crashes
def test_a_crash_is_seen_restarted_and_reported() -> None:
    world = boot(pod(), service())
    world.run(2 * S)
    now = world.engine.now
    world.plane.kill_container(stored(world))
    world.run(6 * S)
    died, unready = world.recorded.of("ContainerDied", now)[0], world.recorded.of("PodUnready", now)[0]
    assert died.at_ns == now
    assert (died.detail["exit_code"], died.detail["cause"]) == ("137", "killed")
    assert 50 * MS <= unready.at_ns - now <= 1300 * MS
    assert unready.detail["cause"] == "killed"
    assert world.recorded.of("ContainerStarted", now)
    (status,) = stored(world).status.containerStatuses
    assert (status.restartCount, status.ready) == (1, True)
    assert status.lastState.terminated is not None
    assert status.lastState.terminated.exitCode == 137
    assert stored(world).status.podIP == "10.244.1.2"  # the sandbox lives on


def test_crash_loop_back_off() -> None:
    """0, 10, 20, 40, 80, 160, 300, 300 s (timing facts kubelet.crashLoop)."""
    world = make_world(1)

    def crash_at_once(app: FakeApp) -> None:
        world.engine.call_later(2 * S, lambda: world.engine.call_later(100 * MS, app.exit, 1))

    world.runtime.prepare = crash_at_once
    world.plane.apply([pod()])
    world.plane.start()
    world.run(1300 * S)
    starts = [app.log[0][1] for app in world.runtime.apps]
    waits = [round((b - a) / S) - 3 for a, b in itertools.pairwise(starts)]
    for wait, wanted in zip(waits, [0, 10, 20, 40, 80, 160, 300, 300], strict=False):
        assert abs(wait - wanted) <= 2
    waiting = stored(world).status.containerStatuses[0].state.waiting
    assert waiting is not None
    assert waiting.reason == "CrashLoopBackOff"


def test_back_off_forgets_after_twice_the_maximum() -> None:
    backoff = CrashBackoff(10 * S, 300 * S)
    assert backoff.wait_ns(0, 0) == 0
    backoff.restarted(0, 0)
    assert backoff.wait_ns(5 * S, 5 * S) == 10 * S
    assert backoff.wait_ns(5 * S, 12 * S) == 3 * S
    backoff.restarted(5 * S, 15 * S)
    assert backoff.wait_ns(20 * S, 20 * S) == 20 * S
    assert backoff.wait_ns(700 * S, 700 * S) == 0
    backoff.restarted(700 * S, 700 * S)
    assert backoff.wait_ns(701 * S, 701 * S) == 10 * S


@pytest.mark.parametrize(
    ("policy", "code", "phase", "restarts"),
    [
        ("Always", 0, "Running", 1),
        ("Always", 1, "Running", 1),
        ("OnFailure", 0, "Succeeded", 0),
        ("OnFailure", 1, "Running", 1),
        ("Never", 0, "Succeeded", 0),
        ("Never", 1, "Failed", 0),
    ],
)
def test_restart_policy(policy: str, code: int, phase: str, restarts: int) -> None:
    world = boot(pod(restartPolicy=policy))
    world.app_of(stored(world)).exit(code)
    world.run(6 * S)
    assert stored(world).status.phase == phase
    assert len(world.runtime.apps) == 1 + restarts


def test_a_failed_liveness_probe_restarts_the_container() -> None:
    web = container().model_copy(update={"livenessProbe": HTTP})
    world = boot(pod("p", web))
    now = world.engine.now
    app = world.app_of(stored(world))
    app.mode = "hang"
    app.term_takes_ns = None
    world.run(70 * S)
    unhealthy = world.recorded.of("Unhealthy", now)[0]
    assert 21 * S <= unhealthy.at_ns - now <= 31 * S
    killed = next(at for what, at in app.log if what == "kill")
    assert killed - unhealthy.at_ns == 30 * S  # SIGTERM was ignored for the grace period
    assert len(world.runtime.apps) == 2
    assert stored(world).status.containerStatuses[0].restartCount == 1


def test_a_startup_probe_holds_the_others_back_and_then_kills() -> None:
    startup = Probe(httpGet=HTTPGetAction(port=80), periodSeconds=2, failureThreshold=4)
    web = container(HTTP).model_copy(update={"startupProbe": startup})
    world = make_world(1)
    world.runtime.prepare = lambda app: setattr(app, "mode", "refuse")
    world.plane.apply([pod("p", web)])
    world.plane.start()
    world.run(30 * S)
    assert not stored(world).status.containerStatuses[0].started
    assert len(world.runtime.apps) >= 2
    world.runtime.prepare = lambda app: None
    world.run(60 * S)
    assert stored(world).status.is_ready


# -------------------------------------------------------------------------------------------------- deletion
def lifecycle(**handler: Any) -> Lifecycle:
    return Lifecycle(preStop=LifecycleHandler.model_validate(handler))


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ({"sleep": {"seconds": 7}}, 7),
        ({"exec": {"command": ("sleep", "3")}}, 3),
        ({"exec": {"command": ("/bin/sh", "-c", "sleep 2.5 && nginx -s quit")}}, 2.5),
        ({"exec": {"command": ("nginx", "-s", "quit")}}, 0),
    ],
)
def test_how_long_a_hook_takes(hook: dict[str, Any], seconds: float) -> None:
    assert hook_duration_ns(LifecycleHandler.model_validate(hook)) == int(seconds * S)


@pytest.mark.parametrize(
    ("hook", "grace", "term_takes_s", "term_s", "exit_s"),
    [
        (None, 30, 1, 0, 1),
        (None, 30, None, 0, 30),
        (None, 5, None, 0, 5),
        (7, 30, 1, 7, 8),
        (7, 30, None, 7, 30),
        (60, 30, None, 30, 32),  # the hook used the period up: two more seconds
    ],
)
def test_graceful_termination(
    hook: int | None, grace: int, term_takes_s: int | None, term_s: int, exit_s: int
) -> None:
    web = container()
    if hook is not None:
        web = web.model_copy(update={"lifecycle": lifecycle(sleep={"seconds": hook})})
    world = boot(pod("p", web, terminationGracePeriodSeconds=grace))
    app = world.app_of(stored(world))
    app.term_takes_ns = None if term_takes_s is None else term_takes_s * S
    now = world.engine.now
    world.plane.delete_pod(stored(world))
    assert stored(world).metadata.deletionTimestamp == now + grace * S
    world.run(70 * S)
    log = dict(app.log)
    # The kubelet hears of the deletion by a watch, some milliseconds later.
    assert 0 <= log["term"] - now - term_s * S < 1000 * MS
    assert 0 <= log["exit"] - now - exit_s * S < 1000 * MS
    assert world.api.get(Pod, "default", "p") is None
    assert world.runtime.hosts[0].removed
    gone = world.recorded.of("PodDeleted", now)[0]
    assert gone.at_ns > log["exit"]
    assert world.recorded.of("PodTerminating", now)[0].at_ns == now


def test_an_http_hook_is_a_request() -> None:
    web = container().model_copy(update={"lifecycle": lifecycle(httpGet={"port": 80, "path": "/drain"})})
    world = boot(pod("p", web))
    app = world.app_of(stored(world))
    app.mode = "hang"
    now = world.engine.now
    world.plane.delete_pod(stored(world), 4 * S)
    world.run(10 * S)
    assert world.prober.asked[-1][2] == 80
    assert 4 * S <= dict(app.log)["term"] - now < 5 * S


def test_readiness_is_probed_while_terminating() -> None:
    web = container(Probe(httpGet=HTTPGetAction(port=80), periodSeconds=1, failureThreshold=1))
    world = boot(pod("p", web), service())
    world.run(12 * S)
    app = world.app_of(stored(world))
    app.term_takes_ns = None
    now = world.engine.now
    world.plane.delete_pod(stored(world))
    world.run(5 * S)
    assert stored(world).status.is_ready
    app.mode = "refuse"
    world.run(3 * S)
    assert not stored(world).status.is_ready
    assert world.recorded.of("PodUnready", now)[0].detail["cause"] == "probe"


def test_forced_deletion_removes_the_object_first() -> None:
    world = boot(pod())
    app = world.app_of(stored(world))
    app.term_takes_ns = None
    world.plane.delete_pod(stored(world), 0)
    assert world.api.get(Pod, "default", "p") is None
    assert app.running
    world.run(5 * S)
    assert not app.running
    assert world.runtime.hosts[0].removed
    assert world.plane.kubelets["worker-1"].workers == {}


def test_force_after_a_graceful_deletion_cuts_it_short() -> None:
    world = boot(pod())
    app = world.app_of(stored(world))
    app.term_takes_ns = None
    world.plane.delete_pod(stored(world))
    world.run(3 * S)
    assert app.running
    world.plane.delete_pod(stored(world), 0)
    world.run(3 * S)
    assert not app.running


def test_a_pod_deleted_before_it_ran() -> None:
    world = make_world(1)
    world.boot()
    world.plane.apply([pod()])
    world.run(300 * MS)
    assert stored(world).spec.nodeName
    world.plane.delete_pod(stored(world))
    world.run(10 * S)
    assert world.api.get(Pod, "default", "p") is None
    assert world.runtime.apps == []


def test_addresses_of_replaced_pods_are_new() -> None:
    world = boot(deployment(replicas=1), workers=1)
    seen = []
    for _ in range(4):
        (current,) = [item for item in world.pods() if item.metadata.deletionTimestamp is None]
        seen.append(current.status.podIP)
        world.plane.delete_pod(current)
        world.run(10 * S)
    assert len(set(seen)) == 4


# -------------------------------------------------------------------------------------------------- reports
def test_one_status_write_at_a_time_per_node() -> None:
    world = boot(deployment(replicas=20), workers=1)
    written = world.recorded.of("PodStatusWritten", ready="True")
    assert len(written) == 20
    assert len({event.at_ns for event in written}) == 20


def test_a_foreign_ready_condition_is_corrected_within_ten_seconds() -> None:
    delays = []
    for seed in range(20):
        world = boot(pod(), seed=seed)
        world.api.patch(
            Pod, "default", "p", lambda p: evolve(p, status=PodStatus(phase="Running", podIP=p.status.podIP))
        )
        now = world.engine.now
        world.run(11 * S)
        assert stored(world).status.is_ready
        delays.append(world.recorded.of("PodStatusWritten", now, ready="True")[0].at_ns - now)
    assert max(delays) < 10500 * MS
    assert min(delays) < 4 * S < max(delays)


def test_a_partition_hides_what_happens_and_heals() -> None:
    world = make_world(2)
    world.boot([deployment(replicas=2), service()])
    victim = next(item for item in world.pods() if item.spec.nodeName == "worker-1")
    world.plane.disconnect_node("worker-1")
    world.plane.kill_container(victim)
    now = world.engine.now
    world.run(10 * S)
    assert world.recorded.of("PodUnready", now)  # the kubelet knows
    assert not world.recorded.of("PodStatusWritten", now)  # nobody else does
    world.plane.reconnect_node("worker-1")
    world.run(5 * S)
    assert world.plane.settled()
    world.plane.delete_pod(victim)
    world.run(10 * S)
    assert len(world.pods()) == 2


def test_node_addresses_are_unique() -> None:
    nodes = node_configs(300)
    assert len({node.address for node in nodes}) == 301
    assert len({node.pod_cidr for node in nodes}) == 301


# -------------------------------------------------------------------------------------------------- sandbox
def test_a_dead_sandbox_is_replaced() -> None:
    """The pause process dies: all containers are ended with the grace period, and begin anew at another address."""
    world = boot(pod(terminationGracePeriodSeconds=5))
    before, app = stored(world), world.runtime.apps[0]
    app.term_takes_ns = None  # ignores SIGTERM
    now = world.engine.now
    world.plane.kill_sandbox(before)
    world.run(2 * S)
    (noticed,) = world.recorded.of("SandboxChanged", now)
    assert noticed.at_ns - now <= 1300 * MS
    assert app.running
    world.run(18 * S)
    assert [what for what, _ in app.log] == ["start", "term", "kill", "exit"]
    assert 5 * S <= app.log[-1][1] - noticed.at_ns <= 5100 * MS
    after = stored(world)
    assert after.status.podIP != before.status.podIP
    assert after.status.is_ready
    assert [status.restartCount for status in after.status.containerStatuses] == [1]
    assert len(world.runtime.apps) == 2
    assert [host.removed for host in world.runtime.hosts] == [True, False]
    assert len(world.recorded.of("ContainerStarted", now)) == 1
    assert world.plane.settled(), world.plane.unsettled()


@pytest.mark.parametrize("after_s", [2, 6, 7])
def test_a_pod_may_be_deleted_while_its_sandbox_is_replaced(after_s: int) -> None:
    world = boot(pod(terminationGracePeriodSeconds=5))
    world.runtime.apps[0].term_takes_ns = None
    world.plane.kill_sandbox(stored(world))
    world.run(after_s * S)
    world.plane.delete_pod(stored(world))
    world.run(20 * S)
    assert world.api.get(Pod, "default", "p") is None
    assert all(host.removed for host in world.runtime.hosts)
    assert not any(app.running for app in world.runtime.apps)


@pytest.mark.parametrize(("version", "noticed"), [("1.19", False), ("1.20", True)])
def test_an_exec_probe_that_hangs_is_ended_since_1_20(version: str, noticed: bool) -> None:
    probe = Probe(exec=ExecAction(command=("check",)))
    world = make_world(1, timing=Timing.for_version(version))
    world.boot([deployment(replicas=1, probe=probe), service()])
    now = world.engine.now
    world.app_of(world.pods()[0]).mode = "hang"
    world.run(60 * S)
    assert bool(world.recorded.of("PodUnready", now)) == noticed


def test_readiness_gates_open_when_the_annotation_says() -> None:
    """Without the annotation nobody opens them; with it a pod is Ready that long after its containers are."""
    world = make_world(1)
    gate = {"readinessGates": ({"conditionType": "example.com/lb"},)}
    shut, late = pod("shut", **gate), pod("late", **gate)
    late = evolve(late, metadata__annotations={"netsim/readiness-gates": "7s"})
    world.plane.apply([shut, late])
    world.plane.start()
    world.run(30 * S)
    found = {item.metadata.name: item for item in world.api.list(Pod)}
    assert not found["shut"].status.is_ready
    ready, inner = (found["late"].status.condition(kind) for kind in ("Ready", "ContainersReady"))
    assert ready.status == inner.status == "True"
    assert 7 * S < ready.lastTransitionTime - inner.lastTransitionTime < 7.5 * S
