"""The forward plugin: names of other zones are asked upstream.

Made by `build`. Source: CoreDNS plugin/forward (forward.go, policy.go), plugin/pkg/proxy (health.go, proxy.go).

Theory of operation. The upstreams are tried in the order of the policy until one replies or 5 s are over. A time-out
(2 s) or an ICMP error starts health checks of that upstream: `. NS` every 0.5 s until it replies; with more than
`max_fails` failed checks it is down and is passed over. When all are down, one is tried at random.
TCP connections are kept for 10 s (`exchange_tcp`).
Simplified: no TLS; over UDP every question has its own port; a question is asked at most 8 times (upstream spins for
5 s when all upstreams refuse at once).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from netsim.cluster.dns.chain import NEVER_AGAIN, Handler, Request, Respond, in_zone, match_zone
from netsim.cluster.dns.exchange import Exchanger
from netsim.engine import MS, S
from netsim.wire.addr import Address
from netsim.wire.dns import DNS_PORT, FORMERR, NS, REFUSED, SERVFAIL, Reply
from netsim.wire.dns_codec import DnsCodec

# CoreDNS plugin/forward/forward.go defaultTimeout; plugin/pkg/proxy/connect.go read timeout; health.go.
DEADLINE_NS: Final = 5 * S
READ_TIMEOUT_NS: Final = 2 * S
KEPT_NS: Final = 10 * S  # plugin/forward `expire`: how long a TCP connection is kept for the next question
HEALTH_TIMEOUT_NS: Final = 1 * S
HEALTH_INTERVAL_NS: Final = 500 * MS
_MOST_ATTEMPTS: Final = 8


@dataclass(frozen=True, slots=True)
class ForwardOptions:
    """A forward line of a Corefile: which names (`zone` without those in `excepted`) go where."""

    servers: tuple[tuple[Address, int], ...]
    zone: str = "."
    excepted: tuple[str, ...] = ()
    policy: str = "random"  # random | round_robin | sequential
    max_fails: int = 2
    max_concurrent: int = 0  # 0: no limit
    force_tcp: bool = False
    prefer_udp: bool = False


@dataclass(slots=True)
class _Upstream:
    address: Address
    port: int = DNS_PORT
    fails: int = 0
    checking: bool = False


class Forward:
    """The plugin."""

    def __init__(
        self,
        options: ForwardOptions,
        exchanger: Exchanger,
        codec: DnsCodec,
        rng: Random,
        next_handler: Handler,
    ) -> None:
        self.options = options
        self._exchanger = exchanger
        self._codec = codec
        self._rng = rng
        self._next = next_handler
        self._upstreams = [_Upstream(address, port) for address, port in options.servers]
        self._turn = 0
        self._under_way = 0

    def serve(self, request: Request, respond: Respond) -> None:
        """Ask upstream when the name is one of ours."""
        key = request.query.key
        if not in_zone(key, self.options.zone) or match_zone(key, self.options.excepted):
            self._next.serve(request, respond)
        elif not self._upstreams:
            respond(Reply(SERVFAIL), NEVER_AGAIN)
        elif self.options.max_concurrent and self._under_way >= self.options.max_concurrent:
            respond(Reply(REFUSED), NEVER_AGAIN)
        else:
            self._under_way += 1
            over_tcp = self.options.force_tcp or (request.over_tcp and not self.options.prefer_udp)
            _Attempt(self, request, respond, self._order(), request.now + DEADLINE_NS, over_tcp).next(
                request.now
            )

    def _order(self) -> list[_Upstream]:
        """The upstreams as the policy wants them tried (plugin/forward/policy.go)."""
        order = list(self._upstreams)
        if self.options.policy == "random":
            self._rng.shuffle(order)
        elif self.options.policy == "round_robin":
            self._turn += 1
            first = self._turn % len(order)
            order = order[first:] + order[:first]
        return order

    def ask(self, attempt: "_Attempt", upstream: _Upstream) -> None:
        """Send an attempt's question."""
        question, edns_size = attempt.request.query.question, attempt.request.query.edns_size
        self._exchanger.exchange(
            upstream.address, upstream.port, self._codec.query(question.name, question.type, edns_size),
            READ_TIMEOUT_NS, lambda payload, now: attempt.got(upstream, payload, now), over_tcp=attempt.over_tcp,
        )  # fmt: skip

    def read(self, attempt: "_Attempt", payload: bytes) -> Reply:
        """An upstream's reply, FORMERR when it is about something else."""
        message = self._codec.message(payload)
        asked = attempt.request.query
        if message is None or (message[0].name.lower(), message[0].type) != (asked.key, asked.question.type):
            return Reply(FORMERR)
        return message[1]

    def finish(self, attempt: "_Attempt", reply: Reply) -> None:
        """An attempt has come to its end."""
        self._under_way -= 1
        attempt.respond(reply, NEVER_AGAIN)

    def pick_any(self) -> _Upstream:
        """All are down, so health checking is taken to be broken."""
        return self._rng.choice(self._upstreams)

    # -- health ----------------------------------------------------------------------------------------------------

    def suspect(self, upstream: _Upstream) -> None:
        """An upstream did not reply: check it until it does."""
        if self.options.max_fails and not upstream.checking:
            upstream.checking = True
            self._check(upstream)

    def _check(self, upstream: _Upstream) -> None:
        def checked(payload: bytes | None, _now: int) -> None:
            if payload is not None:
                upstream.fails = 0
                upstream.checking = False
                return
            upstream.fails += 1
            self._exchanger.call_later(HEALTH_INTERVAL_NS, lambda: self._check(upstream))

        probe = self._codec.query(".", NS)
        self._exchanger.exchange(upstream.address, upstream.port, probe, HEALTH_TIMEOUT_NS, checked)


@dataclass(slots=True)
class _Attempt:
    """One client's question on its way through the upstreams."""

    plugin: Forward
    request: Request
    respond: Respond
    order: Sequence[_Upstream]
    deadline_ns: int
    over_tcp: bool
    _at: int = 0
    _asked: int = 0

    def next(self, now: int) -> None:
        """Ask the next upstream that is not down."""
        self._asked += 1
        if now >= self.deadline_ns or self._asked > _MOST_ATTEMPTS:
            self.plugin.finish(self, Reply(SERVFAIL))
            return
        for _ in self.order:
            upstream = self.order[self._at % len(self.order)]
            self._at += 1
            if upstream.fails <= self.plugin.options.max_fails:
                self.plugin.ask(self, upstream)
                return
        self.plugin.ask(self, self.plugin.pick_any())

    def got(self, upstream: _Upstream, payload: bytes | None, now: int) -> None:
        """The upstream replied, or did not."""
        if payload is None:
            self.plugin.suspect(upstream)
            if all(one.fails > self.plugin.options.max_fails for one in self.order):
                self.plugin.finish(self, Reply(SERVFAIL))
            else:
                self.next(now)
            return
        reply = self.plugin.read(self, payload)
        if reply.truncated and self.plugin.options.prefer_udp and not self.over_tcp:
            self.over_tcp = True
            self.plugin.ask(self, upstream)
            return
        self.plugin.finish(self, reply)
