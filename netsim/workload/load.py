"""Load: clients that ask for a URL in the open or the closed model, and tell of each request when it is over.

One `LoadGenerator` per client host and load, made by `experiment/play.py`. Words as in k6: an open load begins
requests at a rate, however slow the answers ("constant-arrival-rate"); a closed load has users, each of which waits
for its answer, thinks, and asks again ("constant-vus").

- Open: Poisson arrivals are drawn from the stream `load/{load}/{client}`; constant ones of several clients interleave.
  A request's time runs from its arrival, also while it waits for a connection, so that slow answers are not left out of
  the statistics (coordinated omission).
- Closed: all users begin at once; each has connections of its own.
- Retries: see `retries.py`. The time-out is for each attempt. The record describes the last one, but begins with the
  first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from netsim.engine import S
from netsim.fabric.host import NodeHost, PodHost
from netsim.workload.clients import Exchange, Scheme, make_client
from netsim.workload.http_client import ClientSpec
from netsim.workload.http_pool import KEEP_ALL, ConnectionPool, PoolSpec
from netsim.workload.load_sources import Arrivals, Generator, Users
from netsim.workload.records import RequestDone
from netsim.workload.retries import NO_RETRIES, Retries, RetrySpec

if TYPE_CHECKING:
    from random import Random

    from netsim.engine import Call
    from netsim.fabric.app import Exited
    from netsim.fabric.host import Host
    from netsim.fabric.http_messages import Headers, Messages
    from netsim.wire.packet import Flow
    from netsim.workload.http_client import NameResolver

_KILLED: Final = 137  # 128 + SIGKILL


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One client's part of a load (`netsim.experiment.spec_experiment.Load`).

    `rate_per_s` is this client's own rate; `connections` are the users of a closed load, or the limit of an open one
    that keeps connections (0: none). `start_ns` counts from the generator's epoch, `for_ns` (None or 0: until stopped)
    from there.
    """

    name: str
    host: str
    port: int = 80
    scheme: Scheme = "http"
    path: str = "/"
    method: str = "GET"
    model: Literal["open", "closed"] = "open"
    rate_per_s: float = 0.0
    arrivals: Literal["poisson", "constant"] = "poisson"
    connections: int = 0
    think_time_ns: int = 0
    timeout_ns: int = 1 * S
    keep_alive: bool = False
    retry: RetrySpec = NO_RETRIES
    start_ns: int = 0
    for_ns: int | None = None
    resolve: Literal["connection", "once", "request"] = "connection"
    family: str = "any"
    headers: "Headers" = ()
    connect_timeout_ns: int = 0
    pool: PoolSpec = KEEP_ALL
    keepalive: tuple[int, int, int] | None = None
    user_timeout_ns: int = 0

    def client(self) -> ClientSpec:
        """The part that is the client's."""
        return ClientSpec(
            self.host,
            self.port,
            self.path,
            self.method,
            self.timeout_ns,
            self.keep_alive,
            self.connections,
            self.resolve,
            self.family,
            self.headers,
            self.connect_timeout_ns,
            self.pool,
            self.keepalive,
            self.user_timeout_ns,
        )


class Backend(NamedTuple):
    """Whom a connection was given to: `namespace/name` of the Service, `ip:port`, pod and node; "" for unknown. `via`
    is the node whose rules chose, `policy` "Local" if they could choose among the node's own endpoints only, `seen_as`
    the client's address as the endpoint sees it."""

    service: str = ""
    endpoint: str = ""
    pod: str = ""
    node: str = ""
    via: str = ""
    policy: str = ""
    seen_as: str = ""


_NOWHERE: Final = Backend()

Where = Callable[["Host", str, "Flow | None"], Backend]
"""`where(client host, host of the URL, flow as sent)`: asked when a request is over, for a kept connection only when
its first one is. The flow is None when no SYN was sent."""


@dataclass(slots=True)
class Numbers:
    """Requests and connections of a run, counted from 1; shared by all its generators."""

    requests: Iterator[int] = field(default_factory=lambda: count(1))
    connections: Iterator[int] = field(default_factory=lambda: count(1))


Over = Callable[[int], None]


def _nobody(_code: int, _now: int) -> None:
    """Nobody waits for the end."""


