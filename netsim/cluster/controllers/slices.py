"""How endpoints are distributed over slices: at most so many to a slice, and as few writes as possible.

Called by: the EndpointSlice and the mirroring controller. Source: staging/src/k8s.io/endpointslice/reconciler.go
(reconcileByPortMapping, finalize).

What is already in a slice stays there. A slice that loses or changes endpoints is written anyway, so new endpoints go
there first, then into others with room, then into new slices. When nothing is left, one empty slice remains as a
placeholder. A slice that would be deleted while another is created is rewritten instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from netsim.cluster.controllers.endpoints import Ports
from netsim.cluster.objects import Endpoint, EndpointSlice

Identity = tuple[tuple[str, ...], str]
Wanted = Mapping[Ports, Sequence[Endpoint]]


@dataclass(slots=True)
class SliceChanges:
    """What to write. Created slices have no name yet; updates carry the version that they were made from."""

    create: list[EndpointSlice] = field(default_factory=list)
    update: list[EndpointSlice] = field(default_factory=list)
    delete: list[EndpointSlice] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.create or self.update or self.delete)


def reconcile(
    existing: Sequence[EndpointSlice],
    wanted: Wanted,
    template: Callable[[Ports], EndpointSlice],
    capacity: int,
) -> SliceChanges:
    """The changes that lead from `existing` (of one family) to `wanted`; `template(ports)` makes an empty slice."""
    changes = SliceChanges()
    groups: dict[Ports, list[EndpointSlice]] = {ports: [] for ports in wanted}
    for item in existing:
        if item.ports in groups:
            groups[item.ports].append(item)
        else:
            changes.delete.append(item)
    for ports, slices in groups.items():
        _Packer(template(ports), capacity, changes).pack(slices, wanted[ports])
    if len(changes.delete) == len(existing) and not changes.create:
        changes.create.append(template(()))
    _rewrite_instead(changes)
    return _without_empty_updates(changes, existing)


def identity(endpoint: Endpoint) -> Identity:
    """What makes two endpoints the same one in different states."""
    return endpoint.addresses, endpoint.targetRef.uid if endpoint.targetRef else ""


class _Packer:
    """Packs the endpoints of one list of ports."""

    def __init__(self, template: EndpointSlice, capacity: int, changes: SliceChanges) -> None:
        self._template = template
        self._capacity = capacity
        self._changes = changes

    def pack(self, slices: Sequence[EndpointSlice], endpoints: Sequence[Endpoint]) -> None:
        """Enter the changes for these slices."""
        left = {identity(endpoint): endpoint for endpoint in endpoints}
        written: list[tuple[EndpointSlice, list[Endpoint]]] = []
        kept: list[tuple[EndpointSlice, list[Endpoint]]] = []
        for item in slices:
            here = [left.pop(key) for key in map(identity, item.endpoints) if key in left]
            same = tuple(here) == item.endpoints and item.metadata.labels == self._template.metadata.labels
            (kept if same else written).append((item, here))
        new = list(left.values())
        for item, here in (*written, *kept):
            new = self._fill(item, here, new)
        for start in range(0, len(new), self._capacity):
            part = tuple(new[start : start + self._capacity])
            self._changes.create.append(self._template.model_copy(update={"endpoints": part}))

    def _fill(self, item: EndpointSlice, here: list[Endpoint], new: list[Endpoint]) -> list[Endpoint]:
        room = max(0, self._capacity - len(here))
        content = (*here, *new[:room])
        if content:
            self._changes.update.append(_rewritten(item, self._template, content))
        else:
            self._changes.delete.append(item)
        return new[room:]


def _rewritten(item: EndpointSlice, like: EndpointSlice, endpoints: tuple[Endpoint, ...]) -> EndpointSlice:
    meta = item.metadata.model_copy(update={"labels": like.metadata.labels})
    return item.model_copy(update={"metadata": meta, "ports": like.ports, "endpoints": endpoints})


def _rewrite_instead(changes: SliceChanges) -> None:
    while changes.create and changes.delete:
        made, gone = changes.create.pop(0), changes.delete.pop(0)
        changes.update.append(_rewritten(gone, made, made.endpoints))


def _without_empty_updates(changes: SliceChanges, existing: Sequence[EndpointSlice]) -> SliceChanges:
    before = {item.key: item for item in existing}
    changes.update = [item for item in changes.update if item != before[item.key]]
    return changes
