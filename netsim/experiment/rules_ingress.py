"""Ingresses against the API server's rules, the Services there are, and the controller that is to serve them.

Called by: `loader`. Stricter than upstream: a backend Service or port that does not exist is an error (upstream
accepts it, and the controller answers 503); the annotation `netsim/allow-empty: "true"` on the Ingress says that it
is meant.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from netsim.cluster.ingress.configuration import Options, is_ours
from netsim.cluster.ingress.settings import EFFECTIVE_ANNOTATIONS, PREFIX
from netsim.cluster.objects import ApiObject, Deployment, Ingress, IngressClass, Service
from netsim.cluster.objects.ingress import IngressBackend
from netsim.cluster.validation.ingress import validate_class, validate_ingress
from netsim.experiment.addon_ingress import has_controller
from netsim.experiment.rules_annotations import ALLOW_EMPTY
from netsim.experiment.rules_api import tell
from netsim.experiment.rules_place import Loaded, Path, Place
from netsim.experiment.spec_names import did_you_mean

Services = Mapping[tuple[str, str], Service | None]


def check_ingresses(objects: Sequence[Loaded], services: Services, addons: Sequence[ApiObject]) -> None:
    """Record what is wrong with Ingresses and IngressClasses."""
    for loaded in objects:
        if isinstance(loaded.object, IngressClass):
            tell(validate_class(loaded.object), loaded.place)
        elif isinstance(loaded.object, Ingress):
            tell(validate_ingress(loaded.object), loaded.place)
            if loaded.object.metadata.annotations.get(ALLOW_EMPTY) != "true":
                _check_backends(loaded.object, loaded.place, services)
    _note_unserved(objects, addons)
    _note_annotations(objects)


def _backends(item: Ingress) -> Iterator[tuple[IngressBackend, Path]]:
    if item.spec.defaultBackend is not None:
        yield item.spec.defaultBackend, ("spec", "defaultBackend")
    for index, rule in enumerate(item.spec.rules):
        for position, entry in enumerate(rule.http.paths if rule.http is not None else ()):
            yield entry.backend, ("spec", "rules", index, "http", "paths", position, "backend")


def _check_backends(item: Ingress, place: Place, services: Services) -> None:
    namespace = item.metadata.namespace
    here = [name for in_namespace, name in services if in_namespace == namespace]
    for backend, path in _backends(item):
        to = backend.service
        if to is None or not to.name:
            continue
        if (namespace, to.name) not in services:
            message = f'namespace {namespace} has no Service "{to.name}"{did_you_mean(to.name, here)}'
            place.error((*path, "service", "name"), message)
            continue
        service = services[namespace, to.name]
        if service is None or service.spec.type == "ExternalName":
            continue
        ports = service.spec.ports
        wanted = to.port.name or to.port.number
        if wanted is None or any(wanted in (port.name, port.port) for port in ports):
            continue
        listed = ", ".join(f"{port.port} ({port.name})" if port.name else str(port.port) for port in ports)
        where = "name" if to.port.name else "number"
        message = f"Service/{to.name} has no port {wanted}: it has {listed or 'none'}"
        place.error((*path, "service", "port", where), message)


def _note_unserved(objects: Sequence[Loaded], addons: Sequence[ApiObject]) -> None:
    """Ingresses that no controller of the cluster looks at have no effect."""
    own = [item for item in addons if isinstance(item, Deployment)]
    if not own and has_controller(objects):
        return  # its flags may say anything
    classes = [item for item in _everything(objects, addons) if isinstance(item, IngressClass)]
    options = [
        Options.parse(c.args or (), "ingress-nginx") for d in own for c in d.spec.template.spec.containers
    ]
    for loaded in objects:
        item = loaded.object
        if isinstance(item, Ingress) and not any(is_ours(item, classes, given) for given in options):
            why = "names no class" if options else "there is no controller"
            if options and (
                item.spec.ingressClassName or "kubernetes.io/ingress.class" in item.metadata.annotations
            ):
                why = "is of a class that the controller does not serve"
            loaded.place.problems.note(
                f"{loaded.place.line()}: Ingress/{item.metadata.name} has no effect: "
                f"{'it ' if options else ''}{why}{': write ingressClassName: nginx' if options else ''}"
            )


def _everything(objects: Sequence[Loaded], addons: Iterable[ApiObject]) -> Iterator[ApiObject]:
    yield from addons
    yield from (loaded.object for loaded in objects)


def _note_annotations(objects: Sequence[Loaded]) -> None:
    """ingress-nginx has more than a hundred annotations; these do something here, the others are named."""
    names = [
        name
        for loaded in objects
        if isinstance(loaded.object, Ingress)
        for name in loaded.object.metadata.annotations
        if name.startswith(PREFIX) and name not in EFFECTIVE_ANNOTATIONS
    ]
    if names and objects:
        listed = ", ".join(sorted(set(names)))
        objects[0].place.problems.note(f"accepted, no effect on packets: annotations {listed}")
