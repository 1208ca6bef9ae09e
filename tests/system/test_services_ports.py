"""Ports: several, named, of another protocol; where node ports answer; a pod that asks itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servicelab import (
    LOCALHOST_NODE_PORT,
    MODES,
    NO_SUCH_PORT,
    Asker,
    address,
    expected,
    per_mode,
    pod,
    service,
    settled,
)

from netsim.cluster.objects import Pod
from netsim.workload.clients import make_client
from netsim.workload.http_client import ClientSpec

TWO = (
    "{name: web, image: nginx, ports: [{containerPort: 80, name: http}, {containerPort: 8080, name: admin}]}"
)
OTHER = (
    "{name: web, image: nginx, ports: [{containerPort: 81, name: http}, {containerPort: 8081, name: admin}]}"
)
ECHO = "{name: dns, image: dns, ports: [{containerPort: 5353, protocol: UDP, name: dns}]}"
TALK = "{name: db, image: mysql, ports: [{containerPort: 3306}]}"
OBJECTS = (
    pod("web-1", "n1", container=TWO)
    + pod("web-2", "n2", container=OTHER)
    + pod("echo-1", "n1", "app: echo", ECHO)
    + pod("echo-2", "n2", "app: echo", ECHO)
    + pod("db", "n3", "app: db", TALK, annotations="{netsim/app: echo}")
    + pod("client", "n3", "run: client", "{name: c, image: busybox}")
    + pod("alone", "n1", "app: alone")
    + service(
        "web",
        "ports: [{name: main, port: 80, targetPort: http}, {name: admin, port: 9000, targetPort: admin}]",
    )
    + service(
        "echo",
        "type: NodePort, ports: [{port: 53, protocol: UDP, targetPort: dns, nodePort: 30053}]",
        "app: echo",
    )
    + service("db", "ports: [{port: 3306}]", "app: db")
    + service("myself", "type: NodePort, ports: [{port: 80, nodePort: 30090}]", "app: alone")
)


@pytest.fixture(scope="module", params=MODES)
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    asker = settled(tmp_path_factory.mktemp("ports"), request.param, OBJECTS)
    yield asker
    assert asker.cluster.books().closes


@pytest.mark.parametrize(
    ("url", "endpoints"),
    [
        ("http://web/", {"web-1": 80, "web-2": 81}),  # one name, another number in each pod
        ("http://web:9000/", {"web-1": 8080, "web-2": 8081}),
        ("udp://echo:53", {"echo-1": 5353, "echo-2": 5353}),
        ("udp://n3:30053", {"echo-1": 5353, "echo-2": 5353}),
        ("tcp://db:3306", {"db": 3306}),
        ("tcp://web:80", {"web-1": 80, "web-2": 81}),  # "400 Bad Request" is an answer
    ],
)
def test_each_port_leads_to_its_own(ask: Asker, url: str, endpoints: dict[str, int]) -> None:
    source = "external/laptop" if "//n3" in url else "pod/client"
    asked = [ask(source, url) for _ in range(16)]
    assert {one.outcome for one in asked} == {"ok"}
    assert {one.pod: int(one.backend.endpoint.rpartition(":")[2]) for one in asked} == endpoints


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("http://web:8080/", NO_SUCH_PORT),  # the target's port is not the Service's
        ("udp://web:80", NO_SUCH_PORT),  # another protocol
        ("tcp://echo:53", NO_SUCH_PORT),
        ("udp://n3:30054", "refused"),  # ICMP port unreachable
    ],
)
def test_other_ports_do_not(ask: Asker, url: str, outcome: str | dict[str, str]) -> None:
    source = "external/laptop" if "//n3" in url else "pod/client"
    assert ask(source, url).outcome == expected(ask.mode, outcome)


def test_a_pod_reaches_itself_through_its_service(ask: Asker) -> None:
    """Hairpin: the rules masquerade, so that the answer comes back through them."""
    asked = ask("pod/alone", "http://myself/")  # "alone" is its own name, in its /etc/hosts
    assert (asked.outcome, asked.pod) == ("ok", "alone")
    assert asked.backend.seen_as == address(ask, "node/n1")
    assert ask("pod/alone", f"http://{address(ask, 'node/n1')}:30090/").outcome == "ok"


def test_a_node_port_on_localhost(ask: Asker) -> None:
    asked = ask("node/n2", "http://127.0.0.1:30090/")
    assert asked.outcome == LOCALHOST_NODE_PORT[ask.mode]
    if asked.outcome == "ok":
        assert (asked.pod, asked.backend.via) == ("alone", "n2")
        assert asked.backend.seen_as == address(ask, "node/n2")


@per_mode
@pytest.mark.parametrize(("proxy_runs", "outcome"), [(True, "ok"), (False, "timeout")])
def test_a_kept_udp_socket_leaves_a_dead_endpoint_when_kube_proxy_cleans_up(
    tmp_path: Path, mode: str, proxy_runs: bool, outcome: str
) -> None:
    """Its datagrams follow their conntrack entry, whatever the rules say, until kube-proxy deletes it."""
    objects = pod("echo-1", "n1", "app: echo", ECHO) + pod("echo-2", "n2", "app: echo", ECHO)
    objects += pod("client", "n3", "run: client", "{name: c, image: busybox}")
    objects += service("echo", "ports: [{port: 53, protocol: UDP, targetPort: dns}]", "app: echo")
    ask = settled(tmp_path, mode, objects)
    cluster, host = ask.cluster, ask.cluster.host("pod/client")
    found = cluster.api.get("Service", "default", "echo")
    spec = ClientSpec(found.spec.clusterIP, 53, keep_alive=True)  # type: ignore[union-attr]
    client = make_client("udp", host, spec)
    done: list[Any] = []

    def once() -> Any:
        client.exchange(lambda exchange, _now: done.append(exchange)).begin(cluster.engine.now)
        cluster.run("1500ms")
        return done[-1]

    first = once()
    chosen = ask.backends.where(host, "echo", first.flow).pod.rpartition("/")[2]
    if not proxy_runs:
        cluster.control_plane.proxies["n3"].stop()
    victim = cluster.api.get(Pod, "default", chosen)
    assert victim is not None
    cluster.control_plane.delete_pod(victim, 0)
    ask.run("5s")
    last = once()
    assert (first.outcome, last.outcome) == ("ok", outcome)
    assert first.flow == last.flow


@per_mode
@pytest.mark.parametrize(
    ("setting", "localhost", "outside"),
    [
        ("nodePortAddresses: [10.0.0.0/8]", "refused", "refused"),
        ("nodePortAddresses: [172.18.0.0/16]", "refused", "ok"),
        ("nodePortAddresses: [127.0.0.0/8]", LOCALHOST_NODE_PORT, "refused"),
        ("iptables: {localhostNodePorts: false}", "refused", "ok"),
    ],
)
def test_where_node_ports_answer(
    tmp_path: Path, mode: str, setting: str, localhost: str | dict[str, str], outside: str
) -> None:
    objects = pod("alone", "n1", "app: alone")
    objects += service("alone", "type: NodePort, ports: [{port: 80, nodePort: 30090}]", "app: alone")
    ask = settled(tmp_path, mode, objects, f"  kubeProxy: {{{setting}}}\n")
    assert ask("node/n2", "http://127.0.0.1:30090/").outcome == expected(mode, localhost)
    assert ask("external/laptop", "http://n2:30090/").outcome == outside
