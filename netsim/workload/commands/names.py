"""nslookup, host and getent, each asking as the real tool does and printing what it prints.

nslookup comes in three kinds, by the container's image (`Machine.busybox`): BIND's (bind 9.18 bin/dig/nslookup.c),
busybox since 1.29 (networking/nslookup.c: every search domain is asked, and only for names without a dot), and busybox
before, which is getaddrinfo followed by a reverse lookup of every address. host is BIND's; getent is glibc's.
"""

from collections.abc import Generator, Iterator
from typing import Any, Final

from netsim.wire.addr import Address, ip, ip_text
from netsim.wire.dns import (
    AAAA,
    CNAME,
    MX,
    NOERROR,
    NXDOMAIN,
    PTR,
    RCODE_NAMES,
    A,
    Reply,
    type_number,
    type_text,
)
from netsim.wire.dns_read import read_message
from netsim.workload.commands.call import Call, Steps, reverse_name
from netsim.workload.resolver_search import Settings

_NO_SERVERS: Final = ";; connection timed out; no servers could be reached"


def nslookup(call: Call) -> Steps:
    """nslookup [-type=TYPE] NAME [SERVER]"""
    words = [word for word in call.args if not word.startswith("-")]
    kinds = [word.partition("=")[2] for word in call.args if word.startswith(("-type=", "-query=", "-q="))]
    if not words:
        return call.fail("nslookup: it needs a name (there is no interactive mode here)")
    settings = call.machine.resolver.conf
    server = settings.servers[0]
    if len(words) > 1:
        result = yield from call.lookup(words[1], "ipv4")
        if not result.addresses:
            return call.fail(f"nslookup: couldn't get address for '{words[1]}': not found")
        server = result.addresses[0]
    try:
        qtypes = [type_number(kinds[0])] if kinds else []
    except ValueError:
        return call.fail(f"nslookup: unknown query type: {kinds[0]}")
    kind = call.machine.busybox
    if kind == "old":
        return (yield from _old_busybox(call, words[0], server))
    if kind == "new":
        return (yield from _new_busybox(call, words[0], server, qtypes))
    return (yield from _bind(call, words[0], server, qtypes))


# ---------------------------------------------------------------------- busybox before 1.29
def _old_busybox(call: Call, name: str, server: Address) -> Steps:
    yield from _with_name(call, "Server:    {0}\nAddress 1: {0}", server)
    call.out("\n")
    result = yield from call.lookup(name)
    if not result.addresses:
        return call.fail(f"nslookup: can't resolve '{name}'")
    call.out(f"Name:      {name}\n")
    for number, address in enumerate(result.addresses, 1):
        yield from _with_name(call, f"Address {number}: {{0}}", address)
    return 0


def _with_name(call: Call, form: str, address: Address) -> Generator[Any, Any, None]:
    """An address with its name behind it, if it has one."""
    payload = yield from call.ask(call.machine.resolver.conf.servers[0], reverse_name(address), PTR)
    read = read_message(payload) if payload else None
    names = [r.data.rstrip(".") for r in read[1].answer if r.type == PTR] if read else []
    call.out(form.format(ip_text(address)) + (f" {names[0]}" if names else "") + "\n")


# ---------------------------------------------------------------------- busybox since 1.29
def _new_busybox(call: Call, name: str, server: Address, qtypes: list[int]) -> Steps:
    where = ip_text(server)
    call.out(f"Server:\t\t{where}\nAddress:\t{where}:53\n\n")
    address = _address(name)
    names = [reverse_name(address)] if address else list(_busybox_names(name, call.machine.resolver.conf))
    failed = False
    for asked in names:
        for qtype in qtypes or ([PTR] if address else [A, AAAA]):
            payload = yield from call.ask(server, asked, qtype)
            read = read_message(payload) if payload else None
            if read is None:
                return call.fail(";; connection timed out; no servers could be reached\n")
            failed = not _print_busybox(call, asked, read[1]) or failed
    return 1 if failed else 0


