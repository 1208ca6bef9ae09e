"""The failover budget of one outage: successive marks, clipped to its end, so that the stages add up to it exactly.

    detect      fault             -> somebody noticed (probe, container status, node lease)
    write       noticed           -> the status is in the API
    endpoints   status            -> the EndpointSlice is updated
    watch       EndpointSlice     -> the slowest client node's kube-proxy has seen it
    wait        seen              -> it begins to sync (minSyncPeriod, a sync that is already running)
    sync        sync began        -> its rules are written
    client      rules everywhere  -> the last failed request is over (pinned connections, timeouts, retries)

A mark that is missing in the middle gives its stage nothing (a deleted pod needs no status write); what follows the
last mark there is goes to the stage that never ended. A mark that comes after one further down cannot have caused it
(the kubelet may hear of a deletion later than the controller that removes the endpoint): both count as the earlier.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

STAGES: Final = ("detect", "write", "endpoints", "watch", "wait", "sync", "client")

# How a sentence about the budget says "most of it was ...".
STAGE_WORDS: Final = {
    "detect": "the time until somebody noticed",
    "write": "the status write to the API server",
    "endpoints": "the EndpointSlice controller",
    "watch": "the watch that tells kube-proxy",
    "wait": "kube-proxy waiting for minSyncPeriod",
    "sync": "kube-proxy writing its rules",
    "client": "clients held by timeouts and pinned connections",
}


def budget(fault_ns: int, end_ns: int, chain: Sequence[int | None]) -> tuple[int, ...]:
    """Nanoseconds per stage of an outage from `fault_ns` to `end_ns`. `chain` holds the six marks after the fault, in
    the order above; the sum is `end_ns - fault_ns` whatever the marks are."""
    bounds = [fault_ns]
    for index in range(len(chain)):
        later = [mark for mark in chain[index:] if mark is not None]
        if not later:
            bounds.append(end_ns)
        elif chain[index] is None:
            bounds.append(bounds[-1])
        else:
            bounds.append(max(bounds[-1], min(*later, end_ns)))
    bounds.append(end_ns)
    return tuple(after - before for before, after in pairwise(bounds))
