"""Causes of failed requests, counted and in words: "refused by a pod that was terminating, before worker-2's rules
changed: 34 requests".

Called by: `Results.causes`, `text`.
"""

import textwrap
from collections.abc import Mapping
from typing import Final

import pandas as pd

from netsim.measure.frames import typed
from netsim.measure.table import WIDTH, table

CAUSE_TYPES: Final[Mapping[str, str]] = {
    "service": "str",
    "error": "str",
    "endpoint": "str",
    "rules": "str",
    "nodes": "str",
    "requests": "int64",
    "replications": "int64",
    "first_ns": "int64",
    "last_ns": "int64",
    "words": "str",
}
_MOST_ROWS: Final = 8
_ERRORS: Final = {
    "refused": "refused by",
    "reset": "cut off by",
    "timeout": "no answer from",
    "unreachable": "no way to",
    "http-error": "an error from",
}
_ENDPOINTS: Final = {
    "terminating": "a pod that was terminating",
    "crashed": "a pod whose process had died",
    "not-listening": "a pod that counted as ready but did not listen yet",
    "not-ready": "a pod that was not ready",
    "node-down": "a pod on a node that was down",
    "cut-off": "a pod that the network had cut off",
    "impaired": "a pod behind an impaired cable",
    "hung": "a pod that hung",
    "well": "a pod that was well",
}
_WITHOUT: Final = {
    "no-endpoints": "{error}: no ready endpoint in {whose} rules",
    "name-not-found": "the name was not found",
    "no-name-server": "no name server answered in time",
    "unknown": "{error}: it is not known by whom",
}
_RULES: Final = {
    "before": ", before {whose} rules changed",
    "stale": ", by stale rules on {node} ({why})",
    "fallback": ", when no other endpoint was left",
    "after": ", just after {whose} rules had changed",
    "kept": ", on a connection that was opened before {whose} rules changed",
    "pinned": ", pinned by conntrack: an entry from before {whose} rules changed",
}
_GROUP: Final = ["service", "endpoint", "error", "rules", "why_stale"]


def causes_frame(failed: pd.DataFrame) -> pd.DataFrame:
    """The failed requests counted by cause (CAUSE_TYPES), the most frequent first."""
    rows = []
    for key, part in failed.groupby(_GROUP, sort=True):
        service, endpoint, error, rules, why = (str(item) for item in key)
        nodes = sorted(set(part["node"]) - {""})
        rows.append(
            (
                service,
                error,
                endpoint,
                rules,
                ",".join(nodes),
                len(part),
                part["replication"].nunique(),
                int(part["t_ns"].min()),
                int(part["t_ns"].max()),
                words(error, endpoint, rules, nodes, why),
            )
        )
    rows.sort(key=lambda row: (row[0], -row[5], row[-1]))
    return typed(rows, CAUSE_TYPES)


def words(error: str, endpoint: str, rules: str, nodes: list[str], why: str = "") -> str:
    """A cause as a phrase."""
    node = nodes[0] if len(nodes) == 1 else "the nodes"
    whose = f"{node}'" if node.endswith("s") else f"{node}'s"
    if endpoint in _WITHOUT:
        return _WITHOUT[endpoint].format(error=error, whose=whose)
    phrase = f"{_ERRORS.get(error, error)} {_ENDPOINTS[endpoint]}"
    return phrase + _RULES.get(rules, "").format(whose=whose, node=node, why=why)


def cause_lines(causes: pd.DataFrame) -> list[str]:
    """The section of the report; nothing when nothing failed."""
    if causes.empty:
        return []
    several = causes["service"].nunique() > 1
    lines = ["Why requests failed", "  requests  cause"]
    for _, row in causes.head(_MOST_ROWS).iterrows():
        phrase = f"{row['service']}: {row['words']}" if several else row["words"]
        first = f"{row['requests']:>10,}  "
        lines += textwrap.wrap(phrase, WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
    if len(causes) > _MOST_ROWS:
        rest = int(causes["requests"].iloc[_MOST_ROWS:].sum())
        lines.append(f"  ... and {rest:,} requests for {len(causes) - _MOST_ROWS} other reasons")
    return lines


def cause_overview(causes: Mapping[str, pd.DataFrame]) -> list[str]:
    """The same for variants side by side."""
    rows = [
        (variant, f"{row['requests']:,}", row["words"])
        for variant, found in causes.items()
        for _, row in found.head(_MOST_ROWS).iterrows()
    ]
    return ["Why requests failed", *table(("variant", "requests", "cause"), rows, "lrl")] if rows else []
