"""The proxy with real sockets on both sides: headers, turns, kept connections, retries, time-outs, ends, reload."""

import random
from dataclasses import replace
from typing import Any

import pytest
from httplab import HttpLab, Peer

from netsim.cluster.ingress.configuration import Configuration
from netsim.cluster.ingress.routing import Location, RoutingTable, Server
from netsim.cluster.ingress.settings import ControllerSettings, LocationSettings
from netsim.engine import MS, S
from netsim.fabric.http_messages import HttpResponse, Messages
from netsim.wire.addr import ip
from netsim.workload.ingress.proxy import Nginx
from netsim.workload.ingress.records import ProxiedRequest

OK = b"HTTP/1.1 200 OK\r\nServer: nginx/1.25\r\nX-Pod: a\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
CONTROLLER = "10.244.1.9"


class ProxyLab(HttpLab):
    """A client, a controller with one worker beside it, and an upstream `up` on n2."""

    def __init__(self, *upstream: str, keepalive: int = 320, **settings: Any) -> None:
        super().__init__()
        self.controller = self.fabric.add_pod("n1", "ingress-nginx/c", ip(CONTROLLER))
        self.log: list[ProxiedRequest] = []
        self.drained: list[int] = []
        self.engine.bus.subscribe(ProxiedRequest, self.log.append)
        self.configuration = self.configured(*upstream, keepalive=keepalive, **settings)
        self.nginx = Nginx(self.controller, self, random.Random(1), self.configuration, self.drained.append)
        self.nginx.listen(80)

    @staticmethod
    def configured(*upstream: str, keepalive: int = 320, **settings: Any) -> Configuration:
        peers = []
        for text in upstream:
            address, _, port = text.partition(":")
            peers.append((ip(address), int(port or 80)))
        location = Location("/", "Prefix", "up", "default/i", "default/web", LocationSettings(**settings))
        table = RoutingTable({"h": Server.of("h", [location])})
        made = ControllerSettings(worker_processes=1, upstream_keepalive_connections=keepalive)
        return Configuration(table, {"up": tuple(peers)}, made)

    def ask(self, method: str = "GET", host: str = "h", run_ns: int = 100 * MS, **more: Any) -> HttpResponse:
        """One request over a connection of its own, and its answer."""
        peer = self.send(method, host, **more)
        self.run(run_ns)
        response = Messages().read_response(peer.data, method == "HEAD")
        assert response is not None
        return response

    def send(self, method: str = "GET", host: str = "h", **more: Any) -> Peer:
        peer = Peer()
        self.client.ns.sockets.connect(ip(CONTROLLER), 80, peer, self.now, owner=peer)
        self.run(5 * MS)
        peer.conns[0].send(Messages().request(method, "/x?y=1", host, **more), self.now)
        return peer

    def tries(self) -> list[list[tuple[str, int, bool]]]:
        return [[(t.endpoint, t.status, t.reused) for t in record.tries] for record in self.log]


def test_a_request_is_passed_on_and_its_answer_back() -> None:
    lab = ProxyLab("10.244.2.5")
    server = lab.answering(OK)
    response = lab.ask(headers=(("User-Agent", "t"), ("X-Forwarded-For", "6.6.6.6"), ("Connection", "close")))
    request = Messages().read_request(server.data)
    assert request is not None
    sent = dict(request.headers)
    assert (request.method, request.target, sent["host"], sent["user-agent"]) == ("GET", "/x?y=1", "h", "t")
    assert sent["x-forwarded-for"] == sent["x-real-ip"] == "10.244.1.5"
    assert "connection" not in sent
    assert (response.status, response.body, response.close) == (200, b"ok", True)
    assert dict(response.headers)["x-pod"] == "a"
    assert "server" not in dict(response.headers)
    (record,) = lab.log
    assert (record.client.split(":")[0], record.service, record.status) == ("10.244.1.5", "default/web", 200)


