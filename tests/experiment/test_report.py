"""The report page: sections for each kind of experiment, the text report's numbers, no name that becomes markup."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pagelab import Page, drawings, read_page

from netsim.cli.main import main
from netsim.experiment.api import load
from netsim.experiment.comparison import Comparison
from netsim.experiment.report import read_results, report_html
from netsim.experiment.results import Results

MOST_BYTES = 2_000_000
KINDS = {
    "pod-kill.yaml": {"checks", "failover", "split", "requests", "kube-proxy", "drops", "model"},
    "session-affinity.yaml": {"checks", "split", "requests", "kube-proxy", "drops", "model"},
    "ndots.yaml": {"checks", "lookups", "requests", "kube-proxy", "drops", "model"},
    "ingress.yaml": {"checks", "failover", "split", "requests", "kube-proxy", "drops", "model"},
}


@pytest.fixture(scope="module")
def pages(root: Path) -> Callable[[str], tuple[Results, str, Page]]:
    """`pages("pod-kill.yaml")`: results of two replications at most, the page, the page as it was read."""
    made: dict[str, tuple[Results, str, Page]] = {}

    def page(name: str) -> tuple[Results, str, Page]:
        if name not in made:
            results = load(root / "experiments" / name).run(replications=2 if name == "pod-kill.yaml" else 1)
            assert isinstance(results, Results)
            html = report_html(results)
            made[name] = results, html, read_page(html)
        return made[name]

    return page


@pytest.mark.parametrize("name", KINDS)
def test_every_section_is_there(name: str, pages: Callable[[str], tuple[Results, str, Page]]) -> None:
    results, html, page = pages(name)
    top = {anchor for anchor in page.words if "-" not in anchor or anchor == "kube-proxy"} - {
        "again",
        "inert",
        "notes",
    }
    assert top == KINDS[name]
    assert len(html.encode()) < MOST_BYTES
    assert results.fingerprint in page.section("again")
    assert page.section("again").count("netsim run ") == 1
    for service in results.services:
        assert service in page.section("split")
    assert all(drawing["aria-label"] for drawing in drawings(page))


def numbers(text: str) -> set[str]:
    """Numbers with units and shares, as both reports write them."""
    return set(re.findall(r"\d[\d,.]*(?:e-?\d+)?(?:%| (?:s|ms|us|ns)\b)", text))


@pytest.mark.parametrize("name", KINDS)
def test_the_page_says_the_numbers_of_the_text_report(
    name: str, pages: Callable[[str], tuple[Results, str, Page]]
) -> None:
    results, _, page = pages(name)
    text = results.text()
    assert len(numbers(text)) > 8
    assert numbers(text) - numbers(page.text) == set()
    counts = set(re.findall(r"\b\d{1,3}(?:,\d{3})+\b", text))
    assert {count for count in counts if count not in page.text} == set()
    if results.packets:
        assert results.packets.line().removeprefix("packets") in page.section("drops")


def test_stages_of_the_table_are_those_of_the_failover(
    pages: Callable[[str], tuple[Results, str, Page]],
) -> None:
    results, _, page = pages("pod-kill.yaml")
    summary = results.failover().summary
    rows = page.tables["The budget: stages add up to the outage"][1:]
    assert [row[0].split(" ")[0] for row in rows] == summary["stage"].tolist()
    split = results.load_split().table
    shown = page.tables["Load split of default/my-nginx"][1:]
    assert [row[0] for row in shown] == split["endpoint"].tolist()
    assert [int(row[3].replace(",", "")) for row in shown] == split["connections"].tolist()


def test_the_timeline_holds_each_request_once(pages: Callable[[str], tuple[Results, str, Page]]) -> None:
    _, _, page = pages("pod-kill.yaml")
    paths = [found for tag, found in page.elements if tag == "path" and "data-name" in found]
    failed = next(found for found in paths if found["data-name"].startswith("failed"))
    count = int(re.findall(r"\((\d+)\)", failed["data-name"])[0])
    assert failed["d"].count("M") == count > 0
    drawn = sum(found["d"].count("M") for found in paths)
    assert f"Replication 0, {drawn:,} requests." in page.text
    counted = page.tables["Requests by endpoint, replication 0"][1:]
    lost = sum(int(row[column].replace(",", "")) for row in counted for column in (2, 4, 6))
    assert lost == count


def test_assumptions_come_with_their_sources(pages: Callable[[str], tuple[Results, str, Page]]) -> None:
    results, _, page = pages("pod-kill.yaml")
    found = {a.name: a for a in results.info.assumptions}
    assert found["kube-proxy"].value == "iptables"
    assert found["min_sync_period"].value == "1s"
    assert found["grace_period"].value == "50s"
    assert all(a.given or a.source for a in results.info.assumptions)
    said = page.section("model")
    assert all(a.value in said and a.name in said for a in results.info.assumptions)


def test_what_the_files_set_is_told_from_defaults(root: Path) -> None:
    from netsim.experiment.assumptions import assumptions

    topology = load(root / "experiments" / "pod-kill.yaml").topology
    manager = topology.spec.controllerManager.model_copy(
        update={"node_monitor_grace_period_ns": 7_000_000_000}
    )
    changed = dataclasses.replace(
        topology, spec=topology.spec.model_copy(update={"controllerManager": manager})
    )
    before, after = ({a.name: a for a in assumptions(t)}["grace_period"] for t in (topology, changed))
    assert (before.value, before.given) == ("50s", False)
    assert (after.value, after.given) == ("7s", True)


# ---------------------------------------------------------------- variants
VARIANTS = """
apiVersion: netsim/v1
kind: Experiment
metadata: {{name: modes}}
spec:
  topology: {topology}
  duration: 4s
  load: [{{name: shop, from: {{run: client}}, to: "http://my-nginx/", rate: 50/s}}]
  faults: [{{at: 1s, action: pod-kill, selector: {{run: my-nginx}}, mode: one}}]
  variants:
  - {{name: iptables-0, set: {{cluster.networking.kubeProxyMode: iptables, cluster.fillers.services: 0}}}}
  - {{name: ipvs-0, set: {{cluster.networking.kubeProxyMode: ipvs, cluster.fillers.services: 0}}}}
  - {{name: ipvs-20, set: {{cluster.networking.kubeProxyMode: ipvs, cluster.fillers.services: 20}}}}
  checks: [{{name: impossible, expr: "errors < 0%", hint: "a pod dies"}}]
