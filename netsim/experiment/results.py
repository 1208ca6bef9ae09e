"""The results of an experiment: tables, statistics, figures, text, and a folder that keeps them.

`Results.from_recordings` is called by the runner, `Results.read` by whoever has a folder; both give the same object. A
folder holds

    run.json            what was run (spec, seed, versions), fingerprint, packet books, checks; no times of day in it
    requests.parquet    one row per request        failover.parquet         one row per outage
    events.parquet      one row per event          failover_nodes.parquet   one row per outage and client node
    proxied.parquet     one row per endpoint that an ingress controller asked, if there was one
    report.html         all of it to look at, in one page (see `report`)
    causes.parquet      why requests failed, one row per cause, if any did
    figures/            the figures, as PNG
    packets/            pcapng files of the first replication, where the experiment says `capture:`
"""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pandas as pd

from netsim.experiment.analysis import Analysis
from netsim.experiment.checks import Check, CheckResult
from netsim.experiment.folder import MANIFEST, write_folder
from netsim.experiment.plots import Plots
from netsim.experiment.report import write_report
from netsim.measure.books import PacketBooks
from netsim.measure.collect import Recording
from netsim.measure.fingerprint import fingerprint
from netsim.measure.frames import EVENT_TYPES, REQUEST_TYPES, events_frame, requests_frame, typed
from netsim.measure.proxied import proxied_frame

if TYPE_CHECKING:
    from netsim.experiment.explain import Explained
    from netsim.experiment.loader import ExperimentBundle
    from netsim.measure.page.model import Assumption
    from netsim.measure.precision import Precision
    from netsim.measure.split import LoadSplit
    from netsim.measure.summary import Failover
    from netsim.measure.text import Header

SCHEMA_VERSION: Final = 1
PROXIED_NOTE: Final = (
    "an ingress controller chooses an endpoint for each request: in the load split of a Service behind it, every "
    "request that it passed on counts as a connection, a retry as another one"
)

