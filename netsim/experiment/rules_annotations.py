"""netsim's own annotations on pods and Services: do they exist, and do their values mean something?

Called by: `rules_objects`.
"""

from netsim.cluster.controllers.readiness_gates import READINESS_GATES
from netsim.engine import parse_duration
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.spec_names import did_you_mean
from netsim.workload.http_server import SHUTDOWNS
from netsim.workload.resolver import DNS_CACHE, RESOLVER
from netsim.workload.resolver_cache import cache_policy
from netsim.workload.resolver_lookup import STYLES

ALLOW_EMPTY = "netsim/allow-empty"
SERVICE_TIME = "netsim/service-time"
APP = "netsim/app"
START_UP_DELAY = "netsim/start-up-delay"
SHUTDOWN = "netsim/shutdown"


def check_annotation(key: str, value: str, place: Place, path: Path) -> None:
    """Record what is wrong with an annotation whose key begins with `netsim/`."""
    if key in (SERVICE_TIME, START_UP_DELAY, READINESS_GATES):
        try:
            parse_duration(value)
        except ValueError as error:
            place.error(path, str(error))
    elif key in (RESOLVER, DNS_CACHE):
        _check_resolver(key, value, place, path)
    elif key == APP:
        if value != "echo":
            place.error(
                path, f'must be "echo", not "{value}" (without it, containers with TCP ports serve HTTP)'
            )
    elif key == SHUTDOWN:
        if value not in SHUTDOWNS:
            place.error(path, f'"{value}" is no way to shut down: write one of {", ".join(SHUTDOWNS)}')
    elif key == ALLOW_EMPTY:
        if value not in ("true", "false"):
            place.error(path, f'must be "true" or "false", not "{value}"')
    else:
        known = (
            SERVICE_TIME,
            START_UP_DELAY,
            SHUTDOWN,
            READINESS_GATES,
            APP,
            ALLOW_EMPTY,
            RESOLVER,
            DNS_CACHE,
        )
        place.error(path, f'unknown annotation "{key}"{did_you_mean(key, known)}', key=True)


def _check_resolver(key: str, value: str, place: Place, path: Path) -> None:
    if key == RESOLVER and value not in STYLES:
        place.error(path, f'"{value}" is no resolver: write one of {", ".join(STYLES)}')
    if key == DNS_CACHE:
        try:
            cache_policy(value)
        except ValueError as error:
            place.error(path, str(error))
