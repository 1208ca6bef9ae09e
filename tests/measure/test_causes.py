"""Causes of failed requests, from hand-written events: one case per row of the two tables in `causes`."""

from typing import Any, Final

import pandas as pd
import pytest

from netsim.cluster.records import ClusterEvent
from netsim.engine import MS, S
from netsim.measure.cause_words import cause_lines, cause_overview, causes_frame, words
from netsim.measure.causes import failed_requests
from netsim.measure.collect import Recording
from netsim.measure.frames import events_frame, requests_frame
from netsim.workload.records import FaultInjected, RequestDone

WEB: Final = "default/web"
POD, NODE, IP = "default/web-a", "worker-1", "10.244.1.2"
OTHER: Final = "10.244.2.2"


def event(at_s: float, reason: str, name: str = "web-a", node: str = NODE, **detail: str) -> ClusterEvent:
    kind = "Pod" if reason.startswith(("Pod", "Container")) else "Node"
    return ClusterEvent(int(at_s * S), "test", reason, kind, "default", name, node, detail)


def endpoints(
    at_s: float, *ready: str, synced_s: float | None = None, node: str = "clients"
) -> list[ClusterEvent]:
    """The slice changes; the client's node sees it 10 ms later and has rules at `synced_s`."""
    updated = event(
        at_s, "EndpointSliceUpdated", "web-1", "", service=WEB, ready=",".join(ready), added="", removed=""
    )
    if synced_s is None:
        return [updated]
    seen = event(at_s + 0.01, "EndpointSliceSeen", "web-1", node, services=WEB)
    synced = event(synced_s, "RulesSynced", node, node, services=WEB, cost_ns=str(MS), full="False")
    return [updated, seen, synced]


def born() -> list[ClusterEvent]:
    """A pod that has been running and ready for long, in everybody's rules."""
    return [
        event(-9, "ContainerStarted", pod_ip=IP),
        event(-8, "PodReady", pod_ip=IP),
        *endpoints(-7, IP, OTHER, synced_s=-6.9),
    ]


def fault(at_s: float, action: str, for_s: float = 0, **what: tuple[str, ...]) -> FaultInjected:
    at = int(at_s * S)
    return FaultInjected(at, f"{action}-1", action, until_ns=at + int(for_s * S) if for_s else 0, **what)


def asked(outcome: Any, at_s: float = 10.0, takes_s: float = 0.001, **fields: Any) -> RequestDone:
    at = int(at_s * S)
    given = {
        "endpoint": f"{IP}:80",
        "pod": POD,
        "node": NODE,
        "connection": 1,
        "service": WEB,
        "client_node": "clients",
        **fields,
    }
    return RequestDone(
        client="default/client", load="shop", request=given.pop("request", 1), host="web", started_ns=at,
        resolved_ns=at + MS // 10, connected_ns=0, ended_ns=at + int(takes_s * S), outcome=outcome, **given,
    )  # fmt: skip


def judged(
    *requests: RequestDone, events: list[ClusterEvent], faults: tuple[FaultInjected, ...] = ()
) -> pd.DataFrame:
    recording = Recording(0, 0, 60 * S, tuple(requests), tuple(sorted(events, key=lambda e: e.at_ns)), faults)
    return failed_requests(requests_frame([recording]), events_frame([recording]))


GOING: Final = [*born(), event(9.9, "PodTerminating", pod_ip=IP), event(9.95, "ContainerDied", exit_code="0")]
DEAD: Final = [*born(), event(9.9, "ContainerDied", exit_code="137")]


