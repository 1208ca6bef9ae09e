"""Services (k8s.io/api/core/v1 Service): everything here matters to packets.

Called by: API server (ClusterIP and node-port allocation), EndpointSlice controller, kube-proxy, DNS, the loader.
Defaults: pkg/apis/core/v1/defaults.go, Kubernetes 1.34. What goes together with what, and ranges of numbers that the
API server has words of its own for, are checked by `netsim.cluster.validation`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt

from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.meta import ApiModel, ApiObject, Condition, IntOrString, Labels, Port, Protocol


class ServicePort(ApiModel):
    """One port of a Service. `targetPort` is a number, a container port's name, or None: the same as `port`."""

    port: Port
    name: str = ""
    protocol: Protocol = "TCP"
    targetPort: IntOrString | None = None
    nodePort: StrictInt = 0
    appProtocol: str | None = None

    @property
    def target(self) -> int | str:
        """`targetPort` with its default."""
        return self.port if self.targetPort in (None, 0, "") else self.targetPort


class ClientIPConfig(ApiModel):
    """Session affinity lasts this long after the last connection (v1.ClientIPConfig: 1 to 86400 s, default 3 h)."""

    timeoutSeconds: StrictInt = 10800


class SessionAffinityConfig(ApiModel):
    """Configuration of `sessionAffinity: ClientIP`."""

    clientIP: ClientIPConfig = ClientIPConfig()


class ServiceSpec(ApiModel):
    """What the Service offers and whom it selects. `selector` None or empty: endpoints are written by somebody else."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    selector: Labels = Field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    clusterIP: str = ""
    clusterIPs: tuple[str, ...] = ()
    externalIPs: tuple[str, ...] = ()
    externalName: str = ""
    externalTrafficPolicy: Literal["", "Cluster", "Local"] = ""
    internalTrafficPolicy: Literal["Cluster", "Local"] = "Cluster"
    trafficDistribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = None
    sessionAffinity: Literal["None", "ClientIP"] = "None"
    sessionAffinityConfig: SessionAffinityConfig | None = None
    publishNotReadyAddresses: StrictBool = False
    ipFamilies: tuple[Literal["IPv4", "IPv6"], ...] = ()
    ipFamilyPolicy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    healthCheckNodePort: StrictInt = 0
    loadBalancerIP: str = ""
    loadBalancerClass: str | None = None
    loadBalancerSourceRanges: tuple[str, ...] = ()
    allocateLoadBalancerNodePorts: StrictBool | None = None
    ipFamily: Annotated[Any, Inert()] = None  # alpha in 1.16 to 1.19
    topologyKeys: Annotated[Any, Inert()] = None  # alpha in 1.17 to 1.21

    @property
    def is_headless(self) -> bool:
        """`clusterIP: None`: DNS answers with the pods themselves and kube-proxy writes no rules."""
        return self.clusterIP == "None"

    @property
    def affinity_seconds(self) -> int:
        """Session affinity time-out in seconds; 0 without session affinity."""
        if self.sessionAffinity != "ClientIP":
            return 0
        return (self.sessionAffinityConfig or SessionAffinityConfig()).clientIP.timeoutSeconds


class PortStatus(ApiModel):
    """A port of a load balancer that has an error."""

    port: Port
    protocol: Protocol
    error: str | None = None


class LoadBalancerIngress(ApiModel):
    """An address of the external load balancer."""

    ip: str = ""
    hostname: str = ""
    ipMode: Literal["VIP", "Proxy"] | None = None
    ports: tuple[PortStatus, ...] = ()


class LoadBalancerStatus(ApiModel):
    """The addresses of the external load balancer."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(ApiModel):
    """What the load balancer controller reports."""

    loadBalancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: tuple[Condition, ...] = ()


class Service(ApiObject):
    """A Service."""

    apiVersion: Literal["v1"] = "v1"
    kind: Literal["Service"] = "Service"
    spec: ServiceSpec
    status: ServiceStatus = ServiceStatus()
