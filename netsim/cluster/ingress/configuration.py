"""API objects -> what the proxy works with: servers with locations, and upstreams with endpoints.

Called by `store.py`. Source: ingress-nginx internal/ingress/controller/controller.go (getBackendServers, createServers,
createUpstreams), endpointslices.go (getEndpointsFromSlices), store/store.go (class selection).

- Ingresses are taken in the order of their creation; the first one to claim a host and path keeps it.
- Upstreams are endpoints, not ClusterIPs, unless `service-upstream` says otherwise; only ready endpoints count.
- `defaultBackend` serves what no path of the Ingress's hosts covers, or everything unclaimed if it has no rules.
- A backend that does not exist, or has no ready endpoint, is an upstream without endpoints: 503.

Simplified: no resource backends and no ExternalName backends (they answer 503), no canaries, no TLS.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from netsim.cluster.ingress.routing import CATCH_ALL, Location, PathType, RoutingTable, Server
from netsim.cluster.ingress.settings import ControllerSettings, location_settings
from netsim.cluster.objects import EndpointSlice, Ingress, IngressClass, Service, ServicePort
from netsim.cluster.objects.ingress import IngressBackend, IngressServiceBackend
from netsim.wire.addr import Address, ip

CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
DEFAULT_CLASS_ANNOTATION: Final = "ingressclass.kubernetes.io/is-default-class"
CONTROLLER_CLASS: Final = "k8s.io/ingress-nginx"

_ANY: Final[PathType] = "ImplementationSpecific"

Peer = tuple[Address, int]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Options:
    """The controller's flags, as far as they matter here."""

    ingress_class: str = "nginx"
    controller_class: str = CONTROLLER_CLASS
    without_class: bool = False
    publish_service: Key | None = None
    config_map: Key | None = None

    @classmethod
    def parse(cls, args: Iterable[str], namespace: str) -> "Options":
        """Read a container's arguments; `$(POD_NAMESPACE)` is the pod's namespace."""
        given = dict(_flag(text.replace("$(POD_NAMESPACE)", namespace)) for text in args)
        return cls(
            given.get("ingress-class", "nginx"),
            given.get("controller-class", CONTROLLER_CLASS),
            given.get("watch-ingress-without-class") == "true",
            _key(given.get("publish-service", "")),
            _key(given.get("configmap", "")),
        )


def _flag(text: str) -> tuple[str, str]:
    name, equals, value = text.lstrip("-").partition("=")
    return name, value if equals else "true"


def _key(text: str) -> Key | None:
    namespace, slash, name = text.partition("/")
    return (namespace, name) if slash else None


@dataclass(frozen=True)
class Configuration:
    """What one nginx knows."""

    table: RoutingTable = field(default_factory=RoutingTable)
    upstreams: Mapping[str, tuple[Peer, ...]] = field(default_factory=dict)
    settings: ControllerSettings = field(default_factory=ControllerSettings)

    def upstreams_of_services(self) -> dict[str, list[str]]:
        """The upstreams (one per port that is asked for) of each Service, `namespace/name`."""
        found: dict[str, list[str]] = {}
        for server in self.table.servers.values():
            for location in server.locations:
                names = found.setdefault(location.service, [])
                if location.upstream in self.upstreams and location.upstream not in names:
                    names.append(location.upstream)
        found.pop("", None)
        return found

    def needs_reload(self, other: "Configuration") -> bool:
        """Endpoints change at run time; everything else is in nginx.conf."""
        return self.table != other.table or self.settings != other.settings


@dataclass(frozen=True)
class Objects:
    """What the controller has seen of the API."""

    ingresses: Mapping[Key, Ingress]
    classes: Mapping[Key, IngressClass]
    services: Mapping[Key, Service]
    slices: Mapping[Key, Mapping[Key, EndpointSlice]]  # by Service


