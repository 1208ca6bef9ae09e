"""DNS messages: every byte against dnspython, every cache against the uncached way, garbage against nothing."""

import random
from ipaddress import IPv6Address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.wire.dns import (
    AAAA,
    CNAME,
    FORMERR,
    MX,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    SOA,
    SRV,
    TXT,
    UDP_SIZE,
    A,
    Bounded,
    Query,
    Question,
    Record,
    Reply,
    ask,
    type_number,
    type_text,
)
from netsim.wire.dns_codec import DnsCodec, shuffled
from netsim.wire.dns_read import _any_answer, _direct_addresses

NAME = "my-nginx.default.svc.cluster.local."
SOA_RECORD = Record(
    "cluster.local.", SOA, 30, "ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 20"
)

labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=6).map(lambda parts: ".".join(parts) + ".")
v4 = st.ip_addresses(v=4).map(str)
v6 = st.integers(0, (1 << 64) - 1).map(lambda low: str(IPv6Address((0xFD00 << 112) | low)))
ttls = st.integers(0, 3600)
a_records = st.builds(Record, names, st.just(A), ttls, v4)
aaaa_records = st.builds(Record, names, st.just(AAAA), ttls, v6)
srv_data = st.builds(lambda port, target: f"0 33 {port} {target}", st.integers(1, 65535), names)
records = st.one_of(
    a_records,
    aaaa_records,
    st.builds(Record, names, st.just(CNAME), ttls, names),
    st.builds(Record, names, st.just(SRV), ttls, srv_data),
    st.builds(Record, names, st.just(TXT), ttls, st.just('"1.1.0"')),
)
sections = st.lists(records, max_size=8).map(tuple)
replies = st.builds(
    Reply, st.sampled_from([0, 2, 3, 5]), sections, sections, sections, st.booleans(), st.booleans()
)
queries = st.builds(
    lambda name, qtype, edns: Query(Question(name, qtype), name.lower(), edns_size=edns),
    names, st.sampled_from([A, AAAA, SRV]), st.sampled_from([0, 512, 1232, 4096]),
)  # fmt: skip


def rows(section: list[object]) -> list[Record]:
    return [
        Record(rrset.name.to_text(), int(rrset.rdtype), rrset.ttl, data.to_text())  # type: ignore[attr-defined]
        for rrset in section
        for data in rrset  # type: ignore[attr-defined]
    ]


@given(names, st.sampled_from([A, AAAA, SRV, TXT]), st.sampled_from([0, 1232]))
def test_query_is_what_dnspython_makes(name: str, qtype: int, edns: int) -> None:
    made = b"\x12\x34" + DnsCodec().query(name, qtype, edns)
    theirs = dns.message.make_query(
        name, qtype, id=0x1234, use_edns=0 if edns else False, payload=edns or None
    )
    assert made == theirs.to_wire()


@given(names, st.sampled_from([A, AAAA, SRV]), st.sampled_from([0, 1232]))
def test_query_is_read_back(name: str, qtype: int, edns: int) -> None:
    codec = DnsCodec()
    query = codec.read_query(b"\0\0" + codec.query(name, qtype, edns))
    assert query == Query(Question(name, qtype), name, edns_size=edns)
    assert (
        codec.read_query(b"\xff\xff" + codec.query(name, qtype, edns)) is query
    )  # another id, nothing read again


@settings(max_examples=40)
@given(queries, replies, st.booleans())
def test_reply_is_read_back_by_dnspython(query: Query, reply: Reply, shuffle: bool) -> None:
    marked = Reply(*(getattr(reply, field) for field in ("rcode", "answer", "authority", "additional",
                     "authoritative", "recursion_available", "truncated")), shuffle=shuffle)  # fmt: skip
    codec = DnsCodec()
    message = dns.message.from_wire(
        b"\0\0" + codec.body(query, marked, 65535).tail(random.Random(1)), one_rr_per_rrset=True
    )
    assert (message.rcode(), message.question[0].name.to_text()) == (reply.rcode, query.question.name)
    assert bool(message.flags & dns.flags.AA) == reply.authoritative
    assert message.flags & dns.flags.RD
    assert (message.payload if query.edns_size else 0) == query.edns_size
    for section in ("answer", "authority", "additional"):
        found, wanted = rows(getattr(message, section)), list(getattr(reply, section))
        assert (sorted(found) == sorted(wanted)) if shuffle else (found == wanted)


