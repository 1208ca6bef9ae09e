"""The store: versions, conflicts, deletion, defaults, watches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.delays import Constant, Uniform
from netsim.cluster.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from netsim.cluster.objects import (
    ConfigMap,
    Container,
    Deployment,
    Namespace,
    Node,
    ObjectMeta,
    OtherObject,
    Pod,
    PodSpec,
    Service,
    ServiceSpec,
    evolve,
)
from netsim.cluster.timing import ApiTiming, Timing
from netsim.cluster.watch import WatchEvent
from netsim.engine import MS, Engine, S


def config(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def pod(name: str = "p", node: str = "", **meta: object) -> Pod:
    spec = PodSpec(containers=(Container(name="c"),), nodeName=node)
    return Pod(metadata=ObjectMeta.model_validate({"name": name, "namespace": "default", **meta}), spec=spec)


def service(name: str, **spec: object) -> Service:
    raw = {"ports": ({"port": 80},), **spec}
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=ServiceSpec.model_validate(raw))


@pytest.fixture
def api(engine: Engine) -> ApiServer:
    return ApiServer(engine, Timing.for_version())


# -------------------------------------------------------------------------------------------------- store
def test_create_completes_metadata(engine: Engine, api: ApiServer) -> None:
    engine.run(5 * S)
    made = api.create(config("a"))
    meta = made.metadata
    assert (meta.resourceVersion, meta.generation, meta.creationTimestamp) == (1, 1, 5 * S)
    assert len(meta.uid) == 36
    assert api.create(ConfigMap(metadata=ObjectMeta(name="b"))).metadata.namespace == "default"
    assert api.create(Namespace(metadata=ObjectMeta(name="n"))).metadata.namespace == ""


def test_create_twice_and_nameless(api: ApiServer) -> None:
    api.create(config("a"))
    with pytest.raises(AlreadyExistsError, match="ConfigMap default/a already exists"):
        api.create(config("a"))
    with pytest.raises(InvalidError, match=r"needs a metadata\.name"):
        api.create(ConfigMap(metadata=ObjectMeta(namespace="default")))


def test_generated_names_differ_and_depend_on_the_seed_only() -> None:
    def names(seed: int) -> list[str]:
        api = ApiServer(Engine(seed), Timing.for_version())
        template = ConfigMap(metadata=ObjectMeta(generateName="web-", namespace="default"))
        return [api.create(template).metadata.name for _ in range(20)]

    assert names(1) == names(1)
    assert names(1) != names(2)
    assert len(set(names(1))) == 20
    assert all(name.startswith("web-") and len(name) == 9 for name in names(1))


def test_optimistic_concurrency(api: ApiServer) -> None:
    first = api.create(config("a"))
    api.update(evolve(first, data={"x": "1"}))
    with pytest.raises(ConflictError, match="has been modified"):
        api.update(evolve(first, data={"x": "2"}))
    blind = evolve(first, {"data": {"x": "3"}, "metadata.resourceVersion": 0})
    assert api.update(blind).data == {"x": "3"}
    with pytest.raises(NotFoundError, match="ConfigMap default/b not found"):
        api.update(config("b"))


def test_patch_checks_the_uid_and_skips_no_change(api: ApiServer) -> None:
    made = api.create(config("a"))
    assert api.patch(ConfigMap, "default", "a", lambda item: item) is made
    changed = api.patch(ConfigMap, "default", "a", lambda item: evolve(item, data={"x": "1"}))
    assert changed.metadata.resourceVersion > made.metadata.resourceVersion
    api.delete(ConfigMap, "default", "a")
    api.create(config("a"))
    with pytest.raises(NotFoundError, match="another object by now"):
        api.patch(ConfigMap, "default", "a", lambda item: item, uid=made.metadata.uid)


def test_generation_counts_changes_of_the_spec_only(api: ApiServer) -> None:
    made = api.create(pod())
    labelled = api.patch(Pod, "default", "p", lambda p: evolve(p, metadata__labels={"a": "b"}))
    bound = api.patch(Pod, "default", "p", lambda p: evolve(p, spec__nodeName="n"))
    assert [item.metadata.generation for item in (made, labelled, bound)] == [1, 1, 2]


def test_list_by_namespace_and_labels(api: ApiServer) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "2"}), ("c", {})):
        api.create(pod(name, labels=labels))
    api.create(Pod(metadata=ObjectMeta(name="d", namespace="other"), spec=PodSpec(containers=())))
    assert [p.metadata.name for p in api.list(Pod)] == ["a", "b", "c", "d"]
    assert [p.metadata.name for p in api.list(Pod, "default", {"x": "2"})] == ["b"]
    assert [p.metadata.name for p in api.list("Pod", "other")] == ["d"]


def test_kinds_without_a_model_are_reached_by_name(api: ApiServer) -> None:
    api.create(OtherObject.model_validate({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}))
    assert [item.kind for item in api.list("Secret")] == ["Secret"]
    assert api.get("Secret", "default", "s") is not None
    assert sum(1 for _ in api) == 1


# -------------------------------------------------------------------------------------------------- deletion
@pytest.mark.parametrize(
    ("node", "phase", "asked", "stays", "grace"),
    [
        ("n", "Running", None, True, 30),
        ("n", "Running", 5, True, 5),
        ("n", "Running", 0, False, 0),
        ("", "Pending", None, False, 0),
        ("n", "Succeeded", None, False, 0),
        ("n", "Failed", 30, False, 0),
    ],
)
def test_deleting_a_pod(
    api: ApiServer, engine: Engine, node: str, phase: str, asked: int | None, stays: bool, grace: int
) -> None:
    api.create(evolve(pod(node=node), status__phase=phase))
    engine.run(2 * S)
    left = api.delete(Pod, "default", "p", asked)
    assert (left is not None) == stays
    if left is not None:
        assert left.metadata.deletionTimestamp == (2 + grace) * S
        assert left.metadata.deletionGracePeriodSeconds == grace


def test_a_repeated_delete_only_shortens(api: ApiServer) -> None:
    api.create(pod(node="n"))
    api.delete(Pod, "default", "p", 10)
    for asked, grace in ((20, 10), (10, 10), (3, 3)):
        left = api.delete(Pod, "default", "p", asked)
        assert left is not None
        assert left.metadata.deletionGracePeriodSeconds == grace
    assert api.delete(Pod, "default", "p", 0) is None
    with pytest.raises(NotFoundError):
        api.delete(Pod, "default", "p")


# -------------------------------------------------------------------------------------------------- admission
def test_pods_get_the_default_tolerations_once(api: ApiServer) -> None:
    own = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 5}
    raw = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}], "tolerations": [own]}}
    made = api.create(Pod.model_validate(raw))
    assert [(t.key, t.tolerationSeconds) for t in made.spec.tolerations] == [
        ("node.kubernetes.io/unreachable", 5),
        ("node.kubernetes.io/not-ready", 300),
    ]


def test_cluster_ips(api: ApiServer) -> None:
    asked = api.create(service("dns", clusterIP="10.96.0.10"))
    drawn = api.create(service("web"))
    headless = api.create(service("peers", clusterIP="None"))
    assert asked.spec.clusterIPs == ("10.96.0.10",)
    assert drawn.spec.clusterIP.startswith("10.96.")
    assert drawn.spec.ipFamilies == ("IPv4",)
    assert headless.spec.clusterIP == "None"
    with pytest.raises(InvalidError, match=r"10\.96\.0\.10: provided IP is already allocated"):
        api.create(service("b", clusterIP="10.96.0.10"))
    with pytest.raises(InvalidError, match=r"The range of valid IPs is 10\.96\.0\.0/16"):
        api.create(service("c", clusterIP="10.97.0.1"))
    api.delete(Service, "default", "dns")
    api.create(service("b", clusterIP="10.96.0.10"))


def test_node_ports(api: ApiServer) -> None:
    asked = api.create(service("a", type="NodePort", ports=({"port": 80, "nodePort": 30080},)))
    drawn = api.create(service("b", type="LoadBalancer", externalTrafficPolicy="Local"))
    assert asked.spec.externalTrafficPolicy == "Cluster"
    assert 30000 <= drawn.spec.ports[0].nodePort <= 32767
    assert 30000 <= drawn.spec.healthCheckNodePort <= 32767
    assert drawn.spec.healthCheckNodePort != drawn.spec.ports[0].nodePort
    with pytest.raises(InvalidError, match="Invalid value: 30080: provided port is already allocated"):
        api.create(service("c", type="NodePort", ports=({"port": 80, "nodePort": 30080},)))
    with pytest.raises(InvalidError, match="The range of valid ports is 30000-32767"):
        api.create(service("d", type="NodePort", ports=({"port": 80, "nodePort": 80},)))


def test_external_name_services_get_no_address(api: ApiServer) -> None:
    made = api.create(service("e", type="ExternalName", externalName="example.org"))
    assert made.spec.clusterIP == ""


# -------------------------------------------------------------------------------------------------- watches
def collect(api: ApiServer, engine: Engine, kind: type[ConfigMap] = ConfigMap) -> list[tuple[int, str, str]]:
    seen: list[tuple[int, str, str]] = []

    def handler(event: WatchEvent[ConfigMap]) -> None:
        seen.append((engine.now, event.type, event.object.metadata.name))

    api.watch(kind, handler, "test")
    return seen


def test_a_watch_begins_with_what_is_there(engine: Engine, api: ApiServer) -> None:
    api.create(config("a"))
    seen = collect(api, engine)
    assert seen == [(0, "ADDED", "a")]


def test_a_watch_is_late_and_complete(engine: Engine) -> None:
    timing = Timing.for_version().with_parts(api=ApiTiming(watch=Constant(10 * MS)))
    api = ApiServer(engine, timing)
    seen = collect(api, engine)
    engine.run(1 * S)
    api.create(config("a"))
    api.patch(ConfigMap, "default", "a", lambda item: evolve(item, data={"x": "1"}))
    api.delete(ConfigMap, "default", "a")
    engine.run(2 * S)
    assert seen == [(1 * S + 10 * MS, change, "a") for change in ("ADDED", "MODIFIED", "DELETED")]


@given(st.integers(0, 2**32), st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_watches_deliver_everything_in_order_and_in_time(seed: int, gaps_ms: list[int]) -> None:
    engine = Engine(seed)
    delay = Uniform(1 * MS, 20 * MS)
    api = ApiServer(engine, Timing.for_version().with_parts(api=ApiTiming(watch=delay)))
    seen: list[tuple[int, int, int]] = []

    def handler(event: WatchEvent[ConfigMap]) -> None:
        seen.append((int(event.object.metadata.name), event.at_ns, engine.now))

    api.watch(ConfigMap, handler, "test")
    at = 0
    for number, gap in enumerate(gaps_ms):
        at += gap * MS
        engine.call_at(at, api.create, config(str(number)))
    engine.run(at + 1 * S)
    assert [number for number, _, _ in seen] == list(range(len(gaps_ms)))
    # A change that just misses a frame waits for the next one, so twice the longest delay is the bound.
    assert all(1 * MS <= arrived - committed <= 40 * MS for _, committed, arrived in seen)
    assert api.log(ConfigMap).drained


def test_each_watcher_has_its_own_delay(engine: Engine, api: ApiServer) -> None:
    arrived: dict[str, int] = {}
    for name in ("one", "two", "three"):
        api.watch(ConfigMap, lambda event, name=name: arrived.setdefault(name, engine.now), name)  # type: ignore[misc]
    api.create(config("a"))
    engine.run(3 * S)
    assert len(set(arrived.values())) == 3


def test_a_cut_watch_loses_nothing(engine: Engine, api: ApiServer) -> None:
    seen: list[str] = []
    watch = api.watch(ConfigMap, lambda event: seen.append(event.object.metadata.name), "test")
    watch.disconnect()
    api.create(config("a"))
    engine.run(10 * S)
    assert seen == []
    watch.reconnect(engine.now)
    api.create(config("b"))
    engine.run(20 * S)
    assert seen == ["a", "b"]
    watch.stop()
    api.create(config("c"))
    engine.run(30 * S)
    assert seen == ["a", "b"]
    assert api.log(ConfigMap).drained


def test_old_changes_are_forgotten_when_everybody_has_seen_them(engine: Engine, api: ApiServer) -> None:
    seen: list[str] = []
    api.watch(ConfigMap, lambda event: seen.append(event.type), "test")
    api.create(config("a"))
    for number in range(9000):
        api.patch(ConfigMap, "default", "a", lambda item, n=number: evolve(item, data={"n": str(n)}))  # type: ignore[misc]
        if number % 500 == 0:
            engine.run(engine.now + 1 * S)
    engine.run(engine.now + 1 * S)
    assert len(seen) == 9001
    assert api.log(ConfigMap).end == 9001


def test_kubelets_see_only_their_pods(engine: Engine, api: ApiServer) -> None:
    seen: list[tuple[str, str]] = []
    api.watch_pods_of("n1", lambda event: seen.append((event.type, event.object.metadata.name)), "k")
    api.create(pod("a"))
    api.create(pod("b", node="n1"))
    api.create(pod("c", node="n2"))
    api.patch(Pod, "default", "a", lambda p: evolve(p, spec__nodeName="n1"))
    api.delete(Pod, "default", "b", 0)
    engine.run(3 * S)
    assert seen == [("ADDED", "b"), ("ADDED", "a"), ("DELETED", "b")]


def test_taps_hear_at_once(api: ApiServer) -> None:
    heard: list[str] = []
    api.tap(Node, lambda event: heard.append(event.object.metadata.name))
    api.create(Node(metadata=ObjectMeta(name="n")))
    assert heard == ["n"]
    assert api.list(Deployment) == []
