"""From requests to connections: the unit in which a Service's dataplane chooses.

With keep-alive many requests travel on one connection and all reach the same endpoint, so a split must be judged by
connections. Called by `split`.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netsim.measure.endpoints import EndpointHistory, Period
from netsim.measure.events import address_of

_KEY: Final = ["replication", "client", "load", "connection"]

# How far from a change of the rules a connection may carry the neighbouring period's endpoint: a packet in flight.
_SNAP_NS: Final = 100_000_000


def connections_frame(requests: pd.DataFrame) -> pd.DataFrame:
    """One row per connection that was opened, in order of first use.

    Columns: replication, client, client_node, load, connection, t_ns (the first packet towards the endpoint), endpoint,
    pod, node, backend (the endpoint's address), requests, failed, lost (attempts before the last, whose endpoints
    nobody knows), policy ("Local": the node's own endpoints only). `client_node` is the node whose rules chose: for a
    client outside the cluster the one that its connection came in by.
    """
    opened = requests[requests["connection"] > 0]
    frame = opened.assign(
        sent_ns=opened["t_ns"] + opened["resolve_ns"].fillna(0).astype("int64"),
        failed=~opened["outcome"].isin(["ok", "aborted"]),  # the end of the run is nobody's failure
        lost=opened["attempts"] - 1,
    )
    frame["client_node"] = frame["client_node"].where(frame["via_node"] == "", frame["via_node"])
    for column in ("endpoint", "pod", "node"):
        frame[column] = frame[column].mask(frame[column] == "")
    grouped = frame.groupby(_KEY, sort=False, as_index=False).agg(
        client_node=("client_node", "first"),
        t_ns=("sent_ns", "min"),
        endpoint=("endpoint", "first"),
        pod=("pod", "first"),
        node=("node", "first"),
        requests=("request", "size"),
        failed=("failed", "sum"),
        lost=("lost", "sum"),
        policy=("policy", "first"),
    )
    for column in ("endpoint", "pod", "node"):
        grouped[column] = grouped[column].fillna("").astype("str")
    backend = {endpoint: address_of(endpoint) for endpoint in grouped["endpoint"].unique()}
    return grouped.assign(backend=grouped["endpoint"].map(backend).astype("str"))


def with_periods(
    connections: pd.DataFrame, histories: Mapping[int, EndpointHistory], node_of: Mapping[str, str]
) -> tuple[pd.DataFrame, list[tuple[str, ...]]]:
    """Add to each connection what the rules of its node held when it was opened.

    Returns the table with two more columns and the list of endpoint sets: `period` indexes that list; `stray` says that
    the connection's endpoint was not in the rules. Replications whose events tell nothing get one period that holds
    every endpoint seen in them. `node_of` says on which node an address is, for policy Local.
    """
    sets: list[tuple[str, ...]] = []
    period = np.zeros(len(connections), dtype=np.int64)
    stray = np.zeros(len(connections), dtype=bool)
    for replication, node, policy, rows in _by_node(connections):
        part = connections.iloc[rows]
        history = histories.get(replication)
        periods = history.periods(node) if history is not None and history.known else []
        if not periods:
            periods = [_observed(connections, replication)]
        if policy == "Local":
            periods = [_on_node(p, node, node_of) for p in periods]
        for chosen, fitting in _by_family(part, periods):
            own, own_stray = _assign(part.iloc[chosen], fitting)
            period[rows[chosen]] = own + len(sets)
            stray[rows[chosen]] = own_stray
            sets += [p.addresses for p in fitting]
    return connections.assign(period=period, stray=stray), sets


def _by_node(connections: pd.DataFrame) -> Iterator[tuple[int, str, str, NDArray[np.int64]]]:
    columns = (connections[column].tolist() for column in ("replication", "client_node", "policy"))
    rows: dict[tuple[int, str, str], list[int]] = {}
    for row, key in enumerate(zip(*columns, strict=True)):
        rows.setdefault(key, []).append(row)
    for key in sorted(rows):
        yield *key, np.array(rows[key], dtype=np.int64)


def _on_node(period: Period, node: str, node_of: Mapping[str, str]) -> Period:
    return Period(period.start_ns, tuple(a for a in period.addresses if node_of.get(a) == node))


def _by_family(part: pd.DataFrame, periods: list[Period]) -> Iterator[tuple[NDArray[np.int64], list[Period]]]:
    """Rows of connections and the endpoints they could be given to: those of their own family, where a Service has
    both. A connection of which no endpoint is known goes with the majority."""
    rows = np.arange(len(part), dtype=np.int64)
    if len({":" in address for period in periods for address in period.addresses}) < 2:
        yield rows, periods
        return
    six = part["backend"].str.contains(":", regex=False).to_numpy(dtype=bool)
    unknown = (part["backend"] == "").to_numpy(dtype=bool)
    mostly = 2 * int(six.sum()) > int((~unknown).sum())
    six = np.where(unknown, mostly, six)
    for family in (False, True):
        chosen = rows[six == family]
        if len(chosen):
            yield (
                chosen,
                [Period(p.start_ns, tuple(a for a in p.addresses if (":" in a) == family)) for p in periods],
            )


def _observed(connections: pd.DataFrame, replication: int) -> Period:
    backends = connections.loc[connections["replication"] == replication, "backend"]
    return Period(-(2**62), tuple(sorted(set(backends) - {""})))


def _assign(part: pd.DataFrame, periods: list[Period]) -> tuple[NDArray[np.int64], list[bool]]:
    times = part["t_ns"].to_numpy(dtype=np.int64)
    starts = np.array([p.start_ns for p in periods], dtype=np.int64)
    index = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
    stray: list[bool] = []
    for row, (t_ns, backend) in enumerate(zip(times.tolist(), part["backend"], strict=True)):
        fitting = _fitting(periods, int(index[row]), t_ns, backend)
        stray.append(fitting is None)
        index[row] = index[row] if fitting is None else fitting
    return index, stray


def _fitting(periods: list[Period], index: int, t_ns: int, backend: str) -> int | None:
    held = periods[index].addresses
    # Without ready endpoints the rules may still use terminating ones, which no event lists: nothing to hold against.
    if not backend or not held or backend in held:
        return index
    if index > 0 and t_ns - periods[index].start_ns <= _SNAP_NS and backend in periods[index - 1].addresses:
        return index - 1
    after = index + 1
    if (
        after < len(periods)
        and periods[after].start_ns - t_ns <= _SNAP_NS
        and backend in periods[after].addresses
    ):
        return after
    return None