@pytest.mark.parametrize(
    ("request_", "events", "faults", "endpoint", "rules"),
    [
        pytest.param(asked("refused"), GOING, (), "terminating", "before", id="terminating"),
        pytest.param(asked("reset"), GOING, (), "terminating", "before", id="cut off"),
        pytest.param(
            asked("timeout", takes_s=1),
            [*GOING, event(9.99, "PodDeleted", pod_ip=IP)],
            (),
            "terminating",
            "before",
            id="gone",
        ),
        pytest.param(
            asked("refused"),
            [*GOING, *endpoints(9.91, synced_s=9.95)],
            (),
            "terminating",
            "fallback",
            id="last one",
        ),
        pytest.param(
            asked("refused"),
            [*GOING, *endpoints(9.91, OTHER, synced_s=9.98)],
            (),
            "terminating",
            "after",
            id="in flight",
        ),
        pytest.param(
            asked("timeout", 30, 1),
            [*GOING, *endpoints(9.91, OTHER, synced_s=10.1)],
            (),
            "terminating",
            "pinned",
            id="conntrack",
        ),
        pytest.param(asked("refused"), DEAD, (), "crashed", "before", id="crashed"),
        pytest.param(
            asked("refused"),
            [*DEAD, event(9.95, "ContainerStarted", pod_ip=IP)],
            (),
            "not-listening",
            "",
            id="restarted, ready without having been asked",
        ),
        pytest.param(
            asked("refused"),
            [*DEAD, event(9.92, "PodUnready", pod_ip=IP), event(9.95, "ContainerStarted", pod_ip=IP)],
            (),
            "not-ready",
            "before",
            id="not ready yet",
        ),
        pytest.param(
            asked("timeout", takes_s=1),
            born(),
            (fault(5, "node-crash", nodes=(NODE,)),),
            "node-down",
            "before",
            id="node",
        ),
        pytest.param(
            asked("timeout", takes_s=1),
            born(),
            (fault(5, "link-down", 20, links=(f"{NODE}:eth0",)),),
            "cut-off",
            "before",
            id="cable",
        ),
        pytest.param(
            asked("timeout", takes_s=1),
            born(),
            (fault(5, "link-down", 2, links=(f"{NODE}:eth0",)),),
            "well",
            "",
            id="cable, plugged in again",
        ),
        pytest.param(
            asked("timeout", takes_s=1),
            born(),
            (fault(5, "partition", 20, pods=(POD,)),),
            "cut-off",
            "before",
            id="partition",
        ),
        pytest.param(
            asked("timeout", takes_s=1),
            born(),
            (fault(5, "pod-hang", pods=(POD,)),),
            "hung",
            "before",
            id="hang",
        ),
        pytest.param(
            asked("timeout", takes_s=1),
            born(),
            (fault(5, "link-netem", links=(f"{NODE}:eth0",)),),
            "impaired",
            "",
            id="netem",
        ),
        pytest.param(asked("timeout", takes_s=1), born(), (), "well", "", id="too slow"),
        pytest.param(asked("http-error", status=503), born(), (), "well", "", id="503"),
        pytest.param(
            asked("refused", endpoint="", pod="", node=""),
            [*born(), *endpoints(9, synced_s=9.1)],
            (),
            "no-endpoints",
            "",
            id="no endpoints",
        ),
        pytest.param(
            asked("dns", endpoint="", pod="", node="", connection=0, error="NXDOMAIN"),
            born(),
            (),
            "name-not-found",
            "",
            id="no name",
        ),
        pytest.param(
            asked(
                "timeout", takes_s=1, endpoint="", connection=0, error="timed out while looking up the name"
            ),
            born(),
            (),
            "no-name-server",
            "",
            id="no name server",
        ),
        pytest.param(asked("timeout", endpoint="", pod="", node=""), born(), (), "unknown", "", id="unknown"),
        pytest.param(
            asked("refused"),
            [*GOING, *endpoints(9.91, OTHER)],
            (fault(5, "kube-proxy-stop", nodes=("clients",)),),
            "terminating",
            "stale",
            id="kube-proxy stopped",
        ),
        pytest.param(
            asked("refused"),
            [*GOING, *endpoints(9.91, OTHER)],
            (fault(5, "api-cut", nodes=("elsewhere",)),),
            "terminating",
            "before",
            id="another node cut off",
        ),
    ],
)
def test_cause(
    request_: RequestDone,
    events: list[ClusterEvent],
    faults: tuple[FaultInjected, ...],
    endpoint: str,
    rules: str,
) -> None:
    found = judged(request_, events=events, faults=faults).iloc[0]
    assert (found["endpoint"], found["rules"]) == (endpoint, rules)
    assert found["error"] == request_.outcome
    assert found["node"] == "clients"


def test_a_connection_from_before_is_kept() -> None:
    early = asked("ok", 5)
    late = asked("timeout", 30, 1, request=2, reused=True)
    found = judged(early, late, events=[*GOING, *endpoints(9.91, OTHER, synced_s=10.1)]).iloc[0]
    assert (found["endpoint"], found["rules"]) == ("terminating", "kept")


def test_success_and_the_end_of_the_run_are_no_failures() -> None:
    assert judged(asked("ok"), asked("aborted", request=2), events=born()).empty


def test_counts_and_words() -> None:
    many = [asked("refused", 10 + n / 1000, request=n) for n in range(34)]
    failed = judged(*many, asked("http-error", 20, request=99, status=500), events=GOING)
    causes = causes_frame(failed)
    assert causes["requests"].tolist() == [34, 1]
    assert causes["words"].tolist() == [
        "refused by a pod that was terminating, before clients' rules changed",
        "an error from a pod that was well",
    ]
    assert causes["first_ns"].iloc[0] == 10 * S
    lines = cause_lines(causes)
    assert lines[0] == "Why requests failed"
    assert lines[2].split(maxsplit=1) == ["34", causes["words"].iloc[0]]
    assert cause_lines(causes.iloc[:0]) == []
    assert cause_overview({"a": causes, "b": causes.iloc[:0]})[2].split()[:2] == ["a", "34"]
    assert cause_overview({"b": causes.iloc[:0]}) == []


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (
            ("refused", "terminating", "before", ["worker-2"]),
            "refused by a pod that was terminating, before worker-2's rules changed",
        ),
        (
            ("timeout", "crashed", "stale", ["n"], "kube-proxy stopped"),
            "no answer from a pod whose process had died, by stale rules on n (kube-proxy stopped)",
        ),
        (("refused", "no-endpoints", "", ["a", "b"]), "refused: no ready endpoint in the nodes' rules"),
        (
            ("reset", "terminating", "kept", ["n"]),
            "cut off by a pod that was terminating, on a connection that was opened before n's rules changed",
        ),
    ],
)
def test_words(cause: tuple[Any, ...], text: str) -> None:
    assert words(*cause) == text
