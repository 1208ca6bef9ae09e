"""Which connections a client keeps, for how long, and its time-outs and TCP options; on real sockets."""

import pytest
from httplab import NOBODY, Answer, HttpLab, Names, Peer

from netsim.engine import MS, S
from netsim.kernel.tcp import TcpConnection
from netsim.wire.addr import ip
from netsim.wire.packet import FIN, TcpSegment
from netsim.workload.http_client import HttpClient
from netsim.workload.http_pool import PoolSpec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def ask(lab: HttpLab, client: HttpClient, after_ns: int = 0, times: int = 1) -> list[int]:
    """Requests one after the other, each after a pause; the connections that they travelled on."""
    before = len(lab.over)
    for _ in range(times):
        lab.run(after_ns + 1)
        lab.get(client)
        lab.run(5 * MS)
    assert {exchange.outcome for exchange in lab.over[before:]} <= {"ok"}
    return [exchange.connection for exchange in lab.over[before:]]


@pytest.mark.parametrize(
    ("pool", "pause_ns", "connections"),
    [
        (PoolSpec(), 1 * S, [1, 1, 1, 1]),
        (PoolSpec(idle_timeout_ns=2 * S), 1 * S, [1, 1, 1, 1]),  # each use begins the idle time anew
        (PoolSpec(idle_timeout_ns=900 * MS), 1 * S, [1, 2, 3, 4]),
        (PoolSpec(max_requests=2), 1 * S, [1, 1, 2, 2]),
        (PoolSpec(max_age_ns=1500 * MS), 1 * S, [1, 1, 2, 2]),
    ],
)
def test_how_long_a_connection_is_kept(pool: PoolSpec, pause_ns: int, connections: list[int]) -> None:
    lab = HttpLab()
    lab.serve()
    assert ask(lab, lab.http(keep_alive=True, pool=pool), pause_ns, 4) == connections


def test_the_client_closes_what_was_idle_too_long() -> None:
    lab = HttpLab()
    server = lab.answering(OK)
    client = lab.http(keep_alive=True, pool=PoolSpec(idle_timeout_ns=3 * S))
    ask(lab, client)
    lab.run(10 * S)
    assert server.told == ["accepted", "peer_closed", "closed"]
    assert server.events[1][1] - server.events[0][1] == pytest.approx(3 * S, abs=5 * MS)
    assert client.pool is not None
    assert (client.pool.opened, client.pool.idle) == (0, [])


def test_no_more_than_so_many_are_idle() -> None:
    lab = HttpLab()
    lab.serve(service_ns=10 * MS)
    client = lab.http(keep_alive=True, pool=PoolSpec(max_idle=2))
    for _ in range(5):
        lab.get(client)
    lab.run(1 * S)
    assert [exchange.outcome for exchange in lab.over] == ["ok"] * 5
    assert client.pool is not None
    assert len(client.pool.idle) == client.pool.opened == 2


@pytest.mark.parametrize(("replace", "outcomes"), [(True, ["ok", "ok"]), (False, ["ok", "reset"])])
def test_a_dead_connection_is_replaced_or_not(replace: bool, outcomes: list[str]) -> None:
    lab = HttpLab()
    answers = [OK, b"", OK]

    def answer(_peer: Peer, conn: TcpConnection, _data: bytes, now: int) -> None:
        given = answers.pop(0)
        if given:
            conn.send(given, now)
        else:
            conn.abort(now)

    lab.peer(answer)
    client = lab.http(keep_alive=True, pool=PoolSpec(replace=replace))
    for _ in outcomes:
        lab.get(client)
        lab.run(1 * S)
    assert [exchange.outcome for exchange in lab.over] == outcomes
    assert [exchange.replaced for exchange in lab.over] == [False, replace]


