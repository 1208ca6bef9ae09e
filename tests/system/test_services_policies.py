"""Which endpoints a node may use: traffic policies, hints of trafficDistribution, unready and terminating endpoints."""

from collections.abc import Iterator

import pytest
from servicelab import MODES, Asker, differs, pod, service, settled

from netsim.cluster.objects import EndpointSlice

UNREADY = (
    "{name: web, image: nginx, ports: [{containerPort: 80}],"
    " readinessProbe: {httpGet: {path: /missing, port: 80}}}"
)
OBJECTS = (
    "".join(pod(f"web-{n}", f"n{n}") for n in (1, 2, 3))
    + pod("twin", "n1")
    + "".join(pod(f"client-{n}", f"n{n}", "run: client", "{name: c, image: busybox}") for n in (1, 2, 3))
    + pod("lonely", "n1", "app: lonely")
    + service("all", "ports: [{port: 80}]")
    + service("own", "internalTrafficPolicy: Local, ports: [{port: 80}]")
    + service("lonely", "internalTrafficPolicy: Local, ports: [{port: 80}]", "app: lonely")
    + service("close", "trafficDistribution: PreferClose, ports: [{port: 80}]")
    + service("same-zone", "trafficDistribution: PreferSameZone, ports: [{port: 80}]")
    + service("same-node", "trafficDistribution: PreferSameNode, ports: [{port: 80}]")
    + service("near", "type: NodePort, externalTrafficPolicy: Local, ports: [{port: 80, nodePort: 30080}]")
)
EVERY = {"web-1", "twin", "web-2", "web-3"}


@pytest.fixture(scope="module", params=MODES)
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    asker = settled(tmp_path_factory.mktemp("policies"), request.param, OBJECTS)
    yield asker
    assert asker.cluster.books().closes


@pytest.mark.parametrize(
    ("source", "url", "expected"),
    [
        ("pod/client-1", "http://all/", EVERY),
        ("pod/client-1", "http://own/", {"web-1", "twin"}),
        ("pod/client-2", "http://own/", {"web-2"}),
        ("pod/client-1", "http://lonely/", {"lonely"}),
        # n1 and n2 are in zone a, n3 in zone b
        ("pod/client-1", "http://close/", {"web-1", "twin", "web-2"}),
        ("pod/client-3", "http://close/", {"web-3"}),
        ("pod/client-2", "http://same-zone/", {"web-1", "twin", "web-2"}),
        ("pod/client-1", "http://same-node/", {"web-1", "twin"}),
        ("pod/client-3", "http://same-node/", {"web-3"}),
        ("external/laptop", "http://n1:30080/", {"web-1", "twin"}),
        ("external/laptop", "http://n2:30080/", {"web-2"}),
    ],
)
def test_which_pods(ask: Asker, source: str, url: str, expected: set[str]) -> None:
    assert set(ask.pods(source, url, 12 * len(expected))) == expected


def test_a_local_policy_without_local_endpoint(ask: Asker) -> None:
    """iptables and nftables drop; in ipvs mode the virtual server has no real one, and the kernel says so (ip_vs_leave
    answers port unreachable)."""
    outcome = ask("pod/client-2", "http://lonely/").outcome
    assert outcome == differs("timeout", ipvs="refused")[ask.mode]


def test_the_policy_of_each_kind_of_traffic_is_known(ask: Asker) -> None:
    policies = {
        url: ask(source, url).backend.policy
        for source, url in (
            ("pod/client-1", "http://all/"),
            ("pod/client-1", "http://own/"),
            ("external/laptop", "http://n1:30080/"),
        )
    }
    assert list(policies.values()) == ["", "Local", "Local"]


def test_the_controller_writes_the_hints(ask: Asker) -> None:
    def hints(name: str) -> set[tuple[tuple[str, ...], tuple[str, ...]]]:
        return {
            (tuple(z.name for z in e.hints.forZones), tuple(n.name for n in e.hints.forNodes))
            for item in ask.cluster.api.list(EndpointSlice)
            if item.service_name == name
            for e in item.endpoints
            if e.hints
        }

    assert hints("all") == set()
    assert hints("close") == hints("same-zone") == {(("a",), ()), (("b",), ())}
    assert hints("same-node") == {(("a",), ("n1",)), (("a",), ("n2",)), (("b",), ("n3",))}


@pytest.mark.parametrize("mode", MODES)
def test_unready_endpoints_are_used_only_where_they_are_published(
    mode: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    late = pod("late", "n1", "app: late", UNREADY).replace(
        "spec: {nodeName", "spec: {restartPolicy: Never, nodeName"
    )
    client = pod("client", "n2", "run: client", "{name: c, image: busybox}")
    ready = pod("ready", "n2", "app: late")
    services = service("strict", "ports: [{port: 80}]", "app: late") + service(
        "published", "publishNotReadyAddresses: true, ports: [{port: 80}]", "app: late"
    )
    ask = settled_unready(tmp_path_factory, mode, late + ready + client + services)
    assert set(ask.pods("pod/client", "http://strict/", 10)) == {"ready"}
    assert set(ask.pods("pod/client", "http://published/", 20)) == {"late", "ready"}


def settled_unready(factory: pytest.TempPathFactory, mode: str, objects: str) -> Asker:
    """The pod never becomes ready, so the cluster never counts as settled: 30 s are enough."""
    from servicelab import CLUSTER

    from netsim.experiment.cluster import Cluster

    path = factory.mktemp("unready") / "topology.yaml"
    path.write_text(CLUSTER.format(mode=mode, more="") + objects, encoding="utf-8")
    cluster = Cluster(path)
    cluster.start()
    cluster.engine.run(30_000_000_000)
    cluster.epoch_ns = 30_000_000_000
    return Asker(cluster)
