"""What runs in the containers: the runtime behind every kubelet, and the choice of an application for an image.

====================================  ========================================================================
container                             application
====================================  ========================================================================
image .../coredns, .../k8s-dns-*      CoreDNS, kube-dns (`netsim.workload.dns_app`)
image .../ingress-nginx/controller    an ingress controller (`netsim.workload.ingress`)
image nginx, or any with TCP ports    an HTTP server on the container's ports (nginx: 80 if it names none)
any with UDP ports only               a server that sends back every datagram
any with SCTP ports only              a server that sends every message back (`sctp.SctpEcho`)
annotated netsim/app: echo            a server that sends back what it gets, on all its TCP and UDP ports
anything else (busybox, curl...)      a process that waits, so that commands and clients can run in the pod
====================================  ========================================================================

Servers can be tuned per pod by annotations (`netsim/service-time: 2ms`, `netsim/start-up-delay: 5s`,
`netsim/shutdown: fast`) or by the experiment's `servers:`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from netsim.cluster.hostports import HostPort, host_ports
from netsim.cluster.objects import Container, Pod
from netsim.cni import portmap
from netsim.engine import MS, parse_duration
from netsim.fabric.app import App, Exited
from netsim.fabric.host import Host, HostNetworkPod, PodHost
from netsim.wire.addr import Prefix, ip
from netsim.workload.dns_app import DnsApps
from netsim.workload.echo import EchoServer, EchoSpec
from netsim.workload.http_server import HttpServer, ServerSpec, Shutdown
from netsim.workload.ingress.controllers import IngressControllers, is_controller
from netsim.workload.sctp import SctpEcho

if TYPE_CHECKING:
    from netsim.engine import Engine
    from netsim.fabric.fabric import Fabric

SERVICE_TIME = "netsim/service-time"
APP = "netsim/app"
START_UP_DELAY = "netsim/start-up-delay"
SHUTDOWN = "netsim/shutdown"
# A static page from nginx takes well under a millisecond; a small web application about one. Ours to choose, and to
# override.
DEFAULT_SERVICE_NS = 1 * MS

_KILLED = 137  # 128 + SIGKILL
_TERMINATED = 143  # 128 + SIGTERM


def _nobody(_code: int, _now: int) -> None:
    """Nobody waits for the end."""


class WaitingApp:
    """`sleep infinity`: holds the pod open. SIGTERM ends it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.exited: Exited = _nobody
        self.running = False

    def start(self, now: int) -> None:
        """Begin to wait."""
        self.running = True

    def terminate(self, now: int) -> None:
        """SIGTERM."""
        self._end(_TERMINATED, now)

    def kill(self, now: int) -> None:
        """SIGKILL."""
        self._end(_KILLED, now)

    def _end(self, code: int, now: int) -> None:
        if self.running:
            self.running = False
            self.host.ns.sockets.close_all(self, now)
            self.exited(code, now)


class LateApp:
    """An application that takes a while to start up: its process runs, but listens only after a delay."""

    def __init__(self, app: App, delay_ns: int, engine: "Engine") -> None:
        self.app = app
        self._delay_ns = delay_ns
        self._engine = engine
        self._begun = False
        self._hung = False
        self._due = False
        self._over = False

    @property
    def exited(self) -> Exited:
        """As the application's own."""
        return self.app.exited

    @exited.setter
    def exited(self, value: Exited) -> None:
        self.app.exited = value

    def start(self, now: int) -> None:
        """Begin later."""
        self._engine.call_later(self._delay_ns, self._begin)

    def _begin(self) -> None:
        self._due = True
        if not self._over and not self._hung:
            self._begun = True
            self.app.start(self._engine.now)

    def hang(self, now: int) -> None:
        """SIGSTOP: an application that has not begun does not begin."""
        self._hung = True
        self._tell_app("hang", now)

    def resume(self, now: int) -> None:
        """SIGCONT."""
        self._hung = False
        self._tell_app("resume", now)
        if self._due and not self._begun:
            self._begin()

    def _tell_app(self, what: str, now: int) -> None:
        action = getattr(self.app, what, None) if self._begun else None
        if action is not None:
            action(now)

    def terminate(self, now: int) -> None:
        """SIGTERM."""
        self._stop(self.app.terminate, _TERMINATED, now)

    def kill(self, now: int) -> None:
        """SIGKILL."""
        self._stop(self.app.kill, _KILLED, now)

    def _stop(self, stop: Callable[[int], None], code: int, now: int) -> None:
        if self._begun:
            stop(now)
        elif not self._over:
            self._over = True
            self.app.exited(code, now)


@dataclass(frozen=True, slots=True)
class ServerRule:
    """An experiment's setting for the servers of some pods; later rules win."""

    selects: Callable[[Pod], bool]
    spec: Callable[[ServerSpec], ServerSpec]


