"""How a location is proxied: the controller's ConfigMap and the annotations of an Ingress.

Called by `configuration.py` and by the rules (which annotations have an effect). Source: ingress-nginx
internal/ingress/controller/config/config.go (NewDefault) and internal/ingress/annotations. A value that is no number is
ignored, as upstream logs and ignores it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from netsim.engine import S

PREFIX: Final = "nginx.ingress.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class LocationSettings:
    """Settings of one location; nginx's directive names."""

    proxy_connect_timeout_ns: int = 5 * S
    proxy_read_timeout_ns: int = 60 * S
    proxy_next_upstream: frozenset[str] = frozenset({"error", "timeout"})
    proxy_next_upstream_tries: int = 3  # 0: no limit
    proxy_next_upstream_timeout_ns: int = 0  # 0: no limit
    service_upstream: bool = False
    rewrite_target: str = ""
    use_regex: bool = False
    upstream_vhost: str = ""


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Settings of the whole nginx.

    `worker_processes` is "auto" upstream, the number of CPUs; nodes have no CPUs here, so two are taken.
    """

    worker_processes: int = 2
    keep_alive_ns: int = 75 * S
    keep_alive_requests: int = 1000
    upstream_keepalive_connections: int = 320
    upstream_keepalive_timeout_ns: int = 60 * S
    upstream_keepalive_requests: int = 10_000
    location: LocationSettings = LocationSettings()


def _seconds(text: str) -> int | None:
    digits = text.strip().removesuffix("s")
    return int(digits) * S if digits.isdigit() else None


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def _switch(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.strip().lower())


def _words(text: str) -> frozenset[str] | None:
    words = frozenset(text.replace(",", " ").split())
    return words - {"off"} if words else None


# Names are the same in the ConfigMap and, with the prefix, as annotations.
_LOCATION: Final[Mapping[str, tuple[str, Any]]] = {
    "proxy-connect-timeout": ("proxy_connect_timeout_ns", _seconds),
    "proxy-read-timeout": ("proxy_read_timeout_ns", _seconds),
    "proxy-next-upstream": ("proxy_next_upstream", _words),
    "proxy-next-upstream-tries": ("proxy_next_upstream_tries", _number),
    "proxy-next-upstream-timeout": ("proxy_next_upstream_timeout_ns", _seconds),
    "service-upstream": ("service_upstream", _switch),
}
_ANNOTATIONS: Final[Mapping[str, tuple[str, Any]]] = {
    **_LOCATION,
    "rewrite-target": ("rewrite_target", str),
    "use-regex": ("use_regex", _switch),
    "upstream-vhost": ("upstream_vhost", str),
}
_CONTROLLER: Final[Mapping[str, tuple[str, Any]]] = {
    "worker-processes": ("worker_processes", _number),
    "keep-alive": ("keep_alive_ns", _seconds),
    "keep-alive-requests": ("keep_alive_requests", _number),
    "upstream-keepalive-connections": ("upstream_keepalive_connections", _number),
    "upstream-keepalive-timeout": ("upstream_keepalive_timeout_ns", _seconds),
    "upstream-keepalive-requests": ("upstream_keepalive_requests", _number),
}
EFFECTIVE_ANNOTATIONS: Final = frozenset(PREFIX + name for name in _ANNOTATIONS)


def _given(data: Mapping[str, str], known: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    read = {name: parse(data[key]) for key, (name, parse) in known.items() if key in data}
    return {name: value for name, value in read.items() if value is not None}


def controller_settings(data: Mapping[str, str]) -> ControllerSettings:
    """The ConfigMap's data over the defaults."""
    location = replace(LocationSettings(), **_given(data, _LOCATION))
    made = replace(ControllerSettings(), **_given(data, _CONTROLLER), location=location)
    return replace(made, worker_processes=max(made.worker_processes, 1))


def location_settings(annotations: Mapping[str, str], base: LocationSettings) -> LocationSettings:
    """An Ingress's annotations over the ConfigMap's."""
    own = {key.removeprefix(PREFIX): text for key, text in annotations.items() if key.startswith(PREFIX)}
    return replace(base, **_given(own, _ANNOTATIONS))