def _busybox_names(name: str, conf: Settings) -> Iterator[str]:
    """add_query_with_search: the search list is for names without a dot."""
    if "." in name or not conf.searches:
        yield name if name.endswith(".") else f"{name}."
    else:
        yield from (f"{name}.{path}." for path in conf.searches)


def _print_busybox(call: Call, asked: str, reply: Reply) -> bool:
    if reply.rcode != NOERROR:
        call.out(f"** server can't find {asked.rstrip('.')}: {RCODE_NAMES.get(reply.rcode, reply.rcode)}\n\n")
        return False
    if not reply.authoritative and reply.answer:
        call.out("Non-authoritative answer:\n")
    for record in reply.answer:
        owner = record.name.rstrip(".")
        if record.type in (A, AAAA):
            call.out(f"Name:\t{owner}\nAddress: {record.data}\n")
        else:
            call.out(f"{owner}\t{_bind_words(record.type)} {record.data.rstrip('.')}\n")
    call.out("\n")
    return True


# ---------------------------------------------------------------------- BIND
def _bind(call: Call, name: str, server: Address, qtypes: list[int]) -> Steps:
    where = ip_text(server)
    call.out(f"Server:\t\t{where}\nAddress:\t{where}#53\n\n")
    address = _address(name)
    if address is not None:
        return (yield from _bind_reverse(call, server, address))
    last = name
    for asked in bind_names(name, call.machine.resolver.conf):
        last = asked.rstrip(".")
        payload = yield from call.ask(server, asked, qtypes[0] if qtypes else A)
        read = read_message(payload) if payload else None
        if read is None:
            return call.fail(f"{_NO_SERVERS}\n")
        reply = read[1]
        if reply.rcode == NXDOMAIN:
            continue
        if reply.rcode != NOERROR:
            break
        return (yield from _bind_answer(call, server, asked, reply, qtypes))
    else:
        reply = Reply(NXDOMAIN)
    shown = name if reply.rcode == NXDOMAIN else last
    call.out(f"** server can't find {shown}: {RCODE_NAMES.get(reply.rcode, reply.rcode)}\n\n")
    return 1


def _bind_answer(call: Call, server: Address, asked: str, reply: Reply, qtypes: list[int]) -> Steps:
    """Print what was found; without a type the AAAA records of the same name as well."""
    if not reply.authoritative and reply.answer:
        call.out("Non-authoritative answer:\n")
    _print_bind(call, reply, aliases=True)
    found = bool(reply.answer)
    if not qtypes:
        final = next((r.data for r in reversed(reply.answer) if r.type == CNAME), asked)
        payload = yield from call.ask(server, final, AAAA)
        read = read_message(payload) if payload else None
        if read is not None:
            _print_bind(call, read[1], aliases=False)
            found = found or bool(read[1].answer)
    if not found:
        call.out(f"*** Can't find {asked.rstrip('.')}: No answer\n")
    call.out("\n")
    return 0 if found else 1


def _print_bind(call: Call, reply: Reply, *, aliases: bool) -> None:
    for record in reply.answer:
        owner = record.name.rstrip(".")
        if record.type in (A, AAAA):
            call.out(f"Name:\t{owner}\nAddress: {record.data}\n")
        elif record.type != CNAME or aliases:
            call.out(f"{owner}\t{_bind_words(record.type)} {record.data}\n")


def _bind_words(qtype: int) -> str:
    words = {CNAME: "canonical name =", PTR: "name =", 33: "service =", 16: "text =", MX: "mail exchanger =",
             2: "nameserver ="}  # fmt: skip
    return words.get(qtype, f"rdata_{qtype} =")


def _bind_reverse(call: Call, server: Address, address: Address) -> Steps:
    name = reverse_name(address)
    payload = yield from call.ask(server, name, PTR)
    read = read_message(payload) if payload else None
    if read is None:
        return call.fail(f"{_NO_SERVERS}\n")
    records = [record for record in read[1].answer if record.type == PTR]
    if not records:
        call.out(f"** server can't find {name.rstrip('.')}: {RCODE_NAMES.get(read[1].rcode or NXDOMAIN)}\n\n")
        return 1
    for record in records:
        call.out(f"{name.rstrip('.')}\tname = {record.data}\n")
    call.out("\n")
    return 0