@settings(max_examples=40)
@given(queries, replies, st.booleans())
def test_large_replies_are_cut_at_the_limit(query: Query, reply: Reply, over_edns: bool) -> None:
    limit = query.limit(over_tcp=False) if over_edns else UDP_SIZE
    codec = DnsCodec()
    wire = b"\0\0" + codec.body(query, reply, limit).tail(random.Random(1))
    assert len(wire) <= limit
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    parts = [rows(getattr(message, section)) for section in ("answer", "authority", "additional")]
    wanted = [list(reply.answer), list(reply.authority), list(reply.additional)]
    for found, whole in zip(parts, wanted, strict=True):
        assert found == whole[: len(found)]
    assert bool(message.flags & dns.flags.TC) == (parts != wanted)


def test_small_replies_are_not_compressed_and_large_ones_are() -> None:
    codec = DnsCodec()
    answer = tuple(Record(NAME, A, 30, f"10.0.0.{n}") for n in range(1, 11))
    small = codec.body(ask(NAME, A), Reply(answer=answer[:2]), 512)
    large = codec.body(ask(NAME, A), Reply(answer=answer), 512)
    assert b"\xc0\x0c" not in small.tail(random.Random(1))
    assert large.tail(random.Random(1)).count(b"\xc0\x0c") == 10
    assert not dns.message.from_wire(b"\0\0" + large.tail(random.Random(1))).flags & dns.flags.TC


def test_glue_that_does_not_fit_sets_tc_too() -> None:
    codec = DnsCodec()
    hosts = [f"pod-{n}.db.shop.svc.cluster.local." for n in range(9)]
    answer = tuple(Record("db.shop.svc.cluster.local.", SRV, 30, f"0 11 5432 {host}") for host in hosts)
    glue = tuple(Record(host, A, 30, f"10.244.0.{n}") for n, host in enumerate(hosts))
    query = ask("db.shop.svc.cluster.local.", SRV)
    tail = codec.body(query, Reply(answer=answer, additional=glue), 660).tail(random.Random(1))
    message = dns.message.from_wire(b"\0\0" + tail, one_rr_per_rrset=True)
    assert len(message.answer) == 9
    assert 0 < len(message.additional) < 9
    assert message.flags & dns.flags.TC


@given(names, st.lists(v4, min_size=1, max_size=20), ttls, st.booleans())
def test_the_direct_way_to_read_addresses_is_right(
    name: str, addresses: list[str], ttl: int, small: bool
) -> None:
    codec = DnsCodec()
    reply = Reply(answer=tuple(Record(name, A, ttl + n, text) for n, text in enumerate(addresses)))
    query = ask(name, A)
    body = (
        codec.body(query, reply, 65535).tail(random.Random(1))
        if small
        else codec.compressed(query, reply, 65535)
    )
    payload = b"\0\0" + body
    assert _direct_addresses(payload) == _any_answer(payload)
    assert _direct_addresses(payload) is not None


@given(st.binary(max_size=120))
def test_garbage_is_no_exception(payload: bytes) -> None:
    codec = DnsCodec()
    codec.read_query(payload)
    codec.answer(payload)
    codec.message(payload)


@given(st.data())
def test_damaged_messages_are_no_exception(data: st.DataObject) -> None:
    codec = DnsCodec()
    reply = Reply(
        answer=(Record(NAME, A, 30, "10.0.0.1"), Record(NAME, A, 30, "10.0.0.2")), authority=(SOA_RECORD,)
    )
    tail = data.draw(
        st.sampled_from([codec.query(NAME, A, 1232), codec.compressed(ask(NAME, A), reply, 512)])
    )
    payload = bytearray(b"\0\0" + tail)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(2, len(payload) - 1))] = data.draw(st.integers(0, 255))
    wire = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    codec.read_query(wire)
    assert _direct_addresses(wire) in (None, _any_answer(wire))
    codec.message(wire)


