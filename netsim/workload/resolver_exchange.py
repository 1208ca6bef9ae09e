"""How a resolver gets one name's answers out of its servers: retries, time-outs, server order. No sockets here.

Called by `resolver_lookup`, which gives each exchange a `Line` to the outside: ask, wait, be told. Sources:
glibc 2.36 resolv/res_send.c (send_dg, __res_context_send), musl 1.2.3 src/network/res_msend.c, BIND 9.18 dighost.c.

Theory of operation. A question has one slot per record type (A and AAAA leave back to back). An exchange is over when
every slot has a usable reply, or when the schedule of servers and rounds is used up:

             asks             goes on to the next server/round on         a reply is unusable when
    glibc    one at a time    silence for `timeout`, errors, bad replies   SERVFAIL, NOTIMP, REFUSED, FORMERR
    musl     all at once      (round) silence for `timeout / attempts`     SERVFAIL (asked again at once), others
    bind     one at a time    silence, errors, SERVFAIL (once per server)  SERVFAIL
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from netsim.engine import S
from netsim.wire.dns import NOERROR, NXDOMAIN, SERVFAIL, Answer
from netsim.workload.resolver_search import Outcome, Settings


class Line(Protocol):
    """What an exchange can do."""

    def ask(self, slot: int, server: int, *, over_tcp: bool) -> None:
        """Send the question of a slot to a server (an index into `Settings.servers`)."""

    def reopen(self) -> None:
        """Send whatever comes next from a new port."""

    def wait(self, until_ns: int) -> None:
        """Call `silence(now)` then, unless told otherwise."""

    def over(self, outcome: Outcome) -> None:
        """The exchange has ended; the answers are in `Exchange.answers`."""


@dataclass(slots=True)
class Memory:
    """What a process's resolver remembers from one exchange to the next (glibc: res_state)."""

    single_request: bool = False
    reopen: bool = False
    turn: int = 0


class Exchange(ABC):
    """The look-up of one name. `answers` has one place per slot, None until there is a usable reply."""

    __slots__ = ("_conf", "_line", "_memory", "answers")

    def __init__(self, slots: int, conf: Settings, memory: Memory, line: Line) -> None:
        self.answers: list[Answer | None] = [None] * slots
        self._conf = conf
        self._memory = memory
        self._line = line

    @abstractmethod
    def begin(self, now: int) -> None:
        """Ask for the first time."""

    @abstractmethod
    def heard(self, slot: int, server: int, answer: Answer, now: int, *, over_tcp: bool = False) -> None:
        """A reply has arrived."""

    @abstractmethod
    def silence(self, now: int) -> None:
        """Nothing (more) arrived in time."""

    @abstractmethod
    def unreachable(self, server: int, now: int) -> None:
        """The network says that the server cannot be reached (ICMP), or its TCP connection failed."""


