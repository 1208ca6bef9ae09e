"""Ingresses and IngressClasses.

Called by admission and by the loader's rules. Source: pkg/apis/networking/validation/validation.go
(ValidateIngressCreate, ValidateIngressSpec, validateIngressBackend, validateIngressClassSpec).
"""

import ipaddress
from collections.abc import Iterator
from typing import Final

from netsim.cluster.objects import Ingress, IngressClass
from netsim.cluster.objects.ingress import HTTPIngressPath, IngressBackend, IngressRule
from netsim.cluster.validation import names
from netsim.cluster.validation.field import FieldError, Path, invalid, required

SPEC: Path = ("spec",)
CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
_BAD_SEQUENCES: Final = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES: Final = ("/..", "/.")


def validate_ingress(item: Ingress) -> list[FieldError]:
    """What the API server says about an Ingress."""
    return list(_all(item))


def _all(item: Ingress) -> Iterator[FieldError]:
    spec = item.spec
    if not spec.rules and spec.defaultBackend is None:
        yield invalid(SPEC, [], "either `defaultBackend` or `rules` must be specified")
    if spec.defaultBackend is not None:
        yield from _backend(spec.defaultBackend, (*SPEC, "defaultBackend"))
    for index, rule in enumerate(spec.rules):
        yield from _rule(rule, (*SPEC, "rules", index))
    if spec.ingressClassName is not None:
        for problem in names.dns1123_subdomain(spec.ingressClassName):
            yield invalid((*SPEC, "ingressClassName"), spec.ingressClassName, problem)
    annotated = item.metadata.annotations.get(CLASS_ANNOTATION)
    if annotated is not None and spec.ingressClassName not in (None, annotated):
        path = ("metadata", "annotations", CLASS_ANNOTATION)
        yield invalid(
            path, annotated, "must match `ingressClassName` when both are specified", "remove the annotation"
        )


def _rule(rule: IngressRule, path: Path) -> Iterator[FieldError]:
    if rule.host:
        yield from _host(rule.host, (*path, "host"))
    if rule.http is None:
        return
    where = (*path, "http", "paths")
    if not rule.http.paths:
        yield required(where)
    for index, entry in enumerate(rule.http.paths):
        yield from _path(entry, (*where, index))


def _host(host: str, path: Path) -> Iterator[FieldError]:
    if _is_address(host):
        hint = "leave host out for a rule that is for every host"
        yield invalid(path, host, "must be a DNS name, not an IP address", hint)
        return
    problems = names.wildcard_subdomain(host) if "*" in host else names.dns1123_subdomain(host)
    name, colon, port = host.partition(":")
    hint = f"write {name}: the port is not part of it" if colon and port.isdigit() else ""
    yield from (invalid(path, host, problem, hint) for problem in problems)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _path(entry: HTTPIngressPath, path: Path) -> Iterator[FieldError]:
    where = (*path, "path")
    if entry.pathType is None:
        yield required(
            (*path, "pathType"), "pathType must be specified", "write Prefix, Exact or ImplementationSpecific"
        )
        return
    exact = entry.pathType in ("Exact", "Prefix")
    if not entry.path.startswith("/") and (exact or entry.path):
        yield invalid(where, entry.path, "must be an absolute path", f"write /{entry.path}")
    if exact:
        for sequence in _BAD_SEQUENCES:
            if sequence in entry.path:
                yield invalid(where, entry.path, f"must not contain '{sequence}'")
        for suffix in _BAD_SUFFIXES:
            if entry.path.endswith(suffix):
                yield invalid(where, entry.path, f"cannot end with '{suffix}'")
    yield from _backend(entry.backend, (*path, "backend"))


def _backend(backend: IngressBackend, path: Path) -> Iterator[FieldError]:
    if backend.resource is not None and backend.service is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
        return
    if backend.service is None:
        if backend.resource is None:
            yield invalid(
                path,
                "",
                "resource or service backend is required",
                "write service: {name: ..., port: {number: ...}}",
            )
        return
    name, port = backend.service.name, backend.service.port
    where = (*path, "service")
    if not name:
        yield required((*where, "name"))
    for problem in names.dns1035_label(name) if name else ():
        yield invalid((*where, "name"), name, problem)
    if port.name and port.number is not None:
        yield invalid(path, "", "cannot set both port name & port number", "remove one of them")
    elif port.name:
        for problem in names.port_name(port.name):
            yield invalid((*where, "port", "name"), port.name, problem)
    elif port.number is None:
        yield required(path, "port name or number is required", "write port: {number: 80}")


def validate_class(item: IngressClass) -> list[FieldError]:
    """What the API server says about an IngressClass."""
    path: Path = ("spec", "controller")
    controller = item.spec.controller
    if not controller:
        return [required(path, hint="ingress-nginx is k8s.io/ingress-nginx")]
    if "/" not in controller:
        detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
        return [invalid(path, controller, detail)]
    return []
