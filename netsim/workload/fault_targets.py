"""Whom a fault means, and how many of them: the words of Chaos Mesh (selector, mode, value).

Called by: `faults.py`. Each fault picks its victims when its time has come, from a random stream of its own.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol, TypeVar

from netsim.cluster.objects import ApiObject, Pod
from netsim.fabric.link import Netem

if TYPE_CHECKING:
    from netsim.cluster.controlplane import ControlPlane
    from netsim.engine import Engine
    from netsim.fabric.fabric import Cable, Fabric

T = TypeVar("T")


class TargetSelector(Protocol):
    """Who may be meant (see `netsim.experiment.spec_select`)."""

    @property
    def kind(self) -> str:
        """One of pod, node, link, external, labels."""

    @property
    def pod(self) -> str:
        """NAMESPACE/NAME."""

    @property
    def node(self) -> str:
        """Pattern of node names."""

    @property
    def link(self) -> str:
        """Pattern of cable names."""

    @property
    def external(self) -> str:
        """Pattern of names of hosts outside."""

    def selects_pod(self, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it means a pod with this name and these labels."""


@dataclass(frozen=True, slots=True)
class ObjectName:
    """An object as kubectl names it: `deployment/my-nginx`, in a namespace."""

    kind: str
    name: str
    namespace: str = "default"

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """One fault. Times are relative to the experiment's beginning; `value` goes with fixed (a number) and
    fixed-percent (0 to 100); `direction` is as the selected end sees it (from: what it sends). `object`, `replicas`,
    `image`, `manifest` and `timeout_ns` are kubectl's, `target` is the other side of a partition."""

    action: str
    at_ns: int
    selector: TargetSelector
    for_ns: int = 0
    mode: str = "one"
    value: float = 1
    netem: Netem | None = None
    direction: str = "both"
    grace_ns: int | None = None
    target: TargetSelector | None = None
    object: ObjectName | None = None
    replicas: int = 0
    image: str = ""
    manifest: ApiObject | None = None
    timeout_ns: int = 0


class Targets:
    """Finds victims in the running cluster."""

    def __init__(self, engine: "Engine", fabric: "Fabric", control_plane: "ControlPlane") -> None:
        self._engine = engine
        self._fabric = fabric
        self._control = control_plane

    def pods(self, name: str, plan: FaultPlan) -> list[Pod]:
        """Running pods that are meant; a node's selector means its pods."""
        selector = plan.selector
        found = [pod for pod in self._control.api.list(Pod) if is_running(pod)]
        if selector.kind == "node":
            chosen = [pod for pod in found if fnmatchcase(pod.spec.nodeName or "", selector.node)]
        else:
            chosen = [
                pod
                for pod in found
                if selector.selects_pod(pod.metadata.namespace, pod.metadata.name, pod.metadata.labels)
            ]
        return self._some(
            name, plan, sorted(chosen, key=lambda pod: (pod.metadata.namespace, pod.metadata.name))
        )

    def nodes(self, name: str, plan: FaultPlan) -> list[str]:
        """Nodes by name or pattern, or those on which selected pods run."""
        alive = [node for node, host in self._fabric.nodes.items() if host.alive]
        if plan.selector.kind == "node":
            return self._some(name, plan, [node for node in alive if fnmatchcase(node, plan.selector.node)])
        every = FaultPlan(plan.action, 0, plan.selector, mode="all")
        pods = self.pods(name, every)
        hosting = dict.fromkeys(pod.spec.nodeName for pod in pods if pod.spec.nodeName in alive)
        return self._some(name, plan, sorted(node for node in hosting if node))

    def cables(self, name: str, plan: FaultPlan) -> list["Cable"]:
        """Cables by name or pattern, or those of selected nodes, outside hosts or pods."""
        selector, cables = plan.selector, self._fabric.cables
        if selector.kind == "link":
            wanted = [
                n for n in cables if fnmatchcase(n, selector.link) or fnmatchcase(n, f"{selector.link}:eth0")
            ]
        elif selector.kind == "node":
            wanted = [f"{n}:eth0" for n in self._fabric.nodes if fnmatchcase(n, selector.node)]
        elif selector.kind == "external":
            wanted = [f"{n}:eth0" for n in self._fabric.outside if fnmatchcase(n, selector.external)]
        else:
            pods = self.pods(name, FaultPlan(plan.action, 0, selector, mode="all"))
            wanted = [f"{key_of(pod)}:eth0" for pod in pods]
        return [cables[n] for n in self._some(name, plan, sorted(n for n in wanted if n in cables))]

    def _some(self, name: str, plan: FaultPlan, candidates: Sequence[T]) -> list[T]:
        rng: random.Random = self._engine.stream(f"fault/{name}")
        return rng.sample(candidates, _how_many(plan, len(candidates)))


def is_running(pod: Pod) -> bool:
    """Whether it serves, and is not about to go."""
    return pod.status.phase == "Running" and pod.metadata.deletionTimestamp is None


def key_of(pod: Pod) -> str:
    """`namespace/name`."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def _how_many(plan: FaultPlan, available: int) -> int:
    """How many targets a mode hits. A percentage is rounded down, as Chaos Mesh does (pkg/selector/generic)."""
    wanted = {
        "one": 1,
        "all": available,
        "fixed": int(plan.value),
        "fixed-percent": int(available * plan.value / 100),
    }[plan.mode]
    return min(wanted, available)