class GlibcExchange(Exchange):
    """One server after another, `attempts` times round. `_missing` has a bit for each slot without a reply."""

    __slots__ = ("_all_errors", "_bad", "_first", "_in_turn", "_index", "_missing", "_round", "_server")

    def __init__(self, slots: int, conf: Settings, memory: Memory, line: Line) -> None:
        super().__init__(slots, conf, memory, line)
        self._round = self._index = self._first = self._server = self._missing = 0
        self._bad: Outcome | None = None
        self._all_errors = True
        self._in_turn = False
        if conf.rotate:
            self._first = self._server = memory.turn % len(conf.servers)
            memory.turn += 1

    def begin(self, now: int) -> None:
        """Ask the first server."""
        self._ask(now)

    def _ask(self, now: int) -> None:
        slots = len(self.answers)
        self._missing = (1 << slots) - 1
        self._in_turn = self._memory.single_request and slots > 1
        for slot in range(1 if self._in_turn else slots):
            self._line.ask(slot, self._server, over_tcp=self._conf.over_tcp)
        self._line.wait(now + (self._later_timeout_ns() if self._index else self._conf.timeout_ns))

    def _later_timeout_ns(self) -> int:
        """send_dg: `retrans << ns`, divided by the number of servers for all but the first; at least 1 s."""
        return max((self._conf.timeout_ns // S << self._index) // len(self._conf.servers), 1) * S

    def heard(self, slot: int, server: int, answer: Answer, now: int, *, over_tcp: bool = False) -> None:
        """Take a reply; a truncated one is asked for again over TCP."""
        bit = 1 << slot
        if server != self._server or not self._missing & bit:
            return
        if answer.truncated and not over_tcp:
            self._line.ask(slot, server, over_tcp=True)
            return
        self._missing ^= bit
        self._all_errors = False
        if answer.rcode == NOERROR or answer.rcode == NXDOMAIN:
            self.answers[slot] = answer
        else:
            self._bad = _outcome(answer)
        if not self._missing:
            self._settle(now)
        elif self._in_turn:
            if self._memory.reopen:
                self._line.reopen()
            self._line.ask(slot + 1, server, over_tcp=self._conf.over_tcp)

    def _settle(self, now: int) -> None:
        """Every question has a reply: one that is of use is enough."""
        if any(self.answers):
            self._line.over(outcome_of(self.answers))
        else:
            self._next_server(now)

    def silence(self, now: int) -> None:
        """Only one of two replies came: ask this server again, one question at a time, now and in future (this is what
        a lost race of two packets for one conntrack entry costs). Nothing came: the next server."""
        self._all_errors = False
        if self._missing == (1 << len(self.answers)) - 1:
            self._next_server(now)
        elif self._memory.single_request and self._memory.reopen:
            self._settle(now)
        else:
            self._memory.reopen = self._memory.single_request
            self._memory.single_request = True
            self.answers[:] = [None] * len(self.answers)
            self._line.reopen()
            self._ask(now)

    def unreachable(self, server: int, now: int) -> None:
        """On to the next server."""
        if server == self._server:
            self._next_server(now)

    def _next_server(self, now: int) -> None:
        servers = len(self._conf.servers)
        self._index += 1
        if self._index == servers:
            self._index = 0
            self._round += 1
        self._server = (self._first + self._index) % servers
        self.answers[:] = [None] * len(self.answers)
        if self._round < self._conf.attempts:
            self._ask(now)
        else:
            self._line.over(self._bad or (Outcome.UNREACHABLE if self._all_errors else Outcome.TIMEOUT))


class BindExchange(GlibcExchange):
    """dig and nslookup: as glibc, but a server that replied SERVFAIL is not asked again."""

    __slots__ = ()

    def _settle(self, now: int) -> None:
        more_servers = self._index + 1 < len(self._conf.servers)
        if any(self.answers) or (self._bad is Outcome.SERVFAIL and more_servers):
            super()._settle(now)
        else:
            self._line.over(self._bad or Outcome.TIMEOUT)


class MuslExchange(Exchange):
    """All servers at once, again every `timeout / attempts`, until `timeout` is over."""

    __slots__ = ("_end_ns", "_interval_ns", "_retries")

    def begin(self, now: int) -> None:
        """Ask everybody."""
        self._end_ns = now + self._conf.timeout_ns
        self._interval_ns = self._conf.timeout_ns // self._conf.attempts
        self._retries = 0
        self.silence(now)

    def silence(self, now: int) -> None:
        """Ask everybody again for what is missing."""
        if now >= self._end_ns:
            self._line.over(Outcome.TIMEOUT)
            return
        for slot, answer in enumerate(self.answers):
            if answer is None:
                for server in range(len(self._conf.servers)):
                    self._line.ask(slot, server, over_tcp=False)
        self._retries = 2 * len(self.answers)
        self._line.wait(min(now + self._interval_ns, self._end_ns))

    def heard(self, slot: int, server: int, answer: Answer, now: int, *, over_tcp: bool = False) -> None:
        """NOERROR and NXDOMAIN count; SERVFAIL is asked again at once, a few times; the rest is ignored."""
        if self.answers[slot] is not None:
            return
        if answer.rcode in (NOERROR, NXDOMAIN):
            self.answers[slot] = answer
            if None not in self.answers:
                self._line.over(outcome_of(self.answers))
        elif answer.rcode == SERVFAIL and self._retries:
            self._retries -= 1
            self._line.ask(slot, server, over_tcp=False)

    def unreachable(self, server: int, now: int) -> None:
        """Ignored: its socket is not connected, so it never hears of it."""


class NewMuslExchange(MuslExchange):
    """musl 1.2.4 and newer (from memory): a truncated reply is asked for again over TCP."""

    __slots__ = ()

    def heard(self, slot: int, server: int, answer: Answer, now: int, *, over_tcp: bool = False) -> None:
        """As before, but for truncated replies."""
        if answer.truncated and not over_tcp and self.answers[slot] is None:
            self._line.ask(slot, server, over_tcp=True)
        else:
            super().heard(slot, server, answer, now, over_tcp=over_tcp)


_BY_RCODE: Final = {NOERROR: Outcome.NODATA, NXDOMAIN: Outcome.NXDOMAIN, SERVFAIL: Outcome.SERVFAIL}


def outcome_of(answers: Sequence[Answer | None]) -> Outcome:
    """One record anywhere is an answer; else the first reply with an error decides."""
    verdict = Outcome.NODATA
    for answer in answers:
        if answer is not None:
            if answer.count and answer.rcode == NOERROR:
                return Outcome.ANSWER
            if verdict is Outcome.NODATA:
                verdict = _outcome(answer)
    return verdict


def _outcome(answer: Answer) -> Outcome:
    """What a reply without records of use means."""
    return _BY_RCODE.get(answer.rcode, Outcome.REFUSED)
