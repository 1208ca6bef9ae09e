"""The garbage collector: what a deleted object owned is deleted too (background cascading deletion).

Called by: `controlplane.py`. Source: pkg/controller/garbagecollector. Deployment -> ReplicaSet -> Pod,
StatefulSet and DaemonSet -> Pod, Service -> EndpointSlice. Simplified: only these kinds, no foreground deletion, no
orphaning.
"""

from functools import partial
from typing import Final

from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.informer import Index
from netsim.cluster.objects import (
    ApiObject,
    DaemonSet,
    Deployment,
    EndpointSlice,
    Pod,
    ReplicaSet,
    Service,
    StatefulSet,
)
from netsim.cluster.watch import WatchEvent

_NAME: Final = "garbage-collector"
_OWNERS: Final[tuple[type[ApiObject], ...]] = (
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Service,
)
_DEPENDENTS: Final[tuple[type[ApiObject], ...]] = (ReplicaSet, Pod, EndpointSlice)


class GarbageCollector:
    """Watches owners and dependents; deletes dependents of owners that are gone."""

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client(_NAME)
        self._owned: list[Index[ApiObject]] = []
        for dependent in _DEPENDENTS:
            self._owned.append(context.informers.of(dependent).index(_owner_uids))
        for owner in _OWNERS:
            context.informers.of(owner).subscribe(self._owner_changed)

    def _owner_changed(self, event: WatchEvent[ApiObject]) -> None:
        if event.type != "DELETED":
            return
        for index in self._owned:
            for item in list(index[event.object.metadata.uid].values()):
                delete = self._client.api.delete
                self._client.submit(partial(delete, item.kind, *item.key, None, item.metadata.uid))


def _owner_uids(item: ApiObject) -> list[str]:
    return [owner.uid for owner in item.metadata.ownerReferences]
