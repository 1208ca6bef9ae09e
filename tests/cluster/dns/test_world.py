"""The world: indexes stay right whatever happens, and only what changes answers changes the version."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.cluster.dns.world import World
from netsim.cluster.objects import ApiObject
from netsim.cluster.objects.registry import parse_object
from netsim.engine import S


def service(name: str = "web", ip: str = "10.96.0.7", **spec: Any) -> ApiObject:
    return parse_object({
        "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": ip, "ports": [{"name": "http", "port": 80}], **spec},
    })  # fmt: skip


def part(
    name: str = "web-1", owner: str = "web", addresses: tuple[str, ...] = (), **endpoint: Any
) -> ApiObject:
    return parse_object({
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": owner}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [address], **endpoint} for address in addresses],
    })  # fmt: skip


def pod(name: str, ip: str, **meta: Any) -> ApiObject:
    return parse_object({
        "kind": "Pod", "metadata": {"name": name, "namespace": "shop", **meta},
        "spec": {"containers": [{"name": "c", "image": "i"}]}, "status": {"podIP": ip},
    })  # fmt: skip


def test_objects_are_found_by_name_and_address() -> None:
    world = World()
    for obj in (service(), part(addresses=("10.244.1.5",)), pod("web-a", "10.244.1.5")):
        world.put(obj, 0)
    local = world.local
    found = local.service("shop", "web")
    assert found is not None
    assert [view.name for view in local.with_cluster_ip("10.96.0.7")] == ["web"]
    assert [view.name for view in local.slices("shop", "web")] == ["web-1"]
    assert [view.name for view in local.with_endpoint("10.244.1.5")] == ["web-1"]
    assert [view.name for view in world.pods_at("10.244.1.5")] == ["web-a"]


def test_what_is_removed_leaves_no_trace() -> None:
    world = World()
    objects = [service(externalIPs=["1.2.3.4"]), part(addresses=("10.244.1.5",)), pod("web-a", "10.244.1.5")]
    for obj in objects:
        world.put(obj, 0)
    for obj in objects:
        world.remove(obj, 0)
    local = world.local
    assert local.service("shop", "web") is None
    assert not local.with_cluster_ip("10.96.0.7")
    assert not local.with_external("1.2.3.4")
    assert not local.slices("shop", "web")
    assert not local.with_endpoint("10.244.1.5")
    assert not world.pods_at("10.244.1.5")


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        (service(), service(), False),
        (service(), service(selector={"app": "x"}), False),  # DNS does not look at selectors
        (service(), service(ip="10.96.0.8"), True),
        (part(addresses=("10.0.0.1",)), part(addresses=("10.0.0.1",), nodeName="n"), False),
        (part(addresses=("10.0.0.1",)), part(addresses=("10.0.0.1",), conditions={"ready": False}), True),
        (part(addresses=("10.0.0.1",)), part(addresses=("10.0.0.1",), conditions={"serving": False}), False),
        (pod("a", "10.0.0.1"), pod("a", "10.0.0.1", labels={"a": "b"}), False),
        (pod("a", "10.0.0.1"), pod("a", "10.0.0.1", deletionTimestamp=5), True),
    ],
)
def test_only_what_can_change_an_answer_is_a_change(
    before: ApiObject, after: ApiObject, counts: bool
) -> None:
    world = World()
    told = []
    world.changed = lambda: told.append(world.version)
    world.put(before, 1 * S)
    world.put(after, 9 * S)
    assert world.version == 1 + counts
    assert world.serial == (9 if counts else 1)
    assert told == list(range(1, 2 + counts))


def test_namespaces_come_and_go() -> None:
    world = World()
    shop = parse_object({"kind": "Namespace", "metadata": {"name": "shop"}})
    world.put(shop, 0)
    world.put(shop, 0)
    assert (world.namespaces, world.version) == ({"shop"}, 1)
    world.remove(shop, 0)
    world.remove(shop, 0)
    assert (world.namespaces, world.version) == (set(), 2)


def test_imported_services_are_kept_apart() -> None:
    world = World()
    world.put(parse_object({
        "kind": "ServiceImport", "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "ClusterSetIP", "ips": ["10.97.0.1"], "ports": [{"port": 80}]},
    }), 0)  # fmt: skip
    assert world.imported.service("shop", "web") is not None
    assert world.local.service("shop", "web") is None


addresses = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"])
slices = st.tuples(
    st.sampled_from(["s1", "s2", "s3"]), st.sampled_from(["web", "db"]), st.lists(addresses, max_size=3)
)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), slices), max_size=25))
def test_the_indexes_are_those_of_a_world_made_anew(
    steps: list[tuple[bool, tuple[str, str, list[str]]]],
) -> None:
    world = World()
    alive: dict[str, ApiObject] = {}
    for gone, (name, owner, found) in steps:
        obj = part(name, owner, tuple(found))
        if gone:
            world.remove(obj, 0)
            alive.pop(name, None)
        else:
            world.put(obj, 0)
            alive[name] = obj
    fresh = World()
    for obj in alive.values():
        fresh.put(obj, 0)

    def names(of: World, address: str) -> list[str]:
        return sorted(view.name for view in of.local.with_endpoint(address))

    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        assert names(world, address) == names(fresh, address)
    for owner in ("web", "db"):
        assert sorted(v.name for v in world.local.slices("shop", owner)) == sorted(
            v.name for v in fresh.local.slices("shop", owner)
        )
