"""The arithmetic of rollouts, and Deployments and ReplicaSets at work."""

import pytest
from clusterlab import World, container, deployment, make_world, service
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.controllers.deployment import replica_set_of
from netsim.cluster.controllers.pods import is_active, is_available, surplus
from netsim.cluster.controllers.proportion import DESIRED, MAX, in_proportion, was_scaled
from netsim.cluster.controllers.rollout import limits, new_size, old_sizes, scaled, template_hash
from netsim.cluster.objects import Condition, Deployment, Pod, Probe, ReplicaSet, TCPSocketAction, evolve
from netsim.engine import S


# -------------------------------------------------------------------------------------------------- arithmetic
@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [
        (2, 10, 2, 2),
        ("25%", 10, 3, 2),
        ("25%", 4, 1, 1),
        ("0%", 10, 0, 0),
        ("100%", 3, 3, 3),
        ("1%", 3, 1, 0),
    ],
)
def test_scaled(value: int | str, total: int, up: int, down: int) -> None:
    assert scaled(value, total, round_up=True) == up
    assert scaled(value, total, round_up=False) == down


def test_scaled_refuses_other_texts() -> None:
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        scaled("many", 10, round_up=True)


def rolling(replicas: int, surge: int | str = "25%", unavailable: int | str = "25%") -> Deployment:
    strategy = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    item = deployment(replicas=replicas)
    raw = item.model_dump()
    raw["spec"]["strategy"] = {"type": "RollingUpdate", **strategy}
    return Deployment.model_validate(raw)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (3, "25%", "25%", (1, 0)),
        (1, 0, 0, (0, 1)),
        (4, 0, "10%", (0, 1)),
        (2, 5, 5, (5, 2)),
    ],
)
def test_limits(replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]) -> None:
    assert limits(rolling(replicas, surge, unavailable)) == expected


sizes = st.integers(0, 12)


@given(
    sizes,
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(0, 4),
    st.lists(st.tuples(sizes, sizes), max_size=3),
)
def test_a_step_keeps_within_the_limits(
    replicas: int, surge: int, unavailable: int, new: int, old: list[tuple[int, int]]
) -> None:
    item = rolling(replicas, surge, unavailable)
    max_surge, max_unavailable = limits(item)
    new, old = min(new, replicas), [(size, min(size, ok)) for size, ok in old]
    total = new + sum(size for size, _ in old)
    grown = new_size(item, new, total)
    assert new <= grown <= max(new, replicas)
    assert grown + total - new <= max(total, replicas + max_surge)
    available = new + sum(ok for _, ok in old)
    left = old_sizes(item, old, new, new)
    assert all(0 <= after <= before for after, (before, _) in zip(left, old, strict=True))
    if available >= replicas - max_unavailable:
        still = new + sum(min(after, ok) for after, (_, ok) in zip(left, old, strict=True))
        assert still >= replicas - max_unavailable


def test_recreate_sizes() -> None:
    raw = deployment(replicas=4).model_dump()
    raw["spec"]["strategy"] = {"type": "Recreate"}
    item = Deployment.model_validate(raw)
    assert limits(item) == (0, 4)
    assert new_size(item, 0, 4) == 4


def test_template_hash_depends_on_the_template_only() -> None:
    one, other = deployment("a").spec.template, deployment("b").spec.template
    assert template_hash(one) == template_hash(deployment("a", 7).spec.template)
    assert template_hash(one) != template_hash(other)


def pod(name: str, node: str = "n", phase: str = "Running", ready: bool = True, born: int = 0) -> Pod:
    condition = Condition(type="Ready", status="True" if ready else "False", lastTransitionTime=5 * S)
    raw = {
        "metadata": {"name": name, "creationTimestamp": born},
        "spec": {"containers": (container(),), "nodeName": node},
        "status": {"phase": phase, "conditions": (condition,)},
    }
    return Pod.model_validate(raw)


