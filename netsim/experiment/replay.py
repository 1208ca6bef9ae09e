"""One request of an experiment that is over, followed packet by packet: the run is played again up to it.

Called by `Results.journey`. The same spec and seed give the same run, so nothing has to be kept of it but what was
asked. Following every step disables remembered ways only, which changes no result (`tests/properties`).

A request's packets are found by the exact moments that its record has: its look-up begins when the request does, and
each further query when an answer came; its connection is the one whose SYN was sent, or whose handshake was over, at
that moment. Of a request that was retried only the last attempt is shown.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from netsim.engine import MS, format_duration
from netsim.experiment.cluster import Cluster
from netsim.experiment.explain import Explained, explained
from netsim.experiment.play import begin
from netsim.experiment.run import replication_seed
from netsim.kernel.journey import Step
from netsim.measure.journey import Journey
from netsim.wire.dns import DNS_PORT
from netsim.wire.packet import ICMP, ICMPV6, Flow
from netsim.workload.records import RequestDone

if TYPE_CHECKING:
    from netsim.experiment.loader import ExperimentBundle

# The close of a connection goes on after the response.
_AFTER_NS: Final = 100 * MS

_End = tuple[bytes, int, int]  # address, port, protocol


def replay(bundle: "ExperimentBundle", seed: int, replication: int, request: int, t_ns: int) -> Explained:
    """Play a replication again until a request is over that began at `t_ns` after the experiment's zero."""
    cluster = Cluster(bundle.topology, replication_seed(seed, replication))
    begin(cluster, bundle.spec)
    begins_ns = cluster.epoch_ns + t_ns
    cluster.engine.run(begins_ns)
    done: list[RequestDone] = []
    steps: list[Step] = []
    endings = [
        cluster.engine.bus.subscribe(RequestDone, lambda r: done.append(r) if r.request == request else None),
        cluster.follow(steps.append),
    ]
    # SimPy has done nothing yet of what happens at this very moment, but for what came before in it.
    limit_ns = cluster.epoch_ns + bundle.spec.duration_ns
    while not done and cluster.engine.now < limit_ns:
        cluster.engine.run(min(cluster.engine.now + 10 * MS, limit_ns))
    cluster.engine.run(cluster.engine.now + _AFTER_NS)
    for end in endings:
        end()
    if not done:
        raise LookupError(f"request {request} does not end within the experiment")
    return _told(cluster, done[0], steps)


def _told(cluster: Cluster, record: RequestDone, steps: list[Step]) -> Explained:
    client = cluster.host(_host_name(cluster, record.client))
    mine = _of_request(record, steps, client.addresses)
    took = format_duration(record.ended_ns - record.started_ns)
    detail = f": {record.error}" if record.error else ""
    outcome = f"{record.outcome} after {took}{detail}" if record.outcome != "ok" else f"answer after {took}"
    if record.endpoint:
        outcome += f", from {record.pod or record.endpoint}"
    question = f"request {record.request} of load {record.load}: {record.client} asks {record.host}"
    return explained(question, outcome, Journey(mine, record.started_ns, cluster.names()), cluster)


def _host_name(cluster: Cluster, client: str) -> str:
    """A record's client as `Cluster.host` takes it."""
    if client in cluster.fabric.nodes:
        return f"node/{client}"
    return f"external/{client}" if client in cluster.fabric.outside else f"pod/{client}"


def _of_request(record: RequestDone, steps: list[Step], client: tuple[bytes, ...]) -> list[Step]:
    """The steps of the packets that belong to a request."""
    ends = {*_lookup_ends(record, steps, client), *_connection_end(record, steps, client)}
    until_ns = record.ended_ns + _AFTER_NS
    uids = {
        step.uid
        for step in steps
        if record.started_ns <= step.at_ns <= until_ns
        and (_ends(step.flow) & ends or _is_error(step, client))
    }
    return [step for step in steps if step.uid in uids]


def _ends(flow: Flow) -> set[_End]:
    return {(flow.src, flow.sport, flow.proto), (flow.dst, flow.dport, flow.proto)}


def _is_error(step: Step, client: tuple[bytes, ...]) -> bool:
    return step.flow.proto in (ICMP, ICMPV6) and step.flow.dst in client


def _sent(steps: Iterable[Step], client: tuple[bytes, ...]) -> Iterator[Step]:
    return (step for step in steps if step.kind == "send" and step.flow.src in client)


def _lookup_ends(record: RequestDone, steps: list[Step], client: tuple[bytes, ...]) -> set[_End]:
    """The sockets of the look-up: those that sent a query when it began, or when an answer came to one of them."""
    ends: set[_End] = set()
    moments = {record.started_ns}
    for step in steps:
        flow = step.flow
        if DNS_PORT not in (flow.sport, flow.dport) or step.at_ns > (record.resolved_ns or record.ended_ns):
            continue
        if step.kind == "send" and flow.src in client and step.at_ns in moments:
            ends.add((flow.src, flow.sport, flow.proto))
        elif step.kind == "deliver" and (flow.dst, flow.dport, flow.proto) in ends:
            moments.add(step.at_ns)
    return ends


def _connection_end(record: RequestDone, steps: list[Step], client: tuple[bytes, ...]) -> set[_End]:
    """The client's end of the connection, or of the datagram's flow."""
    if record.connected_ns:
        for step in steps:
            flow = step.flow
            if step.kind == "deliver" and step.at_ns == record.connected_ns and flow.dst in client:
                return {(flow.dst, flow.dport, flow.proto)}
    begins_ns = record.resolved_ns or record.started_ns
    found = (s.flow for s in _sent(steps, client) if s.at_ns == begins_ns and s.flow.dport != DNS_PORT)
    return {(flow.src, flow.sport, flow.proto) for flow in found}
