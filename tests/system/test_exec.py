"""The commands that the tutorials show, typed in pods: a transcript each, addresses aside."""

import re
from pathlib import Path

import pytest
from systemlab import settled

from netsim.experiment.cluster import Cluster

WELCOME = "<!DOCTYPE html>\n<html>\n<head>\n<title>Welcome to nginx!</title>\n"


def like(text: str, pattern: str) -> None:
    """The pattern is the transcript; <ip> stands for any address, <n> for any number, the rest for itself."""
    expected = re.escape(pattern).replace("<ip>", r"[0-9a-f.:]+").replace("<n>", r"\d+")
    assert re.fullmatch(expected, text), text


@pytest.fixture(scope="module")
def nginx() -> Cluster:
    return settled("my-nginx")


@pytest.fixture(scope="module")
def tutorial() -> Cluster:
    return settled("tutorial-nginx")


@pytest.fixture(scope="module")
def auth() -> Cluster:
    return settled("auth")


@pytest.fixture(scope="module")
def kafka() -> Cluster:
    return settled("kafka")


# ---------------------------------------------------------------------- nslookup, wget, curl by name
def test_nslookup_in_an_old_busybox(nginx: Cluster) -> None:
    found = nginx.exec("client", "nslookup my-nginx")
    assert found.code == 0
    like(
        found.stdout,
        "Server:    10.96.0.10\n"
        "Address 1: 10.96.0.10 kube-dns.kube-system.svc.cluster.local\n"
        "\n"
        "Name:      my-nginx\n"
        "Address 1: <ip> my-nginx.default.svc.cluster.local\n",
    )
    failed = nginx.exec("client", "nslookup nobody")
    assert (failed.code, failed.stderr) == (1, "nslookup: can't resolve 'nobody'\n")


def test_nslookup_in_a_new_busybox_asks_every_search_domain(tutorial: Cluster) -> None:
    found = tutorial.exec("test-pod", "nslookup nginx-service")
    assert found.code == 1  # as there: some of the names were not found
    assert "Name:\tnginx-service.default.svc.cluster.local\nAddress: 10.96." in found.stdout
    assert found.stdout.count("** server can't find nginx-service.cluster.local: NXDOMAIN") == 2


def test_the_port_that_hangs_and_the_one_that_answers(tutorial: Cluster) -> None:
    name = "nginx-service.default.svc.cluster.local"
    hung = tutorial.exec("test-pod", f"wget -q -O- {name}", "5s")
    assert (hung.code, hung.stdout, hung.took_ns) == (130, "", 5_000_000_000)
    answered = tutorial.exec("test-pod", f"wget -q -O- {name}:5000")
    assert answered.code == 0
    assert answered.stdout.startswith(WELCOME)


@pytest.mark.parametrize(
    "name", ["my-nginx:80", "my-nginx.default", "my-nginx.default.svc", "$MY_NGINX_SERVICE_HOST"]
)
def test_curl_by_long_and_short_names_and_by_environment(nginx: Cluster, name: str) -> None:
    found = nginx.exec("client", f"curl {name}")
    assert (found.code, found.stderr) == (0, "")
    assert found.stdout.startswith(WELCOME)


def test_resolv_conf(tutorial: Cluster) -> None:
    lines = tutorial.exec("test-pod", "cat /etc/resolv.conf").stdout.splitlines()
    assert sorted(lines) == [
        "nameserver 10.96.0.10",
        "options ndots:5",
        "search default.svc.cluster.local svc.cluster.local cluster.local",
    ]


@pytest.mark.parametrize(
    "name", ["auth-service.default.svc.cluster.local:80", "auth-service.default:80", "auth-service:80"]
)
def test_curl_of_auth_service(auth: Cluster, name: str) -> None:
    found = auth.exec("client", f"curl http://{name}")
    assert (found.code, found.stderr) == (0, "")
    assert re.fullmatch(r"Hostname: auth-[0-9a-z]+-[0-9a-z]{5}\n", found.stdout)


