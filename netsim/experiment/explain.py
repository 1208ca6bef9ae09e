"""Explaining one request, ping or look-up: follow every packet that it causes, and say how it ended.

Called by `netsim explain` and `Cluster.explain`. Only packets that begin at or answer the client's request
are kept: its DNS lookups, its connection, what an ingress controller asks on its behalf, and ICMP errors about them;
probes and other traffic go on but are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from netsim.engine import MS, format_duration
from netsim.experiment.spec_select import parse_url
from netsim.kernel.journey import Step
from netsim.measure.journey import Journey
from netsim.wire.addr import ip, ip_text
from netsim.workload.clients import make_client
from netsim.workload.http_client import ClientSpec
from netsim.workload.ingress.records import ProxiedRequest
from netsim.workload.sctp import SctpExchange

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.fabric.host import Host
    from netsim.kernel.errno import Errno
    from netsim.measure.stepper import Scene
    from netsim.wire.packet import Packet
    from netsim.workload.clients import Exchange
    from netsim.workload.resolver_lookup import LookupResult

_PING = "ping://"
_SCTP = "sctp://"
# The close of a connection goes on after the response: give it this long.
_AFTER_NS = 100 * MS


@dataclass(frozen=True, slots=True)
class Explained:
    """What happened: a sentence, the journey of every packet, and the hosts that they passed."""

    question: str
    outcome: str
    journey: Journey
    scene: "Scene"

    def text(self) -> str:
        """For a terminal."""
        return f"{self.question}\n{self.outcome}\n\n{self.journey.text()}"

    def html(self) -> str:
        """The packet stepper: one self-contained page."""
        from netsim.measure.stepper import page

        return page(self.question, self.outcome, self.journey, self.scene)

    def write_html(self, path: str | Path) -> Path:
        """Write the page; where it is. Raises OSError."""
        target = Path(path)
        target.write_text(self.html(), encoding="utf-8")
        return target

    def _repr_html_(self) -> str:
        from netsim.measure.stepper import embedded

        return embedded(self.question, self.outcome, self.journey, self.scene)

    def __repr__(self) -> str:
        return self.text()


def explain(
    cluster: "Cluster",
    source: str,
    target: str,
    timeout_ns: int,
    arp: bool,
    headers: Mapping[str, str],
) -> Explained:
    """Ask, follow, and tell. Raises LookupError for an unknown source, ValueError for a target that is no URL."""
    host = cluster.host(source)
    steps: list[Step] = []
    started_ns = cluster.engine.now
    proxied: list[ProxiedRequest] = []
    answered = next((ask for scheme, ask in _SCHEMES.items() if target.startswith(scheme)), None)
    for watched in cluster.fabric.hosts():
        if watched.ns.conntrack is not None:
            watched.ns.conntrack.settle()  # so that the counters in the steps are whole
    stop = cluster.follow(steps.append)
    end_log = cluster.engine.bus.subscribe(ProxiedRequest, proxied.append)
    try:
        if answered is not None:
            outcome = answered(cluster, host, target, timeout_ns)
        else:
            outcome = _get(cluster, host, target, timeout_ns, headers)
    finally:
        stop()
        end_log()
    mine = _of_client(steps, host.addresses, _behind(proxied, steps, host.addresses))
    journey = Journey(mine, started_ns, cluster.names(), arp)
    return explained(f"{source} asks {target}", outcome, journey, cluster)


def explained(question: str, outcome: str, journey: Journey, cluster: "Cluster") -> Explained:
    """A journey with the hosts that it passed, as they are now."""
    from netsim.measure.stepper import scene_of

    hosts = dict.fromkeys(step.namespace for packet in journey.packets for step in packet.steps)
    return Explained(question, outcome, journey, scene_of(cluster.fabric, hosts))


_Ends = frozenset[tuple[bytes, int]]


def _behind(proxied: "list[ProxiedRequest]", steps: list[Step], client: tuple[bytes, ...]) -> _Ends:
    """The sockets from which an ingress controller passed the client's requests on. The controller knows a client by
    the address that it sees, which may be a node's: then the client's packets had that address too."""
    seen = {step.uid for step in steps if step.flow.src in client or step.flow.dst in client}
    clients = {(s.flow.src, s.flow.sport) for s in steps if s.uid in seen}
    ends: list[tuple[bytes, int]] = []
    for record in proxied:
        address, _, port = record.client.rpartition(":")
        if (ip(address.strip("[]")), int(port)) in clients:
            ends += [(ip(record.address), entry.port) for entry in record.tries]
    return frozenset(ends)


def _of_client(steps: list[Step], client: tuple[bytes, ...], behind: _Ends) -> list[Step]:
    """Steps of packets that ever had one of the client's addresses, or belong to a connection made on its behalf."""
    uids = {
        step.uid
        for step in steps
        if step.flow.src in client
        or step.flow.dst in client
        or (step.flow.src, step.flow.sport) in behind
        or (step.flow.dst, step.flow.dport) in behind
    }
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


