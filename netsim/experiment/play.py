"""Playing an experiment on a cluster: boot, load, faults, end; what was recorded comes back as plain data.

Called by `run.py`, once per replication. The cluster boots from time 0 until everything is up; the next whole
second is the experiment's zero.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from netsim.experiment.about import APPLICATION, about_cluster, about_experiment
from netsim.experiment.backends import Backends
from netsim.experiment.kubectl.resources import object_name
from netsim.experiment.url_variables import NO_HOST, expanded, references
from netsim.fabric.http_messages import Messages
from netsim.fabric.link import Netem
from netsim.measure.collect import Recorder, Recording
from netsim.measure.pcap import pcapng_bytes
from netsim.workload.containers import ServerRule
from netsim.workload.fault_targets import FaultPlan
from netsim.workload.faults import FaultInjector
from netsim.workload.http_server import ServerSpec
from netsim.workload.load import LoadGenerator, LoadSpec, Numbers
from netsim.workload.load_lookups import LookupGenerator

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.spec_cluster import ClusterSpec
    from netsim.experiment.spec_experiment import ExperimentSpec, Load, Server
    from netsim.experiment.spec_fault import Fault
    from netsim.experiment.spec_select import Url
    from netsim.fabric.host import Host
    from netsim.wire.addr import Address
    from netsim.workload.http_client import NameResolver
    from netsim.workload.http_exchange import Resolved


def play(
    cluster: "Cluster",
    spec: "ExperimentSpec",
    replication: int,
    progress: Callable[[int], None],
    steps: int,
) -> Recording:
    """Run one replication. `progress(simulated_ns)` is called up to `steps` times."""
    recorder = Recorder(cluster.engine.bus)
    generators = begin(cluster, spec)
    epoch_ns = recorder.epoch_ns = cluster.epoch_ns
    dump = cluster.tcpdump(*spec.capture) if spec.capture and replication == 0 else None
    for step in range(1, steps + 1):
        cluster.engine.run(epoch_ns + spec.duration_ns * step // steps)
        progress(spec.duration_ns * step // steps)
    for generator in generators:
        generator.stop(cluster.engine.now)
    recorder.stop()
    recording = recorder.recording(replication, cluster.engine.now, cluster.books(), cluster.counters())
    if dump is None:
        return recording
    dump.stop()
    about = f"{about_experiment(spec)}\n{about_cluster(cluster)}"
    data = pcapng_bytes(dump, cluster.names(), epoch_ns, about, APPLICATION)
    return replace(recording, captures={"capture": data})


def begin(cluster: "Cluster", spec: "ExperimentSpec") -> list[LoadGenerator | LookupGenerator]:
    """Boot the cluster, start the loads and plan the faults; it is the experiment's zero then."""
    cluster.containers.rules += [server_rule(server) for server in spec.servers]
    epoch_ns = cluster.settle()
    generators = start_loads(cluster, spec.load, epoch_ns)
    injector = FaultInjector(cluster.engine, cluster.fabric, cluster.control_plane, cluster.containers)
    injector.schedule([fault_plan(fault) for fault in spec.faults], epoch_ns)
    return generators


def start_loads(
    cluster: "Cluster", loads: "tuple[Load, ...]", epoch_ns: int
) -> list[LoadGenerator | LookupGenerator]:
    """One generator per load and client host."""
    backends, numbers, messages = Backends(cluster), Numbers(), Messages()
    made: list[LoadGenerator | LookupGenerator] = []
    for load in loads:
        hosts = cluster.select_hosts(load.from_)
        for index, host in enumerate(hosts):
            resolver = cluster.resolver_for(host, load.resolver, load.dnsCache, load.name)
            spec = load_spec(load, len(hosts), default_family(cluster.spec))
            if load.to.scheme == "dns":
                place = (index, len(hosts))
                lookups = LookupGenerator(host, spec, resolver, epoch_ns, place, numbers)
                lookups.start(cluster.engine.now)
                made.append(lookups)
                continue
            spec, names = in_environment(spec, load.to, host, resolver)
            generator = LoadGenerator(
                host,
                spec,
                names,
                backends.where,
                epoch_ns,
                index=index,
                clients=len(hosts),
                messages=messages,
                numbers=numbers,
            )
            generator.start(cluster.engine.now)
            made.append(generator)
    return made


