"""An API client: what a request costs in time before it is committed.

Called by: kubelet, controllers, scheduler, kube-proxy. A request waits for a token (the client's own rate limit), then
travels for a random time, then commits; the answer is taken to arrive at the commit. A node's clients share a
`Connection`: while the node is cut off their requests wait, and when it dies they are forgotten.

Simplified: a request that waits for the connection never fails; upstream's clients time out and repeat it.
"""

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, TypeVar

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.errors import ApiError
from netsim.cluster.ratelimit import TokenBucket
from netsim.cluster.timing import Timing
from netsim.engine import Engine

R = TypeVar("R")


class Connection:
    """A node's way to the API server."""

    __slots__ = ("_waiting", "dead", "up")

    def __init__(self) -> None:
        self.up = True
        self.dead = False
        self._waiting: list[Callable[[], None]] = []

    def when_up(self, resume: Callable[[], None]) -> None:
        """Call `resume` when the way is open again."""
        self._waiting.append(resume)

    def cut(self) -> None:
        """The node cannot reach the API server."""
        self.up = False

    def restore(self) -> None:
        """It can again."""
        self.up = True
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()

    def die(self) -> None:
        """The node's processes are gone: nothing that they asked for happens any more."""
        self.dead = True
        self._waiting = []


class ApiClient:
    """Requests of one component."""

    __slots__ = ("_delay", "_engine", "_random", "api", "connection", "limiter")

    def __init__(
        self,
        engine: Engine,
        api: ApiServer,
        timing: Timing,
        name: str,
        limiter: TokenBucket | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._engine = engine
        self.api = api
        self.limiter = limiter
        self.connection = connection or Connection()
        self._delay = timing.api.write
        self._random = engine.stream(f"api-client/{name}")

    def delay_ns(self) -> int:
        """The time from now to the commit of a request that is made now."""
        throttled = self.limiter.reserve(self._engine.now) if self.limiter else 0
        return throttled + self._delay.sample(self._random)

    def submit(
        self, request: Callable[[], R], done: Callable[[R | None, ApiError | None], None] | None = None
    ) -> None:
        """Make a request: `submit(lambda: api.patch(...), done)`; `done(result, error)` is called at the commit."""
        self._engine.call_later(self.delay_ns(), self._arrive, request, done)

    def _arrive(
        self, request: Callable[[], R], done: Callable[[R | None, ApiError | None], None] | None
    ) -> None:
        if self.connection.dead:
            return
        if not self.connection.up:
            self.connection.when_up(lambda: self.submit(request, done))
            return
        result, error = _attempt(request)
        if done is not None:
            done(result, error)

    def gather(self, requests: Iterable[Callable[[], R]]) -> Generator[Any, Any, list[R | ApiError]]:
        """Make several requests at the same time and wait for all answers, in the order of the requests."""
        asked = list(requests)
        answers: list[R | ApiError | None] = [None] * len(asked)
        open_requests = len(asked)
        finished = self._engine.event()

        def done(index: int, result: R | None, error: ApiError | None) -> None:
            nonlocal open_requests
            answers[index] = error if error is not None else result
            open_requests -= 1
            if not open_requests:
                finished.succeed()

        for index, request in enumerate(asked):
            self.submit(request, partial(done, index))
        if asked:
            yield finished
        return answers  # type: ignore[return-value]

    def call(self, request: Callable[[], R]) -> Generator[Any, Any, R]:
        """The same for a process: `pod = yield from client.call(lambda: api.create(pod))`. Raises ApiError."""
        yield self._engine.timeout(self.delay_ns())
        while not self.connection.up:
            waiting = self._engine.event()
            self.connection.when_up(partial(_succeed, waiting))
            yield waiting
            yield self._engine.timeout(self.delay_ns())
        return request()


def _succeed(event: Any) -> None:
    event.succeed()


def _attempt(request: Callable[[], R]) -> tuple[R | None, ApiError | None]:
    try:
        return request(), None
    except ApiError as error:
        return None, error
