"""Field paths: those that exist, and the nearest one to those that do not."""

import pytest

from netsim.experiment.field_paths import joined, unknown_field
from netsim.experiment.loader_objects import changed_objects
from netsim.experiment.loader_variants import field_path, with_field
from netsim.experiment.yaml_tree import parse_yaml

PROBE = "manifests[Deployment/web].spec.template.spec.containers[0].readinessProbe"


@pytest.mark.parametrize(
    "path",
    [
        "duration", "load[0].rate", "load[shop].from", "faults[0].at", "until.halfWidth", "cluster.networking.cni",
        "cluster.kubeProxy.iptables.minSyncPeriod", "cluster.links.default.delay", f"{PROBE}.periodSeconds",
        "cluster.nodes[0].labels[topology.kubernetes.io/zone]", "manifests[Deployment/shop/web].spec.replicas",
        "servers[0].serviceTime.mean", "load[0].headers.Host",
    ],
)  # fmt: skip
def test_fields_that_there_are(path: str) -> None:
    assert unknown_field(path) == ""
    assert joined(list(field_path(path))) == path.replace("[0]", "[0]")


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("durations", "duration"),
        ("load[0].rat", "load[0].rate"),
        ("cluster.networking.kubeProxyMod", "cluster.networking.kubeProxyMode"),
        ("cluster.netwroking.cni", "cluster.networking.cni"),
        ("clutser.networking.cni", "cluster.networking.cni"),
        ("networking.kubeProxyMode", "cluster.networking.kubeProxyMode"),
        ("kubeProxyMode", "cluster.networking.kubeProxyMode"),
        (f"{PROBE}.periodSecond", f"{PROBE}.periodSeconds"),
        ("faults[0].deley", "faults[0].delay"),
        ("rate", "load[0].rate"),
    ],
)
def test_the_nearest_field(path: str, meant: str) -> None:
    assert f'there is no field "{path}" (did you mean "{meant}"?)' == unknown_field(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("xyzzy", '"xyzzy" is not among'),
        ("manifests[Deployment/web]", "names an object and no field of it"),
        ("load[", "is no field path"),
        ("", "is no field path"),
    ],
)
def test_other_mistakes(path: str, message: str) -> None:
    assert message in unknown_field(path)


MANIFESTS = """
kind: Deployment
metadata: {name: web}
spec: {replicas: 1}
---
kind: List
items:
- {kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}
- {kind: Service, metadata: {name: web, namespace: shop}, spec: {ports: [{port: 81}]}}
"""


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("manifests[Deployment/web].spec.replicas", (0, ["spec", "replicas"])),
        ("manifests[Deployment/default/web].spec.replicas", (0, ["spec", "replicas"])),
        ("manifests[Deployment/web].metadata.labels[x.com/y]", (0, ["metadata", "labels", "x.com/y"])),
        ("manifests[Service/shop/web].spec.ports[0].port", (1, ["items", 1, "spec", "ports", 0, "port"])),
    ],
)  # fmt: skip
def test_fields_of_objects(path: str, where: tuple[int, list[str | int]]) -> None:
    manifests = [(document, "a.yaml") for document in parse_yaml(MANIFESTS).documents]
    changed = changed_objects(manifests, {path: 7}, lambda path, why: pytest.fail(f"{path}: {why}"))
    number, items = where
    found = changed[number][0].data
    for item in items:
        found = found[item]
    assert found == 7
    assert changed[1 - number] == manifests[1 - number]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("manifests[Service/web].spec", "several namespaces have Service/web: write [KIND/NAMESPACE/NAME]"),
        ("manifests[Deployment/wbe].spec", 'called "Deployment/wbe" (did you mean "Deployment/web"?)'),
        ("manifests[Deployment/web].spec[1]", "no entry 1: the value before it is no list"),
    ],
)
def test_objects_that_there_are_not(path: str, why: str) -> None:
    manifests = [(document, "a.yaml") for document in parse_yaml(MANIFESTS).documents]
    said: list[str] = []
    changed_objects(manifests, {path: 7}, lambda _path, why: said.append(why))
    assert len(said) == 1
    assert why in said[0]


def test_a_key_with_dots_stands_in_brackets() -> None:
    path = list(field_path("labels[app.kubernetes.io/name]"))
    assert with_field({"labels": {"a": "b"}}, path, "web") == {
        "labels": {"a": "b", "app.kubernetes.io/name": "web"}
    }
