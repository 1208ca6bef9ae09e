"""`make bench`: how fast the simulator is, in units of the machine's own speed. Writes bench.json and prints it.

Every round runs bare SimPy before and after each case, so that a figure is a ratio of things measured within
a second of each other, and a slow or busy machine slows both. The median over the rounds counts.

The unit is a bare SimPy event: stock `Environment`, `env.timeout(d).callbacks.append(cb)`, 10 pending.

- packet_hops_per_simpy_event: UDP request and reply between pods on two nodes through one ClusterIP, 64
  sockets, no observer; a hop is one packet over one link. In the figure: sockets, both veths, two nodes with
  conntrack, DNAT and its reverse, kube-proxy's rules (remembered after each flow's first packet), TTL and MAC
  rewriting, the switch, queueing. Not in it: rendering to bytes.
- captured_hops_per_simpy_event: the same with every hop recorded (by reference).
- new_flow_hops_per_simpy_event: the same with a new flow for every request.
- requests_per_simpy_event: DNS lookup (A), TCP connection, HTTP request and response, close, by a load
  generator in a pod, with control plane, probes and records running; client, servers and DNS server are pods
  of one node: 12 packets, 24 hops.
- two_node_requests_per_simpy_event: the same with servers and DNS server on another node: 12 packets, 48 hops.
- lookups_per_simpy_event: only the DNS lookup, UDP through the kube-dns ClusterIP.
- first_sync_simpy_events_MODE, change_sync_simpy_events_MODE, first_sync_mib_MODE: one node's first sync of 10,000
  Services with 100,000 endpoints, and the sync after a change of one Service, in units of bare SimPy events (scale.py).
- simulated_over_wall_failover: simulated seconds per second of wall time of `failover.yaml` (60 s, three worker nodes,
  200 requests/s), from booting the cluster to the fingerprint of its records, in one process; the best of the rounds,
  as this figure has no anchor that a busy machine slows as well.
- sweep_efficiency_2_cores: wall time of a sweep of 96 cells with one process over twice that with two (sweep.py); only
  on an idle machine does it say something.
- new_flow_cost_10000_over_10_services: wall time of the first packet of a flow with 10,000 Services over that with 10.

What has no mode in its name is measured with iptables rules; packet_hops, new_flow_hops and new_flow_cost are also
measured with those of _nftables and _ipvs.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from anchor import Measured, bare_simpy
from scale import DATAPLANES

import netsim
from netsim.cni.flat import FlatCni
from netsim.dataplane.node_view import LocalDetector, NodeView
from netsim.dataplane.service_table import Endpoint, ServicePort, ServicePortName, ServiceTable
from netsim.engine import Engine
from netsim.experiment.backends import Backends
from netsim.experiment.cluster import Cluster
from netsim.fabric.capture import Capture
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.fabric.host import PodHost
from netsim.wire.addr import Prefix, ip
from netsim.workload.load import LoadGenerator, LoadSpec
from netsim.workload.records import RequestDone

HERE = Path(__file__).parent
PODS = Prefix.parse("10.244.0.0/16")
VIP, SERVER, CLIENT = ip("10.96.0.80"), ip("10.244.2.5"), ip("10.244.1.5")
GAP_NS = 20_000
OTHER_MODES = tuple(mode for mode in DATAPLANES if mode != "iptables")


def timed(operations: int, run: Callable[[], object]) -> Measured:
    """Run something and take the time."""
    gc.collect()
    start = time.perf_counter()
    run()
    return operations, time.perf_counter() - start


# ---------------------------------------------------------------------- packets
def pods_on_two_nodes(services: int, mode: str) -> tuple[Engine, Fabric, PodHost, PodHost]:
    """Client and server pods on two nodes; one Service of interest among `services`."""
    engine = Engine(1)
    fabric = Fabric(engine, FabricConfig(), FlatCni())
    for number, name in enumerate(("left", "right"), 1):
        fabric.add_node(name, ip(f"172.18.0.{number + 1}"), Prefix.parse(f"10.244.{number}.0/24"))
    client, server = fabric.add_pod("left", "client", CLIENT), fabric.add_pod("right", "server", SERVER)
    table = ServiceTable(service_ports(services))
    dataplane = DATAPLANES[mode]()
    for node in fabric.nodes.values():
        view = NodeView(node.name, node.address, (node.address,), local_detector=LocalDetector(prefix=PODS))
        dataplane.on_node(view).sync(node.ns, None, table)
    return engine, fabric, client, server


def service_ports(services: int) -> list[ServicePort]:
    """The Service of interest in the middle of others."""
    endpoint = Endpoint(SERVER, 80, "right")
    wanted = ServicePort(ServicePortName("default", "echo", "", "UDP"), VIP, 80, endpoints=(endpoint,))
    others = [
        ServicePort(
            ServicePortName("other", f"svc-{i}", "", "TCP"),
            ip(f"10.{97 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"),
            80,
            endpoints=(endpoint,),
        )
        for i in range(services - 1)
    ]
    return [*others[: services // 2], wanted, *others[services // 2 :]]


def echo(
    requests: int, sockets: int, captured: bool = False, services: int = 1, mode: str = "iptables"
) -> Measured:
    """UDP requests, each echoed; packet hops and seconds."""
    engine, fabric, client, server = pods_on_two_nodes(services, mode)
    answered = 0

    def serve(sock, payload, src, sport, now):  # type: ignore[no-untyped-def]
        sock.send(payload, src, sport, now)

    def hear(_sock, _payload, _src, _sport, _now):  # type: ignore[no-untyped-def]
        nonlocal answered
        answered += 1

    server.ns.sockets.open_udp(serve, 80)
    senders = [client.ns.sockets.open_udp(hear, 20_000 + i) for i in range(sockets)]
    capture = Capture()
    for cable in fabric.cables.values() if captured else ():
        capture.attach(cable)
    payload, sent = b"x" * 64, 0

    def send() -> None:
        nonlocal sent
        senders[sent % sockets].send(payload, VIP, 80, engine.now)
        sent += 1
        if sent < requests:
            engine.call_later(GAP_NS, send)

    warm = min(sockets, requests // 4) if sockets < requests else 1
    engine.call_later(1, send)
    engine.run(10_000_000 + warm * GAP_NS)  # ARP, and the first packet of each flow
    before = sum(link.packets for cable in fabric.cables.values() for link in cable.links)
    _, seconds = timed(0, lambda: engine.run(10_000_000_000))
    assert answered == requests, f"{requests - answered} answers are missing: {fabric.drops()}"
    hops = sum(link.packets for cable in fabric.cables.values() for link in cable.links) - before
    return hops, seconds


def new_flow_cost(rounds: int, mode: str = "iptables", flows: int = 2000) -> float:
    """First packets with 10,000 Services over first packets with 10, run in turn."""
    ratios = []
    for _ in range(rounds):
        few_hops, few = echo(flows, flows, services=10, mode=mode)
        many_hops, many = echo(flows, flows, services=10_000, mode=mode)
        ratios.append((many / many_hops) / (few / few_hops))
    return statistics.median(ratios)


# ---------------------------------------------------------------------- requests
class Requests:
    """A booted cluster and a load that can be run for a number of requests, again and again."""

    RATE = 5_000.0

    def __init__(self, topology: str) -> None:
        self.cluster = Cluster(HERE / topology, 1)
        self.cluster.settle()
        self.outcomes: dict[str, int] = {}
        self.cluster.engine.bus.subscribe(RequestDone, self._count)

    def _count(self, done: RequestDone) -> None:
        self.outcomes[done.outcome] = self.outcomes.get(done.outcome, 0) + 1

    def run(self, requests: int) -> Measured:
        """Whole requests and seconds."""
        cluster, host = self.cluster, self.cluster.host("pod/client")
        spec = LoadSpec("bench", "web", rate_per_s=self.RATE, arrivals="constant", family="ipv4")
        generator = LoadGenerator(host, spec, cluster.resolver_of(host), Backends(cluster).where)
        self.outcomes.clear()
        generator.start(cluster.engine.now)
        _, seconds = timed(0, lambda: cluster.run(int(requests / self.RATE * 1e9)))
        generator.stop(cluster.engine.now)
        assert self.outcomes.get("ok", 0) > 0.9 * requests, self.outcomes
        done = self.outcomes["ok"]
        cluster.run("200s")  # ports leave TIME_WAIT and conntrack
        return done, seconds

    def lookups(self, number: int) -> Measured:
        """DNS lookups of a Service name and seconds."""
        cluster, host = self.cluster, self.cluster.host("pod/client")
        resolver, engine = cluster.resolver_of(host), cluster.engine
        answered = 0

        def heard(_result: object, _now: int) -> None:
            nonlocal answered
            answered += 1

        def ask(left: int) -> None:
            resolver.lookup("web", heard, "ipv4")
            if left > 1:
                engine.call_later(100_000, ask, left - 1)

        ask(number)
        _, seconds = timed(0, lambda: cluster.run(number * 100_000 + 5_000_000))
        assert answered == number
        cluster.run("60s")
        return number, seconds


# ---------------------------------------------------------------------- an experiment
def failover_speed(rounds: int) -> float:
    """How much faster than in reality the experiment runs."""
    experiment = netsim.load(HERE / "failover.yaml")
    ratios = []
    for _ in range(rounds):
        gc.collect()
        gc.freeze()  # the clusters of the other cases are none of this one's collector's business
        start = time.perf_counter()
        result = experiment.run(jobs=1)
        seconds = time.perf_counter() - start
        assert len(result.requests) > 11_000, "a minute of 200 requests/s"
        ratios.append(60 / seconds)
        gc.unfreeze()
    return max(ratios)


# ---------------------------------------------------------------------- all of it
def main() -> int:
    """Run the rounds and write the file."""
    parser = argparse.ArgumentParser(description="Benchmark; writes bench.json.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    options = parser.parse_args()
    one_node, two_nodes = Requests("one-node.yaml"), Requests("two-nodes.yaml")
    cases: dict[str, Callable[[], Measured]] = {
        "packet_hops_per_simpy_event": lambda: echo(5000, 64),
        "captured_hops_per_simpy_event": lambda: echo(5000, 64, captured=True),
        "new_flow_hops_per_simpy_event": lambda: echo(3000, 3000),
        "requests_per_simpy_event": lambda: one_node.run(3000),
        "two_node_requests_per_simpy_event": lambda: two_nodes.run(3000),
        "lookups_per_simpy_event": lambda: two_nodes.lookups(2000),
    }
    for mode in OTHER_MODES:
        cases[f"packet_hops_per_simpy_event_{mode}"] = partial(echo, 5000, 64, mode=mode)
        cases[f"new_flow_hops_per_simpy_event_{mode}"] = partial(echo, 3000, 3000, mode=mode)
    figures: dict[str, float] = {}
    anchors: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in cases}
    bare_simpy(20_000)
    for number in range(options.rounds):
        for name, case in cases.items():
            before = bare_simpy()
            operations, seconds = case()
            after = bare_simpy()
            anchor = (before[0] + after[0]) / (before[1] + after[1])
            anchors.append(anchor)
            ratios[name].append(operations / seconds / anchor)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    for name, found in ratios.items():
        figures[name] = round(statistics.median(found), 5)
    figures["simulated_over_wall_failover"] = round(failover_speed(options.rounds), 1)
    figures["new_flow_cost_10000_over_10_services"] = round(new_flow_cost(3), 3)
    for mode in OTHER_MODES:
        figures[f"new_flow_cost_10000_over_10_services_{mode}"] = round(new_flow_cost(3, mode), 3)
    for mode in DATAPLANES:
        command = [sys.executable, str(HERE / "scale.py"), mode]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        figures |= {f"{name}_{mode}": value for name, value in json.loads(run.stdout).items()}
    sweep = subprocess.run(
        [sys.executable, str(HERE / "sweep.py")], check=True, capture_output=True, text=True
    )
    figures |= json.loads(sweep.stdout)
    figures["bare_simpy_events_per_s"] = round(statistics.median(anchors))
    text = json.dumps(figures, indent=2)
    options.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
