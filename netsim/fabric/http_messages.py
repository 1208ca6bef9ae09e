"""HTTP/1.1 messages by h11: each distinct message is built once, each distinct byte string is read once.

Called by the probes (`http.py`) and by `netsim.workload`'s clients and servers, each of which holds a `Messages` or
shares one: it is a memory only and has no influence on results. Sources: RFC 9110, RFC 9112; the grammar is h11's.

Usually a whole message arrives in one segment, and reading it is one dictionary look-up. A longer body with a
Content-Length is counted (`Incoming`); anything else (a head in pieces, chunks, a body that ends with the connection)
goes through h11 segment by segment (`Reader`). h11 does one message per `Reader`, not a whole connection: whether a
connection is kept is decided by those who hold it, by `close`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import h11

Headers = tuple[tuple[str, str], ...]
M = TypeVar("M", bound="Message")
K = TypeVar("K")
V = TypeVar("V")

UNKNOWN: Final = -1

# A full memory is emptied; what is still needed comes back at the price of one h11 pass (0.1 ms).
_MOST: Final = 1024
_LONGEST: Final = 65536

_RESERVED: Final = "/?#[]@!$&'()*+,;=%:~"  # RFC 3986 section 2.2; stays as it is in a request target


class BadMessageError(ValueError):
    """What arrived is no HTTP. `args` are the status that a server answers with (400, 431...) and h11's words."""

    @property
    def status(self) -> int:
        """The status code to answer with."""
        return int(self.args[0])


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A message as far as it has arrived, its head complete. `close`: its sender closes or wants the connection closed
    afterwards. `missing`: body bytes to come, UNKNOWN when only h11 can tell. `rest`: bytes after the message."""

    headers: Headers
    body: bytes
    close: bool
    missing: int
    rest: bytes


@dataclass(frozen=True, slots=True, eq=False)
class HttpRequest(Message):
    """A request."""

    method: str
    target: str


@dataclass(frozen=True, slots=True, eq=False)
class HttpResponse(Message):
    """A response."""

    status: int
    reason: str


class Reader:
    """One message through h11."""

    __slots__ = ("_body", "_connection", "_head", "_received")

    def __init__(self, connection: h11.Connection) -> None:
        self._connection = connection
        self._head: Any = None
        self._body: list[bytes] = []
        self._received = 0

    def feed(self, data: bytes) -> Message | None:
        """The message, once it is complete; b"" stands for the end of the connection. Raises BadMessageError."""
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.EndOfMessage):
                    return self._message(0)
                if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    return None
                self._take(event)
        except h11.RemoteProtocolError as error:
            raise BadMessageError(error.error_status_hint, str(error)) from None

    def _take(self, event: Any) -> None:
        if isinstance(event, h11.Data):
            self._body.append(bytes(event.data))
            self._received += len(event.data)
        elif not isinstance(event, h11.InformationalResponse):
            self._head = event

    def so_far(self) -> Message | None:
        """The head and what there is of the body; None before the head is complete."""
        if self._head is None:
            return None
        length = None
        for name, value in self._head.headers:
            if name == b"transfer-encoding":
                return self._message(UNKNOWN)
            if name == b"content-length":
                length = int(value)
        return self._message(UNKNOWN if length is None else length - self._received)

    def _message(self, missing: int) -> Message:
        head = self._head
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
        rest = b"" if missing else self._connection.trailing_data[0]
        common = (headers, b"".join(self._body), _closes(head), missing, rest)
        if isinstance(head, h11.Request):
            return HttpRequest(*common, head.method.decode(), head.target.decode())
        return HttpResponse(*common, head.status_code, bytes(head.reason).decode("latin-1"))


def _closes(head: Any) -> bool:
    """RFC 9112 section 9.3. An HTTP/1.0 peer that asks for keep-alive is not granted it, nor does h11 grant it."""
    if head.http_version < b"1.1":
        return True
    tokens = [value.lower() for name, value in head.headers if name == b"connection"]
    return any(token.strip() == b"close" for value in tokens for token in value.split(b","))


class Incoming(Generic[M]):
    """A message that arrives in more than one segment. Made by `Messages`, for one message."""

    __slots__ = ("_chunks", "_first", "_missing", "_read", "_reader", "_reader_for")

    def __init__(self, read: Callable[[bytes], M | None], reader: Callable[[], Reader]) -> None:
        self._read = read
        self._reader_for = reader
        self._reader: Reader | None = None
        self._first: M | None = None
        self._chunks: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> M | None:
        """The message, once it is complete. Raises BadMessageError."""
        if self._first is not None:
            return self._count(data)
        if self._reader is None:
            first = self._read(data)
            if first is not None and first.missing == 0:
                return first
            if first is not None and first.missing != UNKNOWN:
                self._first, self._missing = first, first.missing
                self._chunks.append(first.body)
                return None
            self._reader = self._reader_for()
        return self._reader.feed(data)  # type: ignore[return-value] # a reader of requests makes requests

    def end(self) -> M | None:
        """The connection is at its end: the message, if that is how its end is told (RFC 9112 section 6.3)."""
        return self._reader.feed(b"") if self._reader is not None else None  # type: ignore[return-value]

    def _count(self, data: bytes) -> M | None:
        assert self._first is not None
        body = data[: self._missing]
        self._chunks.append(body)
        self._missing -= len(body)
        if self._missing:
            return None
        return replace(self._first, body=b"".join(self._chunks), missing=0, rest=data[len(body) :])


@dataclass(slots=True)
class Messages:
    """Messages built and byte strings read so far."""

    _built: dict[tuple[Any, ...], bytes] = field(default_factory=dict)
    _requests: dict[bytes, HttpRequest | None] = field(default_factory=dict)
    _responses: dict[bytes, HttpResponse | None] = field(default_factory=dict)
    _head_responses: dict[bytes, HttpResponse | None] = field(default_factory=dict)

    # ------------------------------------------------------------------ building
    def request(self, method: str, target: str, host: str, headers: Headers = (), body: bytes = b"") -> bytes:
        """The bytes of a request. Raises ValueError for what HTTP does not allow."""
        key = (method, target, host, headers, body)
        return self._built.get(key) or _keep(self._built, key, _request(*key), len(body))

    def response(
        self, status: int, headers: Headers, body: bytes, *, to_head: bool = False, close: bool = False
    ) -> bytes:
        """The bytes of a response with a Content-Length; without the body if it answers a HEAD."""
        key = (status, headers, body, to_head, close)
        return self._built.get(key) or _keep(self._built, key, _response(*key), len(body))

    # ------------------------------------------------------------------ reading
    def read_request(self, data: bytes) -> HttpRequest | None:
        """The request that a segment begins; None if its head is not complete. Raises BadMessageError."""
        found = self._requests.get(data)
        return found if found is not None else _parse(self._requests, data, _server_reader())

    def read_response(self, data: bytes, to_head: bool = False) -> HttpResponse | None:
        """The same for a response; `to_head` says that a HEAD was asked."""
        memory = self._head_responses if to_head else self._responses
        found = memory.get(data)
        return found if found is not None else _parse(memory, data, _client_reader(to_head))

    def incoming_request(self) -> Incoming[HttpRequest]:
        """For a request that comes in pieces."""
        return Incoming(self.read_request, _server_reader)

    def incoming_response(self, to_head: bool = False) -> Incoming[HttpResponse]:
        """For a response that comes in pieces."""
        return Incoming(lambda data: self.read_response(data, to_head), lambda: _client_reader(to_head))


def _keep(memory: dict[K, V], key: K, value: V, size: int) -> V:
    if size <= _LONGEST:
        if len(memory) >= _MOST:
            memory.clear()
        memory[key] = value
    return value


def _parse(memory: dict[bytes, M | None], data: bytes, reader: Reader) -> M | None:
    found: Any = reader.feed(data)
    if found is None:
        found = reader.so_far()
    if found is not None:
        _keep(memory, data, found, len(data))
    return found  # type: ignore[no-any-return]


def _server_reader() -> Reader:
    return Reader(h11.Connection(h11.SERVER))


def _client_reader(to_head: bool) -> Reader:
    """h11 wants to have sent the request before it reads the response."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="HEAD" if to_head else "GET", target="/", headers=[("Host", "")]))
    connection.send(h11.EndOfMessage())
    return Reader(connection)


