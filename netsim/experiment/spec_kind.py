"""A configuration of kind (kind.x-k8s.io/v1alpha4) as a topology: `netsim run` takes the file unchanged.

Called by: `loader`. What has no meaning here (images, mounts, patches) is accepted and reported once; the Kubernetes
version comes from the node image's tag. Nodes are named as netsim names them (`worker-1`), not `kind-worker`.

Source: kind, pkg/apis/config/v1alpha4/types.go.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from netsim.cluster.objects.inert import Inert
from netsim.experiment.spec_cluster import NEWEST_MINOR, OLDEST_MINOR, Role
from netsim.experiment.spec_fields import Name, SpecModel

Ignored = Annotated[Any, Inert()]

_IMAGE_VERSION = re.compile(r":v?(1\.([0-9]+))(?:[.@-]|$)")


class KindNetworking(SpecModel):
    """kind's `networking`."""

    ipFamily: str = "ipv4"
    podSubnet: str | None = None
    serviceSubnet: str | None = None
    kubeProxyMode: str = "iptables"
    apiServerAddress: Ignored = None
    apiServerPort: Ignored = None
    disableDefaultCNI: Ignored = None
    dnsSearch: Ignored = None


class KindNode(SpecModel):
    """kind's `nodes[]`."""

    role: Role = "control-plane"
    image: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    extraMounts: Ignored = None
    extraPortMappings: Ignored = None
    kubeadmConfigPatches: Ignored = None
    kubeadmConfigPatchesJSON6902: Ignored = None


class KindCluster(SpecModel):
    """kind's `Cluster`."""

    apiVersion: Literal["kind.x-k8s.io/v1alpha4"]
    kind: Literal["Cluster"]
    name: Name = "kind"
    networking: KindNetworking = KindNetworking()
    nodes: tuple[KindNode, ...] = ()
    featureGates: Ignored = None
    runtimeConfig: Ignored = None
    containerdConfigPatches: Ignored = None
    containerdConfigPatchesJSON6902: Ignored = None
    kubeadmConfigPatches: Ignored = None
    kubeadmConfigPatchesJSON6902: Ignored = None


def from_kind(cluster: KindCluster) -> dict[str, Any]:
    """The same cluster as the data of a netsim Cluster document (validated by the caller)."""
    networking = cluster.networking.model_dump(
        include={"ipFamily", "podSubnet", "serviceSubnet", "kubeProxyMode"}
    )
    spec: dict[str, Any] = {
        "networking": {key: value for key, value in networking.items() if value is not None},
        "nodes": [{"role": node.role, "labels": node.labels} for node in cluster.nodes]
        or [{"role": "control-plane"}],
    }
    version = _version(cluster)
    if version:
        spec["kubernetesVersion"] = version
    return {"apiVersion": "netsim/v1", "kind": "Cluster", "metadata": {"name": cluster.name}, "spec": spec}


def _version(cluster: KindCluster) -> str:
    """The version in the first node image, if it can be simulated; "" otherwise."""
    images = [match for node in cluster.nodes if (match := _IMAGE_VERSION.search(node.image))]
    return images[0][1] if images and OLDEST_MINOR <= int(images[0][2]) <= NEWEST_MINOR else ""


def is_kind(data: Mapping[str, Any]) -> bool:
    """Is this document a configuration of kind?"""
    return str(data.get("apiVersion", "")).startswith("kind.x-k8s.io/")
