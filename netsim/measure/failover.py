"""How long did it hurt: one row per replication, fault and Service, with the marks, the outage and its stages.

The outage runs from the fault to the completion of the last failed request that began before recovery (0 when none
failed); `recovery` says when that was, `marks` who learned when, `budget` cuts the outage into stages that add up to
it. Requests belong to a fault when they were under way at its time or began before the next fault. Faults at the same
instant share their requests. A request that the run's end cut off (`aborted`) counts neither way.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netsim.measure.budget import STAGES, budget
from netsim.measure.events import Event, read_events
from netsim.measure.frames import typed
from netsim.measure.marks import REASONS, Marks, concerns, find_marks
from netsim.measure.recovery import Recovery, change_point

STAGE_COLUMNS: Final = tuple(f"{stage}_stage_ns" for stage in STAGES)

FAILOVER_TYPES: Final[Mapping[str, str]] = {
    "run": "str",
    "replication": "int64",
    "service": "str",
    "fault": "str",
    "action": "str",
    "target": "str",
    "fault_ns": "int64",
    "detected_ns": "Int64",
    "status_ns": "Int64",
    "endpoints_ns": "Int64",
    "rules_ns": "Int64",
    "rules_node": "str",
    "first_success_ns": "Int64",
    "last_failure_ns": "Int64",
    "outage_ns": "int64",
    **dict.fromkeys(STAGE_COLUMNS, "int64"),
    "recovered": "bool",
    "requests": "int64",
    "failed": "int64",
    "failing_share": "float64",
    "failed_reused": "int64",
    "failed_later": "int64",
    "slow": "int64",
    "retried": "int64",
}

NODE_TYPES: Final[Mapping[str, str]] = {
    "run": "str",
    "replication": "int64",
    "service": "str",
    "fault": "str",
    "node": "str",
    "seen_ns": "Int64",
    "started_ns": "Int64",
    "synced_ns": "Int64",
}

# Slow: it suffered at least one retransmission timeout. Source: TCP_RTO_MIN = HZ/5, linux/include/net/tcp.h.
SLOW_NS: Final = 200_000_000


@dataclass(frozen=True, eq=False)
class _Requests:
    """One Service's finished requests in one replication, in order of their start."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    failed: NDArray[np.bool_]
    reused: NDArray[np.bool_]
    retried: NDArray[np.bool_]
    nodes: tuple[str, ...]
    local: bool  # by an external traffic policy Local: dead nodes are for the load balancer to avoid

    def where(self, mask: NDArray[np.bool_]) -> "_Requests":
        return _Requests(
            self.start[mask],
            self.end[mask],
            self.failed[mask],
            self.reused[mask],
            self.retried[mask],
            self.nodes,
            self.local,
        )


