"""Load split: expectation per node and period, bands, and the words "chance" and "cause"."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from netsim.cluster.records import ClusterEvent
from netsim.engine import MS, S
from netsim.measure.collect import Recording
from netsim.measure.frames import events_frame, requests_frame
from netsim.measure.split import LoadSplit, load_split
from netsim.workload.records import RequestDone

Make = Callable[..., Recording]


def split_of(*recordings: Recording, service: str = "my-nginx") -> LoadSplit:
    return load_split(requests_frame(recordings), events_frame(recordings), service)


def hand_made(chosen: list[str], per: list[int] | None = None, **fields: object) -> Recording:
    """A recording without events: one connection per entry of `chosen`, each with `per` requests."""
    done = []
    for number, endpoint in enumerate(chosen, 1):
        for _ in range(per[number - 1] if per else 1):
            at = (100 + len(done)) * MS
            base = RequestDone("default/c", "l", len(done) + 1, number, "default/web", "web", at, 0, at, at + MS, "ok",
                               200, 1, f"{endpoint}:80", f"default/web-{endpoint}", "n1")  # fmt: skip
            done.append(replace(base, **fields))  # type: ignore[arg-type]
    return Recording(1, 0, 100 * S, tuple(done), ())


def test_thirty_thousand_connections_over_three_endpoints_are_chance(study: Make) -> None:
    split = split_of(study(rate=500, faulty=False))
    assert split.connections == len(study(rate=500, faulty=False).requests)
    assert split.verdict.word == "chance"
    assert split.verdict.reason == "even"
    assert split.dof == 2
    assert split.jain > 0.999
    assert split.table["expected_share"].tolist() == pytest.approx([1 / 3] * 3)
    inside = (split.table["low"] <= split.table["expected_share"]) & (
        split.table["expected_share"] <= split.table["high"]
    )
    assert inside.all()
    assert split.table["pod"].tolist() == [f"default/my-nginx-{i}" for i in range(3)]


def test_a_weighted_choice_is_a_cause(study: Make) -> None:
    split = split_of(study(rate=500, faulty=False, weights=(1.2, 1, 1)))
    assert (split.verdict.word, split.verdict.reason) == ("cause", "unknown")
    assert split.pvalue < 0.01
    assert "my-nginx-0 got" in split.verdict.sentence


def test_keep_alive_skews_requests_by_chance(study: Make) -> None:
    # Seeds are searched for a skew that looks odd by requests: with ten connections most do.
    splits = [split_of(study(seed=seed, rate=100, faulty=False, per_connection=600)) for seed in range(6)]
    skewed = [s for s in splits if s.request_pvalue < 0.01]
    assert len(skewed) >= 4
    for split in skewed:
        assert split.connections == 10
        assert (split.verdict.word, split.verdict.reason) == ("chance", "few-connections")
        assert "10 connections" in split.verdict.sentence
        assert split.method == "simulated"


def test_connections_that_carry_more_on_one_endpoint_are_a_cause() -> None:
    rng = random.Random(1)
    chosen = [rng.choice("abc") for _ in range(300)]
    split = split_of(hand_made(chosen, [10 if c == "a" else 1 for c in chosen]), service="web")
    assert (split.verdict.word, split.verdict.reason) == ("cause", "uneven-connections")
    assert "web-a carries 10.0 requests" in split.verdict.sentence


def test_endpoints_that_change_midway_are_expected_to_skew(study: Make) -> None:
    split = split_of(*(study(replication=i, rate=100) for i in range(5)))
    assert (split.verdict.word, split.verdict.reason) == ("cause", "endpoints-changed")
    assert split.pvalue > 0.01
    assert split.periods == 2
    assert split.stray == 0
    assert split.table["expected_share"].iloc[0] < 0.2
    assert any("More than half" not in note for note in split.verdict.notes) or not split.verdict.notes


def test_the_split_of_each_node_is_judged_by_its_own_rules(study: Make) -> None:
    split = split_of(study(rate=300))
    assert split.by_node.groupby("client_node").size().tolist() == [3, 3, 3]
    assert split.by_node["connections"].sum() == split.table["connections"].sum()
    assert (split.by_node.groupby("client_node")["pvalue"].nunique() == 1).all()


def test_affinity_and_locality_are_recognised() -> None:
    recording = hand_made(["a", "b", "c"] * 20)
    requests = requests_frame([recording])
    endpoint = requests["endpoint"]
    sticky = requests.assign(client="default/c-" + endpoint)
    few = sticky[(endpoint == "a:80") | (sticky["request"] <= 8)]
    split = load_split(few, events_frame([]), "web")
    assert (split.verdict.word, split.verdict.reason) == ("cause", "affinity")
    skewed = requests.assign(client=[f"c{i}" for i in range(len(requests))], node="n-" + endpoint)
    skewed = skewed.assign(client_node=skewed["node"])
    skewed = skewed[(endpoint == "a:80") | (skewed["request"] <= 8)]
    split = load_split(skewed, events_frame([]), "web")
    assert (split.verdict.word, split.verdict.reason) == ("cause", "locality")


@pytest.mark.parametrize(
    ("nodes", "reason", "expected"),
    [
        # All connections come in by two of the three nodes, twice as many by the first; each has one endpoint.
        (("worker-1", "worker-1", "worker-2"), "local-policy", (2 / 3, 1 / 3)),
        (("worker-1", "worker-2", "worker-3"), "even", (1 / 3, 1 / 3, 1 / 3)),
    ],
)
def test_under_policy_local_each_node_is_expected_to_serve_its_own(
    study: Make, nodes: tuple[str, ...], reason: str, expected: tuple[float, ...]
) -> None:
    recording = study(rate=60, faulty=False)
    done = []
    for number, request in enumerate(recording.requests):
        via = nodes[number % len(nodes)]
        at = int(via.rpartition("-")[2])
        place = {"endpoint": f"10.244.{at}.2:80", "pod": f"default/my-nginx-{at - 1}", "node": via}
        done.append(replace(request, client="laptop", client_node="", via_node=via, policy="Local", **place))
    split = split_of(replace(recording, requests=tuple(done)))
    assert split.verdict.reason == reason
    assert [share for share in split.table["expected_share"] if share] == pytest.approx(expected)
    assert (split.pvalue, split.stray, split.periods) == (1.0, 0, 1)
    if reason == "local-policy":
        assert "worker-1 66.7% over 1" in split.verdict.sentence


def test_a_ready_endpoint_that_nobody_gets_is_named(study: Make) -> None:
    split = split_of(study(rate=100, faulty=False, weights=(0, 1, 1)))
    assert (split.verdict.word, split.verdict.reason) == ("cause", "unused-endpoint")
    assert "my-nginx-0" in split.verdict.sentence
    assert split.table["connections"].tolist()[0] == 0
    assert split.table["pod"].tolist()[0] == "default/my-nginx-0"


def test_connections_of_unknown_endpoint_count_in_favour_of_chance() -> None:
    chosen = ["a"] * 100 + ["b"] * 100 + ["c"] * 40
    known = requests_frame([hand_made(chosen)])
    assert load_split(known, events_frame([]), "web").pvalue < 0.01
    lost = requests_frame([hand_made([""] * 60, endpoint="", pod="", node="", outcome="timeout")])
    both = pd.concat([known, lost.assign(connection=lost["connection"] + 1000)], ignore_index=True)
    split = load_split(both, events_frame([]), "web")
    assert split.unknown == 60
    assert split.verdict.word == "chance"
    assert "60 connections failed before their endpoints were known" in str(split.verdict)


def test_an_endpoint_outside_the_rules_is_a_stray(study: Make) -> None:
    recording = study(rate=50, faulty=False)
    moved = [
        replace(r, endpoint="10.244.9.9:80", pod="", node="") if r.request % 100 == 0 else r
        for r in recording.requests
    ]
    split = split_of(replace(recording, requests=tuple(moved)))
    assert split.stray == 30
    assert "30 connections went to an endpoint that the node's rules no longer held" in str(split.verdict)
    assert split.verdict.word == "chance"


def test_requests_that_never_opened_a_connection_are_not_split(study: Make) -> None:
    recording = study(rate=5, faulty=False)
    lost = tuple(replace(r, connection=0, endpoint="", outcome="dns") for r in recording.requests)
    split = split_of(replace(recording, requests=lost))
    assert (split.verdict.word, split.connections, split.pvalue) == ("none", 0, 1.0)


def test_shares_are_found_by_pod_endpoint_or_address(study: Make) -> None:
    split = split_of(study(rate=20, faulty=False))
    assert {split.share(n) for n in ("my-nginx-1", "default/my-nginx-1", "10.244.2.2:80", "10.244.2.2")} == {
        split.table["connection_share"].iloc[1]
    }
    with pytest.raises(KeyError, match=r"there are 10\.244\.1\.2:80"):
        split.share("nobody")


def test_an_unknown_service_is_named_with_those_there_are(study: Make) -> None:
    with pytest.raises(KeyError, match="there are default/my-nginx"):
        split_of(study(rate=1), service="other")


def test_the_band_covers_as_often_as_it_says(study: Make) -> None:
    table = split_of(study(rate=10, faulty=False)).table
    draws = np.random.default_rng(3).multinomial(int(table["connections"].sum()), [1 / 3] * 3, 4000)
    shares = draws / draws.sum(axis=1, keepdims=True)
    inside = (table["low"].to_numpy() <= shares) & (shares <= table["high"].to_numpy())
    assert 0.945 <= inside.mean() <= 0.975


def test_the_split_is_the_same_twice(study: Make) -> None:
    first, second = (split_of(study(rate=50, per_connection=300)) for _ in range(2))
    pd.testing.assert_frame_equal(first.table, second.table)
    assert first.pvalue == second.pvalue
    assert "<table>" in first._repr_html_()


@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_is_held_against_the_endpoints_of_its_own_family(family: int) -> None:
    """A dual-stack Service has endpoints of both, but a connection can be given to those of one only."""
    addresses = {4: ["10.244.1.2", "10.244.2.2"], 6: ["fd00::1", "fd00::2"]}
    events = tuple(
        ClusterEvent(number, "endpointslice", "EndpointSliceUpdated", "EndpointSlice", "default", f"web-{number}", "",
                     {"service": "default/web", "added": ",".join(addresses[number])})
        for number in (4, 6)
    )  # fmt: skip
    texts = {4: "{}", 6: "[{}]"}
    chosen = [texts[family].format(addresses[family][number % 2]) for number in range(40)]
    split = split_of(replace(hand_made(chosen), events=events), service="web")
    assert split.table["endpoint"].tolist() == [f"{texts[family].format(a)}:80" for a in addresses[family]]
    assert split.table["expected_share"].tolist() == [0.5, 0.5]
    assert split.stray == 0
