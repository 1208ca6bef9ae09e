"""The part of a run around its first fault: what a request timeline shows. Called by `timeline` and the report."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from netsim.measure.summary import Failover


def first_marks(failover: "Failover | None", replication: int) -> dict[str, Any]:
    """The row of the first fault of a replication, {} without one."""
    if failover is None:
        return {}
    own = failover.table[failover.table["replication"] == replication]
    return {} if own.empty else dict(own.sort_values("fault_ns", kind="stable").iloc[0])


def window(own: pd.DataFrame, marks: Mapping[str, Any]) -> pd.DataFrame:
    """From a little before the fault to a little after whatever came last."""
    if not marks:
        return own
    fault = int(marks["fault_ns"])
    ends = [int(marks[name]) for name in ("rules_ns", "last_failure_ns") if pd.notna(marks[name])]
    length = max([*ends, fault + 1_000_000_000]) - fault
    return own[(own["t_ns"] >= fault - length * 0.25) & (own["t_ns"] <= fault + length * 1.25)]
