"""The vocabulary of the check language: what can be asked of a run, of which kind it is, and how it is computed.

    lookups, lookups('load')              .total .queries .slow .p50 ... of loads to dns://
    errors, errors('svc')                 share of requests that failed
    requests, requests('svc')             .total .ok .failed .retried .connections .timeout .refused ...
    latency, latency('svc')               .min .mean .p50 .p90 .p95 .p99 .p999 .max of the successes
    split('svc')                          .pvalue .jain .connections .share('pod') .verdict ...
    client('load')                        .hurt .longest .failed .slow .retried, by the first fault
    failover('svc'[, 'fault'])            .outage .detect ... .client .detected ... .failed .recovered ...

What a failover or client gives has a value per replication and fault, and a comparison has to hold for each of them;
`.mean`, `.min`, `.max`, `.p50`, `.p95` make one value of it. Everything else is over all replications together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from netsim.measure.split import LoadSplit
    from netsim.measure.summary import Failover

    Floats = NDArray[np.float64]

Kind = Literal["duration", "number", "truth", "text"]
Unit = Literal["ns", "share", "count", "plain", "truth", "text"]


class Measurements(Protocol):
    """What a check is evaluated on: `experiment.analysis.Analysis`."""

    @property
    def requests(self) -> "pd.DataFrame":
        """The requests table."""

    @property
    def events(self) -> "pd.DataFrame":
        """The events table."""

    def load_split(self, service: str) -> "LoadSplit":
        """The split of a Service. KeyError when it got no request."""

    def failover(self, service: str) -> "Failover":
        """The failover of a Service. KeyError when it got no request."""

    def window(self, start_ns: int, end_ns: int) -> "Measurements":
        """The same for a part of the experiment."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something measured: its unit and how to get it, given the measurements and the texts in parentheses."""

    unit: Unit
    get: "Callable[[Measurements, tuple[str, ...]], Floats | str]"
    texts: int = 0
    each: bool = False

    @property
    def kind(self) -> Kind:
        """What it may be compared and combined with."""
        kinds: dict[Unit, Kind] = {"ns": "duration", "truth": "truth", "text": "text"}
        return kinds.get(self.unit, "number")


def _array(value: object) -> "Floats":
    import numpy as np

    return np.asarray(value, dtype=np.float64)


def _requests(m: Measurements, texts: tuple[str, ...]) -> "pd.DataFrame":
    from netsim.measure.events import find_service

    frame = m.requests
    if not texts:
        return frame
    service = find_service(texts[0], set(frame["service"]) - {""})
    return frame[frame["service"] == service]


def _count(outcome: str) -> Quantity:
    return Quantity("count", lambda m, t: _array((_requests(m, t)["outcome"] == outcome).sum()))


def _errors(m: Measurements, texts: tuple[str, ...]) -> "Floats":
    frame = _requests(m, texts)
    judged = frame[frame["outcome"] != "aborted"]
    return _array((judged["outcome"] != "ok").mean() if len(judged) else float("nan"))


def _failed(m: Measurements, texts: tuple[str, ...]) -> "Floats":
    return _array((~_requests(m, texts)["outcome"].isin(["ok", "aborted"])).sum())


def _connections(m: Measurements, texts: tuple[str, ...]) -> "Floats":
    frame = _requests(m, texts)
    opened = frame[frame["connection"] > 0]
    return _array(len(opened[["replication", "client", "load", "connection"]].drop_duplicates()))


def _latency(q: float | None) -> Quantity:
    def get(m: Measurements, texts: tuple[str, ...]) -> "Floats":
        import numpy as np

        frame = _requests(m, texts)
        good = frame.loc[frame["outcome"] == "ok", "latency_ns"].to_numpy(dtype=np.float64)
        if not good.size:
            return _array(float("nan"))
        return _array(good.mean() if q is None else np.quantile(good, q))

    return Quantity("ns", get)


