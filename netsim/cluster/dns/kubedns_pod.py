"""The three processes in a pod of kube-dns: kubedns, dnsmasq and sidecar.

Made by whoever plays the containers, for images called k8s-dns-kube-dns, k8s-dns-dnsmasq-nanny and k8s-dns-sidecar:
`kubedns_apps(api, timing, domain)[image](pod, container, host)`.

::

    port 53  dnsmasq   cache; by suffix: cluster domain and reverse zones -> kubedns, stub domains -> their servers,
                       everything else -> upstreamNameservers, or the node's
    10053    kubedns   watches the API, answers for the cluster domain (`kubedns`), asks upstream for the rest
    10054    sidecar   asks the other two every 5 s; /healthcheck/kubedns, /healthcheck/dnsmasq for the kubelet's probes

The ConfigMap `kube-dns` is read when a process starts. Sources: kubernetes/dns 9aa70b8f cmd/kube-dns,
cmd/dnsmasq-nanny, cmd/sidecar, pkg/sidecar/dnsprobe.go; dnsmasq(8).
Simplified: a changed ConfigMap counts at the next start (the nanny restarts dnsmasq within some seconds); dnsmasq asks
the servers of a domain in order; records of one reply get one TTL in its cache.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.dns.build import Configuration
from netsim.cluster.dns.cache import Cache, CacheOptions, Limits
from netsim.cluster.dns.chain import Handler, ServerBlocks, normal_zone
from netsim.cluster.dns.coredns import CoreDnsApp, mounted_files
from netsim.cluster.dns.exchange import HostExchanger
from netsim.cluster.dns.forward import Forward, ForwardOptions
from netsim.cluster.dns.health import StatusServer
from netsim.cluster.dns.kubedns import KubeDns
from netsim.cluster.dns.kubedns_config import (
    dnsmasq_arguments,
    name_server,
    upstream_servers,
    validate_config,
)
from netsim.cluster.dns.manifests_kubedns import KUBEDNS_PORT, READY_PORT, SIDECAR_PORT
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.server import DnsServer
from netsim.cluster.objects import ConfigMap, Container, Pod
from netsim.cluster.timing import Timing
from netsim.engine import S
from netsim.fabric.app import App
from netsim.fabric.host import Host
from netsim.wire.addr import ip
from netsim.wire.dns import DNS_PORT, NOERROR, SRV, A
from netsim.wire.dns_codec import DnsCodec

_MOST_FORWARDED: Final = 150  # dnsmasq(8) --dns-forward-max
_DEFAULT_CACHE: Final = 150  # dnsmasq(8) --cache-size
_FOREVER_S: Final = 1 << 31
_PROBE_TYPES: Final = {"A": A, "SRV": SRV}

_OK: Final = (200, b"ok")


def kubedns_apps(
    api: ApiServer, timing: Timing, domain: str
) -> Mapping[str, Callable[[Pod, Container, Host], App]]:
    """What makes the processes, by the last part of the image's name."""
    codec = DnsCodec()

    def config(pod: Pod, container: Container) -> dict[str, Any]:
        namespace = pod.metadata.namespace
        files = mounted_files(pod.spec, container, lambda name: api.get(ConfigMap, namespace, name))
        return read_config(files)

    def kubedns(pod: Pod, container: Container, host: Host) -> App:
        return KubeDnsApp(host, api, timing, domain, config(pod, container), codec)

    def dnsmasq(pod: Pod, container: Container, host: Host) -> App:
        return dnsmasq_app(host, list(container.args or ()), config(pod, container), codec)

    def sidecar(_pod: Pod, container: Container, host: Host) -> App:
        return SidecarApp(host, list(container.args or ()), codec)

    return {"k8s-dns-kube-dns": kubedns, "k8s-dns-dnsmasq-nanny": dnsmasq, "k8s-dns-sidecar": sidecar}


def read_config(files: Mapping[str, str]) -> dict[str, Any]:
    """stubDomains and upstreamNameservers of the mounted ConfigMap; a bad one counts as empty, as upstream."""
    config: dict[str, Any] = {}
    try:
        for path, text in files.items():
            key = path.rsplit("/", 1)[-1]
            if key in ("stubDomains", "upstreamNameservers"):
                config[key] = json.loads(text)
    except ValueError:
        return {}
    return {} if validate_config(config) else config


def _node_servers(host: Host) -> tuple[str, ...]:
    return host.resolv_conf.nameservers if isinstance(host.resolv_conf, ResolvConf) else ()


class KubeDnsApp(CoreDnsApp):
    """The container kubedns: lives and watches as CoreDNS does, with another handler behind port 10053."""

    def __init__(
        self,
        host: Host,
        api: ApiServer,
        timing: Timing,
        domain: str,
        config: Mapping[str, Any],
        codec: DnsCodec,
    ) -> None:
        super().__init__(host, api, timing, None, codec=codec)
        self._domain = domain
        self._config = config

    def _read(self) -> Configuration:
        texts = upstream_servers(self._config, _node_servers(self.host))
        servers = tuple((ip(found[0]), found[1]) for found in map(name_server, texts) if found)
        upstream = _forward(self.codec, self.rng, self._exchanger, servers)
        handler = KubeDns(self._domain, self.world, upstream)
        return Configuration(
            {KUBEDNS_PORT: ServerBlocks({".": handler})},
            ready_port=READY_PORT,
            ready_path="/readiness",
            needs_api=True,
        )


