"""Echo servers, and the clients for what is not HTTP: answers, silence, errors, kept sockets."""

from typing import Any

import pytest
from httplab import Answer, HttpLab, Names

from netsim.engine import MS, S
from netsim.wire.addr import ip, ip_text
from netsim.workload.clients import Scheme, make_client
from netsim.workload.echo import EchoServer, EchoSpec
from netsim.workload.http_client import ClientSpec
from netsim.workload.load import LoadGenerator, LoadSpec
from netsim.workload.records import RequestDone
from netsim.workload.retries import RetrySpec


@pytest.fixture
def lab() -> HttpLab:
    return HttpLab()


def serve(lab: HttpLab, **spec: Any) -> EchoServer:
    server = EchoServer(lab.server, EchoSpec(**spec))
    server.start(lab.engine.now)
    return server


def address(lab: HttpLab) -> str:
    return lab.address


def ask(
    lab: HttpLab, scheme: Scheme, port: int, times: int = 1, resolver: Any = None, **spec: Any
) -> list[Any]:
    host = spec.pop("host", address(lab))
    client = make_client(scheme, lab.client, ClientSpec(host, port, timeout_ns=1 * S, **spec), resolver)
    done: list[Any] = []
    for _ in range(times):
        client.exchange(lambda exchange, _now: done.append(exchange)).begin(lab.engine.now)
        lab.engine.run(lab.engine.now + 2 * S)
    return done


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_an_answer_takes_the_service_time(lab: HttpLab, scheme: Scheme) -> None:
    server = serve(lab, tcp=(7,), udp=(7,), service_ns=5 * MS)
    (done,) = ask(lab, scheme, 7)
    assert (done.outcome, done.error) == ("ok", "")
    assert 5 * MS < done.ended_ns - done.started_ns < 7 * MS
    assert server.answered == 1
    assert server.clients == {lab.client.address: 1}


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_a_port_without_server_refuses(lab: HttpLab, scheme: Scheme) -> None:
    (done,) = ask(lab, scheme, 9)
    assert (done.outcome, done.status) == ("refused", 0)


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_a_hung_server_is_silent(lab: HttpLab, scheme: Scheme) -> None:
    server = serve(lab, tcp=(7,), udp=(7,))
    server.hang(lab.engine.now)
    (done,) = ask(lab, scheme, 7)
    assert (done.outcome, done.ended_ns - done.started_ns) == ("timeout", 1 * S)
    server.resume(lab.engine.now)
    assert ask(lab, scheme, 7)[0].outcome == "ok"


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_an_ended_server_refuses_and_tells_its_exit_code(lab: HttpLab, end: str) -> None:
    server = serve(lab, tcp=(7,), udp=(7,))
    codes: list[int] = []
    server.exited = lambda code, _now: codes.append(code)
    getattr(server, end)(lab.engine.now)
    assert codes == [{"terminate": 0, "kill": 137}[end]]
    assert {ask(lab, scheme, 7)[0].outcome for scheme in ("tcp", "udp")} == {"refused"}  # type: ignore[arg-type]


def test_a_taken_port_ends_the_process(lab: HttpLab) -> None:
    serve(lab, udp=(7,))
    second = EchoServer(lab.server, EchoSpec(udp=(7,)))
    codes: list[int] = []
    second.exited = lambda code, _now: codes.append(code)
    second.start(lab.engine.now)
    assert codes == [1]


@pytest.mark.parametrize(("keep_alive", "ports"), [(False, 5), (True, 1)])
def test_kept_sockets_have_one_source_port(lab: HttpLab, keep_alive: bool, ports: int) -> None:
    serve(lab, udp=(7,))
    done = ask(lab, "udp", 7, times=5, keep_alive=keep_alive)
    assert {exchange.outcome for exchange in done} == {"ok"}
    assert len({exchange.flow.sport for exchange in done}) == ports
    assert len({exchange.connection for exchange in done}) == ports
    assert [exchange.reused for exchange in done] == [False] + [keep_alive] * 4


def test_kept_tcp_connections_are_reused(lab: HttpLab) -> None:
    serve(lab, tcp=(7,))
    done = ask(lab, "tcp", 7, times=3, keep_alive=True)
    assert [exchange.reused for exchange in done] == [False, True, True]


def test_a_name_is_looked_up_and_may_not_exist(lab: HttpLab) -> None:
    serve(lab, udp=(7,))
    good = Names(lab.engine, [Answer((lab.server.address,))])
    (done,) = ask(lab, "udp", 7, resolver=good, host="echo")
    assert (done.outcome, done.resolved_ns - done.started_ns) == ("ok", 1 * MS)
    bad = Names(lab.engine, [Answer(error="NXDOMAIN")])
    (done,) = ask(lab, "udp", 7, resolver=bad, host="echo")
    assert (done.outcome, done.error) == ("dns", "NXDOMAIN")


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
@pytest.mark.parametrize("model", ["open", "closed"])
def test_loads(lab: HttpLab, scheme: Scheme, model: Any) -> None:
    serve(lab, tcp=(7,), udp=(7,), service_ns=1 * MS)
    records: list[RequestDone] = []
    lab.engine.bus.subscribe(RequestDone, records.append)
    spec = LoadSpec(
        "l", address(lab), 7, scheme, model=model, rate_per_s=100 if model == "open" else 0, arrivals="constant",
        connections=2 if model == "closed" else 0, think_time_ns=8 * MS, for_ns=1 * S, keep_alive=True,
    )  # fmt: skip
    generator = LoadGenerator(lab.client, spec)
    generator.start(lab.engine.now)
    lab.engine.run(lab.engine.now + 2 * S)
    generator.stop(lab.engine.now)
    assert {record.outcome for record in records} == {"ok"}
    assert len(records) == pytest.approx(100 if model == "open" else 2 * 107, abs=8)
    assert len({record.connection for record in records}) == (2 if model == "closed" else 1)


def test_retries_and_a_stopped_load(lab: HttpLab) -> None:
    records: list[RequestDone] = []
    lab.engine.bus.subscribe(RequestDone, records.append)
    spec = LoadSpec("l", ip_text(ip("10.244.2.99")), 7, "udp", rate_per_s=10, arrivals="constant", timeout_ns=200 * MS,
                    retry=RetrySpec(1), for_ns=300 * MS)  # fmt: skip
    generator = LoadGenerator(lab.client, spec)
    generator.start(lab.engine.now)
    lab.engine.run(lab.engine.now + 550 * MS)
    generator.stop(lab.engine.now)
    assert [(record.outcome, record.attempts) for record in records] == [
        ("timeout", 2), ("timeout", 2), ("aborted", 2),
    ]  # fmt: skip
