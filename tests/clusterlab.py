"""The world outside the control plane, without packets: sandboxes, applications, probes and rules that do as told.

Used by the tests in tests/cluster and tests/conformance that need whole components.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from netsim.cluster.controlplane import ControlPlane, Outside
from netsim.cluster.objects import (
    ApiObject,
    Container,
    ContainerPort,
    Deployment,
    DeploymentSpec,
    LabelSelector,
    ObjectMeta,
    Pod,
    PodSpec,
    PodTemplateSpec,
    Probe,
    Service,
    ServicePort,
    ServiceSpec,
    Taint,
)
from netsim.cluster.records import ClusterEvent
from netsim.cluster.runtime import NodeConfig
from netsim.cluster.timing import Timing
from netsim.dataplane.base import Prepared, SyncReport
from netsim.engine import MS, Engine, S

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"


@dataclass(eq=False)
class FakeHost:
    """A sandbox."""

    name: str
    node: str
    address: str
    hostname: str = ""
    env: dict[str, str] = field(default_factory=dict)
    resolv_conf: Any = None
    removed: bool = False


class FakeApp:
    """A process. `mode` "ok" answers probes, "hang" says nothing, "refuse" has closed its port, "error" answers 500."""

    def __init__(self, pod: Pod, container: Container, host: FakeHost, engine: Engine) -> None:
        self.pod, self.container, self.host = pod, container, host
        self.engine = engine
        self.exited: Callable[[int, int], None] = lambda code, now: None
        self.running = False
        self.mode = "ok"
        self.log: list[tuple[str, int]] = []
        self.term_takes_ns: int | None = 0  # None: SIGTERM is ignored

    def start(self, now: int) -> None:
        self.running = True
        self.log.append(("start", now))

    def terminate(self, now: int) -> None:
        self.log.append(("term", now))
        if self.term_takes_ns is not None:
            self.engine.call_later(self.term_takes_ns, self.exit, 0)

    def kill(self, now: int) -> None:
        self.log.append(("kill", now))
        self.exit(137)

    def exit(self, code: int) -> None:
        if self.running:
            self.running = False
            self.log.append(("exit", self.engine.now))
            self.exited(code, self.engine.now)


class FakeRuntime:
    """All sandboxes and processes that there ever were."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.hosts: list[FakeHost] = []
        self.apps: list[FakeApp] = []
        self.prepare: Callable[[FakeApp], None] = lambda app: None

    def create_sandbox(self, node_name: str, pod: Pod, ip: str, *more: str) -> FakeHost:
        host = FakeHost("/".join(pod.key), node_name, ip)
        self.hosts.append(host)
        return host

    def remove_sandbox(self, host: FakeHost) -> None:
        assert not host.removed
        host.removed = True

    def object_gone(self, host: FakeHost) -> None:
        """No network that would care."""

    def app_factory(self, pod: Pod, container: Container, host: FakeHost) -> FakeApp:
        app = FakeApp(pod, container, host, self.engine)
        self.prepare(app)
        self.apps.append(app)
        return app

    def at(self, address: str) -> FakeApp | None:
        """The process that listens at an address."""
        running = [app for app in self.apps if app.host.address == address and app.running]
        return running[-1] if running and not running[-1].host.removed else None


class FakeProber:
    """Answers by the state of the application; a round trip takes 0.1 ms."""

    def __init__(self, engine: Engine, runtime: FakeRuntime) -> None:
        self.engine = engine
        self.runtime = runtime
        self.asked: list[tuple[str, str, int, int]] = []

    def _answer(self, app: FakeApp | None, timeout_ns: int, done: Callable[[bool, str], None]) -> None:
        mode = app.mode if app is not None else "refuse"
        delay_ns = timeout_ns if mode == "hang" else MS // 10
        self.engine.call_later(delay_ns, done, mode == "ok", mode)

    def http_get(
        self,
        node_name: str,
        address: str,
        port: int,
        path: str,
        timeout_ns: int,
        done: Callable[[bool, str], None],
    ) -> None:
        self.asked.append((node_name, address, port, self.engine.now))
        self._answer(self.runtime.at(address), timeout_ns, done)

    def tcp_connect(
        self, node_name: str, address: str, port: int, timeout_ns: int, done: Callable[[bool, str], None]
    ) -> None:
        self.http_get(node_name, address, port, "", timeout_ns, done)

    def exec_command(
        self, app: Any, command: tuple[str, ...], timeout_ns: int, done: Callable[[bool, str], None]
    ) -> None:
        self._answer(app if app.running else None, timeout_ns, done)


class FakeSockets:
    """Takes every port, and hears nothing."""

    def listen(self, *_args: Any, **_more: Any) -> None:
        pass

    def close_all(self, *_args: Any) -> None:
        pass


class FakeNamespace:
    """A node's namespace without netfilter."""

    conntrack = None
    sockets = FakeSockets()