def failover_tables(requests: pd.DataFrame, events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables over all replications, faults and Services: the outages (FAILOVER_TYPES) and, per client node, when
    its kube-proxy saw the change, began and finished its sync (NODE_TYPES). Times count from the experiment's zero."""
    by_replication = read_events(events, REASONS)
    rows: list[tuple[Any, ...]] = []
    nodes: list[tuple[Any, ...]] = []
    for replication, run in _replications(requests):
        asked = set(run["service"])
        for service in sorted(asked):
            mine, name = _requests(run[run["service"] == service]), str(run["run"].iloc[0])
            own = by_replication.get(replication, [])
            for fault, end_ns in _faults(own, service, asked):
                key = (name, replication, service, fault.name)
                marks = find_marks(own, fault, service, mine.nodes, end_ns, mine.local)
                rows.append((*key, *_row(fault, marks, mine, end_ns)))
                nodes += [(*key, n.node, n.seen_ns, n.started_ns, n.synced_ns) for n in marks.nodes]
    return typed(rows, FAILOVER_TYPES), typed(nodes, NODE_TYPES)


def _replications(requests: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """Each replication's requests to Services, without those that the end of the run cut off."""
    named = requests[(requests["service"] != "") & (requests["outcome"] != "aborted")]
    for replication, part in named.groupby("replication", sort=True):
        yield int(str(replication)), part


def _faults(events: Iterable[Event], service: str, asked: Collection[str]) -> Iterator[tuple[Event, int]]:
    """The faults that may concern a Service, each with the time of the next one."""
    faults = [e for e in events if e.reason == "FaultInjected" and concerns(e, service, asked)]
    for fault in faults:
        yield fault, min((f.t_ns for f in faults if f.t_ns > fault.t_ns), default=2**62)


def _requests(part: pd.DataFrame) -> _Requests:
    ordered = part.sort_values(["t_ns", "request"], kind="stable")
    start = ordered["t_ns"].to_numpy(dtype=np.int64)
    return _Requests(
        start,
        start + ordered["latency_ns"].to_numpy(dtype=np.int64),
        (ordered["outcome"] != "ok").to_numpy(dtype=np.bool_),
        ordered["reused"].to_numpy(dtype=np.bool_),
        (ordered["attempts"] > 1).to_numpy(dtype=np.bool_),
        tuple(sorted(set(part["client_node"].where(part["client_node"] != "", part["via_node"])))),
        bool((part["policy"] == "Local").any() and (part["client_node"] == "").any()),
    )


def _row(fault: Event, marks: Marks, all_requests: _Requests, end_ns: int) -> tuple[Any, ...]:
    at = fault.t_ns
    before = all_requests.where(all_requests.end < at)
    r = all_requests.where((all_requests.end >= at) & (all_requests.start < end_ns))
    background = float(before.failed.mean()) if before.failed.size else 0.0
    unrepaired = int((r.start < marks.rules_ns).sum()) if marks.rules_ns is not None else 0
    observable = _observable(r, all_requests)
    found = change_point(r.failed, background, unrepaired, observable)
    bad = r.failed[: found.affected]
    over = int(r.end[: found.affected][bad].max()) if found.failed else None
    stages = budget(at, at if over is None else over, marks.chain())
    named = fault.listed("objects") or fault.listed("nodes") or fault.listed("links") or fault.listed("pods")
    target = ",".join(named)
    return (
        fault.detail.get("action", ""), target, at,
        marks.detected_ns, marks.status_ns, marks.endpoints_ns, marks.rules_ns,
        marks.slowest.node if marks.slowest else "",
        _first_success(r, marks, found), over, sum(stages), *stages,
        _recovered(r, marks, found, observable), found.affected, found.failed,
        found.failed / found.affected if found.affected else 0.0,
        int(r.reused[: found.affected][bad].sum()), int(r.failed.sum()) - found.failed,
        _slow(r, before), int(r.retried.sum()),
    )  # fmt: skip


def _first_success(r: _Requests, marks: Marks, found: Recovery) -> int | None:
    """Completion of the first success that began when the rules were everywhere, or else after recovery."""
    if marks.rules_ns is not None:
        since = marks.rules_ns
    elif found.affected < r.start.size:
        since = int(r.start[found.affected])
    else:
        return None
    good = r.end[~r.failed & (r.start >= since)]
    return int(good.min()) if good.size else None


def _observable(r: _Requests, all_requests: _Requests) -> int:
    """How many requests began early enough that the longest kind of failure would have been seen by the run's end."""
    longest = int((r.end - r.start)[r.failed].max()) if r.failed.any() else 0
    return int((r.start <= int(all_requests.end.max()) - longest).sum()) if r.start.size else 0


def _recovered(r: _Requests, marks: Marks, found: Recovery, observable: int) -> bool:
    """By the weight of the successes after it, or because the control plane repaired it and something succeeded."""
    if found.certain:
        return True
    after = r.start[found.affected : observable][~r.failed[found.affected : observable]]
    return marks.rules_ns is not None and bool((after >= marks.rules_ns).any())


def _slow(r: _Requests, before: _Requests) -> int:
    """Successes that took a retransmission timeout longer than the median success before the fault."""
    usual = before.end[~before.failed] - before.start[~before.failed]
    limit = SLOW_NS + (int(np.median(usual)) if usual.size else 0)
    return int(((r.end - r.start)[~r.failed] >= limit).sum())
