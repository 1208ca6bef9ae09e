"""What the lines of a Corefile mean: one function per plugin, from its directive to its options.

Called by `build`. Source: the README of each plugin in coredns/coredns. An option that changes answers and is not
modelled is an error; options about watching, metrics, TLS and memory are accepted without effect.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from netsim.cluster.dns.cache import CacheOptions, Limits
from netsim.cluster.dns.chain import normal_zone
from netsim.cluster.dns.corefile import Directive
from netsim.cluster.dns.finder import KubernetesOptions
from netsim.cluster.dns.forward import ForwardOptions
from netsim.cluster.dns.hosts import HostsOptions, parse_hosts
from netsim.cluster.dns.k8s_external import ExternalOptions
from netsim.engine import S, parse_duration
from netsim.wire.addr import Address, ip
from netsim.wire.dns import DNS_PORT

_LARGEST_TTL: Final = 3600  # kubernetes and k8s_external accept 0 to 3600 s
RESOLV_CONF: Final = "/etc/resolv.conf"


class OptionError(ValueError):
    """A directive that CoreDNS would refuse, or that is not modelled; `line` 0 means the directive's own."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def zones_of_args(args: Iterable[str], otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """The zones of a list of arguments, or others when it is empty."""
    return tuple(map(normal_zone, args)) or otherwise


def _number(option: Directive, at: int, low: int, high: int) -> int:
    text = option.args[at] if at < len(option.args) else ""
    if not text.isdigit() or not low <= int(text) <= high:
        raise OptionError(f"{option.name} needs a number from {low} to {high}, not {text!r}", option.line)
    return int(text)


def _one(option: Directive) -> str:
    if len(option.args) != 1:
        raise OptionError(f"{option.name} takes one value", option.line)
    return option.args[0]


def _refuse(option: Directive, known: Iterable[str]) -> OptionError:
    return OptionError(
        f"option {option.name!r} is unknown or not modelled (known: {', '.join(sorted(known))})", option.line
    )


# -- kubernetes --------------------------------------------------------------------------------------------------------

_PODS: Final = ("disabled", "insecure", "verified")
_KUBERNETES_NO_EFFECT: Final = frozenset((
    "endpoint", "tls", "kubeconfig", "resyncperiod", "startup_timeout", "apiserver_qps", "apiserver_burst",
    "apiserver_max_inflight",
))  # fmt: skip


def kubernetes_options(directive: Directive, zones: tuple[str, ...]) -> KubernetesOptions:
    """`kubernetes [ZONES...] {...}`."""
    options = KubernetesOptions(zones_of_args(directive.args, zones))
    for option in directive.block:
        if option.name not in _KUBERNETES_NO_EFFECT:
            options = _kubernetes_option(options, option)
    return options


def _kubernetes_option(options: KubernetesOptions, option: Directive) -> KubernetesOptions:
    name = option.name
    if name == "pods":
        if _one(option) not in _PODS:
            raise OptionError(f"pods is one of {', '.join(_PODS)}", option.line)
        return replace(options, pods=option.args[0])
    if name == "ttl":
        return replace(options, ttl=_number(option, 0, 0, _LARGEST_TTL))
    if name == "namespaces":
        return replace(options, namespaces=frozenset(option.args))
    if name in ("fallthrough", "multicluster"):
        zones = zones_of_args(option.args, (".",) if name == "fallthrough" else options.zones)
        return (
            replace(options, fallthrough=zones)
            if name == "fallthrough"
            else replace(options, multicluster=zones)
        )
    if name == "ignore":
        if _one(option) not in ("empty_service", "emptyservice"):
            raise OptionError("ignore takes empty_service", option.line)
        return replace(options, ignore_empty_service=True)
    switch = _KUBERNETES_SWITCHES.get(name)
    if switch is not None:
        return switch(options)
    known = ("pods", "ttl", "namespaces", "fallthrough", "multicluster", "ignore", *_KUBERNETES_SWITCHES)
    raise _refuse(option, known)


_KUBERNETES_SWITCHES: Final[Mapping[str, Callable[[KubernetesOptions], KubernetesOptions]]] = {
    "endpoint_pod_names": lambda options: replace(options, endpoint_pod_names=True),
    "ptr_hostname_only": lambda options: replace(options, ptr_hostname_only=True),
    "zonal": lambda options: replace(options, zonal=True),
}


