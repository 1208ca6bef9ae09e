"""Settings that the API server takes although they cannot work as they read: told with file, line and path."""

from pathlib import Path

import pytest

from netsim.experiment.loader import load_topology
from netsim.experiment.spec_fault import REQUIRED, Fault

CLUSTER = """apiVersion: netsim/v1
kind: Cluster
metadata: {name: notes}
spec: {nodes: [{role: control-plane}, {role: worker, count: 2}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 10
      %s
      containers:
      - name: web
        image: nginx
        %s
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: budget}
spec: {selector: {matchLabels: {app: %s}}, %s}
"""
WELL = ("", "ports: [{containerPort: 80}]", "web", "maxUnavailable: 1")


def notes(tmp_path: Path, *parts: str) -> list[str]:
    file = tmp_path / "topology.yaml"
    file.write_text(CLUSTER % parts, encoding="utf-8")
    return [note.replace(f"{file.as_posix()}:", "") for note in load_topology(file).notes]


@pytest.mark.parametrize(
    ("position", "text", "at", "said"),
    [
        (
            1,
            "readinessProbe: {tcpSocket: {port: 80}, timeoutSeconds: 30}",
            "20:65: Deployment/web: spec.template.spec.containers[0].readinessProbe.timeoutSeconds",
            "30 s is longer than periodSeconds (10 s)",
        ),
        (
            1,
            "lifecycle: {preStop: {exec: {command: [sh, -c, sleep 15]}}}",
            "20:30: Deployment/web: spec.template.spec.containers[0].lifecycle.preStop",
            "the hook takes 15s and terminationGracePeriodSeconds is 10",
        ),
        (
            0,
            "readinessGates: [{conditionType: example.com/lb}]",
            "16:23: Deployment/web: spec.template.spec.readinessGates",
            "nobody opens these gates",
        ),
        (
            3,
            "maxUnavailable: 0",
            "25:61: PodDisruptionBudget/budget: spec.maxUnavailable",
            "no drain can ever evict one of them",
        ),
        (
            3,
            'minAvailable: "100%"',
            "25:59: PodDisruptionBudget/budget: spec.minAvailable",
            "no drain can ever evict one of them",
        ),
        (2, "elsewhere", "25:18: PodDisruptionBudget/budget: spec.selector", "it protects nothing"),
    ],
)
def test_note(tmp_path: Path, position: int, text: str, at: str, said: str) -> None:
    parts = list(WELL)
    parts[position] = text
    [note] = notes(tmp_path, *parts)
    assert note.startswith(f"{at}: ")
    assert said in note


def test_a_sound_topology_has_none(tmp_path: Path) -> None:
    assert notes(tmp_path, *WELL) == []


def test_editors_know_what_each_action_needs() -> None:
    schema = Fault.model_json_schema(by_alias=True)
    assert set(REQUIRED) == set(schema["properties"]["action"]["enum"])
    needed = {
        rule["if"]["properties"]["action"]["const"]: tuple(rule["then"]["required"])
        for rule in schema["allOf"]
    }
    assert needed == {action: fields for action, fields in REQUIRED.items() if fields}
    for fields in needed.values():
        assert set(fields) <= set(schema["properties"])
