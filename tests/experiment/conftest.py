"""A small cluster and an experiment on it that takes a moment, for what needs many runs."""

from pathlib import Path

import pytest

TOPOLOGY = """
apiVersion: netsim/v1
kind: Cluster
metadata: {name: small}
spec: {nodes: [{role: control-plane}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: nginx, ports: [{containerPort: 80}], readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec: {containers: [{name: c, image: busybox}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
EXPERIMENT = """
apiVersion: netsim/v1
kind: Experiment
metadata: {name: kill}
spec:
  topology: topology.yaml
  seed: 4
  duration: 8s
  replications: 4
  load: [{name: a, from: {app: client}, to: "http://web/", rate: 20/s}]
  servers: [{selector: {app: web}, serviceTime: {mean: 2ms, distribution: exponential}}]
  faults: [{at: 2s, action: pod-kill, selector: {app: web}}]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `topology.yaml` and `kill.yaml`."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "topology.yaml").write_text(TOPOLOGY, encoding="utf-8")
    (folder / "kill.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return folder
