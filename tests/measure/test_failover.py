"""Failover: marks, outages and budgets of synthetic studies whose answers are known."""

import random
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.cluster.records import ClusterEvent
from netsim.engine import MS, S
from netsim.measure.collect import Recording
from netsim.measure.failover import FAILOVER_TYPES, NODE_TYPES, STAGE_COLUMNS, failover_tables
from netsim.measure.frames import events_frame, requests_frame
from netsim.workload.records import FaultInjected, RequestDone

Make = Callable[..., Recording]
EPOCH = 100 * S


def tables(*recordings: Recording) -> tuple[pd.DataFrame, pd.DataFrame]:
    return failover_tables(requests_frame(recordings, "t"), events_frame(recordings, "t"))


def only(*recordings: Recording) -> "pd.Series[int]":
    outages, _ = tables(*recordings)
    assert len(outages) == 1
    return outages.iloc[0]


def without(recording: Recording, *reasons: str, after: int = EPOCH) -> Recording:
    """The same recording in which nothing of that kind was told after the experiment began."""
    kept = tuple(e for e in recording.events if e.at_ns < after or e.reason not in reasons)
    return replace(recording, events=kept)


def test_the_marks_are_those_of_the_events(study: Make) -> None:
    recording = study()
    row, (_, nodes) = only(recording), tables(recording)
    at = {
        e.reason: e.at_ns - EPOCH
        for e in recording.events
        if e.at_ns > EPOCH and "RulesSynced" not in e.reason
    }
    assert row["fault_ns"] == 20 * S
    assert row["detected_ns"] == at["PodUnready"]
    assert row["status_ns"] == at["PodStatusWritten"] == row["detected_ns"] + 20 * MS
    assert row["endpoints_ns"] == at["EndpointSliceUpdated"]
    assert row["rules_ns"] == row["endpoints_ns"] + 5 * MS + 900 * MS + 30 * MS
    assert row["rules_node"] == "worker-3"
    assert nodes["node"].tolist() == ["worker-1", "worker-2", "worker-3"]
    assert (nodes["synced_ns"] - nodes["started_ns"]).tolist() == [30 * MS] * 3
    assert (nodes["started_ns"] - nodes["seen_ns"]).tolist() == [100 * MS, 400 * MS, 900 * MS]


def test_the_outage_ends_with_the_last_failure_and_the_stages_add_up(twenty: tuple[Recording, ...]) -> None:
    outages, _ = tables(*twenty)
    assert len(outages) == 20
    for recording, (_, row) in zip(twenty, outages.iterrows(), strict=True):
        failed = [r.ended_ns for r in recording.requests if r.outcome != "ok"]
        assert row["outage_ns"] == max(failed) - EPOCH - 20 * S
        assert row["failed"] == len(failed)
        assert sum(row[column] for column in STAGE_COLUMNS) == row["outage_ns"]
        assert row["recovered"]
        assert row["wait_stage_ns"] == 900 * MS
        assert 0.2 < row["failing_share"] < 0.45
        assert row["first_success_ns"] > row["rules_ns"]


def test_nothing_failed_leaves_marks_but_no_outage(study: Make) -> None:
    recording = study()
    fine = tuple(replace(r, outcome="ok", ended_ns=r.started_ns + MS) for r in recording.requests)
    row = only(replace(recording, requests=fine))
    assert (row["outage_ns"], row["failed"], row["failing_share"]) == (0, 0, 0)
    assert pd.isna(row["last_failure_ns"])
    assert row["rules_ns"] > row["detected_ns"]
    assert row["recovered"]


def test_never_recovered_says_so_and_waits_for_detection(study: Make) -> None:
    recording = study(waits=(10**12,) * 3)
    row = only(without(recording, "PodUnready", "PodStatusWritten", "EndpointSliceUpdated", "EndpointSliceSeen",
                       "RulesSynced"))  # fmt: skip
    assert not row["recovered"]
    assert pd.isna(row["detected_ns"])
    assert pd.isna(row["rules_ns"])
    assert row["detect_stage_ns"] == row["outage_ns"] > 38 * S


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        (("PodStatusWritten", "EndpointSliceUpdated"), "write"),
        (("EndpointSliceUpdated",), "endpoints"),
        (("EndpointSliceSeen", "RulesSynced"), "watch"),
        (("RulesSynced",), "wait"),
    ],
)
def test_time_goes_to_the_stage_that_never_ended(study: Make, missing: tuple[str, ...], stage: str) -> None:
    row = only(without(study(), *missing))
    assert row[f"{stage}_stage_ns"] > 1 * S
    assert sum(row[column] for column in STAGE_COLUMNS) == row["outage_ns"]


def test_one_node_that_never_syncs_is_the_slowest(study: Make) -> None:
    recording = study()
    kept = tuple(
        e
        for e in recording.events
        if not (e.reason == "RulesSynced" and e.node == "worker-2" and e.at_ns > EPOCH)
    )
    row = only(replace(recording, events=kept))
    assert pd.isna(row["rules_ns"])
    assert row["rules_node"] == "worker-2"


def test_a_deleted_pod_needs_no_status_write(study: Make) -> None:
    recording = study()
    gone = [
        replace(e, reason="PodTerminating") if e.reason == "PodUnready" else e
        for e in without(recording, "PodStatusWritten").events
    ]
    row = only(replace(recording, events=tuple(gone)))
    assert row["status_ns"] == row["detected_ns"]
    assert row["write_stage_ns"] == 0


def test_background_failures_do_not_stretch_the_outage(study: Make) -> None:
    recording = study(background=0.01, rate=200)
    row = only(recording)
    assert 6 * S < row["outage_ns"] < 8.5 * S
    assert row["failed_later"] > 10
    assert row["recovered"]


