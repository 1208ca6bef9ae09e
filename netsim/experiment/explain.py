"""Explaining one request, ping or look-up: follow every packet that it causes, and say how it ended.

Called by `netsim explain` and `Cluster.explain`. Only packets that begin at or answer the client's request
are kept: its DNS lookups, its connection, and ICMP errors about them; probes and other traffic go on but are
left out.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netsim.engine import MS, format_duration
from netsim.experiment.spec_select import parse_url
from netsim.kernel.journey import Step
from netsim.measure.journey import Journey
from netsim.wire.addr import ip_text
from netsim.workload.http_client import ClientSpec, HttpClient

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.fabric.host import Host
    from netsim.kernel.errno import Errno
    from netsim.wire.packet import Packet
    from netsim.workload.http_exchange import HttpExchange
    from netsim.workload.resolver_lookup import LookupResult

_PING = "ping://"
# The close of a connection goes on after the response: give it this long.
_AFTER_NS = 100 * MS


@dataclass(frozen=True, slots=True)
class Explained:
    """What happened: a sentence, and the journey of every packet."""

    question: str
    outcome: str
    journey: Journey

    def text(self) -> str:
        """For a terminal."""
        return f"{self.question}\n{self.outcome}\n\n{self.journey.text()}"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p><b>{escape(self.question)}</b><br>{escape(self.outcome)}</p>{self.journey._repr_html_()}"

    def __repr__(self) -> str:
        return self.text()


def explain(cluster: "Cluster", source: str, target: str, timeout_ns: int, arp: bool) -> Explained:
    """Ask, follow, and tell. Raises LookupError for an unknown source, ValueError for a target that is no URL."""
    host = cluster.host(source)
    steps: list[Step] = []
    started_ns = cluster.engine.now
    answered = next((ask for scheme, ask in _ASKING.items() if target.startswith(scheme)), _get)
    stop = cluster.follow(steps.append)
    try:
        outcome = answered(cluster, host, target, timeout_ns)
    finally:
        stop()
    mine = _of_client(steps, host.address)
    journey = Journey(mine, started_ns, cluster.names(), arp)
    return Explained(f"{source} asks {target}", outcome, journey)


def _of_client(steps: list[Step], client: bytes) -> list[Step]:
    """Steps of packets that ever had the client's address."""
    uids = {step.uid for step in steps if client in (step.flow.src, step.flow.dst)}
    return [step for step in steps if step.uid in uids]


def _run_until(cluster: "Cluster", done: list[object], timeout_ns: int) -> None:
    deadline = cluster.engine.now + timeout_ns
    while not done and cluster.engine.now < deadline:
        cluster.engine.run(min(cluster.engine.now + MS, deadline))
    cluster.engine.run(cluster.engine.now + _AFTER_NS)


def _lookup(cluster: "Cluster", host: "Host", target: str, timeout_ns: int) -> str:
    """Look a name up, as getaddrinfo does or for one record type."""
    url = parse_url(target)
    started_ns = cluster.engine.now
    done: list[str] = []

    def resolved(answer: "LookupResult", now: int) -> None:
        took = f"after {format_duration(now - started_ns)} and {answer.queries} queries"
        found = ", ".join(map(ip_text, answer.addresses))
        done.append(f"{found} {took}" if found else f"{answer.error or 'NODATA'} {took}")

    cluster.resolver_of(host).lookup(url.host, resolved, url.family)
    _run_until(cluster, done, timeout_ns)  # type: ignore[arg-type]
    return done[0] if done else f"no answer within {format_duration(timeout_ns)}"


def _get(cluster: "Cluster", host: "Host", target: str, timeout_ns: int) -> str:
    url = parse_url(target)
    client = HttpClient(
        host, ClientSpec(url.host, url.port, url.path, timeout_ns=timeout_ns), cluster.resolver_of(host)
    )
    done: list[HttpExchange] = []
    client.request(lambda exchange, _now: done.append(exchange), cluster.engine.now)
    _run_until(cluster, done, timeout_ns + MS)  # type: ignore[arg-type]
    return _told(done[0]) if done else f"no answer within {format_duration(timeout_ns)}"


def _told(exchange: "HttpExchange") -> str:
    took = format_duration(exchange.ended_ns - exchange.started_ns)
    if exchange.outcome == "ok":
        lookup = exchange.resolved_ns - exchange.started_ns if exchange.resolved_ns else 0
        return f"HTTP {exchange.status} after {took} (of which name lookup {format_duration(lookup)})"
    detail = f": {exchange.error}" if exchange.error else ""
    return f"{exchange.outcome} after {took}{detail}"


def _ping(cluster: "Cluster", host: "Host", target: str, timeout_ns: int) -> str:
    """Look the name up (an address is its own answer) and send one echo request, as `ping -4 -c 1` does."""
    name = target.removeprefix(_PING).strip("/")
    if not name:
        raise ValueError("ping:// needs a name or an address, such as ping://10.96.0.10")
    started_ns = cluster.engine.now
    done: list[str] = []

    def echoed(_socket: object, reply: "Packet | None", errno: "Errno | None", now: int) -> None:
        took = format_duration(now - started_ns)
        done.append(f"echo reply after {took}" if reply is not None else f"{errno} after {took}")

    def resolved(answer: "LookupResult", now: int) -> None:
        if answer.addresses:
            host.ns.sockets.open_icmp(echoed).send(answer.addresses[0], 1, bytes(range(56)), now)
        else:
            took = format_duration(now - started_ns)
            done.append(f"no address of {name} after {took}: {answer.error or 'NODATA'}")

    cluster.resolver_of(host).lookup(name, resolved, "ipv4")
    _run_until(cluster, done, timeout_ns)  # type: ignore[arg-type]
    return done[0] if done else f"no answer within {format_duration(timeout_ns)}"


_ASKING = {_PING: _ping, "dns://": _lookup}