class LoadGenerator:
    """The clients of one load on one host (`netsim.fabric.app.App`).

    `epoch_ns` is the load's time 0 (None: when it is started). `index` of `clients` says which of the load's hosts this
    is, so that constant arrivals interleave. `messages` and `numbers` are to be shared by all generators of a run.
    Raises ValueError for an open load without a rate or a closed one without users.
    """

    def __init__(  # noqa: PLR0913 - what a run's generators share, and where this one stands
        self,
        host: "Host",
        spec: LoadSpec,
        resolver: "NameResolver | None" = None,
        where: Where | None = None,
        epoch_ns: int | None = None,
        *,
        index: int = 0,
        clients: int = 1,
        messages: "Messages | None" = None,
        numbers: Numbers | None = None,
    ) -> None:
        numbers = numbers or Numbers()
        self.host = host
        self.spec = spec
        self.exited: Exited = _nobody
        self.client = make_client(
            spec.scheme, host, spec.client(), resolver,
            messages=messages, owner=self, connections=numbers.connections,
        )  # fmt: skip
        self._requests = numbers.requests
        self._where = where
        self._node = (
            host.node.name if isinstance(host, PodHost) else host.name if isinstance(host, NodeHost) else ""
        )
        self._epoch_ns = epoch_ns
        self._done = host.engine.bus.topic(RequestDone)
        self._waiting: dict[Exchange, Call] = {}  # for their next attempt
        self._ends_ns = 0
        self._terminating = False
        self._stopped = False
        self._retries = Retries(spec.retry, spec.method, self._retry_stream) if spec.retry.limit else None
        self._source = source_of(self, index, clients)

    def _retry_stream(self) -> "Random":
        return self.host.engine.stream(f"load/{self.spec.name}/{self.host.name}/retry")

    # ------------------------------------------------------------------ the process
    def start(self, now: int) -> None:
        """Begin, at `start_ns` after the epoch or, if that is past, now."""
        spec = self.spec
        opens = (now if self._epoch_ns is None else self._epoch_ns) + spec.start_ns
        self._ends_ns = opens + spec.for_ns if spec.for_ns else 1 << 62
        self._source.start(max(opens, now))

    def terminate(self, now: int) -> None:
        """SIGTERM: no new requests; exit with 0 when the last is over."""
        self._terminating = True
        self._ends_ns = now
        self._source.stop(now)
        self._exit_if_idle(now)

    def kill(self, now: int) -> None:
        """SIGKILL: the kernel closes the sockets, what is under way is `aborted`."""
        if not self._stopped:
            self.stop(now, "the client was killed")
            self.host.ns.sockets.close_all(self, now)
            self.exited(_KILLED, now)

    def stop(self, now: int, why: str = "the load was stopped") -> None:
        """End of the experiment: no new requests, what is under way ends as `aborted`."""
        self._stopped = True
        self._ends_ns = now
        self._source.stop(now)
        self.client.abort(now, why)
        for exchange, call in list(self._waiting.items()):
            call.cancel()
            exchange.give_up(why, now)
            self._over(exchange, now)
        self._waiting.clear()

    def open_at(self, now: int) -> bool:
        """Whether a request may begin now."""
        if not self.host.alive and not self._stopped:
            self.stop(now, "the client's host is down")
        return now < self._ends_ns

    def _exit_if_idle(self, now: int) -> None:
        if self._terminating and not self._stopped and not self.client.outstanding and not self._waiting:
            self._stopped = True
            self.client.abort(now)
            self.exited(0, now)

    # ------------------------------------------------------------------ requests
    def request(self, over: "Over", now: int, pool: ConnectionPool | None = None) -> None:
        """Begin a request; `over(now)` is called after its record was published."""
        exchange = self.client.exchange(self._finished, pool)
        exchange.number = next(self._requests)
        exchange.note = over
        exchange.begin(now)

    def new_pool(self) -> ConnectionPool | None:
        """The connections of one user of a closed load."""
        return self.client.new_pool()

    def _finished(self, exchange: Exchange, now: int) -> None:
        wait_ns = None
        if self._retries is not None and not self._stopped:
            wait_ns = self._retries.wait_ns(exchange)
        if wait_ns is None:
            self._over(exchange, now)
        else:
            self._waiting[exchange] = self.host.engine.call_later(wait_ns, self._retry, exchange)

    def _retry(self, exchange: Exchange) -> None:
        del self._waiting[exchange]
        exchange.again(self.host.now)

    def _over(self, exchange: Exchange, now: int) -> None:
        if self._done:
            record = self._record(exchange)
            for subscriber in self._done:
                subscriber(record)
        exchange.note(now)
        if self._terminating:
            self._exit_if_idle(now)

    def _record(self, e: Exchange) -> RequestDone:
        service, endpoint, pod, node, via, policy, seen_as = self._backend(e)
        return RequestDone(
            self.host.name,
            self.spec.name,
            e.number,
            e.connection,
            service,
            self.spec.host,
            e.started_ns,
            e.resolved_ns,
            e.connected_ns,
            e.ended_ns,
            e.outcome,
            e.status,
            e.attempts,
            endpoint,
            pod,
            node,
            e.error,
            e.reused,
            self._node,
            via,
            policy,
            seen_as,
            replaced=e.replaced,
        )

    def _backend(self, exchange: Exchange) -> Backend:
        kept = exchange.kept
        if self._where is None:
            return _NOWHERE
        if kept is not None and kept.note is not None:
            return kept.note  # type: ignore[no-any-return]
        found = self._where(self.host, self.spec.host, exchange.flow)
        if kept is not None:
            kept.note = found
        return found


def source_of(generator: Generator, index: int, clients: int) -> Arrivals | Users:
    """What begins a load's requests."""
    spec = generator.spec
    if spec.model == "open":
        if spec.rate_per_s <= 0:
            raise ValueError(f"load {spec.name}: an open load needs a rate above 0")
        return Arrivals(generator, index, clients)
    if spec.connections < 1:
        raise ValueError(f"load {spec.name}: a closed load needs at least one connection per client")
    return Users(generator)
