"""The EndpointSlice controller's facts (`CASES/kube_proxy/endpointslice_conditions.json`), one test per row."""

import json
from pathlib import Path
from typing import Any

import pytest

from netsim.cluster.controllers.endpoints import (
    CONTROLLER_NAME,
    endpoint_ports,
    new_slice,
    pod_to_endpoint,
    should_be_in_endpoints,
    should_set_hostname,
    with_hints,
)
from netsim.cluster.controllers.selectors import SelectorIndex
from netsim.cluster.objects import Endpoint, EndpointPort, EndpointSlice, Node, Pod, Service
from netsim.cluster.proxy_table import Translator
from netsim.dataplane.endpoints import reach
from netsim.dataplane.node_view import NodeView
from netsim.wire.addr import ip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" in metafunc.fixturenames:
        path = Path(metafunc.config.getoption("--cases")) / "kube_proxy" / "endpointslice_conditions.json"
        rows = json.loads(path.read_text()) if path.is_file() else []
        metafunc.parametrize("row", rows, ids=[row["id"] for row in rows])


def pod_of(raw: dict[str, Any]) -> Pod:
    """A pod of the facts, which leave out what the API server demands."""
    spec = dict(raw.get("spec") or {})
    spec.setdefault("containers", [])
    for kind in ("containers", "initContainers"):
        if kind in spec:
            spec[kind] = [{"name": f"{kind}-{n}", **entry} for n, entry in enumerate(spec[kind])]
    return Pod.model_validate({**raw, "spec": spec})


def service_of(raw: dict[str, Any]) -> Service:
    """A Service of the facts; a missing port number is the target's."""
    spec = dict(raw.get("spec") or {})
    spec["ports"] = [{"port": 1, **port} for port in spec.get("ports", [])]
    return Service.model_validate({**raw, "spec": spec})


def dump(model: Any) -> dict[str, Any]:
    """As the facts are written: nothing that is unset."""
    dumped: dict[str, Any] = model.model_dump(exclude_defaults=True)
    return dumped


def pod_to_endpoint_row(given: dict[str, Any]) -> dict[str, Any]:
    node = Node.model_validate(given["node"]) if given["node"] else None
    made = pod_to_endpoint(pod_of(given["pod"]), service_of(given["service"]), node, given["addressType"])
    return {"endpoint": json.loads(json.dumps(dump(made)))}


def ports_row(given: dict[str, Any]) -> dict[str, Any]:
    ports = endpoint_ports(service_of(given["service"]), pod_of(given["pod"]))
    return {
        "ports": [{"name": p.name, "port": p.port, "protocol": p.protocol, **_protocol(p)} for p in ports]
    }


def _protocol(port: EndpointPort) -> dict[str, str]:
    return {"appProtocol": port.appProtocol} if port.appProtocol else {}


def new_slice_row(given: dict[str, Any]) -> dict[str, Any]:
    service = service_of(given["service"])
    made = new_slice(service, given["addressType"], ())
    owner = made.metadata.ownerReferences[0]
    labels = {k: "<controller name>" if v == CONTROLLER_NAME else v for k, v in made.metadata.labels.items()}
    return {
        "labels": labels,
        "generateName": made.metadata.generateName,
        "namespace": made.metadata.namespace,
        "ownerReference": {
            "apiVersion": owner.apiVersion,
            "kind": owner.kind,
            "name": owner.name,
            "controller": owner.controller,
            "blockOwnerDeletion": owner.blockOwnerDeletion,
        },
        "addressType": made.addressType,
        "endpoints": list(made.endpoints),
    }


def memberships_row(given: dict[str, Any]) -> dict[str, Any]:
    index = SelectorIndex()
    for raw in given["services"]:
        service = service_of(raw)
        index.add(service.key, service.spec.selector)
    pod = pod_of(given["pod"])
    return {
        "services": ["/".join(key) for key in index.matching(pod.metadata.namespace, pod.metadata.labels)]
    }


def hints_row(given: dict[str, Any]) -> dict[str, Any]:
    endpoints = [Endpoint.model_validate(raw) for raw in given["endpoints"]]
    made = [with_hints(endpoint, given["trafficDistribution"]) for endpoint in endpoints]
    return {"endpoints": [json.loads(json.dumps(dump(endpoint))) for endpoint in made]}


def local_ready_row(given: dict[str, Any]) -> dict[str, Any]:
    services = [service_of(raw) for raw in given["objects"] if raw["kind"] == "Service"]
    slices = [EndpointSlice.model_validate(raw) for raw in given["objects"] if raw["kind"] == "EndpointSlice"]
    view = NodeView(given["nodeName"], ip("192.168.0.1"))
    found = {}
    for service in services:
        ports = Translator().ports(service, slices)
        ready = {str(e) for port in ports for e in port.endpoints if e.ready and e.node == view.name}
        assert all(reach(port, view) is not None for port in ports)
        if ready:
            found["/".join(service.key)] = len(ready)
    return {"localReadyEndpoints": found}


KINDS = {
    "podToEndpoint": pod_to_endpoint_row,
    "shouldPodBeInEndpoints": lambda given: {
        "included": should_be_in_endpoints(
            pod_of(given["pod"]), include_terminating=given["includeTerminating"]
        )
    },
    "getEndpointPorts": ports_row,
    "shouldSetHostname": lambda given: {
        "setHostname": should_set_hostname(pod_of(given["pod"]), service_of(given["service"]))
    },
    "newEndpointSlice": new_slice_row,
    "podServiceMemberships": memberships_row,
    "trafficDistributionHints": hints_row,
    "localReadyEndpoints": local_ready_row,
}


def test_row(row: dict[str, Any]) -> None:
    got = KINDS[row["kind"]](row["input"])
    assert got == json.loads(json.dumps(row["expect"]))
