"""Questions over TCP: connections that are kept, given again, replaced when closed, and never mixed up."""

from typing import Any

import pytest

from netsim.cluster.dns.exchange import HostExchanger
from netsim.cluster.dns.exchange_tcp import tcp_frames
from netsim.cni.flat import FlatCni
from netsim.engine import MS, Engine, S
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.wire.addr import ip

SERVER = ip("198.51.100.53")


class Lab:
    """A client and a server that echoes each question, unless it is told to be silent or to hang up."""

    def __init__(self, keep_ns: int = 10 * S) -> None:
        self.engine = Engine(seed=1)
        fabric = Fabric(self.engine, FabricConfig(), FlatCni())
        self.client, host = fabric.add_outside("c", ip("198.51.100.1")), fabric.add_outside("s", SERVER)
        self.accepted: list[Any] = []
        self.silent = False
        host.ns.sockets.listen(53, self.accept)
        self.exchanger = HostExchanger(self.client, self, self.engine.stream("x"), keep_ns)
        self.got: list[tuple[bytes | None, int]] = []

    def accept(self, conn: Any, _now: int) -> "Lab":
        self.accepted.append(conn)
        self.buffer = bytearray()
        return self

    def connected(self, *_: Any) -> None: ...
    def closed(self, *_: Any) -> None: ...
    def failed(self, *_: Any) -> None: ...

    def peer_closed(self, conn: Any, now: int) -> None:
        conn.close(now)

    def received(self, conn: Any, data: bytes, now: int) -> None:
        for frame in tcp_frames(self.buffer, data):
            if not self.silent:
                conn.send(len(frame).to_bytes(2) + frame, now)

    def ask(self, tail: bytes, wait_ns: int = 100 * MS) -> bytes | None:
        before = len(self.got)
        self.exchanger.exchange(
            SERVER, 53, tail, 2 * S, lambda reply, now: self.got.append((reply, now)), over_tcp=True
        )
        self.wait(wait_ns)
        return self.got[-1][0] if len(self.got) > before else b"still waiting"

    def wait(self, ns: int) -> None:
        self.engine.run(self.engine.now + ns)


@pytest.mark.parametrize(("keep_ns", "connections"), [(0, 3), (10 * S, 1)])
def test_one_connection_for_all_questions(keep_ns: int, connections: int) -> None:
    lab = Lab(keep_ns)
    for number in range(3):
        reply = lab.ask(b"%d" % number)
        assert reply is not None
        assert reply[2:] == b"%d" % number
    assert len(lab.accepted) == connections


def test_questions_at_the_same_time_have_connections_of_their_own() -> None:
    lab = Lab()
    for number in range(3):
        lab.ask(b"%d" % number, wait_ns=1)
    lab.wait(1 * S)
    assert sorted(reply[2:] for reply, _ in lab.got if reply) == [b"0", b"1", b"2"]
    assert len(lab.accepted) == 3
    lab.ask(b"again")
    assert len(lab.accepted) == 3


def test_an_idle_connection_is_closed_after_a_while() -> None:
    lab = Lab()
    lab.ask(b"x")
    lab.wait(9 * S)
    assert lab.client.ns.sockets.connections()
    lab.ask(b"y")  # the ten seconds begin anew
    lab.wait(9 * S)
    assert len(lab.accepted) == 1
    lab.wait(2 * S)
    assert not lab.client.ns.sockets.connections()
    assert lab.ask(b"z")
    assert len(lab.accepted) == 2


def test_what_the_server_closed_is_replaced() -> None:
    lab = Lab()
    lab.ask(b"x")
    lab.accepted[0].close(lab.engine.now)
    lab.wait(1 * S)
    reply = lab.ask(b"y")
    assert reply is not None
    assert reply[2:] == b"y"


def test_a_reset_in_the_middle_of_a_question_asks_again_over_another_connection() -> None:
    lab = Lab()
    lab.ask(b"x")
    lab.silent = True
    assert lab.ask(b"y", 10 * MS) == b"still waiting"
    lab.silent = False
    lab.accepted[0].close(lab.engine.now)
    lab.wait(100 * MS)
    assert lab.got[-1][0] is not None
    assert len(lab.accepted) == 2


def test_a_late_answer_is_not_taken_for_the_next_ones() -> None:
    lab = Lab()
    lab.ask(b"x")
    lab.silent = True
    asked = lab.engine.now
    assert lab.ask(b"y", 3 * S) is None
    assert lab.got[-1][1] == asked + 2 * S
    lab.silent = False
    assert (lab.ask(b"z") or b"")[2:] == b"z"
    assert len(lab.accepted) == 2


def test_a_process_that_is_gone_asks_nobody() -> None:
    lab = Lab()
    lab.ask(b"x")
    lab.silent = True
    lab.ask(b"y", 10 * MS)
    lab.exchanger.stopped = True
    lab.client.ns.sockets.close_all(lab, lab.engine.now)
    lab.silent = False
    lab.ask(b"z", 5 * S)
    assert len(lab.accepted) == 1
