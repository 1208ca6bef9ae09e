"""The HTTP client: outcomes, times, look-ups, kept connections."""

from collections.abc import Callable

import pytest
from httplab import NOBODY, Answer, HttpLab, Names, Peer

from netsim.engine import MS, S
from netsim.kernel.routing import Route, RouteKind
from netsim.kernel.sysctl import Sysctl
from netsim.kernel.tcp import TcpConnection
from netsim.wire.addr import Prefix, ip
from netsim.workload.http_client import ClientSpec, HttpClient
from netsim.workload.http_exchange import HttpExchange, Phase

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SERVER = ip("10.244.2.5")
DEAD = ip(NOBODY)
CLOSED = ip("10.244.2.6")  # a pod where nobody listens
WITHIN = "the server closed the connection within its answer"
MALFORMED = "malformed response: illegal status line: bytearray(b'nonsense')"


def reset(_peer: Peer, conn: TcpConnection, _data: bytes, now: int) -> None:
    conn.abort(now)


def close(_peer: Peer, conn: TcpConnection, _data: bytes, now: int) -> None:
    conn.close(now)


def one(lab: HttpLab) -> HttpExchange:
    assert len(lab.over) == 1
    assert lab.over[0].phase is Phase.OVER
    return lab.over[0]


def no_way(lab: HttpLab) -> None:
    lab.client.ns.add_route(Route(Prefix.host(SERVER), kind=RouteKind.UNREACHABLE))


def icmp_error(lab: HttpLab) -> None:
    lab.fabric.nodes["n1"].ns.add_route(Route(Prefix.host(SERVER), kind=RouteKind.UNREACHABLE))


# ---------------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("prepare", "outcome", "status", "error"),
    [
        (lambda lab: lab.serve(), "ok", 200, ""),
        (lambda lab: lab.answering(b"HTTP/1.1 304 Not\r\n\r\n"), "ok", 304, ""),
        (lambda lab: lab.answering(b"HTTP/1.1 404 Lost\r\nContent-Length: 0\r\n\r\n"), "http-error", 404, "404 Lost"),
        (lambda lab: lab.answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), "http-error", 503, "503 Busy"),
        (lambda lab: lab.answering(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", close=True), "ok", 200, ""),
        (lambda lab: lab.answering(b"nonsense\r\n\r\n"), "http-error", 0, MALFORMED),
        (lambda lab: None, "refused", 0, "Connection refused"),
        (lambda lab: lab.peer(reset), "reset", 0, "Connection reset by peer"),
        (lambda lab: lab.peer(close), "reset", 0, "the server closed the connection without an answer"),
        (lambda lab: lab.answering(OK[:-1], close=True), "reset", 0, WITHIN),
        (lambda lab: lab.peer(), "timeout", 0, "timed out while waiting for the answer"),
        (lambda lab: lab.answering(OK[:-1]), "timeout", 0, "timed out while waiting for the answer"),
        (lambda lab: lab.answering(OK[:20]), "timeout", 0, "timed out while waiting for the answer"),
        (lambda lab: lab.fabric.remove_pod(lab.server), "timeout", 0, "timed out while connecting"),
        (no_way, "unreachable", 0, "Network is unreachable"),
        (icmp_error, "unreachable", 0, "No route to host"),
    ],
)  # fmt: skip
def test_how_a_request_can_end(
    prepare: Callable[[HttpLab], object], outcome: str, status: int, error: str
) -> None:
    lab = HttpLab()
    prepare(lab)
    exchange = lab.get()
    lab.run(5 * S)
    assert one(lab) is exchange
    assert (exchange.outcome, exchange.status, exchange.error) == (outcome, status, error)
    assert exchange.started_ns == 1 * S
    if outcome == "timeout":
        assert exchange.ended_ns == 2 * S
    assert (exchange.connection, exchange.flow is None) == ((0, True) if prepare is no_way else (1, False))


def test_no_ephemeral_port_is_the_client_s_own_trouble() -> None:
    lab = HttpLab(pod_sysctl=Sysctl(ip_local_port_range=(40_000, 40_001)))
    lab.peer()
    for _ in range(3):
        lab.get()
    lab.run(100 * MS)
    assert (one(lab).outcome, one(lab).error) == ("aborted", "Cannot assign requested address")


