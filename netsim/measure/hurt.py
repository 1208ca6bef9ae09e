"""How long a fault hurt each client: a row per load, from the fault to the end of the last failed or late request that
began before the client recovered (`recovery.change_point`, as for outages: stray failures later do not count).

An outage is the Service's: it ends when new requests succeed. A client may suffer longer, because it waits on what it
had begun (a kept connection to a dead host is given up after about 15 minutes), or shorter, because it tries again.
Only the first fault counts, with the requests under way at its time or begun before the next one; what the run's end
cut off after a long wait counts as still waiting. Called by `text` and `comparison`, and by checks (`client('load')`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from netsim.measure.client_errors import kind_of
from netsim.measure.failover import SLOW_NS
from netsim.measure.frames import typed
from netsim.measure.recovery import change_point
from netsim.measure.summary import seconds
from netsim.measure.table import table

HURT_TYPES: Final[Mapping[str, str]] = {
    "replication": "int64",
    "load": "str",
    "fault": "str",
    "fault_ns": "int64",
    "requests": "int64",
    "failed": "int64",
    "slow": "int64",
    "retried": "int64",
    "hurt_ns": "int64",
    "longest_ns": "int64",
    "over": "bool",
    "mostly": "str",
}
HEAD: Final = ("load", "failed", "slow", "retried", "hurt for", "longest wait", "mostly")
_HURT, _MOSTLY = 3, 5  # places behind the load's name
_NOTHING: Final = "nothing"
_TITLE: Final = "How long each client was hurt (from the fault to its last failed or late request)"


@dataclass(frozen=True, slots=True)
class _Fault:
    name: str
    at_ns: int
    next_ns: int


def hurt_frame(requests: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """One row per replication and load (HURT_TYPES); empty without faults."""
    rows = []
    asked = requests[requests["queries"] == 0]
    faults = dict(_first_faults(events))
    for (replication, load), part in asked.groupby(["replication", "load"], sort=True):
        fault = faults.get(int(str(replication)))
        if fault is not None:
            rows.append((int(str(replication)), str(load), fault.name, fault.at_ns, *_row(part, fault)))
    return typed(rows, HURT_TYPES)


def _first_faults(events: pd.DataFrame) -> Iterator[tuple[int, _Fault]]:
    happened = events[events["reason"] == "FaultInjected"]
    for replication, part in happened.groupby("replication", sort=True):
        times = sorted(set(part["t_ns"]))
        following = int(times[1]) if len(times) > 1 else 1 << 62
        yield int(str(replication)), _Fault(str(part["name"].iloc[0]), int(times[0]), following)


def _row(part: pd.DataFrame, fault: _Fault) -> tuple[object, ...]:
    start = part["t_ns"].to_numpy(dtype=np.int64)
    took = part["latency_ns"].to_numpy(dtype=np.int64)
    end, good = start + took, (part["outcome"] == "ok").to_numpy(dtype=bool)
    before = took[good & (end < fault.at_ns)]
    limit = SLOW_NS + (int(np.median(before)) if before.size else 0)
    mine = (end >= fault.at_ns) & (start < fault.next_ns)
    cut = (part["outcome"] == "aborted").to_numpy(dtype=bool)
    failed, waiting = mine & ~good & ~cut, mine & cut & (took >= limit)
    retried = mine & good & (part["attempts"] > 1).to_numpy(dtype=bool)
    slow = mine & good & ~retried & (took >= limit)
    hit = failed | waiting | slow | retried
    order = np.lexsort((part["request"].to_numpy(), start))
    order = order[mine[order]]
    ill = order[: change_point(hit[order], float((~good & (end < fault.at_ns)).mean())).affected]
    ill = ill[hit[ill]]
    return (
        int(mine.sum()), int(failed.sum()), int(slow.sum()), int(retried.sum()),
        int((end[ill] - fault.at_ns).max()) if ill.size else 0,
        int(took[ill].max()) if ill.size else 0,
        not bool(waiting.any()),
        _mostly(part[hit]),
    )  # fmt: skip


def _mostly(hit: pd.DataFrame) -> str:
    """What happened most often to the requests that were hit."""
    said: Counter[str] = Counter()
    columns = (hit[c] for c in ("outcome", "error", "reused", "connection", "attempts"))
    for outcome, error, reused, connection, attempts, connected in zip(
        *columns, hit["connect_ns"].notna(), strict=True
    ):
        if outcome == "ok":
            said["ok after a retry" if attempts > 1 else "ok, but late"] += 1
        elif outcome == "aborted":
            said["still waiting"] += 1
        else:
            kind = kind_of(str(outcome), str(error), bool(reused), bool(connected), int(connection))
            said[f"{'kept' if kind.connection == 'kept' else kind.step}: {kind.error}"] += 1
    return min(said, key=lambda words: (-said[words], words)) if said else ""


def hurt_rows(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    """The cells under HEAD, a row per load: sums and, for times, means over the replications."""
    rows = []
    for load in dict.fromkeys(frame["load"]):
        part = frame[frame["load"] == load]
        more = "" if bool(part["over"].all()) else "> "
        mostly = Counter(part["mostly"].tolist()).most_common(1)[0][0]
        rows.append(
            (
                str(load),
                *(f"{int(part[column].sum()):,}" for column in ("failed", "slow", "retried")),
                more + seconds(float(part["hurt_ns"].mean())),
                more + seconds(float(part["longest_ns"].max())),
                str(mostly) or _NOTHING,
            )
        )
    return rows


def hurt_lines(requests: pd.DataFrame, events: pd.DataFrame) -> list[str]:
    """The table for runs with several loads, or nothing."""
    frame = hurt_frame(requests, events)
    if frame["load"].nunique() < 2:
        return []
    return [_TITLE, *table(HEAD, hurt_rows(frame), "Lrrrrrl")]


def hurt_comparison_lines(variants: Iterable[tuple[str, pd.DataFrame]]) -> list[str]:
    """How long each client was hurt, a column per variant; and a row for each that was. `variants` are their names and
    `hurt_frame`s."""
    found = {name: {row[0]: row[1:] for row in hurt_rows(frame)} for name, frame in variants if len(frame)}
    loads = list(dict.fromkeys(load for rows in found.values() for load in rows))
    if not loads:
        return []
    first = "load" if len(loads) > 1 else "variant"
    if first == "load":
        over = [
            (load, *(rows[load][_HURT] if load in rows else "" for rows in found.values())) for load in loads
        ]
        lines = [_TITLE, *table(("load", *found), over, "L" + "r" * len(found)), "", "What they were told"]
    else:
        lines = [_TITLE]
    told = [
        (name, *((load,) if first == "load" else ()), *row)
        for name, rows in found.items()
        for load, row in rows.items()
        if first == "variant" or row[_MOSTLY] != _NOTHING
    ]
    head = ("variant", *HEAD[0 if first == "load" else 1 :])
    return [*lines, *table(head, told, "LLrrrrrl" if first == "load" else "Lrrrrrl")] if told else lines[:-2]