class _NoHost:
    """Answers for a URL without a host, which no client can look up."""

    def __init__(self, host: "Host", error: str) -> None:
        self._host = host
        self.addresses: tuple[Address, ...] = ()
        self.error = error

    def lookup(self, _name: str, done: "Callable[[Resolved, int], None]", _family: str = "any") -> None:
        done(self, self._host.now)


def in_environment(
    spec: LoadSpec, url: "Url", host: "Host", resolver: "NameResolver"
) -> "tuple[LoadSpec, NameResolver]":
    """A load whose URL has variables, in a client's own environment. Without a host every request fails at once, as
    curl does: "URL rejected: No host part in the URL"."""
    if not url.template:
        return spec, resolver
    try:
        filled = url.filled(host.env)
    except ValueError:
        unset = [f"{name} is not set" for name in references(url.template) if not host.env.get(name)]
        return spec, _NoHost(host, f"{NO_HOST}: {', '.join(unset) or expanded(url.template, host.env)}")
    return replace(spec, host=filled.host, port=filled.port, path=filled.path), resolver


def default_family(spec: "ClusterSpec") -> str:
    """What a load asks the resolver for unless it says otherwise: what the cluster has."""
    return "any" if spec.networking.ipFamily == "dual" else spec.networking.ipFamily


def load_spec(load: "Load", clients: int, family: str = "ipv4") -> LoadSpec:
    """A load's part for one of its client hosts: the rate is the total over all of them."""
    return LoadSpec(
        name=load.name,
        host=load.to.host,
        port=load.to.port,
        scheme=load.to.scheme,
        path=load.to.path,
        method=load.method,
        model=load.model,
        rate_per_s=(load.rate_per_s or 0.0) / clients,
        arrivals=load.arrivals,
        connections=load.connections,
        think_time_ns=load.think_time_ns,
        timeout_ns=load.timeout_ns,
        keep_alive=load.keepAlive,
        retry=load.retryPolicy.built(load.retries, load.retry_backoff_ns),
        start_ns=load.start_ns,
        for_ns=load.for_ns,
        resolve=load.resolve,
        family=load.to.family or load.ipFamily or family,
        headers=tuple(load.headers.items()),
        connect_timeout_ns=load.connect_timeout_ns,
        pool=load.pool.built(),
        keepalive=load.tcpKeepalive.built() if load.tcpKeepalive else None,
        user_timeout_ns=load.tcp_user_timeout_ns or 0,
    )


def server_rule(server: "Server") -> ServerRule:
    """An entry of `servers:`."""

    def tuned(spec: ServerSpec) -> ServerSpec:
        if server.serviceTime is not None:
            time = server.serviceTime
            spec = replace(spec, service_ns=time.mean_ns, distribution=time.distribution)
        if server.shutdown is not None:
            spec = replace(spec, shutdown=server.shutdown)
        return replace(spec, concurrency=server.concurrency, body_bytes=server.response.bytes)

    return ServerRule(
        lambda pod: server.selector.selects_pod(*pod.key, pod.metadata.labels),
        tuned,
    )


def fault_plan(fault: "Fault") -> FaultPlan:
    """An entry of `faults:`."""
    from netsim.experiment.loader_manifests import manifest_object
    from netsim.experiment.rules_faults import percentage

    value: float = 1
    if fault.mode == "fixed-percent" and fault.value is not None:
        value = percentage(fault.value) or 0
    elif isinstance(fault.value, int):
        value = fault.value
    netem = Netem(
        fault.delay_ns or 0,
        fault.jitter_ns or 0,
        fault.loss or 0.0,
        fault.duplicate or 0.0,
        fault.reorder or 0.0,
        fault.corrupt or 0.0,
        fault.rate_bps or 0,
    )
    return FaultPlan(
        fault.action,
        fault.at_ns,
        fault.selector,
        fault.for_ns or 0,
        fault.mode,
        value,
        netem,
        fault.direction,
        fault.grace_period_ns,
        target=fault.target,
        object=object_name(fault.object, fault.namespace or "default") if fault.object else None,
        replicas=fault.replicas or 0,
        image=fault.image or "",
        manifest=manifest_object(fault.manifest) if fault.manifest else None,
        timeout_ns=fault.timeout_ns or 0,
    )