def _split(unit: Unit, get: "Callable[[LoadSplit], float | str]") -> Quantity:
    def value(m: Measurements, texts: tuple[str, ...]) -> "Floats | str":
        found = get(m.load_split(texts[0]))
        return found if isinstance(found, str) else _array(found)

    return Quantity(unit, value)


def _failover(unit: Unit, column: str) -> Quantity:
    def get(m: Measurements, texts: tuple[str, ...]) -> "Floats":
        return _failover_values(m, texts, column)

    return Quantity(unit, get, each=True)


def _failover_values(m: Measurements, texts: tuple[str, ...], column: str) -> "Floats":
    import numpy as np

    found = m.failover(texts[0])
    table = found.of(texts[1]) if len(texts) > 1 else found.table
    if table.empty:
        asked = f"fault {texts[1]!r}" if len(texts) > 1 else "fault"
        raise KeyError(
            f"no {asked} happened to {found.service}; there are {', '.join(found.faults) or 'none'}"
        )
    values = table[column].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    if column in _MARK_COLUMNS:
        values = values - table["fault_ns"].to_numpy(dtype=np.float64)
    if column == "outage_ns":
        # What has not ended has no length: any bound on it fails.
        values = np.where(table["recovered"].to_numpy(dtype=bool), values, np.inf)
    return _array(values)


_MARK_COLUMNS: Final = frozenset({"detected_ns", "status_ns", "endpoints_ns", "rules_ns", "first_success_ns"})


def _lookups(m: Measurements, texts: tuple[str, ...]) -> "pd.DataFrame":
    """The look-ups of a load (or of all); those that ended with the run do not count."""
    from netsim.measure.lookups import lookups_of

    frame = lookups_of(m.requests)
    loads = sorted(set(frame["load"]))
    if texts and texts[0] not in loads:
        raise KeyError(f"no load {texts[0]!r} looked anything up; there are {', '.join(loads) or 'none'}")
    return frame[frame["load"] == texts[0]] if texts else frame


def _slow(m: Measurements, texts: tuple[str, ...]) -> "Floats":
    from netsim.measure.lookups import SLOW_LOOKUP_NS

    return _array((_lookups(m, texts)["latency_ns"] >= SLOW_LOOKUP_NS).mean())


def _lookup_time(q: float | None) -> Quantity:
    def get(m: Measurements, texts: tuple[str, ...]) -> "Floats":
        import numpy as np

        took = _lookups(m, texts)["latency_ns"].to_numpy(dtype=np.float64)
        if not took.size:
            return _array(float("nan"))
        return _array(took.mean() if q is None else np.quantile(took, q))

    return Quantity("ns", get)


_PERCENTILES: Final = {
    "min": 0.0,
    "p50": 0.5,
    "p90": 0.9,
    "p95": 0.95,
    "p99": 0.99,
    "p999": 0.999,
    "max": 1.0,
}

REQUESTS: Final[Mapping[str, Quantity]] = {
    "total": Quantity("count", lambda m, t: _array(len(_requests(m, t)))),
    "ok": _count("ok"),
    "failed": Quantity("count", _failed),
    "retried": Quantity("count", lambda m, t: _array((_requests(m, t)["attempts"] > 1).sum())),
    "connections": Quantity("count", _connections),
    "timeout": _count("timeout"),
    "refused": _count("refused"),
    "reset": _count("reset"),
    "unreachable": _count("unreachable"),
    "dns": _count("dns"),
    "http_error": _count("http-error"),
    "aborted": _count("aborted"),
}

LATENCY: Final[Mapping[str, Quantity]] = {
    "mean": _latency(None),
    **{name: _latency(q) for name, q in _PERCENTILES.items()},
}

LOOKUPS: Final[Mapping[str, Quantity]] = {
    "total": Quantity("count", lambda m, t: _array(len(_lookups(m, t)))),
    "queries": Quantity("plain", lambda m, t: _array(_lookups(m, t)["queries"].mean())),
    "slow": Quantity("share", _slow),
    "failed": Quantity("share", lambda m, t: _array((_lookups(m, t)["outcome"] != "ok").mean())),
    "mean": _lookup_time(None),
    **{name: _lookup_time(q) for name, q in _PERCENTILES.items()},
}

