"""curl and wget: one request, and what the tool says about it.

Sources: curl 8.5 (exit codes and messages of curl(1) and lib/strerror.c), busybox networking/wget.c, GNU wget 1.21.
Not simulated: HTTPS, redirects, uploads of files.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from netsim.engine import MS, S
from netsim.wire.addr import ip_text
from netsim.workload.commands.call import Call, Steps
from netsim.workload.http_client import ClientSpec, HttpClient
from netsim.workload.http_exchange import HttpExchange

# Without a limit of its own curl waits for a connection as long as the kernel, and 5 minutes at most.
_FOREVER_NS: Final = 300 * S
_WGET_TIMEOUT_NS: Final = 900 * S
_FAMILIES: Final = {"-4": "ipv4", "-6": "ipv6"}


@dataclass(slots=True)
class Order:
    """What is to be fetched."""

    host: str
    port: int
    path: str
    method: str = "GET"
    timeout_ns: int = _FOREVER_NS
    connect_timeout_ns: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    host_header: str = ""
    family: str = "any"
    agent: str = "curl/8.5.0"


@dataclass(slots=True)
class _Curl:
    """curl's options."""

    urls: list[str] = field(default_factory=list)
    silent: bool = False
    show_error: bool = False
    head: bool = False
    include: bool = False
    verbose: bool = False
    fail: bool = False
    output: str = ""
    write_out: str = ""
    method: str = ""
    family: str = "any"
    timeout_ns: int = _FOREVER_NS
    connect_timeout_ns: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)


def order(text: str) -> Order:
    """A URL as people type it, with or without http://. Raises ValueError."""
    if text.startswith("https://"):
        raise ValueError("https is not simulated: write http://")
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{text} is no http URL")
    path = parts.path or "/"
    return Order(parts.hostname, parts.port or 80, f"{path}?{parts.query}" if parts.query else path)


def fetch(call: Call, wanted: Order) -> Generator[Any, Any, HttpExchange]:
    """The request and its end."""
    spec = ClientSpec(
        wanted.host,
        wanted.port,
        wanted.path,
        wanted.method,
        timeout_ns=wanted.timeout_ns,
        family=wanted.family,
        connect_timeout_ns=wanted.connect_timeout_ns,
    )
    client = HttpClient(call.host, spec, call.machine.resolver)
    authority = wanted.host if wanted.port == 80 else f"{wanted.host}:{wanted.port}"
    headers = (("User-Agent", wanted.agent), ("Accept", "*/*"), *wanted.headers)
    client.wanted = client.messages.request(
        wanted.method, wanted.path, wanted.host_header or authority, headers
    )
    exchange, _now = yield from call.answer(lambda done: client.request(done, call.now))
    return exchange  # type: ignore[no-any-return]


# ---------------------------------------------------------------------- curl
def curl(call: Call) -> Steps:
    """curl [-sSvIif] [-o FILE] [-w FORMAT] [-m SECONDS] [--connect-timeout SECONDS] [-H HEADER] [-X METHOD] URL..."""
    try:
        wish = _read_curl(call.args)
    except ValueError as error:
        return call.fail(f"curl: {error}", 2)
    if not wish.urls:
        return call.fail("curl: (2) no URL specified", 2)
    code = 0
    for url in wish.urls:
        code = yield from _curl_one(call, wish, url)
    return code


def _read_curl(args: list[str]) -> _Curl:
    wish, queue = _Curl(), list(args)
    while queue:
        word = queue.pop(0)
        if word.startswith("--"):
            _long_option(wish, word, queue)
        elif word.startswith("-") and len(word) > 1:
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter in _VALUES:
                    value = letters or (queue.pop(0) if queue else "")
                    _VALUES[letter](wish, value)
                    break
                _flag(wish, letter)
        else:
            wish.urls.append(word)
    return wish


def _long_option(wish: _Curl, word: str, queue: list[str]) -> None:
    name, _, value = word[2:].partition("=")
    letter = _LONG.get(name)
    if letter is None:
        raise ValueError(f"option --{name}: is unknown")
    if letter in _VALUES:
        _VALUES[letter](wish, value or (queue.pop(0) if queue else ""))
    else:
        _flag(wish, letter)


def _flag(wish: _Curl, letter: str) -> None:
    names = {"s": "silent", "S": "show_error", "I": "head", "i": "include", "v": "verbose", "f": "fail"}
    if letter in names:
        setattr(wish, names[letter], True)
    elif letter in "46":
        wish.family = _FAMILIES[f"-{letter}"]
    elif letter not in "kLNgq#":  # without effect here
        raise ValueError(f"option -{letter}: is unknown")


def _set_header(wish: _Curl, value: str) -> None:
    name, _, content = value.partition(":")
    wish.headers.append((name.strip(), content.strip()))


