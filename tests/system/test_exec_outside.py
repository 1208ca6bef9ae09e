"""The tutorial on Services for what is outside: its manifests as they are, its commands, what they print."""

import re
from collections import Counter
from pathlib import Path

import pytest

from netsim.cluster.objects import Service
from netsim.experiment.cluster import Cluster

CLUSTER = """\
apiVersion: netsim/v1
kind: Cluster
metadata: {name: outside}
spec:
  dns:
    upstream:
      delay: 10ms
      names:
      - liruilongs.github.io 60 A 185.199.108.153
      - liruilongs.github.io 60 A 185.199.109.153
      - liruilongs.github.io 60 AAAA 2606:50c0:8000::153
      - liruilongs.github.io 60 AAAA 2606:50c0:8001::153
      - 153.108.199.185.in-addr.arpa 60 PTR cdn-185-199-108-153.github.com
      - 153.109.199.185.in-addr.arpa 60 PTR cdn-185-199-109-153.github.com
  nodes: [{role: control-plane}, {role: worker, count: 2}]
  external:
  - {name: vms81, address: 192.168.26.81, serves: [{port: 3306}]}
  - {name: vms82, address: 192.168.26.82, serves: [{port: 3306}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pod-test, namespace: awx}
spec: {containers: [{name: pod-test, image: yauritux/busybox-curl}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pod-test, namespace: liruilong}
spec: {containers: [{name: pod-test, image: yauritux/busybox-curl}]}
---
apiVersion: v1
kind: Service
metadata: {name: external-service, namespace: awx}
spec: {ports: [{protocol: TCP, port: 30056, targetPort: 3306}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: external-service-1
  namespace: awx
  labels: {kubernetes.io/service-name: external-service}
addressType: IPv4
ports: [{name: '', appProtocol: http, protocol: TCP, port: 3306}]
endpoints:
- addresses: ["192.168.26.82"]
- addresses: ["192.168.26.81"]
---
apiVersion: v1
kind: Service
metadata: {name: external-service, namespace: liruilong}
spec: {type: ExternalName, externalName: liruilongs.github.io}
"""
SERVER = "Server:    10.96.0.10\nAddress 1: 10.96.0.10 kube-dns.kube-system.svc.cluster.local\n\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    path: Path = tmp_path_factory.mktemp("outside") / "outside.yaml"
    path.write_text(CLUSTER, encoding="utf-8")
    made = Cluster(path, 1)
    made.settle()
    return made


def test_nslookup_of_a_service_without_selector(cluster: Cluster) -> None:
    name = "external-service.awx.svc.cluster.local."
    service = cluster.api.get(Service, "awx", "external-service")
    assert service is not None
    found = cluster.exec("pod/awx/pod-test", f"nslookup {name}")
    assert (found.code, found.stderr) == (0, "")
    owner = name.removesuffix(".")
    assert found.stdout == f"{SERVER}Name:      {name}\nAddress 1: {service.spec.clusterIP} {owner}\n"


@pytest.mark.parametrize("name", ["external-service", "liruilongs.github.io"])
def test_nslookup_of_an_external_name(cluster: Cluster, name: str) -> None:
    """By the Service's name and by the outside one: the same addresses, IPv4 with the names that they have outside."""
    found = cluster.exec("pod/liruilong/pod-test", f"nslookup {name}")
    assert (found.code, found.stderr) == (0, "")
    assert found.stdout.startswith(f"{SERVER}Name:      {name}\n")
    lines = found.stdout.removeprefix(SERVER).splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == [f"Address {number}" for number in range(1, 5)]
    assert sorted(line.split(": ", 1)[1] for line in lines) == [
        "185.199.108.153 cdn-185-199-108-153.github.com",
        "185.199.109.153 cdn-185-199-109-153.github.com",
        "2606:50c0:8000::153",
        "2606:50c0:8001::153",
    ]


def test_an_external_name_has_no_address_and_no_variables(cluster: Cluster) -> None:
    service = cluster.api.get(Service, "liruilong", "external-service")
    assert service is not None
    assert service.spec.clusterIP == ""
    assert cluster.exec("pod/liruilong/pod-test", "env | grep EXTERNAL_SERVICE").code == 1
    assert "EXTERNAL_SERVICE_SERVICE_PORT=30056\n" in cluster.exec("pod/awx/pod-test", "env").stdout


def test_curl_from_a_node_by_turns(cluster: Cluster) -> None:
    """`while true; do curl 10.103.93.20:30056 -s -w "%{http_code}\\n" -o /dev/null; sleep 2; done`"""
    service = cluster.api.get(Service, "awx", "external-service")
    assert service is not None
    command = f"curl {service.spec.clusterIP}:30056 -s -w '%{{http_code}}\\n' -o /dev/null"
    assert [cluster.exec("node/worker-1", command).stdout for _ in range(3)] == ["200\n"] * 3
    ask = f"curl -s -o /dev/null -w '%{{remote_ip}}' {service.spec.clusterIP}:30056"
    assert cluster.exec("node/worker-1", ask).stdout == service.spec.clusterIP
    seen = Counter(
        match[1]
        for match in re.finditer(
            r"src=([0-9.]+) dst=\S+ sport=3306 ", cluster.view("conntrack", "node/worker-1")
        )
    )
    assert sum(seen.values()) == 4
    assert set(seen) <= {"192.168.26.81", "192.168.26.82"}
