"""Hand-written endpoints: EndpointSlices and Endpoints against the API server's rules and the Services there are.

Called by: `rules_topology`. Stricter than upstream: a Service that does not exist is an error, since nobody will ever
make it. A slice without the label kubernetes.io/service-name belongs to no Service, which gets a note.
"""

from collections.abc import Collection, Sequence

from netsim.cluster.objects import ApiObject, Endpoints, EndpointSlice
from netsim.cluster.validation.endpoints import validate_endpoints, validate_slice
from netsim.experiment.rules_api import tell
from netsim.experiment.rules_place import Loaded, Path, Place
from netsim.experiment.spec_names import did_you_mean


def check_endpoints(objects: Sequence[Loaded], services: Collection[tuple[str, str]]) -> None:
    """Record what is wrong. `services`: (namespace, name) of every Service there is."""
    for loaded in objects:
        thing, place = loaded.object, loaded.place
        if isinstance(thing, EndpointSlice):
            _check_slice(thing, place, services)
        elif isinstance(thing, Endpoints):
            tell(validate_endpoints(thing), place)
            _check_service(thing.metadata.name, thing, place, ("metadata", "name"), services)


def _check_slice(thing: EndpointSlice, place: Place, services: Collection[tuple[str, str]]) -> None:
    tell(validate_slice(thing), place)
    name = thing.service_name
    if name:
        path: Path = ("metadata", "labels", "kubernetes.io/service-name")
        _check_service(name, thing, place, path, services)
    else:
        place.problems.note(
            f"{place.line()}: EndpointSlice/{thing.metadata.name} has no label kubernetes.io/service-name: it belongs "
            "to no Service, and nobody uses it"
        )


def _check_service(
    name: str, thing: ApiObject, place: Place, path: Path, services: Collection[tuple[str, str]]
) -> None:
    namespace = thing.metadata.namespace
    if (namespace, name) not in services:
        here = [service for in_namespace, service in services if in_namespace == namespace]
        place.error(path, f'namespace {namespace} has no Service "{name}"{did_you_mean(name, here)}')
