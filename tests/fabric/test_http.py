"""HTTP messages by h11, built and read once each; probes over real connections."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from httplab import HttpLab, Peer
from hypothesis import given
from hypothesis import strategies as st

from netsim.engine import MS, S
from netsim.fabric import http_messages
from netsim.fabric.http import FAILURES, ProbeResult, http_get, tcp_check
from netsim.fabric.http_messages import UNKNOWN, BadMessageError, HttpResponse, Messages
from netsim.kernel.errno import Errno
from netsim.kernel.routing import Route, RouteKind
from netsim.wire.addr import Prefix, ip

# On the other node: its blackhole route swallows what is for it.
NOBODY = "10.244.1.99"
HTML = (("Server", "s"), ("Content-Type", "text/html"))

# ---------------------------------------------------------------------- building


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("GET", "/", "web"), b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"),
        (("HEAD", "/a?b=c", "web:81"), b"HEAD /a?b=c HTTP/1.1\r\nHost: web:81\r\n\r\n"),
        (("GET", "/é x", "web"), b"GET /%C3%A9%20x HTTP/1.1\r\nHost: web\r\n\r\n"),
        (("POST", "/", "w"), b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n\r\n"),
        (
            ("PUT", "/", "w", (("A", "b"),), b"xy"),
            b"PUT / HTTP/1.1\r\nHost: w\r\nA: b\r\nContent-Length: 2\r\n\r\nxy",
        ),
    ],
)
def test_requests_are_built_as_http_wants_them(arguments: tuple[str, str, str], expected: bytes) -> None:
    assert Messages().request(*arguments) == expected


@pytest.mark.parametrize(
    ("to_head", "close", "expected"),
    [
        (
            False,
            False,
            b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            True,
            False,
            b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n",
        ),
        (
            False,
            True,
            b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Type: text/html\r\nContent-Length: 2\r\n"
            b"Connection: close\r\n\r\nok",
        ),
    ],
)
def test_responses(to_head: bool, close: bool, expected: bytes) -> None:
    assert Messages().response(200, HTML, b"ok", to_head=to_head, close=close) == expected


@pytest.mark.parametrize(("method", "host"), [("GE T", "web"), ("GET", "a\r\nb"), ("", "web")])
def test_what_is_no_http_cannot_be_built(method: str, host: str) -> None:
    with pytest.raises(ValueError, match="is no HTTP request"):
        Messages().request(method, "/", host)


def test_equal_messages_are_the_same_object() -> None:
    messages = Messages()
    request = messages.request("GET", "/", "web")
    assert messages.request("GET", "/", "web") is request
    assert messages.read_request(request) is messages.read_request(bytes(bytearray(request)))
    response = messages.response(200, HTML, b"ok")
    assert messages.response(200, HTML, b"ok") is response
    assert messages.read_response(response) is messages.read_response(response)
    assert messages.read_response(response) is not messages.read_response(response, to_head=True)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_messages, "_MOST", 8)
    monkeypatch.setattr(http_messages, "_LONGEST", 100)
    messages = Messages()
    for number in range(20):
        request = messages.request("GET", f"/{number}", "web")
        assert messages.read_request(request) is not None
    assert len(messages._built) <= 8
    assert len(messages._requests) <= 8
    long = messages.response(200, HTML, b"x" * 200)
    assert messages.read_response(long) is not messages.read_response(long)


# ---------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("head", "close"),
    [
        (b"GET / HTTP/1.1\r\nHost: w\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: w\r\nConnection: keep-alive\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: w\r\nConnection: Foo, Close\r\n", True),
        (b"GET / HTTP/1.0\r\nHost: w\r\n", True),
        (b"GET / HTTP/1.0\r\nHost: w\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_who_wants_the_connection_closed(head: bytes, close: bool) -> None:
    request = Messages().read_request(head + b"\r\n")
    assert request is not None
    assert request.close is close


@pytest.mark.parametrize(
    ("data", "missing", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 0, b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na", 2, b"a"),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", UNKNOWN, b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", UNKNOWN, b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 0, b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 0, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 0, b""),
    ],
)
def test_how_much_of_a_response_is_missing(data: bytes, missing: int, body: bytes) -> None:
    response = Messages().read_response(data)
    assert response is not None
    assert (response.missing, response.body) == (missing, body)


def test_an_incomplete_head_is_nothing_yet() -> None:
    assert Messages().read_request(b"GET / HTTP/1.1\r\nHost:") is None
    assert Messages().read_response(b"HTTP/1.1 200") is None


def test_what_follows_a_message_is_kept_apart() -> None:
    messages = Messages()
    one = messages.request("GET", "/1", "web")
    two = messages.request("GET", "/2", "web")
    read = messages.read_request(one + two)
    assert read is not None
    assert (read.target, read.rest) == ("/1", two)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 20000, 431),
    ],
)
def test_bad_requests_come_with_their_status(data: bytes, status: int) -> None:
    with pytest.raises(BadMessageError) as caught:
        Messages().read_request(data)
    assert caught.value.status == status
    assert (
        type(caught.value)(*caught.value.args).status == status
    )  # SimPy makes exceptions anew from their args


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.binary(max_size=300),
    st.booleans(),
    st.lists(st.integers(0, 600), max_size=6),
    st.sampled_from([b"", b"more"]),
)
def test_a_message_reads_the_same_however_it_is_cut(
    method: str, body: bytes, close: bool, places: list[int], rest: bytes
) -> None:
    messages = Messages()
    to_head = method == "HEAD"
    request = messages.request(method, "/p", "web", (("Connection", "close"),) if close else (), body)
    response = messages.response(200, HTML, body, to_head=to_head, close=close)
    incoming_request, incoming_response = messages.incoming_request(), messages.incoming_response(to_head)
    requests = [incoming_request.feed(piece) for piece in cut(request, places)]
    assert requests[:-1] == [None] * (len(requests) - 1)
    assert requests[-1] is not None
    assert (requests[-1].method, requests[-1].body, requests[-1].close) == (method, body, close)
    pieces = cut(response, places)
    pieces[-1] += rest
    responses = [incoming_response.feed(piece) for piece in pieces]
    assert responses[:-1] == [None] * (len(responses) - 1)
    found = responses[-1]
    assert found is not None
    assert (found.status, found.body, found.close, found.rest) == (200, b"" if to_head else body, close, rest)


@given(st.lists(st.integers(0, 200), max_size=5))
def test_chunked_and_endless_bodies(places: list[int]) -> None:
    messages = Messages()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    incoming = messages.incoming_response()
    assert [r.body for piece in cut(chunked, places) if (r := incoming.feed(piece))] == [b"abcde"]
    endless = messages.incoming_response()
    assert not any(endless.feed(piece) for piece in cut(b"HTTP/1.1 200 OK\r\n\r\nabcde", places))
    ended = endless.end()
    assert isinstance(ended, HttpResponse)
    assert ended.body == b"abcde"


def test_a_connection_that_ends_too_early() -> None:
    messages = Messages()
    counted = messages.incoming_response()
    assert counted.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") is None
    assert counted.end() is None
    assert messages.incoming_response().end() is None
    chunked = messages.incoming_response()
    assert chunked.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na") is None
    with pytest.raises(BadMessageError):
        chunked.end()


# ---------------------------------------------------------------------- probes


class ProbeLab(HttpLab):
    """Probes from node n2, as its kubelet makes them, of the pod on that node."""

    def __init__(self) -> None:
        super().__init__()
        self.node = self.fabric.nodes["n2"]
        self.results: list[tuple[ProbeResult, int]] = []

    def done(self, result: ProbeResult, now: int) -> None:
        self.results.append((result, now))

    def probe(
        self, path: str = "/", port: int = 80, address: str = "", timeout_ns: int = 1 * S
    ) -> ProbeResult:
        http_get(self.node, ip(address or self.address), port, path, timeout_ns, self.done)
        self.run(5 * S)
        return self.one()

    def tcp(self, port: int = 80, address: str = "") -> ProbeResult:
        tcp_check(self.node, ip(address or self.address), port, 1 * S, self.done)
        self.run(5 * S)
        return self.one()

    def one(self) -> ProbeResult:
        assert len(self.results) == 1
        return self.results.pop()[0]


def test_a_probe_gets_an_answer() -> None:
    lab = ProbeLab()
    lab.serve(image="nginx")
    result = lab.probe("/healthz")
    assert (result.ok, result.status, result.body, result.text) == (True, 200, b"ok", "HTTP status 200 OK")
    assert not list(lab.server.ns.sockets.by_key)[1:], "the server has nothing left but a TIME_WAIT"


def test_a_probe_asks_as_the_kubelet_does() -> None:
    lab = ProbeLab()
    peer = lab.answering(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", port=8080)
    http_get(
        lab.node, ip(lab.address), 8080, "", 1 * S, lab.done, "shop.example", headers=(("X-Probe", "1"),)
    )
    lab.run(1 * S)
    assert lab.one().ok
    assert peer.data == (
        b"GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\n"
        b"Connection: close\r\nX-Probe: 1\r\n\r\n"
    )
    assert peer.told == ["accepted", "peer_closed", "closed"]
    peer.data = b""
    lab.probe(port=8080)
    assert b"\r\nHost: 10.244.2.5:8080\r\n" in peer.data


def reset(_peer: Peer, conn: object, _data: bytes, now: int) -> None:
    conn.abort(now)  # type: ignore[attr-defined]


def close(_peer: Peer, conn: object, _data: bytes, now: int) -> None:
    conn.close(now)  # type: ignore[attr-defined]


def unroutable(lab: ProbeLab) -> None:
    lab.node.ns.add_route(Route(Prefix.host(ip(lab.address)), kind=RouteKind.UNREACHABLE))


@pytest.mark.parametrize(
    ("prepare", "error", "status"),
    [
        (lambda lab: None, "refused", 0),
        (lambda lab: lab.peer(), "timeout", 0),
        (lambda lab: lab.peer(reset), "reset", 0),
        (lambda lab: lab.peer(close), "closed", 0),
        (unroutable, "unreachable", 0),
        (lambda lab: lab.server.die(), "timeout", 0),
        (lambda lab: lab.serve().hang(lab.now), "timeout", 0),
        (lambda lab: lab.answering(b"hello\r\n\r\n"), "malformed", 0),
        (
            lambda lab: lab.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", close=True),
            "closed",
            0,
        ),
        (lambda lab: lab.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "timeout", 0),
        (lambda lab: lab.answering(b"HTTP/1.1 200 OK\r\n\r\nabc", close=True), "", 200),
        (lambda lab: lab.answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), "", 503),
    ],
)
def test_how_a_probe_can_end(prepare: Callable[[ProbeLab], object], error: str, status: int) -> None:
    lab = ProbeLab()
    prepare(lab)
    result = lab.probe()
    assert (result.error, result.status, result.ok) == (error, status, status == 200)
    assert bool(result.text)


def test_a_timeout_comes_at_its_time() -> None:
    lab = ProbeLab()
    http_get(lab.node, ip(NOBODY), 80, "/", 1500 * MS, lab.done)
    lab.run(3 * S)
    (result, at) = lab.results[0]
    assert (result.error, at) == ("timeout", 2500 * MS)
    assert result.text == "no answer from 10.244.1.99:80 within 1.5s"
    assert not lab.node.ns.sockets.by_key


def test_tcp_checks() -> None:
    lab = ProbeLab()
    peer = lab.peer()
    assert lab.tcp().ok
    assert peer.told == ["accepted", "peer_closed", "closed"]
    assert lab.tcp(port=81).error == "refused"
    assert lab.tcp(address=NOBODY).error == "timeout"


def test_a_hung_process_passes_a_tcp_check_only() -> None:
    lab = ProbeLab()
    lab.serve().hang(lab.now)
    assert lab.tcp().ok
    assert lab.probe().error == "timeout"


def test_a_cancelled_probe_calls_nobody() -> None:
    lab = ProbeLab()
    peer = lab.peer()
    probe = http_get(lab.node, ip(lab.address), 80, "/", 1 * S, lab.done)
    lab.run(100 * MS)
    probe.cancel(lab.now)
    probe.cancel(lab.now)
    lab.run(3 * S)
    assert not lab.results
    assert peer.told == ["accepted", "peer_closed", "closed"]


def test_every_error_number_has_a_meaning() -> None:
    assert set(FAILURES) == set(Errno)
