"""The two kinds of page: of one run, and of an experiment's variants side by side. Called by `experiment.report`."""

from dataclasses import replace

from netsim.measure.page.compare_sections import compare_sections
from netsim.measure.page.document import Section, Tile, document
from netsim.measure.page.markup import Html, el, identifier, join
from netsim.measure.page.model import Compared, Run
from netsim.measure.page.run_sections import run_sections
from netsim.measure.summary import seconds, seconds_range
from netsim.measure.text import Header, header_lines, percent


def run_page(run: Run) -> str:
    """`report.html` of one run."""
    return document(run.header.experiment, _lead(run.header), _facts(run), _tiles(run), run_sections(run))


def compare_page(compared: Compared) -> str:
    """`report.html` of an experiment with variants: the comparison, then each variant."""
    first = next(iter(compared.runs.values()))
    each = [
        Section(f"v-{identifier(name)}", name, _tile_line(run), run_sections(run, f"v-{identifier(name)}-"))
        for name, run in compared.runs.items()
    ]
    lead = f"{len(compared.runs)} variants, each {_lead(first.header)}"
    common = [a for a in first.assumptions if all(a in run.assumptions for run in compared.runs.values())]
    what = _what(first.header, compared.fingerprint, replace(first, assumptions=common))
    facts = _fact_list([*what, *_command(compared.command)])
    return document(
        compared.name, lead, facts, _compared_tiles(compared), [*compare_sections(compared), *each]
    )


def _lead(header: Header) -> str:
    return header_lines(header)[0].partition(": ")[2].partition(", seed")[0]


def _facts(run: Run) -> Html:
    return _fact_list([*_what(run.header, run.header.fingerprint, run), *_command(run.command)])


def _what(header: Header, fingerprint: str, run: Run) -> list[tuple[str, Html]]:
    made = ", ".join(
        f"{name} {run.versions[name]}" for name in ("k8s-netsim", "python") if name in run.versions
    )
    facts = [("Seed", Html(header.seed)), ("Fingerprint", el("code", fingerprint[:12]))]
    cluster = [f"{a.name} {a.value}" for a in run.assumptions if a.topic == run.assumptions[0].topic]
    facts += [("Cluster", el("span", ", ".join(cluster[:5])))] if cluster else []
    return [*facts, *([("Made with", el("span", made))] if made else [])]


def _command(command: str) -> list[tuple[str, Html]]:
    return [("Run it again", el("code", command))] if command else []


def _fact_list(facts: list[tuple[str, Html]]) -> Html:
    return el("dl", *(join([el("dt", name), el("dd", value)]) for name, value in facts), class_="facts")


# ---------------------------------------------------------------- tiles
def _tiles(run: Run) -> list[Tile]:
    requests, tiles = run.analysis.requests, []
    if run.checks:
        passed = sum(check.passed for check in run.checks)
        tiles.append(
            Tile(
                "Checks",
                f"{passed} of {len(run.checks)}",
                "passed",
                "good" if passed == len(run.checks) else "bad",
            )
        )
    if len(requests):
        good, bad = (requests["outcome"] == "ok").sum(), (~requests["outcome"].isin(["ok", "aborted"])).sum()
        tiles.append(
            Tile("Requests", f"{len(requests):,}", f"{percent(good / len(requests))} ok, {bad:,} failed")
        )
    return [*tiles, *_outage_tiles(run), *_split_tiles(run)]


def _outage_tiles(run: Run) -> list[Tile]:
    tiles = []
    for service in run.analysis.asked[:2]:
        failover = run.analysis.failover(service)
        for fault in failover.faults[:2]:
            interval = failover.interval(fault)
            mean = float(failover.of(fault)["outage_ns"].mean())
            note = f"95% CI {seconds_range(interval)}" if interval.known else fault
            tiles.append(Tile(f"Outage of {service.rsplit('/', 1)[-1]}", seconds(mean), note))
    return tiles


def _split_tiles(run: Run) -> list[Tile]:
    return [
        Tile(
            f"Split of {service.rsplit('/', 1)[-1]}",
            split.verdict.word,
            split.verdict.reason.replace("-", " "),
        )
        for service in run.analysis.services[:2]
        if (split := run.analysis.load_split(service)).verdict.word != "none"
    ]


def _tile_line(run: Run) -> Html:
    told = [f"{tile.label.lower()} {tile.value} ({tile.note})" for tile in _tiles(run)]
    return el("p", "; ".join(told), class_="quiet")


def _compared_tiles(compared: Compared) -> list[Tile]:
    checks = [check for run in compared.runs.values() for check in run.checks]
    requests = sum(len(run.analysis.requests) for run in compared.runs.values())
    tiles = [Tile("Variants", str(len(compared.runs))), Tile("Requests", f"{requests:,}", "in all")]
    if checks:
        passed = sum(check.passed for check in checks)
        mood = "good" if passed == len(checks) else "bad"
        tiles.insert(0, Tile("Checks", f"{passed} of {len(checks)}", "passed, over all variants", mood))
    return tiles
