"""Operations on API objects that kubectl asks for, on a small world without a network."""

import pytest
from clusterlab import World, deployment, make_world

from netsim.cluster import operations
from netsim.cluster.controllers.revisions import next_revision, revision_of
from netsim.cluster.errors import InvalidError, NotFoundError
from netsim.cluster.objects import Deployment, Pod, ReplicaSet, evolve
from netsim.engine import S


@pytest.fixture
def world() -> World:
    made = make_world()
    made.plane.apply([deployment("web", 2)])
    made.plane.start()
    made.engine.run(30 * S)
    return made


def stored(world: World) -> Deployment:
    found = world.api.get(Deployment, "default", "web")
    assert found is not None
    return found


def running(world: World) -> list[Pod]:
    return [pod for pod in world.api.list(Pod) if pod.metadata.deletionTimestamp is None]


def test_scale(world: World) -> None:
    operations.scale(world.api, stored(world), 4)
    world.engine.run(world.engine.now + 10 * S)
    assert len(running(world)) == 4
    version = stored(world).metadata.resourceVersion
    assert operations.scale(world.api, stored(world), 4).metadata.resourceVersion == version


def test_each_rollout_has_a_number_and_can_be_gone_back_to(world: World) -> None:
    first = [pod.metadata.name for pod in running(world)]
    operations.restart(world.api, stored(world), "1970-01-01T00:00:30Z")
    world.engine.run(world.engine.now + 60 * S)
    assert not set(first) & {pod.metadata.name for pod in running(world)}
    assert [number for number, _ in operations.revisions(world.api, stored(world))] == [1, 2]
    assert operations.undo(world.api, stored(world))
    world.engine.run(world.engine.now + 60 * S)
    known = operations.revisions(world.api, stored(world))
    assert [number for number, _ in known] == [2, 3]
    assert known[-1][1].spec.replicas == 2
    assert not operations.undo(world.api, stored(world), 3)
    with pytest.raises(LookupError, match="unable to find specified revision 1"):
        operations.undo(world.api, stored(world), 1)


def test_numbers_of_rollouts() -> None:
    assert next_revision([]) == 1
    made = ReplicaSet.model_validate(
        {
            "metadata": {"annotations": {"deployment.kubernetes.io/revision": "7"}},
            "spec": {"selector": {}, "template": {"spec": {"containers": []}}},
        }
    )
    assert revision_of(made) == 7
    assert next_revision([made]) == 8
    assert revision_of(evolve(made, metadata__annotations={})) == 0


def test_cordon_and_drain(world: World) -> None:
    node = next(pod.spec.nodeName for pod in running(world))
    assert operations.cordon(world.api, node)
    assert not operations.cordon(world.api, node)
    plan = operations.drain_plan(world.api, node)
    assert plan.evict
    assert not plan.unmanaged
    for pod in plan.evict:
        world.api.delete(Pod, *pod.key)
    world.engine.run(world.engine.now + 60 * S)
    assert len(running(world)) == 2
    assert node not in {pod.spec.nodeName for pod in running(world)}
    with pytest.raises(NotFoundError):
        operations.cordon(world.api, "nowhere")


def test_what_may_not_change(world: World) -> None:
    before = stored(world)
    selector = evolve(before.spec.selector, matchLabels={"app": "other"})
    with pytest.raises(InvalidError, match=r"spec\.selector: Invalid value: .*: field is immutable"):
        operations.check_update(before, evolve(before, spec__selector=selector))
    operations.check_update(before, evolve(before, spec__replicas=9))
    pod = running(world)[0]
    with pytest.raises(InvalidError, match="pod updates may not change fields other than"):
        operations.check_update(pod, evolve(pod, spec__hostNetwork=True))


def test_a_pod_whose_labels_no_longer_match_is_let_go(world: World) -> None:
    pod = running(world)[0]
    operations.change(world.api, pod, lambda found: evolve(found, metadata__labels={"app": "debug"}))
    world.engine.run(world.engine.now + 10 * S)
    assert len(running(world)) == 3
    released = world.api.get(Pod, *pod.key)
    assert released is not None
    assert released.metadata.controller() is None
