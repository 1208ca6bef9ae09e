"""Recordings -> pandas tables: one row per observation, units in the names, times relative to the experiment's zero.

The columns, their order and their types are the same whatever happened in a run, also when nothing did. Missing
values are `<NA>` in nullable integer columns and empty text in text columns.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from netsim.cluster.records import ClusterEvent
from netsim.measure.collect import Recording
from netsim.workload.records import FaultInjected, RequestDone

# "Int64" (capital) is pandas' integer that can be missing.
REQUEST_TYPES: Final[Mapping[str, str]] = {
    "run": "str",
    "replication": "int64",
    "t_ns": "int64",
    "client": "str",
    "client_node": "str",
    "load": "str",
    "connection": "int64",
    "request": "int64",
    "service": "str",
    "host": "str",
    "endpoint": "str",
    "pod": "str",
    "node": "str",
    "outcome": "str",
    "status": "int64",
    "latency_ns": "int64",
    "resolve_ns": "Int64",
    "connect_ns": "Int64",
    "attempts": "int64",
    "reused": "bool",
    "error": "str",
    "via_node": "str",
    "policy": "str",
    "client_ip_seen": "str",
    "queries": "int64",
    "replaced": "bool",
}

EVENT_TYPES: Final[Mapping[str, str]] = {
    "run": "str",
    "replication": "int64",
    "t_ns": "int64",
    "component": "str",
    "reason": "str",
    "kind": "str",
    "namespace": "str",
    "name": "str",
    "node": "str",
    "detail": "str",
}


def requests_frame(recordings: Iterable[Recording], run: str = "") -> pd.DataFrame:
    """One row per request, in order of replication and completion.

    `t_ns` is the start; `resolve_ns` and `connect_ns` are durations, missing when that step was not needed or did not
    end; `connection` 0 means that none was opened. `queries` is 0 but for look-ups (`dns://`).
    """
    rows = [_request_row(run, r, request) for r in recordings for request in r.requests]
    return typed(rows, REQUEST_TYPES)


def _request_row(run: str, recording: Recording, r: RequestDone) -> tuple[Any, ...]:
    resolved, connected = r.resolved_ns, r.connected_ns
    return (
        run,
        recording.replication,
        r.started_ns - recording.epoch_ns,
        r.client,
        r.client_node,
        r.load,
        r.connection,
        r.request,
        r.service,
        r.host,
        r.endpoint,
        r.pod,
        r.node,
        str(r.outcome),
        r.status,
        r.ended_ns - r.started_ns,
        resolved - r.started_ns if resolved else None,
        connected - (resolved or r.started_ns) if connected else None,
        r.attempts,
        r.reused,
        r.error,
        r.via_node,
        r.policy,
        r.client_ip_seen,
        r.queries,
        r.replaced,
    )


def events_frame(recordings: Iterable[Recording], run: str = "") -> pd.DataFrame:
    """One row per control-plane event and per fault, in order of replication and time; boot events have negative times.

    A fault is a row of component `fault` and reason `FaultInjected`, named as the fault. `detail` is a JSON object.
    """
    rows: list[tuple[Any, ...]] = []
    for recording in recordings:
        events = [*map(_fault_event, recording.faults), *recording.events]
        # The sort is stable, and a fault comes before what it causes in the same nanosecond.
        rows += [_event_row(run, recording, event) for event in sorted(events, key=lambda e: e.at_ns)]
    return typed(rows, EVENT_TYPES)


def _event_row(run: str, recording: Recording, e: ClusterEvent) -> tuple[Any, ...]:
    detail = json.dumps(dict(e.detail), sort_keys=True, separators=(",", ":"))
    at = e.at_ns - recording.epoch_ns
    return (
        run,
        recording.replication,
        at,
        e.component,
        e.reason,
        e.kind,
        e.namespace,
        e.name,
        e.node,
        detail,
    )


def _fault_event(fault: FaultInjected) -> ClusterEvent:
    detail = {
        "action": fault.action,
        "pods": ",".join(fault.pods),
        "nodes": ",".join(fault.nodes),
        "links": ",".join(fault.links),
        "addresses": ",".join(fault.addresses),
        "services": ",".join(fault.services),
        "for_ns": str(fault.until_ns - fault.at_ns) if fault.until_ns else "",
        **({"objects": ",".join(fault.objects)} if fault.objects else {}),
    }
    node = fault.nodes[0] if len(fault.nodes) == 1 else ""
    return ClusterEvent(fault.at_ns, "fault", "FaultInjected", "Fault", "", fault.fault, node, detail)


def typed(
    rows: Sequence[Sequence[Any]] | Sequence[Mapping[str, Any]], types: Mapping[str, str]
) -> pd.DataFrame:
    """A table with exactly these columns, in this order, of these types."""
    frame = pd.DataFrame(rows, columns=list(types)) if rows else pd.DataFrame(columns=list(types))
    return frame.astype(dict(types))
