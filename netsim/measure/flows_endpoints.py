"""Who is behind an address, in Hubble's words: endpoints with labels, workloads and security identities, and Services.

Filled by `experiment/flows.py` from the API's objects; used by `flows.py`. Sources: api/v1/flow/flow.proto (Endpoint),
pkg/identity/numericidentity.go (reserved identities; those of the cluster begin at 256) of Cilium. An identity number
is drawn from its labels, so that it is the same in every run; Cilium allocates them in order of appearance.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

HOST, WORLD, REMOTE_NODE = 1, 2, 6
RESERVED: Final[Mapping[int, str]] = {HOST: "host", WORLD: "world", REMOTE_NODE: "remote-node"}
_FIRST, _NUMBER = 256, 65536 - 256


@dataclass(frozen=True, slots=True)
class PodEntry:
    """A pod. `workload` is kind and name of what it belongs to, ("", "") for none."""

    namespace: str
    name: str
    labels: tuple[str, ...]
    workload: tuple[str, str] = ("", "")

    @property
    def identity_labels(self) -> tuple[str, ...]:
        """The labels that make the identity."""
        return tuple(
            sorted(
                (
                    *(f"k8s:{label}" for label in self.labels),
                    "k8s:io.cilium.k8s.policy.cluster=default",
                    "k8s:io.cilium.k8s.policy.serviceaccount=default",
                    f"k8s:io.kubernetes.pod.namespace={self.namespace}",
                )
            )
        )


@dataclass(slots=True)
class Directory:
    """Pods, nodes and Services by address."""

    pods: dict[bytes, PodEntry] = field(default_factory=dict)
    nodes: dict[bytes, str] = field(default_factory=dict)
    services: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    pod_nodes: dict[str, str] = field(default_factory=dict)  # by the pod's full name
    _identities: dict[tuple[str, ...], int] = field(default_factory=dict)

    def endpoint(self, address: bytes, node: str) -> dict[str, Any]:
        """An Endpoint message, as seen from a node."""
        pod = self.pods.get(address)
        if pod is None:
            owner = self.nodes.get(address)
            number = WORLD if owner is None else HOST if owner == node else REMOTE_NODE
            return {"identity": number, "labels": [f"reserved:{RESERVED[number]}"]}
        labels = pod.identity_labels
        found: dict[str, Any] = {
            "identity": self._identity(labels),
            "cluster_name": "default",
            "namespace": pod.namespace,
            "labels": list(labels),
            "pod_name": pod.name,
        }
        kind, name = pod.workload
        if name:
            found["workloads"] = [{"name": name, "kind": kind}]
        return found

    def service(self, address: bytes) -> dict[str, str] | None:
        """A Service message."""
        found = self.services.get(address)
        return {"name": found[1], "namespace": found[0]} if found is not None else None

    def _identity(self, labels: tuple[str, ...]) -> int:
        number = self._identities.get(labels)
        if number is None:
            number = (
                _FIRST + int.from_bytes(hashlib.sha256("\n".join(labels).encode()).digest()[:8]) % _NUMBER
            )
            while number in self._identities.values():
                number = _FIRST + (number - _FIRST + 1) % _NUMBER
            self._identities[labels] = number
        return number


def label_texts(labels: Mapping[str, str]) -> tuple[str, ...]:
    """`app=web`."""
    return tuple(f"{key}={value}" for key, value in sorted(labels.items()))
