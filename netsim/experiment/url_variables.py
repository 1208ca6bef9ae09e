"""`$(VAR)` in a load's URL: `to: "http://$(MY_NGINX_SERVICE_HOST):$(MY_NGINX_SERVICE_PORT)/"`.

Called by: `spec_select` (is it a URL?), `play` (what does it mean in this pod?), `rules_variables`. The values are
those that the client's containers were started with, so a Service that was made later is not among them. The notation
is that of a container's `args`; a variable that is not set is empty, as in `sh -c "curl http://$MY_NGINX_SERVICE_HOST"`
(Kubernetes itself would leave `$(VAR)` as it stands, which is no host name either).
"""

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
NO_HOST: Final = "no host in the URL"


def references(text: str) -> tuple[str, ...]:
    """The variables that a URL mentions, each once."""
    return tuple(dict.fromkeys(_REFERENCE.findall(text)))


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """The URL in this environment. The host may be missing then (`http:///`); a missing port is the scheme's."""
    filled = _REFERENCE.sub(lambda match: environment.get(match[1], ""), text)
    scheme, _, rest = filled.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.removesuffix(':')}{slash}{path}"


def sample(text: str) -> str:
    """The URL with something sound in the place of each variable, to see whether the rest is."""
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    port = re.sub(rf":{_REFERENCE.pattern}$", ":80", authority)
    return f"{scheme}://{_REFERENCE.sub('x', port)}{slash}{_REFERENCE.sub('x', path)}"
