"""kube-proxy's synchronisations: one row each, from the events of a run.

Called by `comparison` and `Results.syncs`. `cost_ns` is how long the node's rules took to write, `waited_ns` how long
the oldest change had waited for its turn; `full` marks a sync of everything (the first one, and one after a failure).
"""

import json
from collections.abc import Mapping
from typing import Final

import pandas as pd

from netsim.measure.frames import typed

SYNC_TYPES: Final[Mapping[str, str]] = {
    "replication": "int64",
    "t_ns": "int64",
    "node": "str",
    "full": "bool",
    "cost_ns": "int64",
    "waited_ns": "int64",
    "services": "str",
}


def syncs_frame(events: pd.DataFrame) -> pd.DataFrame:
    """All synchronisations in order of their ends; those of the boot have negative times."""
    mine = events[events["reason"] == "RulesSynced"]
    rows = []
    for replication, t_ns, node, detail in zip(
        mine["replication"], mine["t_ns"], mine["node"], map(json.loads, mine["detail"]), strict=True
    ):
        full = detail["full"] == "True"
        cost_ns, waited_ns = int(detail["cost_ns"]), int(detail["waited_ns"])
        rows.append((replication, t_ns, node, full, cost_ns, waited_ns, detail["services"]))
    return typed(rows, SYNC_TYPES)


def first_syncs(syncs: pd.DataFrame) -> "pd.Series[int]":
    """What each kube-proxy's first full synchronisation of everything took: the longest full one per node, ns."""
    full = syncs[syncs["full"]]
    longest: pd.Series[int] = full.groupby(["replication", "node"])["cost_ns"].max()
    return longest


def changes(syncs: pd.DataFrame) -> pd.DataFrame:
    """The partial synchronisations after the boot."""
    return syncs[~syncs["full"] & (syncs["t_ns"] >= 0)]