def _set_timeout(wish: _Curl, value: str) -> None:
    wish.timeout_ns = int(float(value) * S)


def _set_connect_timeout(wish: _Curl, value: str) -> None:
    wish.connect_timeout_ns = int(float(value) * S)


_VALUES: Final[dict[str, Callable[[_Curl, str], None]]] = {
    "o": lambda wish, value: setattr(wish, "output", value),
    "w": lambda wish, value: setattr(wish, "write_out", value),
    "X": lambda wish, value: setattr(wish, "method", value),
    "m": _set_timeout,
    "connect-timeout": _set_connect_timeout,
    "H": _set_header,
    "A": lambda wish, value: wish.headers.append(("User-Agent", value)),
}
_LONG: Final = {
    "silent": "s", "show-error": "S", "head": "I", "include": "i", "verbose": "v", "fail": "f", "output": "o",
    "write-out": "w", "request": "X", "max-time": "m", "connect-timeout": "connect-timeout", "header": "H",
    "user-agent": "A",
    "ipv4": "4", "ipv6": "6", "location": "L", "insecure": "k", "no-progress-meter": "#",
}  # fmt: skip


def _curl_one(call: Call, wish: _Curl, url: str) -> Steps:
    try:
        wanted = order(url)
    except ValueError as error:
        return call.fail(f"curl: (3) {error}", 3)
    wanted.method = wish.method or ("HEAD" if wish.head else "GET")
    wanted.timeout_ns, wanted.family = wish.timeout_ns, wish.family
    wanted.connect_timeout_ns = wish.connect_timeout_ns
    wanted.headers = tuple(h for h in wish.headers if h[0].lower() not in ("host", "user-agent"))
    wanted.host_header = next((v for name, v in wish.headers if name.lower() == "host"), "")
    wanted.agent = next((v for name, v in wish.headers if name.lower() == "user-agent"), wanted.agent)
    exchange = yield from fetch(call, wanted)
    if wish.verbose:
        _tell_connection(call, wanted, exchange)
    code = _curl_body(call, wish, wanted, exchange)
    if wish.write_out:
        call.out(_filled(wish.write_out, exchange))
    return code


def _curl_body(call: Call, wish: _Curl, wanted: Order, exchange: HttpExchange) -> int:
    response = exchange.response
    if response is None:
        code, words = _curl_error(wanted, exchange)
        if not wish.silent or wish.show_error:
            call.err(f"curl: ({code}) {words}\n")
        return code
    if wish.fail and response.status >= 400:
        if not wish.silent or wish.show_error:
            call.err(f"curl: (22) The requested URL returned error: {response.status}\n")
        return 22
    text = ""
    if wish.head or wish.include:
        text = f"HTTP/1.1 {response.status} {response.reason}\r\n"
        text += "".join(f"{_titled(name)}: {value}\r\n" for name, value in response.headers) + "\r\n"
    if not wish.head:
        text += response.body.decode("utf-8", "replace")
    if wish.output in ("", "-"):
        call.out(text)
    return 0


def _curl_error(wanted: Order, exchange: HttpExchange) -> tuple[int, str]:
    took = (exchange.ended_ns - exchange.started_ns) // MS
    where = f"{wanted.host} port {wanted.port}"
    if exchange.outcome == "dns":
        return 6, f"Could not resolve host: {wanted.host}"
    if exchange.outcome == "timeout":
        if exchange.error.startswith("connect time-out"):
            return 28, f"Failed to connect to {where} after {took} ms: Timeout was reached"
        if exchange.connected_ns:
            return 28, f"Operation timed out after {took} milliseconds with 0 bytes received"
        return 28, f"Connection timed out after {took} milliseconds"
    if exchange.outcome == "reset" and exchange.connected_ns:
        empty = "without an answer" in exchange.error
        return (52, "Empty reply from server") if empty else (56, "Recv failure: Connection reset by peer")
    if exchange.outcome == "http-error":
        return 1, "Received HTTP/0.9 when not allowed"
    return 7, f"Failed to connect to {where} after {took} ms: Couldn't connect to server"


def _tell_connection(call: Call, wanted: Order, exchange: HttpExchange) -> None:
    if exchange.flow is not None:
        address = ip_text(exchange.flow.dst)
        call.err(f"*   Trying {address}:{wanted.port}...\n")
        if exchange.connected_ns:
            call.err(f"* Connected to {wanted.host} ({address}) port {wanted.port}\n")
    if exchange.connected_ns:
        authority = wanted.host_header or f"{wanted.host}{'' if wanted.port == 80 else f':{wanted.port}'}"
        call.err(f"> {wanted.method} {wanted.path} HTTP/1.1\n> Host: {authority}\n")
        call.err(f"> User-Agent: {wanted.agent}\n> Accept: */*\n>\n")
    if exchange.response is not None:
        call.err(f"< HTTP/1.1 {exchange.status} {exchange.response.reason}\n")
        for name, value in exchange.response.headers:
            call.err(f"< {_titled(name)}: {value}\n")
        call.err("<\n")


