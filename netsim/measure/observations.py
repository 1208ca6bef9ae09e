"""What one replication showed, in one row per Service: the values that statistics over replications are made of.

Called by the stop rule, `compare` and sweeps. A row has everything in its columns, with units in their names, so that
tables of many runs can be put under each other, grouped and plotted as they are. With several faults in a replication
`outage_ns` and its stages are their sums (the stages still add up to the outage); `recovered` says whether all of them
were over. Percentiles are those of the replication's own requests. Requests to no Service (look-ups, outside hosts) are
a row without the name of one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd

from netsim.measure.budget import STAGES
from netsim.measure.confidence import quantile
from netsim.measure.frames import typed
from netsim.measure.split import balance

PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
OBSERVATION_TYPES: Final[Mapping[str, str]] = {
    "replication": "int64",
    "service": "str",
    "requests": "int64",
    "failed": "int64",
    "failed_share": "float64",
    "retried": "int64",
    "latency_mean_ns": "float64",
    **{f"latency_{name}_ns": "float64" for name in PERCENTILES},
    **{f"connect_{name}_ns": "float64" for name in PERCENTILES},
    "jain": "float64",
    "faults": "int64",
    "recovered": "bool",
    "outage_ns": "float64",
    **{f"{stage}_ns": "float64" for stage in STAGES},
}


class Analysed(Protocol):
    """What is needed of an analysis (see experiment/analysis.py)."""

    requests: pd.DataFrame
    events: pd.DataFrame

    @property
    def failover_tables(self) -> tuple[pd.DataFrame, pd.DataFrame]: ...


def observations(analysis: Analysed) -> pd.DataFrame:
    """One row per replication and Service; the columns are OBSERVATION_TYPES."""
    requests, events = analysis.requests, analysis.events
    outages = analysis.failover_tables[0]
    rows = []
    for (replication, service), part in requests.groupby(["replication", "service"], sort=True):
        number, name = int(str(replication)), str(service)
        own = outages[(outages["replication"] == number) & (outages["service"] == name)]
        happened = events[events["replication"] == number]
        jain = balance(part, happened, name) if name else float("nan")
        rows.append({"replication": number, "service": name, "jain": jain, **_asked(part), **_hurt(own)})
    return typed(rows, OBSERVATION_TYPES)


def _asked(part: pd.DataFrame) -> dict[str, Any]:
    judged = part[part["outcome"] != "aborted"]
    good = judged[judged["outcome"] == "ok"]
    took = good["latency_ns"].to_numpy(dtype=np.float64)
    connected = good[~good["reused"]]["connect_ns"].dropna().to_numpy(dtype=np.float64)
    failed = len(judged) - len(good)
    return {
        "requests": len(judged),
        "failed": failed,
        "failed_share": failed / len(judged) if len(judged) else float("nan"),
        "retried": int((judged["attempts"] > 1).sum()),
        "latency_mean_ns": float(took.mean()) if took.size else float("nan"),
        **{f"latency_{name}_ns": quantile(took, q) for name, q in PERCENTILES.items()},
        **{f"connect_{name}_ns": quantile(connected, q) for name, q in PERCENTILES.items()},
    }


def _hurt(outages: pd.DataFrame) -> dict[str, Any]:
    found = {"faults": len(outages), "recovered": bool(outages["recovered"].all())}
    columns = {"outage_ns": "outage_ns", **{f"{stage}_ns": f"{stage}_stage_ns" for stage in STAGES}}
    nothing = float("nan")
    return found | {
        name: float(outages[column].sum()) if len(outages) else nothing for name, column in columns.items()
    }


def services_of(tables: Iterable[pd.DataFrame]) -> list[str]:
    """The Services in any of the tables, sorted; requests to none come last."""
    names = {str(name) for table in tables for name in table["service"].unique()}
    return sorted(names, key=lambda name: (not name, name))
