"""The Kubernetes API objects, as frozen pydantic models with upstream's field names (reference: Kubernetes 1.34).

Called by: the loader (manifests), the API server and every controller. One file per API group or family:
`meta` (metadata, selectors, `evolve`), `container`, `environment`, `pod`, `workloads`, `service`, `discovery`, `node`,
`config`, `ingress`, `other` (everything else), `registry` (kind -> model, what has no effect), `inert` (names of such
fields).

Static API defaults (protocol TCP, probe periods, replicas 1...) are the models' defaults. Defaults that need other
state (ClusterIP, node port, pod name) belong to the API server.
"""

from netsim.cluster.objects.config import ConfigMap, Lease, LeaseSpec, Namespace
from netsim.cluster.objects.container import (
    Container,
    ContainerPort,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    Lifecycle,
    LifecycleHandler,
    Probe,
    SleepAction,
    TCPSocketAction,
)
from netsim.cluster.objects.discovery import (
    Endpoint,
    EndpointAddress,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointsPort,
    EndpointSubset,
    ForNode,
    ForZone,
)
from netsim.cluster.objects.environment import EnvFromSource, EnvVar, EnvVarSource, Secret
from netsim.cluster.objects.ingress import Ingress, IngressClass, IngressSpec
from netsim.cluster.objects.meta import (
    ApiModel,
    ApiObject,
    Condition,
    LabelSelector,
    LabelSelectorRequirement,
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    evolve,
    matches_labels,
)
from netsim.cluster.objects.node import Node, NodeAddress, NodeSpec, NodeStatus, Taint
from netsim.cluster.objects.other import OtherObject
from netsim.cluster.objects.pod import (
    ContainerState,
    ContainerStatus,
    Pod,
    PodDNSConfig,
    PodIP,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    Toleration,
)
from netsim.cluster.objects.policy import PodDisruptionBudget
from netsim.cluster.objects.service import Service, ServicePort, ServiceSpec
from netsim.cluster.objects.workloads import (
    DaemonSet,
    DaemonSetSpec,
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
    StatefulSet,
    StatefulSetSpec,
)

__all__ = [
    "ApiModel", "ApiObject", "Condition", "ConfigMap", "Container", "ContainerPort", "ContainerState",
    "ContainerStatus", "DaemonSet", "DaemonSetSpec", "Deployment", "DeploymentSpec", "DeploymentStatus", "Endpoint",
    "EndpointAddress", "EndpointConditions", "EndpointHints", "EndpointPort", "EndpointSlice", "EndpointSubset",
    "Endpoints", "EndpointsPort", "EnvFromSource", "EnvVar", "EnvVarSource",
    "ExecAction", "ForNode", "ForZone", "GRPCAction", "HTTPGetAction", "HTTPHeader",
    "Ingress", "IngressClass", "IngressSpec", "LabelSelector", "LabelSelectorRequirement", "Lease", "LeaseSpec",
    "Lifecycle", "LifecycleHandler", "Namespace", "Node", "NodeAddress", "NodeSpec", "NodeStatus", "ObjectMeta",
    "ObjectReference", "OtherObject", "OwnerReference", "Pod", "PodDNSConfig", "PodDisruptionBudget", "PodIP",
    "PodSpec", "PodStatus", "PodTemplateSpec", "Probe", "ReplicaSet", "ReplicaSetSpec", "ReplicaSetStatus",
    "Secret", "Service", "ServicePort", "ServiceSpec", "SleepAction", "StatefulSet", "StatefulSetSpec",
    "TCPSocketAction", "Taint", "Toleration", "evolve", "matches_labels",
]  # fmt: skip