def test_keep_alive_outlives_the_rules(study: Make) -> None:
    row = only(study(per_connection=50, seed=5))
    assert row["failed_reused"] > 0
    assert row["client_stage_ns"] >= 0


def test_several_faults_share_the_run_between_them(study: Make) -> None:
    recording = study()
    second = FaultInjected(EPOCH + 40 * S, "kube-proxy-stop-1", "kube-proxy-stop", (), ("worker-1",))
    outages, _ = tables(replace(recording, faults=(*recording.faults, second)))
    assert outages["fault"].tolist() == ["pod-hang-1", "kube-proxy-stop-1"]
    assert outages["failed"].tolist()[1] == 0
    assert outages["outage_ns"].tolist()[0] > 5 * S
    assert pd.isna(outages["detected_ns"].iloc[1])


def test_faults_at_one_instant_share_their_requests(study: Make) -> None:
    recording = study()
    twin = replace(recording.faults[0], fault="pod-hang-2")
    outages, _ = tables(replace(recording, faults=(*recording.faults, twin)))
    assert outages["outage_ns"].nunique() == 1


def test_a_fault_elsewhere_is_not_this_services_unless_nobody_asks_for_that_one(study: Make) -> None:
    recording = study()
    elsewhere = replace(
        recording.faults[0], pods=("default/other-0",), addresses=("10.9.9.9",), services=("default/other",)
    )
    assert only(replace(recording, faults=(elsewhere,)))["failed"] > 0
    asked = replace(recording.requests[0], service="default/other", request=10**6)
    outages, _ = tables(replace(recording, faults=(elsewhere,), requests=(asked, *recording.requests)))
    assert outages["service"].tolist() == ["default/other"]


def test_a_dead_node_is_detected_by_its_own_event(study: Make) -> None:
    recording = study(nodes=("worker-2", "worker-3"), waits=(100 * MS, 200 * MS))
    fault = replace(recording.faults[0], action="node-crash", nodes=("worker-1",))
    lost = ClusterEvent(EPOCH + 23 * S, "node-lifecycle", "NodeNotReady", "Node", "", "worker-1", "worker-1")
    events = tuple(sorted((*recording.events, lost), key=lambda e: e.at_ns))
    row = only(replace(recording, faults=(fault,), events=events))
    assert row["detected_ns"] == 23 * S
    assert row["rules_node"] == "worker-3"


def test_aborted_requests_count_neither_way(study: Make) -> None:
    recording = study()
    cut = tuple(replace(r, outcome="aborted") if r.outcome != "ok" else r for r in recording.requests)
    assert only(replace(recording, requests=cut))["failed"] == 0


def test_slow_and_retried_requests_are_counted(study: Make) -> None:
    recording = study()
    helped = tuple(
        replace(r, outcome="ok", attempts=2, ended_ns=r.started_ns + S) if r.outcome != "ok" else r
        for r in recording.requests
    )
    row = only(replace(recording, requests=helped))
    assert row["failed"] == 0
    assert row["slow"] == row["retried"] > 100


def test_no_faults_and_no_requests_give_empty_tables(study: Make) -> None:
    for recording in (study(faulty=False), replace(study(), requests=())):
        outages, nodes = tables(recording)
        assert outages.empty
        assert list(outages.columns) == list(FAILOVER_TYPES)
        assert list(nodes.columns) == list(NODE_TYPES)


def _random_recording(seed: int) -> Recording:
    """Requests and events with no sense in them at all."""
    rng = random.Random(seed)
    reasons = (
        "PodUnready",
        "PodStatusWritten",
        "EndpointSliceUpdated",
        "EndpointSliceSeen",
        "RulesSynced",
        "NodeNotReady",
    )
    detail = {"service": "default/web", "services": "default/web", "added": "10.0.0.2", "removed": "10.0.0.1",
              "ready": "False", "cost_ns": "1000"}  # fmt: skip
    events = [ClusterEvent(1, "e", "EndpointSliceUpdated", "EndpointSlice", "default", "web-x", "",
                           {"service": "default/web", "added": "10.0.0.1"})]  # fmt: skip
    for _ in range(rng.randrange(40)):
        reason = rng.choice(reasons)
        told = {k: v for k, v in detail.items() if reason != "EndpointSliceUpdated" or k != "ready"}
        at = rng.randrange(2, 100_000)
        events.append(
            ClusterEvent(at, "x", reason, "Pod", "default", "web-0", rng.choice(["n1", "n2"]), told)
        )
    requests = []
    for number in range(rng.randrange(1, 60)):
        at = rng.randrange(1, 100_000)
        outcome = rng.choice(["ok", "ok", "timeout", "refused", "aborted"])
        times = (at, 0, 0, at + rng.randrange(30_000))
        node = rng.choice(["n1", "n2", ""])
        requests.append(
            RequestDone("c", "l", number, number, "default/web", "web", *times, outcome, client_node=node)
        )
    faults = [
        FaultInjected(
            rng.randrange(1, 100_000), f"f-{i}", "pod-kill", ("default/web-0",), (), (), ("10.0.0.1",)
        )
        for i in range(rng.randrange(1, 4))
    ]
    return Recording(1, 0, 200_000, tuple(requests), tuple(events), tuple(faults))


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_stages_add_up_for_random_timelines(seed: int) -> None:
    recording = _random_recording(seed)
    outages, _ = tables(recording)
    for _, row in outages.iterrows():
        assert sum(row[column] for column in STAGE_COLUMNS) == row["outage_ns"]
        assert min(row[column] for column in STAGE_COLUMNS) >= 0
        assert (row["outage_ns"] == 0) or row["failed"] > 0
        if row["failed"]:
            assert row["last_failure_ns"] - row["fault_ns"] == row["outage_ns"]
