"""A bench for tests of the whole product: settled clusters, single requests, pings and look-ups, small experiments.

Nothing here reaches into a layer that a notebook could not reach into too.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import netsim
from netsim.cluster.objects import Pod, Service
from netsim.engine import MS, S
from netsim.experiment.api import Experiment
from netsim.experiment.cluster import Cluster
from netsim.experiment.play import fault_plan
from netsim.experiment.spec_fault import Fault
from netsim.kernel.errno import Errno
from netsim.kernel.tcp import TcpConnection
from netsim.measure.collect import Recorder
from netsim.wire.addr import ip, ip_text
from netsim.workload.faults import FaultInjector
from netsim.workload.http_client import ClientSpec, HttpClient
from netsim.workload.http_exchange import HttpExchange

ROOT = Path(__file__).resolve().parents[1]
TOPOLOGIES = ROOT / "topologies"


def settled(name: str, seed: int = 1) -> Cluster:
    """A cluster of ours, booted."""
    made = Cluster(TOPOLOGIES / f"{name}.yaml", seed)
    made.settle()
    return made


def wait(cluster: Cluster, done: list[Any], limit_ns: int) -> None:
    """Let time pass in steps of 1 ms until something is in the list, or until the limit."""
    end = cluster.engine.now + limit_ns
    while not done and cluster.engine.now < end:
        cluster.run(MS)


class Ask:
    """Requests from one host to one URL's host and port, each over a connection of its own."""

    def __init__(self, cluster: Cluster, source: str, host: str, port: int = 80, **spec: Any) -> None:
        self.cluster = cluster
        origin = cluster.host(source)
        self.client = HttpClient(origin, ClientSpec(host, port, **spec), cluster.resolver_of(origin))

    def begin(self) -> list[HttpExchange]:
        """Begin a request; the list gets it when it is over."""
        done: list[HttpExchange] = []
        self.client.request(lambda exchange, _now: done.append(exchange), self.cluster.engine.now)
        return done

    def __call__(self) -> HttpExchange:
        """A request and its end."""
        done = self.begin()
        wait(self.cluster, done, self.client.spec.timeout_ns + 10 * MS)
        assert done, "neither an answer nor a time-out"
        return done[0]


def ask(cluster: Cluster, source: str, host: str, port: int = 80, **spec: Any) -> HttpExchange:
    """One request."""
    return Ask(cluster, source, host, port, **spec)()


def ping(cluster: Cluster, source: str, address: str, limit_ns: int = 2 * S) -> str:
    """One echo request: `reply`, the name of an error, or `silence`."""
    heard: list[str] = []

    def told(_socket: object, reply: object, errno: Errno | None, _now: int) -> None:
        heard.append("reply" if reply is not None else errno.name if errno else "?")

    socket = cluster.host(source).ns.sockets.open_icmp(told)
    socket.send(ip(address), 1, bytes(56), cluster.engine.now)
    wait(cluster, heard, limit_ns)
    socket.close()
    return heard[0] if heard else "silence"


def resolve(cluster: Cluster, source: str, name: str) -> tuple[str, ...]:
    """A name's addresses, or its error in capitals."""
    found: list[tuple[str, ...]] = []

    def told(result: Any, _now: int) -> None:
        found.append((result.error,) if result.error else tuple(map(ip_text, result.addresses)))

    cluster.resolver_of(cluster.host(source)).lookup(name, told)
    wait(cluster, found, 30 * S)
    return found[0]


def service_ip(cluster: Cluster, name: str) -> str:
    """The ClusterIP of a Service in `default`."""
    found = cluster.api.get(Service, "default", name)
    assert found is not None
    return found.spec.clusterIP


def pods(cluster: Cluster, **labels: str) -> list[Pod]:
    """Pods with these labels that are not being deleted, sorted by name."""
    chosen = [
        pod
        for pod in cluster.api.list(Pod)
        if labels.items() <= pod.metadata.labels.items() and pod.metadata.deletionTimestamp is None
    ]
    return sorted(chosen, key=lambda pod: pod.key)


def inject(cluster: Cluster, *faults: Mapping[str, Any]) -> Recorder:
    """Let faults, in the words of an experiment file, happen `at` that long from now; what is said about them."""
    recorder = Recorder(cluster.engine.bus, cluster.epoch_ns)
    injector = FaultInjector(cluster.engine, cluster.fabric, cluster.control_plane, cluster.containers)
    injector.schedule([fault_plan(Fault.model_validate(dict(fault))) for fault in faults], cluster.engine.now)
    return recorder


def experiment(
    folder: Path, topology: str, load: Iterable[str], faults: Iterable[str] = (), **spec: Any
) -> Path:
    """An experiment file on one of our topologies; loads and faults are YAML flow mappings, spec values YAML texts."""
    lines = ["apiVersion: netsim/v1", "kind: Experiment", "metadata: {name: small}", "spec:"]
    lines += [f'  topology: "{(TOPOLOGIES / topology).as_posix()}.yaml"']
    lines += [f"  {name}: {value}" for name, value in spec.items()]
    for name, items in (("load", load), ("faults", faults)):
        entries = [f"  - {item}" for item in items]
        lines += [f"  {name}:", *entries] if entries else []
    path = folder / "small.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def loaded(
    folder: Path, topology: str, load: Iterable[str], faults: Iterable[str] = (), **spec: Any
) -> Experiment:
    """The same, loaded."""
    return netsim.load(experiment(folder, topology, load, faults, **spec))


class Listener:
    """A TCP client that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def connected(self, _conn: TcpConnection, now: int) -> None:
        self.told.append(("connected", now))

    def received(self, _conn: TcpConnection, data: bytes, now: int) -> None:
        self.told.append((f"received {len(data)}", now))

    def peer_closed(self, _conn: TcpConnection, now: int) -> None:
        self.told.append(("peer closed", now))

    def closed(self, _conn: TcpConnection, now: int) -> None:
        self.told.append(("closed", now))

    def failed(self, _conn: TcpConnection, errno: Errno, now: int) -> None:
        self.told.append((errno.name, now))
