"""Workloads: Deployment, ReplicaSet, StatefulSet, DaemonSet (k8s.io/api/apps/v1).

Called by: the controllers of netsim.cluster and the loader. Defaults: pkg/apis/apps/v1/defaults.go, Kubernetes 1.34.
"""

from typing import Annotated, Any, Literal

from pydantic import StrictBool, StrictInt

from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.meta import (
    ApiModel,
    ApiObject,
    Condition,
    IntOrString,
    LabelSelector,
    NonNegative,
)
from netsim.cluster.objects.pod import PodTemplateSpec


class RollingUpdateDeployment(ApiModel):
    """How many pods may be missing or surplus during a rollout: a number or a percentage of `replicas`."""

    maxSurge: IntOrString = "25%"
    maxUnavailable: IntOrString = "25%"


class DeploymentStrategy(ApiModel):
    """Replace pods gradually, or all at once."""

    type: Literal["RollingUpdate", "Recreate"] = "RollingUpdate"
    rollingUpdate: RollingUpdateDeployment | None = None


class DeploymentSpec(ApiModel):
    """What a Deployment should keep running."""

    replicas: NonNegative = 1
    selector: LabelSelector
    template: PodTemplateSpec
    strategy: DeploymentStrategy = DeploymentStrategy()
    minReadySeconds: NonNegative = 0
    paused: StrictBool = False
    progressDeadlineSeconds: NonNegative = 600
    revisionHistoryLimit: Annotated[Any, Inert()] = None


class DeploymentStatus(ApiModel):
    """What the Deployment controller reports."""

    observedGeneration: StrictInt = 0
    replicas: NonNegative = 0
    updatedReplicas: NonNegative = 0
    readyReplicas: NonNegative = 0
    availableReplicas: NonNegative = 0
    unavailableReplicas: NonNegative = 0
    terminatingReplicas: NonNegative | None = None
    collisionCount: StrictInt | None = None
    conditions: tuple[Condition, ...] = ()


class Deployment(ApiObject):
    """A Deployment."""

    apiVersion: Literal["apps/v1"] = "apps/v1"
    kind: Literal["Deployment"] = "Deployment"
    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSetSpec(ApiModel):
    """How many pods, and which."""

    replicas: NonNegative = 1
    minReadySeconds: NonNegative = 0
    selector: LabelSelector
    template: PodTemplateSpec


class ReplicaSetStatus(ApiModel):
    """What the ReplicaSet controller reports."""

    replicas: NonNegative = 0
    fullyLabeledReplicas: NonNegative = 0
    readyReplicas: NonNegative = 0
    availableReplicas: NonNegative = 0
    terminatingReplicas: NonNegative | None = None
    observedGeneration: StrictInt = 0
    conditions: tuple[Condition, ...] = ()


class ReplicaSet(ApiObject):
    """A ReplicaSet."""

    apiVersion: Literal["apps/v1"] = "apps/v1"
    kind: Literal["ReplicaSet"] = "ReplicaSet"
    spec: ReplicaSetSpec
    status: ReplicaSetStatus = ReplicaSetStatus()


class StatefulSetOrdinals(ApiModel):
    """Where the pods' numbering begins."""

    start: NonNegative = 0


class RollingUpdateStatefulSetStrategy(ApiModel):
    """Only pods with an ordinal of at least `partition` are updated."""

    partition: NonNegative = 0
    maxUnavailable: IntOrString | None = None


class StatefulSetUpdateStrategy(ApiModel):
    """How pods are replaced."""

    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    rollingUpdate: RollingUpdateStatefulSetStrategy | None = None


class StatefulSetSpec(ApiModel):
    """Pods with stable names `NAME-0`, `NAME-1`..., found through the headless Service `serviceName`."""

    replicas: NonNegative = 1
    selector: LabelSelector
    template: PodTemplateSpec
    serviceName: str = ""
    podManagementPolicy: Literal["OrderedReady", "Parallel"] = "OrderedReady"
    updateStrategy: StatefulSetUpdateStrategy = StatefulSetUpdateStrategy()
    minReadySeconds: NonNegative = 0
    ordinals: StatefulSetOrdinals = StatefulSetOrdinals()
    revisionHistoryLimit: Annotated[Any, Inert()] = None
    persistentVolumeClaimRetentionPolicy: Annotated[Any, Inert()] = None
    volumeClaimTemplates: Annotated[Any, Inert("[PersistentVolumeClaim]")] = None


class StatefulSetStatus(ApiModel):
    """What the StatefulSet controller reports."""

    observedGeneration: StrictInt = 0
    replicas: NonNegative = 0
    readyReplicas: NonNegative = 0
    currentReplicas: NonNegative = 0
    updatedReplicas: NonNegative = 0
    availableReplicas: NonNegative = 0
    currentRevision: str = ""
    updateRevision: str = ""
    collisionCount: StrictInt | None = None
    conditions: tuple[Condition, ...] = ()


class StatefulSet(ApiObject):
    """A StatefulSet."""

    apiVersion: Literal["apps/v1"] = "apps/v1"
    kind: Literal["StatefulSet"] = "StatefulSet"
    spec: StatefulSetSpec
    status: StatefulSetStatus = StatefulSetStatus()


class RollingUpdateDaemonSet(ApiModel):
    """How many nodes may lack the pod, or have two of it, during a rollout."""

    maxSurge: IntOrString = 0
    maxUnavailable: IntOrString = 1


class DaemonSetUpdateStrategy(ApiModel):
    """How pods are replaced."""

    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    rollingUpdate: RollingUpdateDaemonSet | None = None


class DaemonSetSpec(ApiModel):
    """One pod per node."""

    selector: LabelSelector
    template: PodTemplateSpec
    updateStrategy: DaemonSetUpdateStrategy = DaemonSetUpdateStrategy()
    minReadySeconds: NonNegative = 0
    revisionHistoryLimit: Annotated[Any, Inert()] = None


class DaemonSetStatus(ApiModel):
    """What the DaemonSet controller reports."""

    observedGeneration: StrictInt = 0
    currentNumberScheduled: NonNegative = 0
    desiredNumberScheduled: NonNegative = 0
    numberMisscheduled: NonNegative = 0
    numberReady: NonNegative = 0
    numberAvailable: NonNegative = 0
    numberUnavailable: NonNegative = 0
    updatedNumberScheduled: NonNegative = 0
    collisionCount: StrictInt | None = None
    conditions: tuple[Condition, ...] = ()


class DaemonSet(ApiObject):
    """A DaemonSet."""

    apiVersion: Literal["apps/v1"] = "apps/v1"
    kind: Literal["DaemonSet"] = "DaemonSet"
    spec: DaemonSetSpec
    status: DaemonSetStatus = DaemonSetStatus()