def _titled(name: str) -> str:
    """h11 gives header names in lower case; servers write them with capitals."""
    return "-".join(part.capitalize() for part in name.split("-"))


def _filled(form: str, exchange: HttpExchange) -> str:
    """--write-out: variables, and \\n and \\t."""
    started = exchange.started_ns
    size = len(exchange.response.body) if exchange.response else 0
    seconds = {
        "time_namelookup": exchange.resolved_ns, "time_connect": exchange.connected_ns,
        "time_starttransfer": exchange.ended_ns, "time_total": exchange.ended_ns,
    }  # fmt: skip
    values = {name: f"{max(0, at - started) / 1e9:.6f}" if at else "0.000000" for name, at in seconds.items()}
    values |= {
        "http_code": f"{exchange.status:03}", "response_code": f"{exchange.status:03}",
        "size_download": str(size), "num_connects": "1" if exchange.connected_ns else "0",
        "remote_ip": ip_text(exchange.flow.dst) if exchange.flow else "",
        "remote_port": str(exchange.flow.dport) if exchange.flow else "",
        "local_ip": ip_text(exchange.flow.src) if exchange.flow else "",
        "local_port": str(exchange.flow.sport) if exchange.flow else "",
    }  # fmt: skip
    for name, value in values.items():
        form = form.replace(f"%{{{name}}}", value)
    return form.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")


# ---------------------------------------------------------------------- wget
def wget(call: Call) -> Steps:
    """wget [-q] [-O FILE|-] [-T SECONDS] [--spider] URL"""
    quiet, spider, output, timeout_ns, urls = False, False, "", _WGET_TIMEOUT_NS, []
    queue = list(call.args)
    while queue:
        word = queue.pop(0)
        if word.startswith("-O") or word.startswith("--output-document"):
            output = word[2:] if len(word) > 2 and word[1] == "O" else queue.pop(0) if queue else ""
        elif word.startswith(("-T", "--timeout")):
            value = word[2:] if word[1] == "T" and len(word) > 2 else word.partition("=")[2]
            timeout_ns = int(float(value or (queue.pop(0) if queue else "900")) * S)
        elif word == "--spider":
            spider = True
        elif word in ("-q", "--quiet", "-qO-", "-qO"):
            quiet = True
            if word != "-q":
                output = "-" if word == "-qO-" else queue.pop(0) if queue else ""
        elif word.startswith("-") and word not in ("-S", "-4", "--no-check-certificate"):
            return call.fail(f"wget: unrecognized option: {word.lstrip('-')}")
        elif not word.startswith("-"):
            urls.append(word)
    if not urls:
        return call.fail("wget: missing URL")
    try:
        wanted = order(urls[0])
    except ValueError as error:
        return call.fail(f"wget: {error}")
    wanted.timeout_ns, wanted.agent, wanted.family = timeout_ns, "Wget", "ipv4"
    exchange = yield from fetch(call, wanted)
    if exchange.flow is not None and not quiet:
        call.err(f"Connecting to {_authority(wanted)} ({ip_text(exchange.flow.dst)}:{wanted.port})\n")
    return _wget_end(call, wanted, exchange, quiet or spider, "" if spider else output or "index.html")


def _authority(wanted: Order) -> str:
    return wanted.host if wanted.port == 80 else f"{wanted.host}:{wanted.port}"


def _wget_end(call: Call, wanted: Order, exchange: HttpExchange, quiet: bool, output: str) -> int:
    response = exchange.response
    if response is None:
        if exchange.outcome == "dns":
            return call.fail(f"wget: bad address '{wanted.host}'")
        if exchange.outcome == "timeout":
            return call.fail("wget: download timed out")
        where = f"{ip_text(exchange.flow.dst)}" if exchange.flow else wanted.host
        what = {"refused": "Connection refused", "unreachable": "No route to host"}.get(
            exchange.outcome, "Connection reset by peer"
        )
        return call.fail(f"wget: can't connect to remote host ({where}): {what}")
    if response.status >= 400:
        return call.fail(f"wget: server returned error: HTTP/1.1 {response.status} {response.reason}")
    if output == "-":
        call.out(response.body.decode("utf-8", "replace"))
    if not quiet:
        size, name = len(response.body), "stdout" if output == "-" else f"'{output}'"
        call.err(f"{'writing to stdout' if output == '-' else f'saving to {name}'}\n")
        shown = "-" if output == "-" else output
        call.err(f"{shown:<20} 100% |{'*' * 32}| {size:>5}  0:00:00 ETA\n")
        call.err(f"{'written to stdout' if output == '-' else f'{name} saved'}\n")
    return 0
