"""Session affinity: who counts as one client, where it is remembered, and for how long (the rules' `-m recent`)."""

from collections.abc import Iterator

import pytest
from servicelab import MODES, Asker, pod, service, settled

OBJECTS = (
    "".join(pod(f"web-{n}", f"n{n}") for n in (1, 2, 3))
    + pod("client", "n1", "run: client", "{name: c, image: busybox}")
    + pod("other", "n1", "run: other", "{name: c, image: busybox}")
    + service("plain", "type: NodePort, ports: [{port: 80, nodePort: 30080}]")
    + service(
        "sticky",
        "type: NodePort, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}},"
        " ports: [{port: 80, nodePort: 30081}]",
    )
    + service("three-hours", "sessionAffinity: ClientIP, ports: [{port: 80}]")
)
MORE = """\
  - {name: office, address: 198.51.100.10}
  - {name: pc-1, address: 192.168.7.11, behind: office}
  - {name: pc-2, address: 192.168.7.12, behind: office}
"""


@pytest.fixture(scope="module", params=MODES)
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    asker = settled(tmp_path_factory.mktemp("affinity"), request.param, OBJECTS, MORE)
    yield asker
    assert asker.cluster.books().closes


def test_without_affinity_every_pod_is_met(ask: Asker) -> None:
    assert set(ask.pods("external/laptop", "http://n1:30080/", 30)) == {"web-1", "web-2", "web-3"}
    assert set(ask.pods("pod/client", "http://plain/", 30)) == {"web-1", "web-2", "web-3"}


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("pod/client", "http://sticky/"),
        ("pod/client", "http://three-hours/"),
        ("external/laptop", "http://n1:30081/"),
        ("external/laptop", "http://n2:30081/"),
        ("external/pc-1", "http://n1:30081/"),
    ],
)
def test_with_affinity_a_client_keeps_to_one_pod(ask: Asker, source: str, url: str) -> None:
    assert len(set(ask.pods(source, url, 20))) == 1


def test_hosts_behind_one_address_are_one_client(ask: Asker) -> None:
    both = ask.pods("external/pc-1", "http://n1:30081/", 5) + ask.pods("external/pc-2", "http://n1:30081/", 5)
    assert len(set(both)) == 1
    assert ask("external/pc-2", "http://n1:30081/").backend.via == "n1"


def test_pods_are_clients_of_their_own(ask: Asker) -> None:
    chosen = {}
    for seconds in range(12):  # a new draw each time: after 11 s each client is forgotten
        for source in ("pod/client", "pod/other"):
            chosen[source, seconds] = ask(source, "http://sticky/").pod
        ask.run("11s")
    assert any(chosen["pod/client", n] != chosen["pod/other", n] for n in range(12))


def test_each_node_remembers_for_itself(ask: Asker) -> None:
    met = set()
    for _ in range(6):
        met.add(tuple(ask("external/laptop", f"http://n{n}:30081/").pod for n in (1, 2, 3)))
        ask.run("11s")
    assert any(len(set(pods)) > 1 for pods in met)


def test_each_new_connection_renews_the_timeout(ask: Asker) -> None:
    kept = ask("pod/client", "http://sticky/").pod
    for _ in range(6):
        ask.run("9s")
        assert ask("pod/client", "http://sticky/").pod == kept


def test_after_the_timeout_the_choice_is_free_again(ask: Asker) -> None:
    # ipvs: the template of a client stays as long as connections that it made do, TIME_WAIT's 120 s included, and is
    # looked at once a minute (ip_vs_conn_expire: n_control, expire_later).
    after, draws = ("190s", 4) if ask.mode == "ipvs" else ("10s", 12)
    drawn = []
    for _ in range(draws):
        ask.run(after)
        drawn.append(ask("pod/client", "http://sticky/").pod)
    assert len(set(drawn)) == 3


def test_the_default_timeout_is_three_hours(ask: Asker) -> None:
    service = ask.cluster.api.get("Service", "default", "three-hours")
    assert service.spec.affinity_seconds == 10_800  # type: ignore[union-attr]
