"""Containers: ports, probes, lifecycle hooks (k8s.io/api/core/v1 Container, Probe, Lifecycle).

Called by: `pod`. The kubelet acts on ports, probes, hooks and environment; image, volumes and security are accepted
without effect: every container is played by an application of netsim.workload.

Defaults: api/core/v1/types.go and pkg/apis/core/v1/defaults.go (Kubernetes 1.34).
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from netsim.cluster.objects.environment import EnvFromSource, EnvVar
from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.meta import ApiModel, IntOrString, NonNegative, Port, Positive, Protocol


class ContainerPort(ApiModel):
    """A port that the container listens on; `name` is what a Service's `targetPort` or a probe may refer to."""

    containerPort: Port
    name: str = ""
    protocol: Protocol = "TCP"
    hostPort: Annotated[int, Field(strict=True, ge=0, le=65535)] = 0
    hostIP: str = ""


class HTTPHeader(ApiModel):
    """One header that an HTTP probe or hook sends."""

    name: str
    value: str


class HTTPGetAction(ApiModel):
    """GET a path of the pod; a status from 200 to 399 is success. `port` is a number or a container port's name."""

    port: IntOrString
    path: str = "/"
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    httpHeaders: tuple[HTTPHeader, ...] = ()


class TCPSocketAction(ApiModel):
    """Open a TCP connection; success when it is accepted."""

    port: IntOrString
    host: str = ""


class GRPCAction(ApiModel):
    """Call the gRPC health service."""

    port: Port
    service: str = ""


class ExecAction(ApiModel):
    """Run a command in the container."""

    command: tuple[str, ...] = ()


class SleepAction(ApiModel):
    """Wait (KEP-3960, a preStop hook without a shell)."""

    seconds: NonNegative


class Probe(ApiModel):
    """A periodic check by the kubelet. All times are whole seconds, as upstream."""

    httpGet: HTTPGetAction | None = None
    tcpSocket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    exec: ExecAction | None = None
    initialDelaySeconds: NonNegative = 0
    periodSeconds: Positive = 10
    timeoutSeconds: Positive = 1
    successThreshold: Positive = 1
    failureThreshold: Positive = 3
    terminationGracePeriodSeconds: Positive | None = None


class LifecycleHandler(ApiModel):
    """What a hook does: exactly one of these."""

    exec: ExecAction | None = None
    httpGet: HTTPGetAction | None = None
    tcpSocket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(ApiModel):
    """Hooks around a container's life; `preStop` runs before SIGTERM, within the grace period."""

    postStart: LifecycleHandler | None = None
    preStop: LifecycleHandler | None = None
    stopSignal: str | None = None


class Container(ApiModel):
    """One container of a pod."""

    name: str
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    readinessProbe: Probe | None = None
    livenessProbe: Probe | None = None
    startupProbe: Probe | None = None
    lifecycle: Lifecycle | None = None
    restartPolicy: Literal["Always", "OnFailure", "Never"] | None = None
    env: tuple[EnvVar, ...] = ()
    envFrom: tuple[EnvFromSource, ...] = ()
    command: Annotated[Any, Inert()] = None
    args: Annotated[Any, Inert()] = None
    workingDir: Annotated[Any, Inert()] = None
    imagePullPolicy: Annotated[Any, Inert()] = None
    resources: Annotated[Any, Inert("ResourceRequirements")] = None
    resizePolicy: Annotated[Any, Inert("[ContainerResizePolicy]")] = None
    restartPolicyRules: Annotated[Any, Inert("[ContainerRestartRule]")] = None
    securityContext: Annotated[Any, Inert("SecurityContext")] = None
    stdin: Annotated[Any, Inert()] = None
    stdinOnce: Annotated[Any, Inert()] = None
    tty: Annotated[Any, Inert()] = None
    terminationMessagePath: Annotated[Any, Inert()] = None
    terminationMessagePolicy: Annotated[Any, Inert()] = None
    volumeDevices: Annotated[Any, Inert("[VolumeDevice]")] = None
    volumeMounts: Annotated[Any, Inert("[VolumeMount]")] = None
