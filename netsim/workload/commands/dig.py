"""dig, as in BIND 9.18: one name as it is (the search list only with +search), the whole reply printed.

Sources: bin/dig/dig.c (printmessage), lib/dns/message.c (text forms). The clock of WHEN is the simulation's, which
begins at the Unix epoch.
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from netsim.engine import MS, S
from netsim.wire.addr import Address, ip, ip_text
from netsim.wire.dns import (
    AA,
    NXDOMAIN,
    OPT,
    PTR,
    RA,
    RCODE_NAMES,
    RD,
    TC,
    A,
    Question,
    Record,
    Reply,
    type_number,
    type_text,
)
from netsim.wire.dns_read import read_message
from netsim.workload.commands.call import Call, Steps, reverse_name
from netsim.workload.commands.names import bind_names

VERSION: Final = "9.18.24"
_EDNS_SIZE: Final = 1232
_TRIES: Final = 3
_SECTIONS: Final = ("cmd", "comments", "question", "answer", "authority", "additional", "stats")
_FLAGS: Final = (("qr", 0x8000), ("aa", AA), ("tc", TC), ("rd", RD), ("ra", RA))


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one command line asks for."""

    name: str = "."
    qtype: int = A
    server: Address | None = None
    short: bool = False
    search: bool = False
    tcp: bool = False
    edns: bool = True
    timeout_ns: int = 5 * S
    tries: int = _TRIES
    sections: frozenset[str] = field(default_factory=lambda: frozenset(_SECTIONS))


def dig(call: Call) -> Steps:
    """dig [@SERVER] NAME [TYPE] [-x ADDRESS] [+short +search +tcp +noall +answer ...]"""
    try:
        wish, server = _read(call.args)
    except ValueError as error:
        return call.fail(f"dig: {error}")
    if server:
        result = yield from call.lookup(server, "ipv4")
        if not result.addresses:
            return call.fail(f"dig: couldn't get address for '{server}': not found", 10)
        wish = replace(wish, server=result.addresses[0])
    return (yield from _run(call, wish))


def _read(args: list[str]) -> tuple[_Wish, str]:
    """The options, and the name of the server. Raises ValueError."""
    wish, server, queue = _Wish(), "", list(args)
    named = False
    while queue:
        word = queue.pop(0)
        if word.startswith("@"):
            server = word[1:]
        elif word.startswith("+"):
            wish = _plus(wish, word[1:])
        elif word == "-x":
            wish, named = replace(wish, name=reverse_name(ip(_next(queue, word))), qtype=PTR), True
        elif word == "-t":
            wish = replace(wish, qtype=type_number(_next(queue, word)))
        elif word == "-q":
            wish, named = replace(wish, name=_next(queue, word)), True
        elif word in ("-4", "-u"):
            continue
        elif word.startswith("-"):
            raise ValueError(f"invalid option: {word}")
        elif word.isupper() or named:
            try:
                wish = replace(wish, qtype=type_number(word))
            except ValueError:
                wish, named = replace(wish, name=word), True
        else:
            wish, named = replace(wish, name=word), True
    return wish, server


def _next(queue: list[str], option: str) -> str:
    if not queue:
        raise ValueError(f"{option} needs a value")
    return queue.pop(0)


def _plus(wish: _Wish, word: str) -> _Wish:
    name, _, value = word.partition("=")
    on = not name.startswith("no")
    plain = name if on else name[2:]
    if plain in ("short", "search", "tcp", "edns"):
        switched: Any = {plain: on}
        return replace(wish, **switched)
    if plain == "all":
        return replace(wish, sections=frozenset(_SECTIONS if on else ()))
    if plain in _SECTIONS:
        return replace(wish, sections=wish.sections | {plain} if on else wish.sections - {plain})
    if plain in ("time", "timeout", "tries", "retry") and value.isdigit():
        if plain in ("time", "timeout"):
            return replace(wish, timeout_ns=max(1, int(value)) * S)
        return replace(wish, tries=max(1, int(value) + (plain == "retry")))
    if plain in ("recurse", "cookie", "vc", "ndots", "identify", "ttlid", "class", "cdflag", "adflag"):
        return wish
    raise ValueError(f"invalid option: +{word}")


