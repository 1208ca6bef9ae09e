"""Pages of odd runs: hostile names, nothing to show, many endpoints."""

import dataclasses
from collections.abc import Callable

from pagelab import read_page

from netsim.experiment.checks import CheckResult
from netsim.experiment.comparison import Comparison
from netsim.experiment.report import report_html
from netsim.experiment.results import Results
from netsim.measure.collect import Recording

EVIL = "<script>alert(document.domain)</script>"


def test_names_from_files_are_only_text(study: Callable[..., Recording]) -> None:
    """A YAML file can't bring elements into the page: not by names, expressions, hints, notes, paths."""
    recording = study(rate=20)
    requests = tuple(
        dataclasses.replace(
            r, service=f"default/{EVIL}", pod=f"default/{EVIL}", load=EVIL, node=EVIL, error=EVIL
        )
        for r in recording.requests
    )
    faults = tuple(
        dataclasses.replace(f, fault=EVIL, action=EVIL, services=(f"default/{EVIL}",))
        for f in recording.faults
    )
    more = {"full": "False", "waited_ns": "0"}
    events = tuple(
        dataclasses.replace(e, name=EVIL, node=EVIL, detail={**e.detail, **more}) for e in recording.events
    )
    recording = dataclasses.replace(recording, requests=requests, faults=faults, events=events)
    results = Results.from_recordings(
        [recording],
        name=EVIL,
        spec={"name": EVIL},
        seed=1,
        duration_ns=60_000_000_000,
        warnings=[EVIL, f"accepted: {EVIL}"],
    ).came_from(EVIL, [])
    results.checks = (CheckResult(EVIL, EVIL, False, EVIL, 1, EVIL),)
    html = report_html(results)
    page = read_page(html)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert EVIL in page.text
    assert EVIL not in html
    both = read_page(report_html(Comparison(EVIL, {EVIL: results, "b": results}, command=EVIL)))
    assert [tag for tag, _ in both.elements].count("script") == 1


def test_a_run_without_requests_has_a_page() -> None:
    results = Results.from_recordings(
        [Recording(0, 0, 1, (), ())], name="nothing", spec={}, seed=1, duration_ns=1_000_000_000
    )
    page = read_page(report_html(results))
    assert "No request was made." in page.section("requests")
