"""When a failed request is tried again, and after how long.

Used by `load.py`, one `Retries` per generator. Sources: urllib3's Retry (util/retry.py: back-off doubles from its
factor, methods that are not idempotent are repeated only where nothing was sent), RFC 9110 section 9.2.2 (which methods
are idempotent), "Exponential Backoff And Jitter" (M. Brooker, AWS Architecture Blog 2015: full and equal jitter), gRFC
A6 (retry throttling: a failure costs a token, a success gives `token_ratio` back, and there are no retries while half
of the tokens or more are gone).

Ours to choose: a status from 400 to 499 is final, as the same question will get the same answer.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from netsim.workload.clients import Exchange

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})

RetryOn = Literal["connect", "timeout", "refused", "reset", "unreachable", "dns", "http-error"]
Jitter = Literal["none", "full", "equal"]


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """`limit` retries at most; the n-th waits `backoff_ns`, twice that and so on (or always the same, with growth
    "constant"), but no longer than `longest_ns` (0: no bound). `on` are the outcomes that are tried again, "connect"
    whatever fails before there is a connection; empty means all. `max_tokens` 0: no throttling."""

    limit: int = 0
    backoff_ns: int = 0
    growth: Literal["exponential", "constant"] = "exponential"
    longest_ns: int = 0
    jitter: Jitter = "none"
    on: frozenset[RetryOn] = frozenset()
    non_idempotent: bool = False
    max_tokens: float = 0
    token_ratio: float = 0.1

    def backoff(self, attempts: int) -> int:
        """The wait after so many attempts, before jitter."""
        wait_ns = self.backoff_ns if self.growth == "constant" else self.backoff_ns << (attempts - 1)
        return min(wait_ns, self.longest_ns) if self.longest_ns else wait_ns


NO_RETRIES: Final = RetrySpec()

_JITTERS: Final[dict[Jitter, Callable[[int, random.Random], int]]] = {
    "none": lambda wait_ns, _random: wait_ns,
    "full": lambda wait_ns, random: random.randint(0, wait_ns),
    "equal": lambda wait_ns, random: wait_ns - wait_ns // 2 + random.randint(0, wait_ns // 2),
}


class Retries:
    """A client's retries: what they may be used for, and how many tokens are left."""

    __slots__ = ("_idempotent", "_jitter", "_random", "_spec", "tokens")

    def __init__(self, spec: RetrySpec, method: str, stream: Callable[[], random.Random]) -> None:
        self._spec = spec
        self._idempotent = method in IDEMPOTENT or spec.non_idempotent
        self._jitter = _JITTERS[spec.jitter]
        self._random = stream() if spec.jitter != "none" else random.Random(0)
        self.tokens = spec.max_tokens

    def wait_ns(self, exchange: "Exchange") -> int | None:
        """An attempt is over: how long to wait for the next one, None if that was the last."""
        spec = self._spec
        if exchange.outcome == "ok":
            self.tokens = min(spec.max_tokens, self.tokens + spec.token_ratio)
            return None
        if not self._worth_it(exchange):
            return None
        self.tokens = max(0, self.tokens - 1)
        throttled = spec.max_tokens and self.tokens <= spec.max_tokens / 2
        if exchange.attempts > spec.limit or throttled:
            return None
        return self._jitter(spec.backoff(exchange.attempts), self._random)

    def _worth_it(self, exchange: "Exchange") -> bool:
        if exchange.outcome == "aborted" or 400 <= exchange.status < 500:
            return False
        unsent = not exchange.connected_ns and not exchange.reused
        if not unsent and not self._idempotent:
            return False
        wanted = self._spec.on
        return not wanted or exchange.outcome in wanted or (unsent and "connect" in wanted)
