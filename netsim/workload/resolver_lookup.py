"""One call of getaddrinfo (or nslookup, dig): a walk along the search list, as a state machine without sockets.

`resolver` makes it real with sockets, the conformance tests with a scripted server: both subclass `Lookup`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from netsim.wire.dns import AAAA, A, Answer
from netsim.workload.address_order import GLIBC, MUSL, Row
from netsim.workload.resolver_exchange import (
    BindExchange,
    Exchange,
    GlibcExchange,
    Memory,
    MuslExchange,
    NewMuslExchange,
)
from netsim.workload.resolver_search import Outcome, Search, Settings, glibc_search, until_found

# Record types by the address family that the application wants (getaddrinfo(3) ai_family).
FAMILIES: Final[dict[str, tuple[int, ...]]] = {"any": (A, AAAA), "ipv4": (A,), "ipv6": (AAAA,)}


@dataclass(frozen=True, slots=True)
class Style:
    """A resolver: how it searches, how it asks, whether it asks for AAAA only for a name that has an A record, whether
    it has a socket for each server or one for all, and by which table it sorts addresses (None: not at all)."""

    search: Callable[[str, Settings], Search]
    exchange: type[Exchange]
    aaaa_afterwards: bool = False
    socket_per_server: bool = True
    order: tuple[Row, ...] | None = None


STYLES: Final[dict[str, Style]] = {
    "glibc": Style(glibc_search, GlibcExchange, order=GLIBC),
    "musl": Style(
        until_found, MuslExchange, socket_per_server=False, order=MUSL
    ),  # as observed: 1.2.3, without TCP
    "musl-1.2.4": Style(until_found, NewMuslExchange, socket_per_server=False, order=MUSL),
    "nslookup": Style(until_found, BindExchange, aaaa_afterwards=True),
    "bind": Style(until_found, BindExchange),  # dig: one record type
}


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What the application gets: addresses (4 or 16 bytes each) or an error.

    `error` is None or NXDOMAIN, NODATA, SERVFAIL, REFUSED, TIMEOUT, UNREACHABLE. `canonical` is the name that the
    addresses belong to (final dot). `queries` counts the questions that were sent, `ttl` is in seconds.
    """

    name: str
    addresses: tuple[bytes, ...] = ()
    canonical: str = ""
    error: str | None = None
    queries: int = 0
    ttl: int = 0


class Lookup(ABC):
    """Give it time and replies (`begin`, `heard`, `silence`, `unreachable`); it asks a subclass for the rest.

    `current` is the name that is being looked up, `types` the record type of each slot; the subclass counts `queries`.
    """

    __slots__ = ("_conf", "_exchange", "_found", "_memory", "_search", "_style", "current", "name", "now",
                 "queries", "types")  # fmt: skip

    def __init__(
        self, name: str, style: Style, types: tuple[int, ...], conf: Settings, memory: Memory
    ) -> None:
        self.name = name
        self.current = ""
        self.types = (A,) if style.aaaa_afterwards else types
        self.queries = 0
        self.now = 0
        self._style = style
        self._conf = conf
        self._memory = memory
        self._search = style.search(name, conf)
        self._exchange: Exchange | None = None
        self._found: tuple[Answer, ...] = ()

    @abstractmethod
    def ask(self, slot: int, server: int, *, over_tcp: bool) -> None:
        """Ask a server for `types[slot]` of the current name; `slot` tells the reply from the others. Raises ValueError
        for an impossible name."""

    @abstractmethod
    def reopen(self) -> None:
        """Ask from a new port from now on: replies to the old one are lost."""

    @abstractmethod
    def wait(self, until_ns: int) -> None:
        """Call `silence(now)` then, unless told otherwise."""

    @abstractmethod
    def finished(self, result: LookupResult) -> None:
        """The end."""

    def begin(self, now: int) -> None:
        """Ask for the first name."""
        self.now = now
        self._try(next(self._search))

    def heard(self, slot: int, server: int, answer: Answer, now: int, *, over_tcp: bool = False) -> None:
        """A reply to one of the questions."""
        self.now = now
        if self._exchange is not None:
            self._exchange.heard(slot, server, answer, now, over_tcp=over_tcp)

    def silence(self, now: int) -> None:
        """The wait is over."""
        self.now = now
        if self._exchange is not None:
            self._exchange.silence(now)

    def unreachable(self, server: int, now: int) -> None:
        """The network says that a server cannot be reached."""
        self.now = now
        if self._exchange is not None:
            self._exchange.unreachable(server, now)

    def over(self, outcome: Outcome) -> None:
        """The exchange about the current name has ended."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        answers = tuple(filter(None, exchange.answers))
        if self._found:
            self._succeed(self._found + answers)
        elif outcome is Outcome.ANSWER and self._style.aaaa_afterwards:
            self._found = answers
            self.types = (AAAA,)
            self._try(self.current)
        elif outcome is Outcome.ANSWER:
            self._search.close()
            self._succeed(answers)
        else:
            self._next(outcome, answers)

    def _next(self, outcome: Outcome, answers: tuple[Answer, ...]) -> None:
        try:
            name = self._search.send(outcome)
        except StopIteration as stop:
            ttl = min((answer.ttl for answer in answers), default=0)
            self.finished(LookupResult(self.name, error=stop.value.value, queries=self.queries, ttl=ttl))
        else:
            self._try(name)

    def _try(self, name: str) -> None:
        if self._exchange is None and self.current:
            self.reopen()
        self.current = name
        exchange = self._exchange = self._style.exchange(len(self.types), self._conf, self._memory, self)
        try:
            exchange.begin(self.now)
        except ValueError:  # a label of more than 63 characters, for example: res_mkquery fails
            self._exchange = None
            self._next(Outcome.REFUSED, ())

    def _succeed(self, answers: tuple[Answer, ...]) -> None:
        good = [answer for answer in answers if answer.count]
        first = good[0]
        addresses, ttl = first.addresses, first.ttl
        for answer in good[1:]:
            addresses += answer.addresses
            ttl = min(ttl, answer.ttl)
        self.finished(LookupResult(self.name, addresses, first.canonical, None, self.queries, ttl))
