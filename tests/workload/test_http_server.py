"""The HTTP server: what it answers, in which order and when, how it hangs, drains and dies."""

import random
from itertools import pairwise

import pytest
from httplab import HttpLab, Peer
from hypothesis import given
from hypothesis import strategies as st

from netsim.engine import MS, Engine, S
from netsim.fabric.http_messages import HttpResponse, Messages
from netsim.kernel.tcp import TcpConnection
from netsim.workload.http import WELCOME, Site

GET = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"


def asking(*requests: bytes, every_ns: int = 0) -> tuple[HttpLab, Peer]:
    """A lab with a hand-written client that will send these requests once it is connected."""
    lab = HttpLab()
    lab.serve()
    peer = lab.connect()
    lab.run(1 * MS)
    for number, request in enumerate(requests):
        lab.at(number * every_ns + 1, send, lab, peer, request)
    return lab, peer


def send(lab: HttpLab, peer: Peer, data: bytes) -> None:
    peer.conns[0].send(data, lab.now)


def responses(data: bytes) -> list[HttpResponse]:
    found = []
    while data:
        response = Messages().read_response(data)
        assert response is not None
        found.append(response)
        data = response.rest
    return found


def header(response: HttpResponse, name: str) -> str:
    return dict(response.headers)[name]


# ---------------------------------------------------------------------- answers


def test_the_welcome_page_has_its_well_known_length() -> None:
    assert len(WELCOME) == 615
    assert len(Site("nginx", "").error(404).body) == 153


@pytest.mark.parametrize(
    ("image", "server"),
    [
        ("nginx", "nginx/1.25.5"),
        ("nginx:1.14.2", "nginx/1.14.2"),
        ("docker.io/library/nginx:1.27.3-alpine", "nginx/1.27.3"),
        ("registry:5000/nginx:latest@sha256:00", "nginx/1.25.5"),
        ("nginx-unprivileged:stable", "nginx/1.25.5"),
        ("example/auth:1.2.3", "netsim"),
    ],
)
def test_the_server_header_tells_the_image(image: str, server: str) -> None:
    assert Site(image, "web-1").server == server


@pytest.mark.parametrize(
    ("image", "size", "method", "target", "status", "body"),
    [
        ("nginx", None, "GET", "/", 200, WELCOME),
        ("nginx", None, "GET", "/index.html?a=b", 200, WELCOME),
        ("nginx", None, "GET", "/healthz", 200, b"ok"),
        ("nginx", None, "GET", "/nothing", 404, Site("nginx", "").error(404).body),
        ("nginx", None, "POST", "/", 405, Site("nginx", "").error(405).body),
        ("nginx", 5, "POST", "/nothing", 200, b"xxxxx"),
        ("nginx", 0, "GET", "/", 200, b""),
        ("auth", None, "GET", "/users", 200, b"Hostname: web-1\n"),
        ("auth", None, "POST", "/users", 200, b"Hostname: web-1\n"),
        ("auth", None, "GET", "/healthz", 200, b"ok"),
    ],
)
def test_what_is_answered(
    image: str, size: int | None, method: str, target: str, status: int, body: bytes
) -> None:
    answer = Site(image, "web-1", size).answer(method, target)
    assert (answer.status, answer.body) == (status, body)


def test_a_response_on_the_wire() -> None:
    lab, peer = asking(GET)
    lab.run(1 * S)
    assert peer.data == (
        b"HTTP/1.1 200 OK\r\nServer: nginx/1.25.5\r\nContent-Type: text/html\r\nContent-Length: 615\r\n\r\n"
        + WELCOME
    )


def test_head_has_the_length_but_no_body() -> None:
    lab, peer = asking(GET.replace(b"GET", b"HEAD"))
    lab.run(1 * S)
    assert peer.data.endswith(b"Content-Length: 615\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "closes"),
    [
        (GET, False),
        (GET.replace(b"Host", b"Connection: close\r\nHost"), True),
        (GET.replace(b"1.1", b"1.0"), True),
    ],
)
def test_the_server_closes_when_asked_to(request_: bytes, closes: bool) -> None:
    lab, peer = asking(request_)
    lab.run(1 * S)
    (response,) = responses(peer.data)
    assert response.close is closes
    assert ("peer_closed" in peer.told) is closes


