"""Synthetic studies: records as a cluster would emit them, from a model small enough to know the right answers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from netsim.cluster.records import ClusterEvent
from netsim.engine import MS, S
from netsim.measure.books import PacketBooks
from netsim.measure.collect import Recording
from netsim.workload.records import FaultInjected, RequestDone

EPOCH = 100 * S
SERVICE = "default/my-nginx"


@dataclass(frozen=True)
class Study:
    """A Service of three pods; one client per worker node; at `fault_at` the first pod hangs for good.

    The marks follow the fault by the given delays; `sync` has one wait per client node. Until its node's rules are
    synced a client's connection to the dead pod times out after `timeout`.
    """

    seed: int = 1
    replication: int = 1
    rate: int = 100
    duration: int = 60 * S
    fault_at: int = 20 * S
    timeout: int = 1 * S
    detect: int = 5 * S
    nodes: tuple[str, ...] = ("worker-1", "worker-2", "worker-3")
    per_connection: int = 1
    addresses: tuple[str, ...] = ("10.244.1.2", "10.244.2.2", "10.244.3.2")
    weights: tuple[float, ...] = (1, 1, 1)
    faulty: bool = True
    background: float = 0.0
    waits: tuple[int, ...] = field(default=(100 * MS, 400 * MS, 900 * MS))

    def run(self) -> Recording:
        """The recording of one replication."""
        rng = random.Random(f"{self.seed}/{self.replication}")
        detect = self.detect + rng.randrange(0, 1 * S)
        events, synced = self._events(detect)
        requests = self._requests(rng, synced)
        faults = (self._fault(),) if self.faulty else ()
        books = PacketBooks(
            len(requests) * 10, len(requests) * 9, {("worker-1", "eth0", "loss"): len(requests)}
        )
        end = EPOCH + self.duration
        return Recording(
            self.replication, EPOCH, end, tuple(requests), tuple(events), faults, books, {"rules": 42}
        )

    def _pod(self, address: str) -> tuple[str, str]:
        number = self.addresses.index(address)
        return f"default/my-nginx-{number}", f"worker-{number + 1}"

    def _fault(self) -> FaultInjected:
        victim = self.addresses[0]
        pod, _ = self._pod(victim)
        at = EPOCH + self.fault_at
        return FaultInjected(at, "pod-hang-1", "pod-hang", (pod,), (), (), (victim,), (SERVICE,))

    def _events(self, detect: int) -> tuple[list[ClusterEvent], dict[str, int]]:
        def event(at: int, component: str, reason: str, name: str, node: str = "", **detail: str) -> None:
            kind = "EndpointSlice" if "Endpoint" in reason else "Node" if reason == "RulesSynced" else "Pod"
            events.append(ClusterEvent(at, component, reason, kind, "default", name, node, detail))

        events: list[ClusterEvent] = []
        all_ready = ",".join(self.addresses)
        for address in self.addresses:
            pod, node = self._pod(address)
            event(1 * S, "kubelet", "PodStatusWritten", pod.split("/")[1], node, ready="True", pod_ip=address)
        event(2 * S, "endpointslice", "EndpointSliceUpdated", "my-nginx-x", service=SERVICE, added=all_ready)
        for node in self.nodes:
            event(3 * S, "kube-proxy", "EndpointSliceSeen", "my-nginx-x", node, services=SERVICE)
            event(4 * S, "kube-proxy", "RulesSynced", node, node, services=SERVICE, cost_ns=str(20 * MS))
        synced: dict[str, int] = {}
        if not self.faulty:
            return events, synced
        at, victim = EPOCH + self.fault_at, self.addresses[0]
        pod, home = self._pod(victim)
        name = pod.split("/")[1]
        event(at + detect, "kubelet", "PodUnready", name, home, cause="probe", pod_ip=victim)
        event(at + detect + 20 * MS, "kubelet", "PodStatusWritten", name, home, ready="False", pod_ip=victim)
        updated = at + detect + 50 * MS
        ready = ",".join(self.addresses[1:])
        detail = {"service": SERVICE, "removed": victim, "added": "", "ready": ready}
        event(updated, "endpointslice", "EndpointSliceUpdated", "my-nginx-x", **detail)
        for node, wait in zip(self.nodes, self.waits, strict=True):
            event(updated + 5 * MS, "kube-proxy", "EndpointSliceSeen", "my-nginx-x", node, services=SERVICE)
            synced[node] = updated + 5 * MS + wait + 30 * MS
            detail = {"services": SERVICE, "cost_ns": str(30 * MS)}
            event(synced[node], "kube-proxy", "RulesSynced", node, node, **detail)
        return sorted(events, key=lambda e: e.at_ns), synced

    def _requests(self, rng: random.Random, synced: dict[str, int]) -> list[RequestDone]:
        done = []
        count = self.rate * self.duration // S
        chosen, endpoint = 0, ""
        for number in range(1, count + 1):
            at = EPOCH + (number - 1) * S // self.rate + rng.randrange(0, 2 * MS)
            node = self.nodes[((number - 1) // self.per_connection) % len(self.nodes)]
            if (number - 1) % self.per_connection == 0:
                chosen += 1
                endpoint = self._choose(rng, node, at, synced)
            done.append(self._request(rng, number, chosen, node, endpoint, at))
        return sorted((r for r in done if r.ended_ns < EPOCH + self.duration), key=lambda r: r.ended_ns)

    def _choose(self, rng: random.Random, node: str, at: int, synced: dict[str, int]) -> str:
        gone = synced and at >= synced[node]
        start = 1 if gone else 0
        return rng.choices(self.addresses[start:], self.weights[start:])[0]

    def _request(
        self, rng: random.Random, number: int, connection: int, node: str, endpoint: str, at: int
    ) -> RequestDone:
        pod, home = self._pod(endpoint)
        took = round(rng.lognormvariate(0.7, 0.4) * MS)
        dead = self.faulty and endpoint == self.addresses[0] and at + took >= EPOCH + self.fault_at
        lost = rng.random() < self.background
        ok = RequestDone(
            client=f"default/client-{node}", load="shop", request=number, connection=connection, service=SERVICE,
            host="my-nginx", started_ns=at, resolved_ns=at + MS, connected_ns=at + 2 * MS, ended_ns=at + 2 * MS + took,
            outcome="ok", status=200, endpoint=f"{endpoint}:80", pod=pod, node=home, client_node=node,
            reused=(number - 1) % self.per_connection > 0,
        )  # fmt: skip
        if dead or lost:
            end = at + self.timeout
            return replace(ok, outcome="timeout", status=0, connected_ns=0, ended_ns=end, error="timed out")
        return ok


@pytest.fixture(scope="session")
def study() -> Callable[..., Recording]:
    """`study(seed=1, rate=100, ...)` runs one replication."""
    return lambda **settings: Study(**settings).run()


@pytest.fixture(scope="session")
def twenty(study: Callable[..., Recording]) -> tuple[Recording, ...]:
    """Twenty replications of the usual pod hang."""
    return tuple(study(replication=i, rate=40) for i in range(1, 21))
