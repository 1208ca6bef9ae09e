"""Which words mean which kind: `po`, `pods`, `pod`, `deploy`, `deployments.apps`.

Called by: every verb, completion, and the `object:` of an experiment's faults. Source: `kubectl api-resources` of
Kubernetes 1.34. Kinds without a model (storage, RBAC, custom resources) are found when the topology has objects of
them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.objects import OtherObject
from netsim.cluster.objects.registry import KINDS
from netsim.experiment.kubectl.context import KubectlError
from netsim.workload.fault_targets import ObjectName


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API knows it. `group` is "" for core."""

    kind: str
    plural: str
    group: str = ""
    short: tuple[str, ...] = ()
    namespaced: bool = True
    version: str = "v1"

    @property
    def singular(self) -> str:
        """The kind in lower case."""
        return self.kind.lower()

    @property
    def full(self) -> str:
        """`deployments.apps`, `pods`: as the API server's messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def named(self, name: str) -> str:
        """`deployment.apps/web`, `pod/web-0`: as `-o name` writes it."""
        return f"{self.singular}.{self.group}/{name}" if self.group else f"{self.singular}/{name}"

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that means it."""
        plain = (self.plural, self.singular, *self.short)
        return plain + tuple(f"{word}.{self.group}" for word in plain[:2] if self.group)


def _table() -> tuple[Resource, ...]:
    net, auth = "networking.k8s.io", "rbac.authorization.k8s.io"
    return (
        Resource("Pod", "pods", short=("po",)),
        Resource("Service", "services", short=("svc",)),
        Resource("DaemonSet", "daemonsets", "apps", ("ds",)),
        Resource("Deployment", "deployments", "apps", ("deploy",)),
        Resource("ReplicaSet", "replicasets", "apps", ("rs",)),
        Resource("StatefulSet", "statefulsets", "apps", ("sts",)),
        Resource("Endpoints", "endpoints", short=("ep",)),
        Resource("EndpointSlice", "endpointslices", "discovery.k8s.io"),
        Resource("Node", "nodes", short=("no",), namespaced=False),
        Resource("Namespace", "namespaces", short=("ns",), namespaced=False),
        Resource("ConfigMap", "configmaps", short=("cm",)),
        Resource("Event", "events", short=("ev",)),
        Resource("Ingress", "ingresses", net, ("ing",)),
        Resource("IngressClass", "ingressclasses", net, namespaced=False),
        Resource("Lease", "leases", "coordination.k8s.io"),
        Resource("PodDisruptionBudget", "poddisruptionbudgets", "policy", ("pdb",)),
        Resource("NetworkPolicy", "networkpolicies", net, ("netpol",)),
        Resource("Secret", "secrets"),
        Resource("ServiceAccount", "serviceaccounts", short=("sa",)),
        Resource("PersistentVolumeClaim", "persistentvolumeclaims", short=("pvc",)),
        Resource("PersistentVolume", "persistentvolumes", short=("pv",), namespaced=False),
        Resource("ReplicationController", "replicationcontrollers", short=("rc",)),
        Resource("ResourceQuota", "resourcequotas", short=("quota",)),
        Resource("LimitRange", "limitranges", short=("limits",)),
        Resource(
            "HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling", ("hpa",), version="v2"
        ),
        Resource("CronJob", "cronjobs", "batch", ("cj",)),
        Resource("Job", "jobs", "batch"),
        Resource("Role", "roles", auth),
        Resource("RoleBinding", "rolebindings", auth),
        Resource("ClusterRole", "clusterroles", auth, namespaced=False),
        Resource("ClusterRoleBinding", "clusterrolebindings", auth, namespaced=False),
        Resource("StorageClass", "storageclasses", "storage.k8s.io", ("sc",), namespaced=False),
        Resource("PriorityClass", "priorityclasses", "scheduling.k8s.io", ("pc",), namespaced=False),
        Resource(
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "apiextensions.k8s.io",
            ("crd", "crds"),
            namespaced=False,
        ),
    )


RESOURCES: Final = _table()
BY_KIND: Final = {resource.kind: resource for resource in RESOURCES}
_BY_WORD: Final = {word: resource for resource in RESOURCES for word in resource.words}
# `kubectl get all`, in the order in which kubectl prints it.
ALL: Final = ("Pod", "Service", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")


def resource_of(kind: str, api_version: str = "") -> Resource:
    """The resource of a kind, made up (as a CustomResourceDefinition usually does) where it is not known."""
    found = BY_KIND.get(kind)
    if found is not None:
        return found
    group, _, version = api_version.rpartition("/")
    return Resource(kind, _plural(kind.lower()), group, version=version or "v1")


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def object_name(text: str, namespace: str = "default") -> ObjectName:
    """`deployment/my-nginx` (or `deploy/my-nginx`). Raises ValueError with what to write instead."""
    word, slash, name = text.partition("/")
    found = _BY_WORD.get(word.lower())
    if not slash or not name or "/" in name or found is None or found.kind not in KINDS:
        raise ValueError(f'"{text}" names no object: write for example deployment/my-nginx')
    return ObjectName(found.kind, name, namespace)


def lookup(word: str, api: ApiServer) -> Resource:
    """What a word means. Raises KubectlError."""
    found = _BY_WORD.get(word.lower())
    if found is not None:
        return found
    for resource in _custom(api):
        if word.lower() in resource.words:
            return resource
    raise KubectlError(f'error: the server doesn\'t have a resource type "{word}"')


def _custom(api: ApiServer) -> Iterable[Resource]:
    for item in api:
        if isinstance(item, OtherObject) and item.kind not in BY_KIND:
            yield resource_of(item.kind, item.apiVersion)


def kinds_of(word: str, api: ApiServer) -> list[Resource]:
    """`pods,svc` or `all`: the resources of a first argument."""
    found: list[Resource] = []
    for part in word.split(","):
        found += [BY_KIND[kind] for kind in ALL] if part == "all" else [lookup(part, api)]
    return found


@dataclass(frozen=True, slots=True)
class Target:
    """What a command is about: a resource, and a name ("" for all)."""

    resource: Resource
    name: str = ""


def targets(args: Sequence[str], api: ApiServer) -> list[Target]:
    """`pods`, `pod a b`, `pod/a svc/b`, `pods,svc`. Raises KubectlError (resource.Builder's words)."""
    if not args:
        return []
    if any("/" in arg for arg in args):
        return [_slashed(arg, api) for arg in args]
    resources, names = kinds_of(args[0], api), args[1:]
    if not names:
        return [Target(resource) for resource in resources]
    return [Target(resource, name) for resource in resources for name in names]


def _slashed(arg: str, api: ApiServer) -> Target:
    word, slash, name = arg.partition("/")
    if not slash:
        raise KubectlError(
            "error: there is no need to specify a resource type as a separate argument when passing "
            "arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of "
            "'kubectl get resource resource/<resource_name>'"
        )
    if not word or not name or "/" in name:
        raise KubectlError("error: arguments in resource/name form must have a single resource and name")
    return Target(lookup(word, api), name)
