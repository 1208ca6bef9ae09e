"""Small kinds: Namespace, ConfigMap (core/v1) and Lease (coordination.k8s.io/v1).

Called by: the API server, DNS (Corefile and stub domains from ConfigMaps), kubelet and node lifecycle controller
(one Lease per node in `kube-node-lease`; times are integer nanoseconds).
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictBool

from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.meta import ApiModel, ApiObject, Condition, NonNegative, Positive, Time


class NamespaceSpec(ApiModel):
    """Nothing that a user sets."""

    finalizers: tuple[str, ...] = ()


class NamespaceStatus(ApiModel):
    """Active, or on its way out."""

    phase: Literal["Active", "Terminating"] = "Active"
    conditions: tuple[Condition, ...] = ()


class Namespace(ApiObject):
    """A namespace; DNS names contain it."""

    NAMESPACED: ClassVar[bool] = False

    apiVersion: Literal["v1"] = "v1"
    kind: Literal["Namespace"] = "Namespace"
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class ConfigMap(ApiObject):
    """Configuration text by key (`coredns`: Corefile; `kube-dns`: stubDomains, upstreamNameservers)."""

    apiVersion: Literal["v1"] = "v1"
    kind: Literal["ConfigMap"] = "ConfigMap"
    data: dict[str, str] = Field(default_factory=dict)
    binaryData: Annotated[Any, Inert()] = None
    immutable: StrictBool | None = None


class LeaseSpec(ApiModel):
    """Who holds the lease and when it was last renewed."""

    holderIdentity: str | None = None
    leaseDurationSeconds: Positive | None = None
    acquireTime: Time | None = None
    renewTime: Time | None = None
    leaseTransitions: NonNegative | None = None
    preferredHolder: str | None = None
    strategy: str | None = None


class Lease(ApiObject):
    """A lease: the kubelet's heartbeat."""

    apiVersion: Literal["coordination.k8s.io/v1"] = "coordination.k8s.io/v1"
    kind: Literal["Lease"] = "Lease"
    spec: LeaseSpec = LeaseSpec()
