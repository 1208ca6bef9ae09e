"""From a Corefile to a chain of plugins for each port and zone.

Called by `coredns` (the pod). The order of the plugins in a chain is CoreDNS's (plugin.cfg), not that of the Corefile.
A plugin or option that would change answers and is not modelled is an error; one that cannot be seen in packets
(errors, log, prometheus, reload...) is accepted without effect.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from random import Random
from typing import Final

from netsim.cluster.dns.autopath import AutoPath
from netsim.cluster.dns.cache import Cache
from netsim.cluster.dns.chain import EndOfChain, Handler, Lookup, ServerBlocks, normal_zone
from netsim.cluster.dns.corefile import CorefileError, Directive, Problem, ServerBlock, parse_corefile
from netsim.cluster.dns.exchange import Exchanger
from netsim.cluster.dns.finder import Finder, KubernetesOptions
from netsim.cluster.dns.forward import Forward
from netsim.cluster.dns.hosts import Hosts
from netsim.cluster.dns.k8s_external import External
from netsim.cluster.dns.kubernetes import Kubernetes
from netsim.cluster.dns.loadbalance import LoadBalance
from netsim.cluster.dns.options import (
    OptionError,
    autopath_zones,
    bind_addresses,
    cache_options,
    external_options,
    file_options,
    forward_options,
    hosts_options,
    kubernetes_options,
    lameduck_ns,
    listen_port,
    only_round_robin,
)
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.rewrite import Rewrite
from netsim.cluster.dns.rewrite_options import rewrite_rule
from netsim.cluster.dns.template import Template, template_options
from netsim.cluster.dns.world import World
from netsim.cluster.dns.zonefile import ZoneFile, parse_zone
from netsim.wire.addr import Address
from netsim.wire.dns import DNS_PORT
from netsim.wire.dns_codec import DnsCodec

NO_EFFECT: Final = frozenset((
    "root", "metadata", "cancel", "timeouts", "multisocket", "reload", "nsid", "debug", "trace", "pprof",
    "prometheus", "errors", "log", "dnstap", "loop", "transfer", "any", "chaos", "minimal",
))  # fmt: skip
HEALTH_PORT: Final = 8080  # CoreDNS plugin/health/README.md
READY_PORT: Final = 8181  # CoreDNS plugin/ready/README.md


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the plugins need of the world around them. `files` are the mounted ones by path."""

    world: World
    codec: DnsCodec
    rng: Random
    exchanger: Exchanger
    local_addresses: tuple[str, ...] = ()
    resolv_conf: ResolvConf = field(default_factory=ResolvConf)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Configuration:
    """A CoreDNS ready to start: handlers and addresses by port, and what health and ready say (port 0: none)."""

    ports: dict[int, ServerBlocks] = field(default_factory=dict)
    binds: dict[int, tuple[Address, ...]] = field(default_factory=dict)
    lameduck_ns: int = 0
    health_port: int = 0
    ready_port: int = 0
    ready_path: str = "/ready"
    needs_api: bool = False
    needs_pods: bool = False


def build(text: str, around: Surroundings) -> Configuration:
    """The configuration that a Corefile describes. Raises CorefileError with every problem that it has."""
    made = Configuration()
    problems: list[Problem] = []
    for block in parse_corefile(text):
        for port, zones in _places(block, problems).items():
            _bind(block, port, made, problems)
            blocks = made.ports.setdefault(port, ServerBlocks({}))
            handler = _chain(block, _Place(around, tuple(zones), blocks.serve, made), problems)
            for zone in zones:
                if zone in blocks.chains:
                    problems.append(Problem(block.line, f"zone {zone} is defined twice on port {port}"))
                blocks.chains[zone] = handler
    if problems:
        raise CorefileError(problems)
    return made


def _bind(block: ServerBlock, port: int, made: Configuration, problems: list[Problem]) -> None:
    """`bind ADDRESS...`. Simplified: blocks of one port share their addresses."""
    for directive in block.directives:
        if directive.name == "bind":
            try:
                addresses = bind_addresses(directive)
            except OptionError as error:
                problems.append(Problem(error.line or directive.line, f"bind: {error}"))
            else:
                made.binds[port] = tuple(dict.fromkeys((*made.binds.get(port, ()), *addresses)))


def _places(block: ServerBlock, problems: list[Problem]) -> dict[int, list[str]]:
    places: dict[int, list[str]] = {}
    for key in block.keys:
        try:
            port, zone = _server_key(key)
        except OptionError as error:
            problems.append(Problem(block.line, str(error)))
        else:
            places.setdefault(port, []).append(zone)
    return places


def _server_key(key: str) -> tuple[int, str]:
    """Port and zone of a server block's key: `dns://example.org:53`, `.:53`, `example.org`."""
    bare = key.removeprefix("dns://")
    zone, colon, port = bare.rpartition(":") if bare.count(":") == 1 else (bare, "", "")
    if "://" in bare or "/" in bare:
        raise OptionError(f"{key!r}: only plain DNS zones are modelled (no tls://, https://, CIDR)")
    if colon and not port.isdigit():
        raise OptionError(f"{key!r} has no port number after the colon")
    return int(port) if colon else DNS_PORT, normal_zone(zone or ".")


