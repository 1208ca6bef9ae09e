"""Name look-ups of a run: what each load's look-ups cost in queries and in time.

Called by the report (`text`), figures and checks. Look-ups are the requests of the loads to `dns://`, the
only ones whose rows count queries. Slow is what took as long as a resolver's time-out (resolv.conf(5): 5 s), which a
lost packet costs.
"""

from typing import Any, Final

import pandas as pd

from netsim.measure.confidence import quantile
from netsim.measure.table import table

SLOW_LOOKUP_NS: Final = 5 * 10**9
HEAD: Final = ("look-ups of", "look-ups", "queries each", "not found", "5 s or more", "p50", "p99", "max")


def lookups_of(requests: pd.DataFrame) -> pd.DataFrame:
    """The look-ups that came to an end."""
    loads = set(requests.loc[requests["queries"] > 0, "load"])
    return requests[requests["load"].isin(loads) & (requests["outcome"] != "aborted")]


def lookup_lines(requests: pd.DataFrame) -> list[str]:
    """A table with a row per load, [] when nothing was looked up."""
    rows = lookup_rows(requests)
    if not rows:
        return []
    return ["Look-ups (time until the application knew)", *table(HEAD, rows, "lrrrrrrr")]


def lookup_rows(requests: pd.DataFrame) -> list[tuple[str, ...]]:
    """The cells under HEAD, a row per load."""
    found = lookups_of(requests)
    return [_row(str(load), found[found["load"] == load]) for load in sorted(found["load"].unique())]


def _row(load: str, part: pd.DataFrame) -> tuple[str, ...]:
    from netsim.measure.summary import seconds
    from netsim.measure.text import percent

    took = part["latency_ns"].to_numpy(dtype=float)
    slow = float((part["latency_ns"] >= SLOW_LOOKUP_NS).mean())
    bad = int((part["outcome"] != "ok").sum())
    times = [seconds(quantile(took, q)) for q in (0.5, 0.99, 1.0)]
    return (load, f"{len(part):,}", f"{part['queries'].mean():.2f}", f"{bad:,}", percent(slow), *times)


def queries_label(load: str, part: "pd.DataFrame | Any") -> str:
    """A load in a legend."""
    slow = float((part["latency_ns"] >= SLOW_LOOKUP_NS).mean())
    tail = f", {slow:.1%} took 5 s" if slow else ""
    return f"{load}: {part['queries'].mean():.2f} queries{tail}"
