"""What pods, nodes and cables were doing at a moment, from the events of one replication.

Called by: `causes`. A pod's life is told by ContainerStarted, ContainerDied, PodReady, PodUnready, PodTerminating and
PodDeleted; the rest by the faults and how long each lasted.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from netsim.measure.events import Event

POD_REASONS: Final = (
    "ContainerStarted",
    "ContainerDied",
    "PodReady",
    "PodUnready",
    "PodTerminating",
    "PodDeleted",
)
_FOR_EVER: Final = 2**62


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod at one moment."""

    running: bool = False
    ready: bool = False
    terminating: bool = False
    gone: bool = False


def _after(before: PodState, reason: str) -> PodState:
    if reason == "ContainerStarted":  # of a pod of the same name too (StatefulSet)
        return PodState(running=True) if before.gone else replace(before, running=True)
    changes: dict[str, dict[str, bool]] = {
        "ContainerDied": {"running": False},
        "PodReady": {"ready": True},
        "PodUnready": {"ready": False},
        "PodTerminating": {"terminating": True},
        "PodDeleted": {"gone": True, "terminating": True, "running": False},
    }
    return replace(before, **changes[reason])


class PodLives:
    """The states of all pods over time."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._times: dict[str, list[int]] = {}
        self._states: dict[str, list[PodState]] = {}
        for event in events:
            if event.reason in POD_REASONS:
                pod = f"{event.namespace}/{event.name}"
                states = self._states.setdefault(pod, [])
                states.append(_after(states[-1] if states else PodState(), event.reason))
                self._times.setdefault(pod, []).append(event.t_ns)

    def at(self, pod: str, t_ns: int) -> PodState | None:
        """The pod's state; None for a pod that nothing is known of."""
        index = bisect_right(self._times.get(pod, ()), t_ns)
        return self._states[pod][index - 1] if index else None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault and its time."""

    action: str
    start_ns: int
    end_ns: int
    pods: frozenset[str]
    nodes: frozenset[str]
    links: frozenset[str]

    def during(self, start_ns: int, end_ns: int) -> bool:
        """Whether it lasted at some moment of these."""
        return self.start_ns <= end_ns and start_ns <= self.end_ns


def troubles(events: Sequence[Event]) -> list[Trouble]:
    """The faults of a replication."""
    return [
        Trouble(
            event.detail.get("action", ""),
            event.t_ns,
            event.t_ns + event.number("for_ns") if event.detail.get("for_ns") else _FOR_EVER,
            frozenset(event.listed("pods")),
            frozenset(event.listed("nodes")),
            frozenset(link.removesuffix(":eth0") for link in event.listed("links")),
        )
        for event in events
        if event.reason == "FaultInjected"
    ]
