"""What `conntrack -L` prints of a masqueraded connection to a Service, step by step, on both sides. Only the client's
port, which is drawn, and a second more or less are overlooked."""

import re
import select
import socket
from contextlib import closing

import pytest
from netlab import tcp, udp
from referee.backends import Iptables
from referee.cases import one_service
from referee.mapped import twin
from referee.plan import OUTSIDE, PODS
from referee.twins import Twins

ENDPOINT_PORT = 8080


def _case(family, protocol):
    case = one_service("iptables", 1, protocol)
    return case if family == 4 else twin(case)


def _twins(networks, family, protocol):
    case = _case(family, protocol)
    flow = case["flows"][1]  # from outside
    return Twins.of(networks(family), case, Iptables(family)), flow["sourceIP"], flow["destIP"]


def _listed(text):
    """Lines without the client's port; the seconds that an entry has left apart."""
    words = [line.split() for line in text.splitlines()]
    lines = [[re.sub(r"port=\d{5}$", "port=CLIENT", word) for word in line] for line in words]
    return [" ".join([*line[:2], *line[3:]]) for line in lines], [int(line[2]) for line in words]


def _same(real, simulated):
    for theirs, ours in zip(real, simulated, strict=True):
        (their_lines, their_seconds), (our_lines, our_seconds) = _listed(theirs), _listed(ours)
        assert our_lines == their_lines
        assert our_seconds == pytest.approx(their_seconds, abs=1)


def _ready(sock):
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    assert poll.poll(5000)


def _server(twins, protocol):
    place = twins.real.places[PODS]
    return place, next(s for name, port, s in place.servers if (name, port) == (protocol, ENDPOINT_PORT))


def _conntrack(twins):
    return twins.real.node.run("conntrack", "-L", "-f", f"ipv{twins.plan.family}")


def _real_tcp(twins, source, service):
    _, server = _server(twins, "TCP")
    with closing(twins.real.places[OUTSIDE].open("TCP", source)) as client:
        client.connect_ex((service, 80))
        _ready(server)
        connection, _ = server.accept()
        with closing(connection):
            client.sendall(b"hello")
            _ready(connection)
            assert connection.recv(10) == b"hello"
            yield _conntrack(twins)
            client.shutdown(socket.SHUT_WR)
            twins.real.wait(0.3)  # a FIN's ACK may be delayed, by 200 ms at most
            yield _conntrack(twins)
        _ready(client)
        yield _conntrack(twins)


def _simulated_tcp(twins, source, service):
    here = twins.simulated
    client, port = here.ports[OUTSIDE], here.ports[PODS]

    def ask(flags, payload=b""):
        client.arrive(tcp(source, 40000, service, 80, flags, payload))
        return port.one().flow.reverse()

    def answer(flow, flags):
        packet = tcp("::", 0, "::", 0, flags)
        packet.flow = flow
        port.arrive(packet)
        client.one()

    back = ask("S")
    answer(back, "S.")
    ask(".")
    ask(".", b"hello")
    answer(back, ".")
    yield here.ns.conntrack.render(0)
    ask("F.")
    answer(back, ".")
    yield here.ns.conntrack.render(0)
    answer(back, "F.")
    ask(".")
    yield here.ns.conntrack.render(0)


def _real_udp(twins, source, service):
    place, server = _server(twins, "UDP")
    with closing(twins.real.places[OUTSIDE].open("UDP", source)) as client:
        client.connect((service, 80))
        for pause_s in (0, 2.2):  # after two seconds it counts as a stream
            twins.real.wait(pause_s)
            client.send(b"hello")
            _ready(server)
            arrival = place.receive(server)
            yield _conntrack(twins)
            place.answer(server, arrival, b"hello")
            _ready(client)
            client.recv(10)
            yield _conntrack(twins)


def _simulated_udp(twins, source, service):
    here = twins.simulated
    client, port = here.ports[OUTSIDE], here.ports[PODS]
    for now in (0, 2_200_000_000):
        client.arrive(udp(source, 40000, service, 80), now)
        packet = udp("::", 0, "::", 0)
        packet.flow = port.one().flow.reverse()
        yield here.ns.conntrack.render(now)
        port.arrive(packet, now)
        client.one()
        yield here.ns.conntrack.render(now)


@pytest.mark.parametrize("family", [4, 6])
def test_tcp(family, networks):
    """Established; closed by the client; closed by both."""
    twins, *ends = _twins(networks, family, "TCP")
    real, simulated = list(_real_tcp(twins, *ends)), list(_simulated_tcp(twins, *ends))
    assert [line.split()[3] for line in real] == ["ESTABLISHED", "CLOSE_WAIT", "TIME_WAIT"]
    _same(real, simulated)


@pytest.mark.parametrize("family", [4, 6])
def test_udp(family, networks):
    """Asked; answered; asked and answered again after more than two seconds."""
    twins, *ends = _twins(networks, family, "UDP")
    real, simulated = list(_real_udp(twins, *ends)), list(_simulated_udp(twins, *ends))
    assert ["UNREPLIED" in line for line in real] == [True, False, False, False]
    _same(real, simulated)
