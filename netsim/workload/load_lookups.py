"""Load that is nothing but name look-ups: `to: dns://NAME?type=A`.

One `LookupGenerator` per client host and load, made by `experiment/play.py`; arrivals and users as in `load.py`. A
look-up has no time-out but the resolver's own. Without a cache each one is a process of its own, like `nslookup` or
`curl` run anew: what glibc learns from a lost answer (to ask for A and AAAA in turn) is forgotten again.
"""

from typing import TYPE_CHECKING

from netsim.fabric.host import NodeHost, PodHost
from netsim.wire.addr import ip_text
from netsim.workload.load import LoadSpec, Numbers, Over, source_of
from netsim.workload.records import Outcome, RequestDone

if TYPE_CHECKING:
    from netsim.fabric.host import Host
    from netsim.workload.http_pool import ConnectionPool
    from netsim.workload.resolver import Resolver
    from netsim.workload.resolver_lookup import LookupResult


class LookupGenerator:
    """The look-ups of one load on one host. `place` is (index, number) of the load's hosts."""

    def __init__(
        self,
        host: "Host",
        spec: LoadSpec,
        resolver: "Resolver",
        epoch_ns: int,
        place: tuple[int, int] = (0, 1),
        numbers: Numbers | None = None,
    ) -> None:
        self.host = host
        self.spec = spec
        self._resolver = resolver
        self._epoch_ns = epoch_ns
        self._requests = (numbers or Numbers()).requests
        node = host.node if isinstance(host, PodHost) else host
        self._node = node.name if isinstance(node, NodeHost) else ""
        self._done = host.engine.bus.topic(RequestDone)
        self._under_way: dict[int, int] = {}  # number -> beginning
        self._ends_ns = 0
        self._source = source_of(self, *place)

    def start(self, now: int) -> None:
        """Begin, at `start_ns` after the epoch or, if that is past, now."""
        opens = self._epoch_ns + self.spec.start_ns
        self._ends_ns = opens + self.spec.for_ns if self.spec.for_ns else 1 << 62
        self._source.start(max(opens, now))

    def stop(self, now: int, why: str = "the load was stopped") -> None:
        """End of the experiment: no new look-ups, what is under way ends as `aborted`."""
        self._ends_ns = now
        self._source.stop(now)
        for number, started_ns in self._under_way.items():
            self._tell(number, started_ns, now, "aborted", error=why)
        self._under_way.clear()

    def open_at(self, now: int) -> bool:
        """Whether a look-up may begin now."""
        if not self.host.alive and self._ends_ns > now:
            self.stop(now, "the client's host is down")
        return now < self._ends_ns

    def request(self, over: Over, now: int, _pool: "ConnectionPool | None" = None) -> None:
        """Begin a look-up; `over(now)` is called after its record was published."""
        number = next(self._requests)
        self._under_way[number] = now
        if not self._resolver.remembers:
            self._resolver.restart()

        def found(result: "LookupResult", at: int) -> None:
            started_ns = self._under_way.pop(number, None)
            if started_ns is not None:
                first = ip_text(result.addresses[0]) if result.addresses else ""
                self._tell(
                    number, started_ns, at, _outcome(result), first, result.queries, result.error or ""
                )
                over(at)

        self._resolver.lookup(self.spec.host, found, self.spec.family)

    def new_pool(self) -> None:
        """A look-up keeps no connection."""

    def _tell(
        self,
        number: int,
        started_ns: int,
        now: int,
        outcome: Outcome,
        address: str = "",
        queries: int = 0,
        error: str = "",
    ) -> None:
        resolved_ns = now if outcome == "ok" else 0
        record = RequestDone(
            self.host.name, self.spec.name, number, 0, "", self.spec.host, started_ns, resolved_ns, 0, now, outcome,
            endpoint=address, error=error, client_node=self._node, queries=queries,
        )  # fmt: skip
        for subscriber in self._done:
            subscriber(record)


def _outcome(result: "LookupResult") -> Outcome:
    if result.error is None:
        return "ok"
    return "timeout" if result.error == "TIMEOUT" else "dns"