# -- cache -------------------------------------------------------------------------------------------------------------

_CACHE_NO_EFFECT: Final = frozenset(("prefetch",))


def cache_options(directive: Directive, zones: tuple[str, ...]) -> CacheOptions:
    """`cache [TTL] [ZONES...] {success|denial CAPACITY [TTL] [MINTTL], servfail DURATION, disable KIND [ZONES]}`."""
    args = directive.args
    options = CacheOptions()
    if args and args[0].isdigit():
        ttl = _number(directive, 0, 1, 1 << 31)
        options = replace(options, success=Limits(ttl), denial=Limits(ttl))
        args = args[1:]
    options = replace(options, zones=zones_of_args(args, zones))
    for option in directive.block:
        if option.name not in _CACHE_NO_EFFECT:
            options = _cache_option(options, option)
    return options


def _cache_option(options: CacheOptions, option: Directive) -> CacheOptions:
    name = option.name
    if name == "success":
        return replace(options, success=_limits(option, options.success))
    if name == "denial":
        return replace(options, denial=_limits(option, options.denial))
    if name == "servfail":
        return replace(options, servfail_ttl=duration_ns(_one(option), option.line) // S)
    if name == "disable":
        kind, *zones = option.args or ("",)
        excepted = zones_of_args(zones, options.zones)
        if kind == "success":
            return replace(options, no_success=excepted)
        if kind == "denial":
            return replace(options, no_denial=excepted)
        raise OptionError("disable takes success or denial, and zones", option.line)
    raise _refuse(option, ("success", "denial", "servfail", "disable"))


def _limits(option: Directive, limits: Limits) -> Limits:
    values = [_number(option, at, 0, 1 << 31) for at in range(len(option.args))]
    if not 1 <= len(values) <= 3:
        raise OptionError(f"{option.name} takes CAPACITY [TTL] [MINTTL]", option.line)
    defaults = (limits.capacity, limits.max_ttl, limits.min_ttl)
    capacity, ttl, least = (*values, *defaults[len(values) :])
    return Limits(ttl, least, capacity)


# -- forward -----------------------------------------------------------------------------------------------------------

_FORWARD_NO_EFFECT: Final = frozenset(("expire", "max_idle_conns", "health_check", "tls", "tls_servername"))
_POLICIES: Final = ("random", "round_robin", "sequential")


def forward_options(directive: Directive, nameservers: Iterable[str]) -> ForwardOptions:
    """`forward FROM TO... {...}`; /etc/resolv.conf as TO stands for the pod's own name servers."""
    if len(directive.args) < 2:
        raise OptionError("forward takes a zone and at least one server")
    servers: list[tuple[Address, int]] = []
    for to in directive.args[1:]:
        servers += [(ip(text), DNS_PORT) for text in nameservers] if to == RESOLV_CONF else [_server(to)]
    options = ForwardOptions(tuple(servers), normal_zone(directive.args[0]))
    for option in directive.block:
        if option.name not in _FORWARD_NO_EFFECT:
            options = _forward_option(options, option)
    return options


def _server(text: str) -> tuple[Address, int]:
    bare = text.removeprefix("dns://")
    host, port = bare, ""
    if bare.startswith("["):
        host, _, port = bare[1:].partition("]")
        port = port.removeprefix(":")
    elif bare.count(":") == 1:
        host, _, port = bare.partition(":")
    try:
        return ip(host), int(port) if port else DNS_PORT
    except ValueError as error:
        raise OptionError(f"{text!r} is not an address with an optional port") from error


def _forward_option(options: ForwardOptions, option: Directive) -> ForwardOptions:
    name = option.name
    if name == "except":
        return replace(options, excepted=zones_of_args(option.args, ()))
    if name == "policy":
        if _one(option) not in _POLICIES:
            raise OptionError(f"policy is one of {', '.join(_POLICIES)}", option.line)
        return replace(options, policy=option.args[0])
    if name == "max_fails":
        return replace(options, max_fails=_number(option, 0, 0, 1 << 31))
    if name == "max_concurrent":
        return replace(options, max_concurrent=_number(option, 0, 0, 1 << 31))
    if name == "force_tcp":
        return replace(options, force_tcp=True)
    if name == "prefer_udp":
        return replace(options, prefer_udp=True)
    raise _refuse(option, ("except", "policy", "max_fails", "max_concurrent", "force_tcp", "prefer_udp"))


# -- the rest ----------------------------------------------------------------------------------------------------------


def hosts_options(directive: Directive, zones: tuple[str, ...], files: Mapping[str, str]) -> HostsOptions:
    """`hosts [FILE [ZONES...]] {[INLINE], ttl SECONDS, no_reverse, reload DURATION, fallthrough [ZONES...]}`."""
    file, *of = directive.args or ("",)
    lines = files.get(file, "").splitlines()
    options = HostsOptions((), zones_of_args(of, zones))
    for option in directive.block:
        if option.name == "ttl":
            options = replace(options, ttl=_number(option, 0, 1, 65535))
        elif option.name == "no_reverse":
            options = replace(options, reverse=False)
        elif option.name == "fallthrough":
            options = replace(options, fallthrough=zones_of_args(option.args, (".",)))
        elif option.name != "reload":
            lines.append(" ".join((option.name, *option.args)))
    return replace(options, entries=parse_hosts(lines))


def external_options(directive: Directive, zones: tuple[str, ...]) -> ExternalOptions:
    """`k8s_external [ZONES...] {apex NAME, ttl SECONDS, headless, fallthrough [ZONES...]}`."""
    options = ExternalOptions(zones_of_args(directive.args, zones))
    for option in directive.block:
        if option.name == "ttl":
            options = replace(options, ttl=_number(option, 0, 0, _LARGEST_TTL))
        elif option.name == "apex":
            options = replace(options, apex=_one(option).lower())
        elif option.name == "headless":
            options = replace(options, headless=True)
        elif option.name == "fallthrough":
            options = replace(options, fallthrough=zones_of_args(option.args, (".",)))
        else:
            raise _refuse(option, ("apex", "ttl", "headless", "fallthrough"))
    return options


def file_options(
    directive: Directive, zones: tuple[str, ...]
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """`file DBFILE [ZONES...] {reload DURATION, fallthrough [ZONES...]}`: path, zones, fallthrough."""
    if not directive.args:
        raise OptionError("file takes a path")
    fallthrough: tuple[str, ...] = ()
    for option in directive.block:
        if option.name == "fallthrough":
            fallthrough = zones_of_args(option.args, (".",))
        elif option.name != "reload":
            raise _refuse(option, ("reload", "fallthrough"))
    return directive.args[0], zones_of_args(directive.args[1:], zones), fallthrough


def autopath_zones(directive: Directive, zones: tuple[str, ...]) -> tuple[str, ...]:
    """`autopath [ZONES...] @kubernetes`."""
    if not directive.args or directive.args[-1] != "@kubernetes":
        raise OptionError("only `autopath [ZONES...] @kubernetes` is modelled")
    return zones_of_args(directive.args[:-1], zones)


def only_round_robin(directive: Directive) -> None:
    """`loadbalance [round_robin]`; other policies are refused."""
    if directive.args not in ((), ("round_robin",)):
        raise OptionError("only the policy round_robin is modelled")


def listen_port(directive: Directive, otherwise: int) -> int:
    """The port of `health [ADDRESS]` and `ready [ADDRESS]`."""
    if not directive.args:
        return otherwise
    port = directive.args[0].rpartition(":")[2]
    if not port.isdigit():
        raise OptionError(f"{directive.args[0]!r} has no port")
    return int(port)


def bind_addresses(directive: Directive) -> tuple[Address, ...]:
    """`bind ADDRESS...`; interfaces by name are not modelled."""
    if not directive.args:
        raise OptionError("bind takes addresses")
    try:
        return tuple(map(ip, directive.args))
    except ValueError as error:
        raise OptionError(f"only addresses are modelled: {error}") from error


def lameduck_ns(directive: Directive) -> int:
    """`health {lameduck DURATION}`: how long the server goes on after SIGTERM."""
    for option in directive.block:
        if option.name != "lameduck":
            raise _refuse(option, ("lameduck",))
        return duration_ns(_one(option), option.line)
    return 0


def duration_ns(text: str, line: int) -> int:
    """A duration as Go writes it; a bare number is seconds."""
    try:
        return int(text) * S if text.isdigit() else parse_duration(text)
    except ValueError as error:
        raise OptionError(str(error), line) from error
