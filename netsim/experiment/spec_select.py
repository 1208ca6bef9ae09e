"""Who is meant: selectors of loads, servers and faults, and the URL of a load.

Called by: `spec_experiment`, `rules_experiment`, `experiment/build.py`.

A selector is a mapping. `{pod: NAME}`, `{node: NAME}`, `{link: NAME}` and `{external: NAME}` name one thing; anything
else is labels, as in `{run: my-nginx}`, and selects the pods that have all of them. `namespace` narrows to a namespace
(all, if absent), `labels: {...}` holds labels that would otherwise be read as one of these words. Names of nodes and
links may be patterns (`worker-*`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator

from netsim.cluster.objects import matches_labels
from netsim.experiment.spec_fields import SpecModel
from netsim.experiment.url_variables import expanded, references, sample

WORDS = ("pod", "node", "link", "external", "namespace", "labels")


class Selector(SpecModel):
    """At most one of `pod`, `node`, `link`, `external`; or labels, with or without a namespace."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": {"type": "string"}})

    pod: str = ""
    node: str = ""
    link: str = ""
    external: str = ""
    namespace: str = ""
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _other_keys_are_labels(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        extra = {key: value for key, value in raw.items() if key not in WORDS}
        known = {key: value for key, value in raw.items() if key in WORDS}
        return {**known, "labels": {**known.get("labels", {}), **extra}} if extra else known

    @property
    def kind(self) -> str:
        """Which of pod, node, link, external, labels this selector speaks of; "" when it says nothing."""
        named = [word for word in ("pod", "node", "link", "external") if getattr(self, word)]
        return named[0] if named else "labels" if self.labels else ""

    def words(self) -> list[str]:
        """The kinds that are given: exactly one in a sound selector."""
        named = [word for word in ("pod", "node", "link", "external") if getattr(self, word)]
        return [*named, "labels"] if self.labels else named

    def selects_pod(self, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
        """Does this selector mean a pod with these names and labels (by name, or by all the labels)?"""
        if self.namespace and self.namespace != namespace:
            return False
        if self.pod:
            wanted_namespace, _, wanted = self.pod.rpartition("/")
            return name == wanted and wanted_namespace in ("", namespace)
        return bool(self.labels) and matches_labels(self.labels, labels)

    def __str__(self) -> str:
        named = {word: getattr(self, word) for word in WORDS[:-1] if getattr(self, word)}
        return ",".join(f"{key}={value}" for key, value in {**named, **self.labels}.items())


class Url(SpecModel):
    """`http://host:port/path`; the port is 80 unless given. Other servers: `tcp://host:port`, `udp://host:port`. Or
    `dns://NAME?type=A`, a look-up alone, where `family` is `ipv4` (A), `ipv6` (AAAA) or `any` (both, as getaddrinfo
    asks). With `$(VAR)` in it the URL is a `template`, and `host` what stands in the host's place."""

    host: str
    port: int = 80
    path: str = "/"
    scheme: Literal["http", "tcp", "udp", "dns"] = "http"
    family: Literal["", "ipv4", "ipv6", "any"] = ""
    template: str = ""

    def filled(self, environment: Mapping[str, str]) -> "Url":
        """The URL in an environment. Raises ValueError when that is none."""
        return Url(**_url(expanded(self.template, environment))) if self.template else self

    def __str__(self) -> str:
        if self.template:
            return self.template
        if self.scheme == "dns":
            return f"dns://{self.host}{self.path}"
        if self.scheme != "http":
            return f"{self.scheme}://{self.host}:{self.port}"
        port = "" if self.port == 80 else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}{port}{self.path}"


def _url(value: Any) -> Any:
    if isinstance(value, Url):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a URL such as http://my-nginx/")
    if "://" not in value:
        raise ValueError(f'"{value}" is no URL (write http://{value})')
    if "$(" in value:
        return _template(value)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f'"{value}" is no URL: {str(error).lower()}') from None
    if parts.scheme in ("tcp", "udp"):
        return _plain(value, parts, port)
    if parts.scheme == "dns":
        return _dns_url(value)
    if parts.scheme != "http":
        raise ValueError(f"{parts.scheme}:// is not simulated: write http://, tcp://, udp:// or dns://")
    if not parts.hostname or parts.username is not None or port == 0:
        raise ValueError(f'"{value}" is no URL: write http://NAME:PORT/PATH')
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return {"host": parts.hostname, "port": port or 80, "path": path}


def _plain(value: str, parts: SplitResult, port: int | None) -> Any:
    """A TCP or UDP server has a port, and nothing else."""
    if (
        not parts.hostname
        or not port
        or parts.path not in ("", "/")
        or parts.query
        or parts.username is not None
    ):
        raise ValueError(f'"{value}" is no address of a server: write {parts.scheme}://NAME:PORT')
    return {"host": parts.hostname, "port": port, "scheme": parts.scheme}


def _template(value: str) -> dict[str, Any]:
    """A URL whose variables are filled in when the load starts."""
    if not references(value):
        raise ValueError(f'"{value}" has no variable: write $(NAME) as in $(MY_NGINX_SERVICE_HOST)')
    shape = _url(sample(value))
    if shape.get("scheme") == "dns":
        raise ValueError("dns:// takes no variables: write the name")
    host = value.partition("://")[2].partition("/")[0]
    return {**shape, "host": host, "template": value}


_FAMILIES = {"A": "ipv4", "AAAA": "ipv6", "A,AAAA": "any"}


def _dns_url(value: str) -> dict[str, Any]:
    parts = urlsplit(value)
    query = parts.query or "type=A,AAAA"
    family = _FAMILIES.get(query.removeprefix("type=").upper())
    if not parts.netloc or parts.path not in ("", "/") or ":" in parts.netloc or family is None:
        raise ValueError(f'"{value}" is no look-up: write dns://NAME?type=A (or AAAA; both without a type)')
    path = f"?{parts.query}" if parts.query else ""
    return {"host": parts.netloc, "port": 53, "path": path, "scheme": "dns", "family": family}


TargetUrl = Annotated[
    Url,
    BeforeValidator(_url),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(http|tcp|udp|dns)://",
            "examples": ["http://my-nginx/", "tcp://mysql:3306", "dns://my-nginx?type=A"],
        }
    ),
]


def parse_url(text: str) -> Url:
    """A URL from the command line. Raises ValueError with what to write instead."""
    return Url(**_url(text))
