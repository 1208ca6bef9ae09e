"""DNS messages as values (RFC 1035, RFC 6891); `dns_codec` makes their bytes, `dns_read` understands bytes.

Called by: the DNS servers (`netsim.cluster.dns`) and the resolvers in applications (`netsim.workload.resolver`).

Names are texts in presentation format with a final dot, spelled as they are on the wire. Only class IN exists.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import dns.exception
import dns.rdatatype

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
MX: Final = 15
TXT: Final = 16
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
IXFR: Final = 251
AXFR: Final = 252

IN: Final = 1

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
BADVERS: Final = 16
RCODE_NAMES: Final = {
    NOERROR: "NOERROR", FORMERR: "FORMERR", SERVFAIL: "SERVFAIL", NXDOMAIN: "NXDOMAIN", NOTIMP: "NOTIMP",
    REFUSED: "REFUSED", BADVERS: "BADVERS",
}  # fmt: skip

DNS_PORT: Final = 53
UDP_SIZE: Final = 512  # RFC 1035 section 4.2.1: largest reply over UDP without EDNS
TCP_SIZE: Final = 65535

# Header flags (RFC 1035 section 4.1.1, RFC 4035 section 3.2.2 for CD).
QR: Final = 0x8000
AA: Final = 0x0400
TC: Final = 0x0200
RD: Final = 0x0100
RA: Final = 0x0080
CD: Final = 0x0010

ADDRESS_SIZE: Final = {A: 4, AAAA: 16}

K = TypeVar("K")
V = TypeVar("V")


class Question(NamedTuple):
    """What is asked."""

    name: str
    type: int


class Record(NamedTuple):
    """A resource record; `data` is in presentation format with absolute names."""

    name: str
    type: int
    ttl: int
    data: str


@dataclass(frozen=True, slots=True)
class Query:
    """A query as a server reads it. `key` is the name in lower case; `edns_size` 0 means that there was no OPT."""

    question: Question
    key: str
    recursion_desired: bool = True
    checking_disabled: bool = False
    edns_size: int = 0
    edns_version: int = 0
    dnssec_ok: bool = False

    def limit(self, *, over_tcp: bool) -> int:
        """Largest reply in bytes that the client takes (RFC 6891 section 6.2.3: less than 512 counts as 512)."""
        return TCP_SIZE if over_tcp else max(UDP_SIZE, self.edns_size)


def ask(name: str, qtype: int) -> Query:
    """The plain query for a name and a type."""
    return Query(Question(name, qtype), name.lower())


@dataclass(frozen=True, slots=True)
class Reply:
    """The contents of a reply. `shuffle`: whoever writes it puts CNAMEs first and draws the order of addresses."""

    rcode: int = NOERROR
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = False
    recursion_available: bool = False
    truncated: bool = False
    shuffle: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a resolver takes from a reply.

    `question` is the wire form of the question section, to be compared with what was asked. `addresses` are those of
    the asked type (4 or 16 bytes each); `canonical` is the name at the end of the CNAME chain; `ttl` is the least of
    the answer, or how long a negative answer may be remembered (RFC 2308), in seconds. `count` is the number of
    records of the asked type.
    """

    question: bytes
    rcode: int
    truncated: bool
    addresses: tuple[bytes, ...]
    canonical: str
    ttl: int
    count: int


class Bounded(dict[K, V]):
    """A dict that forgets its older half when it is full."""

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def remember(self, key: K, value: V) -> V:
        """Store and return a value."""
        if len(self) >= self.limit:
            for old in list(self)[: (self.limit + 1) // 2]:
                del self[old]
        self[key] = value
        return value


def type_number(text: str) -> int:
    """`"SRV"` -> 33. Raises ValueError for an unknown type."""
    try:
        return int(dns.rdatatype.from_text(text))
    except dns.exception.DNSException as error:
        raise ValueError(f"{text!r} is not a DNS record type") from error


def type_text(number: int) -> str:
    """33 -> `"SRV"`; `TYPE65280` for unknown ones."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(number))