# ---------------------------------------------------------------------- time-outs
def test_the_time_for_connecting_is_apart() -> None:
    lab = HttpLab()
    exchange = lab.get(host=NOBODY, connect_timeout_ns=300 * MS, timeout_ns=10 * S)
    lab.run(20 * S)
    assert (exchange.outcome, exchange.error) == ("timeout", "connect time-out while connecting")
    assert exchange.ended_ns - exchange.started_ns == 300 * MS


def test_once_connected_it_does_not_count() -> None:
    lab = HttpLab()
    lab.serve(service_ns=2 * S)
    exchange = lab.get(connect_timeout_ns=300 * MS, timeout_ns=10 * S)
    lab.run(20 * S)
    assert exchange.outcome == "ok"


def test_the_look_up_counts() -> None:
    lab = HttpLab()
    names = Names(lab.engine, [Answer((ip(lab.address),))], delay_ns=1 * S)
    exchange = lab.get(lab.http(names, host="web", connect_timeout_ns=300 * MS))
    lab.run(20 * S)
    assert exchange.error == "connect time-out while looking up the name"


def test_without_a_time_out_the_kernel_decides() -> None:
    lab = HttpLab()
    exchange = lab.get(host=NOBODY, timeout_ns=0)
    lab.run(200 * S)
    assert (exchange.outcome, exchange.error) == ("timeout", "Connection timed out")
    assert exchange.ended_ns - exchange.started_ns == 131 * S  # the SYN ladder since Linux 6.5
    client = lab.http(timeout_ns=0)
    assert client.outstanding == 0


# ---------------------------------------------------------------------- a connection from before the fault
def silent(lab: HttpLab, **spec: object) -> HttpClient:
    """A client with a kept connection to a server that then loses its cable."""
    lab.answering(OK)
    client = lab.http(**{"keep_alive": True, "timeout_ns": 0, **spec})
    assert ask(lab, client) == [1]
    lab.fabric.set_cable(lab.fabric.cables["n2:eth0"], up=False)
    return client


@pytest.mark.parametrize(
    ("spec", "expected_ns"),
    [({}, 924_600 * MS), ({"user_timeout_ns": 20 * S}, 20 * S), ({"timeout_ns": 5 * S}, 5 * S)],
)
def test_how_long_a_request_into_silence_lasts(spec: dict[str, int], expected_ns: int) -> None:
    lab = HttpLab()
    exchange = lab.get(silent(lab, pool=PoolSpec(replace=False), **spec))
    lab.run(1000 * S)
    assert exchange.outcome in ("timeout", "unreachable")
    assert exchange.reused
    assert exchange.ended_ns - exchange.started_ns == pytest.approx(expected_ns, rel=0.01)


def test_probes_find_out_while_it_is_idle() -> None:
    lab = HttpLab()
    client = silent(lab, keepalive=(10 * S, 5 * S, 3))
    lab.run(24 * S)
    assert client.pool is not None
    assert len(client.pool.idle) == 1
    lab.run(2 * S)  # 10 s, and three probes, 5 s apart
    assert client.pool.idle == []


def test_keepalive_as_the_sysctls_say() -> None:
    lab = HttpLab()
    client = silent(lab, keepalive=(0, 0, 0))
    assert client.pool is not None
    assert client.pool.idle[0].conn.keepalive == (7200 * S, 75 * S, 9)


def test_the_client_says_goodbye() -> None:
    """A FIN and no RST: what is one too many is closed as any other."""
    lab = HttpLab()
    lab.serve(service_ns=5 * MS)
    flags: list[int] = []
    cable = lab.fabric.cables["default/client:eth0"]
    cable.there.taps.append(
        lambda _link, packet, _at: (
            flags.append(packet.body.flags) if isinstance(packet.body, TcpSegment) else None
        )
    )
    cable.there.rewire()
    client = lab.http(keep_alive=True, pool=PoolSpec(max_idle=1))
    lab.get(client)
    lab.get(client)
    lab.run(1 * S)
    assert sum(bool(flag & FIN) for flag in flags) == 1
    assert not any(flag & 4 for flag in flags)
