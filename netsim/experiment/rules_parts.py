"""The sound parts of an experiment, as the rules look at them (the whole of it, or what is left when it has errors).

Called by: `loader_experiment` (makes them), `rules_experiment`, `rules_faults`.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from netsim.engine import format_duration
from netsim.experiment.spec_experiment import Check, Load, Server
from netsim.experiment.spec_fault import Fault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """An entry of a list in the file. Not `whole`: it was read without its wrong fields, so do not miss them."""

    index: int
    value: T
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Parts:
    """What can be checked; a time that could not be read is None."""

    duration_ns: int | None
    warmup_ns: int | None
    load: list[Item[Load]]
    servers: list[Item[Server]]
    faults: list[Item[Fault]]
    checks: list[Item[Check]]

    def ends_by(self, at_ns: int | None) -> bool:
        """Is the experiment over at this moment (False when either time is unknown)?"""
        return self.duration_ns is not None and at_ns is not None and at_ns >= self.duration_ns

    def length(self) -> str:
        """The duration as text."""
        return format_duration(self.duration_ns or 0)
