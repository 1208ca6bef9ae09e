"""The report for the terminal: what `netsim run` prints. At most 100 columns, ASCII, no colour.

Sections are functions that return lines; `report` puts them together. Called by `Results.text()`.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pandas as pd

from netsim.engine import format_duration
from netsim.measure.books import PacketBooks
from netsim.measure.budget import STAGES
from netsim.measure.cause_words import cause_lines
from netsim.measure.client_errors import client_error_lines
from netsim.measure.confidence import Interval, quantile
from netsim.measure.hurt import hurt_lines
from netsim.measure.lookups import lookup_lines
from netsim.measure.split import LoadSplit
from netsim.measure.summary import Failover, seconds, seconds_range
from netsim.measure.table import WIDTH, table
from netsim.measure.verdict import p_text

# Longer tables help nobody in a terminal; the Parquet files and figures have all.
_MOST_ROWS: Final = 20

# Longer lists of failures are lines of their own below the table.
_KINDS_WIDTH: Final = 14

REQUEST_HEAD: Final = ("load", "requests", "ok", "failed", "retried", "p50", "p95", "p99", "max", "failures")


class CheckLine(Protocol):
    """What the report needs of a check's result (see experiment/checks.py)."""

    @property
    def name(self) -> str: ...
    @property
    def passed(self) -> bool: ...
    @property
    def expr(self) -> str: ...
    @property
    def actual(self) -> str: ...
    @property
    def points(self) -> float: ...
    @property
    def hint(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Header:
    """What was run."""

    experiment: str
    seed: int
    replications: int
    duration_ns: int
    fingerprint: str
    precision: str = ""  # what the stop rule came to, if there was one


def report(
    header: Header,
    requests: pd.DataFrame,
    splits: Iterable[LoadSplit],
    failovers: Iterable[Failover],
    books: PacketBooks | None,
    checks: Sequence[CheckLine] = (),
    warnings: Sequence[str] = (),
    harm: Iterable[list[str]] = (),
) -> str:
    """The whole report, ending with a newline; `harm`: further sections on what faults did (`harm_sections`)."""
    sections = [header_lines(header), request_lines(requests), lookup_lines(requests)]
    sections += [split_lines(split) for split in splits]
    sections += [failover_lines(failover, fault) for failover in failovers for fault in failover.faults]
    sections += [*harm, drop_lines(books), check_lines(checks), wrapped(warnings, "note: ")]
    if books is not None:
        sections.append([books.line()] if len(books.line()) <= WIDTH else wrapped([books.line()], ""))
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def harm_sections(requests: pd.DataFrame, events: pd.DataFrame, causes: pd.DataFrame) -> list[list[str]]:
    """What faults did to each client, what clients were told, and why."""
    return [hurt_lines(requests, events), client_error_lines(requests), cause_lines(causes)]


def header_lines(h: Header) -> list[str]:
    """Experiment, seed, replications, simulated time and the head of the fingerprint."""
    runs = "1 run" if h.replications == 1 else f"{h.replications} replications"
    simulated = f"{runs} of {format_duration(h.duration_ns)} simulated time"
    first = f"{h.experiment}: {simulated}, seed {h.seed}, fingerprint {h.fingerprint[:12]}"
    return [first, *wrapped([h.precision] if h.precision else [], "")]


def request_lines(requests: pd.DataFrame) -> list[str]:
    """Per load: counts by outcome and latency percentiles of the successes."""
    if requests.empty:
        return ["requests: none"]
    title, rows = "Requests (latency of those that succeeded)", request_rows(requests)
    if all(len(row[-1]) <= _KINDS_WIDTH for row in rows):
        return [title, *table(REQUEST_HEAD, rows, "lrrrrrrrrl")]
    failures = [f"  {row[0]} failed: {row[-1]}" for row in rows if row[-1]]
    return [title, *table(REQUEST_HEAD[:-1], [row[:-1] for row in rows], "lrrrrrrrr"), *failures]


def request_rows(requests: pd.DataFrame) -> list[tuple[str, ...]]:
    """The cells under REQUEST_HEAD, a row per load."""
    return [
        _load_row(str(load), requests[requests["load"] == load]) for load in sorted(set(requests["load"]))
    ]


def _load_row(load: str, part: pd.DataFrame) -> tuple[str, ...]:
    good = part.loc[part["outcome"] == "ok", "latency_ns"].to_numpy(dtype=float)
    bad = part.loc[~part["outcome"].isin(["ok", "aborted"]), "outcome"].value_counts()
    kinds = ", ".join(f"{n:,} {outcome}" for outcome, n in sorted(bad.items(), key=lambda item: str(item[0])))
    latency = [seconds(quantile(good, q)) for q in (0.5, 0.95, 0.99, 1.0)]
    retried = int((part["attempts"] > 1).sum())
    return (
        load,
        f"{len(part):,}",
        percent(len(good) / len(part)),
        f"{bad.sum():,}",
        f"{retried:,}",
        *latency,
        kinds,
    )


def split_lines(split: LoadSplit) -> list[str]:
    """Table per endpoint, Jain's index, the test and the verdict in words."""
    kept = split.requests != split.connections
    rows = [_split_row(row, kept) for _, row in split.table.head(_MOST_ROWS).iterrows()]
    head = ["endpoint", "pod", *([] if kept else ["node"]), "connections", "share", "expected", "95% band"]
    head += ["requests", "share"] if kept else []
    align = "Llrrrrrrr" if kept else "Lllrrrrr"
    lines = [f"Load split of {split.service}", *table([*head, "failed"], rows, align)]
    if len(split.table) > _MOST_ROWS:
        lines.append(f"  ... and {len(split.table) - _MOST_ROWS} more endpoints")
    return lines + wrapped([_test_text(split, kept), str(split.verdict)], "  ")


def _test_text(split: LoadSplit, kept: bool) -> str:
    request_jain = f" (requests {split.request_jain:.4f})" if kept else ""
    how = ", simulated as connections are few" if split.method == "simulated" else ""
    test = f"chi-square {split.statistic:.2f} with {split.dof} df, {p_text(split.pvalue)}{how}"
    return f"Jain's index {split.jain:.4f}{request_jain}; {test}."


def _split_row(row: "pd.Series[Any]", kept: bool) -> list[str]:
    cells = (
        [row["endpoint"], _short(row["pod"])] + ([] if kept else [row["node"]]) + [f"{row['connections']:,}"]
    )
    cells += [percent(row["connection_share"]), percent(row["expected_share"])]
    cells.append(f"{100 * row['low']:.1f}-{100 * row['high']:.1f}%")
    if kept:
        cells += [f"{row['requests']:,}", percent(row["request_share"])]
    return [*cells, f"{row['failed']:,}"]


def failover_lines(failover: Failover, fault: str) -> list[str]:
    """The budget of one fault: stages over the replications, the sentence, the marks, the counts."""
    part = failover.of(fault)
    first = part.iloc[0]
    after = format_duration(int(first["fault_ns"]))
    title = f"Failover of {failover.service}: {first['action']} {_targets(part)} after {after} ({fault})"
    lines = wrapped([title], "")
    if int(part["failed"].sum()):
        lines += _budget_table(failover, fault, len(part))
    sentence = failover.sentence(fault)
    lines += wrapped([sentence[0].upper() + sentence[1:] + "."], "  ")
    return lines + wrapped([*_marks_text(failover, fault), *_counts(part)], "  ")


def _budget_table(failover: Failover, fault: str, replications: int) -> list[str]:
    summary = failover.summary
    own = {str(row["stage"]): row for _, row in summary[summary["fault"] == fault].iterrows()}
    total = float(own["outage"]["mean_ns"]) or 1.0
    if replications == 1:
        rows = [
            (s, seconds(float(r["mean_ns"])), percent(float(r["mean_ns"]) / total)) for s, r in own.items()
        ]
        return table(("stage", "time", "share"), rows, "lrr")
    head = ("stage", "mean", "share", "95% CI of mean", "p50", "p95", "min", "max")
    return table(head, [_stage_row(stage, own[stage], total) for stage in (*STAGES, "outage")], "lrrrrrrr")


def _stage_row(stage: str, row: "pd.Series[Any]", total: float) -> tuple[str, ...]:
    interval = Interval(float(row["mean_low_ns"]), float(row["mean_high_ns"]))
    ci = seconds_range(interval) if interval.known else "-"
    numbers = [seconds(float(row[f"{name}_ns"])) for name in ("p50", "p95", "min", "max")]
    return (stage, seconds(float(row["mean_ns"])), percent(float(row["mean_ns"]) / total), ci, *numbers)


def _marks_text(failover: Failover, fault: str) -> list[str]:
    own = failover.propagation[failover.propagation["fault"] == fault]
    if own.empty:
        return []
    total = len(failover.of(fault))
    parts = []
    for _, row in own.iterrows():
        seen = "" if row["replications"] == total else f" (in {row['replications']} of {total})"
        parts.append(f"{row['stage']} {seconds(row['mean_ns'])}{seen}")
    return [f"After the fault{', on average' if total > 1 else ''}: {', '.join(parts)}."]


def _counts(part: pd.DataFrame) -> list[str]:
    over = "" if len(part) == 1 else f" over {len(part)} replications"
    bad, affected, later = (int(part[column].sum()) for column in ("failed", "requests", "failed_later"))
    slow, retried = int(part["slow"].sum()), int(part["retried"].sum())
    said = []
    if affected:
        share = percent(bad / affected)
        said.append(
            f"{bad:,} {'request' if bad == 1 else 'requests'} failed{over}, {share} of those that began while it "
            f"lasted{_on_kept(part)}"
        )
    said += [f"{later:,} failed later, apart from it"] if later else []
    said += [f"{slow:,} were slow (a retransmission timeout or more)"] if slow else []
    said += [f"{retried:,} were retried"] if retried else []
    return ["; ".join(said) + "."] if said else []


def _on_kept(part: pd.DataFrame) -> str:
    """How many of the failures met connections from before, if any did."""
    kept = int(part["failed_reused"].sum())
    return f" ({kept:,} of them on kept connections)" if kept else ""


def _targets(part: pd.DataFrame) -> str:
    names = sorted(set(part["target"]) - {""})
    if len(names) > 1:
        return f"of {len(names)} different targets"
    return f"of {', '.join(map(_short, names[0].split(',')))}" if names else ""


def drop_lines(books: PacketBooks | None) -> list[str]:
    """Dropped packets by reason and hook."""
    drops = books.drops_by_reason() if books is not None else []
    if not drops:
        return []
    rows = [
        (
            reason,
            hook,
            f"{count:,}",
            ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else ""),
        )
        for reason, hook, count, nodes in drops[:_MOST_ROWS]
    ]
    return ["Dropped packets", *table(("reason", "where", "packets", "on"), rows, "llrl")]


