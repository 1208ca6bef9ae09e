"""What people do to a cluster while it serves: `kubectl scale`, `rollout`, `cordon`, `apply`, `delete`.

Called by: `faults.py`, with the fault injector that chooses and tells. Each commits at the action's time, as the answer
of the API server to kubectl; while the API server is down the command is repeated until it is back. `drain` has a file
of its own (`kubectl_drain.py`).

What a command changes in the API is `netsim.cluster.operations`, which the terminal's kubectl uses too.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from netsim.cluster import operations
from netsim.cluster.controllers.pods import is_active, surplus
from netsim.cluster.errors import NotFoundError
from netsim.cluster.objects import (
    ApiObject,
    DaemonSet,
    Deployment,
    Pod,
    ReplicaSet,
    StatefulSet,
)
from netsim.engine import S

if TYPE_CHECKING:
    from netsim.cluster.controlplane import ControlPlane
    from netsim.workload.fault_targets import FaultPlan
    from netsim.workload.faults import FaultInjector

Workload = Deployment | StatefulSet | DaemonSet | ReplicaSet


class Kubectl:
    """The commands."""

    def __init__(self, injector: "FaultInjector", control_plane: "ControlPlane") -> None:
        self._injector = injector
        self._control = control_plane
        self._api = control_plane.api

    # ------------------------------------------------------------------ workloads
    def scale(self, name: str, plan: "FaultPlan") -> None:
        """`kubectl scale`; the old number again after `for`."""
        workload = self._workload(plan)
        before = workload.spec.replicas if not isinstance(workload, DaemonSet) else 0
        leaving = surplus(self._pods_of(workload), max(0, before - plan.replicas))
        self._injector.tell(name, plan, leaving, objects=(str(plan.object),))
        operations.scale(self._api, workload, plan.replicas)
        self._injector.later(plan, self._scale_back, workload, before)

    def _scale_back(self, workload: ApiObject, replicas: int) -> None:
        with suppress(NotFoundError):  # gone by now
            operations.scale(self._api, workload, replicas)

    def rollout(self, name: str, plan: "FaultPlan") -> None:
        """`kubectl set image` with an image, else `kubectl rollout restart`: a new pod template either way."""
        workload = self._workload(plan)
        self._injector.tell(name, plan, self._pods_of(workload), objects=(str(plan.object),))
        if plan.image:
            first = workload.spec.template.spec.containers[0].name
            operations.set_image(self._api, workload, {first: plan.image})
        else:
            operations.restart(self._api, workload, _moment(self._injector.now_ns))

    def _workload(self, plan: "FaultPlan") -> Workload:
        assert plan.object is not None
        found = self._api.get(plan.object.kind, plan.object.namespace, plan.object.name)
        if not isinstance(found, Workload):
            raise NotFoundError(f"there is no {plan.object} in {plan.object.namespace} now")
        return found

    def _pods_of(self, workload: ApiObject) -> list[Pod]:
        """The workload's active pods, through its ReplicaSets if it is a Deployment."""
        owners = {workload.metadata.uid}
        for item in self._api.list(ReplicaSet, workload.metadata.namespace):
            owner = item.metadata.controller()
            if owner is not None and owner.uid == workload.metadata.uid:
                owners.add(item.metadata.uid)
        pods = self._api.list(Pod, workload.metadata.namespace)
        return [pod for pod in pods if is_active(pod) and _owner(pod) in owners]

    # ------------------------------------------------------------------ nodes
    def cordon(self, name: str, plan: "FaultPlan") -> None:
        """No new pods on these nodes; until `for` is over."""
        nodes = self._injector.nodes_of(name, plan)
        self._injector.tell(name, plan, [], nodes=nodes)
        self.mark(nodes, unschedulable=True)
        self._injector.later(plan, self.mark, nodes, False)

    def uncordon(self, name: str, plan: "FaultPlan") -> None:
        """New pods again."""
        nodes = self._injector.nodes_of(name, plan)
        self._injector.tell(name, plan, [], nodes=nodes)
        self.mark(nodes, unschedulable=False)

    def mark(self, nodes: Sequence[str], unschedulable: bool) -> None:
        """Set `spec.unschedulable`."""
        for node in nodes:
            with suppress(NotFoundError):
                operations.cordon(self._api, node, unschedulable)

    # ------------------------------------------------------------------ any object
    def apply(self, name: str, plan: "FaultPlan") -> None:
        """`kubectl apply`: create the object, or change its spec."""
        assert plan.manifest is not None
        item = plan.manifest
        before = self._api.get(item.kind, *item.key)
        pods = self._pods_of(before) if before is not None else []
        told = f"{item.kind.lower()}/{item.metadata.name}"
        self._injector.tell(name, plan, pods, objects=(told,))
        self._control.apply([item])

    def delete(self, name: str, plan: "FaultPlan") -> None:
        """`kubectl delete`; what the object owns goes too."""
        assert plan.object is not None
        item = plan.object
        namespace = "" if item.kind in ("Node", "Namespace") else item.namespace
        stored = self._api.get(item.kind, namespace, item.name)
        if stored is None:
            raise NotFoundError(f"there is no {item} in {item.namespace} now")
        pods = [stored] if isinstance(stored, Pod) else self._pods_of(stored)
        self._injector.tell(name, plan, pods, objects=(str(item),))
        grace = None if plan.grace_ns is None else -(-plan.grace_ns // S)
        self._api.delete(item.kind, namespace, item.name, grace if isinstance(stored, Pod) else None)


def _moment(now_ns: int) -> str:
    """When a restart was asked for, for the template's annotation."""
    return f"{now_ns // S}s" if now_ns % S == 0 else f"{now_ns}ns"


def _owner(pod: Pod) -> str:
    owner = pod.metadata.controller()
    return owner.uid if owner else ""
