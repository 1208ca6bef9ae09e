"""`kubectl get`: which objects, and in which of the forms of `-o` they are printed.

Called by: `verbs_get`. Forms: none, wide, name, yaml, json, jsonpath=, custom-columns=.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from netsim.cluster.objects import (
    ApiObject,
    Endpoints,
    EndpointSlice,
    LabelSelector,
    LabelSelectorRequirement,
    ObjectMeta,
    Service,
)
from netsim.cluster.objects.discovery import EndpointAddress, EndpointsPort, EndpointSubset
from netsim.experiment.kubectl import columns_apps, columns_core, columns_net
from netsim.experiment.kubectl.columns import PLAIN, Column, Layout, View, text
from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.kubectl.document import document, to_yaml
from netsim.experiment.kubectl.jsonpath import plain, render, select
from netsim.experiment.kubectl.resources import Resource
from netsim.experiment.kubectl.tabwriter import table

COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "Pod": columns_core.POD,
    "Node": columns_core.NODE,
    "Namespace": columns_core.NAMESPACE,
    "ConfigMap": columns_core.CONFIG_MAP,
    "Secret": columns_core.SECRET,
    "Lease": columns_core.LEASE,
    "Event": columns_core.EVENT,
    "Deployment": columns_apps.DEPLOYMENT,
    "ReplicaSet": columns_apps.REPLICA_SET,
    "StatefulSet": columns_apps.STATEFUL_SET,
    "DaemonSet": columns_apps.DAEMON_SET,
    "PodDisruptionBudget": columns_apps.BUDGET,
    "Service": columns_net.SERVICE,
    "Endpoints": columns_net.ENDPOINTS,
    "EndpointSlice": columns_net.ENDPOINT_SLICE,
    "Ingress": columns_net.INGRESS,
    "IngressClass": columns_net.INGRESS_CLASS,
}


def view_of(context: Context, wide: bool = False) -> View:
    """What cells need to know of the cluster."""
    spec = context.cluster.spec
    return View(context.now, context.api, release(spec.kubernetesVersion), spec.kernel, wide)


def release(version: str) -> str:
    """`v1.34.0`: the VERSION of a node; the patch release is 0 unless the topology says otherwise."""
    return f"v{version}" if version.count(".") > 1 else f"v{version}.0"


# ---------------------------------------------------------------------- finding
def fetch(context: Context, resource: Resource, namespace: str | None, name: str = "") -> list[ApiObject]:
    """The objects of a resource, sorted by namespace and name; `namespace` None: all. Raises KubectlError when a name
    is not there."""
    where = namespace if resource.namespaced else None
    found = [item for item in _stored(context, resource.kind, where) if name in ("", item.metadata.name)]
    if name and not found:
        raise KubectlError(f'Error from server (NotFound): {resource.full} "{name}" not found')
    if resource.kind == "Event":
        return found
    return sorted(found, key=lambda item: item.key)


def _stored(context: Context, kind: str, namespace: str | None) -> list[ApiObject]:
    if kind == "Event":
        return list(context.events.items(namespace))
    found: list[ApiObject] = context.api.list(kind, namespace)
    if kind == "Endpoints":
        found += _written_endpoints(context, namespace, {item.key for item in found})
    return found


def _written_endpoints(
    context: Context, namespace: str | None, known: set[tuple[str, str]]
) -> list[ApiObject]:
    """What the Endpoints controller would write: netsim keeps only the EndpointSlices that kube-proxy reads."""
    made: list[ApiObject] = []
    for service in context.api.list(Service, namespace):
        if service.key in known or service.spec.type == "ExternalName":
            continue
        slices = [
            item
            for item in context.api.list(EndpointSlice, service.metadata.namespace)
            if item.service_name == service.metadata.name
        ]
        if service.spec.selector or slices:
            meta = ObjectMeta(
                name=service.metadata.name,
                namespace=service.metadata.namespace,
                labels=service.metadata.labels,
                creationTimestamp=service.metadata.creationTimestamp,
            )
            made.append(Endpoints(metadata=meta, subsets=tuple(map(_subset, slices))))
    return made


def _subset(item: EndpointSlice) -> EndpointSubset:
    ready: list[EndpointAddress] = []
    waiting: list[EndpointAddress] = []
    for endpoint in sorted(item.endpoints, key=lambda entry: entry.addresses):
        place = ready if endpoint.conditions.ready is not False else waiting
        for address in endpoint.addresses:
            place.append(
                EndpointAddress(ip=address, nodeName=endpoint.nodeName, targetRef=endpoint.targetRef)
            )
    ports = tuple(
        EndpointsPort(port=port.port, name=port.name, protocol=port.protocol)
        for port in item.ports
        if port.port is not None
    )
    return EndpointSubset(addresses=tuple(ready), notReadyAddresses=tuple(waiting), ports=ports)


# ---------------------------------------------------------------------- selecting
_TERM: Final = re.compile(
    r"\s*(?:(?P<set>[\w./-]+)\s+(?P<word>in|notin)\s*\((?P<values>[^)]*)\)"
    r"|(?P<key>[\w./-]+)\s*(?P<op>==|!=|=)\s*(?P<value>[\w.-]*)|(?P<absent>!)?\s*(?P<plain>[\w./-]+))\s*(?:,|$)"
)


def parse_selector(selector: str) -> LabelSelector:
    """`app=web,tier!=db,env in (a,b),!x`. Raises KubectlError."""
    found, at = [], 0
    while at < len(selector):
        term = _TERM.match(selector, at)
        if term is None:
            raise KubectlError(f"error: unable to parse requirement: found '{selector[at:]}'")
        found.append(_requirement(term))
        at = term.end()
    return LabelSelector(matchExpressions=tuple(found))


def _requirement(term: re.Match[str]) -> LabelSelectorRequirement:
    part = term.groupdict()
    if part["set"]:
        values = tuple(value.strip() for value in part["values"].split(","))
        return LabelSelectorRequirement(
            key=part["set"], operator="In" if part["word"] == "in" else "NotIn", values=values
        )
    if part["key"]:
        return LabelSelectorRequirement(
            key=part["key"], operator="NotIn" if part["op"] == "!=" else "In", values=(part["value"],)
        )
    return LabelSelectorRequirement(
        key=part["plain"], operator="DoesNotExist" if part["absent"] else "Exists"
    )


def field_selected(item: ApiObject, selector: str) -> bool:
    """`--field-selector status.phase=Running,spec.nodeName!=a`"""
    data = document(item)
    for term in filter(None, selector.split(",")):
        name, negated, value = _field_term(term)
        found = select(data, f".{name}")
        if ((plain(found[0]) if found else "") == value) == negated:
            return False
    return True


def _field_term(term: str) -> tuple[str, bool, str]:
    for operator in ("!=", "==", "="):
        name, found, value = term.partition(operator)
        if found:
            return name, operator == "!=", value
    raise KubectlError(f"error: invalid selector: '{term}'; can't understand '{term}'")


# ---------------------------------------------------------------------- printing
def machine_text(form: str, items: Sequence[ApiObject], single: bool) -> str | None:
    """`-o yaml|json|jsonpath|custom-columns`; None for a form that is a table."""
    kind, _, argument = form.partition("=")
    if kind in ("", "wide", "name"):
        return None
    documents = [document(item) for item in items]
    whole: Any = documents[0] if single and documents else _list(documents)
    if kind == "yaml":
        return to_yaml(whole)
    if kind == "json":
        return json.dumps(whole, indent=4, ensure_ascii=False) + "\n"
    if kind in ("jsonpath", "jsonpath-as-json"):
        if kind == "jsonpath-as-json":
            return json.dumps(select(whole, argument.strip("{}")), indent=4) + "\n"
        return render(argument, whole)
    if kind == "custom-columns":
        return _custom(argument, documents)
    forms = "custom-columns, json, jsonpath, jsonpath-as-json, name, wide, yaml"
    raise KubectlError(
        f'error: unable to match a printer suitable for the output format "{form}", allowed formats are: {forms}'
    )


def _list(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "items": documents, "kind": "List", "metadata": {"resourceVersion": ""}}


def _custom(argument: str, documents: list[dict[str, Any]]) -> str:
    """`NAME:.metadata.name,IP:.status.podIP`"""
    if not argument:
        raise KubectlError("error: custom-columns format specified but no custom columns given")
    wanted = [part.partition(":")[::2] for part in argument.split(",")]
    for name, path in wanted:
        if not path:
            raise KubectlError(
                f"error: unexpected custom-columns spec: {name}, expected <header>:<json-path-expr>"
            )
    lines = [tuple(name for name, _ in wanted)]
    for data in documents:
        cells = [[plain(value) for value in select(data, path.strip("{}"))] for _, path in wanted]
        lines.append(tuple(",".join(cell) or "<none>" for cell in cells))
    return table(lines)


def names_text(targets: Sequence[tuple[Resource, ApiObject]]) -> str:
    """`-o name`"""
    return "".join(f"{resource.named(item.metadata.name)}\n" for resource, item in targets)


def table_text(context: Context, resource: Resource, items: Sequence[ApiObject], layout: Layout) -> str:
    """One kind's table."""
    columns = COLUMNS.get(resource.kind, PLAIN)
    return text(items, columns, view_of(context, layout.wide), layout)
