"""The word on a split: "chance" or "cause", with a plain sentence and, for a cause, what the data show of it.

Theory of operation. The first line that holds decides (alpha is 0.01):

    no connection of known endpoint                                    none    no-data
    connections odd (p < alpha)      and every client keeps to one     cause   affinity
                                     and clients stay on their node    cause   locality
                                     and an endpoint got nothing       cause   unused-endpoint
                                     otherwise                         cause   unknown
    connections even, but each carries more on some endpoints          cause   uneven-connections
    connections even on each node, odd over all, and policy Local      cause   local-policy
    connections even per period, odd as if there were one period       cause   endpoints-changed
    requests odd, connections even                                     chance  few-connections
    all even                                                           chance  even

One test in a hundred cries "cause" for nothing: that is what alpha means, and the sentence gives p.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from netsim.measure.gof import Floats

ALPHA: Final = 0.01

Word = Literal["chance", "cause", "none"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word` is "chance", "cause" or "none" (nothing to judge); `reason` a key of the table above; `sentence` is for
    people; `notes` are further things worth knowing."""

    word: Word
    reason: str
    sentence: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.sentence, *self.notes))


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a split: see `split.LoadSplit`.

    `known` has a row per connection of known endpoint (column `backend`), `names` are the backends, `expected` their
    expected connections, `probabilities` has a row per connection and a column per backend.
    """

    service: str
    table: pd.DataFrame
    known: pd.DataFrame
    names: list[str]
    expected: Floats
    probabilities: Floats
    unknown: int
    stray: int
    pvalue: float
    request_pvalue: float
    weighted_pvalue: float
    flat_pvalue: float
    periods: int


def judge(e: Evidence) -> Verdict:
    """Find the first line of the table that holds."""
    if not len(e.known):
        return Verdict(
            "none", "no-data", "No connection reached an endpoint: there is no split to judge.", _notes(e)
        )
    if e.pvalue < ALPHA:
        reason, why = _cause_of_choice(e)
        return Verdict("cause", reason, f"{_odd(e)} {why}", _notes(e))
    if e.weighted_pvalue < ALPHA:
        return Verdict("cause", "uneven-connections", _uneven_sentence(e), _notes(e))
    if e.flat_pvalue < ALPHA and bool((e.known["policy"] == "Local").any()):
        return Verdict("cause", "local-policy", _local_sentence(e), _notes(e))
    if e.periods > 1 and e.flat_pvalue < ALPHA:
        return Verdict("cause", "endpoints-changed", _changed_sentence(e), _notes(e))
    if e.request_pvalue < ALPHA:
        return Verdict("chance", "few-connections", _few_sentence(e), _notes(e))
    return Verdict("chance", "even", _even_sentence(e), _notes(e))


def p_text(p: float) -> str:
    """`p = 0.43`, `p = 0.003`, `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2f}" if p >= 0.1 else f"p = {p:.1g}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _over(e: Evidence) -> str:
    return f"{_count(len(e.known), 'connection')} over {_count(int((e.expected > 0).sum()), 'endpoint')}"


def _extreme(table: pd.DataFrame, column: str) -> str:
    """The endpoint that is farthest from its expected share, in words."""
    off = (table[column] - table["expected_share"]).abs()
    row = table.iloc[int(off.to_numpy().argmax())]
    return f"{_name(row)} got {row[column]:.1%} where {row['expected_share']:.1%} was expected"


def _name(row: "pd.Series[Any]") -> str:
    pod = str(row["pod"]).rsplit("/", 1)[-1]
    return str(row["endpoint"]) if not pod or pod.endswith("*") else pod


def _even_sentence(e: Evidence) -> str:
    return f"Chance: {_over(e)} are spread as evenly as random choice spreads them ({p_text(e.pvalue)})."


def _few_sentence(e: Evidence) -> str:
    requests = int(e.known["requests"].sum())
    return (
        f"Chance: the requests are skewed ({_extreme(e.table, 'request_share')}), but {requests:,} requests"
        f" travelled on only {_count(len(e.known), 'connection')}, and a connection keeps its endpoint; the"
        f" connections are split as random choice does it ({p_text(e.pvalue)})."
    )


def _changed_sentence(e: Evidence) -> str:
    return (
        f"Cause: the endpoints changed during the run. Between the changes connections are split as random choice does"
        f" it ({p_text(e.pvalue)})."
    )


def _local_sentence(e: Evidence) -> str:
    """Each node's part of the connections, and over how many endpoints it is spread."""
    parts = []
    for node, rows in e.known[e.known["policy"] == "Local"].groupby("client_node", sort=True):
        endpoints = int((e.probabilities[e.known.index.get_indexer(rows.index)] > 0).any(axis=0).sum())
        parts.append(f"{node} {len(rows) / len(e.known):.1%} over {endpoints}")
    return (
        f"Cause: traffic policy Local: a node gives its connections to its own endpoints only"
        f" ({', '.join(parts)}). On each node they are split as random choice does it ({p_text(e.pvalue)})."
    )


def _uneven_sentence(e: Evidence) -> str:
    mean = e.known.groupby("backend", sort=True)["requests"].mean()
    most, least = str(mean.idxmax()), str(mean.idxmin())
    return (
        f"Cause: connections are split as random choice does it ({p_text(e.pvalue)}), but one to"
        f" {_pod(e, most)} carries {mean[most]:,.1f} requests on average and one to {_pod(e, least)}"
        f" {mean[least]:,.1f}: some endpoints are faster, or break connections."
    )


def _odd(e: Evidence) -> str:
    extreme = _extreme(e.table, "connection_share")
    return f"Cause: random choice would hardly split {_over(e)} like this ({p_text(e.pvalue)}): {extreme}."


def _cause_of_choice(e: Evidence) -> tuple[str, str]:
    if _sticky(e):
        return (
            "affinity",
            "Every client keeps to one endpoint: session affinity, or a choice by hash of the source.",
        )
    if _local(e):
        return "locality", "Clients are served on their own node: a Local traffic policy or topology hints."
    idle = _idle(e)
    if idle:
        names = ", ".join(_pod(e, name) for name in idle)
        return "unused-endpoint", f"Never chosen though ready: {names}. Do the rules of every node hold it?"
    return "unknown", "Nothing else in the data says why: look at the split by client node and at the rules."


def _sticky(e: Evidence) -> bool:
    """Clients with several connections that always met one endpoint (per node whose rules chose), too often for
    chance."""
    log_chance, sticky, several = 0.0, 0, 0
    p = np.array([e.probabilities[i, e.names.index(b)] for i, b in enumerate(e.known["backend"])])
    groups = (
        e.known.reset_index(drop=True).groupby(["replication", "client", "client_node"], sort=True).indices
    )
    backends = e.known["backend"].to_numpy()
    for rows in groups.values():
        if len(rows) < 2:
            continue
        several += 1
        if len(set(backends[rows])) == 1:
            sticky += 1
            log_chance += float(np.log(np.maximum(p[rows[1:]], 1e-12)).sum())
    return bool(sticky) and sticky >= 0.9 * several and log_chance < math.log(ALPHA)


def _local(e: Evidence) -> bool:
    """Nearly all connections stay on the client's node, which fewer than 9 in 10 would by chance."""
    placed = e.known[(e.known["node"] != "") & (e.known["client_node"] != "")]
    if placed.empty:
        return False
    node_of = dict(zip(placed["backend"], placed["node"], strict=True))
    names = np.array([node_of.get(name, "") for name in e.names])
    own = names[None, :] == e.known["client_node"].to_numpy(dtype=object)[:, None]
    expected = float((e.probabilities * own).sum(axis=1).mean())
    return bool((placed["node"] == placed["client_node"]).mean() >= 0.99 and expected < 0.9)


def _idle(e: Evidence) -> list[str]:
    used = set(e.known["backend"])
    return [name for name, n in zip(e.names, e.expected, strict=True) if n >= 5 and name not in used]


def _pod(e: Evidence, backend: str) -> str:
    return _name(e.table.iloc[e.names.index(backend)])


def _notes(e: Evidence) -> tuple[str, ...]:
    notes = []
    if e.unknown:
        whose = "its endpoint was" if e.unknown == 1 else "their endpoints were"
        notes.append(f"{_count(e.unknown, 'connection')} failed before {whose} known.")
    if e.stray:
        notes.append(
            f"{_count(e.stray, 'connection')} went to an endpoint that the node's rules no longer held."
        )
    failing = e.table[(e.table["failed"] > 0.5 * e.table["requests"]) & (e.table["requests"] > 0)]
    if len(failing) and len(failing) < len(e.table):
        notes.append(
            f"More than half of the requests to {', '.join(_name(r) for _, r in failing.iterrows())} failed."
        )
    return tuple(notes)
