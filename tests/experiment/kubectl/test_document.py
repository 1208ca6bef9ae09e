"""`-o yaml` and `-o json`: what comes out can be read again, and means the same."""

import json

import pytest
from ruamel.yaml import YAML
from shelllab import User

from netsim.cluster.objects.registry import parse_object
from netsim.engine import S
from netsim.experiment.kubectl.document import document, to_yaml


@pytest.fixture(scope="module")
def user() -> User:
    return User("topologies/tutorial-ingress.yaml")


def test_every_object_survives(user: User) -> None:
    count = 0
    for item in user.cluster.api:
        again = parse_object(document(item))
        count += 1
        assert again.metadata.labels == item.metadata.labels
        assert again.metadata.resourceVersion == item.metadata.resourceVersion
        assert again.metadata.creationTimestamp == (item.metadata.creationTimestamp or 0) // S * S
        assert getattr(again, "spec", None) == getattr(item, "spec", None) or item.kind in ("Lease", "Node")
    assert count > 30


def test_yaml_and_json_say_the_same(user: User) -> None:
    for kind in ("pods", "svc", "deploy", "ing", "nodes"):
        as_yaml = YAML(typ="safe", pure=True).load(user.say(f"kubectl get {kind} -A -o yaml"))
        as_json = json.loads(user.say(f"kubectl get {kind} -A -o json"))
        assert as_yaml == as_json
        assert as_yaml["items"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "a: plain\n"), ("12", 'a: "12"\n'), ("true", 'a: "true"\n'), ("", 'a: ""\n'), (12, "a: 12\n"),
        ("1970-01-01T00:00:00Z", 'a: "1970-01-01T00:00:00Z"\n'), ("x\ny\n", "a: |\n  x\n  y\n"), (True, "a: true\n"),
        ("1.27.0", "a: 1.27.0\n"),
    ],
)  # fmt: skip
def test_texts_that_look_like_something_else_are_quoted(value: object, text: str) -> None:
    assert to_yaml({"a": value}) == text
