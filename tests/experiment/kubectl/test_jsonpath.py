"""JSONPath templates, as kubectl's documentation shows them."""

from typing import Any

import pytest

from netsim.experiment.kubectl.context import KubectlError
from netsim.experiment.kubectl.jsonpath import render, select

DATA: dict[str, Any] = {
    "kind": "List",
    "items": [
        {"metadata": {"name": "a", "labels": {"app.io/x": "1"}}, "spec": {"ports": [80, 443]}, "ok": True},
        {"metadata": {"name": "b"}, "spec": {"ports": [22]}, "ok": False},
    ],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.kind}", "List"),
        ("kind is {.kind}", "kind is List"),
        (".kind", "List"),
        ("{['kind']}", "List"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1:].metadata.name}", "b"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[*].spec.ports[0]}", "80 22"),
        ("{..name}", "a b"),
        ("{.items[?(@.ok==true)].metadata.name}", "a"),
        ('{.items[?(@.metadata.name=="b")].spec.ports}', "[22]"),
        ("{.items[?(@.metadata.labels)].metadata.name}", "a"),
        (r"{.items[0].metadata.labels.app\.io/x}", "1"),
        ('{range .items[*]}{.metadata.name}{"\\t"}{.ok}{"\\n"}{end}', "a\ttrue\nb\tfalse\n"),
        ("{.missing}", ""),
        ("{.items[0].spec}", '{"ports":[80,443]}'),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert render(template, DATA) == text


@pytest.mark.parametrize(
    "template", ["{.items[", "{.kind", "{range .items[*]}{.kind}", "{.items[0}", "{end}"]
)
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(KubectlError, match="jsonpath"):
        render(template, DATA)


def test_an_index_beyond_the_end() -> None:
    with pytest.raises(KubectlError, match="array index out of bounds: index 5, length 2"):
        render("{.items[5].kind}", DATA)
    assert select(DATA, ".items[5]") == []
