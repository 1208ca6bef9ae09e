"""Why did requests fail: each failed request, by what its endpoint and its client's node were doing at that moment.

Called by: `Results.causes`, the text report. A cause has three parts: the error, as the client saw it; the state of the
endpoint that the connection was given to; and what the rules of the client's node (the node that chose) had to do with
it.

==============  ======================================================================================
endpoint        it was
==============  ======================================================================================
terminating     being deleted: its process was ending, or gone
crashed         a pod whose process had died
not-listening   Ready, but nobody listened yet: nothing had asked it (no readiness probe)
not-ready       not Ready, and chosen all the same
node-down       on a node without power
cut-off         behind a cable that was out, or a partition
impaired        behind a cable that lost or delayed packets
hung            stopped, its sockets open
well            nothing of that: too slow for the client's time-out, or it answered with an error
no-endpoints    none: the rules had no ready endpoint
name-not-found  none: the name server said that there is no such name, or no address
no-name-server  none: no name server answered in time
unknown         none that is known
==============  ======================================================================================

==========  ==========================================================================================
rules       of the node that chose
==========  ==========================================================================================
before      held the endpoint still: kube-proxy had not had the time
stale       held it because kube-proxy was stopped, or without the API server
fallback    held no ready endpoint, so that terminating ones were used
after       did not hold it any more, since a moment ago: the packet was on its way
kept        did not hold it any more; the connection had been opened before (keep-alive, a UDP socket)
pinned      did not hold it any more; a conntrack entry of an earlier connection from the same port sent it there
(empty)     had nothing to do with it
==========  ==========================================================================================

A request that is refused or reset is judged at its end, when the packet came; one that got no answer by all that
happened between sending and giving up. With retries the last attempt is what counts.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from netsim.measure.endpoints import REASONS, EndpointHistory
from netsim.measure.events import Event, address_of, read_events
from netsim.measure.frames import typed
from netsim.measure.pod_states import POD_REASONS, PodLives, Trouble, troubles

FAILED_TYPES: Final[Mapping[str, str]] = {
    "replication": "int64",
    "request": "int64",
    "load": "str",
    "service": "str",
    "t_ns": "int64",
    "error": "str",
    "endpoint": "str",
    "rules": "str",
    "node": "str",
    "pod": "str",
    "why_stale": "str",
}
_AT_THE_END: Final = frozenset({"refused", "reset", "http-error"})
_STALE: Final = {
    "kube-proxy-stop": "kube-proxy stopped",
    "api-cut": "cut off from the API server",
    "link-down": "cut off from the API server",
    "partition": "cut off from the API server",
    "api-outage": "API server down",
}
_NO_NAME: Final = ("NXDOMAIN", "NODATA")
_LOOKING_UP: Final = "looking up the name"  # how the HTTP client's time-out begins
_IN_FLIGHT_NS: Final = 100_000_000
_CUT: Final = frozenset({"link-down", "partition"})
# A watch, a write and a sync: how long rules that nothing keeps from changing may lag (timing notes, steps b to f).
_STALE_AFTER_NS: Final = 2_000_000_000


def failed_requests(requests: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """One row per failed request with its cause (FAILED_TYPES); requests that the run's end cut off did not fail."""
    failed = requests[~requests["outcome"].isin(["ok", "aborted"])]
    if failed.empty:
        return typed([], FAILED_TYPES)
    wanted = {*REASONS, *POD_REASONS, "FaultInjected"}
    by_replication = read_events(events, wanted)
    opened = requests[requests["connection"] > 0].groupby(["replication", "client", "load", "connection"])
    first_use: dict[Any, int] = opened["t_ns"].min().to_dict()
    rows: list[tuple[Any, ...]] = []
    for replication, part in failed.groupby("replication", sort=True):
        number = int(str(replication))
        rows += _Judge(by_replication.get(number, []), first_use).rows(number, part)
    return typed(rows, FAILED_TYPES)


