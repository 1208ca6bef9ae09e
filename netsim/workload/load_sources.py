"""When a load's requests begin: arrivals (open model) and users (closed model).

Used by `load.py`, which explains both.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from netsim.engine import MS, S
from netsim.workload.http_pool import ConnectionPool

if TYPE_CHECKING:
    from netsim.fabric.host import Host

# A user whose request fails within the same nanosecond (no route, a remembered NXDOMAIN) asks again after this time:
# here computing takes none, and simulated time would stand still. Ours to choose.
BUSY_LOOP_NS: Final = 1 * MS


class Generator(Protocol):
    """What begins requests: `load.LoadGenerator`, `load_lookups.LookupGenerator`."""

    host: "Host"
    spec: Any

    def open_at(self, now: int) -> bool:
        """Whether a request may begin now."""

    def request(self, over: Callable[[int], None], now: int, pool: ConnectionPool | None = None, /) -> None:
        """Begin one."""

    def new_pool(self) -> ConnectionPool | None:
        """The connections of one user; None if she keeps none."""


def _ignored(_now: int) -> None:
    """An open load does not wait for answers."""


class Arrivals:
    """Requests that begin when it is time: one timer, re-armed for the next."""

    __slots__ = (
        "_begun",
        "_first_ns",
        "_gap_ns",
        "_generator",
        "_offset_ns",
        "_random",
        "armed_ns",
        "deadline_ns",
    )

    def __init__(self, generator: Generator, index: int, clients: int) -> None:
        spec = generator.spec
        self._generator = generator
        self._gap_ns = S / spec.rate_per_s
        self._offset_ns = round(self._gap_ns * index / clients)
        stream = f"load/{spec.name}/{generator.host.name}"
        self._random = generator.host.engine.stream(stream) if spec.arrivals == "poisson" else None
        self._first_ns = self._begun = 0
        self.deadline_ns = 0
        self.armed_ns = 0

    def start(self, at_ns: int) -> None:
        """Let requests arrive from then on."""
        self._first_ns = at_ns + self._offset_ns
        self._arm(at_ns)

    def stop(self, now: int) -> None:
        """No more."""
        self.deadline_ns = 0

    def _arm(self, now: int) -> None:
        if self._random is None:
            at = self._first_ns + round(self._begun * self._gap_ns)
        else:
            at = now + (round(self._random.expovariate(1.0) * self._gap_ns) or 1)
        self._generator.host.engine.timers.arm(self, at or 1)

    def expired(self, now: int) -> None:
        """Timer queue: a request arrives."""
        generator = self._generator
        if generator.open_at(now):
            self._begun += 1
            self._arm(now)
            generator.request(_ignored, now)


class Users:
    """The users of a closed load."""

    __slots__ = ("_users",)

    def __init__(self, generator: Generator) -> None:
        self._users = [_User(generator) for _ in range(generator.spec.connections)]

    def start(self, at_ns: int) -> None:
        """All begin at once."""
        for user in self._users:
            user.wait(at_ns)

    def stop(self, now: int) -> None:
        """They finish what they have begun."""
        for user in self._users:
            user.stop(now)


class _User:
    """Asks, waits for the answer, thinks; its timer is for starting and thinking."""

    __slots__ = ("_asked_ns", "_generator", "_pool", "armed_ns", "deadline_ns")

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._pool = generator.new_pool()
        self._asked_ns = 0
        self.deadline_ns = 0
        self.armed_ns = 0

    def wait(self, at_ns: int) -> None:
        """Ask at that time."""
        self._generator.host.engine.timers.arm(self, at_ns or 1)

    def stop(self, now: int) -> None:
        """Ask no more."""
        self.deadline_ns = 0
        if self._pool is not None:
            self._pool.close(now)

    def expired(self, now: int) -> None:
        """Timer queue: ask."""
        if self._generator.open_at(now):
            self._asked_ns = now
            self._generator.request(self._answered, now, self._pool)

    def _answered(self, now: int) -> None:
        think_ns = self._generator.spec.think_time_ns
        if now == self._asked_ns:
            think_ns = max(think_ns, BUSY_LOOP_NS)
        if not self._generator.open_at(now):
            self.stop(now)
        elif think_ns:
            self.wait(now + think_ns)
        else:
            self.expired(now)
