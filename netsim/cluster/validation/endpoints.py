"""EndpointSlices and Endpoints written by hand.

Called by admission and by the loader's rules. Sources: pkg/apis/discovery/validation/validation.go,
pkg/apis/core/validation/validation.go (ValidateEndpoints).
"""

from collections.abc import Iterator, Sequence
from typing import Final

from netsim.cluster.objects import Endpoints, EndpointSlice, EndpointSubset
from netsim.cluster.validation import names
from netsim.cluster.validation.field import FieldError, Path, duplicate, invalid, required, too_many

MOST_ENDPOINTS: Final = 1000
MOST_ADDRESSES: Final = 100
MOST_PORTS: Final = 20_000
_VERSIONS: Final = {"IPv4": 4, "IPv6": 6}


def validate_slice(item: EndpointSlice) -> list[FieldError]:
    """What the API server says about an EndpointSlice."""
    return [*_slice_endpoints(item), *_slice_ports(item)]


def _slice_endpoints(item: EndpointSlice) -> Iterator[FieldError]:
    if len(item.endpoints) > MOST_ENDPOINTS:
        yield too_many(("endpoints",), len(item.endpoints), MOST_ENDPOINTS)
        return
    for index, endpoint in enumerate(item.endpoints):
        path: Path = ("endpoints", index, "addresses")
        if not endpoint.addresses:
            yield required(path, "must contain at least 1 address")
        elif len(endpoint.addresses) > MOST_ADDRESSES:
            yield too_many(path, len(endpoint.addresses), MOST_ADDRESSES)
        for position, text in enumerate(endpoint.addresses):
            yield from _slice_address(item.addressType, text, (*path, position))
        if endpoint.hostname is not None:
            for problem in names.dns1123_label(endpoint.hostname):
                yield invalid(("endpoints", index, "hostname"), endpoint.hostname, problem)


def _slice_address(kind: str, text: str, path: Path) -> Iterator[FieldError]:
    version = _VERSIONS.get(kind)
    if version is None:
        problems = list(names.dns1123_subdomain(text.removesuffix(".")))
        if not problems and "." not in text.removesuffix("."):
            problems = ["should be a domain with at least two segments separated by dots"]
        yield from (invalid(path, text, problem) for problem in problems)
        return
    wrong = list(names.address(text, version))
    other = {4: 6, 6: 4}[version]
    fits = bool(wrong) and not list(names.address(text, other))
    hint = (
        f"addressType {kind} has only such addresses: make a slice of addressType IPv{other}" if fits else ""
    )
    yield from (invalid(path, text, problem, hint) for problem in wrong)
    yield from (invalid(path, text, problem) for problem in names.non_special(text))


def _slice_ports(item: EndpointSlice) -> Iterator[FieldError]:
    if len(item.ports) > MOST_PORTS:
        yield too_many(("ports",), len(item.ports), MOST_PORTS)
        return
    seen: dict[str, None] = {}
    for index, port in enumerate(item.ports):
        path: Path = ("ports", index)
        if port.name:
            for problem in names.dns1123_label(port.name):
                yield invalid((*path, "name"), port.name, problem)
        if port.name in seen:
            yield duplicate((*path, "name"), port.name)
        seen[port.name] = None
        if port.appProtocol is not None:
            for problem in names.qualified_name(port.appProtocol):
                yield invalid((*path, "appProtocol"), port.appProtocol, problem)


def validate_endpoints(item: Endpoints) -> list[FieldError]:
    """What the API server says about an Endpoints object."""
    return [
        error for index, subset in enumerate(item.subsets) for error in _subset(subset, ("subsets", index))
    ]


def _subset(subset: EndpointSubset, path: Path) -> Iterator[FieldError]:
    if not subset.addresses and not subset.notReadyAddresses:
        yield required(path, "must specify `addresses` or `notReadyAddresses`")
    for kind in ("addresses", "notReadyAddresses"):
        yield from _addresses(getattr(subset, kind), (*path, kind))
    for index, port in enumerate(subset.ports):
        where = (*path, "ports", index, "name")
        if len(subset.ports) > 1 and not port.name:
            yield required(where)
        for problem in names.dns1123_label(port.name) if port.name else ():
            yield invalid(where, port.name, problem)


def _addresses(given: Sequence[object], path: Path) -> Iterator[FieldError]:
    for index, entry in enumerate(given):
        text, hostname = str(getattr(entry, "ip", "")), str(getattr(entry, "hostname", ""))
        for problem in (*names.address(text), *names.non_special(text)):
            yield invalid((*path, index, "ip"), text, problem)
        for problem in names.dns1123_label(hostname) if hostname else ():
            yield invalid((*path, index, "hostname"), hostname, problem)
