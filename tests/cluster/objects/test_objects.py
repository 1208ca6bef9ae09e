"""The API object models: upstream's fields, selectors, evolve, and what counts as without effect."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from netsim.cluster.objects import (
    Container,
    ContainerPort,
    LabelSelector,
    LabelSelectorRequirement,
    ObjectMeta,
    Pod,
    PodSpec,
    ServicePort,
    evolve,
    matches_labels,
)
from netsim.cluster.objects.registry import KINDS, inert_paths, parse_object

ROOTS = {
    "Deployment": "apps.Deployment",
    "ReplicaSet": "apps.ReplicaSet",
    "StatefulSet": "apps.StatefulSet",
    "DaemonSet": "apps.DaemonSet",
    "EndpointSlice": "discovery.EndpointSlice",
    "Lease": "coordination.Lease",
    "Ingress": "networking.Ingress",
    "IngressClass": "networking.IngressClass",
    "PodDisruptionBudget": "policy.PodDisruptionBudget",
}


def upstream() -> dict[str, dict[str, str]]:
    text = Path(__file__).with_name("upstream_fields.txt").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\n    ", " ").splitlines() if not line.startswith("#")]
    entries = (line.split(" = ") for line in lines)
    return {name: dict(field.partition(":")[::2] for field in fields.split()) for name, fields in entries}


def probes(
    types: dict[str, dict[str, str]], name: str, inside: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """One mapping per upstream field below `name`, holding only that field."""
    for field, nested in types[name].items():
        inner = nested.strip("[]")
        if not inner or inner in inside:
            yield {field: None}
            continue
        for value in probes(types, inner, (*inside, inner)):
            yield {field: [value] if nested.startswith("[") else value}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_upstream_field_is_known(kind: str) -> None:
    model = KINDS[kind]
    for raw in probes(upstream(), ROOTS.get(kind, kind)):
        try:
            model.model_validate(raw)
        except ValidationError as error:
            unknown = [problem for problem in error.errors() if problem["type"] == "extra_forbidden"]
            assert not unknown, (raw, unknown)


@pytest.mark.parametrize(
    ("raw", "location"),
    [
        ({"name": "c", "readinesProbe": {}}, ("readinesProbe",)),
        ({"name": "c", "volumeMounts": [{"mountPth": "/"}]}, ("volumeMounts", 0, "mountPth")),
        ({"name": "c", "securityContext": {"capabilities": {"ad": []}}}, ("securityContext", "capabilities", "ad")),
        ({"name": "c", "ports": [{"containerPort": "80"}]}, ("ports", 0, "containerPort")),
        ({"name": "c", "readinessProbe": {"periodSeconds": 0}}, ("readinessProbe", "periodSeconds")),
    ],
)  # fmt: skip
def test_mistakes_are_located(raw: dict[str, Any], location: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        Container.model_validate(raw)
    assert [error["loc"] for error in caught.value.errors()] == [location]


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))


@given(labels, labels)
def test_an_equality_selector_is_a_subset_test(selector: dict[str, str], having: dict[str, str]) -> None:
    assert matches_labels(selector, having) == (selector.items() <= having.items())


@given(labels, st.sampled_from("abc"), st.lists(st.sampled_from("xyz")))
def test_opposite_operators_partition(having: dict[str, str], key: str, values: list[str]) -> None:
    def holds(operator: str) -> bool:
        requirement = LabelSelectorRequirement.model_validate(
            {"key": key, "operator": operator, "values": values}
        )
        return LabelSelector(matchExpressions=(requirement,)).matches(having)

    assert holds("In") != holds("NotIn")
    assert holds("Exists") != holds("DoesNotExist")
    assert holds("Exists") == (key in having)


def pod() -> Pod:
    port = ContainerPort(containerPort=8080, name="http")
    return Pod(metadata=ObjectMeta(name="a"), spec=PodSpec(containers=(Container(name="c", ports=(port,)),)))


def test_evolve_replaces_paths_and_leaves_the_original() -> None:
    before = pod()
    after = evolve(
        before, {"status.phase": "Running", "status.podIP": "10.244.1.2"}, spec__nodeName="worker-1"
    )
    assert (after.status.phase, after.status.podIP, after.spec.nodeName) == (
        "Running",
        "10.244.1.2",
        "worker-1",
    )
    assert (before.status.phase, before.spec.nodeName) == ("Pending", "")
    assert after.spec.containers is before.spec.containers
    with pytest.raises(AttributeError, match="no field 'fase'"):
        evolve(before, {"status.fase": "Running"})


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        pod().spec.nodeName = "worker-1"  # type: ignore[misc]


def test_inert_paths_name_what_was_set() -> None:
    raw = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"volumes": [{"name": "v"}], "containers": [{"name": "c", "tty": True}, {"name": "d", "tty": True}]},
    }  # fmt: skip
    assert sorted(set(inert_paths(parse_object(raw)))) == ["spec.containers[].tty", "spec.volumes"]


def test_small_rules() -> None:
    assert pod().spec.port_named("http") == 8080
    assert pod().spec.port_named("http", "UDP") is None
    assert ServicePort(port=80).target == 80
    assert ServicePort(port=80, targetPort="http").target == "http"
    raw = {
        "kind": "Pod",
        "metadata": {"creationTimestamp": "1970-01-01T00:00:01.5Z", "resourceVersion": "12"},
        "spec": {"containers": []},
    }
    meta = parse_object(raw).metadata
    assert (meta.creationTimestamp, meta.resourceVersion) == (1_500_000_000, 12)
    assert (
        parse_object({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": []}).kind
        == "Role"
    )
