"""A load's client: presets below the file's own fields, and what becomes of the fields in the workload."""

from typing import Any

import pytest

from netsim.engine import MS, S
from netsim.experiment.client_presets import PRESETS
from netsim.experiment.play import load_spec
from netsim.experiment.spec_experiment import Load
from netsim.workload.http_pool import PoolSpec
from netsim.workload.load import LoadSpec
from netsim.workload.retries import RetrySpec

BASE = {"name": "x", "from": {"run": "client"}, "to": "http://web/", "rate": "1/s"}


def spec(**fields: Any) -> LoadSpec:
    return load_spec(Load.model_validate({**BASE, **fields}), 1)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        # (time-out, connect time-out, kept, max idle, idle time-out, replaces dead ones, resolve)
        ("curl", (0, 300 * S, False, 0, 0, True, "connection")),
        ("go-http", (0, 30 * S, True, 2, 90 * S, True, "connection")),
        ("python-requests", (0, 0, True, 10, 0, False, "connection")),
        ("java-httpurlconnection", (0, 0, True, 5, 5 * S, True, "connection")),
        ("node-fetch", (300 * S, 10 * S, True, 0, 4 * S, True, "connection")),
        ("nginx-upstream", (60 * S, 60 * S, False, 0, 0, True, "once")),
    ],
)
def test_presets(client: str, expected: tuple[Any, ...]) -> None:
    s = spec(client=client)
    pool = s.pool
    found = (
        s.timeout_ns,
        s.connect_timeout_ns,
        s.keep_alive,
        pool.max_idle,
        pool.idle_timeout_ns,
        pool.replace,
        s.resolve,
    )
    assert found == expected
    assert s.retry.limit == 0
    assert s.user_timeout_ns == 0
    assert s.keepalive == ((30 * S, 15 * S, 9) if client == "go-http" else None)


def test_every_preset_is_tested_and_known() -> None:
    assert set(PRESETS) == set(Load.model_fields["client"].annotation.__args__[0].__args__)  # type: ignore[union-attr]
    assert Load.model_validate({**BASE, "client": "java-httpurlconnection"}).dnsCache == "jvm"


def test_the_file_stands_above_the_preset() -> None:
    s = spec(client="go-http", timeout="2s", pool={"maxIdle": 50}, keepAlive=True)
    assert (s.timeout_ns, s.connect_timeout_ns) == (2 * S, 30 * S)
    assert s.pool == PoolSpec(50, 90 * S)  # a section is filled up, field by field


def test_all_the_fields() -> None:
    s = spec(
        timeout="none",
        connectTimeout="250ms",
        keepAlive=True,
        pool={"maxIdle": 3, "idleTimeout": "4s", "maxRequests": 5, "maxAge": "6s", "replaceDead": False},
        retries=7,
        retryBackoff="10ms",
        retryPolicy={
            "backoff": "constant",
            "maxBackoff": "1s",
            "jitter": "equal",
            "on": ["connect", "timeout"],
            "nonIdempotent": True,
            "throttling": {"maxTokens": 4, "tokenRatio": 0.5},
        },
        tcpKeepalive={"time": "20s", "probes": 2},
        tcpUserTimeout="30s",
    )
    assert (s.timeout_ns, s.connect_timeout_ns) == (0, 250 * MS)
    assert s.pool == PoolSpec(3, 4 * S, 5, 6 * S, False)
    assert s.retry == RetrySpec(
        7, 10 * MS, "constant", 1 * S, "equal", frozenset({"connect", "timeout"}), True, 4, 0.5
    )
    assert (s.keepalive, s.user_timeout_ns) == ((20 * S, 0, 2), 30 * S)
    client = s.client()
    assert (client.pool, client.keepalive, client.user_timeout_ns) == (s.pool, s.keepalive, s.user_timeout_ns)
    assert client.connect_timeout_ns == 250 * MS


@pytest.mark.parametrize("client", [None, *PRESETS])
def test_what_is_written_can_be_read_again(client: str | None) -> None:
    load = Load.model_validate({**BASE, "client": client, "tcpUserTimeout": "5s"})
    assert Load.model_validate(load.model_dump(mode="json", by_alias=True)) == load
