"""Cells of `kubectl get`, against the cases of printers_test.go and what a user sees."""

from typing import Any

import pytest

from netsim.cluster.objects import Node, Pod, Service
from netsim.cluster.objects.registry import parse_object
from netsim.engine import S
from netsim.experiment.kubectl.columns import View
from netsim.experiment.kubectl.columns_core import (
    node_roles,
    node_status,
    pod_ready,
    pod_reason,
    pod_restarts,
)
from netsim.experiment.kubectl.columns_net import external_ip, ports_text

NOW = 1000 * S
VIEW = View(NOW, None)  # type: ignore[arg-type] # no cell of these looks into the API

WAITS: dict[str, Any] = {"waiting": {"reason": "CrashLoopBackOff"}}
DONE: dict[str, Any] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
RUNNING: dict[str, Any] = {"running": {"startedAt": 1}}
CRASHED: dict[str, Any] = {"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": NOW - 15 * S}}


def pod(
    phase: str,
    *statuses: dict[str, Any],
    deleted: bool = False,
    reason: str = "",
    ready: bool = True,
) -> Pod:
    made = parse_object(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", **({"deletionTimestamp": NOW} if deleted else {})},
            "spec": {"containers": [{"name": f"c{n}"} for n in range(max(1, len(statuses)))]},
            "status": {
                "phase": phase,
                "reason": reason,
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": [{"name": f"c{n}", **status} for n, status in enumerate(statuses)],
            },
        }
    )
    assert isinstance(made, Pod)
    return made


UP = {"ready": True, "state": RUNNING}


@pytest.mark.parametrize(
    ("item", "cells"),
    [
        (pod("Running", UP), ("1/1", "Running", "0")),
        (pod("Running", {"ready": False, "state": RUNNING}), ("0/1", "Running", "0")),
        (pod("Pending"), ("0/1", "Pending", "0")),
        (pod("Pending", {"state": {"waiting": {"reason": "ContainerCreating"}}}), ("0/1", "ContainerCreating", "0")),
        (
            pod("Running", {"state": WAITS, "lastState": CRASHED, "restartCount": 2}),
            ("0/1", "CrashLoopBackOff", "2 (15s ago)"),
        ),
        (pod("Running", {"state": CRASHED}), ("0/1", "Error", "0")),
        (pod("Running", {"state": {"terminated": {"exitCode": 3}}}), ("0/1", "ExitCode:3", "0")),
        (pod("Running", {"state": {"terminated": {"exitCode": 1, "signal": 9}}}), ("0/1", "Signal:9", "0")),
        (pod("Succeeded", {"state": DONE}), ("0/1", "Completed", "0")),
        (
            pod("Running", UP, {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}),
            ("1/2", "Running", "0"),
        ),
        (
            pod("Running", UP, {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, ready=False),
            ("1/2", "NotReady", "0"),
        ),
        (pod("Running", UP, deleted=True), ("1/1", "Terminating", "0")),
        (pod("Running", UP, deleted=True, reason="NodeLost"), ("1/1", "Unknown", "0")),
        (pod("Failed", reason="Evicted"), ("0/1", "Evicted", "0")),
    ],
)  # fmt: skip
def test_pods(item: Pod, cells: tuple[str, str, str]) -> None:
    assert (pod_ready(item, VIEW), pod_reason(item, VIEW), pod_restarts(item, VIEW)) == cells


def service(**spec: Any) -> Service:
    status = spec.pop("status", {})
    made = parse_object({"apiVersion": "v1", "kind": "Service", "spec": spec, "status": status})
    assert isinstance(made, Service)
    return made


LB = {"loadBalancer": {"ingress": [{"ip": "203.0.113.100"}, {"ip": "203.0.113.200"}]}}


@pytest.mark.parametrize(
    ("item", "external", "ports"),
    [
        (service(ports=[{"port": 80}]), "<none>", "80/TCP"),
        (service(), "<none>", "<none>"),
        (service(type="NodePort", ports=[{"port": 53, "protocol": "UDP", "nodePort": 30053}]),
         "<none>", "53:30053/UDP"),
        (service(type="ExternalName", externalName="example.com"), "example.com", "<none>"),
        (service(type="LoadBalancer", ports=[{"port": 80}]), "<pending>", "80/TCP"),
        (service(type="LoadBalancer", status=LB), "203.0.113.100...", "<none>"),
        (service(externalIPs=["192.0.2.1", "192.0.2.2"]), "192.0.2.1,192.0.2.2", "<none>"),
    ],
)  # fmt: skip
def test_services(item: Service, external: str, ports: str) -> None:
    shown = external_ip(item, VIEW)
    assert (shown if not external.endswith("...") else shown[:13] + "...", ports_text(item, VIEW)) == (
        external,
        ports,
    )
    assert len(shown) <= 19 or not external.endswith("...")


def test_a_wide_table_does_not_cut_addresses() -> None:
    wide = View(NOW, None, wide=True)  # type: ignore[arg-type] # as above
    assert external_ip(service(type="LoadBalancer", status=LB), wide) == "203.0.113.100,203.0.113.200"


@pytest.mark.parametrize(
    ("ready", "unschedulable", "text"),
    [
        ("True", False, "Ready"),
        ("False", False, "NotReady"),
        ("Unknown", True, "NotReady,SchedulingDisabled"),
        (None, False, "Unknown"),
    ],
)
def test_nodes(ready: str | None, unschedulable: bool, text: str) -> None:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    item = parse_object(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": "n",
                "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/a": ""},
            },
            "spec": {"unschedulable": unschedulable},
            "status": {"conditions": conditions},
        }
    )
    assert isinstance(item, Node)
    assert node_status(item, VIEW) == text
    assert node_roles(item, VIEW) == "a,worker"
