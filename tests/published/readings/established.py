"""Connections and flows that exist when something goes: V08a (a silent peer), V09 (a lost FIN), V12 (stale UDP)."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from published.runs import EXPERIMENTS, run
from systemlab import Listener, inject, service_ip
from tcplab import DELAY, MS, A, B, Recorder, S, Server, Wire, pair

from netsim.experiment.api import Experiment
from netsim.experiment.cluster import Cluster
from netsim.experiment.loader import load_experiment, load_topology
from netsim.experiment.results import Results
from netsim.wire.addr import ip
from netsim.wire.packet import Packet

# Linux before 6.5.
_OLD = {"tcp_syn_linear_timeouts": 0}


def _wire() -> Wire:
    return Wire(**_OLD)


def _syn_sent() -> tuple[list[float], float]:
    wire = _wire()
    wire.cut()
    client = Recorder()
    wire.a.sockets.connect(B, 80, client, 0)
    wire.run(200 * S)
    return [at / S for at in wire.times()], client.at["ETIMEDOUT"] / S


def _syn_received() -> tuple[list[float], float]:
    """Only SYNs get through, the client gives up listening; the end is when the server forgets."""
    wire = _wire()
    Server(wire.b)
    wire.rule = _only_from(A)
    wire.a.sockets.connect(B, 80, Recorder(), 0)
    wire.run(10 * MS)
    wire.cut()
    answers = len([1 for _, packet in wire.log if packet.flow.src == B])
    assert answers == 1
    begin = next(at for at, packet in wire.log if packet.flow.src == B)
    end = wire.now
    while wire.b.sockets.by_key:
        end += S // 10
        wire.run(end)
    return [(at - begin) / S for at, packet in wire.log if packet.flow.src == B], (end - begin) / S


def _only_from(source: bytes) -> Callable[[Packet, int], list[int]]:
    return lambda packet, _now: [DELAY] if packet.flow.src == source else []


def _unacknowledged() -> tuple[list[float], float]:
    wire = _wire()
    conn, client, _, _ = pair(wire)
    wire.run(wire.now + S)
    wire.log.clear()
    wire.cut()
    begin = wire.now
    conn.send(b"hello world", begin)
    wire.run(begin + 1200 * S)
    return [(at - begin) / S for at in wire.times()][1:], (client.at["ETIMEDOUT"] - begin) / S


def v08a() -> dict[str, float]:
    """When segments are sent again, in seconds from the first, and when the connection is given up."""
    found = {}
    for name, (times, end) in (
        ("SYN_SENT", _syn_sent()),
        ("SYN_RECV", _syn_received()),
    ):
        found |= {f"{name}, retry {number}": at for number, at in enumerate(times) if number}
        found[f"{name}, end"] = end
    times, end = _unacknowledged()
    found["ESTAB, retransmissions by RTO"] = len(times)
    found["ESTAB, end"] = end
    # Counted from the end, since the published trace begins with two probes.
    gaps = [later - earlier for earlier, later in pairwise([*times, end])]
    found |= {f"ESTAB, gap {number}": gap for number, gap in enumerate(gaps, start=1)}
    return found


def _fixed() -> Results:
    """The same with the clean-up that is merged but in no release yet, and so in no file's `kubernetesVersion`."""
    bundle = load_experiment(EXPERIMENTS / "v12.yaml").variant("v1-36")
    spec = bundle.topology.spec.model_copy(update={"kubernetesVersion": "1.37"})
    results = Experiment(replace(bundle, topology=replace(bundle.topology, spec=spec))).run(
        jobs=1, progress=lambda _done, _total: None
    )
    assert isinstance(results, Results)
    return results


def v12() -> dict[str, float]:
    """How many of the datagrams that were sent more than a second after the end went on to the dead address."""
    found = {}
    for name, results in {**run("v12"), "fixed": _fixed()}.items():
        late = results.requests[results.requests["t_ns"] > 6 * S]
        found[name] = float((late["outcome"] == "timeout").mean())
    return found


def _write_after_force(changes: dict[str, str]) -> tuple[str, float]:
    """What a client hears that writes five seconds after its server's pod was deleted by force, and when, in seconds
    from the write (or from the deletion, if that came first)."""
    topology = load_topology(EXPERIMENTS / "cluster-v09.yaml")
    networking = topology.spec.networking.model_copy(update=changes)
    spec = topology.spec.model_copy(update={"networking": networking})
    cluster = Cluster(replace(topology, spec=spec), seed=1)
    cluster.settle()
    client, sockets = Listener(), cluster.host("pod/client").ns.sockets
    conn = sockets.connect(ip(service_ip(cluster, "server")), 80, client, cluster.engine.now)
    cluster.run("10ms")
    conn.send(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n", cluster.engine.now)
    cluster.run("1s")
    begin = cluster.engine.now
    inject(cluster, {"at": "0s", "action": "pod-delete", "selector": {"pod": "server"}, "gracePeriod": "0s"})
    cluster.run("5s")
    if client.told[-1][0] == "connected":
        begin = cluster.engine.now
        conn.send(b"hello world", begin)
        cluster.run("1000s")
    said, at = client.told[-1]
    return said, (at - begin) / S


def v09() -> dict[str, float]:
    """Seconds until the client hears that its connection is over: with Felix, and with a network that lasts as long
    as the sandbox."""
    said, blocked = _write_after_force({})
    assert said == "ETIMEDOUT", said
    said, closed = _write_after_force({"withdrawPods": "sandbox"})
    assert said == "peer closed", said
    return {"Calico": blocked, "other": closed}
