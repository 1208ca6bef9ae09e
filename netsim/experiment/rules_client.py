"""What can be wrong about a load's client: fields that mean nothing together, time-outs that are never reached.

Called by: `rules_experiment`, for loads that were read whole.
"""

from typing import Final

from netsim.engine import format_duration
from netsim.experiment.rules_parts import Parts
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.spec_experiment import Load

# Fields that need a TCP connection, or an HTTP one.
_FOR_TCP: Final = {
    "connect_timeout_ns": "connectTimeout", "pool": "pool", "tcpKeepalive": "tcpKeepalive",
    "tcp_user_timeout_ns": "tcpUserTimeout",
}  # fmt: skip


def check_client(load: Load, parts: Parts, place: Place, path: Path) -> None:
    """Record what is wrong."""
    if load.client and load.to.scheme != "http":
        place.error((*path, "client"), f"{load.client} asks http:// URLs, not {load.to.scheme}://", key=True)
        return
    if load.to.scheme in ("udp", "dns"):
        for name in sorted(set(_FOR_TCP) & load.model_fields_set):
            message = (
                f"{_FOR_TCP[name]} is for http:// and tcp://: a {load.to.scheme} load has no connections"
            )
            place.error((*path, _FOR_TCP[name]), message, key=True)
        return
    # A preset's connect time-out may be longer than the file's time-out, and its time-out longer than the run.
    _check_timeouts(load, parts, place, path)
    _check_pool(load, place, path)
    if "retryPolicy" in load.model_fields_set and not load.retries:
        message = (
            "retryPolicy says how a request is tried again, retries how often: write retries: 3 beside it"
        )
        place.error((*path, "retryPolicy"), message, key=True)


def _check_timeouts(load: Load, parts: Parts, place: Place, path: Path) -> None:
    if load.timeout_ns and parts.ends_by(load.timeout_ns - 1) and not load.client:
        message = (
            f"the timeout is longer than the experiment ({parts.length()}): nothing would ever time out "
            "(write none if that is what you want)"
        )
        place.error((*path, "timeout"), message)
    if 0 < load.timeout_ns < load.connect_timeout_ns and not load.client:
        message = f"connectTimeout is longer than timeout ({format_duration(load.timeout_ns)}): never reached"
        place.error((*path, "connectTimeout"), message)


def _check_pool(load: Load, place: Place, path: Path) -> None:
    if not load.keepAlive:
        if "pool" in load.model_fields_set:
            message = "pool is for keepAlive: true: without it every request has a connection of its own"
            place.error((*path, "pool"), message, key=True)
        if load.tcpKeepalive is not None:
            place.problems.note(
                f'load "{load.name}": TCP keep-alive probes are sent on idle connections, and without keepAlive '
                "none is idle for long"
            )
