"""The controller's own copy of the API objects, kept by watches, which are late like everybody's.

Made by the proxy's process, one per pod: two controllers may disagree for a while. Source: ingress-nginx
internal/ingress/controller/store/store.go (its informers).
"""

from collections.abc import Callable
from typing import Any

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.ingress.configuration import Configuration, Key, Objects, Options, configure
from netsim.cluster.ingress.settings import controller_settings
from netsim.cluster.objects import ApiObject, ConfigMap, EndpointSlice, Ingress, IngressClass, Service
from netsim.cluster.watch import Watch, WatchEvent


class IngressStore:
    """`changed()` is called when something was seen that may change the configuration."""

    def __init__(self, api: ApiServer, options: Options, watcher: str, changed: Callable[[], None]) -> None:
        self._options = options
        self._changed = changed
        self._ingresses: dict[Key, Ingress] = {}
        self._classes: dict[Key, IngressClass] = {}
        self._services: dict[Key, Service] = {}
        self._slices: dict[Key, dict[Key, EndpointSlice]] = {}
        self._config: dict[str, str] = {}
        seen: dict[type[ApiObject], Callable[[WatchEvent[Any]], None]] = {
            IngressClass: lambda event: self._keep(self._classes, event),
            Ingress: lambda event: self._keep(self._ingresses, event),
            Service: lambda event: self._keep(self._services, event),
            EndpointSlice: self._slice,
            ConfigMap: self._config_map,
        }
        self._watches: list[Watch] = [
            api.watch(kind, handler, f"{watcher}/{kind.__name__}") for kind, handler in seen.items()
        ]

    def configuration(self) -> Configuration:
        """What follows from everything seen so far."""
        objects = Objects(self._ingresses, self._classes, self._services, self._slices)
        return configure(objects, self._options, controller_settings(self._config))

    @property
    def current(self) -> bool:
        """Whether the watches have delivered everything that they will deliver."""
        return all(watch.current for watch in self._watches)

    def stop(self) -> None:
        """The process is gone."""
        for watch in self._watches:
            watch.stop()

    def disconnect(self) -> None:
        """The node is cut off from the API server: what is known grows old."""
        for watch in self._watches:
            watch.disconnect()

    def reconnect(self, now: int) -> None:
        """The way is open again."""
        for watch in self._watches:
            watch.reconnect(now)

    # ------------------------------------------------------------------ events
    def _keep(self, shelf: dict[Key, Any], event: WatchEvent[Any]) -> None:
        item = event.object
        if event.type == "DELETED":
            shelf.pop(item.key, None)
        else:
            before = shelf.get(item.key)
            shelf[item.key] = item
            if isinstance(item, Ingress) and before is not None and _same(before, item):
                return  # its status, which this controller writes itself
        self._changed()

    def _slice(self, event: WatchEvent[EndpointSlice]) -> None:
        item = event.object
        owner = (item.metadata.namespace, item.service_name)
        shelf = self._slices.setdefault(owner, {})
        if event.type == "DELETED":
            shelf.pop(item.key, None)
        else:
            shelf[item.key] = item
        self._changed()

    def _config_map(self, event: WatchEvent[ConfigMap]) -> None:
        if event.object.key == self._options.config_map:
            self._config = {} if event.type == "DELETED" else dict(event.object.data)
            self._changed()


def _same(before: Ingress, after: Ingress) -> bool:
    return before.spec == after.spec and before.metadata.annotations == after.metadata.annotations
