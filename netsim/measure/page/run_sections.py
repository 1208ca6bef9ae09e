"""What is on the page of one run: checks, requests, failovers, load splits, look-ups, kube-proxy, drops. What the model
assumes is in `model_sections`.

Called by `pages`. A section function returns None when the run has nothing to say about it. Numbers are written by the
functions that the text report uses, so that both say the same.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from netsim.engine import format_duration
from netsim.measure.budget import STAGE_WORDS, STAGES
from netsim.measure.confidence import Interval
from netsim.measure.lookups import HEAD as LOOKUP_HEAD
from netsim.measure.lookups import lookup_rows, lookups_of, queries_label
from netsim.measure.page.chart_budget import budget_chart, nodes_chart
from netsim.measure.page.chart_split import split_chart
from netsim.measure.page.chart_spread import (
    PERCENTILE_HEAD,
    latency_chart,
    lookup_chart,
    outage_chart,
    percentile_rows,
)
from netsim.measure.page.chart_syncs import syncs_chart
from netsim.measure.page.chart_timeline import phases_table, timeline_chart
from netsim.measure.page.document import Section
from netsim.measure.page.markup import Html, details, el, identifier, join, table
from netsim.measure.page.model import Run
from netsim.measure.page.model_sections import model_section
from netsim.measure.split import LoadSplit
from netsim.measure.summary import Failover, seconds, seconds_range
from netsim.measure.syncs import changes, first_syncs, syncs_frame
from netsim.measure.text import REQUEST_HEAD, CheckLine, percent, request_rows
from netsim.measure.verdict import p_text

_STAGE_HEAD = ("stage", "mean", "share", "95% CI of mean", "p50", "p95", "min", "max")


def run_sections(run: Run, prefix: str = "") -> tuple[Section, ...]:
    """All that there is to say, in order; `prefix` keeps the ids of several runs on one page apart."""
    made = [_checks(run, prefix), _failovers(run, prefix), _splits(run, prefix), _requests(run, prefix)]
    made += [_lookups(run, prefix), _syncs(run, prefix), _drops(run, prefix), model_section(run, prefix)]
    return tuple(section for section in made if section is not None)


# ---------------------------------------------------------------- checks
def _checks(run: Run, prefix: str) -> Section | None:
    if not run.checks:
        return None
    passed, points = sum(check.passed for check in run.checks), sum(check.points for check in run.checks)
    earned = sum(check.points for check in run.checks if check.passed)
    score = f"{passed} of {len(run.checks)} checks passed" + (
        f", {earned:g} of {points:g} points" if points else ""
    )
    return Section(
        f"{prefix}checks",
        "Checks",
        join([el("p", score), el("ul", *map(check_item, run.checks), class_="checks")]),
    )


def check_item(check: CheckLine) -> Html:
    """Verdict, name, expression, what was found, and the hint of a failed one."""
    points = f" ({check.points if check.passed else 0:g} of {check.points:g} points)" if check.points else ""
    mood, word = ("good", "PASS") if check.passed else ("bad", "FAIL")
    hint = (
        el("p", el("strong", "Hint: "), check.hint, class_="hint") if check.hint and not check.passed else ""
    )
    found = el("p", "found ", check.actual) if check.actual else ""
    head = el("p", el("span", word, class_=f"chip {mood}"), el("strong", check.name), points)
    return el(
        "li", head, el("p", el("code", check.expr)), found, hint, class_=None if check.passed else "failed"
    )


# ---------------------------------------------------------------- requests
def _requests(run: Run, prefix: str) -> Section:
    requests = run.analysis.requests
    if requests.empty:
        return Section(f"{prefix}requests", "Requests", el("p", "No request was made."))
    align = "lrrrrrrrrw"
    parts = [
        table(
            REQUEST_HEAD, request_rows(requests), align, "Requests by load; latency of those that succeeded"
        )
    ]
    looked = set(lookups_of(requests)["load"])
    for load in sorted(set(requests["load"]) - looked):
        parts.append(latency_chart(requests[requests["load"] == load], str(load)) or Html())
    rows = percentile_rows(requests)
    parts.append(
        details("Percentiles with intervals", table(PERCENTILE_HEAD, rows, "lrrrrrr", "Latency of successes"))
    )
    return Section(f"{prefix}requests", "Requests", join(parts))


# ---------------------------------------------------------------- failovers
def _failovers(run: Run, prefix: str) -> Section | None:
    found = [(failover, fault) for failover in _hurt(run) for fault in failover.faults]
    if not found:
        return None
    below = tuple(_failover(run, failover, fault, prefix) for failover, fault in found)
    intro = (
        "Where did the seconds go, from the fault to the end of the last request that failed because of it?"
    )
    return Section(f"{prefix}failover", "Failover", el("p", intro, class_="quiet"), below)


def _hurt(run: Run) -> Iterator[Failover]:
    for service in run.analysis.asked:
        failover = run.analysis.failover(service)
        if failover.faults:
            yield failover


def _failover(run: Run, failover: Failover, fault: str, prefix: str) -> Section:
    part, sentence = failover.of(fault), failover.sentence(fault)
    first = part.iloc[0]
    what = f"{first['action']} after {format_duration(int(first['fault_ns']))}"
    parts = [el("p", f"{sentence[0].upper()}{sentence[1:]}.", class_="said")]
    if int(part["failed"].sum()):
        parts += [budget_chart(failover, fault), _stages(failover, fault)]
    parts += [_after(failover, fault), _counts(part), nodes_chart(failover, fault) or Html()]
    parts.append(outage_chart(failover, fault) or Html())
    if fault == failover.faults[0]:
        replication = int(run.analysis.requests["replication"].min())
        parts += [_around(run.analysis.requests, failover, replication)]
    anchor = f"{prefix}failover-{identifier(failover.service, fault)}"
    return Section(anchor, f"{failover.service}: {what} ({fault})", join(parts))


def _around(requests: pd.DataFrame, failover: Failover, replication: int) -> Html:
    drawn = timeline_chart(requests, failover, failover.service, replication) or Html()
    counted = phases_table(requests, failover, failover.service, replication) or Html()
    return join([el("h4", "Requests around the fault"), drawn, details("The same in numbers", counted)])


def _stages(failover: Failover, fault: str) -> Html:
    summary = failover.summary
    own = {str(row["stage"]): row for _, row in summary[summary["fault"] == fault].iterrows()}
    total = float(own["outage"]["mean_ns"]) or 1.0
    rows = [_stage_row(stage, own[stage], total) for stage in (*STAGES, "outage")]
    caption = "The budget: stages add up to the outage"
    if len(failover.of(fault)) == 1:
        return table(("stage", "time", "share"), [row[:3] for row in rows], "lrr", caption, sortable=False)
    return table(_STAGE_HEAD, rows, "lrrrrrrr", caption, sortable=False)


def _stage_row(stage: str, row: "pd.Series[Any]", total: float) -> tuple[str, ...]:
    interval = Interval(float(row["mean_low_ns"]), float(row["mean_high_ns"]))
    numbers = [seconds(float(row[f"{name}_ns"])) for name in ("p50", "p95", "min", "max")]
    return (
        join([stage, el("small", STAGE_WORDS.get(stage, "all of it"))]),
        seconds(float(row["mean_ns"])),
        percent(float(row["mean_ns"]) / total),
        seconds_range(interval) if interval.known else "-",
        *numbers,
    )


def _after(failover: Failover, fault: str) -> Html:
    """When the control plane knew, whether anybody noticed or not."""
    own = failover.propagation[failover.propagation["fault"] == fault]
    if own.empty:
        return Html()
    several = " on average" if len(failover.of(fault)) > 1 else ""
    told = ", ".join(f"{row['stage']} {seconds(row['mean_ns'])}" for _, row in own.iterrows())
    return el("p", f"After the fault{several}: {told}.")


def _counts(part: pd.DataFrame) -> Html:
    names = {
        "requests": "began while it lasted",
        "failed": "of them failed",
        "failed_later": "failed later, apart from it",
        "slow": "were slow (a retransmission timeout or more)",
        "retried": "were retried",
    }
    over = "" if len(part) == 1 else f" over {len(part)} replications"
    told = ", ".join(
        f"{int(part[column].sum()):,} {words}" for column, words in names.items() if int(part[column].sum())
    )
    return el("p", f"Requests{over}: {told}.") if told else Html()


# ---------------------------------------------------------------- load splits
def _splits(run: Run, prefix: str) -> Section | None:
    splits = [run.analysis.load_split(service) for service in run.analysis.services]
    if not splits:
        return None
    below = tuple(
        Section(f"{prefix}split-{identifier(split.service)}", split.service, split_block(split))
        for split in splits
    )
    intro = "Who got how much, and whether chance alone does that: a connection keeps the endpoint that it was given."
    return Section(f"{prefix}split", "Load split", el("p", intro, class_="quiet"), below)


SPLIT_HEAD = (
    "endpoint", "pod", "node", "connections", "share", "expected", "95% of chance", "requests", "share of requests",
    "failed",
)  # fmt: skip


def split_block(split: LoadSplit) -> Html:
    """The word, the sentence, bars and the table."""
    verdict = split.verdict
    mood = "note" if verdict.word == "cause" else "plain"
    sentence = el("p", el("span", verdict.word, class_=f"chip {mood}"), str(verdict), class_="said")
    simulated = ", simulated as connections are few" if split.method == "simulated" else ""
    test = f"chi-square {split.statistic:.2f} with {split.dof} df, {p_text(split.pvalue)}{simulated}"
    kept = f" (requests {split.request_jain:.4f})" if split.requests != split.connections else ""
    numbers = el("p", f"Jain's index {split.jain:.4f}{kept}; {test}.", class_="quiet")
    rows = [_split_row(row) for _, row in split.table.iterrows()]
    counted = details(
        "The same in numbers", table(SPLIT_HEAD, rows, "lllrrrrrrr", f"Load split of {split.service}")
    )
    return join([sentence, split_chart(split) if len(split.table) else "", numbers, counted])


def _split_row(row: "pd.Series[Any]") -> tuple[str, ...]:
    return (
        row["endpoint"], row["pod"], row["node"], f"{row['connections']:,}", percent(row["connection_share"]),
        percent(row["expected_share"]), f"{100 * row['low']:.1f}-{100 * row['high']:.1f}%", f"{row['requests']:,}",
        percent(row["request_share"]), f"{row['failed']:,}",
    )  # fmt: skip


# ---------------------------------------------------------------- look-ups, kube-proxy, drops
def _lookups(run: Run, prefix: str) -> Section | None:
    found = lookups_of(run.analysis.requests)
    if found.empty:
        return None
    parts = {str(load): part for load, part in found.groupby("load", sort=True)}
    drawn = (
        lookup_chart([(queries_label(load, part), part["latency_ns"]) for load, part in parts.items()])
        or Html()
    )
    counted = table(
        LOOKUP_HEAD, lookup_rows(run.analysis.requests), "lrrrrrrr", "Time until the application knew"
    )
    return Section(f"{prefix}lookups", "Name look-ups", join([drawn, counted]))


_SYNC_HEAD = ("node", "first sync", "later syncs", "mean", "longest", "longest wait of a change")


def _syncs(run: Run, prefix: str) -> Section | None:
    syncs = syncs_frame(run.analysis.events)
    if syncs.empty:
        return None
    first = first_syncs(syncs).groupby("node").mean()
    later = changes(syncs)
    rows = []
    for node in sorted(set(syncs["node"])):
        mine = later[later["node"] == node]
        cost, waited = mine["cost_ns"].to_numpy(dtype=float), mine["waited_ns"].to_numpy(dtype=float)
        tail = (
            (seconds(cost.mean()), seconds(cost.max()), seconds(waited.max()))
            if len(mine)
            else ("-", "-", "-")
        )
        rows.append((str(node), seconds(float(first.get(node, float("nan")))), f"{len(mine):,}", *tail))
    one = syncs[syncs["replication"] == syncs["replication"].min()]
    faults = run.analysis.events[run.analysis.events["reason"] == "FaultInjected"]
    at = faults.loc[faults["replication"] == syncs["replication"].min(), "t_ns"].astype(int).tolist()
    drawn = syncs_chart(one, run.header.duration_ns, at) or Html()
    caption = f"How long kube-proxy takes to write the rules (simulated), {_over(run.header.replications)}"
    return Section(
        f"{prefix}kube-proxy", "kube-proxy", join([drawn, table(_SYNC_HEAD, rows, "lrrrrr", caption)])
    )


def _over(replications: int) -> str:
    return "one run" if replications == 1 else f"all {replications} replications"


_DROP_HEAD = ("reason", "where (hook or device)", "packets", "on")


def _drops(run: Run, prefix: str) -> Section | None:
    if run.books is None:
        return None
    drops = run.books.drops_by_reason()
    rows = [
        (el("code", reason), hook, f"{count:,}", ", ".join(nodes)) for reason, hook, count, nodes in drops
    ]
    counted = (
        table(_DROP_HEAD, rows, "llrw", "Dropped packets by reason")
        if rows
        else el("p", "No packet was dropped.")
    )
    line = run.books.line()
    return Section(
        f"{prefix}drops", "Packets and drops", join([counted, el("p", f"{line[0].upper()}{line[1:]}.")])
    )
