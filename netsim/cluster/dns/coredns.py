"""CoreDNS as the application in its pod: Corefile, watches, port 53, health and readiness.

Made by whoever plays the containers, for images called coredns: `coredns_apps(api, timing)(pod, container, host)`.
A Corefile that CoreDNS would refuse ends the process with exit code 1, which the kubelet turns into CrashLoopBackOff.

Life: start -> read the Corefile -> list from the API (one request away) -> answer on port 53 -> SIGTERM -> not ready,
but answering for `lameduck` -> exit. Source: CoreDNS plugin/kubernetes/kubernetes.go (InitKubeCache), plugin/health,
plugin/ready. Simplified: the reload plugin does nothing: a changed ConfigMap counts at the next start.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.dns.build import Configuration, Surroundings, build
from netsim.cluster.dns.corefile import CorefileError, Problem
from netsim.cluster.dns.exchange import HostExchanger
from netsim.cluster.dns.forward import KEPT_NS
from netsim.cluster.dns.health import StatusServer
from netsim.cluster.dns.manifests import COREFILE_KEY, MOUNT_PATH
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.server import DnsServer
from netsim.cluster.dns.world import World
from netsim.cluster.objects import (
    ApiObject,
    ConfigMap,
    Container,
    EndpointSlice,
    Namespace,
    Pod,
    PodSpec,
    Service,
)
from netsim.cluster.timing import Timing
from netsim.cluster.watch import Watch, WatchEvent
from netsim.engine import MS
from netsim.fabric.host import Host
from netsim.kernel.sockets import InUseError
from netsim.wire.addr import ip_text
from netsim.wire.dns_codec import DnsCodec

EXIT_CONFIG: Final = 1
_REFUSES_AFTER_NS: Final = 10 * MS  # model: a process that reads its configuration and gives up

_OK: Final = (200, b"OK")


class CoreDnsApp(DnsServer):
    """One CoreDNS process. `corefile` None: there is no such file."""

    def __init__(
        self,
        host: Host,
        api: ApiServer,
        timing: Timing,
        corefile: str | None,
        *,
        codec: DnsCodec | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(host, {}, codec or DnsCodec())
        self.world = World()
        self.problem = ""
        self._api = api
        self._timing = timing
        self._corefile = corefile
        self._files = files or {}
        self._exchanger = HostExchanger(host, self, self.rng, KEPT_NS)
        self._configuration = Configuration()
        self._watches: list[Watch] = []
        self._leaving = False

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """Read the Corefile; list from the API; then listen."""
        self.running = True
        try:
            self._configuration = self._read()
        except CorefileError as error:
            self.problem = str(error)
            self.host.engine.call_later(_REFUSES_AFTER_NS, self._refuse)
            return
        try:
            self._serve_status(self._configuration.health_port, "/health", lambda: _OK)
            self._serve_status(
                self._configuration.ready_port, self._configuration.ready_path, self._ready_page
            )
        except InUseError:
            self.exit(1, now)
            return
        if self._configuration.needs_api:
            delay_ns = self._timing.api.watch.sample(self.rng)
            self.host.engine.call_later(delay_ns, self._listed)
        else:
            self.world.become_synced()
            self.listen(self._configuration.ports)

    def _read(self) -> Configuration:
        if self._corefile is None:
            raise CorefileError([Problem(0, "there is no such file")])
        conf = self.host.resolv_conf if isinstance(self.host.resolv_conf, ResolvConf) else ResolvConf()
        return build(self._corefile, Surroundings(
            self.world, self.codec, self.rng, self._exchanger, (ip_text(self.host.address),), conf, self._files,
        ))  # fmt: skip

    def _refuse(self) -> None:
        self.exit(EXIT_CONFIG, self.host.now)

    def _listed(self) -> None:
        """The first lists have come, so the plugin is synced and the server may start."""
        if not self.running:
            return
        kinds: list[type[ApiObject] | str] = [Namespace, Service, EndpointSlice, "ServiceImport"]
        if self._configuration.needs_pods:
            kinds.append(Pod)
        for kind in kinds:
            watcher = f"coredns/{self.host.name}/{kind if isinstance(kind, str) else kind.__name__}"
            self._watches.append(self._api.watch(kind, self._seen, watcher))
        self.world.changed = self.forget
        self.world.become_synced()
        self.listen(self._configuration.ports)

    def _seen(self, event: WatchEvent[Any]) -> None:
        if not self.host.alive:  # its node lost power, and nobody was left to end the process
            self._stop_watching()
        elif event.type == "DELETED":
            self.world.remove(event.object, self.host.now)
        else:
            self.world.put(event.object, self.host.now)

    def terminate(self, now: int) -> None:
        """SIGTERM: go on for `lameduck`, no longer ready, and end."""
        if self.running and not self._leaving:
            self._leaving = True
            self.host.engine.call_later(self._configuration.lameduck_ns, self._leave)

    def _leave(self) -> None:
        self.exit(0, self.host.now)

    def exit(self, code: int, now: int) -> None:
        """The process ends."""
        self._exchanger.stopped = True
        self._stop_watching()
        super().exit(code, now)

    def _stop_watching(self) -> None:
        for watch in self._watches:
            watch.stop()
        self._watches = []

    # -- the way to the API server ---------------------------------------------------------------------------------

    def disconnect(self) -> None:
        """The node is cut off from the API server: the answers grow old."""
        for watch in self._watches:
            watch.disconnect()

    def reconnect(self, now: int) -> None:
        """The way is open again."""
        for watch in self._watches:
            watch.reconnect(now)

    # -- pages -----------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """What the ready plugin says: synced, and not on its way out."""
        return self.world.synced and not self._leaving

    def _ready_page(self) -> tuple[int, bytes]:
        return _OK if self.ready else (503, b"" if self._leaving else b"kubernetes")

    def _serve_status(self, port: int, path: str, page: Callable[[], tuple[int, bytes]]) -> None:
        if port:
            StatusServer(self.host, port, {path: page}, lambda: self.hanging, owner=self)


def coredns_apps(
    api: ApiServer, timing: Timing, codec: DnsCodec | None = None
) -> Callable[[Pod, Container, Host], CoreDnsApp]:
    """Makes the process of a coredns container; all of them share one codec (a memory only)."""
    shared = codec or DnsCodec()

    def make(pod: Pod, container: Container, host: Host) -> CoreDnsApp:
        namespace = pod.metadata.namespace
        files = mounted_files(pod.spec, container, lambda name: api.get(ConfigMap, namespace, name))
        return CoreDnsApp(host, api, timing, files.get(corefile_path(container)), codec=shared, files=files)

    return make


def mounted_files(
    pod: PodSpec, container: Container, config_map: Callable[[str], ConfigMap | None]
) -> dict[str, str]:
    """The files that a container sees in volumes made from ConfigMaps, by path. `items` may rename keys."""
    volumes = {volume["name"]: volume.get("configMap") for volume in pod.volumes or ()}
    files: dict[str, str] = {}
    for mount in container.volumeMounts or ():
        source = volumes.get(mount["name"])
        stored = config_map(source["name"]) if source else None
        if source is None or stored is None:
            continue
        names = {item["key"]: item["path"] for item in source.get("items") or ()}
        for key, text in stored.data.items():
            if not names or key in names:
                files[f"{mount['mountPath'].rstrip('/')}/{names.get(key, key)}"] = text
    return files


def corefile_path(container: Container) -> str:
    """What the arguments name after -conf; CoreDNS's default is a Corefile in its working directory."""
    args = list(container.args or ())
    return str(args[args.index("-conf") + 1]) if "-conf" in args[:-1] else f"{MOUNT_PATH}/{COREFILE_KEY}"
