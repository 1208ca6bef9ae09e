"""Whatever a user's pod sends to port 53: an rcode or a counted drop, never an exception, and the server goes on."""

import struct
from collections.abc import Iterable

import dns.message
import dns.rcode
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR

from netsim.cluster.dns.dry_run import check_corefile
from netsim.cluster.dns.exchange import HostExchanger
from netsim.cluster.dns.server import DnsServer
from netsim.cni.flat import FlatCni
from netsim.engine import MS, Engine, S
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.wire.addr import ip
from netsim.wire.dns import NOERROR, A
from netsim.wire.dns_codec import DnsCodec

SERVER = "198.51.100.53"
COREFILE = """.:53 {
    cache 30
    rewrite name old.example web.example
    template IN TXT t.example {
        match "(.*)[.]t[.]example"
        answer "{{ .Name }} 60 IN TXT {{ index .Match 1 }}"
    }
    hosts {
        10.0.0.1 web.example
    }
}
"""
GOOD = DnsCodec().query("web.example.", A)


class Lab:
    """A server with some plugins and a client that may send any bytes."""

    def __init__(self) -> None:
        self.engine = Engine(seed=1)
        fabric = Fabric(self.engine, FabricConfig(), FlatCni())
        self.client = fabric.add_outside("client", ip("198.51.100.1"))
        host = fabric.add_outside("dns", ip(SERVER))
        self.server = DnsServer(host, dict(check_corefile(COREFILE, {}).ports), DnsCodec())
        self.server.start(0)
        self.heard: list[bytes] = []
        self.socket = self.client.ns.sockets.open_udp(lambda _s, payload, *_: self.heard.append(payload))

    def send(self, messages: Iterable[bytes]) -> list[bytes]:
        for message in messages:
            self.socket.send(message, ip(SERVER), 53, self.engine.now)
            self.engine.run(self.engine.now + MS)
        self.engine.run(self.engine.now + 10 * MS)
        heard, self.heard[:] = list(self.heard), []
        return heard

    def well(self) -> bool:
        """Whether a sound query is answered."""
        [reply] = self.send([b"\x12\x34" + GOOD])
        message = dns.message.from_wire(reply)
        return message.rcode() == NOERROR and message.answer[0][0].address == "10.0.0.1"


def damaged(message: bytes, places: list[tuple[int, int]], length: int) -> bytes:
    raw = bytearray(message)
    for at, value in places:
        raw[at % len(raw)] = value
    return bytes(raw[:length])


damage = st.builds(
    damaged,
    st.sampled_from([b"\0\1" + GOOD, b"\0\1" + DnsCodec().query("a.t.example.", 16, 1232)]),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=6),
    st.integers(0, 100),
)
LOOP = b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"  # a name that points at itself
LONG = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 63 + b"\0\0\1\0\1"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=80) | damage, max_size=8))
@example([LOOP, LONG, b"", b"\0", bytes(12), b"\xff" * 512])
def test_garbage_over_udp(messages: list[bytes]) -> None:
    lab = Lab()
    replies = lab.send(messages)
    assert len(replies) + lab.server.ignored == len(messages)
    for reply in replies:
        read = dns.message.from_wire(reply, ignore_trailing=True)
        assert read.flags & 0x8000
    assert lab.well()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=80) | damage, max_size=5), st.booleans())
def test_garbage_over_tcp(messages: list[bytes], framed: bool) -> None:
    lab = Lab()

    class Handler:
        def connected(self, conn: object, now: int) -> None:
            for message in messages:
                conn.send((struct.pack("!H", len(message)) if framed else b"") + message, now)  # type: ignore[attr-defined]

        def received(self, *_: object) -> None: ...
        def peer_closed(self, *_: object) -> None: ...
        def closed(self, *_: object) -> None: ...
        def failed(self, *_: object) -> None: ...

    lab.client.ns.sockets.connect(ip(SERVER), 53, Handler(), lab.engine.now)
    lab.engine.run(lab.engine.now + 100 * MS)
    assert lab.well()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=120) | damage)
def test_garbage_as_an_answer(payload: bytes) -> None:
    """A server that answers rubbish: forwarders and resolvers take it for no answer at all."""
    codec = DnsCodec()
    codec.answer(payload)
    codec.message(payload)


def test_an_exchange_ends_whatever_comes_back() -> None:
    engine = Engine(seed=1)
    fabric = Fabric(engine, FabricConfig(), FlatCni())
    client, liar = fabric.add_outside("c", ip("198.51.100.1")), fabric.add_outside("s", ip(SERVER))
    liar.ns.sockets.open_udp(
        lambda s, payload, src, port, now: s.send(payload[:2] + b"\xff" * 40, src, port, now), 53
    )
    got: list[bytes | None] = []
    exchanger = HostExchanger(client, client, engine.stream("x"))
    exchanger.exchange(ip(SERVER), 53, GOOD, S, lambda payload, _now: got.append(payload))
    engine.run(2 * S)
    assert len(got) == 1
    assert got[0] is not None
    assert DnsCodec().message(got[0]) is None


def test_rcodes() -> None:
    lab = Lab()

    def rcode(message: bytes) -> str:
        [reply] = lab.send([message])
        return dns.rcode.to_text(dns.message.from_wire(reply, ignore_trailing=True).rcode())

    assert rcode(bytes(DNS(qd=DNSQR(qname="web.example"), opcode=5))) == "NOTIMP"
    assert rcode(bytes(DNS(qd=[]))) == "FORMERR"
    assert rcode(bytes(DNS(qd=[DNSQR(qname="a."), DNSQR(qname="b.")]))) == "FORMERR"
    assert rcode(bytes(DNS(qd=DNSQR(qname="web.example", qclass=3)))) == "REFUSED"
    assert rcode(LOOP) == "FORMERR"
    assert lab.send([bytes(DNS(qr=1, qd=DNSQR(qname="web.example")))]) == []
    assert lab.server.ignored == 1
