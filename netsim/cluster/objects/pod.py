"""Pods: spec, template, status (k8s.io/api/core/v1 Pod).

Called by: workloads (templates), scheduler (`nodeName`, `nodeSelector`, `tolerations`), kubelet (nearly everything),
EndpointSlice controller (`status`). Defaults: pkg/apis/core/v1/defaults.go, Kubernetes 1.34.
Simplified: affinity and topology spread are accepted but the scheduler does not act on them.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt

from netsim.cluster.objects.container import Container
from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.meta import ApiModel, ApiObject, Condition, Labels, NonNegative, ObjectMeta, Time


class Toleration(ApiModel):
    """Lets a pod stay on a tainted node, for `tolerationSeconds` when given (None: for ever)."""

    key: str = ""
    operator: Literal["Equal", "Exists", "Lt", "Gt"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    tolerationSeconds: StrictInt | None = None


class PodDNSConfigOption(ApiModel):
    """One resolv.conf option, e.g. name `ndots`, value "2"."""

    name: str
    value: str | None = None


class PodDNSConfig(ApiModel):
    """Additions to the pod's resolv.conf."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[PodDNSConfigOption, ...] = ()


class HostAlias(ApiModel):
    """A line of the pod's /etc/hosts."""

    ip: str
    hostnames: tuple[str, ...] = ()


class PodReadinessGate(ApiModel):
    """A further condition that must be True before the pod is Ready."""

    conditionType: str


class Sysctl(ApiModel):
    """A kernel setting of the pod's network namespace, `net.ipv4.tcp_retries2` and its value as text."""

    name: str
    value: str


class PodSecurityContext(ApiModel):
    """Of the settings for all containers only `sysctls` have an effect on packets."""

    sysctls: tuple[Sysctl, ...] = ()

    appArmorProfile: Annotated[Any, Inert("AppArmorProfile")] = None
    fsGroup: Annotated[Any, Inert()] = None
    fsGroupChangePolicy: Annotated[Any, Inert()] = None
    runAsGroup: Annotated[Any, Inert()] = None
    runAsNonRoot: Annotated[Any, Inert()] = None
    runAsUser: Annotated[Any, Inert()] = None
    seLinuxChangePolicy: Annotated[Any, Inert()] = None
    seLinuxOptions: Annotated[Any, Inert("SELinuxOptions")] = None
    seccompProfile: Annotated[Any, Inert("SeccompProfile")] = None
    supplementalGroups: Annotated[Any, Inert()] = None
    supplementalGroupsPolicy: Annotated[Any, Inert()] = None
    windowsOptions: Annotated[Any, Inert("WindowsSecurityContextOptions")] = None


class PodSpec(ApiModel):
    """What should run. Everything below the blank line is accepted without effect on packets."""

    containers: tuple[Container, ...]
    initContainers: tuple[Container, ...] = ()
    restartPolicy: Literal["Always", "OnFailure", "Never"] = "Always"
    terminationGracePeriodSeconds: NonNegative = 30
    nodeName: str = ""
    nodeSelector: Labels = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    hostNetwork: StrictBool = False
    hostname: str = ""
    subdomain: str = ""
    setHostnameAsFQDN: StrictBool = False
    hostnameOverride: str | None = None
    dnsPolicy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] = "ClusterFirst"
    dnsConfig: PodDNSConfig | None = None
    hostAliases: tuple[HostAlias, ...] = ()
    enableServiceLinks: StrictBool = True
    readinessGates: tuple[PodReadinessGate, ...] = ()
    securityContext: PodSecurityContext | None = None

    activeDeadlineSeconds: Annotated[Any, Inert()] = None
    affinity: Annotated[Any, Inert("Affinity")] = None
    automountServiceAccountToken: Annotated[Any, Inert()] = None
    ephemeralContainers: Annotated[Any, Inert("[EphemeralContainer]")] = None
    hostIPC: Annotated[Any, Inert()] = None
    hostPID: Annotated[Any, Inert()] = None
    hostUsers: Annotated[Any, Inert()] = None
    imagePullSecrets: Annotated[Any, Inert("[LocalObjectReference]")] = None
    os: Annotated[Any, Inert("PodOS")] = None
    overhead: Annotated[Any, Inert()] = None
    preemptionPolicy: Annotated[Any, Inert()] = None
    priority: Annotated[Any, Inert()] = None
    priorityClassName: Annotated[Any, Inert()] = None
    resourceClaims: Annotated[Any, Inert("[PodResourceClaim]")] = None
    resources: Annotated[Any, Inert("ResourceRequirements")] = None
    runtimeClassName: Annotated[Any, Inert()] = None
    schedulerName: Annotated[Any, Inert()] = None
    schedulingGates: Annotated[Any, Inert("[PodSchedulingGate]")] = None
    schedulingGroup: Annotated[Any, Inert("PodSchedulingGroup")] = None
    serviceAccount: Annotated[Any, Inert()] = None
    serviceAccountName: Annotated[Any, Inert()] = None
    shareProcessNamespace: Annotated[Any, Inert()] = None
    topologySpreadConstraints: Annotated[Any, Inert("[TopologySpreadConstraint]")] = None
    volumes: Annotated[Any, Inert("[Volume]")] = None
    workloadRef: Annotated[Any, Inert("WorkloadReference")] = None

    @property
    def sysctls(self) -> dict[str, str]:
        """Kernel settings of the pod's own network namespace."""
        context = self.securityContext
        return {entry.name.replace("/", "."): entry.value for entry in context.sysctls} if context else {}

    def port_named(self, name: str, protocol: str = "TCP") -> int | None:
        """The number of the container port called `name`, or None."""
        for container in self.containers:
            for port in container.ports:
                if port.name == name and port.protocol == protocol:
                    return port.containerPort
        return None


