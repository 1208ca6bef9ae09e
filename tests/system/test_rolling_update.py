"""`experiments/rolling-update.yaml`: lost requests 0 in the right setting, above 0 in each wrong one, and why.

The budget's stages add up in every replication of every kind of fault and action.
"""

from pathlib import Path
from typing import Any

import pytest
from systemlab import ROOT, loaded

import netsim
from netsim.experiment.comparison import Comparison
from netsim.experiment.results import Results
from netsim.measure.budget import STAGES

# variant -> (endpoint, rules) of the cause that most requests were lost to.
WRONG = {
    "no-sleep": ("terminating", "before"),
    "no-drain": ("terminating", "before"),
    "no-probe": ("not-listening", ""),
    "all-at-once": ("no-endpoints", ""),
}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    found = netsim.load(ROOT / "experiments" / "rolling-update.yaml").run(replications=1)
    assert isinstance(found, Comparison)
    return found


def test_the_right_way_loses_nothing(comparison: Comparison) -> None:
    right = comparison["right"]
    assert right.passed
    assert len(right.requests) > 5_000
    assert set(right.requests["outcome"]) <= {"ok", "aborted"}
    assert right.causes.empty
    # The rollout has happened: every pod that answered at the beginning has been replaced at the end.
    first = right.requests[right.requests["t_ns"] < 9_000_000_000]
    last = right.requests[right.requests["t_ns"] > 42_000_000_000]
    assert not set(first["pod"]) & set(last["pod"])


def test_the_readme_shows_its_causes(comparison: Comparison) -> None:
    """`test_readme_outputs` leaves this command to us, as it takes a while."""
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = readme.partition("$ netsim run experiments/rolling-update.yaml\n")[2].partition("```")[0]
    lines = [line for line in shown.splitlines() if line.strip("." + " ")]
    assert lines[0] == "Why requests failed"
    assert len(lines) == 11
    printed = comparison.text().splitlines()
    begin = printed.index(lines[0])
    assert [line.rstrip() for line in printed[begin : begin + len(lines)]] == lines


@pytest.mark.parametrize("variant", WRONG)
def test_each_wrong_way_loses_requests_to_its_cause(comparison: Comparison, variant: str) -> None:
    result = comparison[variant]
    assert not result.passed
    causes = result.causes
    assert causes["requests"].sum() == (~result.requests["outcome"].isin(["ok", "aborted"])).sum() > 20
    by_cause = causes.groupby(["endpoint", "rules"])["requests"].sum()
    assert by_cause.idxmax() == WRONG[variant]
    assert "unknown" not in set(causes["endpoint"])


def test_what_sigterm_does_tells_the_two_apart(comparison: Comparison) -> None:
    """A server that does not finish what it has begun cuts requests off."""
    cut = {
        name: int((comparison[name].requests["outcome"] == "reset").sum())
        for name in ("no-sleep", "no-drain")
    }
    assert cut["no-drain"] > 2
    assert cut["no-drain"] > 2 * cut["no-sleep"]


def test_the_report_names_the_causes(comparison: Comparison, tmp_path: Path) -> None:
    text = comparison.text()
    assert "Why requests failed" in text
    assert "refused by a pod that counted as ready but did not listen yet" in text
    assert "before clients' rules changed" in text
    written = comparison["no-probe"].write(tmp_path / "out", figures=False)
    assert (written / "causes.parquet").is_file()
    again = Results.read(written)
    assert again.causes.equals(comparison["no-probe"].causes)


# ------------------------------------------------------------------ the budget
LOAD = '{name: shop, from: {run: client}, to: "http://my-nginx/", rate: 60/s, timeout: 500ms}'
FAULTS: dict[str, str] = {
    "pod-kill": "{at: 2s, action: pod-kill, selector: {run: my-nginx}}",
    "pod-delete": "{at: 2s, action: pod-delete, selector: {run: my-nginx}, mode: all, gracePeriod: 0s}",
    "pod-hang": "{at: 2s, for: 5s, action: pod-hang, selector: {run: my-nginx}}",
    "node-crash": "{at: 2s, action: node-crash, selector: {run: my-nginx}}",
    "rollout": "{at: 2s, action: rollout, object: deployment/my-nginx}",
    "scale": "{at: 2s, action: scale, object: deployment/my-nginx, replicas: 1}",
    "drain": '{at: 2s, action: drain, selector: {node: "worker-*"}, mode: all}',
    "partition": "{at: 2s, for: 8s, action: partition, selector: {node: worker-1}, target: {node: clients}}",
    "api-outage": "{at: 2s, for: 8s, action: api-outage}",
}


@pytest.mark.parametrize("action", FAULTS)
def test_the_stages_add_up_in_every_replication(action: str, tmp_path: Path) -> None:
    second = "{at: 12s, action: pod-delete, selector: {run: my-nginx}, gracePeriod: 1s}"
    made = loaded(tmp_path, "failover", [LOAD], [FAULTS[action], second], duration="20s", replications="4")
    result: Any = made.run()
    table = result.failover("my-nginx").table
    assert len(table) == 8
    stages = table[[f"{stage}_stage_ns" for stage in STAGES]]
    assert (stages >= 0).all(axis=None)
    assert stages.sum(axis=1).tolist() == table["outage_ns"].tolist()
    ends = table["last_failure_ns"].fillna(table["fault_ns"])
    assert (ends - table["fault_ns"]).tolist() == table["outage_ns"].tolist()
