"""Columns of Deployments, ReplicaSets, StatefulSets, DaemonSets and PodDisruptionBudgets (printDeployment... of
printers.go)."""

from typing import Final

from netsim.cluster.objects import DaemonSet, Deployment, PodDisruptionBudget, StatefulSet
from netsim.experiment.kubectl.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    SELECTOR,
    Column,
    View,
    labels_text,
)


def _ready(item: Deployment | StatefulSet, _view: View) -> str:
    return f"{item.status.readyReplicas}/{item.spec.replicas}"


def _node_selector(item: DaemonSet, _view: View) -> str:
    return labels_text(item.spec.template.spec.nodeSelector)


DEPLOYMENT: Final = (
    NAME,
    Column("READY", _ready),
    Column("UP-TO-DATE", lambda item, _view: str(item.status.updatedReplicas)),
    Column("AVAILABLE", lambda item, _view: str(item.status.availableReplicas)),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)
REPLICA_SET: Final = (
    NAME,
    Column("DESIRED", lambda item, _view: str(item.spec.replicas)),
    Column("CURRENT", lambda item, _view: str(item.status.replicas)),
    Column("READY", lambda item, _view: str(item.status.readyReplicas)),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)
STATEFUL_SET: Final = (NAME, Column("READY", _ready), AGE, CONTAINERS, IMAGES)
DAEMON_SET: Final = (
    NAME,
    Column("DESIRED", lambda item, _view: str(item.status.desiredNumberScheduled)),
    Column("CURRENT", lambda item, _view: str(item.status.currentNumberScheduled)),
    Column("READY", lambda item, _view: str(item.status.numberReady)),
    Column("UP-TO-DATE", lambda item, _view: str(item.status.updatedNumberScheduled)),
    Column("AVAILABLE", lambda item, _view: str(item.status.numberAvailable)),
    Column("NODE SELECTOR", _node_selector),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def _limit(field: str) -> Column:
    name = "MIN AVAILABLE" if field == "minAvailable" else "MAX UNAVAILABLE"

    def cell(item: PodDisruptionBudget, _view: View) -> str:
        value = getattr(item.spec, field)
        return "N/A" if value is None else str(value)

    return Column(name, cell)


BUDGET: Final = (
    NAME,
    _limit("minAvailable"),
    _limit("maxUnavailable"),
    Column("ALLOWED DISRUPTIONS", lambda item, _view: str(item.status.disruptionsAllowed)),
    AGE,
)
