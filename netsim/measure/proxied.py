"""What ingress controllers asked of endpoints: the access log as a table of the shape of the requests table.

Called by `results` and `analysis`. A row per try, since each try is a choice of an endpoint: `connection` numbers the
choices, `client` is the controller's pod and `client_node` the worker that chose (each worker takes its turns alone and
learns of endpoints in its own time). So the load split of a Service behind a controller is computed like any other.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from netsim.measure.collect import Recording
from netsim.measure.endpoints import pods_by_address
from netsim.measure.events import Event, address_of
from netsim.measure.frames import REQUEST_TYPES, typed

LOAD: Final = "ingress"

# What a row holds where nothing is known, by the column's type.
_EMPTY: Final[Mapping[str, Any]] = {"str": "", "int64": 0, "Int64": None, "bool": False}
_NOTHING: Final[Mapping[str, Any]] = {name: _EMPTY[kind] for name, kind in REQUEST_TYPES.items()}
_OUTCOMES: Final = {499: "aborted", 504: "timeout"}


def proxied_frame(recordings: Iterable[Recording], run: str = "") -> pd.DataFrame:
    """One row per endpoint that a controller asked, in order of replication and completion; the last row of a request
    is the endpoint that answered it."""
    rows: list[dict[str, Any]] = []
    for recording in recordings:
        pods = _pods(recording)
        choices = 0
        for number, record in enumerate(recording.proxied, 1):
            for attempt in record.tries:
                choices += 1
                pod, node = pods.get(address_of(attempt.endpoint), ("", ""))
                outcome = "ok" if attempt.status < 400 else _OUTCOMES.get(attempt.status, "http-error")
                rows.append({
                    **_NOTHING, "run": run, "replication": recording.replication,
                    "t_ns": record.started_ns - recording.epoch_ns, "client": record.controller,
                    "client_node": record.worker, "load": LOAD, "connection": choices, "request": number,
                    "service": record.service, "host": record.host, "endpoint": attempt.endpoint, "pod": pod,
                    "node": node, "outcome": outcome, "status": attempt.status,
                    "latency_ns": record.ended_ns - record.started_ns, "attempts": 1, "reused": attempt.reused,
                })  # fmt: skip
    return typed(rows, REQUEST_TYPES)


def _pods(recording: Recording) -> Mapping[str, tuple[str, str]]:
    return pods_by_address(
        [Event(e.at_ns, e.reason, e.namespace, e.name, e.node, e.detail) for e in recording.events]
    )