@pytest.mark.parametrize("where", ["pod/kafka/dnsutils", "pod/kafka/kafka-0"])
def test_resolv_conf_has_the_pods_namespace(kafka: Cluster, where: str) -> None:
    lines = kafka.exec(where, "cat /etc/resolv.conf").stdout.splitlines()
    assert lines[0] == "search kafka.svc.cluster.local svc.cluster.local cluster.local"
    assert sorted(lines[1:]) == ["nameserver 10.96.0.10", "options ndots:5"]


# ---------------------------------------------------------------------- environment variables and order
def test_printenv(nginx: Cluster) -> None:
    found = nginx.exec("client", "printenv | grep SERVICE | sort")
    like(
        found.stdout,
        "KUBERNETES_SERVICE_HOST=10.96.0.1\n"
        "KUBERNETES_SERVICE_PORT=443\n"
        "KUBERNETES_SERVICE_PORT_HTTPS=443\n"
        "MY_NGINX_SERVICE_HOST=<ip>\n"
        "MY_NGINX_SERVICE_PORT=80\n",
    )


def test_a_service_made_later_is_in_dns_but_not_in_the_environment(tmp_path: Path) -> None:
    from netsim.cluster.objects import Service

    cluster = settled("my-nginx")
    late = Service.model_validate(
        {"metadata": {"name": "late"}, "spec": {"selector": {"run": "my-nginx"}, "ports": [{"port": 80}]}}
    )
    cluster.control_plane.apply([late])
    cluster.run("5s")
    assert cluster.exec("client", "env | grep LATE").code == 1
    assert cluster.exec("client", "curl -s late").stdout.startswith(WELCOME)


# ---------------------------------------------------------------------- headless Service and StatefulSet
def test_nslookup_of_a_headless_service(kafka: Cluster) -> None:
    name = "kafka-headless.kafka.svc.cluster.local"
    found = kafka.exec("pod/kafka/dnsutils", f"nslookup {name}")
    one = f"Name:\t{name}\nAddress: <ip>\n"
    like(found.stdout, f"Server:\t\t10.96.0.10\nAddress:\t10.96.0.10#53\n\n{one * 3}\n")


def test_dig_srv_of_a_headless_service(kafka: Cluster) -> None:
    found = kafka.exec("pod/kafka/dnsutils", "dig SRV kafka-headless.kafka.svc.cluster.local")
    answer = found.stdout.partition(";; ANSWER SECTION:\n")[2].partition("\n\n")[0].splitlines()
    assert sorted(answer) == [
        "kafka-headless.kafka.svc.cluster.local.\t30\tIN\tSRV\t0 33 9092 "
        f"kafka-{n}.kafka-headless.kafka.svc.cluster.local."
        for n in range(3)
    ]
    more = found.stdout.partition(";; ADDITIONAL SECTION:\n")[2].partition("\n\n")[0].splitlines()
    assert sorted(line.split("\t")[0] for line in more) == [
        f"kafka-{n}.kafka-headless.kafka.svc.cluster.local." for n in range(3)
    ]


@pytest.mark.parametrize(
    "name",
    [
        "kafka-1.kafka-headless",
        "kafka-1.kafka-headless.kafka",
        "kafka-1.kafka-headless.kafka.svc.cluster.local",
    ],
)
def test_a_pod_of_the_set_has_a_name_of_its_own(kafka: Cluster, name: str) -> None:
    pod = kafka.host("pod/kafka/kafka-1")
    assert pod.hostname == "kafka-1"
    found = kafka.exec("pod/kafka/dnsutils", f"getent hosts {name}")
    assert found.stdout.split() == [
        ".".join(map(str, pod.address)),
        "kafka-1.kafka-headless.kafka.svc.cluster.local",
    ]
    assert kafka.exec("pod/kafka/dnsutils", f"curl -s {name}:9092").stdout == "Hostname: kafka-1\n"


def test_after_its_pod_was_replaced_the_name_has_a_new_address(kafka: Cluster) -> None:
    from netsim.cluster.objects import Pod

    old = kafka.host("pod/kafka/kafka-2").address
    kafka.control_plane.delete_pod(kafka.api.get(Pod, "kafka", "kafka-2"))
    kafka.run("90s")
    new = kafka.host("pod/kafka/kafka-2").address
    assert new != old
    found = kafka.exec("pod/kafka/dnsutils", "dig +short kafka-2.kafka-headless.kafka.svc.cluster.local")
    assert found.stdout == ".".join(map(str, new)) + "\n"


