"""UDP clients when a Service loses its last endpoint: a kept socket and a new one (kubernetes issue 139628, row V12).

kube-proxy 1.32 to 1.36 leaves the conntrack entries of a Service without endpoints alone, so that a socket that keeps
sending is kept pinned to the dead pod; before, they were removed with the rules. A new socket is refused at once.
"""

from pathlib import Path

import pytest

import netsim
from netsim.measure.hurt import hurt_frame

TOPOLOGY = """\
apiVersion: netsim/v1
kind: Cluster
metadata: {{name: udp}}
spec:
  kubernetesVersion: "{version}"
  nodes: [{{role: control-plane}}, {{role: worker, count: 2}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: echo, labels: {{app: echo}}, annotations: {{netsim/app: echo}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: echo, image: echo, ports: [{{containerPort: 9000, protocol: UDP}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec: {{selector: {{app: echo}}, ports: [{{port: 9000, protocol: UDP}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: client, labels: {{run: client}}}}
spec: {{containers: [{{name: sh, image: busybox}}]}}
"""
EXPERIMENT = """\
apiVersion: netsim/v1
kind: Experiment
metadata: {name: udp}
spec:
  topology: udp.yaml
  seed: 1
  duration: 120s
  load:
  - {name: kept, from: {run: client}, to: "udp://echo:9000", keepAlive: true,
     model: closed, connections: 1, thinkTime: 1s}
  - {name: pause, from: {run: client}, to: "udp://echo:9000", keepAlive: true,
     model: closed, connections: 1, thinkTime: 35s}
  - {name: new, from: {run: client}, to: "udp://echo:9000", rate: 2/s, resolve: once}
  faults:
  - {at: 10s, action: pod-delete, selector: {app: echo}, mode: one}
"""


@pytest.mark.parametrize(("version", "kept"), [("1.31", "refused"), ("1.34", "timeout")])
def test_a_service_without_endpoints(tmp_path: Path, version: str, kept: str) -> None:
    (tmp_path / "udp.yaml").write_text(TOPOLOGY.format(version=version), encoding="utf-8")
    (tmp_path / "e.yaml").write_text(EXPERIMENT, encoding="utf-8")
    result = netsim.load(tmp_path / "e.yaml").run()
    requests = result.requests
    late = requests[requests["t_ns"] > 20 * 10**9]
    outcomes = {load: set(part["outcome"]) - {"aborted"} for load, part in late.groupby("load")}
    assert outcomes["new"] == {"refused"}
    assert outcomes["kept"] == {kept}
    # Silence of more than 30 s lets the entry die (nf_conntrack_udp_timeout), and the rules are asked again.
    assert outcomes["pause"] == {"refused"}
    early = requests[(requests["t_ns"] < 9 * 10**9)]
    assert set(early["outcome"]) == {"ok"}
    told = hurt_frame(requests, result.events).set_index("load")["mostly"]
    assert told["kept"] == ("kept: ECONNREFUSED" if kept == "refused" else "kept: time-out")