def test_times_and_the_flow() -> None:
    lab = HttpLab()
    lab.serve(service_ns=10 * MS)
    names = Names(lab.engine, [Answer((SERVER,))], delay_ns=5 * MS)
    exchange = lab.get(lab.http(names, host="web"))
    lab.run(1 * S)
    assert exchange.resolved_ns - exchange.started_ns == 5 * MS
    assert 0 < exchange.connected_ns - exchange.resolved_ns < 1 * MS
    assert exchange.ended_ns - exchange.connected_ns == pytest.approx(10 * MS, abs=1 * MS)
    assert exchange.flow is not None
    assert (exchange.flow.src, exchange.flow.dst, exchange.flow.dport) == (lab.client.address, SERVER, 80)
    assert (exchange.reused, exchange.attempts) == (False, 1)
    assert exchange.response is not None
    assert len(exchange.response.body) == 615


@pytest.mark.parametrize(
    ("spec", "request_"),
    [
        ({}, b"GET / HTTP/1.1\r\nHost: 10.244.2.5\r\n"),
        ({"port": 8080, "path": "/a?b"}, b"GET /a?b HTTP/1.1\r\nHost: 10.244.2.5:8080\r\n"),
        ({"method": "HEAD"}, b"HEAD / HTTP/1.1\r\nHost: 10.244.2.5\r\n"),
        ({"method": "POST"}, b"POST / HTTP/1.1\r\nHost: 10.244.2.5\r\n"),
    ],
)
def test_what_is_sent(spec: dict[str, str | int], request_: bytes) -> None:
    lab = HttpLab()
    peer = lab.answering(OK, port=int(spec.get("port", 80)))
    lab.get(**spec)
    lab.run(100 * MS)
    assert peer.data.startswith(request_ + b"User-Agent: curl/8.5.0\r\nAccept: */*\r\n")


def test_an_ipv6_host_is_written_in_brackets() -> None:
    lab = HttpLab()
    client = HttpClient(lab.client, ClientSpec("fd00::1", 8080))
    assert b"\r\nHost: [fd00::1]:8080\r\n" in client.wanted
    assert client.known == (ip("fd00::1"),)


def test_the_client_closes_first() -> None:
    lab = HttpLab()
    peer = lab.answering(OK)
    lab.get()
    lab.run(1 * S)
    assert peer.told == ["accepted", "peer_closed", "closed"]
    assert not lab.server.ns.sockets.by_key, "TIME_WAIT is the client's"
    assert len(lab.client.ns.sockets.by_key) == 1


def test_after_a_timeout_a_late_answer_meets_a_reset() -> None:
    lab = HttpLab()

    def answer_late(peer: Peer, conn: TcpConnection, _data: bytes, _now: int) -> None:
        lab.at(1500 * MS, lambda: conn.send(OK, lab.now))

    peer = lab.peer(answer_late)
    peer.peer_closed = lambda conn, now: None  # type: ignore[method-assign] # it goes on working
    lab.get()
    lab.run(3 * S)
    assert one(lab).outcome == "timeout"
    assert peer.told == ["accepted", "EPIPE"]


def test_a_dead_client_s_requests_are_aborted() -> None:
    lab = HttpLab()
    lab.peer()
    lab.get()
    lab.run(500 * MS)
    lab.client.die()
    lab.run(1 * S)
    assert (one(lab).outcome, one(lab).error) == ("aborted", "the client's host is down")


def test_abort_ends_everything_once() -> None:
    lab = HttpLab()
    lab.peer()
    client = lab.http(keep_alive=True, max_connections=1)
    first, waiting = lab.get(client), lab.get(client)
    lab.run(100 * MS)
    assert client.outstanding == 2
    client.abort(lab.now, "enough")
    first.abort("again", lab.now)
    assert [(e.outcome, e.error, e.ended_ns) for e in (first, waiting)] == [
        ("aborted", "enough", lab.now)
    ] * 2
    assert waiting.connection == 0
    lab.run(3 * S)
    assert len(lab.over) == 2
    assert client.outstanding == 0