class _Judge:
    """Knows what happened in one replication."""

    def __init__(self, events: list[Event], first_use: Mapping[Any, int]) -> None:
        self._events = events
        self._first_use = first_use
        self._lives = PodLives(events)
        self._troubles = troubles(events)
        self._histories: dict[str, EndpointHistory] = {}

    def rows(self, replication: int, failed: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
        """A row per failed request."""
        columns = [str(column) for column in failed.columns]
        for values in failed.itertuples(index=False, name=None):
            row = dict(zip(columns, values, strict=True))
            node = row["via_node"] or row["client_node"]
            endpoint = self._endpoint(row, node)
            rules, why = self._rules(row, replication, node, endpoint)
            yield (
                replication,
                row["request"],
                row["load"],
                row["service"],
                row["t_ns"],
                row["outcome"],
                endpoint,
                rules,
                node,
                row["pod"],
                why,
            )

    # ------------------------------------------------------------------ the endpoint
    def _endpoint(self, row: Mapping[str, Any], node: str) -> str:
        if row["outcome"] == "dns":
            return "name-not-found" if row["error"] in _NO_NAME else "no-name-server"
        if row["outcome"] == "timeout" and _LOOKING_UP in row["error"]:
            return "no-name-server"
        sent_ns, end_ns = _window(row)
        if not row["endpoint"]:
            held = self._held(row["service"], node, sent_ns) if row["service"] else None
            return "no-endpoints" if held is not None and not held else "unknown"
        if row["outcome"] == "http-error":
            return "well"
        return self._broken(row, sent_ns, end_ns) or self._state(row, end_ns)

    def _broken(self, row: Mapping[str, Any], sent_ns: int, end_ns: int) -> str:
        """What faults did to the way there, or to the machine."""
        silent = row["outcome"] in ("timeout", "unreachable")
        lasting = [t for t in self._troubles if t.during(sent_ns, end_ns)]
        if any(t.action == "node-crash" and row["node"] in t.nodes for t in lasting):
            return "node-down"
        if silent and any(t.action in _CUT and _concerns(t, row) for t in lasting):
            return "cut-off"
        if silent and any(t.action == "pod-hang" and row["pod"] in t.pods for t in lasting):
            return "hung"
        if silent and any(t.action == "link-netem" and _concerns(t, row) for t in lasting):
            return "impaired"
        return ""

    def _state(self, row: Mapping[str, Any], end_ns: int) -> str:
        state = self._lives.at(row["pod"], end_ns)
        if state is None:
            return "unknown"
        if state.terminating:
            return "terminating"
        if not state.running:
            return "crashed"
        if not state.ready:
            return "not-ready"
        return "not-listening" if row["outcome"] == "refused" else "well"

    # ------------------------------------------------------------------ the rules
    def _rules(self, row: Mapping[str, Any], replication: int, node: str, endpoint: str) -> tuple[str, str]:
        if not row["endpoint"] or not row["service"] or endpoint in ("well", "not-listening", "impaired"):
            return "", ""
        sent_ns, _ = _window(row)
        held = self._held(row["service"], node, sent_ns)
        if held is None:
            return "", ""
        address = address_of(row["endpoint"])
        if not held and endpoint == "terminating":
            return "fallback", ""
        if address in held:
            why = self._why_stale(row["service"], address, node, sent_ns)
            return ("stale", why) if why else ("before", "")
        key = (replication, row["client"], row["load"], row["connection"])
        opened_ns = self._first_use.get(key, sent_ns)
        if opened_ns < sent_ns and address in (self._held(row["service"], node, opened_ns) or ()):
            return "kept", ""
        just_now = address in (self._held(row["service"], node, sent_ns - _IN_FLIGHT_NS) or ())
        return ("after", "") if just_now else ("pinned", "")

    def _history(self, service: str) -> EndpointHistory:
        if service not in self._histories:
            self._histories[service] = EndpointHistory(self._events, service)
        return self._histories[service]

    def _held(self, service: str, node: str, t_ns: int) -> tuple[str, ...] | None:
        """The ready endpoints in a node's rules; None when nothing is known of them."""
        periods = self._history(service).periods(node)
        index = bisect_right(periods, t_ns, key=lambda period: period.start_ns)
        return periods[index - 1].addresses if index else None

    def _why_stale(self, service: str, address: str, node: str, t_ns: int) -> str:
        """Why the node's rules hold what the EndpointSlices have not held for a while; "" when they just lag."""
        removed_ns = self._history(service).removed(address, t_ns)
        if removed_ns is None:
            return ""
        for trouble in self._troubles:
            named = trouble.action == "api-outage" or node in trouble.nodes | trouble.links
            if trouble.action in _STALE and named and trouble.during(removed_ns, t_ns):
                return _STALE[trouble.action]
        return "kube-proxy slow" if t_ns - removed_ns > _STALE_AFTER_NS else ""


def _window(row: Mapping[str, Any]) -> tuple[int, int]:
    """From when to when the last attempt can have met trouble."""
    end_ns = row["t_ns"] + row["latency_ns"]
    resolve_ns = row["resolve_ns"]
    sent_ns = row["t_ns"] + (0 if pd.isna(resolve_ns) else int(resolve_ns))
    if row["outcome"] in _AT_THE_END and row["attempts"] > 1:
        sent_ns = end_ns
    return sent_ns, end_ns


def _concerns(trouble: Trouble, row: Mapping[str, Any]) -> bool:
    """Whether a cable or a partition lies between the client and the endpoint."""
    ends = {row["pod"], row["node"], row["client_node"], row["via_node"], row["client"]}
    ends |= {f"default/{row['client']}", row["client"].removeprefix("pod/")}
    if trouble.action == "partition":
        return bool(ends & (trouble.pods | trouble.nodes))
    return bool(ends & trouble.links)
