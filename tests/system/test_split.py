"""Load split: connections go to each endpoint with the same probability; kept ones carry their requests along."""

from pathlib import Path

import pytest
from systemlab import Ask, loaded, service_ip, settled

from netsim.experiment.results import Results


def _chi_square(counts: list[int]) -> float:
    """Against equal shares."""
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 / expected for count in counts)


# The 0.1 % point of the chi-square distribution with two degrees of freedom: -2 ln 0.001.
LIMIT = 13.816


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """3,000 connections of one request each, and four users whose connections are kept."""
    return loaded(
        tmp_path_factory.mktemp("split"),
        "three-nodes",
        [
            '{name: each, from: {run: client}, to: "http://my-nginx/", rate: 300/s, arrivals: constant}',
            '{name: kept, from: {run: client}, to: "http://my-nginx-pooled/", model: closed, connections: 4,'
            " thinkTime: 20ms, keepAlive: true, resolve: once}",
        ],
        duration="10s",
        seed="5",
    ).run(jobs=1)


def test_a_third_each(results: Results) -> None:
    split = results.load_split("my-nginx")
    assert len(split.table) == 3
    assert split.table["connections"].sum() == 3000
    assert _chi_square(split.table["connections"].tolist()) < LIMIT
    assert split.pvalue > 0.001
    assert (split.verdict.word, split.verdict.reason) == ("chance", "even")
    assert set(results.requests["outcome"]) == {"ok"}


def test_with_keep_alive_requests_follow_connections(results: Results) -> None:
    table = results.load_split("my-nginx-pooled").table
    assert table["connections"].sum() == 4
    requests = results.requests[results.requests["load"] == "kept"]
    assert len(requests) > 1500
    # A connection keeps its endpoint, and carries about as many requests as the others.
    assert (requests.groupby("connection")["endpoint"].nunique() == 1).all()
    for row in table.itertuples():
        assert row.request_share == pytest.approx(row.connection_share, abs=0.02)


def test_the_report_says_that_the_skew_is_one_of_few_connections(results: Results) -> None:
    verdict = results.load_split("my-nginx-pooled").verdict
    assert (verdict.word, verdict.reason) == ("chance", "few-connections")
    report = " ".join(results.text().split())
    even = "Chance: 3,000 connections over 3 endpoints are spread as evenly as random choice spreads them"
    assert "travelled on only 4 connections, and a connection keeps its endpoint" in report
    assert even in report


def test_stale_rules_are_told_apart_from_a_skew(tmp_path: Path) -> None:
    """kube-proxy on the client's node has stopped: a deleted pod's endpoint goes on getting its third, in vain."""
    results = loaded(
        tmp_path,
        "failover",
        ['{name: shop, from: {run: client}, to: "http://my-nginx/", rate: 100/s, timeout: 200ms}'],
        [
            "{at: 100ms, action: kube-proxy-stop, selector: {node: clients}}",
            "{at: 200ms, action: pod-delete, selector: {run: my-nginx}, gracePeriod: 0s}",
        ],
        duration="20s",
        seed="2",
    ).run(jobs=1)
    table = results.load_split().table
    [failing] = table[table["failed"] > 0].itertuples()
    assert failing.failed > 0.9 * failing.requests
    assert failing.connection_share == pytest.approx(1 / 3, abs=0.05)
    pod = str(failing.pod).rsplit("/", maxsplit=1)[-1]
    assert f"More than half of the requests to {pod} failed." in str(results.load_split().verdict)
    [outage] = results.failover().of("pod-delete-1").itertuples()
    assert not outage.recovered


def test_the_kernel_itself_splits_in_thirds() -> None:
    """Without load generator and statistics: conntrack's entries on the client's node."""
    cluster = settled("three-nodes", seed=9)
    one = Ask(cluster, "pod/client", service_ip(cluster, "my-nginx"))
    node = cluster.host("pod/client").node  # type: ignore[attr-defined]
    pending = []
    for _ in range(1500):
        pending.append(one.begin())
        cluster.run(100_000)
    cluster.run("100ms")
    assert {done[0].outcome for done in pending} == {"ok"}
    chosen: dict[bytes, int] = {}
    for entry in node.ns.conntrack.entries(cluster.engine.now):
        if entry.original.flow.dport == 80 and entry.original.flow.src == cluster.host("pod/client").address:
            chosen[entry.reply.flow.src] = chosen.get(entry.reply.flow.src, 0) + 1
    assert sum(chosen.values()) == 1500
    assert _chi_square(list(chosen.values())) < LIMIT