class PodTemplateSpec(ApiModel):
    """What a workload stamps its pods from."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec


class ContainerStateRunning(ApiModel):
    """The container runs since `startedAt`."""

    startedAt: Time | None = None


class ContainerStateWaiting(ApiModel):
    """The container is not running yet; reason e.g. ContainerCreating, CrashLoopBackOff."""

    reason: str = ""
    message: str = ""


class ContainerStateTerminated(ApiModel):
    """The container ended."""

    exitCode: StrictInt
    signal: StrictInt = 0
    reason: str = ""
    message: str = ""
    startedAt: Time | None = None
    finishedAt: Time | None = None
    containerID: str = ""


class ContainerState(ApiModel):
    """Exactly one of the three."""

    running: ContainerStateRunning | None = None
    waiting: ContainerStateWaiting | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(ApiModel):
    """What the kubelet reports about one container."""

    name: str
    ready: StrictBool = False
    started: StrictBool | None = None
    restartCount: NonNegative = 0
    state: ContainerState = ContainerState()
    lastState: ContainerState = ContainerState()
    image: str = ""
    imageID: str = ""
    containerID: str = ""
    allocatedResources: Annotated[Any, Inert()] = None
    allocatedResourcesStatus: Annotated[Any, Inert()] = None
    resources: Annotated[Any, Inert("ResourceRequirements")] = None
    stopSignal: str | None = None
    user: Annotated[Any, Inert()] = None
    volumeMounts: Annotated[Any, Inert()] = None


class PodIP(ApiModel):
    """One address of the pod (or, as `hostIPs`, of its node)."""

    ip: str


class PodStatus(ApiModel):
    """What the kubelet, the scheduler and the node controller report about a pod."""

    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"] = "Pending"
    conditions: tuple[Condition, ...] = ()
    podIP: str = ""
    podIPs: tuple[PodIP, ...] = ()
    hostIP: str = ""
    hostIPs: tuple[PodIP, ...] = ()
    startTime: Time | None = None
    reason: str = ""
    message: str = ""
    containerStatuses: tuple[ContainerStatus, ...] = ()
    initContainerStatuses: tuple[ContainerStatus, ...] = ()
    ephemeralContainerStatuses: tuple[ContainerStatus, ...] = ()
    observedGeneration: StrictInt | None = None
    qosClass: str = ""
    nominatedNodeName: str = ""
    allocatedResources: Annotated[Any, Inert()] = None
    extendedResourceClaimStatus: Annotated[Any, Inert()] = None
    nodeAllocatableResourceClaimStatuses: Annotated[Any, Inert()] = None
    resize: Annotated[Any, Inert()] = None
    resourceClaimStatuses: Annotated[Any, Inert()] = None
    resources: Annotated[Any, Inert("ResourceRequirements")] = None

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type, e.g. `Ready`, or None."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def is_ready(self) -> bool:
        """True when the Ready condition is True (podutil.IsPodReady)."""
        ready = self.condition("Ready")
        return ready is not None and ready.status == "True"


class Pod(ApiObject):
    """A pod."""

    apiVersion: Literal["v1"] = "v1"
    kind: Literal["Pod"] = "Pod"
    spec: PodSpec
    status: PodStatus = PodStatus()
