"""In which order an application tries a name's addresses: getaddrinfo's sorting (RFC 6724, section 6).

Called by `resolver.py` for answers with IPv6 addresses; IPv4 addresses among themselves stay as the server sent them.
The rules: usable before unreachable (1), a source of the same scope (2) and label (5), the higher precedence (6), the
smaller scope (8), among IPv6 addresses the longest prefix in common with the source (9). The policy tables differ:
glibc puts a unique local address (fd00::/8) before IPv4, as RFC 3484 had it, and musl after it, as RFC 6724 has it.

Sources: sysdeps/posix/getaddrinfo.c of glibc 2.39 (default_labels, default_precedence, rfc3484_sort),
src/network/lookup_name.c of musl 1.2.4. Not modelled: /etc/gai.conf, deprecated and home addresses.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from netsim.wire.addr import Address, Prefix

_MAPPED: Final = bytes(10) + b"\xff\xff"  # IPv4 addresses as the tables have them: ::ffff:a.b.c.d

Source = Callable[[Address], Address | None]
"""The source address that routing chooses for a destination."""


class Row(NamedTuple):
    """Precedence and label of the addresses in a prefix."""

    prefix: Prefix
    precedence: int
    label: int


def _table(*rows: tuple[str, int, int]) -> tuple[Row, ...]:
    parsed = [Row(Prefix.parse(text), precedence, label) for text, precedence, label in rows]
    return tuple(sorted(parsed, key=lambda row: -row.prefix.length))


GLIBC: Final = _table(
    ("::1/128", 50, 0), ("::/0", 40, 1), ("2002::/16", 30, 2), ("::/96", 20, 3), ("::ffff:0:0/96", 10, 4),
    ("fec0::/10", 40, 5), ("fc00::/7", 40, 6), ("2001::/32", 40, 7),
)  # fmt: skip
MUSL: Final = _table(
    ("::1/128", 50, 0), ("::ffff:0:0/96", 35, 4), ("2002::/16", 30, 2), ("2001::/32", 5, 5), ("fc00::/7", 3, 13),
    ("::/0", 40, 1),
)  # fmt: skip

_LINK, _SITE, _GLOBAL = 2, 5, 14  # scopes, RFC 6724 section 3.1


def in_order(
    addresses: tuple[Address, ...], source: Source, table: tuple[Row, ...] = GLIBC
) -> tuple[Address, ...]:
    """The addresses in the order in which they are to be tried."""
    if all(len(address) == 4 for address in addresses):
        return addresses
    return tuple(sorted(addresses, key=lambda address: _rank(address, source(address), table)))


def _rank(address: Address, source: Address | None, table: tuple[Row, ...]) -> tuple[bool | int, ...]:
    row, scope = _row(address, table), _scope(address)
    if source is None:
        return True, True, True, -row.precedence, scope, 0
    common = _common(address, source) if len(address) == 16 else 0
    other_label = _row(source, table).label != row.label
    return False, _scope(source) != scope, other_label, -row.precedence, scope, -common


def _row(address: Address, table: Iterable[Row]) -> Row:
    long = address if len(address) == 16 else _MAPPED + address
    return next(row for row in table if row.prefix.contains(long))


def _scope(address: Address) -> int:
    if len(address) == 4:
        return _LINK if address[0] == 127 or address[:2] == b"\xa9\xfe" else _GLOBAL
    if address == bytes(15) + b"\x01" or (address[0] == 0xFE and address[1] & 0xC0 == 0x80):
        return _LINK
    return _SITE if address[0] == 0xFE and address[1] & 0xC0 == 0xC0 else _GLOBAL


def _common(one: Address, other: Address) -> int:
    """Leading bits that two addresses have in common."""
    return len(one) * 8 - (int.from_bytes(one) ^ int.from_bytes(other)).bit_length()
