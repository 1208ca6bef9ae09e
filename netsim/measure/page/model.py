"""What a report says about the simulation itself, as plain values that `run.json` keeps.

Filled by `experiment.assumptions`; shown by `run_sections`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from netsim.measure.books import PacketBooks
from netsim.measure.split import LoadSplit
from netsim.measure.summary import Failover
from netsim.measure.text import CheckLine, Header


@dataclass(frozen=True, slots=True)
class Assumption:
    """One setting of the model: under which heading, what it is, its value, where the value is from, what it means.

    `given`: the user's own file says so. A default otherwise, and `source` says where that is from."""

    topic: str
    name: str
    value: str
    given: bool = False
    source: str = ""
    meaning: str = ""


class Analysis(Protocol):
    """What is asked of a run's analysis (see experiment/analysis.py)."""

    requests: pd.DataFrame
    events: pd.DataFrame

    @property
    def asked(self) -> tuple[str, ...]: ...
    @property
    def services(self) -> tuple[str, ...]: ...
    @property
    def causes(self) -> pd.DataFrame: ...
    def load_split(self, service: str = "") -> LoadSplit: ...
    def failover(self, service: str = "") -> Failover: ...


@dataclass(frozen=True)
class Run:
    """Everything that a page says about one run. `command` runs it again; `notes` are the loader's remarks,
    `most_points` limits the marks of a timeline."""

    header: Header
    analysis: "Analysis"
    books: PacketBooks | None
    checks: Sequence[CheckLine] = ()
    notes: Sequence[str] = ()
    assumptions: Sequence[Assumption] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    most_points: int = 2500
    warmup_ns: int = 0


@dataclass(frozen=True)
class Compared:
    """Several runs side by side. `table` is `measure.comparison`'s, `variants` what it was made of."""

    name: str
    fingerprint: str
    runs: Mapping[str, Run]
    table: pd.DataFrame
    command: str = ""