def check_lines(checks: Sequence[CheckLine]) -> list[str]:
    """One block per check: the verdict, points, the expression, the value found and, when it failed, the hint."""
    if not checks:
        return []
    lines = ["Checks"]
    for check in checks:
        points = (
            f" ({check.points if check.passed else 0:g} of {check.points:g} points)" if check.points else ""
        )
        lines += wrapped(
            [f"{'PASS' if check.passed else 'FAIL'}  {check.name}{points}: {check.expr}"], "  ", "        "
        )
        lines += wrapped([f"found {check.actual}"] if check.actual else [], "        ")
        lines += wrapped([f"hint: {check.hint}"] if check.hint and not check.passed else [], "        ")
    return [*lines, _score(checks)]


def check_overview(checks: Mapping[str, Sequence[CheckLine]]) -> list[list[str]]:
    """Which of the same checks each variant passes, and one block per variant with those that it fails."""
    names = list(dict.fromkeys(check.name for found in checks.values() for check in found))
    if not names:
        return []
    rows = []
    for variant, found in checks.items():
        passed = {check.name: check.passed for check in found}
        rows.append((variant, *("PASS" if passed.get(name) else "FAIL" for name in names)))
    failed = {variant: [check for check in found if not check.passed] for variant, found in checks.items()}
    return [
        ["Checks", *table(("variant", *names), rows, "l" * (1 + len(names)))],
        *([f"Failed in {variant}", *check_lines(found)[1:-1]] for variant, found in failed.items() if found),
    ]


def _score(checks: Sequence[CheckLine]) -> str:
    passed = sum(check.passed for check in checks)
    line = f"  {passed} of {len(checks)} checks passed"
    total = sum(check.points for check in checks)
    earned = sum(check.points for check in checks if check.passed)
    return f"{line}, {earned:g} of {total:g} points" if total else line


def wrapped(texts: Iterable[str], first: str, rest: str | None = None) -> list[str]:
    """Paragraphs folded to the width, indented by `first` and then `rest` (default: blanks as wide as `first`)."""
    later = " " * len(first) if rest is None else rest
    options: Mapping[str, Any] = {"break_long_words": True, "break_on_hyphens": False}
    return [
        line
        for text in texts
        for line in textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later, **options)
    ]


def percent(share: float) -> str:
    """`33.3%`; small shares keep two digits that tell something."""
    return f"{100 * share:.1f}%" if share == 0 or share >= 0.001 else f"{100 * share:.2g}%"


def _short(pod: str) -> str:
    return pod.rsplit("/", 1)[-1]