def test_surplus_takes_those_that_lose_least() -> None:
    pods = [
        pod("old"),
        pod("young", born=9),
        pod("crowded", node="m"),
        pod("crowd", node="m", born=1),
        pod("sick", ready=False),
        pod("pending", phase="Pending"),
        pod("nowhere", node=""),
    ]
    order = [item.metadata.name for item in surplus(pods, 7)]
    assert order == ["nowhere", "pending", "sick", "young", "old", "crowd", "crowded"]


def test_available_after_min_ready_seconds() -> None:
    item = pod("a")
    assert is_available(item, 0, 5 * S)
    assert not is_available(item, 10, 14 * S)
    assert is_available(item, 10, 15 * S)
    assert not is_active(evolve(item, metadata__deletionTimestamp=1))
    assert not is_active(evolve(item, status__phase="Failed"))


# -------------------------------------------------------------------------------------------------- controllers
def ready_pods(world: World) -> list[Pod]:
    return [item for item in world.pods(run="web") if item.status.is_ready and is_active(item)]


def test_a_deleted_pod_is_replaced_under_another_name_and_address() -> None:
    world = make_world()
    world.boot([deployment(), service()])
    before = {item.metadata.name: item.status.podIP for item in world.pods()}
    victim = world.pods()[0]
    world.plane.delete_pod(victim)
    world.run(10 * S)
    after = {item.metadata.name: item.status.podIP for item in world.pods()}
    assert len(after) == 3
    (new,) = after.keys() - before.keys()
    assert victim.metadata.name not in after
    assert after[new] not in before.values()


def test_the_replacement_does_not_wait_for_the_end_of_the_deleted_pod() -> None:
    world = make_world()
    world.boot([deployment(), service()])
    victim = world.pods()[0]
    world.app_of(victim).term_takes_ns = None  # ignores SIGTERM for its 30 s
    world.plane.delete_pod(victim)
    world.run(8 * S)
    assert len(world.pods()) == 4
    assert len(ready_pods(world)) == 3
    world.run(40 * S)
    assert len(world.pods()) == 3


def test_scaling_up_and_down() -> None:
    world = make_world()
    world.boot([deployment(replicas=2), service()])
    for size in (7, 1, 0):
        world.plane.apply([deployment(replicas=size)])
        world.run(15 * S)
        assert len(ready_pods(world)) == size
    assert [item.spec.replicas for item in world.api.list(ReplicaSet)] == [0]


