"""SCTP: associations between pods over real (and bad) links, cookies, and what is answered to packets of nobody."""

from types import SimpleNamespace
from typing import Any

import pytest
from netlab import Lab

from netsim.engine import MS, S
from netsim.fabric.link import Netem
from netsim.kernel.errno import Errno
from netsim.kernel.sctp import Association, State
from netsim.wire import sctp
from netsim.wire.addr import ip
from netsim.wire.packet import SCTP, Flow, Packet
from netsim.wire.sctp import Chunk, SctpPacket


class App:
    """Writes down what it is told; `echo` sends every message back."""

    def __init__(self, echo: bool = False) -> None:
        self.echo = echo
        self.told: list[tuple[Any, ...]] = []
        self.association: Association | None = None

    def accept(self, association: Association, now: int) -> "App":
        self.association = association
        return self

    def connected(self, association: Association, now: int) -> None:
        self.told.append(("connected",))

    def received(self, association: Association, message: bytes, now: int) -> None:
        self.told.append(("received", message))
        if self.echo:
            association.send(message, now)

    def closed(self, association: Association, now: int) -> None:
        self.told.append(("closed",))

    def failed(self, association: Association, errno: Errno, now: int) -> None:
        self.told.append(("failed", errno))


class Pair:
    """A client in a pod and a server in a pod on another node, at port 7."""

    def __init__(self, listening: bool = True) -> None:
        self.lab = Lab(real=True)
        self.client_host, self.server_host = self.lab.pod(1, 5), self.lab.pod(2, 5)
        self.client, self.server = App(), App(echo=True)
        if listening:
            self.listener = self.server_host.ns.sockets.sctp.listen(7, self.server.accept, owner=self.server)

    def connect(self) -> Association:
        made = self.client_host.ns.sockets.sctp.connect(self.server_host.address, 7, self.client, self.now)
        assert isinstance(made, Association)
        return made

    @property
    def now(self) -> int:
        return self.lab.engine.now

    def run(self, ns: int = 50 * MS) -> None:
        self.lab.engine.run(self.now + ns)

    def connected(self) -> Association:
        made = self.connect()
        self.run()
        assert made.state is State.ESTABLISHED
        return made

    def cut(self, up: bool = False) -> None:
        self.lab.fabric.set_cable(self.lab.fabric.cables["n2:eth0"], up)

    def states(self, node: int = 0) -> list[str]:
        conntrack = self.lab.nodes[node].ns.conntrack
        assert conntrack is not None
        return [entry.state_name for entry in conntrack.entries(self.now)]

    def send(self, tag: int, *chunks: Chunk, sport: int = 999) -> None:
        """A packet of nobody's, from the client's pod."""
        ns = self.client_host.ns
        flow = Flow(self.client_host.address, self.server_host.address, sport, 7, SCTP)
        ns.output(Packet(flow, SctpPacket(tag, *chunks), next(ns.uids)), self.now)

    def heard(self) -> list[Any]:
        """What comes to the client's pod, instead of going to its sockets."""
        got: list[Any] = []

        def deliver(packet: Packet, now: int) -> None:
            got.append(packet.body)

        self.client_host.ns.sockets.sctp = SimpleNamespace(deliver=deliver)  # type: ignore[assignment]
        return got


def test_a_message_there_and_back_and_an_orderly_end() -> None:
    pair = Pair()
    association = pair.connected()
    assert pair.states() == pair.states(1) == ["ESTABLISHED"]
    assert association.send(b"hello", pair.now) is None
    pair.run()
    association.close(pair.now)
    pair.run()
    assert pair.client.told == [("connected",), ("received", b"hello"), ("closed",)]
    assert pair.server.told == [("received", b"hello"), ("closed",)]
    assert pair.states() == ["CLOSED"]
    for host in (pair.client_host, pair.server_host):
        assert host.ns.sockets.sctp.associations == {}


def test_long_messages_are_cut_into_fragments_and_joined() -> None:
    pair = Pair()
    association = pair.connected()
    message = bytes(range(256)) * 40
    association.send(message, pair.now)
    assert association.send(b"", pair.now) is Errno.EINVAL
    association.send(b"x", pair.now)
    pair.run(200 * MS)
    assert pair.client.told == [("connected",), ("received", message), ("received", b"x")]


def test_the_server_may_shut_down_too() -> None:
    pair = Pair()
    association = pair.connected()
    association.send(b"x" * 5000, pair.now)
    assert pair.server.association is not None
    pair.server.association.close(pair.now)
    pair.run(5 * S)
    assert pair.client.told[-1] == ("closed",)
    assert ("closed",) in pair.server.told


def test_nobody_listens() -> None:
    pair = Pair(listening=False)
    pair.connect()
    pair.run()
    assert pair.client.told == [("failed", Errno.ECONNREFUSED)]
    assert pair.states() == ["CLOSED"]


def test_a_dead_process_aborts() -> None:
    pair = Pair()
    pair.connected()
    assert pair.server.association is not None
    pair.server_host.ns.sockets.close_all(pair.server, pair.now)
    pair.run()
    assert pair.client.told == [("connected",), ("failed", Errno.ECONNRESET)]
    pair.connect()
    pair.run()
    assert pair.client.told[-1] == ("failed", Errno.ECONNREFUSED)


