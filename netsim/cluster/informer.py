"""Informers: a component's own, slightly old copy of all objects of a kind, with indexes.

Called by: controllers and scheduler. As in client-go, the informers of one process are shared: the controllers of
kube-controller-manager all see the same copy, and each change reaches their handlers at the same moment.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

from netsim.cluster.apiserver import ApiServer, Key
from netsim.cluster.objects import ApiObject
from netsim.cluster.watch import WatchEvent

T = TypeVar("T", bound=ApiObject)
IndexKeys = Callable[[T], Iterable[Hashable]]


class Index(Generic[T]):
    """Objects by the values that a function finds in them; an object may have several."""

    __slots__ = ("_buckets", "_keys")

    def __init__(self, keys: IndexKeys[T]) -> None:
        self._keys = keys
        self._buckets: dict[Hashable, dict[Key, T]] = {}

    def add(self, item: T) -> None:
        """Enter an object, or its newer version."""
        for value in self._keys(item):
            self._buckets.setdefault(value, {})[item.key] = item

    def remove(self, item: T) -> None:
        """Take an object out under the values that it had."""
        for value in self._keys(item):
            bucket = self._buckets.get(value)
            if bucket is not None:
                bucket.pop(item.key, None)
                if not bucket:
                    del self._buckets[value]

    def __getitem__(self, value: Hashable) -> dict[Key, T]:
        return self._buckets.get(value, {})


class Informer(Generic[T]):
    """The copy of one kind."""

    def __init__(self, api: ApiServer, kind: type[T], watcher: str) -> None:
        self._objects: dict[Key, T] = {}
        self._indexes: list[Index[T]] = []
        self._handlers: list[Callable[[WatchEvent[T]], None]] = []
        self.watch = api.watch(kind, self._changed, watcher)

    def get(self, namespace: str, name: str) -> T | None:
        """The object as this process knows it."""
        return self._objects.get((namespace, name))

    def __iter__(self) -> Iterator[T]:
        return iter(self._objects.values())

    def __len__(self) -> int:
        return len(self._objects)

    def index(self, keys: IndexKeys[T]) -> Index[T]:
        """A further index, filled with what is known already."""
        made = Index(keys)
        for item in self._objects.values():
            made.add(item)
        self._indexes.append(made)
        return made

    def subscribe(self, handler: Callable[[WatchEvent[T]], None]) -> None:
        """Call `handler` for what is known already (ADDED) and for every change, after the copy has it."""
        for item in list(self._objects.values()):
            handler(WatchEvent("ADDED", item, None, 0))
        self._handlers.append(handler)

    def _changed(self, event: WatchEvent[T]) -> None:
        item = event.object
        before = self._objects.get(item.key)
        if event.type == "DELETED":
            self._objects.pop(item.key, None)
        else:
            self._objects[item.key] = item
        for index in self._indexes:
            if before is not None:
                index.remove(before)
            if event.type != "DELETED":
                index.add(item)
        for handler in self._handlers:
            handler(event)


class Informers:
    """The shared informers of one process."""

    def __init__(self, api: ApiServer, process: str) -> None:
        self._api = api
        self._process = process
        self._made: dict[type[ApiObject], Informer[Any]] = {}

    def of(self, kind: type[T]) -> Informer[T]:
        """The process's informer of a kind."""
        found = self._made.get(kind)
        if found is None:
            found = self._made[kind] = Informer(self._api, kind, f"{self._process}/{kind.__name__}")
        return cast("Informer[T]", found)

    def disconnect(self) -> None:
        """The process cannot reach the API server: its copies stay as they are."""
        for informer in self._made.values():
            informer.watch.disconnect()

    def reconnect(self, now: int) -> None:
        """It can again; what it missed arrives."""
        for informer in self._made.values():
            informer.watch.reconnect(now)
