"""Has the cluster settled: is everything that should run running, and known everywhere?

Called by: `controlplane.py`, which is asked again and again while a cluster boots, before the experiment's zero. The
answers are words, so that a boot that never ends can say why.
"""

from collections.abc import Iterator

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.controllers.endpoints import SERVICE_NAME_LABEL, address_types, pod_addresses
from netsim.cluster.controllers.pods import is_active
from netsim.cluster.objects import DaemonSet, Deployment, EndpointSlice, Pod, ReplicaSet, Service, StatefulSet
from netsim.engine import S

_Label = tuple[str, str, str]


class Deployments:
    """The Deployments that are not complete. The last one found wanting is looked at first, so that asking often costs
    little."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._last: tuple[str, str] | None = None

    def waiting(self) -> Iterator[str]:
        """In words, one by one."""
        last = self._api.get(Deployment, *self._last) if self._last else None
        if last is not None and not _is_complete(last):
            yield _deployment(last)
        for item in self._api.list(Deployment):
            if item is not last and not _is_complete(item):
                self._last = item.key
                yield _deployment(item)


def _is_complete(item: Deployment) -> bool:
    status, wanted = item.status, item.spec.replicas
    current = status.observedGeneration >= item.metadata.generation
    return current and status.availableReplicas >= wanted and status.updatedReplicas >= wanted


def _deployment(item: Deployment) -> str:
    return f"Deployment {_name(item.key)} has {item.status.availableReplicas} of {item.spec.replicas} pods available"


def probe_period_ns(api: ApiServer) -> int:
    """The longest period of any probe; 0 without probes."""
    periods = [
        probe.periodSeconds
        for pod in api.list(Pod)
        for container in pod.spec.containers
        for probe in (container.readinessProbe, container.livenessProbe, container.startupProbe)
        if probe is not None
    ]
    return max(periods, default=0) * S


def others(api: ApiServer) -> Iterator[str]:
    """Other workloads and single pods that are not as they should be: ReplicaSets and pods without an owner,
    StatefulSets, DaemonSets."""
    for owned in api.list(ReplicaSet):
        ready, size = owned.status.availableReplicas, owned.spec.replicas
        if owned.metadata.controller() is None and ready != size:
            yield f"ReplicaSet {_name(owned.key)} has {ready} of {size} pods available"
    for stateful in api.list(StatefulSet):
        available, wanted = stateful.status.availableReplicas, stateful.spec.replicas
        if not _is_seen(stateful) or available < wanted or stateful.status.updatedReplicas < wanted:
            yield f"StatefulSet {_name(stateful.key)} has {available} of {wanted} pods available"
    for daemon in api.list(DaemonSet):
        available, wanted = daemon.status.numberAvailable, daemon.status.desiredNumberScheduled
        if not _is_seen(daemon) or available < wanted or daemon.status.updatedNumberScheduled < wanted:
            yield f"DaemonSet {_name(daemon.key)} has {available} of {wanted} pods available"
    for pod in api.list(Pod):
        if pod.metadata.controller() is None and is_active(pod) and not pod.status.is_ready:
            where = f"on {pod.spec.nodeName}" if pod.spec.nodeName else "not scheduled"
            yield f"Pod {_name(pod.key)} ({where}) is {pod.status.phase} and not ready"


def _is_seen(item: StatefulSet | DaemonSet) -> bool:
    return item.status.observedGeneration >= item.metadata.generation


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
        ready = {
            address
            for pod in rarest
            if _is_endpoint(pod, selector)
            for family in address_types(service)
            for address in pod_addresses(pod, family)
        }
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
