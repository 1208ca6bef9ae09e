"""Runs of the experiments in `experiments/`, and the moments that their events tell.

Called by: the readings. An experiment is run once, with one process, however many tables ask for it.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import netsim
from netsim.engine import S
from netsim.experiment.comparison import Comparison
from netsim.experiment.results import Results

EXPERIMENTS = Path(__file__).parent / "experiments"


class Happening(NamedTuple):
    """An event of a replication; `at` is in seconds from the (first) fault."""

    at: float
    reason: str
    name: str
    node: str
    detail: dict[str, str]


@cache
def run(name: str) -> dict[str, Results]:
    """The results of an experiment's variants by name; of one without variants under ""."""
    found = netsim.load(EXPERIMENTS / f"{name}.yaml").run(jobs=1, progress=lambda _done, _total: None)
    return found.results if isinstance(found, Comparison) else {"": found}


def replications(results: Results) -> Iterator[list[Happening]]:
    """The events of each replication from its first fault on, in order."""
    for _, events in results.events.groupby("replication"):
        fault_ns = int(events.loc[events["reason"] == "FaultInjected", "t_ns"].min())
        after = events[events["t_ns"] >= fault_ns]
        rows = zip(after["t_ns"], after["reason"], after["name"], after["node"], after["detail"], strict=True)
        yield [
            Happening((t_ns - fault_ns) / S, reason, name, node, json.loads(detail))
            for t_ns, reason, name, node, detail in rows
        ]


def first(happenings: Iterable[Happening], reason: str, since: float = 0.0, **detail: Any) -> Happening:
    """The first event with this reason and these details, `since` seconds after the fault or later."""
    for found in happenings:
        if found.reason == reason and found.at >= since and detail.items() <= found.detail.items():
            return found
    raise LookupError(f"there is no {reason} with {detail} from {since} s on")


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean."""
    kept = list(values)
    return sum(kept) / len(kept)
