"""What the load and the faults tell: one record per finished request and one per fault.

Emitted on the engine's bus by the clients and by the fault injector; `measure` turns them into tables. Times are
absolute engine nanoseconds; 0 stands for "did not happen", which no real time is, since a cluster boots before any
load starts.
"""

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["ok", "timeout", "refused", "reset", "unreachable", "dns", "http-error", "aborted"]


@dataclass(frozen=True, slots=True)
class RequestDone:
    """A request of a load is over, well or badly.

    `request` and `connection` count from 1 within one run; `connection` is 0 when none was opened (the name did not
    resolve, no route). `service` is `namespace/name`, empty when the target is not a Service. `endpoint` (`ip:port`),
    `pod` and `node` say which backend the connection was given to, even if it never answered; they are empty when that
    cannot be known. `node` is the backend's, `client_node` the client's. `attempts` counts retries in; the other
    fields describe the last attempt. `queries` counts the DNS questions of a look-up (`dns://`), whose `endpoint` is
    the first address found. `reused` says that the connection had carried a request before, `replaced` that a kept
    connection turned out to be dead and the request was sent again on this one. `aborted` is
    neither success nor failure: the run or the client's own pod ended before the request did. `via_node` is the node
    whose rules chose the endpoint (for a client outside not its own), `policy` "Local" when they had to choose one of
    that node, `client_ip_seen` the client's address as the endpoint sees it.
    """

    client: str
    load: str
    request: int
    connection: int
    service: str
    host: str
    started_ns: int
    resolved_ns: int
    connected_ns: int
    ended_ns: int
    outcome: Outcome
    status: int = 0
    attempts: int = 1
    endpoint: str = ""
    pod: str = ""
    node: str = ""
    error: str = ""
    reused: bool = False
    client_node: str = ""
    via_node: str = ""
    policy: str = ""
    client_ip_seen: str = ""
    # Not in the fingerprint of requests that have none, whose records had no such field in older versions.
    queries: int = field(default=0, metadata={"fingerprint": "unless default"})
    replaced: bool = field(default=False, metadata={"fingerprint": "unless default"})


@dataclass(frozen=True, slots=True)
class FaultInjected:
    """A fault has just been injected.

    `fault` names it uniquely within the run (`pod-kill-1`). `pods` are `namespace/name`, `addresses` the pods' IPs as
    text, `services` the Services (`namespace/name`) that had them as endpoints; `until_ns` is when it will be taken
    back, 0 for never. `objects` are those of kubectl's commands (`deployment/my-nginx`).
    """

    at_ns: int
    fault: str
    action: str
    pods: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    until_ns: int = 0
    objects: tuple[str, ...] = field(default=(), metadata={"fingerprint": "unless default"})
