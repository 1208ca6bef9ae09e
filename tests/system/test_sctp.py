"""SCTP through a Service: a message there and back, conntrack's states, nobody behind it, a dead server."""

import pytest
from systemlab import inject, pods, service_ip, settled

from netsim.cluster.objects import Service
from netsim.engine import S
from netsim.experiment.cluster import Cluster
from netsim.wire.addr import ip_text


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return settled("sctp")


def test_a_message_through_the_cluster_ip(cluster: Cluster) -> None:
    explained = cluster.explain("pod/client", "sctp://signalling:3868")
    assert explained.outcome.startswith("SCTP message sent back after ")
    text = explained.text()
    for words in ("[INIT]", "[INIT ACK]", "[COOKIE ECHO]", "[COOKIE ACK]", "[DATA]", "[SHUTDOWN COMPLETE]"):
        assert words in text
    assert "-p sctp -d " in text
    assert "sctp     132 210 ESTABLISHED" in text


def test_associations_are_spread(cluster: Cluster) -> None:
    node = cluster.host("pod/client").node.ns  # type: ignore[attr-defined]
    for _ in range(12):
        assert (
            "sent back"
            in cluster.explain("pod/client", f"sctp://{service_ip(cluster, 'signalling')}:3868").outcome
        )
    answering = {
        ip_text(e.reply.flow.src) for e in node.conntrack.entries(cluster.engine.now) if e.proto == 132
    }
    assert answering == {pod.status.podIP for pod in pods(cluster, app="signalling")}


def test_a_port_that_nobody_has(cluster: Cluster) -> None:
    address = pods(cluster, app="signalling")[0].status.podIP
    assert cluster.explain("pod/client", f"sctp://{address}:9").outcome.startswith(
        "Connection refused after "
    )


def test_a_service_without_endpoints_is_a_hint_only(cluster: Cluster) -> None:
    """REJECT sends port unreachable, which SCTP does not take for an answer: INITs go on for minutes."""
    port = {"port": 3868, "protocol": "SCTP"}
    cluster.control_plane.apply(
        [Service.model_validate({"metadata": {"name": "empty"}, "spec": {"ports": [port]}})]
    )
    cluster.run(5 * S)
    explained = cluster.explain("pod/client", "sctp://empty:3868")
    assert explained.outcome == "no answer within 5s"
    assert "ICMP port unreachable" in explained.text()


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("sctp://signalling", "needs a name and a port"),
        ("sctp://signalling:port", "is no URL"),
        ("sctp://:7", "needs"),
    ],
)
def test_urls(cluster: Cluster, target: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        cluster.explain("pod/client", target)


def test_a_name_that_nobody_has(cluster: Cluster) -> None:
    assert cluster.explain("pod/client", "sctp://nobody:1").outcome.startswith("no address: NXDOMAIN after ")


def test_hung_and_killed_servers(cluster: Cluster) -> None:
    inject(
        cluster,
        {"at": "1s", "action": "pod-hang", "selector": {"app": "signalling"}, "mode": "all", "for": "10s"},
    )
    cluster.run(2 * S)
    assert cluster.explain("pod/client", "sctp://signalling:3868").outcome == "no answer within 5s"
    cluster.run(10 * S)
    assert "sent back" in cluster.explain("pod/client", "sctp://signalling:3868").outcome
    inject(cluster, {"at": "1s", "action": "pod-kill", "selector": {"app": "signalling"}, "mode": "all"})
    cluster.run(S + S // 10)
    assert cluster.explain("pod/client", "sctp://signalling:3868").outcome.startswith(
        "Connection refused after "
    )
    cluster.run(30 * S)
    assert "sent back" in cluster.explain("pod/client", "sctp://signalling:3868").outcome
    cluster.run(S)
    assert cluster.books().closes