class FakeDataplane:
    """Writes no rules; a sync takes `cost_ns`."""

    name = "fake"

    def __init__(self, cost_ns: int = 20 * MS) -> None:
        self.cost_ns = cost_ns
        self.commits: list[Any] = []

    def prepare(self, ns: Any, old: Any, new: Any) -> Prepared:
        report = SyncReport(old is None, 0, 0, 0, 0, 0, 0, self.cost_ns, lambda: "")
        return Prepared(report, lambda: self.commits.append(new))

    def sync(self, ns: Any, old: Any, new: Any) -> SyncReport:
        prepared = self.prepare(ns, old, new)
        prepared.commit()
        return prepared.report


class Recorded:
    """All cluster events of a run."""

    def __init__(self, engine: Engine) -> None:
        self.events: list[ClusterEvent] = []
        engine.bus.subscribe(ClusterEvent, self.events.append)

    def of(self, reason: str, since_ns: int = 0, **detail: str) -> list[ClusterEvent]:
        """Events with this reason and these details, from a moment on."""
        return [
            event
            for event in self.events
            if event.reason == reason
            and event.at_ns >= since_ns
            and all(event.detail.get(key) == value for key, value in detail.items())
        ]


@dataclass
class World:
    """A cluster on fakes."""

    engine: Engine
    plane: ControlPlane
    runtime: FakeRuntime
    prober: FakeProber
    recorded: Recorded

    @property
    def api(self) -> Any:
        return self.plane.api

    def boot(self, objects: Iterable[ApiObject] = (), limit_ns: int = 60 * S) -> None:
        """Apply, start, and run until settled."""
        self.plane.apply(objects)
        self.plane.start()
        self.settle(limit_ns)

    def settle(self, limit_ns: int = 60 * S) -> None:
        """Run until settled."""
        end = self.engine.now + limit_ns
        while not self.plane.settled():
            assert self.engine.now < end, self.plane.unsettled()
            self.engine.run(self.engine.now + 100 * MS)

    def run(self, duration_ns: int) -> None:
        """Let time pass."""
        self.engine.run(self.engine.now + duration_ns)

    def pods(self, **labels: str) -> list[Pod]:
        """Pods with these labels, as the API server has them."""
        found: list[Pod] = self.api.list(Pod, "default", labels)
        return found

    def app_of(self, pod: Pod) -> FakeApp:
        """The present process of a pod."""
        return [app for app in self.runtime.apps if app.pod.metadata.uid == pod.metadata.uid][-1]


def node_configs(workers: int, labels: dict[str, str] | None = None) -> list[NodeConfig]:
    """A tainted control plane and some workers."""
    taint = Taint(key=CONTROL_PLANE_LABEL, effect="NoSchedule")
    made = [
        NodeConfig("control-plane", "172.18.0.2", "10.244.0.0/24", {CONTROL_PLANE_LABEL: ""}, (taint,)),
    ]
    for number in range(1, workers + 1):
        high, low = divmod(number, 250)
        address = f"172.18.{high}.{low + 3}"
        cidr = f"10.{244 + number // 256}.{number % 256}.0/24"
        made.append(NodeConfig(f"worker-{number}", address, cidr, labels or {}))
    return made


def make_world(
    workers: int = 3,
    seed: int = 1,
    timing: Timing | None = None,
    nodes: Sequence[NodeConfig] | None = None,
    cost_ns: int = 20 * MS,
) -> World:
    """A cluster on fakes, not started yet."""
    engine = Engine(seed)
    recorded = Recorded(engine)
    runtime = FakeRuntime(engine)
    prober = FakeProber(engine, runtime)
    configs = list(nodes or node_configs(workers))
    namespaces: Any = {config.name: FakeNamespace() for config in configs}
    outside = Outside(runtime, prober, lambda pod: None, namespaces, lambda node: FakeDataplane(cost_ns))
    plane = ControlPlane(engine, timing or Timing.for_version(), configs, outside)
    return World(engine, plane, runtime, prober, recorded)


def container(probe: Probe | None = None, **fields: Any) -> Container:
    """A web server's container."""
    return Container(
        name="web", image="nginx", ports=(ContainerPort(containerPort=80),), readinessProbe=probe, **fields
    )


def deployment(
    name: str = "web",
    replicas: int = 3,
    probe: Probe | None = None,
    pod: dict[str, Any] | None = None,
    **fields: Any,
) -> Deployment:
    """A Deployment of web servers, labelled `run: NAME`."""
    labels = {"run": name}
    spec = PodSpec(containers=(container(probe),)) if pod is None else PodSpec(**pod)
    return Deployment(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(matchLabels=labels),
            template=PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=spec),
            **fields,
        ),
    )


def service(name: str = "web", **fields: Any) -> Service:
    """The Service before a Deployment of the same name."""
    spec = ServiceSpec(selector={"run": name}, ports=(ServicePort(port=80),), **fields)
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)