# ---------------------------------------------------------------------- names


def test_a_name_that_does_not_resolve() -> None:
    lab = HttpLab()
    names = Names(lab.engine, [Answer(error="NXDOMAIN"), Answer()])
    for _ in range(2):
        lab.get(lab.http(names, host="wbe"))
    lab.get(lab.http(host="web"))
    lab.run(1 * S)
    assert [(e.outcome, e.error, e.connection) for e in lab.over] == [
        ("dns", "no resolver for web", 0),
        ("dns", "NXDOMAIN", 0),
        ("dns", "NODATA", 0),
    ]


def test_an_answer_that_comes_too_late() -> None:
    lab = HttpLab()
    lab.serve()
    names = Names(lab.engine, [Answer((SERVER,))], delay_ns=2 * S)
    exchange = lab.get(lab.http(names, host="web"))
    lab.run(5 * S)
    assert one(lab) is exchange
    assert (exchange.outcome, exchange.error, exchange.ended_ns) == (
        "timeout",
        "timed out while looking up the name",
        2 * S,
    )


@pytest.mark.parametrize(
    ("addresses", "outcome", "dialled", "connection"),
    [
        ((CLOSED, SERVER), "ok", SERVER, 2),
        ((CLOSED, CLOSED, SERVER), "ok", SERVER, 3),
        ((SERVER, CLOSED), "ok", SERVER, 1),
        ((CLOSED, CLOSED), "refused", CLOSED, 2),
        ((DEAD, SERVER), "timeout", DEAD, 1),
    ],
)
def test_addresses_are_tried_in_turn(
    addresses: tuple[bytes, ...], outcome: str, dialled: bytes, connection: int
) -> None:
    lab = HttpLab()
    lab.fabric.add_pod("n2", "default/closed", CLOSED)
    lab.serve()
    lab.get(lab.http(Names(lab.engine, [Answer(addresses)]), host="web"))
    lab.run(3 * S)
    exchange = one(lab)
    assert exchange.flow is not None
    assert (exchange.outcome, exchange.flow.dst, exchange.connection) == (outcome, dialled, connection)


def test_an_address_without_a_route_is_passed_over() -> None:
    lab = HttpLab()
    lab.serve()
    lab.client.ns.add_route(Route(Prefix.host(CLOSED), kind=RouteKind.UNREACHABLE))
    lab.get(lab.http(Names(lab.engine, [Answer((CLOSED, CLOSED, SERVER))]), host="web"))
    lab.run(1 * S)
    assert (one(lab).outcome, one(lab).connection) == ("ok", 1)