# ---------------------------------------------------------------------- reachability
def test_a_cluster_ip_cannot_be_pinged_and_a_pod_can(tutorial: Cluster) -> None:
    silent = tutorial.exec("test-pod", "ping -c 2 -W 1 nginx-service")
    assert silent.code == 1
    assert "2 packets transmitted, 0 packets received, 100% packet loss" in silent.stdout
    pod = ".".join(map(str, tutorial.host("pod/nginx-deploy").address))
    heard = tutorial.exec("test-pod", f"ping -c 2 {pod}")
    assert heard.code == 0
    assert heard.stdout.count("64 bytes from") == 2
    assert "2 packets transmitted, 2 packets received, 0% packet loss" in heard.stdout


def test_an_interrupted_ping_says_how_it_went(tutorial: Cluster) -> None:
    pod = ".".join(map(str, tutorial.host("pod/nginx-deploy").address))
    found = tutorial.exec("test-pod", ["ping", pod], "3500ms")
    assert found.code == 130
    assert found.stdout.endswith("ms\n")
    assert "4 packets transmitted, 4 packets received" in found.stdout


@pytest.mark.parametrize(
    ("command", "code", "stdout", "stderr"),
    [
        ("nc -zv nginx-service 5000", 0, "", "nginx-service (<ip>:5000) open\n"),
        ("nc -zv -w 1 nginx-service 80", 1, "", "nc: nginx-service (<ip>:80): Connection timed out\n"),
        ("curl -m 1 nginx-service", 28, "", "curl: (28) Connection timed out after <n> milliseconds\n"),
        (
            "curl --connect-timeout 0.5 nginx-service",
            28,
            "",
            "curl: (28) Failed to connect to nginx-service port 80 after <n> ms: Timeout was reached\n",
        ),
        (
            "curl -s --connect-timeout 0.5 nginx-service:5000/x -o /dev/null -w '%{http_code}\\n'",
            0,
            "404\n",
            "",
        ),
        ("curl nobody", 6, "", "curl: (6) Could not resolve host: nobody\n"),
        ("curl -s -o /dev/null -w '%{http_code}\\n' nginx-service:5000/x", 0, "404\n", ""),
        ("wget -q nobody", 1, "", "wget: bad address 'nobody'\n"),
        ("wget -q -O- nginx-service:5000/x", 1, "", "wget: server returned error: HTTP/1.1 404 Not Found\n"),
        ("host nobody", 1, "", "Host nobody not found: 3(NXDOMAIN)\n"),
        ("host nginx-service", 0, "nginx-service.default.svc.cluster.local has address <ip>\n", ""),
        ("getent hosts nobody", 2, "", ""),
        ("false || echo no; true && echo yes", 0, "no\nyes\n", ""),
        ("cat /nowhere 2>&1 | wc -l", 0, "1\n", ""),
        ("sh -c 'echo $HOSTNAME'", 0, "test-pod\n", ""),
        ("echo 'unfinished", 2, "", "sh: unterminated quoted string\n"),
    ],
)
def test_what_the_tools_say(tutorial: Cluster, command: str, code: int, stdout: str, stderr: str) -> None:
    found = tutorial.exec("test-pod", command)
    assert found.code == code, found
    like(found.stdout, stdout)
    like(found.stderr, stderr)


def test_a_dead_dns_server_costs_dig_its_timeouts() -> None:
    cluster = settled("tutorial-nginx")
    for name in [pod for pod in cluster.fabric.pods if pod.startswith("kube-system/coredns")]:
        cluster.containers.hang("kube-system", name.split("/")[1])
    found = cluster.exec("test-pod", "dig nginx-service.default.svc.cluster.local")
    assert found.code == 9
    assert found.stdout.count("communications error to 10.96.0.10#53: timed out") == 3
    assert 15_000_000_000 <= found.took_ns < 15_100_000_000