@dataclass(slots=True)
class Containers:
    """The container runtime of all nodes (`netsim.cluster.runtime.PodRuntime`)."""

    engine: "Engine"
    fabric: "Fabric"
    dns_app: Callable[[Pod, Container, Host], App]
    ingress: IngressControllers = field(default_factory=IngressControllers)
    rules: list[ServerRule] = field(default_factory=list)
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)
    hosts: dict[str, PodHost] = field(default_factory=dict)
    by_address: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    by_socket: dict[tuple[bytes, int], tuple[str, str]] = field(default_factory=dict)  # with hostNetwork

    def create_sandbox(self, node: str, pod: Pod, address: str, *more: str) -> Host:
        """A sandbox whose name is `namespace/name` of the pod; with hostNetwork a place on the node."""
        name = "/".join(pod.key)
        if name in self.hosts:  # the sandbox of a pod of the same name is still being torn down
            self.remove_sandbox(self.hosts[name])
        if pod.spec.hostNetwork:
            host: PodHost = self.fabric.add_host_network_pod(node, name)
            for port in host_ports(pod):
                self.by_socket[host.address, port.container_port] = (name, node)
        else:
            host = self.fabric.add_pod(node, name, ip(address), tuple(map(ip, more)), pod.spec.sysctls)
            self.by_address |= dict.fromkeys(host.addresses, (name, node))
            self._map_ports(host, host_ports(pod))
        self.hosts[name] = host
        self.apps[name] = {}
        return host

    def _map_ports(self, host: PodHost, ports: Sequence[HostPort]) -> None:
        """The portmap plug-in comes after the network's own."""
        if not ports:
            return
        cidr = host.node.pod_cidr
        on_link = cidr if self.fabric.cni.pods_on_link else Prefix.host(host.address)
        pod = portmap.PodNetwork(self.fabric.cni.name, host.name, host.address, on_link)
        mappings = [
            portmap.PortMapping(p.host_port, p.container_port, p.protocol.lower(), ip(p.host_ip))
            for p in ports
        ]
        portmap.add(host.node.ns, pod, mappings, self.engine.now)

    def owner(self, address: bytes, port: int) -> tuple[str, str]:
        """Pod and node behind an address and port, the latest that had it; empty texts if it was no pod's."""
        found = self.by_socket.get((address, port)) if self.by_socket else None
        return found or self.by_address.get(address, ("", ""))

    def remove_sandbox(self, host: Host) -> None:
        """Gone."""
        assert isinstance(host, PodHost)
        if self.hosts.get(host.name) is host:
            if not isinstance(host, HostNetworkPod):
                portmap.remove(host.node.ns, self.fabric.cni.name, host.name)
            del self.hosts[host.name]
            self.apps.pop(host.name, None)
        self.fabric.remove_pod(host)

    def app_factory(self, pod: Pod, container: Container, host: Host) -> App:
        """See the table above."""
        app = self._app(pod, container, host)
        self.apps.setdefault(host.name, {})[container.name] = app
        delay = pod.metadata.annotations.get(START_UP_DELAY)
        return LateApp(app, parse_duration(delay), self.engine) if delay else app

    def _app(self, pod: Pod, container: Container, host: Host) -> App:
        image = container.image.rsplit("/", 1)[-1].split(":", 1)[0].split("@", 1)[0]
        if image in DnsApps.IMAGES:
            return self.dns_app(pod, container, host)
        if is_controller(container.image):
            return self.ingress.app_for(pod, container, host)
        ports = tuple(port.containerPort for port in container.ports if port.protocol == "TCP")
        if image.startswith("nginx"):
            ports = ports or (80,)
        udp = tuple(port.containerPort for port in container.ports if port.protocol == "UDP")
        if (udp and not ports) or pod.metadata.annotations.get(APP) == "echo":
            spec = self.server_spec(pod, image, ports)
            return EchoServer(host, EchoSpec(ports, udp, spec.service_ns))
        if ports:
            return HttpServer(host, self.server_spec(pod, image, ports))
        sctp = tuple(port.containerPort for port in container.ports if port.protocol == "SCTP")
        return SctpEcho(host, sctp) if sctp else WaitingApp(host)

    def server_spec(self, pod: Pod, image: str, ports: tuple[int, ...]) -> ServerSpec:
        """How a pod's server behaves: defaults, then annotations, then the experiment's rules."""
        spec = ServerSpec(ports=ports, image=image, pod=pod.metadata.name, service_ns=DEFAULT_SERVICE_NS)
        annotated = pod.metadata.annotations.get(SERVICE_TIME)
        if annotated:
            spec = replace(spec, service_ns=parse_duration(annotated))
        shutdown = pod.metadata.annotations.get(SHUTDOWN)
        if shutdown:
            spec = replace(spec, shutdown=cast("Shutdown", shutdown))
        for rule in self.rules:
            if rule.selects(pod):
                spec = rule.spec(spec)
        return spec

    # ------------------------------------------------------------------ for faults (`faults.Processes`)
    def hang(self, namespace: str, pod: str) -> None:
        """All processes of a pod stop working."""
        self._each(namespace, pod, "hang")

    def resume(self, namespace: str, pod: str) -> None:
        """They work again."""
        self._each(namespace, pod, "resume")

    def disconnect_node(self, node: str) -> None:
        """Applications on a node that watch the API server hear nothing more."""
        for app in self._watching(node):
            app.disconnect()

    def reconnect_node(self, node: str) -> None:
        """They do again."""
        for app in self._watching(node):
            app.reconnect(self.engine.now)

    def _watching(self, node: str) -> Iterator[Any]:
        for name, host in self.hosts.items():
            if host.node.name == node:
                yield from (app for app in self.apps[name].values() if hasattr(app, "disconnect"))

    def _each(self, namespace: str, pod: str, what: str) -> None:
        apps: Mapping[str, Any] = self.apps.get(f"{namespace}/{pod}", {})
        for app in apps.values():
            action = getattr(app, what, None)
            if action is not None:
                action(self.engine.now)
