"""What is said about things outside the cluster that are possible, but will not do what one may think: notes."""

from pathlib import Path

import pytest

from netsim.experiment.loader import load

TOPOLOGY = """\
apiVersion: netsim/v1
kind: Cluster
metadata: {name: t}
spec:
  nodes: [{role: control-plane}, {role: worker}]
  external: [{name: laptop, address: 192.0.2.10}]
  routes: [{to: 198.51.100.0/28, via: worker}]
  loadBalancer: {addresses: 203.0.113.128/28}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  selector: {app: web}
  clusterIP: 10.96.0.99
  externalIPs: [198.51.100.7, 198.51.100.77]
  ports: [{port: 80}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: pending}
spec: {type: LoadBalancer, loadBalancerClass: x/y, selector: {app: web}, ports: [{port: 80}]}
"""
TOPOLOGY = TOPOLOGY.replace("{port: 80}, {name: dns", "{name: http, port: 80}, {name: dns")
EXPERIMENT = """\
apiVersion: netsim/v1
kind: Experiment
metadata: {name: e}
spec:
  topology: t.yaml
  load: [{name: l, from: {%s}, to: "%s", rate: 1/s}]
"""


def notes(folder: Path, source: str, url: str) -> str:
    (folder / "t.yaml").write_text(TOPOLOGY, encoding="utf-8")
    (folder / "e.yaml").write_text(EXPERIMENT % (source, url), encoding="utf-8")
    bundle = load(folder / "e.yaml")
    return "\n".join((*bundle.topology.notes, *bundle.notes))


@pytest.mark.parametrize(
    ("source", "url", "unrouted"),
    [
        ("external: laptop", "http://198.51.100.7/", False),
        ("external: laptop", "http://198.51.100.77/", True),
        ("external: laptop", "http://10.96.0.99/", True),
        ("external: laptop", "http://203.0.113.130/", False),
        ("external: laptop", "http://172.18.0.3:30080/", False),
        ("external: laptop", "http://worker:30080/", False),
        ("node: worker", "http://198.51.100.77/", False),
        ("node: worker", "http://127.0.0.1:30080/", False),
    ],
)
def test_addresses_that_the_router_cannot_reach(
    tmp_path: Path, source: str, url: str, unrouted: bool
) -> None:
    assert ("the router has no route to" in notes(tmp_path, source, url)) == unrouted


def test_a_service_that_no_balancer_serves_stays_pending(tmp_path: Path) -> None:
    found = notes(tmp_path, "external: laptop", "http://worker:30080/")
    assert "Service/pending: no spec.loadBalancerClasses for loadBalancerClass x/y" in found
    assert "Service/web:" not in found


@pytest.mark.parametrize(
    ("url", "note"),
    [
        ("udp://web.default:53", ""),
        ("udp://web.default:80", "has no port 80/UDP (it has 53)"),
        ("tcp://web.default:53", "has no port 53 (it has 80)"),
        ("tcp://web.default:80", ""),
    ],
)
def test_ports_are_those_of_the_protocol(tmp_path: Path, url: str, note: str) -> None:
    found = notes(tmp_path, "app: web", url)
    assert note in found
    assert ("has no port" in found) == bool(note)
