"""Reading DNS messages: bytes -> values. Garbage gives None or an rcode, never an exception.

Called by `dns_codec`, which remembers the results. dnspython does the reading, except for the everyday reply (addresses
owned by the very name that was asked for), which is read directly and about ten times faster.
"""

import struct
from collections.abc import Sequence
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from netsim.wire.dns import (
    ADDRESS_SIZE,
    CNAME,
    FORMERR,
    IN,
    NOERROR,
    NOTIMP,
    QR,
    REFUSED,
    SOA,
    TC,
    UDP_SIZE,
    Answer,
    Query,
    Question,
    Record,
    Reply,
)  # fmt: skip

_COUNTS: Final = struct.Struct("!HHHHH")
_RECORD: Final = struct.Struct("!HHIH")  # type, class, TTL, length of the data
_POINTER_TO_QUESTION: Final = b"\xc0\x0c"


def read_query(payload: bytes) -> Query | int | None:
    """The query in a message; an rcode when an error reply is due; None when it deserves no reply at all.

    The rules are miekg/dns's DefaultMsgAcceptFunc and CoreDNS's server (another class than IN is refused).
    """
    if len(payload) < 12 or payload[2] & 0x80:
        return None
    if payload[2] & 0x78:
        return NOTIMP
    if payload[4:6] != b"\0\x01":
        return FORMERR
    try:
        message = dns.message.from_wire(payload, ignore_trailing=True)
        asked = message.question[0]
        name = asked.name.to_text()
    except (dns.exception.DNSException, ValueError):
        return FORMERR
    if asked.rdclass != IN:
        return REFUSED
    return Query(
        Question(name, int(asked.rdtype)), name.lower(),
        bool(message.flags & dns.flags.RD), bool(message.flags & dns.flags.CD),
        # An OPT with size 0 is still an OPT; it counts as the minimum (RFC 6891 section 6.2.3).
        max(message.payload, UDP_SIZE) if message.edns >= 0 else 0,
        max(message.edns, 0), bool(message.ednsflags & dns.flags.DO),
    )  # fmt: skip


def read_answer(payload: bytes) -> Answer | None:
    """What a reply answers; None for anything that is not a readable reply with one question."""
    return _direct_addresses(payload) or _any_answer(payload)


def read_message(payload: bytes) -> tuple[Question, Reply] | None:
    """Everything in a reply (without its OPT); None for anything that is not a readable reply with one question."""
    try:
        message = dns.message.from_wire(payload, ignore_trailing=True, one_rr_per_rrset=True)
        if not message.flags & dns.flags.QR or len(message.question) != 1:
            return None
        asked = message.question[0]
        question = Question(asked.name.to_text(), int(asked.rdtype))
        sections = [_section(section) for section in (message.answer, message.authority, message.additional)]
    except (dns.exception.DNSException, ValueError):
        return None
    flags = message.flags
    return question, Reply(
        int(message.rcode()), sections[0], sections[1], sections[2],
        bool(flags & dns.flags.AA), bool(flags & dns.flags.RA), bool(flags & dns.flags.TC),
    )  # fmt: skip


def _section(section: Sequence[dns.rrset.RRset]) -> tuple[Record, ...]:
    return tuple(
        Record(rrset.name.to_text(), int(rrset.rdtype), rrset.ttl, data.to_text())
        for rrset in section
        if rrset.rdclass == IN
        for data in rrset
    )


def _any_answer(payload: bytes) -> Answer | None:
    read = read_message(payload)
    if read is None:
        return None
    (name, qtype), reply = read
    aliases = {record.name.lower(): record.data for record in reply.answer if record.type == CNAME}
    canonical = name
    for _ in range(len(aliases)):
        canonical = aliases.get(canonical.lower(), canonical)
    wanted = [record for record in reply.answer if record.type == qtype]
    addresses = [rdata(record).to_wire() or b"" for record in wanted] if qtype in ADDRESS_SIZE else []
    ttl = min((record.ttl for record in reply.answer), default=negative_ttl(reply))
    question = (dns.name.from_text(name).to_wire() or b"") + struct.pack("!HH", qtype, IN)
    return Answer(question, reply.rcode, reply.truncated, tuple(addresses), canonical, ttl, len(wanted))


def rdata(record: Record) -> dns.rdata.Rdata:
    """dnspython's form of a record's data. Raises dns.exception.DNSException for data that are not of the type."""
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.RdataType.make(record.type), record.data)


def negative_ttl(reply: Reply) -> int:
    """RFC 2308 section 5: the lesser of the SOA's TTL and its minimum field, in seconds; 0 without a SOA."""
    for record in reply.authority:
        if record.type == SOA:
            return min(record.ttl, int(record.data.rsplit(" ", 1)[1]))
    return 0


def _direct_addresses(payload: bytes) -> Answer | None:
    try:
        flags, questions, count, *others = _COUNTS.unpack_from(payload, 2)
        # A plain reply (opcode 0, NOERROR, complete) with nothing but an answer section.
        if flags & (QR | 0x7800 | TC | 0xF) != QR or questions != 1 or not count or any(others):
            return None
        name = _name_at(payload, 12)
        end = 12 + len(name)
        qtype = int.from_bytes(payload[end : end + 2])
        if qtype not in ADDRESS_SIZE:
            return None
        found = _addresses_of(payload, end + 4, count, name, qtype)
        text = _plain_text(name)
    except (struct.error, IndexError):
        return None
    if found is None or text is None:
        return None
    return Answer(payload[12 : end + 4], NOERROR, False, found[0], text, found[1], count)


def _addresses_of(
    payload: bytes, at: int, count: int, name: bytes, qtype: int
) -> tuple[tuple[bytes, ...], int] | None:
    """The addresses and least TTL of `count` records of one type and owner; None when one of them is otherwise."""
    size = ADDRESS_SIZE[qtype]
    addresses: list[bytes] = []
    least = 0xFFFFFFFF
    for _ in range(count):
        if payload.startswith(name, at):
            at += len(name)
        elif payload.startswith(_POINTER_TO_QUESTION, at):
            at += 2
        else:
            return None
        rtype, rclass, ttl, length = _RECORD.unpack_from(payload, at)
        at += 10 + length
        if rtype != qtype or rclass != IN or length != size or at > len(payload):
            return None
        addresses.append(payload[at - size : at])
        least = min(least, ttl)
    # dnspython reads a TTL with the top bit set as 0 (RFC 2181 section 8).
    return tuple(addresses), least if least < 1 << 31 else 0


def _name_at(payload: bytes, start: int) -> bytes:
    """The bytes of an uncompressed name. Raises IndexError when it runs out of the message."""
    at = start
    while payload[at]:
        at += payload[at] + 1
    return payload[start : at + 1]


def _plain_text(name: bytes) -> str | None:
    """The text of a wire name of ordinary characters; None when it needs care (escapes, compression, too long)."""
    labels: list[str] = []
    at = 0
    while name[at]:
        label = name[at + 1 : at + 1 + name[at]]
        if name[at] > 63 or not label.replace(b"-", b"").replace(b"_", b"").isalnum():
            return None
        labels.append(label.decode("ascii"))
        at += name[at] + 1
    return ".".join(labels) + "." if len(name) <= 255 else None