def _forward(
    codec: DnsCodec,
    rng: Random,
    exchanger: HostExchanger,
    servers: tuple[tuple[bytes, int], ...],
    zone: str = ".",
) -> Forward:
    from netsim.cluster.dns.chain import EndOfChain

    options = ForwardOptions(servers, zone, policy="sequential", max_concurrent=_MOST_FORWARDED)
    return Forward(options, exchanger, codec, rng, EndOfChain())


# -- dnsmasq -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dnsmasq:
    """What dnsmasq's arguments mean: servers by domain (`.`: all others)."""

    servers: Mapping[str, tuple[tuple[bytes, int], ...]]
    cache_size: int = _DEFAULT_CACHE
    negative: bool = True


def read_arguments(arguments: list[str], node_servers: tuple[str, ...]) -> Dnsmasq:
    """dnsmasq's own arguments (those after the nanny's `--`)."""
    own = arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments
    words = [word for argument in own for word in argument.split("=", 1)]
    servers: dict[str, tuple[tuple[bytes, int], ...]] = {}
    for option, value in zip(words, [*words[1:], ""], strict=True):
        if option == "--server":
            zone, server = _server(value)
            servers[zone] = (*servers.get(zone, ()), server)
    if "--no-resolv" not in words:
        servers["."] = (*servers.get(".", ()), *((ip(text), DNS_PORT) for text in node_servers))
    size = words[words.index("--cache-size") + 1] if "--cache-size" in words[:-1] else str(_DEFAULT_CACHE)
    return Dnsmasq(servers, int(size), "--no-negcache" not in words)


def _server(text: str) -> tuple[str, tuple[bytes, int]]:
    """`/acme.local/1.2.3.4#5353` -> the domain, the server."""
    _, domain, address = text.split("/") if text.startswith("/") else ("", ".", text)
    host, _, port = address.partition("#")
    return normal_zone(domain), (ip(host.strip("[]")), int(port or DNS_PORT))


def dnsmasq_app(host: Host, arguments: list[str], config: Mapping[str, Any], codec: DnsCodec) -> DnsServer:
    """The container dnsmasq."""
    handlers: dict[int, Handler] = {}
    app = DnsServer(host, handlers, codec)
    exchanger = HostExchanger(host, app, app.rng)
    read = read_arguments(dnsmasq_arguments(arguments, config, lambda name: name), _node_servers(host))
    chains: dict[str, Handler] = {
        zone: _forward(codec, app.rng, exchanger, servers, zone) for zone, servers in read.servers.items()
    }
    never = () if read.negative else (".",)
    limits = Limits(_FOREVER_S, 0, max(read.cache_size, 1))
    options = CacheOptions((".",), limits, limits, 0, () if read.cache_size else (".",), never, False)
    handlers[DNS_PORT] = Cache(options, ServerBlocks(chains))
    return app


# -- sidecar -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Probe:
    """`--probe=LABEL,SERVER:PORT,NAME,SECONDS,TYPE`, and what it found last."""

    label: str
    server: bytes
    port: int
    name: str
    interval_ns: int
    type: int
    well: bool = False

    @classmethod
    def parse(cls, text: str) -> "_Probe":
        label, server, name, seconds, *kind = text.split(",")
        address, _, port = server.rpartition(":")
        return cls(
            label, ip(address), int(port), f"{name}.", int(seconds) * S, _PROBE_TYPES[(kind or ["A"])[0]]
        )


class SidecarApp(DnsServer):
    """The container sidecar: serves no names, but a process like the others."""

    def __init__(self, host: Host, arguments: list[str], codec: DnsCodec) -> None:
        super().__init__(host, {}, codec)
        given = [
            argument.removeprefix("--probe=") for argument in arguments if argument.startswith("--probe=")
        ]
        self._probes = [_Probe.parse(text) for text in given]
        self._exchanger = HostExchanger(host, self, self.rng)

    def start(self, now: int) -> None:
        """Serve the pages, begin to ask."""
        super().start(now)
        pages = {f"/healthcheck/{probe.label}": self._page_of(probe) for probe in self._probes}
        pages["/metrics"] = lambda: _OK
        StatusServer(self.host, SIDECAR_PORT, pages, lambda: self.hanging, owner=self)
        for probe in self._probes:
            self._ask(probe)

    def _page_of(self, probe: _Probe) -> Callable[[], tuple[int, bytes]]:
        return lambda: _OK if probe.well else (503, b"")

    def _ask(self, probe: _Probe) -> None:
        def done(payload: bytes | None, _now: int) -> None:
            answer = self.codec.answer(payload) if payload is not None else None
            probe.well = answer is not None and answer.rcode == NOERROR and answer.count > 0

        tail = self.codec.query(probe.name, probe.type)
        self._exchanger.exchange(probe.server, probe.port, tail, probe.interval_ns, done)
        self._exchanger.call_later(probe.interval_ns, lambda: self._ask(probe))

    def exit(self, code: int, now: int) -> None:
        """The process ends."""
        self._exchanger.stopped = True
        super().exit(code, now)