def test_connections_to_endpoints_are_kept_and_taken_again() -> None:
    lab = ProxyLab("10.244.2.5")
    server = lab.answering(OK)
    for _ in range(3):
        lab.ask()
    assert server.told.count("accepted") == 1
    assert [entry[0][2] for entry in lab.tries()] == [False, True, True]
    lab.run(61 * S)  # upstream-keepalive-timeout
    assert server.told == ["accepted", "peer_closed", "closed"]


def test_without_keepalive_each_request_has_its_own_connection() -> None:
    lab = ProxyLab("10.244.2.5", keepalive=0)
    server = lab.answering(OK)
    for _ in range(2):
        lab.ask()
    assert server.told.count("accepted") == 2


def test_endpoints_take_turns() -> None:
    lab = ProxyLab("10.244.2.5:80", "10.244.2.5:81", "10.244.2.5:82")
    for port in (80, 81, 82):
        lab.answering(OK, port=port)
    for _ in range(9):
        lab.ask()
    asked = [entry[0][0] for entry in lab.tries()]
    assert asked[3:] == asked[:-3]
    assert len(set(asked)) == 3


@pytest.mark.parametrize(
    ("settings", "status", "tries"),
    [
        ({}, 200, 2),  # refused, then the next
        ({"proxy_next_upstream": frozenset({"timeout"})}, 502, 1),
        ({"proxy_next_upstream_tries": 1}, 502, 1),
    ],
)
def test_a_refused_connection_is_retried_at_the_next_endpoint(
    settings: dict[str, Any], status: int, tries: int
) -> None:
    lab = ProxyLab("10.244.2.5:81", "10.244.2.5:80", **settings)
    lab.answering(OK)  # nobody listens on 81
    found = {}
    for _ in range(2):
        response = lab.ask()
        found[len(lab.log[-1].tries), lab.log[-1].tries[0].status] = response.status
    assert found[tries, 502] == status
    assert set(found.values()) == {200, status}


def test_a_single_dead_endpoint_is_tried_three_times() -> None:
    lab = ProxyLab("10.244.2.5:81")
    response = lab.ask()
    assert (response.status, response.body.count(b"502 Bad Gateway")) == (502, 2)
    assert len(lab.log[0].tries) == 3


def test_silence_is_504_after_the_time_outs_of_all_tries() -> None:
    lab = ProxyLab("10.244.2.99", proxy_connect_timeout_ns=2 * S, proxy_next_upstream_tries=2)
    assert lab.ask(run_ns=5 * S).status == 504
    assert 4 * S <= lab.log[0].ended_ns - lab.log[0].started_ns < 4 * S + MS
    slow = ProxyLab("10.244.2.5", proxy_read_timeout_ns=1 * S, proxy_next_upstream_timeout_ns=1 * S)
    slow.peer()
    assert slow.ask(run_ns=5 * S).status == 504
    assert len(slow.log[0].tries) == 1  # the time for retries was over


@pytest.mark.parametrize(
    ("method", "conditions", "statuses"),
    [
        ("GET", {"http_503"}, [503, 503, 503]),
        ("GET", {"error"}, [503]),
        ("POST", {"http_503"}, [503]),
        ("POST", {"http_503", "non_idempotent"}, [503, 503, 503]),
    ],
)
def test_what_is_repeated(method: str, conditions: set[str], statuses: list[int]) -> None:
    lab = ProxyLab("10.244.2.5", proxy_next_upstream=frozenset(conditions))
    lab.answering(BUSY)
    assert lab.ask(method).status == 503
    assert [entry[1] for entry in lab.tries()[0]] == statuses


def test_a_kept_connection_that_breaks_costs_no_try() -> None:
    lab = ProxyLab("10.244.2.5", proxy_next_upstream_tries=1)
    server = lab.answering(OK)
    lab.ask()
    server.on_data = lambda peer, conn, _data, now: (
        conn.abort(now) if conn is peer.conns[0] else conn.send(OK, now)
    )
    assert lab.ask().status == 200
    assert lab.tries()[1] == [("10.244.2.5:80", 502, True), ("10.244.2.5:80", 200, False)]


