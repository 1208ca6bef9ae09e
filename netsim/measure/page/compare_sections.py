"""What is on the page of an experiment with variants before the variants themselves: all of them side by side.

Called by `pages`. Columns are those of `measure.comparison`, which the text report uses too.
"""

from typing import Any

import pandas as pd

from netsim.measure.comparison import REQUEST_HEAD
from netsim.measure.confidence import Interval
from netsim.measure.page.chart_compare import comparison_charts, scaling_charts
from netsim.measure.page.document import Section
from netsim.measure.page.markup import Html, el, identifier, join, table
from netsim.measure.page.model import Compared
from netsim.measure.page.run_sections import check_item
from netsim.measure.summary import seconds, seconds_range
from netsim.measure.text import percent, request_rows
from netsim.measure.verdict import p_text

_SPREAD = (
    "variant",
    "connections",
    "connect p50",
    "connect p99",
    "endpoints",
    "least share",
    "most",
    "Jain",
    "p",
)
_RULES = (
    "variant", "first sync", "later syncs", "mean", "longest", "outages", "mean outage", "95% CI of mean",
    "failed requests",
)  # fmt: skip


def compare_sections(compared: Compared) -> tuple[Section, ...]:
    """Checks by variant, then the figures that people compare."""
    made = [_checks(compared), _side_by_side(compared), _requests(compared)]
    return tuple(section for section in made if section is not None)


def _checks(compared: Compared) -> Section | None:
    names = list(dict.fromkeys(check.name for run in compared.runs.values() for check in run.checks))
    if not names:
        return None
    rows, failed = [], []
    for variant, run in compared.runs.items():
        passed = {check.name: check.passed for check in run.checks}
        rows.append((variant, *(_chip(passed.get(name, False)) for name in names)))
        bad = [check_item(check) for check in run.checks if not check.passed]
        failed += [el("h3", f"Failed in {variant}"), el("ul", *bad, class_="checks")] if bad else []
    overview = table(("variant", *names), rows, "l" * (1 + len(names)), "Checks by variant")
    return Section("checks", "Checks", join([overview, *failed]))


def _chip(passed: bool) -> Html:
    return el("span", "PASS" if passed else "FAIL", class_=f"chip {'good' if passed else 'bad'}")


def _side_by_side(compared: Compared) -> Section | None:
    services = list(dict.fromkeys(compared.table["service"]))
    if not services:
        return None
    below = []
    for service in services:
        part = compared.table[compared.table["service"] == service]
        records = [row for _, row in part.iterrows()]
        spread = table(
            _SPREAD, map(_spread_row, records), "lrrrrrrrr", f"Time to connect and load split: {service}"
        )
        rules = table(
            _RULES, map(_rules_row, records), "lrrrrrrrr", f"Writing the rules and failover: {service}"
        )
        drawn = [*comparison_charts(part), *scaling_charts(part), spread, rules]
        below.append(Section(f"compare-{identifier(service)}", str(service), join(drawn)))
    intro = "The same seeds for all: requests begin at the same times, and the same pod dies."
    return Section("compare", "Side by side", el("p", intro, class_="quiet"), tuple(below))


def _spread_row(row: "pd.Series[Any]") -> tuple[str, ...]:
    return (
        row["variant"], f"{row['connections']:,}", seconds(row["connect_p50_ns"]), seconds(row["connect_p99_ns"]),
        str(row["endpoints"]), percent(row["smallest_share"]), percent(row["largest_share"]), f"{row['jain']:.4f}",
        p_text(row["split_pvalue"]).removeprefix("p ").removeprefix("= "),
    )  # fmt: skip


def _rules_row(row: "pd.Series[Any]") -> tuple[str, ...]:
    interval = Interval(float(row["outage_low_ns"]), float(row["outage_high_ns"]))
    return (
        row["variant"], seconds(row["first_sync_ns"]), str(row["changes"]), seconds(row["change_sync_ns"]),
        seconds(row["change_sync_max_ns"]), str(row["outages"]), seconds(row["outage_ns"]),
        seconds_range(interval) if row["outages"] > 1 and interval.known else "-", f"{row['failed']:,}",
    )  # fmt: skip


def _requests(compared: Compared) -> Section:
    rows = [
        (variant, *row[:-1])
        for variant, run in compared.runs.items()
        for row in request_rows(run.analysis.requests)
    ]
    caption = "Requests by variant and load; latency of those that succeeded"
    return Section("requests", "Requests", table(REQUEST_HEAD, rows, "llrrrrrrrr", caption))
