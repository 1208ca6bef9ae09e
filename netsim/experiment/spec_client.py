"""How a load's client behaves: time-outs, kept connections, retries, TCP options. Parts of `spec_experiment.Load`.

What the fields do stands in `netsim.workload.http_pool`, `retries` and `http_client`. Names are those of the libraries
and sysctls that people know: `tcpKeepalive: {time, interval, probes}` (tcp(7)), `retryPolicy.throttling` (gRFC A6).
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, StrictBool, WithJsonSchema

from netsim.engine import format_duration
from netsim.experiment.spec_fields import Duration, PositiveDuration, SpecModel, read_duration
from netsim.workload.http_pool import PoolSpec
from netsim.workload.retries import Jitter, RetryOn, RetrySpec

Count = Annotated[int, Field(strict=True, ge=0, le=100_000)]


def _patience(value: Any) -> int:
    if value == "none":
        return 0
    duration = read_duration(value)
    if duration is None and not isinstance(value, str):
        raise ValueError(f"{value} needs a unit (write {value}s or {value}ms, or none)")
    if not duration:
        raise ValueError(f'"{value}" is no time-out: write one such as 5s, or none to wait for ever')
    return duration


Patience = Annotated[
    int,
    BeforeValidator(_patience),
    PlainSerializer(lambda ns: format_duration(ns) if ns else "none", return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "description": "a time-out, or none to wait for ever", "examples": ["5s", "none"]}
    ),
]


class Pool(SpecModel):
    """Which kept connections are used again; 0 and a missing field mean no limit."""

    maxIdle: Count = 0
    idle_timeout_ns: PositiveDuration | None = Field(None, alias="idleTimeout")
    maxRequests: Count = 0
    max_age_ns: PositiveDuration | None = Field(None, alias="maxAge")
    # A request on a connection that turns out to be dead is sent again on a fresh one, before any retry counts.
    replaceDead: StrictBool = True

    def built(self) -> PoolSpec:
        """For the client."""
        return PoolSpec(
            self.maxIdle,
            self.idle_timeout_ns or 0,
            self.maxRequests,
            self.max_age_ns or 0,
            self.replaceDead,
        )


class Throttling(SpecModel):
    """gRPC's retryThrottling: a failure costs a token, a success gives `tokenRatio` back; no retry below one half."""

    maxTokens: Annotated[float, Field(gt=0, le=1000)] = 10
    tokenRatio: Annotated[float, Field(gt=0, le=1000)] = 0.1


class RetryPolicy(SpecModel):
    """How a failed request is tried again. `on`: which failures (missing: all but statuses below 500); `connect` are
    those before there is a connection. POST is tried again only where nothing was sent, unless `nonIdempotent`."""

    backoff: Literal["exponential", "constant"] = "exponential"
    longest_ns: PositiveDuration | None = Field(None, alias="maxBackoff")
    jitter: Jitter = "none"
    on: tuple[RetryOn, ...] = ()
    nonIdempotent: StrictBool = False
    throttling: Throttling | None = None

    def built(self, limit: int, backoff_ns: int) -> RetrySpec:
        """For the client."""
        return RetrySpec(
            limit,
            backoff_ns,
            self.backoff,
            self.longest_ns or 0,
            self.jitter,
            frozenset(self.on),
            self.nonIdempotent,
            self.throttling.maxTokens if self.throttling else 0,
            self.throttling.tokenRatio if self.throttling else 0.1,
        )


class TcpKeepalive(SpecModel):
    """SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT; what is left out is as the pod's sysctls say."""

    time_ns: PositiveDuration | None = Field(None, alias="time")
    interval_ns: PositiveDuration | None = Field(None, alias="interval")
    probes: Annotated[int, Field(strict=True, ge=1, le=127)] | None = None

    def built(self) -> tuple[int, int, int]:
        """For the client; 0 for what the kernel decides."""
        return self.time_ns or 0, self.interval_ns or 0, self.probes or 0


class ClientFields(SpecModel):
    """The part of a load that says how its clients behave."""

    timeout_ns: Patience = Field(1_000_000_000, alias="timeout")
    connect_timeout_ns: Patience = Field(0, alias="connectTimeout")
    keepAlive: StrictBool = False
    pool: Pool = Pool()
    retries: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    retry_backoff_ns: Duration = Field(0, alias="retryBackoff")
    retryPolicy: RetryPolicy = RetryPolicy()
    tcpKeepalive: TcpKeepalive | None = None
    tcp_user_timeout_ns: PositiveDuration | None = Field(None, alias="tcpUserTimeout")
