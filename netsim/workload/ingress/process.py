"""The controller process: it watches the API, keeps nginx up to date, writes the status of its Ingresses, and ends.

Made by `controllers.py` for containers whose image is ingress-nginx/controller.

Theory of operation. Whatever a watch brings marks the configuration as dirty; a sync makes a new one, at most
0.3 times per second (--sync-rate-limit). If only endpoints differ they are handed to the workers, each of which takes
them over at its next tick (once per second); otherwise nginx is reloaded. So a dead endpoint can stay in use for more
than four seconds after it left the EndpointSlice, and retries are what hides it.

Sources: ingress-nginx pkg/flags/flags.go, internal/ingress/controller/nginx.go (syncRateLimiter, Start, Stop,
OnUpdate), rootfs/etc/nginx/lua/balancer.lua (BACKENDS_SYNC_INTERVAL 1 s), internal/ingress/status/status.go
(UpdateInterval 60 s). Simplified: the leader, who writes the status, is the oldest process; no Lease is kept.
"""

from typing import TYPE_CHECKING, Final

from netsim.cluster.client import ApiClient
from netsim.cluster.dns.health import StatusServer
from netsim.cluster.errors import ApiError
from netsim.cluster.ingress.configuration import Configuration, Key, Options
from netsim.cluster.ingress.status import addresses, outdated
from netsim.cluster.ingress.store import IngressStore
from netsim.cluster.objects import Ingress, evolve
from netsim.cluster.records import Recorder
from netsim.engine import MS, S
from netsim.kernel.sockets import InUseError
from netsim.wire.packet import endpoint_text
from netsim.workload.ingress.proxy import Nginx, Worker

if TYPE_CHECKING:
    from netsim.fabric.app import Exited
    from netsim.fabric.host import Host
    from netsim.workload.ingress.controllers import IngressControllers

HTTP_PORT: Final = 80
HEALTH_PORT: Final = 10254  # --healthz-port
SYNC_GAP_NS: Final = round(S / 0.3)  # --sync-rate-limit 0.3, burst 1
TICK_NS: Final = 1 * S  # BACKENDS_SYNC_INTERVAL
# Model: writing nginx.conf, testing it and starting new workers take some hundred milliseconds.
RELOAD_NS: Final = 300 * MS
STATUS_GAP_NS: Final = 60 * S  # UpdateInterval

_KILLED: Final = 137  # 128 + SIGKILL


def _nobody(_code: int, _now: int) -> None:
    """Nobody waits for the end."""