def test_init_is_sent_eight_times_again() -> None:
    """RTO 3 s, doubled up to 60 s: 3+6+12+24+48+60+60+60+60 s."""
    pair = Pair()
    pair.lab.fabric.set_cable(pair.lab.fabric.cables["p2-5:eth0"], up=False)
    pair.connect()
    pair.run(332 * S)
    assert pair.client.told == []
    pair.run(2 * S)
    assert pair.client.told == [("failed", Errno.ETIMEDOUT)]
    assert pair.client_host.ns.sent == 9


def test_what_icmp_said_is_told_at_the_end() -> None:
    """The server's node is gone: host unreachable from the client's, but only a hint (sctp_v4_err)."""
    pair = Pair()
    pair.cut()
    pair.connect()
    pair.run(300 * S)
    assert pair.client.told == []
    pair.run(40 * S)
    assert pair.client.told == [("failed", Errno.EHOSTUNREACH)]


def test_no_route() -> None:
    pair = Pair()
    pair.client_host.ns.routes.__init__()  # type: ignore[misc]
    pair.client_host.ns.changed()
    made = pair.client_host.ns.sockets.sctp.connect(ip("192.0.2.1"), 7, pair.client, 0)
    assert made is Errno.ENETUNREACH


@pytest.mark.parametrize("seed", range(4))
def test_losses_are_made_good(seed: int) -> None:
    pair = Pair()
    association = pair.connected()
    pair.lab.fabric.set_netem(pair.lab.fabric.cables["n2:eth0"], Netem(loss=0.2))
    messages = [bytes([number]) * (300 * number + 1 + seed) for number in range(12)]
    for message in messages:
        association.send(message, pair.now)
    association.close(pair.now)
    pair.run(900 * S)
    assert (
        pair.client.told[1:-1] == [("received", message) for message in messages][: len(pair.client.told) - 2]
    )
    assert [told for told in pair.server.told if told[0] == "received"] == [("received", m) for m in messages]


def test_a_lost_cookie_ack_is_asked_for_again() -> None:
    pair = Pair()
    pair.connect()
    while pair.server.association is None:
        pair.run(MS // 20)
    pair.cut()
    pair.run(MS)
    pair.cut(up=True)
    pair.run(4 * S)
    assert pair.client.told == [("connected",)]
    assert len(pair.server_host.ns.sockets.sctp.associations) == 1


def test_listening_keeps_nothing_of_an_init() -> None:
    pair = Pair()
    pair.heard()
    for sport in range(1000, 1050):
        pair.send(0, sctp.init_chunk(sctp.INIT, sctp.Init(5, 1000, 9)), sport=sport)
    pair.run()
    assert pair.server_host.ns.sockets.sctp.associations == {}


@pytest.mark.parametrize("how", ["forged", "stale", "of another port", "short", "good"])
def test_cookies(how: str) -> None:
    pair = Pair()
    answers = pair.heard()
    pair.send(0, sctp.init_chunk(sctp.INIT, sctp.Init(5, 1000, 9)))
    pair.run()
    init = sctp.read_init(answers[0].chunks[0])
    assert init is not None
    cookie = {"forged": init.cookie[:-1] + b"!", "short": b"x"}.get(how, init.cookie)
    pair.run(61 * S if how == "stale" else MS)
    pair.send(init.tag, Chunk(sctp.COOKIE_ECHO, 0, cookie), sport=998 if how == "of another port" else 999)
    pair.run()
    assert len(pair.server_host.ns.sockets.sctp.associations) == (how == "good")


@pytest.mark.parametrize(
    ("tag", "chunk", "answer"),
    [
        (0, sctp.init_chunk(sctp.INIT, sctp.Init(5, 1000, 9)), [(5, (sctp.ABORT, 0))]),
        (7, sctp.shutdown_chunk(1), [(7, (sctp.ABORT, sctp.REFLECTED))]),
        (7, Chunk(sctp.SHUTDOWN_ACK), [(7, (sctp.SHUTDOWN_COMPLETE, sctp.REFLECTED))]),
        (7, Chunk(sctp.ABORT), []),
        (7, Chunk(sctp.COOKIE_ACK), []),
    ],
)
def test_packets_out_of_the_blue(tag: int, chunk: Chunk, answer: list[Any]) -> None:
    """RFC 9260, 8.4, without the nodes, whose connection tracking would hold some of these back."""
    pair = Pair(listening=False)
    ns = pair.server_host.ns
    flow = Flow(pair.client_host.address, pair.server_host.address, 999, 7, SCTP)
    sent: list[Packet] = []
    ns.output = lambda packet, now: sent.append(packet)  # type: ignore[assignment,func-returns-value]
    ns.sockets.deliver(Packet(flow, SctpPacket(tag, chunk)), 0)
    said = [p.body for p in sent if isinstance(p.body, SctpPacket)]
    assert [(body.tag, *((c.type, c.flags) for c in body.chunks)) for body in said] == answer


def test_a_wrong_tag_is_not_for_us() -> None:
    pair = Pair()
    association = pair.connected()
    body = SctpPacket(association.tag ^ 1, Chunk(sctp.ABORT))
    assert association.arrive(body, pair.now) is not None
    assert association.state is State.ESTABLISHED


def test_heartbeats_are_answered() -> None:
    pair = Pair()
    association = pair.connected()
    sent: list[Packet] = []
    association.sockets.ns.output = lambda packet, now: sent.append(packet)  # type: ignore[assignment,func-returns-value]
    association.arrive(SctpPacket(association.tag, Chunk(sctp.HEARTBEAT, 0, b"info")), pair.now)
    body = sent[0].body
    assert isinstance(body, SctpPacket)
    assert body.chunks == (Chunk(sctp.HEARTBEAT_ACK, 0, b"info"),)
