"""How long which client is hurt: experiments/clients.yaml, in full, and a pod whose kernel gives up sooner."""

from pathlib import Path

import pandas as pd
import pytest
from systemlab import loaded, settled

import netsim
from netsim.experiment.comparison import Comparison
from netsim.measure.hurt import hurt_frame

EXPERIMENT = Path(__file__).resolve().parents[2] / "experiments" / "clients.yaml"
SECOND = 10**9


@pytest.fixture(scope="module")
def found() -> Comparison:
    result = netsim.load(EXPERIMENT).run()
    assert isinstance(result, Comparison)
    return result


@pytest.fixture(scope="module")
def crash(found: Comparison) -> pd.DataFrame:
    """What a crashed node does, by load."""
    result = found["node-crash"]
    return hurt_frame(result.requests, result.events).set_index("load")


def test_its_own_checks_hold(found: Comparison) -> None:
    assert found.passed, found.text()


@pytest.mark.parametrize(
    ("load", "low", "high"),
    [
        ("go", 920, 930),  # 15 doublings of the retransmission time-out
        ("requests", 920, 930),
        ("go-retries2", 100, 105),  # 8 doublings
        ("go-user-timeout", 20, 25),
        ("idle", 924, 975),  # begun up to 45 s later
        ("new-1s", 40, 60),  # as long as the node counts as healthy
        ("new-retry", 40, 60),
        ("go-timeout", 2, 12),
    ],
)
def test_a_silent_node(crash: pd.DataFrame, load: str, low: int, high: int) -> None:
    assert low <= crash.loc[load, "hurt_ns"] / SECOND <= high


def test_who_sees_errors_and_who_only_waits(crash: pd.DataFrame) -> None:
    assert crash.loc["new-1s", "failed"] > 20
    assert crash.loc["new-retry", "failed"] == 0
    assert crash.loc["new-retry", "retried"] > 20
    assert crash.loc["go", "failed"] == 0  # net/http sends again on a fresh connection
    assert crash.loc["requests", "failed"] > 0  # requests does not
    assert (
        crash.loc["requests", "mostly"] == "kept: EHOSTUNREACH"
    )  # the node's own ICMP, remembered as soft error


@pytest.mark.parametrize("variant", ["pod-kill", "pod-delete"])
def test_what_says_goodbye_hurts_nobody_for_long(found: Comparison, variant: str) -> None:
    hurt = hurt_frame(found[variant].requests, found[variant].events)
    assert hurt["hurt_ns"].max() < 2 * SECOND
    assert hurt["over"].all()


def test_the_report(found: Comparison) -> None:
    text = found.text()
    assert "How long each client was hurt" in text
    assert text.count("kept: EHOSTUNREACH") == 1
    assert max(map(len, text.splitlines())) <= 100
    assert "connect: ECONNREFUSED" in text
    single = found["node-crash"].text()
    assert "Failed requests, by what the client was told" in single
    assert "Succeeded late" in single
    assert max(map(len, single.splitlines())) <= 100


def test_a_pods_sysctls_are_its_own() -> None:
    cluster = settled("clients")
    assert cluster.host("pod/tuned").ns.sysctl.tcp_retries2 == 8
    assert cluster.host("pod/client").ns.sysctl.tcp_retries2 == 15
    assert cluster.host("node/clients").ns.sysctl.tcp_retries2 == 15


@pytest.mark.parametrize(("kernel", "expected_s"), [("6.1", 127), ("6.8", 131)])
def test_both_kernels_syn_ladders(tmp_path: Path, kernel: str, expected_s: int) -> None:
    """A connect into silence, as curl's connect time-out is longer: nobody has the port's address."""
    load = '{name: x, from: {run: test}, to: "http://nginx-service/", model: closed, connections: 1, timeout: none}'
    text = (Path(EXPERIMENT).parents[1] / "topologies" / "tutorial-nginx.yaml").read_text(encoding="utf-8")
    assert "kernel:" not in text
    variant = f'[{{name: only, set: {{cluster.kernel: "{kernel}"}}}}]'
    load = load.replace("{run: test}", "{pod: test-pod}")
    result = loaded(tmp_path, "tutorial-nginx", [load], duration="135s", variants=variant).run()
    assert isinstance(result, Comparison)
    first = result["only"].requests.iloc[0]
    assert (first["outcome"], first["error"]) == ("timeout", "Connection timed out")
    assert first["latency_ns"] / SECOND == pytest.approx(expected_s, abs=0.1)
