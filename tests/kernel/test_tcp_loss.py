"""Whatever the network loses, repeats and reorders, what arrives is what was sent, and both ends come to an end."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tcplab import DELAY, MS, B, Recorder, S, Server, Wire, close_on_end

from netsim.kernel.tcp_state import State
from netsim.wire.packet import Packet

# What happens to one packet: the delays of its copies, in units of the wire's own delay.
FATES = st.lists(st.sampled_from([[1], [1], [1], [1], [], [1, 1], [1, 3], [4], [9], [2, 30]]), max_size=80)
ENDS = (State.CLOSED, State.TIME_WAIT)


class Peer(Recorder):
    """Sends its data in chunks as soon as it may, closes when it has sent all."""

    def __init__(self, chunks: list[bytes]) -> None:
        super().__init__()
        self.chunks = chunks

    def begin(self, conn: object, now: int) -> None:
        for chunk in self.chunks:
            conn.send(chunk, now)  # type: ignore[attr-defined]
        conn.shutdown(now)  # type: ignore[attr-defined]


@settings(max_examples=150, deadline=None)
@given(
    fates=FATES,
    up=st.lists(st.integers(1, 9000), max_size=4),
    down=st.lists(st.integers(1, 9000), max_size=4),
    scaling=st.booleans(),
)
def test_the_bytes_sent_are_the_bytes_received(
    fates: list[list[int]], up: list[int], down: list[int], scaling: bool
) -> None:
    wire = Wire(mtu=1500 if scaling else 576)
    queue = iter(fates)

    def rule(_packet: Packet, _now: int) -> list[int]:
        return [copies * DELAY for copies in next(queue, [1])]

    wire.rule = rule
    make = [bytes([n % 251]) * size for n, size in enumerate(up)]
    client = Peer(make)
    client.on_connected = client.begin
    answer = [bytes([100 + n % 151]) * size for n, size in enumerate(down)]
    peers: list[Peer] = []

    def accept(conn: object, now: int) -> Peer:
        peer = Peer(answer)
        peers.append(peer)
        peer.begin(conn, now)
        return peer

    wire.b.sockets.listen(80, accept)
    conn = wire.a.sockets.connect(B, 80, client, 0)
    wire.run(400 * S)
    assert peers[-1].data == b"".join(make)
    assert client.data == b"".join(answer)
    assert client.events[0] == "connected"
    assert client.events[-1] == peers[-1].events[-1] == "closed"
    assert conn.state in ENDS
    assert wire.a.sockets.connections() == wire.b.sockets.connections() == []
    wire.run(600 * S)
    assert wire.a.sockets.by_key == wire.b.sockets.by_key == {}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), loss=st.floats(0.0, 0.3), size=st.integers(1, 200_000))
def test_a_long_transfer_over_a_bad_line(seed: int, loss: float, size: int) -> None:
    wire = Wire(seed=seed)
    rng = wire.a.random

    def rule(_packet: Packet, _now: int) -> list[int]:
        return [] if rng.random() < loss else [int(DELAY * (1 + rng.random()))]

    server = Server(wire.b)
    server.setup = close_on_end
    client = Recorder()
    conn = wire.a.sockets.connect(B, 80, client, 0)
    wire.run(MS)
    wire.rule = rule
    data = rng.randbytes(size)
    conn.send(data, wire.now)
    conn.close(wire.now)
    # Long enough for bad luck, short enough not to be given up by a closed socket.
    wire.run(100 * S)
    wire.mend()
    wire.run(600 * S)
    received = server.accepted[0].data
    assert data.startswith(received)
    if client.events[-1] == "closed":
        assert received == data
