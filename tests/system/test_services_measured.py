"""Loads from outside: the split knows which node chose, and says why it is uneven; the four experiments on Services."""

from collections.abc import Callable
from pathlib import Path

import pytest

import netsim
from netsim.experiment.results import Results

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture(scope="module")
def run() -> Callable[[str], Results]:
    done: dict[str, Results] = {}

    def play(name: str) -> Results:
        if name not in done:
            done[name] = netsim.load(EXPERIMENTS / f"{name}.yaml").run(replications=1)
        return done[name]

    return play


@pytest.mark.parametrize("name", ["external-policy", "session-affinity", "outside-mysql", "lb-health"])
def test_experiments_pass_their_own_checks(run: Callable[[str], Results], name: str) -> None:
    results = run(name)
    assert [(check.name, check.passed) for check in results.checks if not check.passed] == []
    assert results.packets is not None
    assert results.packets.closes


def test_shares_are_those_of_v41(run: Callable[[str], Results]) -> None:
    """1, 2 and 3 pods on three nodes: a sixth each, or 1/3, 1/6 and 1/9."""
    for service, expected in (("web-cluster", (1 / 6, 1 / 6, 1 / 6)), ("web-local", (1 / 3, 1 / 6, 1 / 9))):
        table = run("external-policy").load_split(service).table
        for number, share in enumerate(expected, 1):
            shares = table.loc[table["node"] == f"worker-{number}", "connection_share"]
            assert len(shares) == number
            assert shares.tolist() == pytest.approx([share] * number, abs=0.025)


def test_the_verdict_says_why(run: Callable[[str], Results]) -> None:
    cluster = run("external-policy").load_split("web-cluster").verdict
    local = run("external-policy").load_split("web-local")
    assert (cluster.word, cluster.reason) == ("chance", "even")
    assert (local.verdict.word, local.verdict.reason) == ("cause", "local-policy")
    assert "worker-3" in local.verdict.sentence
    assert "over 3" in local.verdict.sentence
    assert sorted(local.by_node["client_node"].unique()) == ["worker-1", "worker-2", "worker-3"]
    assert local.pvalue > 0.01
    assert local.stray == 0


def test_the_requests_table_has_the_address_that_the_server_saw(run: Callable[[str], Results]) -> None:
    requests = run("external-policy").requests
    seen = {service: set(part["client_ip_seen"]) for service, part in requests.groupby("service")}
    assert seen["default/web-local"] == {"192.0.2.10"}
    assert seen["default/web-cluster"] == {f"172.18.0.{n}" for n in (3, 4, 5)}
    # A connection that the second node serves crosses to it; under Local none does.
    local = requests[requests["service"] == "default/web-local"]
    assert (local["via_node"] == local["node"]).all()


def test_an_office_is_one_client_and_each_node_decides(run: Callable[[str], Results]) -> None:
    requests = run("session-affinity").requests
    office = requests[requests["service"] == "default/sticky-office"]
    assert office["client"].nunique() == 4
    assert office["pod"].nunique() == 1
    balanced = requests[requests["service"] == "default/sticky-balanced"]
    assert (balanced.groupby("via_node")["pod"].nunique() == 1).all()
    assert run("session-affinity").load_split("sticky-balanced").verdict.reason == "affinity"


def test_a_pinned_service_is_told_from_chance(run: Callable[[str], Results]) -> None:
    pinned = run("outside-mysql").load_split("mysql-pinned")
    assert pinned.verdict.reason == "affinity"
    assert pinned.table["expected_share"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("service", "least", "most"),
    # timing formulas: U(0, interval) + (failures - 1) x interval + time-out, and a request's own second
    [("gce", 17, 26), ("azure", 10, 16), ("clb", 55, 66), ("nlb", 70, 101)],
)
def test_how_long_a_balancer_goes_on(
    run: Callable[[str], Results], service: str, least: int, most: int
) -> None:
    failover = run("lb-health").failover(f"web-{service}")
    (outage,) = failover.table["outage_ns"].tolist()
    assert least <= outage / 1e9 <= most
    assert failover.table["detect_stage_ns"].sum() > 0.9 * outage