@pytest.mark.parametrize(
    ("data", "status"), [(b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nA: " + b"x" * 17000, 431)]
)
def test_what_is_no_http_is_refused(data: bytes, status: int) -> None:
    lab, peer = asking(data)
    lab.run(1 * S)
    (response,) = responses(peer.data)
    assert (response.status, response.close) == (status, True)
    assert peer.told == ["connected", "peer_closed", "closed"]


def test_a_refused_piece_of_a_pipeline() -> None:
    lab, peer = asking(GET + b"nonsense\r\n\r\n")
    lab.run(1 * S)
    assert [response.status for response in responses(peer.data)] == [200, 400]


@given(st.integers(1, 5), st.lists(st.integers(1, 500), max_size=4), st.sampled_from([0, 3 * MS]))
def test_pipelined_requests_are_answered_in_order(number: int, places: list[int], service_ns: int) -> None:
    """However they are cut into segments."""
    lab = HttpLab()
    lab.serve(image="app", service_ns=service_ns)
    peer = lab.connect()
    lab.run(1 * MS)
    data = b"".join(
        b"POST /%d HTTP/1.1\r\nHost: w\r\nContent-Length: 2\r\n\r\nab" % index for index in range(number)
    )
    edges = sorted({place % len(data) for place in places} | {0, len(data)})
    for at, (a, b) in enumerate(pairwise(edges)):
        lab.at(at * MS + 1, send, lab, peer, data[a:b])
    lab.run(1 * S)
    assert [response.status for response in responses(peer.data)] == [200] * number


def test_a_thousand_pipelined_requests() -> None:
    lab, peer = asking(GET * 999)
    lab.run(5 * S)
    assert len(responses(peer.data)) == 999


def test_a_large_answer_and_its_end() -> None:
    lab = HttpLab()
    lab.serve(body_bytes=200_000)
    lab.get()
    lab.run(5 * S)
    (exchange,) = lab.over
    assert exchange.response is not None
    assert (exchange.outcome, len(exchange.response.body)) == ("ok", 200_000)


def test_a_client_that_closes_half_is_still_answered() -> None:
    lab = HttpLab()
    lab.serve(service_ns=10 * MS)
    peer = lab.connect()
    lab.run(1 * MS)
    send(lab, peer, GET)
    peer.conns[0].shutdown(lab.now)
    lab.run(1 * S)
    (response,) = responses(peer.data)
    assert response.close


def test_keep_alive_ends_after_so_many_requests_or_so_long() -> None:
    lab = HttpLab()
    lab.serve(keep_alive_requests=2, keep_alive_timeout_ns=3 * S)
    client = lab.http(keep_alive=True)
    for after in (0, 10 * MS, 20 * MS):
        lab.at(after, lab.get, client)
    lab.run(1 * S)
    assert [(e.connection, e.reused, e.response and e.response.close) for e in lab.over] == [
        (1, False, False),
        (1, True, True),
        (2, False, False),
    ]
    assert client.pool is not None
    idle_since = lab.over[-1].ended_ns
    lab.engine.run(idle_since + 3 * S - 1 * MS)
    assert len(client.pool.idle) == 1
    lab.engine.run(idle_since + 3 * S + 1 * MS)
    assert not client.pool.idle


def test_a_connection_with_a_request_in_work_is_not_idle() -> None:
    lab = HttpLab()
    lab.serve(service_ns=3 * S, keep_alive_timeout_ns=1 * S)
    lab.get(keep_alive=True, timeout_ns=10 * S)
    lab.run(10 * S)
    assert [e.outcome for e in lab.over] == ["ok"]


def test_a_silent_connection_is_closed_in_time() -> None:
    lab = HttpLab()
    lab.serve(keep_alive_timeout_ns=3 * S)
    peer = lab.connect()
    lab.run(4 * S)
    assert peer.told == ["connected", "peer_closed", "closed"]


# ---------------------------------------------------------------------- time


def test_a_constant_service_time() -> None:
    lab = HttpLab()
    server = lab.serve()
    lab.get()
    lab.run(1 * S)
    lab.get()
    lab.run(1 * S)
    server.kill(lab.now)
    lab.serve(service_ns=7 * MS)
    lab.get()
    lab.run(1 * S)
    _, plain, slow = (exchange.ended_ns - exchange.started_ns for exchange in lab.over)
    assert slow - plain == pytest.approx(7 * MS, abs=1000)  # a few nanoseconds of an ACK before it


def test_exponential_service_times_are_the_stream_s() -> None:
    lab = HttpLab(seed=5)
    lab.serve(service_ns=20 * MS, distribution="exponential")
    client = lab.http(keep_alive=True, timeout_ns=5 * S)
    for _ in range(6):
        lab.get(client)
        lab.run(1 * S)
    stream: random.Random = Engine(5).stream("server/default/web")
    drawn = [round(stream.expovariate(1.0) * 20 * MS) for _ in range(6)]
    took = [exchange.ended_ns - exchange.started_ns for exchange in lab.over]
    # A warm connection without service time takes the same each time.
    assert len({t - d for t, d in zip(took[1:], drawn[1:], strict=True)}) == 1


@pytest.mark.parametrize(
    ("concurrency", "waves"), [(1, [1, 2, 3, 4, 5, 6]), (2, [1, 1, 2, 2, 3, 3]), (0, [1] * 6)]
)
def test_the_queue_is_first_come_first_served(concurrency: int, waves: list[int]) -> None:
    lab = HttpLab()
    lab.serve(concurrency=concurrency, service_ns=50 * MS)
    client = lab.http(timeout_ns=10 * S)
    begun = []
    for number in range(6):
        lab.at(number * MS, lambda: begun.append(lab.get(client)))
    lab.run(2 * S)
    assert lab.over == begun
    assert [round((e.ended_ns - begun[0].started_ns) / (50 * MS)) for e in lab.over] == waves


def test_work_for_a_client_that_has_gone_is_done_all_the_same() -> None:
    lab = HttpLab()
    server = lab.serve(concurrency=1, service_ns=100 * MS)
    peers = [lab.connect(), lab.connect()]
    lab.run(1 * MS)
    peers[0].conns[0].send(GET, lab.now)
    lab.run(1 * MS)
    peers[1].conns[0].send(GET, lab.now)
    lab.run(1 * MS)
    peers[0].conns[0].abort(lab.now)
    lab.run(150 * MS)
    assert (server.answered, peers[1].data) == (0, b"")
    lab.run(100 * MS)
    assert server.answered == 1
    assert len(responses(peers[1].data)) == 1


# ---------------------------------------------------------------------- hanging


def test_a_hung_server_lets_time_run_out_and_answers_later() -> None:
    lab = HttpLab()
    server = lab.serve()
    client = lab.http(keep_alive=True, timeout_ns=2 * S)
    lab.get(client)
    lab.run(1 * S)
    server.hang(lab.now)
    hung = lab.now
    lab.at(0, lab.get, client)  # on the kept connection
    lab.at(1, lab.get, client)  # on a new one, which the kernel accepts
    lab.at(1500 * MS, lab.get, client)
    lab.at(3 * S, server.resume, hung + 3 * S)
    lab.run(10 * S)
    assert [(e.outcome, e.ended_ns - hung) for e in lab.over[1:3]] == [
        ("timeout", 2 * S),
        ("timeout", 2 * S + 1),
    ]
    assert [e.error for e in lab.over[1:3]] == ["timed out while waiting for the answer"] * 2
    late = lab.over[3]
    assert (late.outcome, late.connection) == ("ok", 3)
    assert 3 * S < late.ended_ns - hung < 3 * S + 2 * MS


def test_work_that_ends_while_hung_is_answered_at_once_afterwards() -> None:
    lab = HttpLab()
    server = lab.serve(service_ns=100 * MS, concurrency=1)
    client = lab.http(timeout_ns=10 * S)
    lab.get(client)
    lab.get(client)
    lab.run(50 * MS)
    server.hang(lab.now)
    lab.run(1 * S)
    assert not lab.over
    resumed = lab.now
    server.resume(resumed)
    server.resume(resumed)
    lab.run(1 * S)
    assert [round((e.ended_ns - resumed) / MS) for e in lab.over] == [0, 100]


def test_a_hung_server_s_backlog_is_limited() -> None:
    """As that of a real nginx: 511 and one more."""
    lab = HttpLab()
    server = lab.serve()
    server.hang(lab.now)
    peers = [lab.connect() for _ in range(520)]
    lab.run(500 * MS)
    client_thinks = [peer for peer in peers if peer.conns]
    assert len(client_thinks) >= 512
    server.resume(lab.now)
    lab.run(1 * MS)
    assert len(server.idle.pending) == 512


def test_idle_connections_of_a_hung_server() -> None:
    """One that was asked on meanwhile is answered, one that was not is closed, though late."""
    lab = HttpLab()
    server = lab.serve(keep_alive_timeout_ns=1 * S)
    asked, silent = lab.connect(), lab.connect()
    lab.run(500 * MS)
    server.hang(lab.now)
    send(lab, asked, GET)
    lab.run(3 * S)
    assert silent.told == ["connected"]
    server.resume(lab.now)
    lab.run(1 * MS)
    assert len(responses(asked.data)) == 1
    assert silent.told == ["connected", "peer_closed", "closed"]
    assert asked.told == ["connected"]


# ---------------------------------------------------------------------- ending


def test_sigterm_drains() -> None:
    lab = HttpLab()
    server = lab.serve(service_ns=300 * MS, concurrency=1)
    idle = lab.http(keep_alive=True)
    lab.get(idle)
    lab.run(1 * S)
    running = lab.http(timeout_ns=10 * S)
    lab.get(running)  # in work
    lab.get(running)  # in the queue
    lab.run(100 * MS)
    server.terminate(lab.now)
    server.terminate(lab.now)
    begun = lab.now
    lab.at(1 * MS, lab.get, idle)
    lab.run(5 * S)
    assert idle.pool is not None
    assert not idle.pool.idle
    # The kept connection is closed at once, so the request opens a new one, which nobody accepts.
    assert [(e.outcome, e.response and e.response.close) for e in lab.over] == [
        ("ok", False),
        ("refused", None),
        ("ok", True),
        ("ok", True),
    ]
    (end,) = lab.exits
    assert end[0] == 0
    assert end[1] - begun == pytest.approx(500 * MS, abs=2 * MS)


def test_sigterm_without_connections_ends_at_once() -> None:
    lab = HttpLab()
    lab.serve().terminate(lab.now)
    assert lab.exits == [(0, lab.now)]
    lab.serve()  # the port is free


def test_sigterm_lets_a_new_connection_ask_once() -> None:
    lab = HttpLab()
    server = lab.serve(keep_alive_timeout_ns=30 * S)
    asks, silent = lab.connect(), lab.connect()
    lab.run(1 * S)
    server.terminate(lab.now)
    send(lab, asks, GET)
    lab.run(1 * S)
    (response,) = responses(asks.data)
    assert response.close
    assert not lab.exits
    lab.run(40 * S)
    assert silent.told == ["connected", "peer_closed", "closed"]
    (end,) = lab.exits
    assert end[1] - silent.events[0][1] == pytest.approx(30 * S, abs=1 * MS)


def test_a_server_that_does_not_drain() -> None:
    lab = HttpLab()
    server = lab.serve(service_ns=1 * S, shutdown="fast")
    lab.get(timeout_ns=5 * S)
    lab.run(100 * MS)
    server.terminate(lab.now)
    assert lab.exits == [(0, lab.now)]
    lab.run(5 * S)
    assert [e.outcome for e in lab.over] == ["reset"]


def test_sigkill_ends_at_once_and_only_once() -> None:
    lab = HttpLab()
    server = lab.serve(service_ns=1 * S)
    lab.get(timeout_ns=5 * S)
    lab.run(100 * MS)
    killed = lab.now
    server.kill(killed)
    server.kill(killed)
    server.terminate(killed)
    lab.run(5 * S)
    lab.get()
    lab.run(1 * S)
    assert lab.exits == [(137, killed)]
    assert [(e.outcome, e.error) for e in lab.over] == [
        ("reset", "the server closed the connection without an answer"),
        ("refused", "Connection refused"),
    ]
    assert server.answered == 0


@pytest.mark.parametrize(("signal", "code"), [("terminate", 0), ("kill", 137)])
def test_signals_to_a_hung_server(signal: str, code: int) -> None:
    """SIGTERM has to wait until the process runs again; SIGKILL does not."""
    lab = HttpLab()
    server = lab.serve()
    server.hang(lab.now)
    getattr(server, signal)(lab.now)
    assert bool(lab.exits) is (signal == "kill")
    server.resume(lab.now)
    assert lab.exits == [(code, lab.now)]


def test_a_port_that_is_taken_ends_the_process() -> None:
    lab = HttpLab()
    lab.serve(ports=(8080,))
    second = HttpLab.serve(lab, ports=(9090, 8080))
    assert lab.exits == [(1, lab.now)]
    peer = lab.connect(port=9090)
    lab.run(1 * S)
    assert peer.told == ["ECONNREFUSED"]
    assert second.answered == 0


def test_several_ports() -> None:
    lab = HttpLab()
    lab.serve(ports=(80, 8080))
    lab.get(port=8080)
    lab.get()
    lab.run(1 * S)
    assert [e.outcome for e in lab.over] == ["ok", "ok"]


def test_a_server_whose_host_dies_does_nothing_any_more() -> None:
    lab = HttpLab()
    server = lab.serve(service_ns=100 * MS)
    lab.get(timeout_ns=3 * S)
    lab.run(50 * MS)
    lab.server.die()
    lab.run(5 * S)
    assert [e.outcome for e in lab.over] == ["timeout"]
    assert not lab.exits
    server.kill(lab.now)


def abort_at_once(_peer: Peer, conn: TcpConnection, _data: bytes, now: int) -> None:
    conn.abort(now)


def test_a_reset_connection_is_forgotten() -> None:
    lab = HttpLab()
    server = lab.serve()
    peer = lab.connect(abort_at_once)
    lab.run(1 * MS)
    send(lab, peer, GET)
    lab.run(1 * S)
    server.terminate(lab.now)
    assert lab.exits == [(0, lab.now)]
