"""Has the cluster settled: is everything that should run running, and known everywhere?

Called by: `controlplane.py`, which `experiment/build.py` asks while a cluster boots, before the experiment's zero.
`unsettled` answers in words, so that a boot that never ends can say why.
"""

from collections.abc import Iterator

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.controllers.endpoints import SERVICE_NAME_LABEL
from netsim.cluster.controllers.pods import is_active
from netsim.cluster.objects import Deployment, EndpointSlice, Pod, ReplicaSet, Service

_Label = tuple[str, str, str]


def workloads(api: ApiServer) -> Iterator[str]:
    """Deployments, ReplicaSets and single pods that are not as they should be."""
    for item in api.list(Deployment):
        status, wanted = item.status, item.spec.replicas
        current = status.observedGeneration >= item.metadata.generation
        if not current or status.availableReplicas < wanted or status.updatedReplicas < wanted:
            yield f"Deployment {_name(item.key)} has {status.availableReplicas} of {wanted} pods available"
    for owned in api.list(ReplicaSet):
        ready, size = owned.status.availableReplicas, owned.spec.replicas
        if owned.metadata.controller() is None and ready != size:
            yield f"ReplicaSet {_name(owned.key)} has {ready} of {size} pods available"
    for pod in api.list(Pod):
        if pod.metadata.controller() is None and is_active(pod) and not pod.status.is_ready:
            where = f"on {pod.spec.nodeName}" if pod.spec.nodeName else "not scheduled"
            yield f"Pod {_name(pod.key)} ({where}) is {pod.status.phase} and not ready"


def endpoints(api: ApiServer) -> Iterator[str]:
    """Services whose slices do not show their ready pods yet."""
    pods = _pods_by_label(api)
    shown = _shown(api)
    for service in api.list(Service):
        selector = service.spec.selector
        if not selector or service.spec.type == "ExternalName":
            continue
        namespace = service.metadata.namespace
        rarest = min((pods.get((namespace, *pair), []) for pair in selector.items()), key=len)
        ready = {pod.status.podIP for pod in rarest if _is_endpoint(pod, selector)}
        if not ready <= shown.get(service.key, set()):
            yield f"Service {_name(service.key)} does not show all its ready pods yet"


def _is_endpoint(pod: Pod, selector: dict[str, str]) -> bool:
    labels = pod.metadata.labels
    return pod.status.is_ready and is_active(pod) and all(labels.get(k) == v for k, v in selector.items())


def _pods_by_label(api: ApiServer) -> dict[_Label, list[Pod]]:
    found: dict[_Label, list[Pod]] = {}
    for pod in api.list(Pod):
        for key, value in pod.metadata.labels.items():
            found.setdefault((pod.metadata.namespace, key, value), []).append(pod)
    return found


def _shown(api: ApiServer) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for item in api.list(EndpointSlice):
        key = (item.metadata.namespace, item.metadata.labels.get(SERVICE_NAME_LABEL, ""))
        ready = (e for e in item.endpoints if e.conditions.ready is not False)
        found.setdefault(key, set()).update(address for e in ready for address in e.addresses)
    return found


def _name(key: tuple[str, str]) -> str:
    return "/".join(part for part in key if part)