@pytest.mark.parametrize(
    ("payload", "verdict"),
    [
        (b"", None),
        (bytes(11), None),
        (b"\0\0\x81\x80" + bytes(8), None),  # a reply
        (b"\0\0\x28\0\0\1" + bytes(6), NOTIMP),  # an update
        (b"\0\0\1\0\0\2" + bytes(6), FORMERR),  # two questions
        (b"\0\0\1\0\0\1" + bytes(6) + b"\x40abc", FORMERR),
        (b"\0\0\1\0\0\1" + bytes(6) + b"\1a\0\0\1\0\3", REFUSED),  # class CHAOS
    ],
)
def test_what_is_not_a_query(payload: bytes, verdict: int | None) -> None:
    assert DnsCodec().read_query(payload) == verdict


def test_an_error_reply_has_the_id_and_nothing_else() -> None:
    payload = b"\xab\xcd\1\0\0\2" + bytes(6)
    message = dns.message.from_wire(payload[:2] + DnsCodec().error(payload, FORMERR))
    assert (message.id, message.rcode(), message.question) == (0xABCD, dns.rcode.FORMERR, [])


def test_shuffling_puts_cnames_first_and_draws_the_addresses() -> None:
    alias = Record("web.shop.", CNAME, 5, "www.shop.")
    addresses = [Record("www.shop.", A, 5, f"10.0.0.{n}") for n in range(8)]
    mail = Record("www.shop.", MX, 5, "10 mail.shop.")
    reply = Reply(answer=(mail, *addresses, alias), shuffle=True)
    orders = set()
    rng = random.Random(3)
    body = DnsCodec().body(ask("web.shop.", A), reply, 65535)
    for _ in range(20):
        message = dns.message.from_wire(b"\0\0" + body.tail(rng), one_rr_per_rrset=True)
        found = rows(message.answer)
        assert (found[0], found[-1]) == (alias, mail)
        assert sorted(found[1:-1]) == sorted(addresses)
        orders.add(tuple(found))
    assert len(orders) > 10
    assert shuffled(reply, random.Random(1)).answer[0] == alias


def test_the_shuffle_is_fair() -> None:
    answer = tuple(Record(NAME, A, 5, f"10.0.0.{n}") for n in range(1, 4))
    codec, rng = DnsCodec(), random.Random(5)
    body = codec.body(ask(NAME, A), Reply(answer=answer, shuffle=True), 512)
    first = [codec.answer(b"\0\0" + body.tail(rng)) for _ in range(3000)]
    counts = [sum(1 for a in first if a is not None and a.addresses[0][-1] == n) for n in (1, 2, 3)]
    assert all(abs(count - 1000) < 120 for count in counts)  # 4.6 standard deviations


def test_answers_follow_cnames_and_know_their_ttl() -> None:
    codec = DnsCodec()
    answer = (Record("a.", CNAME, 60, "B."), Record("b.", CNAME, 9, "c."), Record("c.", A, 30, "192.0.2.1"))
    found = codec.answer(b"\0\0" + codec.body(ask("a.", A), Reply(answer=answer), 512).tail(random.Random(1)))
    assert found is not None
    assert (found.canonical, found.ttl, found.addresses, found.count) == (
        "c.",
        9,
        (bytes([192, 0, 2, 1]),),
        1,
    )


def test_negative_answers_may_be_remembered_as_long_as_the_soa_says() -> None:
    codec = DnsCodec()
    reply = Reply(NXDOMAIN, authority=(SOA_RECORD,))
    found = codec.answer(b"\0\0" + codec.body(ask(NAME, A), reply, 512).tail(random.Random(1)))
    assert found is not None
    assert (found.rcode, found.ttl, found.count) == (NXDOMAIN, 20, 0)


@pytest.mark.parametrize("name", [f"{'a' * 64}.", ".".join(["abcdefgh"] * 40) + ".", "a..b."])
def test_impossible_names(name: str) -> None:
    with pytest.raises(ValueError, match="not a domain name"):
        DnsCodec().query(name, A)


def test_a_full_dict_forgets_its_older_half() -> None:
    bounded: Bounded[int, int] = Bounded(4)
    for number in range(5):
        bounded.remember(number, number)
    assert list(bounded) == [2, 3, 4]


def test_types_have_names() -> None:
    assert (type_number("SRV"), type_text(SRV), type_text(65280)) == (33, "SRV", "TYPE65280")
    with pytest.raises(ValueError, match="NOSUCH"):
        type_number("NOSUCH")


def test_names_keep_their_spelling() -> None:
    codec = DnsCodec()
    assert codec.name("WeB.") == dns.name.from_text("WeB.").to_wire()
    assert dns.rdatatype.from_text("A") == A