class IngressNginx:
    """One controller process (`netsim.fabric.app.App`)."""

    def __init__(self, host: "Host", pod: Key, options: Options, controllers: "IngressControllers") -> None:
        self.host = host
        self.pod = pod
        self.options = options
        self.exited: Exited = _nobody
        self.nginx: Nginx | None = None
        self.running = False
        self.hung = False
        self._group = controllers
        self._random = host.engine.stream(f"ingress-nginx/{host.name}")
        self._record = Recorder(host.engine, "ingress-nginx")
        self._client = ApiClient(host.engine, controllers.api, controllers.timing, f"ingress/{host.name}")
        self._store: IngressStore | None = None
        self._dirty = False
        self._syncing = False  # a sync is planned, or a reload is under way
        self._next_sync_ns = 0
        self._phases: list[int] = []
        self._in_flight = 0  # endpoints on their way to workers
        self._terminated = False

    # ------------------------------------------------------------------ life
    def start(self, now: int) -> None:
        """List from the API, then run nginx."""
        self.running = True
        delay_ns = self._group.timing.api.watch.sample(self._random)
        self.host.engine.call_later(delay_ns, self._listed)

    def _listed(self) -> None:
        if not self.running:
            return
        now = self.host.now
        self._store = IngressStore(self._group.api, self.options, f"ingress/{self.host.name}", self._seen)
        self.nginx = Nginx(
            self.host,
            self,
            self._random,
            self._store.configuration(),
            self._drained,
        )
        self._dirty = False
        self._next_sync_ns = now + SYNC_GAP_NS
        self._begun()
        try:
            self.nginx.listen(HTTP_PORT)
            StatusServer(self.host, HEALTH_PORT, {"/healthz": self._health}, lambda: self.hung, owner=self)
        except InUseError:
            self._end(1, now)
            return
        self.host.engine.call_later(0, self._status)

    def terminate(self, now: int) -> None:
        """SIGTERM: not healthy any more; nginx quits, and the process with it."""
        self._terminated = True
        if self.hung or not self.running:
            return
        if self.nginx is None:
            self._end(0, now)
        else:
            self.nginx.quit(now)

    def kill(self, now: int) -> None:
        """SIGKILL: the kernel closes the sockets."""
        self._end(_KILLED, now)

    def hang(self, now: int) -> None:
        """SIGSTOP for all processes of the container."""
        if self.running and not self.hung:
            self.hung = True
            if self.nginx is not None:
                self.nginx.hang()

    def resume(self, now: int) -> None:
        """SIGCONT."""
        if not self.running or not self.hung:
            return
        self.hung = False
        if self.nginx is not None:
            self.nginx.resume(now)
        if self._dirty:
            self._plan()
        if self._terminated:
            self.terminate(now)

    def disconnect(self) -> None:
        """The node is cut off from the API server: what is known grows old."""
        if self._store is not None:
            self._store.disconnect()

    def reconnect(self, now: int) -> None:
        """The way is open again."""
        if self._store is not None:
            self._store.reconnect(now)

    def _drained(self, now: int) -> None:
        self._end(0, now)

    def _end(self, code: int, now: int) -> None:
        if not self.running:
            return
        self.running = False
        self._group.forget(self)
        if self._store is not None:
            self._store.stop()
        if self.nginx is not None:
            self.nginx.stop()
        self.host.ns.sockets.close_all(self, now)
        self.exited(code, now)

    def _gone(self) -> bool:
        """Whether the process is no more; a node that lost power tells nobody."""
        if self.running and not self.host.alive:
            self.running = False
            self._group.forget(self)
            if self._store is not None:
                self._store.stop()
        return not self.running

    def _health(self) -> tuple[int, bytes]:
        return (500, b"the ingress controller is shutting down") if self._terminated else (200, b"ok")

    # ------------------------------------------------------------------ sync
    @property
    def settled(self) -> bool:
        """Whether every worker knows all that there is to know."""
        quiet = not (self._dirty or self._syncing or self._in_flight)
        return quiet and self._store is not None and self._store.current

    def _seen(self) -> None:
        """A watch has brought something."""
        self._dirty = True
        if self.nginx is not None and not self.hung:
            self._plan()

    def _plan(self) -> None:
        if not self._syncing:
            self._syncing = True
            now = self.host.now
            self.host.engine.call_later(max(self._next_sync_ns - now, 0), self._sync)

    def _sync(self) -> None:
        self._syncing = False
        if self._gone() or self.hung or self._store is None or self.nginx is None:
            return
        self._dirty = False
        now = self.host.now
        self._next_sync_ns = now + SYNC_GAP_NS
        new, old = self._store.configuration(), self.nginx.configuration
        if new.needs_reload(old):
            self._syncing = True
            self.host.engine.call_later(RELOAD_NS, self._reload, new)
        elif new.upstreams != old.upstreams:
            self.nginx.configuration = new
            for worker, phase in zip(self.nginx.workers, self._phases, strict=True):
                wait_ns = (phase - now) % TICK_NS
                self._in_flight += 1
                self.host.engine.call_later(wait_ns, self._tick, worker, new)

    def _tick(self, worker: Worker, configuration: Configuration) -> None:
        """A worker takes over new endpoints (sync_backends)."""
        self._in_flight -= 1
        worker.balancers.sync(configuration.upstreams)
        self._tell(worker)

    def _reload(self, configuration: Configuration) -> None:
        self._syncing = False
        if self._gone() or self.nginx is None:
            return
        self.nginx.reload(configuration, self.host.now)
        self._begun()
        if self._dirty and not self.hung:
            self._plan()

    def _begun(self) -> None:
        """There are new workers: when they will tick is by chance."""
        workers = self.nginx.workers if self.nginx is not None else []
        self._phases = [self._random.randrange(TICK_NS) for _ in workers]
        for worker in workers:
            self._tell(worker)

    def _tell(self, worker: Worker) -> None:
        """For the measurement: which endpoints of which Service the worker uses from now on."""
        if not self._record.wanted or self.nginx is None:
            return
        configuration = self.nginx.configuration
        for service, upstreams in configuration.upstreams_of_services().items():
            peers = {peer: None for name in upstreams for peer in configuration.upstreams[name]}
            ready = ",".join(endpoint_text(*peer) for peer in peers)
            namespace, name = self.pod
            self._record.event(
                "BackendsSynced", "Pod", namespace, name, worker.name, service=service, ready=ready
            )

    # ------------------------------------------------------------------ status
    def _status(self) -> None:
        """The leader writes the addresses into the Ingresses, at once and then every minute."""
        if self._gone():
            return
        if not self.hung and self._group.leader is self:
            self.write_status()
        self.host.engine.call_later(STATUS_GAP_NS, self._status)

    def write_status(self) -> None:
        """Let every Ingress of this controller show where it can be reached."""
        api = self._group.api
        wanted = addresses(api, self.options, self.pod)
        for ingress in outdated(api, self.options, wanted):
            self._client.submit(lambda key=ingress.key: _patch(self._group, key, wanted))  # type: ignore[misc]


def _patch(group: "IngressControllers", key: Key, wanted: object) -> None:
    try:
        group.api.patch(Ingress, *key, lambda item: evolve(item, status__loadBalancer__ingress=wanted))
    except ApiError:  # deleted meanwhile
        return
