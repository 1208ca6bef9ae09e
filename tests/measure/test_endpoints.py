"""Endpoint sets over time, node by node, and reading the events table."""

import pytest

from netsim.measure.endpoints import EndpointHistory, pods_by_address
from netsim.measure.events import Event, address_of, find_service, service_id

WEB = "default/web"


def slice_event(t_ns: int, name: str = "web-x", **detail: str) -> Event:
    return Event(t_ns, "EndpointSliceUpdated", "default", name, "", {"service": WEB, **detail})


def seen(t_ns: int, node: str) -> Event:
    return Event(t_ns, "EndpointSliceSeen", "default", "web-x", node, {"services": WEB})


def synced(t_ns: int, node: str, cost_ns: int = 0, **detail: str) -> Event:
    return Event(t_ns, "RulesSynced", "", node, node, {"services": WEB, "cost_ns": str(cost_ns), **detail})


def sets(history: EndpointHistory, node: str) -> list[tuple[int, str]]:
    return [(p.start_ns, " ".join(p.addresses)) for p in history.periods(node)]


def test_rules_follow_when_they_are_synced_not_when_slices_change() -> None:
    events = [
        slice_event(10, added="a,b"), seen(12, "n1"), seen(15, "n2"), synced(20, "n1"), synced(25, "n2"),
        slice_event(100, removed="a", added="c"), seen(103, "n1"), seen(104, "n2"), synced(150, "n2", 20),
    ]  # fmt: skip
    history = EndpointHistory(events, WEB)
    assert sets(history, "n1") == [(20, "a b")]
    assert sets(history, "n2") == [(25, "a b"), (150, "b c")]
    assert sets(history, "outside") == [(10, "a b"), (100, "b c")]


def test_a_sync_that_was_already_running_holds_the_old_set() -> None:
    events = [slice_event(10, added="a,b"), seen(12, "n"), synced(20, "n"), slice_event(100, removed="a"),
              seen(103, "n"), synced(110, "n", cost_ns=8), synced(160, "n", cost_ns=8)]  # fmt: skip
    assert sets(EndpointHistory(events, WEB), "n") == [(20, "a b"), (160, "b")]


def test_a_restarted_proxy_lists_everything_without_a_watch() -> None:
    events = [slice_event(10, added="a,b"), seen(12, "n"), synced(20, "n"), slice_event(100, removed="a"),
              synced(500, "n", full="True")]  # fmt: skip
    assert sets(EndpointHistory(events, WEB), "n") == [(20, "a b"), (500, "b")]


def test_several_slices_add_up_and_ready_lists_replace() -> None:
    events = [
        slice_event(1, "x", ready="a,b"),
        slice_event(2, "y", ready="c"),
        slice_event(3, "x", ready="b"),
    ]
    assert sets(EndpointHistory(events, WEB), "") == [(1, "a b"), (2, "a b c"), (3, "b c")]


def test_other_services_and_silence() -> None:
    history = EndpointHistory([slice_event(1, added="a")], "default/other")
    assert not history.known
    assert history.periods("n") == []
    assert history.committed() == ()


def test_pods_by_address_keeps_the_latest_holder() -> None:
    events = [Event(t, "PodReady", "default", f"web-{t}", "n1", {"pod_ip": "10.0.0.1"}) for t in (1, 2)]
    assert pods_by_address(events) == {"10.0.0.1": ("default/web-2", "n1")}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:80", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("[fd00::1]:80", "fd00::1"),
        ("fd00::1", "fd00::1"),
        ("", ""),
    ],
)
def test_address_of(text: str, address: str) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    ("text", "namespace", "full"),
    [
        ("web", "", "default/web"),
        ("web", "shop", "shop/web"),
        ("shop/web", "", "shop/web"),
        ("a/web:http", "", "a/web"),
    ],
)
def test_service_id(text: str, namespace: str, full: str) -> None:
    assert service_id(text, namespace) == full


def test_find_service_prefers_default_and_refuses_to_guess() -> None:
    assert find_service("web", ["a/web", "default/web"]) == "default/web"
    assert find_service("b/web", ["a/web", "b/web"]) == "b/web"
    for text, known, said in (
        ("web", ["a/web", "b/web"], "ambiguous: write one of a/web, b/web"),
        ("wob", ["a/web"], "there are a/web"),
        ("web", [], "no Service was asked"),
    ):
        with pytest.raises(KeyError, match=said):
            find_service(text, known)
