"""Which kind is which model, which API versions exist, and what of an object has no effect on packets.

Called by: the loader (parse, report) and the API server (kind -> model).
Sources: the Kubernetes deprecated API migration guide for the versions that were removed.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from netsim.cluster.objects.config import ConfigMap, Lease, Namespace
from netsim.cluster.objects.discovery import Endpoints, EndpointSlice
from netsim.cluster.objects.environment import Secret
from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.ingress import Ingress, IngressClass
from netsim.cluster.objects.meta import ApiObject
from netsim.cluster.objects.node import Node
from netsim.cluster.objects.other import OtherObject
from netsim.cluster.objects.pod import Pod
from netsim.cluster.objects.policy import PodDisruptionBudget
from netsim.cluster.objects.service import Service
from netsim.cluster.objects.workloads import DaemonSet, Deployment, ReplicaSet, StatefulSet

KINDS: Mapping[str, type[ApiObject]] = {
    model.__name__: model
    for model in (
        Namespace, Node, Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet,
        Service, Endpoints, EndpointSlice, ConfigMap, Secret, Lease, Ingress, IngressClass,
        PodDisruptionBudget,
    )
}  # fmt: skip

API_VERSION: Mapping[str, str] = {
    kind: model.model_fields["apiVersion"].default for kind, model in KINDS.items()
}

# Minor release of Kubernetes 1.x that removed an old API version (of today's shape, Ingress excepted).
REMOVED_IN: Mapping[tuple[str, str], int] = {
    ("apps/v1beta1", "Deployment"): 16,
    ("apps/v1beta2", "Deployment"): 16,
    ("extensions/v1beta1", "Deployment"): 16,
    ("apps/v1beta2", "ReplicaSet"): 16,
    ("extensions/v1beta1", "ReplicaSet"): 16,
    ("apps/v1beta1", "StatefulSet"): 16,
    ("apps/v1beta2", "StatefulSet"): 16,
    ("apps/v1beta2", "DaemonSet"): 16,
    ("extensions/v1beta1", "DaemonSet"): 16,
    ("coordination.k8s.io/v1beta1", "Lease"): 22,
    ("extensions/v1beta1", "Ingress"): 22,
    ("networking.k8s.io/v1beta1", "Ingress"): 22,
    ("networking.k8s.io/v1beta1", "IngressClass"): 22,
    ("policy/v1beta1", "PodDisruptionBudget"): 25,
}


def parse_object(raw: Mapping[str, Any]) -> ApiObject:
    """One decoded manifest -> its model. Raises pydantic.ValidationError (KeyError without `kind`)."""
    return KINDS.get(raw["kind"], OtherObject).model_validate(raw)


@cache
def _inert_fields(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(m, Inert) for m in field.metadata)
    )


def inert_paths(value: object, path: str = "") -> Iterator[str]:
    """The fields that are set in this object and have no effect on packets: `spec.template.spec.volumes`...

    Items of lists are written `containers[]`, so that equal fields of many items are one path.
    """
    if isinstance(value, BaseModel):
        inert = _inert_fields(type(value))
        for name in value.model_fields_set:
            if name in inert:
                yield f"{path}{name}"
            elif name != "status":
                yield from inert_paths(getattr(value, name), f"{path}{name}.")
    elif isinstance(value, tuple):
        for item in value:
            yield from inert_paths(item, f"{path[:-1]}[].")