@pytest.mark.parametrize(
    ("keep_alive", "resolve", "lookups", "connections"),
    [
        (False, "connection", 4, [1, 2, 3, 4]),
        (False, "once", 1, [1, 2, 3, 4]),
        (False, "request", 4, [1, 2, 3, 4]),
        (True, "connection", 1, [1, 1, 1, 1]),
        (True, "once", 1, [1, 1, 1, 1]),
        (True, "request", 4, [1, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("delay_ns", [0, 1 * MS])
def test_when_a_name_is_looked_up(
    keep_alive: bool, resolve: str, lookups: int, connections: list[int], delay_ns: int
) -> None:
    lab = HttpLab()
    lab.serve()
    names = Names(lab.engine, [Answer((SERVER,))], delay_ns)
    client = lab.http(names, host="web", keep_alive=keep_alive, resolve=resolve)
    for _ in range(4):
        lab.get(client)
        lab.run(100 * MS)
    assert len(names.asked) == lookups
    assert [e.connection for e in lab.over] == connections
    assert [bool(e.resolved_ns) for e in lab.over].count(True) == lookups


def test_a_kept_connection_is_used_only_while_its_address_is_among_the_answers() -> None:
    lab = HttpLab()
    other = lab.fabric.add_pod("n2", "default/other", CLOSED)
    lab.serve()
    lab.serve(other)
    names = Names(lab.engine, [Answer((SERVER,)), Answer((CLOSED,)), Answer((SERVER, CLOSED))])
    client = lab.http(names, host="web", keep_alive=True, resolve="request", max_connections=1)
    for _ in range(4):
        lab.get(client)
        lab.run(100 * MS)
    dialled = [e.flow.dst for e in lab.over if e.flow]
    assert dialled == [SERVER, CLOSED, CLOSED, CLOSED]
    assert [e.connection for e in lab.over] == [1, 2, 2, 2], "the limit is kept by closing what is idle"
    assert client.pool is not None
    assert client.pool.opened == 1


# ---------------------------------------------------------------------- kept connections


def test_connections_are_kept_and_the_last_used_is_taken_first() -> None:
    lab = HttpLab()
    lab.serve(service_ns=10 * MS)
    client = lab.http(keep_alive=True)
    for at in (0, 1 * MS, 2 * MS, 50 * MS, 100 * MS):
        lab.at(at, lab.get, client)
    lab.run(1 * S)
    assert [(e.connection, e.reused) for e in lab.over] == [
        (1, False),
        (2, False),
        (3, False),
        (3, True),
        (3, True),
    ]
    kept = lab.over[-1]
    assert (kept.resolved_ns, kept.connected_ns) == (0, 0)
    assert kept.flow == lab.over[2].flow
    assert client.pool is not None
    assert (client.pool.opened, len(client.pool.idle)) == (3, 3)


def test_a_limit_makes_requests_wait_in_order() -> None:
    lab = HttpLab()
    lab.serve(service_ns=100 * MS)
    client = lab.http(keep_alive=True, max_connections=2, timeout_ns=250 * MS)
    begun = []
    for at in range(7):
        lab.at(at * MS, lambda: begun.append(lab.get(client)))
    lab.run(3 * S)
    assert [lab.over.index(e) for e in begun] == [0, 1, 2, 3, 4, 5, 6]
    assert [(e.outcome, e.connection) for e in begun] == [
        ("ok", 1),
        ("ok", 2),
        ("ok", 1),
        ("ok", 2),
        ("timeout", 1),
        ("timeout", 2),
        ("timeout", 3),  # a place became free 2 ms before its time was up
    ]
    assert [e.ended_ns - e.started_ns for e in begun[4:]] == [250 * MS] * 3
    assert client.pool is not None
    assert client.pool.opened == 0
    lab.get(client)
    lab.run(1 * S)
    assert lab.over[-1].outcome == "ok"


def test_time_can_be_up_while_waiting() -> None:
    """When one that began later was quicker to look its name up."""
    lab = HttpLab()
    lab.peer()
    names = Names(lab.engine, [Answer((SERVER,))], delay_ns=100 * MS)
    client = lab.http(names, host="web", keep_alive=True, max_connections=1, resolve="request")
    slow = lab.get(client)
    names.delay_ns = 1 * MS
    lab.run(50 * MS)
    quick = lab.get(client)
    lab.run(5 * S)
    assert (slow.connection, slow.error, slow.ended_ns - slow.started_ns) == (
        0,
        "timed out while waiting for a free connection",
        1 * S,
    )
    assert (quick.connection, quick.outcome) == (1, "timeout")
    assert len(lab.over) == 2


def test_a_crowd_of_waiting_requests_can_fail_at_one_moment() -> None:
    lab = HttpLab()
    lab.answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    names = Names(lab.engine, [Answer((SERVER,)), Answer(error="NXDOMAIN")], delay_ns=0)
    client = lab.http(names, host="web", keep_alive=True, max_connections=1)
    for _ in range(1500):
        lab.get(client)
    lab.run(1 * S)
    assert [e.outcome for e in lab.over].count("dns") == 1499
    assert client.pool is not None
    assert client.pool.opened == 0


def test_failures_give_their_places_back() -> None:
    """Refused, unresolvable and unreachable requests must not use the pool up."""
    lab = HttpLab()
    names = Names(lab.engine, [Answer(error="SERVFAIL"), Answer((CLOSED,)), Answer((SERVER,))])
    lab.fabric.add_pod("n2", "default/closed", CLOSED)
    lab.serve()
    client = lab.http(names, host="web", keep_alive=True, max_connections=1)
    for _ in range(4):
        lab.get(client)
    lab.run(1 * S)
    assert [e.outcome for e in lab.over] == ["dns", "refused", "ok", "ok"]
    assert client.pool is not None
    assert client.pool.opened == 1


@pytest.mark.parametrize("answer", [OK + b"extra", OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
def test_what_is_not_kept(answer: bytes) -> None:
    lab = HttpLab()
    lab.answering(answer)
    client = lab.http(keep_alive=True)
    lab.get(client)
    lab.run(100 * MS)
    lab.get(client)
    lab.run(100 * MS)
    assert [(e.outcome, e.connection) for e in lab.over] == [("ok", 1), ("ok", 2)]
    assert client.pool is not None
    assert client.pool.opened == 0


@pytest.mark.parametrize("what", ["close", "abort", "send"])
def test_an_idle_connection_that_the_server_ends(what: str) -> None:
    lab = HttpLab()
    peer = lab.answering(OK)
    client = lab.http(keep_alive=True)
    lab.get(client)
    lab.run(100 * MS)
    arguments = (b"unasked",) if what == "send" else ()
    getattr(peer.conns[0], what)(*arguments, lab.now)
    lab.run(100 * MS)
    assert client.pool is not None
    assert (client.pool.opened, client.pool.idle) == (0, [])
    lab.get(client)
    lab.run(100 * MS)
    assert [(e.outcome, e.connection) for e in lab.over] == [("ok", 1), ("ok", 2)]


def answers_once_then(end: Callable[[TcpConnection, int], object]) -> Callable[..., object]:
    """On each connection."""
    seen: list[TcpConnection] = []

    def on_data(_peer: Peer, conn: TcpConnection, _data: bytes, now: int) -> None:
        if conn in seen:
            end(conn, now)
        else:
            seen.append(conn)
            conn.send(OK, now)

    return on_data


@pytest.mark.parametrize(
    ("method", "end", "expected"),
    [
        ("GET", TcpConnection.close, ("ok", 2, False, "")),
        ("GET", TcpConnection.abort, ("ok", 2, False, "")),
        (
            "POST",
            TcpConnection.close,
            ("reset", 1, True, "the server closed the connection without an answer"),
        ),
        ("POST", TcpConnection.abort, ("reset", 1, True, "Connection reset by peer")),
    ],
)
def test_a_kept_connection_that_was_closed_under_the_request(
    method: str, end: Callable[[TcpConnection, int], object], expected: tuple[str, int, bool, str]
) -> None:
    lab = HttpLab()
    lab.peer(answers_once_then(end))
    client = lab.http(keep_alive=True, method=method, max_connections=1)
    for _ in range(2):
        lab.get(client)
        lab.run(100 * MS)
    exchange = lab.over[1]
    assert (exchange.outcome, exchange.connection, exchange.reused, exchange.error) == expected
    assert exchange.attempts == 1
    assert client.pool is not None
    assert client.pool.opened == (1 if method == "GET" else 0)


def test_a_fresh_connection_is_not_replaced_again() -> None:
    """A server that never answers a second time must not be asked for ever."""
    lab = HttpLab()
    seen = []

    def on_data(_peer: Peer, conn: TcpConnection, _data: bytes, now: int) -> None:
        seen.append(conn)
        if len(seen) == 1:
            conn.send(OK, now)
        else:
            conn.close(now)

    lab.peer(on_data)
    client = lab.http(keep_alive=True)
    for _ in range(2):
        lab.get(client)
        lab.run(100 * MS)
    assert [(e.outcome, e.connection) for e in lab.over] == [("ok", 1), ("reset", 2)]
    assert len(seen) == 3


@pytest.mark.parametrize("how", [TcpConnection.close, TcpConnection.abort])
def test_part_of_an_answer_is_not_asked_for_again(how: Callable[[TcpConnection, int], object]) -> None:
    lab = HttpLab()

    def end(conn: TcpConnection, now: int) -> None:
        conn.send(OK[:30], now)
        how(conn, now)

    lab.peer(answers_once_then(end))
    client = lab.http(keep_alive=True)
    for _ in range(2):
        lab.get(client)
        lab.run(100 * MS)
    assert (lab.over[1].outcome, lab.over[1].connection) == ("reset", 1)