@dataclass(slots=True)
class _Place:
    """Where a chain is made: its surroundings, its zones, how to ask the whole server; what is shared in the chain."""

    around: Surroundings
    zones: tuple[str, ...]
    lookup: Lookup
    made: Configuration
    _finder: Finder | None = None

    @property
    def finder(self) -> Finder:
        """The data of the block's kubernetes plugin."""
        if self._finder is None:
            options = KubernetesOptions(self.zones)
            self._finder = Finder(self.around.world, options, self.around.local_addresses)
        return self._finder

    def use_kubernetes(self, options: KubernetesOptions) -> Finder:
        """The block has a kubernetes plugin."""
        self._finder = Finder(self.around.world, options, self.around.local_addresses)
        self.made.needs_api = True
        self.made.needs_pods |= options.pods == "verified"
        return self._finder


def _chain(block: ServerBlock, place: _Place, problems: list[Problem]) -> Handler:
    handler: Handler = EndOfChain()
    # From the inside out; the first of several equal plugins (forward) comes first.
    for name, make in reversed(tuple(_MAKERS.items())):
        for directive in [d for d in block.directives if d.name == name][::-1]:
            try:
                handler = make(directive, place, handler)
            except OptionError as error:
                problems.append(Problem(error.line or directive.line, f"{name}: {error}"))
    for directive in block.directives:
        try:
            _apply_setting(directive, place.made)
        except OptionError as error:
            problems.append(Problem(error.line or directive.line, f"{directive.name}: {error}"))
    return handler


def _apply_setting(directive: Directive, made: Configuration) -> None:
    if directive.name == "health":
        made.health_port = listen_port(directive, HEALTH_PORT)
        made.lameduck_ns = lameduck_ns(directive)
    elif directive.name == "ready":
        made.ready_port = listen_port(directive, READY_PORT)
    elif directive.name not in _MAKERS and directive.name not in NO_EFFECT and directive.name != "bind":
        known = get_close_matches(directive.name, (*_MAKERS, *NO_EFFECT, "bind", "health", "ready"), 1)
        hint = f" (did you mean {known[0]}?)" if known else ""
        raise OptionError(f"this plugin is unknown or not modelled{hint}")


def _loadbalance(directive: Directive, place: _Place, after: Handler) -> Handler:
    only_round_robin(directive)
    return LoadBalance(after)


def _cache(directive: Directive, place: _Place, after: Handler) -> Handler:
    return Cache(cache_options(directive, place.zones), after)


def _rewrite(directive: Directive, place: _Place, after: Handler) -> Handler:
    rule = rewrite_rule(directive)
    # All lines are one plugin; they are met from the last to the first.
    return (
        Rewrite((rule, *after.rules), after.next) if isinstance(after, Rewrite) else Rewrite((rule,), after)
    )


def _template(directive: Directive, place: _Place, after: Handler) -> Handler:
    return Template(template_options(directive, place.zones), after)


def _autopath(directive: Directive, place: _Place, after: Handler) -> Handler:
    search = tuple(map(normal_zone, place.around.resolv_conf.searches))
    return AutoPath(autopath_zones(directive, place.zones), place.finder, search, after)


def _hosts(directive: Directive, place: _Place, after: Handler) -> Handler:
    return Hosts(hosts_options(directive, place.zones, place.around.files), after)


def _external(directive: Directive, place: _Place, after: Handler) -> Handler:
    return External(external_options(directive, place.zones), place.finder, place.lookup, after)


def _kubernetes(directive: Directive, place: _Place, after: Handler) -> Handler:
    finder = place.use_kubernetes(kubernetes_options(directive, place.zones))
    return Kubernetes(finder, place.lookup, after)


def _file(directive: Directive, place: _Place, after: Handler) -> Handler:
    path, zones, fallthrough = file_options(directive, place.zones)
    if path not in place.around.files:
        raise OptionError(f"no such file: {path} (mounted: {_listed(place.around.files)})")
    for zone in zones:
        try:
            records = parse_zone(place.around.files[path], zone)
        except ValueError as error:
            raise OptionError(str(error)) from error
        after = ZoneFile(zone, records, after, place.lookup, fallthrough)
    return after


def _forward(directive: Directive, place: _Place, after: Handler) -> Handler:
    options = forward_options(directive, place.around.resolv_conf.nameservers)
    return Forward(options, place.around.exchanger, place.around.codec, place.around.rng, after)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


# In the order of CoreDNS's plugin.cfg, outermost first. kubernetes is made before k8s_external and autopath, whose
# finder is its.
_MAKERS: Final[Mapping[str, Callable[[Directive, _Place, Handler], Handler]]] = {
    "loadbalance": _loadbalance,
    "cache": _cache,
    "rewrite": _rewrite,
    "autopath": _autopath,
    "template": _template,
    "hosts": _hosts,
    "k8s_external": _external,
    "kubernetes": _kubernetes,
    "file": _file,
    "forward": _forward,
}
