"""What the tests of DNS replies share: an outside world of fixed records, and the comparison of a reply with a case."""

from collections.abc import Mapping
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from netsim.cluster.dns.chain import Request, Respond
from netsim.wire.dns import CNAME, NXDOMAIN, Record, Reply, type_number, type_text

Case = Mapping[str, Any]


class Outside:
    """What lies outside the cluster: fixed records, everything else does not exist."""

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        self.records = [record_of(raw) for raw in (config or {}).get("records", ())]
        self.truncated = bool((config or {}).get("truncated"))

    def serve(self, request: Request, respond: Respond) -> None:
        name, qtype = request.query.question
        answer: list[Record] = []
        for _ in range(8):
            here = [record for record in self.records if record.name.lower() == name.lower()]
            answer += [record for record in here if record.type in (qtype, CNAME)]
            alias = next((record for record in here if record.type == CNAME and qtype != CNAME), None)
            if alias is None:
                break
            name = alias.data
        respond(Reply(0 if answer else NXDOMAIN, tuple(answer), truncated=self.truncated), 0)


def record_of(raw: Mapping[str, Any]) -> Record:
    return Record(raw["name"], type_number(raw["type"]), raw["ttl"] or 0, raw["data"])


# -- comparing -------------------------------------------------------------------------------------------------------

_SECTIONS = (("answer", "answer"), ("extra", "additional"), ("ns", "authority"))


def check(message: dns.message.Message, case: Case) -> None:
    expect, match = case["expect"], case.get("match") or {}
    assert dns.rcode.to_text(message.rcode()) == expect["rcode"]
    assert bool(message.flags & dns.flags.TC) == expect["truncated"]
    for key, section in _SECTIONS:
        if expect[key] is not None:
            found = [row(rrset) for rrset in getattr(message, section)]
            compare(found, expect[key], match, ordered=bool(case.get("ordered")))
    cname_before_target(message)


def row(rrset: Any) -> dict[str, Any]:
    return {
        "name": rrset.name.to_text(),
        "type": type_text(rrset.rdtype),
        "ttl": rrset.ttl,
        "data": " ".join(rdata.to_text() for rdata in rrset),
    }


def compare(
    found: list[dict[str, Any]], wanted: list[dict[str, Any]], match: Mapping[str, Any], *, ordered: bool
) -> None:
    shapes = [shape(record, match) for record in found]
    expected = [shape(record, match) for record in wanted]
    if match.get("dedup"):
        shapes, expected = list(dict.fromkeys(shapes)), list(dict.fromkeys(expected))
    assert (shapes if ordered else sorted(shapes)) == (expected if ordered else sorted(expected))
    ttls = {shape(record, match): record["ttl"] for record in found}
    wanted_ttls = {shape(record, match): record["ttl"] for record in wanted if record["ttl"] is not None}
    assert wanted_ttls.items() <= ttls.items()


def shape(record: Mapping[str, Any], match: Mapping[str, Any]) -> tuple[str, str, str]:
    """What of a record is compared."""
    name, rtype, data = record["name"], record["type"], record.get("pattern") or record["data"]
    if match.get("names") == "case-insensitive":
        name, data = name.lower(), data.lower()
    if rtype == "SOA":
        words = data.split()
        words[2] = "*"
        return name, rtype, " ".join(words)
    if rtype == "TXT":
        return name, rtype, data.strip('"')
    if rtype == "SRV" and "srv" in match:
        fields = dict(zip(("priority", "weight", "port", "target"), data.split(), strict=True))
        return name, rtype, " ".join(fields[key] for key in match["srv"])
    return name, rtype, data


def cname_before_target(message: dns.message.Message) -> None:
    """A CNAME must not come after the record of its target."""
    seen = []
    for rrset in message.answer:
        if rrset.rdtype == dns.rdatatype.CNAME:
            assert rrset[0].target not in seen
        seen.append(rrset.name)