def _get(cluster: "Cluster", host: "Host", target: str, timeout_ns: int, headers: Mapping[str, str]) -> str:
    url = parse_url(target)
    spec = ClientSpec(url.host, url.port, url.path, timeout_ns=timeout_ns, headers=tuple(headers.items()))
    client = make_client(url.scheme, host, spec, cluster.resolver_of(host))
    done: list[Exchange] = []
    client.exchange(lambda exchange, _now: done.append(exchange)).begin(cluster.engine.now)
    _run_until(cluster, done, timeout_ns + MS)  # type: ignore[arg-type]
    return _told(done[0], url.scheme) if done else f"no answer within {format_duration(timeout_ns)}"


def _told(exchange: "Exchange", scheme: str) -> str:
    took = format_duration(exchange.ended_ns - exchange.started_ns)
    if exchange.outcome == "ok":
        lookup = exchange.resolved_ns - exchange.started_ns if exchange.resolved_ns else 0
        answer = f"HTTP {exchange.status}" if scheme == "http" else "answer"
        return f"{answer} after {took} (of which name lookup {format_duration(lookup)})"
    detail = f": {exchange.error}" if exchange.error else ""
    return f"{exchange.outcome} after {took}{detail}"


def _sctp(cluster: "Cluster", host: "Host", target: str, timeout_ns: int) -> str:
    """Associate, send a message, and wait for it to come back."""
    try:
        parts = urlsplit(target)
        name, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f'"{target}" is no URL: {str(error).lower()}') from None
    if not name or not port:
        raise ValueError("sctp:// needs a name and a port, such as sctp://signalling:3868")
    done: list[SctpExchange] = []
    resolver = cluster.resolver_of(host)
    exchange = SctpExchange(
        host, resolver, name, port, lambda over, _now: done.append(over), _family(cluster)
    )
    exchange.begin(cluster.engine.now)
    _run_until(cluster, done, timeout_ns)  # type: ignore[arg-type]
    if not done:
        return f"no answer within {format_duration(timeout_ns)}"
    took = format_duration(exchange.ended_ns - exchange.started_ns)
    if exchange.error:
        return f"{exchange.error} after {took}"
    lookup, handshake = (
        exchange.resolved_ns - exchange.started_ns,
        exchange.connected_ns - exchange.resolved_ns,
    )
    parts_text = f"name lookup {format_duration(lookup)}, handshake {format_duration(handshake)}"
    return f"SCTP message sent back after {took} (of which {parts_text})"


def _family(cluster: "Cluster") -> str:
    """What is looked up: addresses of both families where the cluster has more than IPv4."""
    return "ipv4" if cluster.spec.networking.ipFamily == "ipv4" else "any"


def _ping(cluster: "Cluster", host: "Host", target: str, timeout_ns: int) -> str:
    """Look the name up (an address is its own answer) and send one echo request, as `ping -c 1` does (with `-4` where
    there is no other family)."""
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

    cluster.resolver_of(host).lookup(name, resolved, _family(cluster))
    _run_until(cluster, done, timeout_ns)  # type: ignore[arg-type]
    return done[0] if done else f"no answer within {format_duration(timeout_ns)}"


_SCHEMES = {_PING: _ping, _SCTP: _sctp, "dns://": _lookup}