@pytest.mark.parametrize(
    ("surge", "unavailable", "low", "high"), [("25%", "25%", 3, 5), (1, 0, 4, 5), (0, 1, 3, 4)]
)
def test_rolling_update_keeps_its_promise(
    surge: int | str, unavailable: int | str, low: int, high: int
) -> None:
    world = make_world()
    world.boot([rolling(4, surge, unavailable), service()])
    old = {item.metadata.name for item in world.pods()}
    changed = evolve(
        rolling(4, surge, unavailable), {"spec.template.metadata.labels": {"run": "web", "v": "2"}}
    )
    world.plane.apply([changed])
    seen = set()
    for _ in range(400):
        world.run(S // 10)
        # The promise is kept in the ReplicaSets' sizes; the pods themselves follow a request later.
        seen.add((len(ready_pods(world)), sum(item.spec.replicas for item in world.api.list(ReplicaSet))))
    assert min(ready for ready, _ in seen) >= low
    assert max(wanted for _, wanted in seen) <= high
    assert world.plane.settled()
    assert all(item.metadata.labels["v"] == "2" for item in world.pods())
    assert not old & {item.metadata.name for item in world.pods()}


def test_recreate_waits_for_the_old_pods_to_be_gone() -> None:
    raw = deployment(replicas=3).model_dump()
    raw["spec"]["strategy"] = {"type": "Recreate"}
    item = Deployment.model_validate(raw)
    world = make_world()
    world.boot([item, service()])
    old = {entry.metadata.name for entry in world.pods()}
    for entry in world.pods():
        world.app_of(entry).term_takes_ns = 5 * S
    world.plane.apply([evolve(item, {"spec.template.metadata.labels": {"run": "web", "v": "2"}})])
    mixed = False
    for _ in range(300):
        world.run(S // 10)
        names = {entry.metadata.name for entry in world.pods() if entry.status.phase != "Succeeded"}
        mixed = mixed or (bool(names & old) and bool(names - old))
    assert not mixed
    assert len(ready_pods(world)) == 3


def test_deleting_a_deployment_takes_everything_with_it() -> None:
    world = make_world()
    world.boot([deployment(), service()])
    world.api.delete(Deployment, "default", "web")
    world.run(10 * S)
    assert world.pods() == []
    assert world.api.list(ReplicaSet) == []
    assert all(host.removed for host in world.runtime.hosts)


def test_a_paused_deployment_does_nothing() -> None:
    world = make_world()
    world.boot([deployment(replicas=2)])
    world.plane.apply([deployment(replicas=5, paused=True)])
    world.run(10 * S)
    assert len(world.pods()) == 2


def test_min_ready_seconds_delays_availability() -> None:
    world = make_world()
    world.boot([deployment(replicas=1, minReadySeconds=20)])
    assert world.engine.now > 20 * S
    assert world.api.get(Deployment, "default", "web").status.availableReplicas == 1


# ------------------------------------------------------------------------------------------------ scaling in proportion
def sized(item: Deployment, name: str, replicas: int, most: int, made: int) -> ReplicaSet:
    found = replica_set_of(item, name, replicas)
    meta = {"metadata.annotations": {DESIRED: "10", MAX: str(most)}, "metadata.creationTimestamp": made}
    return evolve(found, meta)


@pytest.mark.parametrize(
    ("replicas", "before", "after"),
    [
        # The documentation's example (workloads/controllers/deployment, "Proportional scaling"): 8 and 5 of 10+3 pods,
        # scaled to 15 with maxSurge 3: 11 and 7.
        pytest.param(15, (8, 5), (11, 7), id="the documentation's example"),
        pytest.param(10, (8, 5), (8, 5), id="not scaled"),
        pytest.param(5, (8, 5), (5, 3), id="down"),
        pytest.param(0, (8, 5), (0, 0), id="to nothing"),
        pytest.param(11, (7, 6), (8, 6), id="one more goes to the larger"),
    ],
)
def test_replica_sets_are_scaled_in_proportion(
    replicas: int, before: tuple[int, int], after: tuple[int, int]
) -> None:
    item = rolling(replicas, 3, 2)
    sets = [sized(item, name, size, 13, at) for at, (name, size) in enumerate(zip("ab", before, strict=True))]
    sizes = in_proportion(item, sets)
    assert tuple(sizes[found.metadata.name] for found in sets) == after
    assert was_scaled(item, sets) == (replicas != 10)


@given(st.integers(0, 40), st.lists(st.integers(1, 30), min_size=2, max_size=4))
def test_proportions_add_up(replicas: int, before: list[int]) -> None:
    item = rolling(replicas, 3, 2)
    sets = [sized(item, f"s{n}", size, sum(before), n) for n, size in enumerate(before)]
    sizes = in_proportion(item, sets)
    assert all(size >= 0 for size in sizes.values())
    assert sum(sizes.values()) == (replicas + 3 if replicas else 0)


def test_a_deployment_scaled_in_the_middle_of_a_rollout() -> None:
    world = make_world(3)
    item = rolling(10, 3, 2)
    world.boot([item, service()])
    world.runtime.prepare = lambda app: setattr(app, "mode", "refuse")  # new pods never become ready
    probe = evolve(
        item.spec.template.spec.containers[0], readinessProbe=Probe(tcpSocket=TCPSocketAction(port=80))
    )
    stored = world.api.get(Deployment, "default", "web")
    assert stored is not None
    world.api.update(evolve(stored, {"spec.template.spec.containers": (probe,)}))
    world.run(30 * S)
    assert sorted(found.spec.replicas for found in world.api.list(ReplicaSet)) == [5, 8]
    stored = world.api.get(Deployment, "default", "web")
    assert stored is not None
    world.api.update(evolve(stored, {"spec.replicas": 15}))
    world.run(30 * S)
    assert sorted(found.spec.replicas for found in world.api.list(ReplicaSet)) == [7, 11]
