"""kube-proxy's health: when it counts as healthy, and what its pages say. Requests over the network: tests/system."""

from typing import Any

import pytest
from clusterlab import FakeNamespace

from netsim.cluster.proxy_health import ProxyHealth
from netsim.dataplane.service_table import Endpoint, ServiceName, ServicePort, ServicePortName, ServiceTable
from netsim.engine import S
from netsim.wire.addr import ip

NAME = ServiceName("default", "web")


def table(*endpoints: Endpoint) -> ServiceTable:
    port = ServicePort(ServicePortName("default", "web", ""), ip("10.96.0.9"), 80, endpoints=endpoints)
    return ServiceTable([port])


def health(eligible: bool = True) -> ProxyHealth:
    namespace: Any = FakeNamespace()
    return ProxyHealth(namespace, "n1", 60 * S, lambda: eligible)


def test_healthy_while_starting_and_until_a_change_waits_too_long() -> None:
    it = health()
    it.queued(1 * S)
    assert it.healthy(100 * S)  # starting up: nothing has been written yet
    it.synced(table(), {}, 100 * S)
    assert it.healthy(10_000 * S)
    it.queued(200 * S)
    it.queued(230 * S)  # the oldest counts
    assert it.healthy(260 * S - 1)
    assert not it.healthy(260 * S)
    it.synced(table(), {}, 270 * S)
    assert it.healthy(270 * S)


@pytest.mark.parametrize(
    ("path", "eligible", "late", "status"),
    [
        ("/healthz", True, False, 200),
        ("/healthz", True, True, 503),
        ("/healthz", False, False, 503),
        ("/livez", False, False, 200),
        ("/livez", True, True, 503),
        ("/metrics", True, False, 404),
    ],
)
def test_pages(path: str, eligible: bool, late: bool, status: int) -> None:
    it = health(eligible)
    it.synced(table(), {}, 1 * S)
    it.queued(2 * S)
    now = 100 * S if late else 3 * S
    found, _, body = it._healthz(path, now)
    assert found == status
    assert (b"nodeEligible" in body) == (path == "/healthz")
    if status == 503 and late:
        assert b"1970-01-01T00:00:01" in body  # when the rules were last right


@pytest.mark.parametrize(
    ("endpoint", "count"),
    [
        (Endpoint(ip("10.244.0.2"), 80, "n1"), 1),
        (Endpoint(ip("10.244.0.2"), 80, "n2"), 0),
        (Endpoint(ip("10.244.0.2"), 80, "n1", ready=False), 0),
        (Endpoint(ip("10.244.0.2"), 80, "n1", ready=False, serving=True, terminating=True), 0),
    ],
)
def test_only_ready_local_endpoints_count(endpoint: Endpoint, count: int) -> None:
    it = health()
    it.synced(table(endpoint), {NAME: 31000}, 1 * S)
    server = it._services[NAME]
    assert server.count == count
    status, headers, _ = server._page("/", 2 * S)
    assert status == (200 if count else 503)
    assert ("X-Load-Balancing-Endpoint-Weight", str(count)) in headers
    it.synced(table(endpoint), {}, 3 * S)
    assert it._services == {}
