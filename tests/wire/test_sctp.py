"""SCTP on the wire: bytes are those that Scapy builds, before and after NAT, and are read as they were written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.sctp import (
    SCTP as ScapySCTP,
)
from scapy.layers.sctp import (
    SCTPChunkAbort,
    SCTPChunkCookieAck,
    SCTPChunkCookieEcho,
    SCTPChunkData,
    SCTPChunkInit,
    SCTPChunkInitAck,
    SCTPChunkParamStateCookie,
    SCTPChunkSACK,
    SCTPChunkShutdown,
    SCTPChunkShutdownAck,
    SCTPChunkShutdownComplete,
)

from netsim.wire import parse, sctp
from netsim.wire.addr import ip, ip_text
from netsim.wire.codec import from_scapy
from netsim.wire.describe import describe
from netsim.wire.packet import SCTP, Flow, Packet, RawBody
from netsim.wire.sctp import Chunk, Data, Init, SctpPacket

U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
TAGS = st.integers(1, 0xFFFF_FFFF)


def header(flow: Flow) -> Any:
    src, dst = ip_text(flow.src), ip_text(flow.dst)
    if len(flow.src) == 16:
        return IPv6(src=src, dst=dst, hlim=64, fl=0, nh=132)
    return IP(src=src, dst=dst, id=0, flags="DF", ttl=64, proto=132)


def scapy_bytes(flow: Flow, tag: int, *chunks: Any) -> bytes:
    packet = header(flow) / ScapySCTP(sport=flow.sport, dport=flow.dport, tag=tag)
    for chunk in chunks:
        packet = packet / chunk
    return bytes(packet)


@st.composite
def flows(draw: Any) -> Flow:
    size = draw(st.sampled_from([4, 16]))
    address = st.binary(min_size=size, max_size=size)
    return Flow(draw(address), draw(address), draw(U16), draw(U16), SCTP)


@st.composite
def chunks(draw: Any) -> tuple[Chunk, Any]:
    """A chunk, and Scapy's."""
    kind = draw(st.integers(0, 8))
    # Scapy counts the padding of the last parameter into the chunk's length; RFC 9260, 3.2 does not: no padding here.
    tsn, window, payload = draw(U32), draw(U32), draw(st.binary(min_size=1, max_size=12)) * 4
    if kind < 2:
        init = Init(draw(TAGS), window, tsn, payload if kind else b"")
        made: Any = {
            "init_tag": init.tag,
            "a_rwnd": window,
            "n_out_streams": 1,
            "n_in_streams": 1,
            "init_tsn": tsn,
        }
        if kind:
            made["params"] = [SCTPChunkParamStateCookie(cookie=payload)]
            return sctp.init_chunk(sctp.INIT_ACK, init), SCTPChunkInitAck(**made)
        return sctp.init_chunk(sctp.INIT, init), SCTPChunkInit(**made)
    if kind == 2:
        data = Data(tsn, draw(U16), draw(st.integers(0, 3)), payload)
        flags = {"beginning": data.flags >> 1, "ending": data.flags & 1}
        scapy = SCTPChunkData(
            tsn=tsn, stream_id=0, stream_seq=data.sequence, proto_id=0, data=payload, **flags
        )
        return sctp.data_chunk(data), scapy
    reflected = draw(st.booleans())
    return [
        (sctp.sack_chunk(tsn, window), SCTPChunkSACK(cumul_tsn_ack=tsn, a_rwnd=window)),
        (sctp.shutdown_chunk(tsn), SCTPChunkShutdown(cumul_tsn_ack=tsn)),
        (Chunk(sctp.ABORT, reflected), SCTPChunkAbort(TCB=reflected)),
        (Chunk(sctp.COOKIE_ECHO, 0, payload), SCTPChunkCookieEcho(cookie=payload)),
        (Chunk(sctp.COOKIE_ACK), SCTPChunkCookieAck()),
        (Chunk(sctp.SHUTDOWN_ACK), SCTPChunkShutdownAck()),
    ][kind - 3]


@given(flows(), U32, st.lists(chunks(), min_size=1, max_size=3))
def test_bytes_as_scapy_builds_them(flow: Flow, tag: int, made: list[tuple[Chunk, Any]]) -> None:
    body = SctpPacket(tag, *(ours for ours, _ in made))
    packet = Packet(flow, body)
    wanted = scapy_bytes(flow, tag, *(theirs for _, theirs in made))
    assert packet.to_bytes()[14:] == wanted
    assert packet.size == 14 + len(wanted)