def _request(method: str, target: str, host: str, headers: Headers, body: bytes) -> bytes:
    fields = [("Host", host), *headers]
    if body or method in ("POST", "PUT", "PATCH"):  # RFC 9110 section 8.6
        fields.append(("Content-Length", str(len(body))))
    connection = h11.Connection(h11.CLIENT)
    try:
        head = h11.Request(method=method, target=quote(target, safe=_RESERVED), headers=fields)
        return _sent(connection, head, body)
    except h11.LocalProtocolError as error:
        raise ValueError(f"{method} {target} for {host} is no HTTP request: {error}") from None


def _response(status: int, headers: Headers, body: bytes, to_head: bool, close: bool) -> bytes:
    fields = [*headers, ("Content-Length", str(len(body)))]
    if close:
        fields.append(("Connection", "close"))
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"%s / HTTP/1.1\r\nHost: h\r\n\r\n" % (b"HEAD" if to_head else b"GET"))
    while not isinstance(connection.next_event(), h11.EndOfMessage):
        pass
    head = h11.Response(status_code=status, headers=fields, reason=HTTPStatus(status).phrase)
    return _sent(connection, head, b"" if to_head else body)


def _sent(connection: h11.Connection, head: h11.Request | h11.Response, body: bytes) -> bytes:
    pieces = [connection.send(head), connection.send(h11.Data(data=body)) if body else b""]
    return b"".join(piece or b"" for piece in [*pieces, connection.send(h11.EndOfMessage())])