def is_ours(ingress: Ingress, classes: Iterable[IngressClass], options: Options) -> bool:
    """Whether the controller with these flags serves an Ingress. The old annotation counts first."""
    annotated = ingress.metadata.annotations.get(CLASS_ANNOTATION)
    if annotated is not None:
        return annotated == options.ingress_class
    ours = [item for item in classes if item.spec.controller == options.controller_class]
    name = ingress.spec.ingressClassName
    if name is not None:
        return any(item.metadata.name == name for item in ours)
    # The API server's DefaultIngressClass admission writes the default class into the object; same effect here.
    default = any(item.metadata.annotations.get(DEFAULT_CLASS_ANNOTATION) == "true" for item in ours)
    return options.without_class or default


def configure(objects: Objects, options: Options, settings: ControllerSettings) -> Configuration:
    """The configuration for what has been seen."""
    return _Builder(objects, settings).build(
        [item for item in objects.ingresses.values() if is_ours(item, objects.classes.values(), options)]
    )


class _Builder:
    def __init__(self, objects: Objects, settings: ControllerSettings) -> None:
        self._objects = objects
        self._settings = settings
        self._upstreams: dict[str, tuple[Peer, ...]] = {}
        self._servers: dict[str, dict[tuple[str, str], Location]] = {}

    def build(self, ingresses: list[Ingress]) -> Configuration:
        ordered = sorted(ingresses, key=lambda item: (item.metadata.creationTimestamp or 0, item.key))
        for ingress in ordered:
            self._rules(ingress)
        for ingress in ordered:
            self._default(ingress)
        servers = {host: Server.of(host, found.values()) for host, found in self._servers.items()}
        return Configuration(RoutingTable(servers), self._upstreams, self._settings)

    def _rules(self, ingress: Ingress) -> None:
        for rule in ingress.spec.rules:
            locations = self._servers.setdefault(rule.host.lower() or CATCH_ALL, {})
            for path in rule.http.paths if rule.http is not None else ():
                at = path.path or "/"
                kind = "Exact" if path.pathType == "Exact" else ""
                if (at, kind) not in locations:
                    locations[at, kind] = self._location(ingress, at, path.pathType or _ANY, path.backend)

    def _default(self, ingress: Ingress) -> None:
        """`/` of the Ingress's hosts, where no rule claims it."""
        backend = ingress.spec.defaultBackend
        if backend is None:
            return
        hosts = [rule.host.lower() or CATCH_ALL for rule in ingress.spec.rules] or [CATCH_ALL]
        for host in hosts:
            locations = self._servers.setdefault(host, {})
            if ("/", "") not in locations:
                locations["/", ""] = self._location(ingress, "/", "Prefix", backend)

    def _location(self, ingress: Ingress, path: str, kind: PathType, backend: IngressBackend) -> Location:
        settings = location_settings(ingress.metadata.annotations, self._settings.location)
        namespace = ingress.metadata.namespace
        owner = "/".join(ingress.key)
        to = backend.service
        if to is None:
            return Location(path, kind, "(no service)", owner, "", settings)
        name = f"{namespace}-{to.name}-{to.port.name or to.port.number}"
        if settings.service_upstream:
            name += " (service-upstream)"
        if name not in self._upstreams:
            peers = self._peers(namespace, to, settings.service_upstream)
            self._upstreams[name] = tuple(sorted(dict.fromkeys(peers)))
        return Location(path, kind, name, owner, f"{namespace}/{to.name}", settings)

    def _peers(self, namespace: str, to: IngressServiceBackend, by_service: bool) -> Iterator[Peer]:
        service = self._objects.services.get((namespace, to.name))
        port = _port(service, to) if service is not None else None
        if service is None or port is None:
            return
        if by_service and not service.spec.is_headless and service.spec.clusterIP:
            yield ip(service.spec.clusterIP), port.port
            return
        for item in self._objects.slices.get(service.key, {}).values():
            for offered in item.ports:
                if offered.name == port.name and offered.port and offered.protocol == "TCP":
                    yield from _ready(item, offered.port)


def _port(service: Service, to: IngressServiceBackend) -> ServicePort | None:
    for port in service.spec.ports:
        if port.name == to.port.name if to.port.name else port.port == to.port.number:
            return port
    return None


def _ready(item: EndpointSlice, port: int) -> Iterator[Peer]:
    if item.addressType == "FQDN":
        return
    for endpoint in item.endpoints:
        if endpoint.conditions.ready is not False:
            for address in endpoint.addresses:
                yield ip(address), port
