"""Tables, sentences and the report for the terminal."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from netsim.engine import S
from netsim.measure.books import PacketBooks
from netsim.measure.collect import Recording
from netsim.measure.confidence import Interval
from netsim.measure.failover import failover_tables
from netsim.measure.frames import events_frame, requests_frame
from netsim.measure.html import checks_html, titled
from netsim.measure.split import load_split
from netsim.measure.summary import Failover, seconds, seconds_range
from netsim.measure.table import shorten, table
from netsim.measure.text import Header, check_overview, percent, report
from netsim.measure.verdict import p_text

Make = Callable[..., Recording]


@dataclass(frozen=True)
class Line:
    name: str
    passed: bool
    expr: str = "errors < 1%"
    actual: str = "2%"
    points: float = 0
    hint: str = ""


def failover_of(*recordings: Recording) -> Failover:
    outages, nodes = failover_tables(requests_frame(recordings), events_frame(recordings))
    return Failover("default/my-nginx", outages, nodes)


def report_of(*recordings: Recording, checks: tuple[Line, ...] = ()) -> str:
    requests, events = requests_frame(recordings), events_frame(recordings)
    header = Header("pod-hang", 7, len(recordings), 60 * S, "0123456789abcdef")
    split = load_split(requests, events, "my-nginx")
    books = PacketBooks.total(r.books for r in recordings if r.books)
    return report(header, requests, [split], [failover_of(*recordings)], books, checks, ["no effect: PVC"])


@pytest.mark.parametrize(
    ("ns", "text"),
    [(26.3e9, "26.3 s"), (0.9e9, "0.900 s"), (48e6, "48.0 ms"), (3.1e5, "310 us"), (7, "7 ns"), (0, "0 ns"),
     (1e11, "100 s"), (float("nan"), "-")],
)  # fmt: skip
def test_seconds(ns: float, text: str) -> None:
    assert seconds(ns) == text


def test_ranges_percentages_and_p_values() -> None:
    assert seconds_range(Interval(0.71e9, 1.12e9)) == "0.710 to 1.12 s"
    assert [percent(x) for x in (0, 0.3333, 0.00068, 1)] == ["0.0%", "33.3%", "0.068%", "100.0%"]
    assert [p_text(x) for x in (0.43, 0.0312, 1e-9)] == ["p = 0.43", "p = 0.03", "p < 0.0001"]


def test_tables_align_and_shorten_only_what_may_be_shortened() -> None:
    lines = table(
        ("endpoint", "pod", "n"), [("10.0.0.1:80", "p" * 120, "1,000"), ("10.0.0.2:80", "q", "7")], "Llr"
    )
    assert max(map(len, lines)) == 100
    assert lines[1].startswith("  10.0.0.1:80  ppp")
    assert ".." in lines[1]
    assert [line[-5:] for line in lines] == ["    n", "1,000", "    7"]
    assert shorten("my-nginx-7c5ddbdf54-x2x8q", 18) == "my-nginx..54-x2x8q"
    assert shorten("abc", 3) == "abc"


def test_the_report_has_every_section_and_fits_a_terminal(twenty: tuple[Recording, ...]) -> None:
    checks = (Line("good", True, points=2), Line("bad", False, points=3, hint="look at minSyncPeriod"))
    text = report_of(*twenty, checks=checks)
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()
    for part in (
        "pod-hang: 20 replications of 60s simulated time, seed 7, fingerprint 0123456789ab",
        "Load split of default/my-nginx",
        "Jain's index",
        "Cause: the endpoints changed during the run",
        "Failover of default/my-nginx: pod-hang of my-nginx-0 after 20s (pod-hang-1)",
        "New connections failed for 7.",
        "of it was the time until\n  somebody noticed.",
        "rules\n  everywhere",
        "Dropped packets",
        "PASS  good (2 of 2 points): errors < 1%",
        "FAIL  bad (0 of 3 points): errors < 1%",
        "hint: look at minSyncPeriod",
        "1 of 2 checks passed, 2 of 5 points",
        "note: no effect: PVC",
        "the books close",
    ):
        assert part.replace("\n  ", " ") in " ".join(text.split()) or part in text, part
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ") and line.split()}
    assert {"detect", "write", "endpoints", "watch", "wait", "sync", "client", "outage"} <= rows.keys()
    assert "100.0%" in rows["outage"]


def test_one_run_has_shares_and_no_intervals(study: Make) -> None:
    text = report_of(study())
    assert "95% CI" not in text
    assert "stage time share" in " ".join(text.split())
    assert "pod-hang: 1 run of 60s" in text


def test_keep_alive_shows_requests_beside_connections(study: Make) -> None:
    text = report_of(study(per_connection=200, rate=50))
    assert "connections  share  expected" in text
    assert "requests  share  failed" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"outcome": "ok"}, "no request failed"),
        ({"outcome": "ok", "attempts": 2}, "no request failed; retries hid it in 1 of 1 replications"),
    ],
)
def test_sentences_without_an_outage(study: Make, change: dict[str, object], sentence: str) -> None:
    recording = study()
    fine = tuple(replace(r, **change) for r in recording.requests)  # type: ignore[arg-type]
    assert failover_of(replace(recording, requests=fine)).sentence("pod-hang-1") == sentence


def test_a_sentence_says_that_nobody_noticed_and_that_it_never_ended(study: Make) -> None:
    recording = study(waits=(10**12,) * 3)
    silent = replace(recording, events=tuple(e for e in recording.events if e.at_ns < 100 * S))
    sentence = failover_of(silent).sentence("pod-hang-1")
    assert "the control plane never noticed" in sentence
    assert "it had not recovered" in sentence


def test_summary_and_propagation_over_replications(twenty: tuple[Recording, ...]) -> None:
    failover = failover_of(*twenty)
    summary = failover.summary.set_index("stage")
    assert failover.faults == ("pod-hang-1",)
    assert summary.loc["wait", "mean_ns"] == 900e6
    assert (
        summary.loc["outage", "mean_low_ns"]
        < summary.loc["outage", "mean_ns"]
        < summary.loc["outage", "mean_high_ns"]
    )
    parts = summary.drop(index="outage")["mean_ns"].sum()
    assert parts == pytest.approx(summary.loc["outage", "mean_ns"])
    assert failover.propagation["stage"].tolist() == [
        "detected", "status written", "endpoints updated", "rules everywhere"
    ]  # fmt: skip
    assert "<table>" in failover._repr_html_()


def test_a_run_without_requests_has_a_report() -> None:
    header = Header("empty", 1, 1, S, "0" * 64)
    text = report(header, requests_frame([]), [], [], None)
    assert text.splitlines()[0].startswith("empty: 1 run of 1s")
    assert "requests: none" in text


def test_html_escapes_what_comes_from_a_run() -> None:
    shown = titled("<b>", checks_html([Line("<script>", False, hint="a & b")]))
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "a &amp; b" in shown


def test_checks_of_variants_in_one_table_and_failures_at_length() -> None:
    class Line:
        points, expr, actual, hint = 2, "errors < 1%", "3%", "who was not told?"

        def __init__(self, name: str, passed: bool) -> None:
            self.name, self.passed = name, passed

    checks = {
        "small": [Line("fair", True), Line("quick", True)],
        "large": [Line("fair", True), Line("quick", False)],
    }
    assert ["\n".join(part) for part in check_overview(checks)] == [
        "Checks\n  variant  fair  quick\n  small    PASS  PASS\n  large    PASS  FAIL",
        "Failed in large\n  FAIL  quick (0 of 2 points): errors < 1%\n"
        "        found 3%\n        hint: who was not told?",
    ]
    assert check_overview({"small": [], "large": []}) == []
