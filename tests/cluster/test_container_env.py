"""A container's own environment: literal values, references, ConfigMaps, Secrets, fields of the pod."""

import base64
import itertools
from typing import Any

import pytest
from clusterlab import World, make_world

from netsim.cluster.kubelet.container_env import expand
from netsim.cluster.objects import ConfigMap, ObjectMeta, Pod, PodSpec, Secret, Service
from netsim.engine import S

KNOWN = {"HOST": "10.96.0.7", "PORT": "5000", "EMPTY": ""}
# k8s.io/kubernetes/third_party/forked/golang/expansion: `$(NAME)` of a known name, `$$` for a dollar.
EXPANSIONS = [
    ("", ""),
    ("plain", "plain"),
    ("http://$(HOST):$(PORT)/", "http://10.96.0.7:5000/"),
    ("$(NOBODY)", "$(NOBODY)"),
    ("$$(HOST)", "$(HOST)"),
    ("$$$(HOST)", "$10.96.0.7"),
    ("$$$$(HOST)", "$$(HOST)"),
    ("[$(EMPTY)]", "[]"),
    ("$HOST", "$HOST"),
    ("$(HOST", "$(HOST"),
    ("cost: 5$", "cost: 5$"),
    ("$(HOST)$(PORT)", "10.96.0.75000"),
]


@pytest.mark.parametrize(("value", "expanded"), EXPANSIONS)
def test_references(value: str, expanded: str) -> None:
    assert expand(value, KNOWN) == expanded


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def secret(name: str, **data: str) -> Secret:
    meta = ObjectMeta(name=name, namespace="default")
    return Secret(
        metadata=meta, data={key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    )


def web() -> Service:
    raw = {"metadata": {"name": "web", "namespace": "default"}, "apiVersion": "v1", "kind": "Service"}
    return Service.model_validate({**raw, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})


def boot(container: dict[str, Any], *objects: Any) -> World:
    spec = PodSpec.model_validate({"containers": [{"name": "app", **container}]})
    meta = ObjectMeta(name="p", namespace="default", labels={"app": "shop"})
    world = make_world(1, 1)
    world.boot(objects)
    world.api.create(Pod(metadata=meta, spec=spec))
    world.run(5 * S)
    return world


def env_of(container: dict[str, Any], *objects: Any) -> dict[str, str]:
    (host,) = boot(container, *objects).runtime.hosts
    return dict(host.env)


def field(path: str) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "default"),
        ("metadata.labels['app']", "shop"),
        ("metadata.labels['none']", ""),
        ("spec.nodeName", "worker-1"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "10.244.1.2"),
        ("status.hostIP", "172.18.0.4"),
        ("status.podIPs", "10.244.1.2"),
    ],
)
def test_fields_of_the_pod(path: str, value: str) -> None:
    assert env_of({"env": [field(path)]})["X"] == value


def test_a_variable_may_use_earlier_ones_and_services() -> None:
    env = env_of(
        {
            "env": [
                {"name": "PORT", "value": "$(WEB_SERVICE_PORT)"},
                {"name": "URL", "value": "http://$(WEB_SERVICE_HOST):$(PORT)$(LATER)"},
                {"name": "LATER", "value": "/"},
            ]
        },
        web(),
    )
    assert env["URL"] == f"http://{env['WEB_SERVICE_HOST']}:80$(LATER)"


def test_a_containers_own_variable_wins_over_a_services() -> None:
    assert (
        env_of({"env": [{"name": "WEB_SERVICE_PORT", "value": "8080"}]}, web())["WEB_SERVICE_PORT"] == "8080"
    )


def test_maps_and_secrets() -> None:
    env = env_of(
        {
            "envFrom": [{"configMapRef": {"name": "all"}}, {"prefix": "DB_", "secretRef": {"name": "db"}}],
            "env": [
                {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "all", "key": "LEVEL"}}},
                {"name": "TWO", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                {
                    "name": "NONE",
                    "valueFrom": {"secretKeyRef": {"name": "no", "key": "no", "optional": True}},
                },
                {"name": "LEVEL", "value": "mine, not $(LEVEL)"},
            ],
        },
        config_map("all", **{"LEVEL": "debug", "1BAD": "key", "dotted.key": "fine"}),
        secret("db", password="s3cret"),
    )
    assert {name: env[name] for name in ("ONE", "TWO", "LEVEL", "DB_password", "dotted.key")} == {
        "ONE": "debug", "TWO": "s3cret", "LEVEL": "mine, not debug", "DB_password": "s3cret", "dotted.key": "fine",
    }  # fmt: skip
    assert not {"NONE", "1BAD"} & set(env)


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "later"}}]}, 'configmap "later" not found'),
        ({"envFrom": [{"secretRef": {"name": "later"}}]}, 'secret "later" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "there", "key": "none"}}}]},
            "couldn't find key none in ConfigMap default/there",
        ),
    ],
)
def test_a_container_waits_for_what_is_not_there(container: dict[str, Any], message: str) -> None:
    world = boot(container, config_map("there"))
    world.run(30 * S)
    pod = world.api.get(Pod, "default", "p")
    assert pod is not None
    (status,) = pod.status.containerStatuses
    assert status.state.waiting is not None
    assert status.state.waiting.reason == "CreateContainerConfigError"
    tries = world.recorded.of("ContainerConfigError")
    assert {entry.detail["message"] for entry in tries} == {message}
    gaps = [later.at_ns - earlier.at_ns for earlier, later in itertools.pairwise(tries)]
    assert gaps
    assert all(10 * S <= gap <= 15 * S for gap in gaps)


def test_it_starts_once_that_is_there() -> None:
    world = boot({"envFrom": [{"configMapRef": {"name": "later"}}]})
    world.api.create(config_map("later", KEY="value"))
    world.run(20 * S)
    pod = world.api.get(Pod, "default", "p")
    assert pod is not None
    assert pod.status.phase == "Running"
    assert world.runtime.hosts[0].env["KEY"] == "value"