def test_no_endpoints_and_no_location() -> None:
    lab = ProxyLab()
    assert lab.ask().status == 503
    assert lab.ask(host="other").status == 404
    assert [record.tries for record in lab.log] == [(), ()]
    assert [record.service for record in lab.log] == ["default/web", ""]


def test_a_client_that_goes_away_takes_the_request_with_it() -> None:
    lab = ProxyLab("10.244.2.5")
    server = lab.peer()
    client = lab.send()
    lab.run(10 * MS)
    client.conns[0].close(lab.now)
    lab.run(10 * MS)
    assert [record.status for record in lab.log] == [499]
    assert server.told == ["accepted", "peer_closed", "closed"]


def test_pipelined_requests_are_answered_in_order() -> None:
    lab = ProxyLab("10.244.2.5")
    lab.answering(OK)
    peer = lab.send()
    peer.conns[0].send(Messages().request("GET", "/", "other") + Messages().request("GET", "/", "h"), lab.now)
    lab.run(100 * MS)
    statuses = []
    data = peer.data
    while data:
        response = Messages().read_response(data)
        assert response is not None
        statuses.append(response.status)
        data = response.rest
    assert statuses == [200, 404, 200]


def test_what_is_no_http_is_refused() -> None:
    lab = ProxyLab("10.244.2.5")
    peer = Peer()
    lab.client.ns.sockets.connect(ip(CONTROLLER), 80, peer, lab.now, owner=peer)
    lab.run(5 * MS)
    peer.conns[0].send(b"hello\r\n\r\n", lab.now)
    lab.run(5 * MS)
    assert peer.data.startswith(b"HTTP/1.1 400 ")
    assert "peer_closed" in peer.told


def test_quit_finishes_what_was_begun() -> None:
    lab = ProxyLab("10.244.2.5")
    server = lab.peer()
    idle = Peer()
    lab.client.ns.sockets.connect(ip(CONTROLLER), 80, idle, lab.now, owner=idle)
    busy = lab.send()
    lab.run(5 * MS)
    lab.nginx.quit(lab.now)
    lab.run(5 * MS)
    assert idle.told[-2:] == ["peer_closed", "closed"]
    assert not lab.drained
    server.conns[0].send(OK, lab.now)
    lab.run(5 * MS)
    response = Messages().read_response(busy.data)
    assert response is not None
    assert response.close
    assert len(lab.drained) == 1
    late = Peer()
    lab.client.ns.sockets.connect(ip(CONTROLLER), 80, late, lab.now, owner=late)
    lab.run(5 * MS)
    assert late.told == ["ECONNREFUSED"]


def test_a_hung_proxy_answers_when_it_wakes() -> None:
    lab = ProxyLab("10.244.2.5", proxy_read_timeout_ns=1 * S)
    lab.answering(OK)
    lab.nginx.hang()
    peer = lab.send()
    lab.run(5 * S)
    assert peer.data == b""
    lab.nginx.resume(lab.now)
    lab.run(50 * MS)
    assert b"200 OK" in peer.data


def test_a_time_out_while_hung_counts_when_it_wakes() -> None:
    lab = ProxyLab("10.244.2.5", proxy_read_timeout_ns=1 * S, proxy_next_upstream_tries=1)
    lab.peer()
    peer = lab.send()
    lab.run(10 * MS)
    lab.nginx.hang()
    lab.run(5 * S)
    assert not lab.log
    lab.nginx.resume(lab.now)
    lab.run(50 * MS)
    assert b" 504 " in peer.data


def test_a_reload_closes_what_is_idle_and_uses_the_new_configuration() -> None:
    lab = ProxyLab("10.244.2.5:81")
    server = lab.answering(OK)
    kept = lab.send()
    lab.run(50 * MS)
    assert b" 502 " in kept.data
    lab.nginx.reload(lab.configured("10.244.2.5:80"), lab.now)
    lab.run(50 * MS)
    assert "peer_closed" in kept.told
    assert lab.ask().status == 200
    lab.nginx.reload(replace(lab.configuration), lab.now)
    lab.run(50 * MS)
    assert "peer_closed" in server.told