SPLIT: Final[Mapping[str, Quantity]] = {
    "pvalue": _split("plain", lambda s: s.pvalue),
    "jain": _split("plain", lambda s: s.jain),
    "request_jain": _split("plain", lambda s: s.request_jain),
    "request_pvalue": _split("plain", lambda s: s.request_pvalue),
    "connections": _split("count", lambda s: float(s.connections)),
    "requests": _split("count", lambda s: float(s.requests)),
    "min_share": _split("share", lambda s: float(s.table["connection_share"].min())),
    "max_share": _split("share", lambda s: float(s.table["connection_share"].max())),
    "verdict": _split("text", lambda s: s.verdict.word),
    "share": Quantity("share", lambda m, t: _array(m.load_split(t[0]).share(t[1])), texts=1),
    "request_share": Quantity("share", lambda m, t: _array(m.load_split(t[0]).request_share(t[1])), texts=1),
}


def _client(unit: Unit, column: str) -> Quantity:
    def get(m: Measurements, texts: tuple[str, ...]) -> "Floats":
        import numpy as np

        from netsim.measure.hurt import hurt_frame

        found = hurt_frame(m.requests, m.events)
        mine = found[found["load"] == texts[0]]
        if mine.empty:
            there = ", ".join(sorted(set(found["load"]))) or "none"
            raise KeyError(f"no fault happened to a load {texts[0]!r}; there are {there}")
        values = mine[column].to_numpy(dtype=np.float64)
        if unit == "ns":  # who still waits at the end waits longer than any bound
            values = np.where(mine["over"].to_numpy(dtype=bool), values, np.inf)
        return _array(values)

    return Quantity(unit, get, each=True)


CLIENT: Final[Mapping[str, Quantity]] = {
    "hurt": _client("ns", "hurt_ns"),
    "longest": _client("ns", "longest_ns"),
    "failed": _client("count", "failed"),
    "slow": _client("count", "slow"),
    "retried": _client("count", "retried"),
}

FAILOVER: Final[Mapping[str, Quantity]] = {
    "outage": _failover("ns", "outage_ns"),
    **{
        stage: _failover("ns", f"{stage}_stage_ns")
        for stage in ("detect", "write", "endpoints", "watch", "wait", "sync", "client")
    },
    "detected": _failover("ns", "detected_ns"),
    "status_written": _failover("ns", "status_ns"),
    "endpoints_updated": _failover("ns", "endpoints_ns"),
    "rules_synced": _failover("ns", "rules_ns"),
    "first_success": _failover("ns", "first_success_ns"),
    "failed": _failover("count", "failed"),
    "failing_share": _failover("share", "failing_share"),
    "failed_later": _failover("count", "failed_later"),
    "slow": _failover("count", "slow"),
    "retried": _failover("count", "retried"),
    "recovered": _failover("truth", "recovered"),
}

ERRORS: Final = Quantity("share", _errors)


@dataclass(frozen=True, slots=True)
class Subject:
    """A word an expression can begin with: how many texts it takes in parentheses, and what it has after the dot
    (nothing: it is a quantity itself)."""

    least: int
    most: int
    attributes: Mapping[str, Quantity]
    quantity: Quantity | None = None
    about: Literal["service", "load"] = "service"  # what the first text names


SUBJECTS: Final[Mapping[str, Subject]] = {
    "client": Subject(1, 1, CLIENT, about="load"),
    "errors": Subject(0, 1, {}, ERRORS),
    "failover": Subject(1, 2, FAILOVER),
    "latency": Subject(0, 1, LATENCY),
    "lookups": Subject(0, 1, LOOKUPS, about="load"),
    "requests": Subject(0, 1, REQUESTS),
    "split": Subject(1, 1, SPLIT),
}

# One value of many, over replications and faults.
AGGREGATES: Final = ("mean", "min", "max", "p50", "p95")
