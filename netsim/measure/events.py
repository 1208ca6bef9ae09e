"""Reading the events table back: the rows of certain reasons, in order, with their details decoded.

Used by `endpoints` (which endpoints were in the rules when) and `marks` (when did who learn of a fault). Everything
here works on tables, so a result folder that was read back is analysed exactly as a run that just ended.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the events table with its detail decoded; `t_ns` counts from the experiment's zero."""

    t_ns: int
    reason: str
    namespace: str
    name: str
    node: str
    detail: Mapping[str, str]

    def listed(self, key: str) -> tuple[str, ...]:
        """The parts of a comma-separated detail; empty when it is not there."""
        return tuple(part.strip() for part in self.detail.get(key, "").split(",") if part.strip())

    def services(self) -> tuple[str, ...]:
        """The Services (`namespace/name`) that the event is about."""
        texts = self.listed("services") or self.listed("service")
        return tuple(service_id(text, self.namespace) for text in texts)

    def number(self, key: str) -> int:
        """A whole-number detail; 0 when it is not there."""
        return int(self.detail.get(key) or 0)


def service_id(text: str, namespace: str = "") -> str:
    """`namespace/name` of a Service written as `name`, `namespace/name` or `namespace/name:port`."""
    name = text.split(":", 1)[0]
    return name if "/" in name or not name else f"{namespace or 'default'}/{name}"


def find_service(text: str, known: Iterable[str]) -> str:
    """The known Service that a user means by `name` or `namespace/name`. Raises KeyError naming those there are."""
    names = sorted(set(known))
    if "/" in text:
        matches = [name for name in names if name == text]
    else:
        matches = [name for name in names if name.rsplit("/", 1)[-1] == text]
        matches = [name for name in matches if name == f"default/{text}"] or matches
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise KeyError(f"Service {text!r} is ambiguous: write one of {', '.join(matches)}")
    there = f"there are {', '.join(names)}" if names else "no Service was"
    raise KeyError(
        f"no request went to a Service {text!r}; {there}" if names else f"{there} asked for {text!r}"
    )


def read_events(frame: pd.DataFrame, reasons: Iterable[str]) -> dict[int, list[Event]]:
    """The events with one of the reasons, by replication, in order of time."""
    wanted = frame[frame["reason"].isin(list(reasons))]
    found: dict[int, list[Event]] = {int(r): [] for r in frame["replication"].unique()}
    columns: Sequence[str] = ["replication", "t_ns", "reason", "namespace", "name", "node", "detail"]
    for replication, t_ns, reason, namespace, name, node, detail in zip(
        *(wanted[column].tolist() for column in columns), strict=True
    ):
        found[replication].append(Event(t_ns, reason, namespace, name, node, json.loads(detail)))
    return found


def address_of(endpoint: str) -> str:
    """The address of `ip:port`, `[ip]:port` or a bare address."""
    if endpoint.startswith("["):
        return endpoint[1:].split("]", 1)[0]
    return endpoint.split(":", 1)[0] if endpoint.count(":") == 1 else endpoint
