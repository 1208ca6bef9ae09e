"""`netsim compare`: folders, experiments and variants, pairs by seed, and what cannot be compared."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import netsim
from netsim.cli.main import main
from netsim.experiment.compare import CompareError, PairComparison

QUIET: dict[str, Any] = {"progress": lambda _done, _total: None}


@pytest.fixture(scope="module")
def slow(small: Path) -> Path:
    """The experiment with another probe: the dead pod comes back later."""
    text = (small / "kill.yaml").read_text(encoding="utf-8")
    path = small / "slow.yaml"
    path.write_text(
        text.replace("mean: 2ms", "mean: 6ms").replace("name: kill", "name: slow"), encoding="utf-8"
    )
    return path


@pytest.fixture(scope="module")
def compared(small: Path, slow: Path) -> PairComparison:
    return netsim.compare(small / "kill.yaml", slow, replications=8, **QUIET)


def test_experiments_run_with_the_same_seeds(compared: PairComparison) -> None:
    assert compared.paired
    a, b = compared.a.requests, compared.b.requests
    assert sorted(a["t_ns"]) == sorted(b["t_ns"])
    table = compared.table.set_index("metric")
    assert table["shown"]["latency.p50"]
    assert 2e6 < table["difference"]["latency.p50"] < 5e6
    assert table["low"]["latency.p50"] < table["difference"]["latency.p50"] < table["high"]["latency.p50"]
    assert not table["shown"]["outage.p95"]


def test_the_report(compared: PairComparison) -> None:
    text = compared.text()
    assert text.startswith("A: ")
    assert "8 replications of 8s simulated time, seed 4" in text
    assert "latency.p50: B takes " in text
    assert "longer for a request (median)" in " ".join(text.split())
    assert "note: replications pair by their seed (8 pairs)" in text
    assert all(len(line) <= 100 for line in text.splitlines()[3:])
    assert "chance does not explain it" in compared._repr_html_()
    assert repr(compared) == text


def test_folders_give_the_same_as_runs(
    compared: PairComparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(r.write(tmp_path / r.info.name, figures=False)) for r in (compared.a, compared.b)]
    assert main(["compare", *folders, "-o", "json", "--out", str(tmp_path / "table.parquet")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["metric"] for row in found] == list(compared.table["metric"])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), compared.table)
    assert main(["compare", *folders, "--metric", "jain", "--metric", "detect.mean"]) == 0
    out = capsys.readouterr().out
    assert "detect.mean" in out
    assert "outage" not in out


def test_with_itself(compared: PairComparison) -> None:
    same = netsim.compare(compared.a, compared.a, **QUIET)
    assert not same.table["shown"].any()
    assert "they are one and the same run" in same.text()


def test_other_seeds_do_not_pair(small: Path, compared: PairComparison) -> None:
    other = netsim.compare(
        compared.a, netsim.load(small / "slow.yaml").run(seed=5, replications=6, **QUIET), **QUIET
    )
    assert not other.paired
    assert "the seeds differ" in other.text()
    assert set(other.table["replications_b"]) == {6}
    assert other.table.set_index("metric")["shown"]["latency.p50"]


def test_an_experiment_is_run_as_the_results_that_it_is_compared_with(
    slow: Path, compared: PairComparison
) -> None:
    again = netsim.compare(compared.a, slow, **QUIET)
    assert again.b.fingerprint == compared.b.fingerprint


def test_variants(small: Path) -> None:
    path = small / "variants.yaml"
    text = (small / "kill.yaml").read_text(encoding="utf-8")
    path.write_text(
        f"{text}  variants:\n  - {{name: x, set: {{duration: 5s}}}}\n"
        "  - {name: y, set: {cluster.networking.kubeProxyMode: ipvs, duration: 5s}}\n",
        encoding="utf-8",
    )
    found = netsim.compare(f"{path}#x", f"{path}#y", replications=2, **QUIET)
    assert (found.a.info.name, found.b.info.name) == ("x", "y")
    with pytest.raises(CompareError, match=r"has variants: choose one, as in .*#x \(there: x, y\)"):
        netsim.compare(path, path, **QUIET)
    with pytest.raises(CompareError, match=r"has no variant z"):
        netsim.compare(f"{path}#z", path, **QUIET)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("empty", "empty"), "is no result folder: there is no run.json in it"),
        (("several", "several"), "holds several results: choose one, as in several/one"),
        (("nothing.yaml", "kill.yaml"), "nothing.yaml:1:1: (file): no such file"),
        (("kill.yaml", "kill.yaml", "--metric", "outage.maen"), '(did you mean "outage.mean"?)'),
        (("kill.yaml", "kill.yaml", "--out", "x.txt"), "write a name that ends in .parquet or .csv"),
    ],
)
def test_what_cannot_be_compared(
    arguments: tuple[str, ...],
    message: str,
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(small)
    (small / "empty").mkdir(exist_ok=True)
    (small / "several" / "one").mkdir(parents=True, exist_ok=True)
    (small / "several" / "one" / "run.json").write_text("{}", encoding="utf-8")
    assert main(["compare", "-q", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
