"""`until`: replications go on until the interval is narrow enough, whatever the number of processes."""

from pathlib import Path

import pytest

import netsim
from netsim.experiment.errors import SpecErrors
from netsim.experiment.loader import load_experiment
from netsim.experiment.spec_until import Until, half_width
from netsim.measure.precision import StopRule

QUIET = {"progress": lambda _done, _total: None}


@pytest.mark.parametrize(
    ("text", "found"),
    [("5%", (0.05, 0, "")), ("0.5 %", (0.005, 0, "")), ("200ms", (0, 2e8, "ns")), (0.01, (0, 0.01, "plain"))],
)
def test_half_widths(text: str | float, found: tuple[float, float, str]) -> None:
    until = Until.model_validate({"metric": "errors", "halfWidth": text})
    assert half_width(until.halfWidth) == found
    assert Until.model_validate(until.model_dump(mode="json", by_alias=True)) == until


@pytest.mark.parametrize("text", ["5", "-5%", "0%", "0s", "much", True, None, "%"])
def test_no_half_widths(text: object) -> None:
    if text == "5":
        assert Until.model_validate({"metric": "jain", "halfWidth": "5"}).halfWidth == "5"
        return
    with pytest.raises(ValueError, match="halfWidth"):
        Until.model_validate({"metric": "errors", "halfWidth": text})


def test_the_rule_names_the_service_in_full() -> None:
    until = Until.model_validate({"metric": "errors", "halfWidth": "5%", "service": "web", "max": 50})
    assert until.rule() == StopRule("errors", 0.05, 0, 10, 50, "default/web")


@pytest.fixture(scope="module")
def file(small: Path) -> Path:
    text = (small / "kill.yaml").read_text(encoding="utf-8")
    path = small / "until.yaml"
    until = "until: {metric: latency.mean, halfWidth: 5%, min: 3, max: 40}"
    path.write_text(text.replace("replications: 4", until), encoding="utf-8")
    return path


def test_the_number_does_not_depend_on_processes(file: Path) -> None:
    experiment = netsim.load(file)
    one, two = experiment.run(jobs=1, **QUIET), experiment.run(jobs=2, **QUIET)
    assert one.fingerprint == two.fingerprint
    assert 3 < one.info.replications < 40
    assert one.precision is not None
    assert one.precision.reached
    again = experiment.run(replications=one.info.replications, **QUIET)  # as if that had been asked for
    assert again.fingerprint == one.fingerprint
    assert "precision: latency.mean of default/web is " in one.text()
    assert "half width of 5% was reached" in " ".join(one.text().split())


def test_a_number_given_by_hand_overrides_it(file: Path, tmp_path: Path) -> None:
    result = netsim.load(file).run(replications=2, **QUIET)
    assert result.info.replications == 2
    kept = netsim.Results.read(result.write(tmp_path / "kept", figures=False))
    assert kept.precision == result.precision
    assert kept.precision is not None


def test_without_it_nothing_is_said(small: Path) -> None:
    result = netsim.load(small / "kill.yaml").run(replications=1, **QUIET)
    assert result.precision is None
    assert "precision" not in result.text()


def test_each_variant_stops_by_itself(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    variants = "  variants:\n  - {name: a, set: {until.halfWidth: 50%}}\n  - {name: b, set: {until.max: 4}}\n"
    other = file.with_name("until-variants.yaml")
    other.write_text(text + variants, encoding="utf-8")
    compared = netsim.load(other).run(**QUIET)
    assert compared["a"].info.replications == 3
    assert compared["b"].info.replications == 4
    assert "was not reached (at most 4 replications)" in " ".join(compared["b"].text().split())


def test_a_fault_in_the_warm_up_is_remarked(small: Path) -> None:
    text = (small / "kill.yaml").read_text(encoding="utf-8")
    (small / "early.yaml").write_text(text.replace("duration:", "warmup: 4s\n  duration:"), encoding="utf-8")
    assert any(
        "faults[0] comes in the warm-up" in note for note in load_experiment(small / "early.yaml").notes
    )
    (small / "late.yaml").write_text(text.replace("duration:", "warmup: 8s\n  duration:"), encoding="utf-8")
    with pytest.raises(SpecErrors, match="the warm-up is not shorter than the experiment"):
        load_experiment(small / "late.yaml")