@given(flows(), flows(), U32, chunks())
def test_nat_gives_the_bytes_of_the_new_flow(
    flow: Flow, other: Flow, tag: int, made: tuple[Chunk, Any]
) -> None:
    """Modelled, or as a user's own bytes: the CRC covers the ports."""
    if len(flow.src) != len(other.src):
        return
    body = SctpPacket(tag, made[0])
    data = Packet(flow, body).to_bytes()[14:]
    for packet in (Packet(flow, body), Packet(flow, RawBody(data))):
        packet.flow = other
        assert packet.to_bytes()[14:] == Packet(other, body).to_bytes()[14:]


@given(flows(), U32, st.lists(chunks(), min_size=1, max_size=3))
def test_what_is_read_is_what_was_written(flow: Flow, tag: int, made: list[tuple[Chunk, Any]]) -> None:
    body = SctpPacket(tag, *(ours for ours, _ in made))
    read = parse.parse(Packet(flow, body).to_bytes()[14:])
    assert read.flow == flow
    assert isinstance(read.body, SctpPacket)
    assert (read.body.tag, read.body.chunks) == (tag, body.chunks)
    raw = parse.transport(Packet(flow, RawBody(read.to_bytes()[14:])))
    assert isinstance(raw, SctpPacket)
    assert raw.chunks == body.chunks


@given(U32, U32, TAGS, st.binary(max_size=40))
def test_chunk_contents(tsn: int, window: int, tag: int, cookie: bytes) -> None:
    assert sctp.read_init(sctp.init_chunk(sctp.INIT_ACK, Init(tag, window, tsn, cookie))) == Init(
        tag, window, tsn, cookie
    )
    assert sctp.read_cumulative(sctp.sack_chunk(tsn, window)) == tsn
    assert sctp.read_cumulative(sctp.shutdown_chunk(tsn)) == tsn
    data = Data(tsn, 5, 3, b"x")
    assert sctp.read_data(sctp.data_chunk(data)) == data


def test_malformed_chunks() -> None:
    assert sctp.read_chunks(b"\x00\x00\x00") is None
    assert sctp.read_chunks(b"\x00\x00\x00\x02") is None
    assert sctp.read_chunks(b"\x00\x00\x00\x09abcd") is None
    assert sctp.read_init(Chunk(sctp.INIT, 0, b"short")) is None
    assert sctp.read_init(Chunk(sctp.INIT, 0, bytes(16))) is None  # tag 0 (RFC 9260, 3.3.2)
    assert sctp.read_init(Chunk(sctp.INIT, 0, b"\x01" * 16 + b"\x00\x07\x00\x09")) is None
    assert sctp.read_data(sctp.data_chunk(Data(1, 1, 3, b""))) is None


def test_a_wrong_crc_is_not_understood() -> None:
    flow = Flow(ip("10.0.0.1"), ip("10.0.0.2"), 1, 2, SCTP)
    data = bytearray(Packet(flow, SctpPacket(1, Chunk(sctp.COOKIE_ACK))).to_bytes()[14:])
    data[28] ^= 1
    assert parse.transport(Packet(flow, RawBody(bytes(data)))) is None
    assert isinstance(parse.parse(bytes(data)).body, RawBody)


def test_a_users_packet_is_modelled() -> None:
    made = (
        IP(src="10.0.0.1", dst="10.0.0.2", id=0, flags="DF")
        / ScapySCTP(sport=1, dport=2)
        / SCTPChunkShutdownComplete()
    )
    body = from_scapy(made).body
    assert isinstance(body, SctpPacket)
    assert body.chunks == (Chunk(sctp.SHUTDOWN_COMPLETE),)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ((Chunk(sctp.COOKIE_ECHO), Chunk(sctp.DATA)), "[COOKIE ECHO] [DATA]"),
        ((Chunk(193),), "[type 193]"),
    ],
)
def test_words(made: tuple[Chunk, ...], words: str) -> None:
    assert describe(Flow(ip("10.0.0.1"), ip("10.0.0.2"), 1, 2, SCTP), SctpPacket(1, *made)) == words
