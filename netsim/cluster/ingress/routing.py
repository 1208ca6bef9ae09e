"""Which location of which server answers a request: host first, then path. Pure, made anew for each configuration.

Called by `configuration.py` (builds) and the proxy (asks). Sources: nginx's server_name and location directives;
ingress-nginx internal/ingress/controller/template/template.go (buildServerName, updateServerLocations, enforceRegex).

- A host is matched exactly, else by a wildcard `*.example.com`, which stands for one label; else the default server `_`
  answers. Letter case and a port in the Host header do not count.
- Exact paths first, then the longest Prefix or ImplementationSpecific path. Prefix goes by path elements (`/foo` covers
  `/foo` and `/foo/bar`, not `/foobar`), as the Ingress API has it; ImplementationSpecific is nginx's plain text prefix.
- As soon as one location of a host rewrites or has `use-regex`, all paths of that host are regular expressions,
  without regard to letter case, longest first.

Simplified: nginx answers `/foo` with a redirect where the Prefix path is written `/foo/`; here it matches.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal
from urllib.parse import unquote

from netsim.cluster.ingress.settings import LocationSettings

PathType = Literal["Exact", "Prefix", "ImplementationSpecific"]
CATCH_ALL: Final = "_"

_SLASHES: Final = re.compile(r"//+")
_GROUP: Final = re.compile(r"\$(\d)")


@dataclass(frozen=True, slots=True)
class Location:
    """A path of a server. `upstream` names the backend's endpoints; "" is the controller's own 404."""

    path: str
    kind: PathType
    upstream: str = ""
    ingress: str = ""
    service: str = ""
    settings: LocationSettings = field(default_factory=LocationSettings)

    @property
    def wants_regex(self) -> bool:
        """Whether it makes its whole server match by regular expressions."""
        return bool(self.settings.rewrite_target) or self.settings.use_regex

    def covers(self, path: str) -> bool:
        """Whether a path falls under this location, whatever longer ones there are."""
        if self.kind == "Exact":
            return path == self.path
        if self.kind == "ImplementationSpecific":
            return path.startswith(self.path)
        stem = self.path.rstrip("/")
        return path.startswith(stem) and path[len(stem) : len(stem) + 1] in ("", "/")


NOT_FOUND: Final = Location("/", "Prefix")


@dataclass(frozen=True, slots=True)
class Routed:
    """The location of a request, and the target that its backend is asked for."""

    location: Location
    target: str


@dataclass(frozen=True)
class Server:
    """One host's locations, in the order in which nginx considers them."""

    host: str
    locations: tuple[Location, ...]
    regex: bool = False

    @classmethod
    def of(cls, host: str, locations: Iterable[Location]) -> "Server":
        """Order the locations: exact before the others, longer before shorter."""
        given = list(locations)
        regex = any(location.wants_regex for location in given)
        ordered = sorted(given, key=lambda at: (at.kind != "Exact" and not regex, -len(at.path), at.path))
        return cls(host, tuple(ordered), regex)

    def route(self, path: str, query: str) -> Routed:
        """The location for a decoded path."""
        for location in self.locations:
            if self.regex:
                found = _pattern(location.path).match(path)
                if found is not None:
                    return Routed(location, _rewritten(location, found, path) + query)
            elif location.covers(path):
                return Routed(location, "")
        return Routed(NOT_FOUND, "")


@cache
def _pattern(path: str) -> "re.Pattern[str]":
    """`location ~* "^PATH"`; a path that is no regular expression stands for itself."""
    try:
        return re.compile(path, re.IGNORECASE)
    except re.error:
        return re.compile(re.escape(path), re.IGNORECASE)


def _rewritten(location: Location, found: "re.Match[str]", path: str) -> str:
    target = location.settings.rewrite_target
    if not target:
        return path
    groups = found.groups()

    def group(match: "re.Match[str]") -> str:
        number = int(match[1])
        return (groups[number - 1] or "") if 0 < number <= len(groups) else ""

    return _GROUP.sub(group, target)


@dataclass(frozen=True)
class RoutingTable:
    """All servers by host."""

    servers: Mapping[str, Server] = field(default_factory=dict)

    def server(self, host: str) -> Server:
        """The server for a Host header."""
        name = host_name(host)
        found = self.servers.get(name)
        if found is None:
            _, dot, parent = name.partition(".")
            found = self.servers.get(f"*.{parent}") if dot else None
        return found or self.servers.get(CATCH_ALL) or _EMPTY

    def route(self, host: str, target: str) -> Routed:
        """The location for a request, and the target to ask its backend for."""
        path, mark, query = target.partition("?")
        clean = _SLASHES.sub("/", unquote(path))
        routed = self.server(host).route(clean, mark + query)
        return routed if routed.target else Routed(routed.location, target)


_EMPTY: Final = Server(CATCH_ALL, ())


def host_name(header: str) -> str:
    """The name in a Host header, without port and final dot, in lower case."""
    name = header.lower()
    if not name.startswith("["):
        name = name.partition(":")[0]
    return name.rstrip(".")
