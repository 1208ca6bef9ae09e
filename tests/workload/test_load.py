"""Loads: arrivals, users, retries, records; every request ends with exactly one record."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from httplab import Answer, HttpLab, Names, Peer
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.engine import MS, US, S
from netsim.fabric.host import Host
from netsim.fabric.link import Netem
from netsim.kernel.routing import Route, RouteKind
from netsim.kernel.tcp import TcpConnection
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import Flow
from netsim.workload.load import Backend, LoadGenerator, LoadSpec, Numbers
from netsim.workload.load_sources import BUSY_LOOP_NS
from netsim.workload.records import RequestDone
from netsim.workload.retries import RetrySpec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def started(lab: HttpLab) -> list[int]:
    return sorted(record.started_ns - 1 * S for record in lab.records)


def most_at_once(records: list[RequestDone]) -> int:
    """How many requests overlapped."""
    edges = sorted([(r.started_ns, 1) for r in records] + [(r.ended_ns, -1) for r in records])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


# ---------------------------------------------------------------------- the open model


def test_constant_arrivals() -> None:
    lab = HttpLab()
    lab.load(rate_per_s=300.0, start_ns=50 * MS, for_ns=20 * MS)
    lab.run(1 * S)
    assert started(lab) == [50 * MS, 53_333_333, 56_666_667, 60 * MS, 63_333_333, 66_666_667]


def test_constant_arrivals_of_several_clients_interleave() -> None:
    lab = HttpLab()
    for index in range(3):
        lab.load(rate_per_s=100.0, for_ns=20 * MS, index=index, clients=3)
    lab.run(1 * S)
    assert started(lab) == [0, 3_333_333, 6_666_667, 10 * MS, 13_333_333, 16_666_667]


@pytest.mark.parametrize(
    ("epoch_ns", "start_ns", "for_ns", "expected"),
    [
        (None, 0, 2 * MS, [0, 1 * MS]),
        (1 * S, 1 * MS, 2 * MS, [1 * MS, 2 * MS]),
        (2 * S, 0, 2 * MS, [1 * S, 1 * S + 1 * MS]),
        (1 * S - 10 * MS, 0, 12 * MS, [0, 1 * MS]),  # a client that was started late does not make up for it
        (0, 0, 500 * MS, []),
    ],
)
def test_a_load_has_its_time(epoch_ns: int | None, start_ns: int, for_ns: int, expected: list[int]) -> None:
    lab = HttpLab()
    lab.load(epoch_ns=epoch_ns, start_ns=start_ns, for_ns=for_ns)
    lab.run(3 * S)
    assert started(lab) == expected


def poisson(seed: int, name: str = "shop") -> list[int]:
    lab = HttpLab(seed)
    lab.client.ns.add_route(Route(Prefix.host(ip(lab.address)), kind=RouteKind.UNREACHABLE))
    lab.load(name=name, arrivals="poisson", rate_per_s=2000.0, for_ns=2 * S)
    lab.run(2 * S)
    return started(lab)


def test_poisson_arrivals_have_their_rate_and_shape() -> None:
    times = poisson(1)
    assert abs(len(times) - 4000) < 4 * math.sqrt(4000)
    gaps = [b - a for a, b in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation / mean == pytest.approx(1, abs=0.08)
    below = sum(gap < mean for gap in gaps) / len(gaps)
    assert below == pytest.approx(1 - math.exp(-1), abs=0.03)


def test_arrivals_depend_on_seed_and_name_only() -> None:
    assert poisson(1) == poisson(1)
    assert poisson(1) != poisson(2)
    assert poisson(1) != poisson(1, name="other")


def test_arrivals_do_not_wait_for_answers() -> None:
    lab = HttpLab()
    lab.serve(concurrency=1, service_ns=100 * MS)
    lab.load(rate_per_s=100.0, for_ns=100 * MS, timeout_ns=5 * S)
    lab.run(5 * S)
    assert started(lab) == [number * 10 * MS for number in range(10)]
    # Each is answered 100 ms after the one before, but counts from its arrival.
    took = [round((r.ended_ns - r.started_ns) / MS) for r in lab.records]
    assert took == pytest.approx([100 + 90 * number for number in range(10)], abs=2)


def test_waiting_for_a_connection_counts_too() -> None:
    lab = HttpLab()
    lab.serve(service_ns=100 * MS)
    generator = lab.load(rate_per_s=100.0, for_ns=100 * MS, timeout_ns=5 * S, keep_alive=True, connections=2)
    lab.run(5 * S)
    took = [round((r.ended_ns - r.started_ns) / MS) for r in lab.records]
    assert took == pytest.approx([100 + 40 * (number // 2 * 2) for number in range(10)], abs=11)
    assert {r.connection for r in lab.records} == {1, 2}
    assert generator.client.outstanding == 0


# ---------------------------------------------------------------------- the closed model


@given(
    st.integers(1, 5),
    st.integers(0, 20),
    st.booleans(),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([0, 3, 30]),
)
@settings(max_examples=15)
def test_users_wait_for_their_answers(
    users: int, think_ms: int, keep_alive: bool, concurrency: int, service_ms: int
) -> None:
    lab = HttpLab()
    lab.serve(concurrency=concurrency, service_ns=service_ms * MS)
    lab.load(
        model="closed",
        connections=users,
        think_time_ns=think_ms * MS,
        keep_alive=keep_alive,
        timeout_ns=40 * MS,
        for_ns=100 * MS,
    )
    lab.run(1 * S)
    assert lab.records
    assert most_at_once(lab.records) == users
    assert sorted(r.request for r in lab.records) == list(range(1, len(lab.records) + 1))
    assert {r.outcome for r in lab.records} <= {"ok", "timeout"}


def test_users_think() -> None:
    lab = HttpLab()
    lab.serve()
    lab.load(model="closed", connections=1, think_time_ns=10 * MS, for_ns=50 * MS)
    lab.run(1 * S)
    assert len(lab.records) == 5
    for one, other in pairwise(lab.records):
        assert other.started_ns - one.ended_ns == 10 * MS


def test_users_keep_connections_of_their_own() -> None:
    lab = HttpLab()
    lab.serve(service_ns=5 * MS)
    lab.load(model="closed", connections=3, keep_alive=True, for_ns=100 * MS, think_time_ns=1 * MS)
    lab.run(1 * S)
    used = Counter(r.connection for r in lab.records)
    assert set(used) == {1, 2, 3}
    assert max(used.values()) - min(used.values()) <= 1
    assert sum(not r.reused for r in lab.records) == 3
    assert not [c for c in lab.server.ns.sockets.by_key if c.dport == 80], "closed when the load ended"


def test_users_without_a_way_do_not_stop_the_clock() -> None:
    lab = HttpLab()
    lab.client.ns.add_route(Route(Prefix.host(ip(lab.address)), kind=RouteKind.UNREACHABLE))
    lab.load(model="closed", connections=1, for_ns=10 * BUSY_LOOP_NS)
    lab.run(1 * S)
    assert lab.outcomes() == ["unreachable"] * 10


def test_users_whose_name_fails_at_once_do_not_stop_the_clock() -> None:
    lab = HttpLab()
    names = Names(lab.engine, [Answer(error="NXDOMAIN")], delay_ns=0)
    lab.load(names, host="wbe", model="closed", connections=1, think_time_ns=1 * US, for_ns=10 * BUSY_LOOP_NS)
    lab.run(1 * S)
    assert lab.outcomes() == ["dns"] * 10


# ---------------------------------------------------------------------- retries


def test_retries_back_off_and_succeed() -> None:
    lab = HttpLab()
    lab.at(100 * MS, lab.serve)
    lab.load(rate_per_s=1.0, for_ns=1 * MS, retry=RetrySpec(5, 20 * MS))
    lab.run(3 * S)
    (record,) = lab.records
    # Refused at 0, 20 and 60 ms; the third retry, at 140 ms, succeeds.
    assert (record.outcome, record.attempts, record.connection) == ("ok", 4, 4)
    assert record.started_ns == 1 * S
    assert record.connected_ns - record.started_ns == pytest.approx(140 * MS, abs=3 * MS)


@pytest.mark.parametrize(
    ("answer", "attempts", "outcome"),
    [
        (OK, 1, "ok"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 1, "http-error"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 3, "http-error"),
        (b"nonsense\r\n\r\n", 3, "http-error"),
        (b"", 3, "timeout"),
    ],
)
def test_what_is_tried_again(answer: bytes, attempts: int, outcome: str) -> None:
    lab = HttpLab()
    lab.peer(lambda _peer, conn, _data, now: conn.send(answer, now) if answer else None)
    lab.load(rate_per_s=1.0, for_ns=1 * MS, retry=RetrySpec(2), timeout_ns=100 * MS)
    lab.run(3 * S)
    (record,) = lab.records
    assert (record.attempts, record.outcome) == (attempts, outcome)
    if outcome == "timeout":
        assert record.ended_ns - record.started_ns == 300 * MS


def test_a_retry_can_use_a_kept_connection() -> None:
    lab = HttpLab()
    busy = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    lab.peer(lambda peer, conn, _data, now: conn.send(busy if len(peer.data) < 100 else OK, now))
    lab.load(rate_per_s=1.0, for_ns=1 * MS, retry=RetrySpec(2), keep_alive=True)
    lab.run(1 * S)
    (record,) = lab.records
    assert (record.outcome, record.attempts, record.connection, record.reused) == ("ok", 2, 1, True)


# ---------------------------------------------------------------------- records


def test_a_record_in_full() -> None:
    lab = HttpLab()
    lab.serve()
    asked: list[tuple[Host, str, Flow | None]] = []

    def where(host: Host, name: str, flow: Flow | None) -> Backend:
        asked.append((host, name, flow))
        return Backend("default/web", "10.244.2.5:80", "default/web-1", "n2")

    names = Names(lab.engine, [Answer((ip(lab.address),))])
    lab.load(names, where=where, host="web", rate_per_s=1.0, for_ns=1 * MS, timeout_ns=500 * MS)
    lab.run(1 * S)
    (r,) = lab.records
    assert (r.client, r.client_node, r.load, r.host) == ("default/client", "n1", "shop", "web")
    assert (r.request, r.connection, r.attempts, r.reused) == (1, 1, 1, False)
    assert (r.service, r.endpoint, r.pod, r.node) == ("default/web", "10.244.2.5:80", "default/web-1", "n2")
    assert r.started_ns < r.resolved_ns < r.connected_ns < r.ended_ns
    assert (r.outcome, r.status, r.error) == ("ok", 200, "")
    (call,) = asked
    assert call[:2] == (lab.client, "web")
    assert call[2] is not None
    assert call[2].dst == ip(lab.address)


@pytest.mark.parametrize(("keep_alive", "times"), [(True, 1), (False, 5)])
def test_a_backend_is_looked_up_once_per_connection(keep_alive: bool, times: int) -> None:
    lab = HttpLab()
    lab.serve()
    asked: list[Flow | None] = []

    def where(_host: Host, _name: str, flow: Flow | None) -> Backend:
        asked.append(flow)
        return Backend("s", str(len(asked)))

    lab.load(where=where, rate_per_s=100.0, for_ns=50 * MS, keep_alive=keep_alive)
    lab.run(1 * S)
    assert len(asked) == times
    assert {r.connection: r.endpoint for r in lab.records} == {n: str(n) for n in range(1, times + 1)}


def test_a_request_without_a_connection_has_no_flow() -> None:
    lab = HttpLab()
    names = Names(lab.engine, [Answer(error="SERVFAIL")])
    lab.load(
        names,
        host="web",
        where=lambda _h, name, flow: Backend(name, str(flow)),
        rate_per_s=1.0,
        for_ns=1 * MS,
    )
    lab.run(1 * S)
    (record,) = lab.records
    assert (record.service, record.endpoint, record.connection) == ("web", "None", 0)


def test_generators_can_share_numbers() -> None:
    lab = HttpLab()
    lab.serve()
    numbers = Numbers()
    for index in range(2):
        lab.load(name=f"load-{index}", rate_per_s=100.0, for_ns=50 * MS, numbers=numbers)
    lab.run(1 * S)
    assert sorted(r.request for r in lab.records) == list(range(1, 11))
    assert sorted(r.connection for r in lab.records) == list(range(1, 11))


def test_nobody_has_to_listen() -> None:
    lab = HttpLab()
    server = lab.serve()
    lab.engine.bus.topic(RequestDone).clear()
    lab.load(for_ns=10 * MS)
    lab.run(1 * S)
    assert server.answered == 10


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"rate_per_s": 0.0}, "load shop: an open load needs a rate above 0"),
        ({"model": "closed"}, "load shop: a closed load needs at least one connection per client"),
    ],
)
def test_loads_that_cannot_be(spec: dict[str, Any], message: str) -> None:
    lab = HttpLab()
    with pytest.raises(ValueError, match=message):
        LoadGenerator(lab.client, LoadSpec("shop", "web", **spec))


# ---------------------------------------------------------------------- the end


def slow(lab: HttpLab, **spec: Any) -> LoadGenerator:
    """A load with three requests under way 250 ms after its beginning."""
    lab.serve(service_ns=300 * MS)
    generator = lab.load(**({"rate_per_s": 10.0} | spec))
    lab.run(250 * MS)
    return generator


@pytest.mark.parametrize("spec", [{}, {"keep_alive": True}, {"model": "closed", "connections": 3}])
def test_stop_cuts_requests_off(spec: dict[str, Any]) -> None:
    lab = HttpLab()
    generator = slow(lab, **spec)
    generator.stop(lab.now)
    generator.stop(lab.now)
    lab.run(3 * S)
    assert lab.outcomes() == ["aborted"] * 3
    assert {(r.ended_ns, r.error) for r in lab.records} == {(1250 * MS, "the load was stopped")}
    assert not lab.exits


def test_stop_cuts_a_retry_off() -> None:
    lab = HttpLab()
    generator = lab.load(rate_per_s=1.0, retry=RetrySpec(3, 500 * MS))
    lab.run(100 * MS)
    assert not lab.records
    generator.stop(lab.now)
    lab.run(3 * S)
    (record,) = lab.records
    assert (record.outcome, record.ended_ns, record.attempts) == ("aborted", 1100 * MS, 1)


@pytest.mark.parametrize("spec", [{}, {"keep_alive": True}, {"model": "closed", "connections": 3}])
def test_sigterm_lets_requests_end(spec: dict[str, Any]) -> None:
    lab = HttpLab()
    generator = slow(lab, **spec)
    generator.terminate(lab.now)
    assert not lab.exits
    lab.run(3 * S)
    assert lab.outcomes() == ["ok"] * 3
    assert lab.exits == [(0, lab.records[-1].ended_ns)]
    assert not [key for key in lab.server.ns.sockets.by_key if key.dport == 80]
    generator.kill(lab.now)
    assert len(lab.exits) == 1


def test_sigterm_lets_retries_end() -> None:
    lab = HttpLab()
    lab.at(100 * MS, lab.serve)
    generator = lab.load(rate_per_s=1.0, retry=RetrySpec(1, 200 * MS))
    lab.run(50 * MS)
    generator.terminate(lab.now)
    assert not lab.exits
    lab.run(1 * S)
    assert lab.outcomes() == ["ok"]
    assert lab.exits == [(0, lab.records[0].ended_ns)]


def test_sigterm_of_an_idle_load() -> None:
    lab = HttpLab()
    generator = lab.load(start_ns=5 * S)
    generator.terminate(lab.now)
    lab.run(10 * S)
    assert (lab.exits, lab.records) == ([(0, 1 * S)], [])


def test_sigkill() -> None:
    lab = HttpLab()
    generator = slow(lab)
    generator.kill(lab.now)
    generator.kill(lab.now)
    lab.run(3 * S)
    assert lab.outcomes() == ["aborted"] * 3
    assert lab.exits == [(137, 1250 * MS)]


def test_a_dead_client_asks_no_more() -> None:
    lab = HttpLab()
    slow(lab)
    lab.client.die()
    lab.run(3 * S)
    assert lab.outcomes() == ["aborted"] * 3
    assert {r.error for r in lab.records} == {"the client's host is down"}


# ---------------------------------------------------------------------- whatever happens


def nothing(_lab: HttpLab, _server: Any) -> None:
    """All is well."""


def kill(lab: HttpLab, server: Any) -> None:
    server.kill(lab.now)
    lab.at(20 * MS, lab.serve)


def terminate(lab: HttpLab, server: Any) -> None:
    server.terminate(lab.now)


def hang(lab: HttpLab, server: Any) -> None:
    server.hang(lab.now)
    lab.at(60 * MS, lambda: server.resume(lab.now))


def die(lab: HttpLab, _server: Any) -> None:
    lab.server.die()


def client_dies(lab: HttpLab, _server: Any) -> None:
    lab.client.die()


def vanish(lab: HttpLab, _server: Any) -> None:
    lab.fabric.remove_pod(lab.server)  # type: ignore[arg-type]


def lossy(lab: HttpLab, _server: Any) -> None:
    lab.fabric.set_netem(lab.fabric.cables["default/web:eth0"], Netem(loss=0.3, duplicate=0.05, reorder=0.05))


def cut(lab: HttpLab, _server: Any) -> None:
    lab.fabric.set_cable(lab.fabric.cables["default/web:eth0"], up=False)


@given(
    model=st.sampled_from(["open", "closed"]),
    keep_alive=st.booleans(),
    connections=st.integers(1, 4),
    retries=st.integers(0, 2),
    resolve=st.sampled_from(["connection", "once", "request"]),
    concurrency=st.integers(0, 2),
    service_ms=st.sampled_from([0, 4, 40]),
    fault=st.sampled_from([nothing, kill, terminate, hang, die, client_dies, vanish, lossy, cut]),
    end=st.sampled_from(["stop", "terminate", "kill", "for"]),
)
@settings(max_examples=60)
def test_every_request_ends_with_exactly_one_record(
    *,
    model: str,
    keep_alive: bool,
    connections: int,
    retries: int,
    resolve: str,
    concurrency: int,
    service_ms: int,
    fault: Callable[[HttpLab, Any], None],
    end: str,
) -> None:
    lab = HttpLab()
    names = Names(
        lab.engine, [Answer((ip(lab.address),)), Answer(error="SERVFAIL"), Answer((ip(lab.address),))]
    )
    server = lab.serve(concurrency=concurrency, service_ns=service_ms * MS)
    numbers = Numbers()
    generator = lab.load(
        names,
        host="web",
        model=model,
        rate_per_s=200.0,
        arrivals="poisson",
        keep_alive=keep_alive,
        connections=connections,
        think_time_ns=1 * MS,
        retry=RetrySpec(retries, 3 * MS),
        resolve=resolve,
        timeout_ns=50 * MS,
        for_ns=150 * MS if end == "for" else None,
        numbers=numbers,
    )
    lab.at(50 * MS, fault, lab, server)
    lab.run(150 * MS)
    if end != "for":
        getattr(generator, end)(lab.now)
    lab.run(3 * S)
    begun = next(numbers.requests) - 1
    assert sorted(r.request for r in lab.records) == list(range(1, begun + 1))
    assert begun > 0
    assert generator.client.outstanding == 0
    for r in lab.records:
        assert r.started_ns <= r.ended_ns
        assert r.attempts <= retries + 1
        assert (r.outcome == "ok") == (200 <= r.status < 400)
        limit = 50 * MS * r.attempts + 3 * MS * (2 ** (r.attempts - 1) - 1)
        assert r.ended_ns - r.started_ns <= limit or r.outcome == "aborted"
    if model == "closed" and retries == 0:
        assert most_at_once(lab.records) <= connections
    if end in ("terminate", "kill") and fault is not client_dies:
        assert len(lab.exits) == 1 + (fault in (kill, terminate))


def test_a_load_is_the_same_every_time() -> None:
    def run() -> list[RequestDone]:
        lab = HttpLab(7)
        lab.serve(service_ns=2 * MS, distribution="exponential")
        lab.load(arrivals="poisson", for_ns=200 * MS)
        lab.run(1 * S)
        return lab.records

    assert run() == run()


def closing(_peer: Peer, conn: TcpConnection, _data: bytes, now: int) -> None:
    conn.close(now)


def test_a_server_that_only_closes() -> None:
    lab = HttpLab()
    lab.peer(closing)
    lab.load(for_ns=10 * MS, keep_alive=True)
    lab.run(1 * S)
    assert lab.outcomes() == ["reset"] * 10