def bind_names(name: str, conf: Settings) -> Iterator[str]:
    """The names that BIND's tools try: with enough dots as it is first, otherwise the search list first."""
    if name.endswith("."):
        yield name
        return
    if name.count(".") >= conf.ndots:
        yield f"{name}."
        return
    yield from (f"{name}.{path}." for path in conf.searches)
    yield f"{name}."


# ---------------------------------------------------------------------- host, getent
def host(call: Call) -> Steps:
    """host [-t TYPE] NAME [SERVER]"""
    words = [word for word in call.args if not word.startswith("-")]
    wanted: list[int] = []
    if "-t" in call.args:
        at = call.args.index("-t") + 1
        try:
            wanted = [type_number(call.args[at])]
        except (ValueError, IndexError):
            return call.fail("host: invalid type")
        words = [word for word in words if word != call.args[at]]
    if not words:
        return call.fail("Usage: host [-t TYPE] NAME")
    conf, name = call.machine.resolver.conf, words[0]
    address = _address(name)
    names = [reverse_name(address)] if address else list(bind_names(name, conf))
    types = wanted or ([PTR] if address else [A, AAAA, MX])
    for asked in names:
        payload = yield from call.ask(conf.servers[0], asked, types[0])
        read = read_message(payload) if payload else None
        if read is None:
            return call.fail(_NO_SERVERS)
        if read[1].rcode == NXDOMAIN:
            continue
        if read[1].rcode != NOERROR:
            break
        return (yield from _host_answers(call, asked, read[1], types))
    code = read[1].rcode if read else NXDOMAIN
    shown = names[0].rstrip(".") if address else name
    return call.fail(f"Host {shown} not found: {code}({RCODE_NAMES.get(code, code)})")


def _host_answers(call: Call, asked: str, first: Reply, types: list[int]) -> Steps:
    forms = {A: "has address", AAAA: "has IPv6 address", CNAME: "is an alias for", PTR: "domain name pointer",
             MX: "mail is handled by", 33: "has SRV record", 16: "descriptive text", 2: "name server"}  # fmt: skip
    replies, said = [first], False
    for qtype in types[1:]:
        payload = yield from call.ask(call.machine.resolver.conf.servers[0], asked, qtype)
        read = read_message(payload) if payload else None
        replies += [read[1]] if read else []
    for number, reply in enumerate(replies):
        for record in reply.answer:
            if record.type == CNAME and number:
                continue  # said already
            data = record.data.rstrip(".") if record.type in (A, AAAA) else record.data
            call.out(f"{record.name.rstrip('.')} {forms.get(record.type, type_text(record.type))} {data}\n")
            said = True
    if not said:
        call.out(f"{asked.rstrip('.')} has no {type_text(types[0])} record\n")
    return 0 if said else 1


def getent(call: Call) -> Steps:
    """getent hosts|ahosts|ahostsv4 NAME"""
    if len(call.args) < 2 or call.args[0] not in ("hosts", "ahosts", "ahostsv4"):
        return call.fail("getent: only hosts, ahosts and ahostsv4 are simulated", 1)
    database, name = call.args[:2]
    result = yield from call.lookup(name, "ipv4" if database == "ahostsv4" else "any")
    if not result.addresses:
        return 2
    canonical = result.canonical.rstrip(".") or name
    if database == "hosts":
        # gethostbyname2: IPv6 first; only if there is none, IPv4.
        six = [a for a in result.addresses if len(a) == 16]
        for address in six or result.addresses:
            call.out(f"{ip_text(address):<15} {canonical}\n")
        return 0
    for address in result.addresses:
        for number, kind in enumerate(("STREAM", "DGRAM", "RAW")):
            shown = canonical if not number and address is result.addresses[0] else ""
            call.out(f"{ip_text(address):<15} {kind:<6} {shown}".rstrip() + "\n")
    return 0


def _address(text: str) -> Address | None:
    try:
        return ip(text)
    except ValueError:
        return None
