"""The ingress controller's access log: one record per request that it answered, emitted on the engine's bus.

`measure` splits the load of the Services behind the controller by it. The fields are those of ingress-nginx's log
format `upstreaminfo` ($remote_addr, $status, $proxy_upstream_name, $upstream_addr, $upstream_status), taken apart.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Try:
    """One endpoint that was asked: `ip:port`, the status of its answer or of nginx's own (502, 504), the local port."""

    endpoint: str
    status: int
    port: int
    reused: bool = False


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """A request is over. `controller` is the pod that proxied it, `worker` one of its workers (`namespace/pod#0`),
    `address` is the pod's, `client` what it saw of the client (`ip:port`), `service` is the backend Service
    (`namespace/name`, "" for the controller's own answers), `tries` the endpoints in the order in which they were
    asked. `status` 499: the client went away first."""

    controller: str
    worker: str
    address: str
    client: str
    host: str
    target: str
    ingress: str
    service: str
    status: int
    started_ns: int
    ended_ns: int
    tries: tuple[Try, ...] = ()