def _run(call: Call, wish: _Wish) -> Steps:
    conf = call.machine.resolver.conf
    absolute = wish.name if wish.name.endswith(".") else f"{wish.name}."
    names = list(bind_names(wish.name, conf)) if wish.search else [absolute]
    servers = [wish.server] if wish.server is not None else list(conf.servers)
    if not wish.short and "cmd" in wish.sections:
        call.out(f"\n; <<>> DiG {VERSION} <<>> {' '.join(call.args)}\n;; global options: +cmd\n")
    for number, name in enumerate(names):
        begun_ns = call.now
        server, payload = yield from _ask(call, name, wish, servers)
        read = read_message(payload) if payload else None
        if payload is None or read is None:
            call.out(";; no servers could be reached\n" if wish.short else "")
            return 9
        if read[1].rcode == NXDOMAIN and number + 1 < len(names):
            continue
        if wish.short:
            call.out("".join(f"{record.data}\n" for record in read[1].answer))
        else:
            _print(call, wish, payload, read, server, call.now - begun_ns)
        return 0
    return 0


def _ask(
    call: Call, name: str, wish: _Wish, servers: list[Address]
) -> Generator[Any, Any, tuple[Address, bytes | None]]:
    for _ in range(wish.tries):
        for server in servers:
            edns = _EDNS_SIZE if wish.edns else 0
            payload = yield from call.ask(
                server, name, wish.qtype, edns_size=edns, over_tcp=wish.tcp, timeout_ns=wish.timeout_ns
            )
            if payload is not None:
                return server, payload
            shown = f"{ip_text(server)}#53({ip_text(server)})"
            if not wish.short:
                call.out(f";; communications error to {ip_text(server)}#53: timed out\n")
            else:
                call.err(f";; communications error to {shown}: timed out\n")
    if not wish.short:
        call.out(";; no servers could be reached\n\n")
    return servers[-1], None


def _print(
    call: Call, wish: _Wish, payload: bytes, read: tuple[Question, Reply], server: Address, took_ns: int
) -> None:
    question, reply = read
    flags = int.from_bytes(payload[2:4])
    additional = int.from_bytes(payload[10:12])
    has_opt = additional > len(reply.additional)
    if "comments" in wish.sections:
        names = " ".join(name for name, bit in _FLAGS if flags & bit)
        counts = f"ANSWER: {len(reply.answer)}, AUTHORITY: {len(reply.authority)}, ADDITIONAL: {additional}"
        rcode = RCODE_NAMES.get(reply.rcode, reply.rcode)
        number = int.from_bytes(payload[:2])
        call.out(f";; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: {rcode}, id: {number}\n")
        call.out(f";; flags: {names}; QUERY: 1, {counts}\n")
        if not flags & RA:
            call.out(";; WARNING: recursion requested but not available\n")
        call.out("\n")
        if has_opt:
            call.out(f";; OPT PSEUDOSECTION:\n; EDNS: version: 0, flags:; udp: {_opt_size(payload)}\n")
    if "question" in wish.sections:
        head = ";; QUESTION SECTION:\n" if "comments" in wish.sections else ""
        call.out(f"{head};{_padded(question.name, 31)}IN\t{type_text(question.type)}\n\n")
    for title, records in (
        ("answer", reply.answer), ("authority", reply.authority), ("additional", reply.additional),
    ):  # fmt: skip
        if title in wish.sections and records:
            _section(call, title if "comments" in wish.sections else "", records)
    if "stats" in wish.sections:
        when = datetime.fromtimestamp(call.now // S, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
        where = f"{ip_text(server)}#53({ip_text(server)}) ({'TCP' if wish.tcp else 'UDP'})"
        call.out(f";; Query time: {took_ns // MS} msec\n;; SERVER: {where}\n;; WHEN: {when}\n")
        call.out(f";; MSG SIZE  rcvd: {len(payload)}\n\n")


def _section(call: Call, title: str, records: tuple[Record, ...]) -> None:
    if title:
        call.out(f";; {title.upper()} SECTION:\n")
    for record in records:
        call.out(f"{_padded(record.name, 24)}{record.ttl}\tIN\t{type_text(record.type)}\t{record.data}\n")
    call.out("\n" if title else "")


def _padded(name: str, column: int) -> str:
    """The name and tabs up to a column, at least one (the master file style of lib/dns/masterdump.c)."""
    tabs = max(1, -(-(column - len(name)) // 8))
    return name + "\t" * tabs


def _opt_size(payload: bytes) -> int:
    """The UDP size in the reply's OPT, which stands last: root name, type, class."""
    at = payload.rfind(b"\0" + OPT.to_bytes(2))
    return int.from_bytes(payload[at + 3 : at + 5])
