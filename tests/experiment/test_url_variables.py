"""`$(VAR)` in a load's URL: what is a URL, what it becomes in a pod, what the rules say."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from netsim.experiment.loader import load_experiment
from netsim.experiment.spec_select import TargetUrl, parse_url
from netsim.experiment.url_variables import expanded, references

ROOT = Path(__file__).resolve().parents[2]
WHOLE = "http://$(WEB_SERVICE_HOST):$(WEB_SERVICE_PORT)/a"
ENV = {
    "WEB_SERVICE_HOST": "10.96.0.7",
    "WEB_SERVICE_PORT": "8080",
    "WEB_PORT": "tcp://10.96.0.7:8080",
    "SIX": "[fd00::7]",
}


@pytest.mark.parametrize(
    ("text", "env", "host", "port", "path"),
    [
        (WHOLE, ENV, "10.96.0.7", 8080, "/a"),
        ("http://$(WEB_SERVICE_HOST)/", ENV, "10.96.0.7", 80, "/"),
        (
            "http://$(WEB_SERVICE_HOST):$(NOBODY)/",
            ENV,
            "10.96.0.7",
            80,
            "/",
        ),  # curl takes the scheme's port, too
        ("http://web:$(WEB_SERVICE_PORT)", ENV, "web", 8080, "/"),
        ("http://web/$(WEB_SERVICE_PORT)/x", ENV, "web", 80, "/8080/x"),
        ("http://$(SIX):$(WEB_SERVICE_PORT)/", ENV, "fd00::7", 8080, "/"),
    ],
)
def test_what_a_url_becomes(text: str, env: dict[str, str], host: str, port: int, path: str) -> None:
    url = parse_url(text).filled(env)
    assert (url.host, url.port, url.path, url.template) == (host, port, path, "")
    assert str(parse_url(text)) == text


@pytest.mark.parametrize("text", [WHOLE, "http://$(WEB_SERVICE_HOST)", "tcp://$(A):$(B)"])
def test_without_a_host_it_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_url(text).filled({"OTHER": "x"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://$()/", "has no variable"),
        ("http://$(A B)/", "has no variable"),
        ("dns://$(A)", "dns:// takes no variables"),
        ("https://$(A)/", "https:// is not simulated"),
        ("http://$(A):99999/", "is no URL"),
    ],
)
def test_what_is_no_url(text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(TargetUrl).validate_python(text)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.from_regex(r"[a-z0-9.]+", fullmatch=True)
    )
)
def test_a_url_without_references_stays(env: dict[str, str]) -> None:
    assert expanded("http://web:80/$HOME", env) == "http://web:80/$HOME"
    names = "".join(f"/$({name})" for name in env)
    assert references(f"http://web{names}") == tuple(env)
    assert expanded(f"http://web{names}", env) == "http://web" + "".join(
        f"/{value}" for value in env.values()
    )


def notes(folder: Path, to: str, who: str = "{run: client}") -> list[str]:
    path = folder / "e.yaml"
    path.write_text(
        "apiVersion: netsim/v1\nkind: Experiment\nmetadata: {name: e}\nspec:\n"
        f"  topology: {(ROOT / 'topologies/my-nginx.yaml').as_posix()}\n  duration: 5s\n"
        f"  load:\n  - {{name: x, from: {who}, to: '{to}', rate: 1/s}}\n",
        encoding="utf-8",
    )
    return [note for note in load_experiment(path).notes if 'load "x"' in note]


def test_a_variable_that_nobody_gives_is_noted(tmp_path: Path) -> None:
    assert notes(tmp_path, "http://$(MY_NGINX_SERVICE_HOST):$(MY_NGINX_SERVICE_PORT)/") == []
    assert notes(tmp_path, "http://$(KUBERNETES_SERVICE_HOST):$(MY_NGINX_PORT_80_TCP_PORT)/") == []
    [note] = notes(tmp_path, "http://$(MY_NGINX_SERVICE_HSOT)/")
    assert note == (
        'load "x": no Service gives $(MY_NGINX_SERVICE_HSOT) to Pod/client in namespace default '
        '(did you mean "MY_NGINX_SERVICE_HOST"?): it will be empty'
    )
