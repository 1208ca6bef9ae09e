"""Objects as kubectl names them: `deployment/my-nginx`, `sts/kafka`.

Called by: the experiment's `faults:` (parsing) and `kubectl.py`.
"""

from dataclasses import dataclass
from typing import Final

# As kubectl's abbreviations: resource or short name -> kind.
RESOURCES: Final = {
    "deployment": "Deployment", "deploy": "Deployment", "statefulset": "StatefulSet", "sts": "StatefulSet",
    "daemonset": "DaemonSet", "ds": "DaemonSet", "replicaset": "ReplicaSet", "rs": "ReplicaSet",
    "service": "Service", "svc": "Service", "pod": "Pod", "po": "Pod", "node": "Node", "ingress": "Ingress",
    "configmap": "ConfigMap", "cm": "ConfigMap", "endpointslice": "EndpointSlice", "endpoints": "Endpoints",
    "poddisruptionbudget": "PodDisruptionBudget", "pdb": "PodDisruptionBudget", "namespace": "Namespace",
}  # fmt: skip
SCALED: Final = ("Deployment", "StatefulSet", "ReplicaSet")
ROLLED: Final = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True, slots=True)
class ObjectName:
    """An object as kubectl names it: `deployment/my-nginx`, in a namespace."""

    kind: str
    name: str
    namespace: str = "default"

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


def parse_name(text: str, namespace: str = "default") -> ObjectName:
    """`deployment/my-nginx` (or `deploy/my-nginx`). Raises ValueError with what to write instead."""
    resource, slash, name = text.partition("/")
    kind = RESOURCES.get(resource.lower()) or RESOURCES.get(resource.lower().removesuffix("s"))
    if not slash or not name or "/" in name or kind is None:
        raise ValueError(f'"{text}" names no object: write for example deployment/my-nginx')
    return ObjectName(kind, name, namespace)
