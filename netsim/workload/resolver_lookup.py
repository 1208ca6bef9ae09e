"""One call of getaddrinfo (or nslookup, dig): a walk along the search list, as a state machine without sockets.

Called by `resolver` (real sockets) and by the conformance tests (a scripted server): see `Transport`.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from netsim.wire.dns import AAAA, A, Answer
from netsim.workload.resolver_exchange import EXCHANGES, Exchange, Memory
from netsim.workload.resolver_search import SEARCHES, Outcome, Settings

# Record types by the address family that the application wants (getaddrinfo(3) ai_family).
FAMILIES: Final[dict[str, tuple[int, ...]]] = {"any": (A, AAAA), "ipv4": (A,), "ipv6": (AAAA,)}


@dataclass(frozen=True, slots=True)
class Style:
    """A resolver: how it searches, how it asks, and whether it asks for AAAA only for a name that has an A record."""

    search: str
    exchange: str
    aaaa_afterwards: bool = False


STYLES: Final[dict[str, Style]] = {
    "glibc": Style("glibc", "glibc"),
    "musl": Style("musl", "musl"),  # as observed: 1.2.3, which has no TCP
    "musl-1.2.4": Style("musl", "musl-1.2.4"),
    "nslookup": Style("bind", "bind", aaaa_afterwards=True),
    "bind": Style("bind", "bind"),  # dig: one record type
}


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What the application gets: addresses (4 or 16 bytes each) or an error.

    `error` is None or NXDOMAIN, NODATA, SERVFAIL, REFUSED, TIMEOUT, UNREACHABLE, INVALID. `canonical` is the name that
    the addresses belong to (final dot). `queries` counts the questions that were sent, `ttl` is in seconds.
    """

    name: str
    addresses: tuple[bytes, ...] = ()
    canonical: str = ""
    error: str | None = None
    queries: int = 0
    ttl: int = 0


class Transport(Protocol):
    """What a look-up needs of the outside. Replies come back through `heard`, `silence` and `unreachable`."""

    def ask(self, slot: int, name: str, qtype: int, server: int, *, over_tcp: bool) -> None:
        """Send a question; `slot` tells its reply from the others. Raises ValueError for an impossible name."""

    def reopen(self) -> None:
        """Send from a new port from now on."""

    def wait(self, until_ns: int) -> None:
        """Call `silence(now)` then, unless told otherwise."""

    def finished(self, result: LookupResult) -> None:
        """The end."""


class Lookup:
    """Give it time and replies; it asks its transport for the rest."""

    __slots__ = ("_exchange", "_found", "_memory", "_search", "_settings", "_style", "_transport", "_types", "current",
                 "name", "now", "queries")  # fmt: skip

    def __init__(
        self,
        name: str,
        style: Style,
        types: tuple[int, ...],
        conf: Settings,
        memory: Memory,
        transport: Transport,
    ) -> None:
        self.name = name
        self.current = ""
        self.queries = 0
        self.now = 0
        self._style = style
        self._types = (A,) if style.aaaa_afterwards else types
        self._settings = conf
        self._memory = memory
        self._transport = transport
        self._search = SEARCHES[style.search](name, conf)
        self._exchange: Exchange | None = None
        self._found: tuple[Answer, ...] = ()

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
        """The network says so."""
        self.now = now
        if self._exchange is not None:
            self._exchange.unreachable(server, now)

    # -- the exchange's line -----------------------------------------------------------------------------------------

    def ask(self, slot: int, server: int, *, over_tcp: bool) -> None:
        """Send a question about the current name."""
        self.queries += 1
        self._transport.ask(slot, self.current, self._types[slot], server, over_tcp=over_tcp)

    def reopen(self) -> None:
        """A new port."""
        self._transport.reopen()

    def wait(self, until_ns: int) -> None:
        """Silence until then is the end of this attempt."""
        self._transport.wait(until_ns)

    def over(self, outcome: Outcome) -> None:
        """The exchange about the current name has ended."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        answers = tuple(answer for answer in exchange.answers if answer is not None)
        if self._found:
            self._finish(Outcome.ANSWER, self._found + answers)
        elif outcome is Outcome.ANSWER and self._style.aaaa_afterwards:
            self._found = answers
            self._types = (AAAA,)
            self._try(self.current)
        else:
            self._next(outcome, answers)

    def _next(self, outcome: Outcome, answers: tuple[Answer, ...]) -> None:
        try:
            name = self._search.send(outcome)
        except StopIteration as stop:
            self._finish(stop.value, answers)
        else:
            self._try(name)

    def _try(self, name: str) -> None:
        self.current = name
        self._transport.reopen()
        self._exchange = EXCHANGES[self._style.exchange](len(self._types), self._settings, self._memory, self)
        try:
            self._exchange.begin(self.now)
        except ValueError:  # a label of more than 63 characters, for example: res_mkquery fails
            self._exchange = None
            self._next(Outcome.REFUSED, ())

    def _finish(self, outcome: Outcome, answers: tuple[Answer, ...]) -> None:
        if outcome is not Outcome.ANSWER:
            ttl = min((answer.ttl for answer in answers), default=0)
            failed = LookupResult(self.name, error=outcome.value, queries=self.queries, ttl=ttl)
            self._transport.finished(failed)
            return
        good = [answer for answer in answers if answer.count]
        result = LookupResult(
            self.name, tuple(address for answer in good for address in answer.addresses),
            good[0].canonical, None, self.queries, min(answer.ttl for answer in good),
        )  # fmt: skip
        self._transport.finished(result)
