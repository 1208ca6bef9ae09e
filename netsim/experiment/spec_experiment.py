"""The `Experiment` document (apiVersion netsim/v1): load, servers, faults, checks, and how often to repeat it.

Called by: `loader` (parsing), `experiment/build.py` and `run.py` (reading). Words that people know: k6 and Vegeta for
the load, Chaos Mesh for the faults, netem for impairments.

Times are relative to the experiment's beginning (the cluster has booted by then). `warmup` is the first part of
`duration`, left out of the statistics. A load's `rate` is the total over its client pods.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, WithJsonSchema, model_validator

from netsim.experiment.client_presets import ClientName, with_preset
from netsim.experiment.spec_client import ClientFields
from netsim.experiment.spec_cluster import Metadata
from netsim.experiment.spec_dns import DnsCache
from netsim.experiment.spec_fault import Fault
from netsim.experiment.spec_fields import (
    Duration,
    Frequency,
    Name,
    PositiveDuration,
    SpecModel,
)
from netsim.experiment.spec_select import Selector, TargetUrl
from netsim.experiment.spec_until import Until

SECOND = 1_000_000_000
AtLeastOne = Annotated[int, Field(strict=True, ge=1)]


class Load(ClientFields):
    """Clients and what they ask for.

    Open model: requests arrive at `rate`, however slow the answers; closed model: `connections` users per client pod,
    each waiting for its answer and then for `thinkTime`. With `keepAlive` connections are reused; `connections` then
    limits the pool of an open load (0: no limit). `client` names a well-known client, whose defaults then stand below
    the fields that the file has (`client_presets`); how clients differ is explained with their fields (`spec_client`).

    `resolve` says when the name is looked up again, `resolver` by which library (the pod's annotation
    `netsim/resolver`, else glibc), and `dnsCache` what the application remembers (`none`, `ttl`, `jvm`, `forever`, or a
    duration such as 30s; the annotation `netsim/dns-cache`, else none). `headers` go with each request, also `Host`, by
    which an ingress controller tells what is wanted (`curl -H`).

    `tcp://` loads send some bytes and take anything for an answer, `udp://` loads a datagram each (kept: from one
    socket) for one back. `to: dns://NAME` looks the name up and does nothing else. Unless there is a cache, each
    look-up is a new process.
    """

    name: Name
    from_: Selector = Field(alias="from")
    to: TargetUrl
    model: Literal["open", "closed"] = "open"
    rate_per_s: Frequency | None = Field(None, alias="rate")
    arrivals: Literal["poisson", "constant"] = "poisson"
    connections: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 0
    think_time_ns: Duration = Field(0, alias="thinkTime")
    client: ClientName | None = None
    start_ns: Duration = Field(0, alias="start")
    for_ns: PositiveDuration | None = Field(None, alias="for")
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"] = "GET"
    resolve: Literal["connection", "once", "request"] = "connection"
    # None: what the cluster has; "any": as getaddrinfo sorts.
    ipFamily: Literal["ipv4", "ipv6", "any"] | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    resolver: Literal["", "glibc", "musl", "musl-1.2.4", "nslookup"] = ""
    dnsCache: DnsCache = ""

    @model_validator(mode="before")
    @classmethod
    def _below_it_the_clients_defaults(cls, raw: Any) -> Any:
        return with_preset(raw)


class ServiceTime(SpecModel):
    """How long a server works on a request."""

    mean_ns: Duration = Field(alias="mean")
    distribution: Literal["constant", "exponential"] = "constant"


def _service_time(value: Any) -> Any:
    """A plain duration is a constant service time."""
    return {"mean": value} if isinstance(value, str | int | float) else value


# What an editor should offer: the plain duration or the mapping.
_SERVICE_TIME_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            TypeAdapter(Duration).json_schema(),
            {
                "type": "object",
                "properties": {
                    "mean": TypeAdapter(Duration).json_schema(),
                    "distribution": {"enum": ["constant", "exponential"], "default": "constant"},
                },
                "required": ["mean"],
                "additionalProperties": False,
            },
        ]
    }
)


class ServerResponse(SpecModel):
    """What a server answers with: this many bytes of body."""

    bytes: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] = 612  # nginx's welcome page was 612 bytes


class Server(SpecModel):
    """How the containers of the selected pods answer. `concurrency` 0: no limit; otherwise requests queue.

    `shutdown` is what SIGTERM does (the pod's annotation `netsim/shutdown`, else graceful): graceful stops to listen
    and finishes what has been asked, as nginx does at SIGQUIT, which its image uses; fast ends at once and cuts
    requests off (nginx at SIGTERM); ignore goes on until SIGKILL, as a shell that is process 1.
    """

    selector: Selector
    serviceTime: Annotated[ServiceTime, BeforeValidator(_service_time), _SERVICE_TIME_SCHEMA] | None = None
    concurrency: Annotated[int, Field(strict=True, ge=0)] = 0
    response: ServerResponse = ServerResponse()
    shutdown: Literal["graceful", "fast", "ignore"] | None = None


def _expression(value: str) -> str:
    from netsim.experiment.checks import compile_check

    compile_check(value)  # raises a ValueError that says what is wrong and where
    return value


class Check(SpecModel):
    """An expectation about the results; `during` limits it to a part of the experiment."""

    name: Name
    expr: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_expression)]
    points: Annotated[float, Field(ge=0)] = 1
    hint: str = ""
    during: tuple[Duration, Duration] | None = None


class Variant(SpecModel):
    """The experiment with some fields set otherwise, by field path: `load[0].rate`, `cluster.networking.kubeProxyMode`.

    An experiment with variants is run once for each, with the same seeds, and the results are shown side by side.
    """

    name: Name
    set: dict[str, Any] = Field(default_factory=dict)  # nothing: the experiment as it is, to compare with


class ExperimentSpec(SpecModel):
    """The `spec` of an Experiment."""

    topology: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 1
    duration_ns: PositiveDuration = Field(60 * SECOND, alias="duration")
    warmup_ns: Duration = Field(0, alias="warmup")
    replications: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    until: Until | None = None
    capture: tuple[str, ...] = ()
    load: tuple[Load, ...] = ()
    servers: tuple[Server, ...] = ()
    faults: tuple[Fault, ...] = ()
    checks: tuple[Check, ...] = ()
    variants: tuple[Variant, ...] = ()


class ExperimentDocument(SpecModel):
    """The whole document."""

    apiVersion: Literal["netsim/v1"]
    kind: Literal["Experiment"]
    metadata: Metadata
    spec: ExperimentSpec
