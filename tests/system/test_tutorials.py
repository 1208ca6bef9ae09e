"""What the tutorials show: which names, addresses and ports of a Service answer, and which do not."""

import pytest
from systemlab import ask, ping, pods, resolve, service_ip, settled

from netsim.experiment.cluster import Cluster

SECOND = 10**9
NODES = ("control-plane", "worker-1", "worker-2")


@pytest.fixture(scope="module")
def nginx() -> Cluster:
    return settled("tutorial-nginx")


def _targets(cluster: Cluster) -> list[str]:
    return [pod.status.podIP for pod in pods(cluster, app="nginx")]


def test_the_service_answers_on_5000(nginx: Cluster) -> None:
    done = ask(nginx, "pod/test-pod", "nginx-service", 5000)
    assert (done.outcome, done.status) == ("ok", 200)


@pytest.mark.parametrize("timeout_ns", [SECOND, 3 * SECOND])
def test_port_80_of_the_service_hangs_until_the_timeout(nginx: Cluster, timeout_ns: int) -> None:
    done = ask(nginx, "pod/test-pod", "nginx-service", timeout_ns=timeout_ns)
    assert (done.outcome, done.ended_ns - done.started_ns) == ("timeout", timeout_ns)
    assert done.resolved_ns
    assert not done.connected_ns


def test_the_cluster_ip_does_not_answer_ping(nginx: Cluster) -> None:
    assert ping(nginx, "pod/test-pod", service_ip(nginx, "nginx-service")) == "silence"
    assert ping(nginx, "node/worker-1", service_ip(nginx, "nginx-service")) == "silence"


def _everybody(cluster: Cluster) -> list[str]:
    return [f"node/{name}" for name in NODES] + [f"pod/{name}" for name in sorted(cluster.fabric.pods)]


def test_pod_addresses_answer_every_node_and_pod(nginx: Cluster) -> None:
    everybody = _everybody(nginx)
    assert len(everybody) == 3 + 5
    for source in everybody:
        for address in _targets(nginx):
            assert ask(nginx, source, address).outcome == "ok", (source, address)


def test_every_pod_and_node_answers_the_ping_of_every_other(nginx: Cluster) -> None:
    everybody = _everybody(nginx)
    for source in everybody:
        for target in everybody:
            address = ".".join(str(byte) for byte in nginx.host(target).address)
            assert ping(nginx, source, address) == "reply", (source, target)


def test_a_pod_without_server_refuses(nginx: Cluster) -> None:
    assert ask(nginx, "pod/test-pod", _targets(nginx)[0], 5000).outcome == "refused"


@pytest.mark.parametrize("tail", ["", ".default", ".default.svc", ".default.svc.cluster.local"])
def test_the_names_of_the_service_resolve(nginx: Cluster, tail: str) -> None:
    assert resolve(nginx, "pod/test-pod", f"nginx-service{tail}") == (service_ip(nginx, "nginx-service"),)


def test_a_final_dot_leaves_the_search_list_out(nginx: Cluster) -> None:
    address = service_ip(nginx, "nginx-service")
    assert resolve(nginx, "pod/test-pod", "nginx-service.default.svc.cluster.local.") == (address,)
    assert resolve(nginx, "pod/test-pod", "nginx-service.")[0].isupper()


@pytest.mark.parametrize("name", ["nginx-service.other", "nginx-service.other.svc.cluster.local", "nginx"])
def test_names_of_no_service_do_not_resolve(nginx: Cluster, name: str) -> None:
    assert resolve(nginx, "pod/test-pod", name)[0].isupper()
    assert ask(nginx, "pod/test-pod", name).outcome == "dns"


@pytest.mark.parametrize("name", ["nginx-service", "nginx-service.default.svc.cluster.local"])
def test_a_node_does_not_know_the_services_names(nginx: Cluster, name: str) -> None:
    assert resolve(nginx, "node/worker-1", name)[0].isupper()


def test_pods_are_told_how_to_resolve_names(nginx: Cluster) -> None:
    conf = nginx.host("pod/test-pod").resolv_conf
    assert conf.nameservers == ("10.96.0.10",)
    assert conf.searches[:3] == ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
    assert conf.option("ndots") == "5"


@pytest.mark.parametrize("source", ["pod/client", "node/worker-1", "node/control-plane"])
def test_auth_leads_from_80_to_8080(source: str) -> None:
    auth = settled("auth")
    address = service_ip(auth, "auth-service")
    assert ask(auth, source, address).outcome == "ok"
    assert ask(auth, "pod/client", "auth-service").outcome == "ok"
    [first, second] = [pod.status.podIP for pod in pods(auth, app="auth")]
    assert ask(auth, source, first, 8080).outcome == "ok"
    assert ask(auth, source, second).outcome == "refused"
    assert ask(auth, source, address, 8080, timeout_ns=SECOND).outcome == "timeout"


def test_my_nginx_answers_its_pods_and_nodes() -> None:
    cluster = settled("my-nginx")
    assert ask(cluster, "pod/client", "my-nginx").outcome == "ok"
    for node in NODES:
        assert ask(cluster, f"node/{node}", service_ip(cluster, "my-nginx")).outcome == "ok"
    # A pod of the Service may meet itself: the hairpin works by masquerading.
    for pod in pods(cluster, run="my-nginx"):
        source = f"pod/{pod.metadata.name}"
        assert {ask(cluster, source, "my-nginx").outcome for _ in range(8)} == {"ok"}