# Whose versions can change a figure or a table (never the simulation's fingerprint).
_PACKAGES: Final = ("k8s-netsim", "matplotlib", "numpy", "pandas", "pyarrow", "scapy", "scipy", "simpy")


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What was run. `spec` is the experiment's spec as plain JSON values; times in nanoseconds. `command` runs it
    again, `assumptions` is what the model took for granted."""

    name: str
    seed: int
    replications: int
    duration_ns: int
    fingerprint: str
    warmup_ns: int = 0
    spec: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    command: str = ""
    assumptions: "tuple[Assumption, ...]" = ()


class Results:
    """Everything known about one run of an experiment.

    `requests` and `events` are the full tables, `proxied` is what ingress controllers asked of endpoints; statistics,
    figures and checks leave out what began before the end of the warm-up. `books` has an entry per replication.
    """

    KIND: ClassVar[str] = "RunResult"

    def __init__(
        self,
        info: RunInfo,
        requests: pd.DataFrame,
        events: pd.DataFrame,
        books: Sequence[PacketBooks] = (),
        checks: Sequence[CheckResult] = (),
        captures: Mapping[str, bytes] | None = None,
        proxied: pd.DataFrame | None = None,
    ) -> None:
        self.info = info
        self.captures = dict(captures or {})
        self.requests = requests
        self.events = events
        self.books = tuple(books)
        self.checks = tuple(checks)
        self.proxied = typed([], REQUEST_TYPES) if proxied is None else proxied
        self.analysis = Analysis(_measured(requests, info), events, _measured(self.proxied, info))
        self.plot = Plots(self.analysis)
        self.played: tuple[ExperimentBundle, int] | None = None  # what to play again for a journey

    @classmethod
    def from_recordings(
        cls,
        recordings: Iterable[Recording],
        *,
        name: str,
        spec: Mapping[str, Any],
        seed: int,
        duration_ns: int,
        warmup_ns: int = 0,
        checks: Sequence[Check] = (),
        warnings: Sequence[str] = (),
    ) -> "Results":
        """Tables, fingerprint and evaluated checks of what the replications recorded."""
        runs = sorted(recordings, key=lambda r: r.replication)
        info = RunInfo(
            name,
            seed,
            len(runs),
            duration_ns,
            fingerprint(runs),
            warmup_ns,
            spec,
            _versions(),
            (*warnings, *([PROXIED_NOTE] if any(r.proxied for r in runs) else ())),
        )
        books = [r.books for r in runs if r.books is not None]
        captures = {name: data for r in runs for name, data in r.captures.items()}
        frames = requests_frame(runs, name), events_frame(runs, name)
        proxied = proxied_frame(runs, name)
        results = cls(info, *frames, books, captures=captures, proxied=proxied)
        results.checks = tuple(check.evaluate(results.analysis) for check in checks)
        return results

    def came_from(self, command: str, assumptions: "Iterable[Assumption]") -> "Results":
        """Keep how to run it again and what the model took for granted. Returns itself."""
        self.info = replace(self.info, command=command, assumptions=tuple(assumptions))
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything observed: same spec and seed, same fingerprint, on any machine."""
        return self.info.fingerprint

    @property
    def passed(self) -> bool:
        """Whether all checks hold (also when there are none)."""
        return all(check.passed for check in self.checks)

    @cached_property
    def observations(self) -> pd.DataFrame:
        """One row per replication and Service, units in the names (see `measure.observations`)."""
        from netsim.measure.observations import observations

        return observations(self.analysis)

    @cached_property
    def precision(self) -> "Precision | None":
        """What the stop rule (`until`) came to: after how many replications, and whether it was reached."""
        if not self.info.spec.get("until"):
            return None
        from netsim.experiment.spec_until import Until
        from netsim.measure.precision import precision

        return precision(self.observations, Until.model_validate(self.info.spec["until"]).rule())

    @property
    def services(self) -> tuple[str, ...]:
        """The Services that requests were made to, by clients or by ingress controllers."""
        return self.analysis.services

    @property
    def packets(self) -> PacketBooks | None:
        """The packet books of all replications together; of the first that does not close, if one does not."""
        bad = [books for books in self.books if not books.closes]
        return bad[0] if bad else PacketBooks.total(self.books) if self.books else None

    def load_split(self, service: str = "") -> "LoadSplit":
        """How a Service's connections were spread. KeyError for a Service that got none."""
        return self.analysis.load_split(service)

    def failover(self, service: str = "") -> "Failover":
        """What the faults did to a Service. KeyError for a Service that got no request."""
        return self.analysis.failover(service)

    @property
    def causes(self) -> pd.DataFrame:
        """Why requests failed: error, what the endpoint was doing, what the rules had to do with it, how many."""
        return self.analysis.causes

    @property
    def failed_requests(self) -> pd.DataFrame:
        """One row per failed request with its cause."""
        return self.analysis.failed_requests

    def journey(self, request: int, replication: int = 0) -> "Explained":
        """Follow one request of `requests` packet by packet: its replication is played again up to it. LookupError for
        a request that there is not, or when the results come from a folder, which holds no topology."""
        from netsim.experiment.replay import replay

        if self.played is None:
            raise LookupError("results read from a folder cannot be played again: run the experiment")
        table = self.requests
        rows = table[(table["request"] == request) & (table["replication"] == replication)]
        if rows.empty:
            raise LookupError(f"replication {replication} has no request {request}")
        return replay(*self.played, replication, request, int(rows["t_ns"].iloc[0]))

    # ------------------------------------------------------------------ showing
    def text(self) -> str:
        """The report for a terminal: at most 100 columns, ending with a newline."""
        from netsim.measure.text import harm_sections, report

        splits = [self.load_split(service) for service in self.services]
        failovers = [self.failover(service) for service in self.analysis.asked]
        requests = self.analysis.requests
        return report(
            self.header(), requests, splits, failovers, self.packets, self.checks, self.info.warnings,
            harm_sections(requests, self.events, self.causes),
        )  # fmt: skip

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from netsim.measure.html import checks_html, paragraph, requests_html, titled
        from netsim.measure.text import header_lines

        splits = [self.load_split(service)._repr_html_() for service in self.services]
        failovers = [self.failover(service) for service in self.analysis.asked]
        shown = [failover._repr_html_() for failover in failovers if failover.faults]
        books = paragraph(self.packets.line()) if self.packets else ""
        blocks = [requests_html(self.analysis.requests), *splits, *shown, checks_html(self.checks), books]
        return titled(header_lines(self.header())[0], *blocks)

    def header(self, name: str = "", fingerprint: str = "") -> "Header":
        """What was run, for the first line of a report; also under another name."""
        from netsim.measure.text import Header

        i = self.info
        precision = self.precision.line() if self.precision else ""
        return Header(
            name or i.name, i.seed, i.replications, i.duration_ns, fingerprint or i.fingerprint, precision
        )

    # ------------------------------------------------------------------ keeping
    def write(self, folder: str | Path, figures: bool = True) -> Path:
        """Write the result folder, all or nothing. Raises FileExistsError when something else is there."""
        target = Path(folder)
        write_folder(target, lambda part: self._fill(part, figures))
        return target

    def _fill(self, part: Path, figures: bool) -> None:
        outages, nodes = self.analysis.failover_tables
        tables = {
            "requests": self.requests,
            "events": self.events,
            "failover": outages,
            "failover_nodes": nodes,
        }
        if not self.causes.empty:
            tables["causes"] = self.causes
        if not self.proxied.empty:
            tables["proxied"] = self.proxied
        for name, table in tables.items():
            table.to_parquet(part / f"{name}.parquet", index=False)
        if self.captures:
            (part / "packets").mkdir()
        for name, data in self.captures.items():
            (part / "packets" / f"{name}.pcapng").write_bytes(data)
        if figures:
            (part / "figures").mkdir()
            for name, plot in self.plot.all():
                (part / "figures" / f"{name}.png").write_bytes(plot.png())
        write_report(part, self)
        text = json.dumps(self.manifest(), indent=2, ensure_ascii=False)
        (part / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def manifest(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        i = self.info
        return {
            "schemaVersion": SCHEMA_VERSION,
            "kind": self.KIND,
            "name": i.name,
            "command": i.command,
            "seed": i.seed,
            "replications": i.replications,
            "durationNs": i.duration_ns,
            "warmupNs": i.warmup_ns,
            "fingerprint": i.fingerprint,
            "versions": dict(i.versions),
            "warnings": list(i.warnings),
            "checks": [asdict(check) for check in self.checks],
            "packets": [books.as_dict() for books in self.books],
            "spec": dict(i.spec),
            "assumptions": [asdict(assumption) for assumption in i.assumptions],
        }

    @classmethod
    def read(cls, folder: str | Path) -> "Results":
        """Read a result folder back. FileNotFoundError when it is none, ValueError when it is damaged or too new."""
        from netsim.experiment.assumptions import from_json

        source = Path(folder)
        manifest = read_manifest(source)
        if manifest.get("kind", cls.KIND) != cls.KIND:
            raise ValueError(f"{source} {what_it_holds(manifest['kind'])}")
        info = RunInfo(
            manifest["name"],
            manifest["seed"],
            manifest["replications"],
            manifest["durationNs"],
            manifest["fingerprint"],
            manifest["warmupNs"],
            manifest["spec"],
            manifest["versions"],
            tuple(manifest["warnings"]),
            manifest.get("command", ""),
            from_json(manifest.get("assumptions", [])),
        )
        requests = pd.read_parquet(source / "requests.parquet")
        if "queries" not in requests:  # written before look-ups were a load
            requests["queries"] = 0
        requests = requests.astype(dict(REQUEST_TYPES))
        events = pd.read_parquet(source / "events.parquet").astype(dict(EVENT_TYPES))
        books = [PacketBooks.from_dict(entry) for entry in manifest["packets"]]
        checks = [CheckResult(**entry) for entry in manifest["checks"]]
        log = source / "proxied.parquet"
        proxied = pd.read_parquet(log).astype(dict(REQUEST_TYPES)) if log.is_file() else None
        return cls(info, requests, events, books, checks, proxied=proxied)


def _measured(table: pd.DataFrame, info: RunInfo) -> pd.DataFrame:
    """Without what began in the warm-up."""
    return table[table["t_ns"] >= info.warmup_ns] if info.warmup_ns else table


def read_manifest(source: Path) -> dict[str, Any]:
    """`run.json` of a result folder. FileNotFoundError when it is none, ValueError when it is damaged or too new."""
    path = source / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{source} is no result folder: there is no {MANIFEST} in it")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = manifest["schemaVersion"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if found != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schemaVersion {found}, this netsim reads {SCHEMA_VERSION}: run it again"
        )
    return manifest


def what_it_holds(kind: str) -> str:
    """What to say of a folder with results of another kind."""
    return {
        "SweepResult": "is a sweep's: look at its cells.parquet and figures/, or read it with netsim.SweepResults.read",
        "ComparisonResult": "has the results of several variants: name one of the folders in it",
    }.get(kind, f"holds a {kind}, which this netsim does not know")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
