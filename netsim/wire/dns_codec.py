"""DNS values -> bytes, and the caches that keep a simulation from building or reading the same message twice.

Called by: the DNS servers (`netsim.cluster.dns`) and the resolvers (`netsim.workload.resolver`).
dnspython knows the record formats. A reply is put together here, because what size it has is part of the model: like
miekg/dns (`Msg.Truncate`, the library of CoreDNS) it is written without name compression while that fits; otherwise it
is compressed, records that still do not fit are left out, and TC is set.

The two bytes of the message id are kept apart ("tail" is the message behind them): equal messages have equal tails.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

import dns.exception
import dns.name

from netsim.wire.dns import (
    AA,
    AAAA,
    CD,
    CNAME,
    IN,
    MX,
    OPT,
    QR,
    RA,
    RD,
    TC,
    A,
    Answer,
    Bounded,
    Query,
    Question,
    Record,
    Reply,
)  # fmt: skip
from netsim.wire.dns_read import rdata, read_answer, read_message, read_query

_COUNTS: Final = struct.Struct("!HHHHH")
_ORDER: Final = {CNAME: 0, A: 2, AAAA: 2, MX: 3}
_SHUFFLED: Final = (A, AAAA, MX)  # what CoreDNS's loadbalance plugin reorders

Piece = bytes | list[bytes]


class DnsCodec:
    """Turns values into bytes and back, remembering both. One codec may serve all hosts of a simulation."""

    def __init__(self, limit: int = 4096) -> None:
        self._names: Bounded[str, bytes] = Bounded(4 * limit)
        self._records: Bounded[tuple[str, int, str], tuple[bytes, bytes]] = Bounded(4 * limit)
        self._queries: Bounded[tuple[str, int, int], bytes] = Bounded(limit)
        self._read_queries: Bounded[bytes, Query | int | None] = Bounded(limit)
        self._answers: Bounded[bytes, Answer | None] = Bounded(limit)

    def query(self, name: str, qtype: int, edns_size: int = 0) -> bytes:
        """The tail of a recursive query; the id goes in front. Raises ValueError for a name that cannot exist."""
        key = (name, qtype, edns_size)
        found = self._queries.get(key)
        if found is None:
            option = struct.pack("!BHHIH", 0, OPT, edns_size, 0, 0) if edns_size else b""
            head = _COUNTS.pack(RD, 1, 0, 0, 1 if option else 0)
            found = self._queries.remember(key, head + self._question(Question(name, qtype)) + option)
        return found

    def read_query(self, payload: bytes) -> Query | int | None:
        """The query in a message; an rcode when an error reply is due; None when it deserves no reply at all."""
        tail = payload[2:]
        try:
            return self._read_queries[tail]
        except KeyError:
            return self._read_queries.remember(tail, read_query(payload))

    def answer(self, payload: bytes) -> Answer | None:
        """What a reply says to the one who asked for addresses; None for anything that is not a readable reply."""
        tail = payload[2:]
        try:
            return self._answers[tail]
        except KeyError:
            return self._answers.remember(tail, read_answer(payload))

    def message(self, payload: bytes) -> tuple[Question, Reply] | None:
        """Everything in a reply; None for anything that is not a readable reply with one question."""
        return read_message(payload)

    def body(self, query: Query, reply: Reply, limit: int) -> "Body":
        """A reply to `query` of at most `limit` bytes."""
        pieces: list[Piece] = [self._front(query, reply)]
        for section in (reply.answer, reply.authority, reply.additional):
            for run in runs(section) if reply.shuffle else (section,):
                wires = [self.record(record) for record in run]
                drawn = reply.shuffle and len(run) > 1 and run[0].type in _SHUFFLED
                pieces.append(wires if drawn else b"".join(wires))
        pieces.append(_option(query, reply.rcode))
        size = 2 + sum(sum(map(len, piece)) if isinstance(piece, list) else len(piece) for piece in pieces)
        return Body(self, query, reply, limit, pieces if size <= limit else None)

    def error(self, payload: bytes, rcode: int) -> bytes:
        """The tail of a reply that has nothing but an rcode, to a query that could not be read."""
        asked = int.from_bytes(payload[2:4])
        return _COUNTS.pack(QR | asked & 0x7800 | asked & RD | rcode, 0, 0, 0, 0)

    def compressed(self, query: Query, reply: Reply, limit: int) -> bytes:
        """The tail of a reply with compressed names and without the records that do not fit (then TC is set)."""
        option = _option(query, reply.rcode)
        out = io.BytesIO()
        names: dict[dns.name.Name, int] = {}
        out.write(bytes(12))
        dns.name.from_text(query.question.name).to_wire(out, names)
        out.write(struct.pack("!HH", query.question.type, IN))
        counts = [1, 0, 0, 0]
        for number, section in enumerate((reply.answer, reply.authority, reply.additional), start=1):
            counts[number] = _add_records(out, section, limit - len(option), names)
            if counts[number] < len(section):
                reply = replace(reply, truncated=True)
                break
        counts[3] += query.edns_size > 0
        return _COUNTS.pack(_flags(query, reply), *counts) + out.getvalue()[12:] + option

    def name(self, name: str) -> bytes:
        """The wire form of a name without compression. Raises ValueError when it cannot exist."""
        found = self._names.get(name)
        if found is None:
            try:
                found = dns.name.from_text(name).to_wire() or b""
            except (dns.exception.DNSException, UnicodeError) as error:
                raise ValueError(f"{name!r} is not a domain name: {error}") from error
            self._names.remember(name, found)
        return found

    def record(self, record: Record) -> bytes:
        """The wire form of a record without compression."""
        key = (record.name, record.type, record.data)
        parts = self._records.get(key)
        if parts is None:
            data = rdata(record).to_wire() or b""
            head = self.name(record.name) + struct.pack("!HH", record.type, IN)
            parts = self._records.remember(key, (head, struct.pack("!H", len(data)) + data))
        return parts[0] + record.ttl.to_bytes(4) + parts[1]

    def _question(self, question: Question) -> bytes:
        return self.name(question.name) + struct.pack("!HH", question.type, IN)

    def _front(self, query: Query, reply: Reply) -> bytes:
        head = _COUNTS.pack(
            _flags(query, reply), 1, len(reply.answer), len(reply.authority),
            len(reply.additional) + (query.edns_size > 0),
        )  # fmt: skip
        return head + self._question(query.question)


class Body:
    """The tail of a reply, ready to be sent any number of times.

    `fixed` are its bytes when all copies are equal; otherwise (`Reply.shuffle`) each copy gets its own order.
    """

    __slots__ = ("_codec", "_limit", "_pieces", "_query", "_reply", "fixed")

    def __init__(
        self, codec: DnsCodec, query: Query, reply: Reply, limit: int, pieces: list[Piece] | None
    ) -> None:
        self._codec, self._query, self._reply, self._limit = codec, query, reply, limit
        self._pieces = pieces  # None: too large for the uncompressed form
        self.fixed: bytes | None = None
        if pieces is None:
            if not reply.shuffle:
                self.fixed = codec.compressed(query, reply, limit)
        elif not any(isinstance(piece, list) for piece in pieces):
            self.fixed = b"".join(piece for piece in pieces if isinstance(piece, bytes))

    def tail(self, rng: Random) -> bytes:
        """The bytes behind the id."""
        if self.fixed is not None:
            return self.fixed
        if self._pieces is None:
            return self._codec.compressed(self._query, shuffled(self._reply, rng), self._limit)
        parts: list[bytes] = []
        for piece in self._pieces:
            if isinstance(piece, list):
                rng.shuffle(piece)
                parts.extend(piece)
            else:
                parts.append(piece)
        return b"".join(parts)


def shuffled(reply: Reply, rng: Random) -> Reply:
    """The reply with its order drawn (CoreDNS plugin/loadbalance, round_robin: a random order, in fact)."""
    sections = []
    for section in (reply.answer, reply.authority, reply.additional):
        order: list[Record] = []
        for run in runs(section):
            if run[0].type in _SHUFFLED:
                rng.shuffle(run)
            order.extend(run)
        sections.append(tuple(order))
    return Reply(
        reply.rcode, sections[0], sections[1], sections[2],
        reply.authoritative, reply.recursion_available, reply.truncated,
    )  # fmt: skip


def runs(records: Sequence[Record]) -> list[list[Record]]:
    """CNAMEs, then everything else, then addresses, then MX: the order of plugin/loadbalance, without empty runs."""
    sorted_out: tuple[list[Record], ...] = ([], [], [], [])
    for record in records:
        sorted_out[_ORDER.get(record.type, 1)].append(record)
    return [run for run in sorted_out if run]


def _flags(query: Query, reply: Reply) -> int:
    return (
        QR
        | (AA if reply.authoritative else 0)
        | (TC if reply.truncated else 0)
        | (RD if query.recursion_desired else 0)
        | (RA if reply.recursion_available else 0)
        | (CD if query.checking_disabled else 0)
        | (reply.rcode & 0xF)
    )


def _option(query: Query, rcode: int) -> bytes:
    """The OPT record that answers the client's: its own size and DO bit (CoreDNS request.SizeAndDo)."""
    if not query.edns_size:
        return b""
    flags = rcode >> 4 << 24 | (0x8000 if query.dnssec_ok else 0)
    return struct.pack("!BHHIH", 0, OPT, query.edns_size, flags, 0)


def _add_records(
    out: io.BytesIO, records: Sequence[Record], limit: int, names: dict[dns.name.Name, int]
) -> int:
    """Write records up to the first one that does not fit; how many there are."""
    for count, record in enumerate(records):
        start = out.tell()
        dns.name.from_text(record.name).to_wire(out, names)
        out.write(struct.pack("!HHIH", record.type, IN, record.ttl, 0))
        data_start = out.tell()
        rdata(record).to_wire(out, names)
        if out.tell() > limit:
            out.seek(start)
            out.truncate()
            return count
        out.getbuffer()[data_start - 2 : data_start] = (out.tell() - data_start).to_bytes(2)
    return len(records)
