"""Writes slices, remembers what it wrote, and tells the bus which endpoints came and went.

Called by: the EndpointSlice and the mirroring controller. Source: staging/src/k8s.io/endpointslice/util
(EndpointSliceTracker).
"""

from collections.abc import Generator, Iterable, Sequence
from functools import partial
from typing import Any

from netsim.cluster.apiserver import Key
from netsim.cluster.client import ApiClient
from netsim.cluster.controllers.slices import SliceChanges
from netsim.cluster.errors import NotFoundError
from netsim.cluster.objects import EndpointSlice
from netsim.cluster.records import Recorder


class SliceWriter:
    """The last version written of each slice, by Service; None for a deleted one."""

    def __init__(self, client: ApiClient, record: Recorder) -> None:
        self._client = client
        self._record = record
        self._written: dict[Key, dict[Key, int | None]] = {}

    def is_stale(self, service: Key, seen: Iterable[EndpointSlice]) -> bool:
        """Whether the informer does not show yet all that was written."""
        versions = {item.key: item.metadata.resourceVersion for item in seen}
        for name, version in self._written.get(service, {}).items():
            if (version is None and name in versions) or (
                version is not None and versions.get(name, 0) < version
            ):
                return True
        return False

    def is_foreign(self, item: EndpointSlice, *, deleted: bool) -> bool:
        """Whether a change seen in the informer was made by somebody else."""
        known = self._written.get((item.metadata.namespace, item.service_name), {})
        if deleted:
            return known.pop(item.key, None) is not None
        version = known.get(item.key, 0)
        return version is not None and item.metadata.resourceVersion > version

    def forget(self, service: Key) -> None:
        """The Service is gone."""
        self._written.pop(service, None)

    def write(
        self, service: Key, changes: SliceChanges, before: Sequence[EndpointSlice]
    ) -> Generator[Any, Any, None]:
        """Make the changes, one request after the other. Raises ApiError."""
        old = {item.key: item for item in before}
        for item in changes.create:
            made = yield from self._client.call(partial(self._client.api.create, item))
            self._note(service, made, None)
        for item in changes.update:
            made = yield from self._client.call(partial(self._client.api.update, item))
            self._note(service, made, old.get(item.key))
        for item in changes.delete:
            yield from self.delete(service, item)

    def delete(self, service: Key, item: EndpointSlice) -> Generator[Any, Any, None]:
        """Delete one slice; one that is gone already is fine."""
        try:
            yield from self._client.call(partial(self._client.api.delete, EndpointSlice, *item.key))
        except NotFoundError:
            return
        self._written.setdefault(service, {})[item.key] = None
        self._tell(service, item, (), ready_addresses(item))

    def _note(self, service: Key, made: EndpointSlice, old: EndpointSlice | None) -> None:
        self._written.setdefault(service, {})[made.key] = made.metadata.resourceVersion
        self._tell(service, made, ready_addresses(made), ready_addresses(old) if old else ())

    def _tell(self, service: Key, item: EndpointSlice, now: tuple[str, ...], before: tuple[str, ...]) -> None:
        tell_update(self._record, service, item, now, before)


def tell_update(
    record: Recorder, service: Key, item: EndpointSlice, now: tuple[str, ...], before: tuple[str, ...]
) -> None:
    """Publish that the ready addresses of a slice are these now, and were those before."""
    if not record.wanted:
        return
    record.about(
        item,
        "EndpointSliceUpdated",
        service="/".join(service),
        added=",".join(address for address in now if address not in before),
        removed=",".join(address for address in before if address not in now),
        ready=",".join(now),
    )


def ready_addresses(item: EndpointSlice) -> tuple[str, ...]:
    """The addresses of the slice's ready endpoints, in its order."""
    return tuple(
        address
        for endpoint in item.endpoints
        if endpoint.conditions.ready is not False
        for address in endpoint.addresses
    )