"""


@pytest.fixture(scope="module")
def compared(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result folder of an experiment with variants."""
    place = tmp_path_factory.mktemp("variants")
    file = place / "modes.yaml"
    file.write_text(VARIANTS.format(topology=root / "topologies" / "failover.yaml"), encoding="utf-8")
    results = load(file).run(jobs=1)
    assert isinstance(results, Comparison)
    return results.write(place / "results", figures=False)


def test_variants_are_compared_and_each_has_its_sections(compared: Path) -> None:
    page = read_page((compared / "report.html").read_text("utf-8"))
    names = ["iptables-0", "ipvs-0", "ipvs-20"]
    assert list(page.words)[:2] == ["checks", "compare"]
    for name in names:
        anchor = f"v-{name}"
        assert {f"{anchor}-{part}" for part in ("checks", "failover", "split", "requests", "model")} <= set(
            page.words
        )
        assert f"--variant {name}" in page.section(f"{anchor}-again")
    assert page.section("checks").count("FAIL") == 6  # in the overview, and with the hint
    assert page.section("checks").count("Hint: a pod dies") == 3
    spread = page.tables["Time to connect and load split: default/my-nginx"]
    assert [row[0] for row in spread[1:]] == names
    text = read_results(compared).text()
    assert numbers(text) - numbers(page.text) == set()
    assert "Time to connect, median, over the number of Services." in page.text


def test_each_variant_has_a_page_of_its_own(compared: Path) -> None:
    for name in ("iptables-0", "ipvs-0", "ipvs-20"):
        page = read_page((compared / name / "report.html").read_text("utf-8"))
        assert "failover" in page.words


def test_netsim_report_makes_the_same_page_again(compared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (compared, compared / "ipvs-0"):
        page = folder / "report.html"
        before = page.read_bytes()
        page.unlink()
        assert main(["report", str(folder)]) == 0
        assert capsys.readouterr().out == f"{page}\n"
        assert page.read_bytes() == before


def test_netsim_report_says_what_is_no_result_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "there is no run.json in it" in capsys.readouterr().err
    (tmp_path / "run.json").write_text('{"schemaVersion": 1, "kind": "Poem"}', encoding="utf-8")
    assert main(["report", str(tmp_path)]) == 2
    assert "holds a Poem" in capsys.readouterr().err
