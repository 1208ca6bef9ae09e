"""Nodes (k8s.io/api/core/v1 Node).

Called by: the cluster's boot (one per `spec.nodes` of the topology), kubelet (status), node lifecycle controller
(taints), scheduler, kube-proxy (zone label, addresses).
"""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import StrictBool

from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.meta import ApiModel, ApiObject, Condition, Time

# Cloud load balancers leave such nodes out; kubeadm puts it on control-plane nodes.
EXCLUDE_LABEL: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
# The cluster autoscaler's taint on nodes that it is about to remove (autoscaler, utils/taints).
TO_BE_DELETED: Final = "ToBeDeletedByClusterAutoscaler"


class Taint(ApiModel):
    """Repels pods that do not tolerate it; NoExecute also evicts."""

    key: str
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    value: str = ""
    timeAdded: Time | None = None


class NodeSpec(ApiModel):
    """What the node should be: its pod address range and taints."""

    podCIDR: str = ""
    podCIDRs: tuple[str, ...] = ()
    taints: tuple[Taint, ...] = ()
    unschedulable: StrictBool = False
    providerID: str = ""
    externalID: Annotated[Any, Inert()] = None
    configSource: Annotated[Any, Inert("NodeConfigSource")] = None


class NodeAddress(ApiModel):
    """An address of the node; its `InternalIP` is the one that packets use."""

    type: str
    address: str


class NodeStatus(ApiModel):
    """What the kubelet and the node lifecycle controller report."""

    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    phase: str = ""
    allocatable: Annotated[Any, Inert()] = None
    capacity: Annotated[Any, Inert()] = None
    config: Annotated[Any, Inert()] = None
    daemonEndpoints: Annotated[Any, Inert()] = None
    declaredFeatures: Annotated[Any, Inert()] = None
    features: Annotated[Any, Inert()] = None
    images: Annotated[Any, Inert()] = None
    nodeInfo: Annotated[Any, Inert()] = None
    runtimeHandlers: Annotated[Any, Inert()] = None
    volumesAttached: Annotated[Any, Inert()] = None
    volumesInUse: Annotated[Any, Inert()] = None

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type, e.g. `Ready`, or None."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def internal_ip(self) -> str:
        """The first InternalIP, or ""."""
        return next((entry.address for entry in self.addresses if entry.type == "InternalIP"), "")


class Node(ApiObject):
    """A node. `metadata.name` is the host's name in the fabric."""

    NAMESPACED: ClassVar[bool] = False

    apiVersion: Literal["v1"] = "v1"
    kind: Literal["Node"] = "Node"
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()
