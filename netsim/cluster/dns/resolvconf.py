"""A pod's /etc/resolv.conf, as the kubelet makes it from dnsPolicy, dnsConfig and the node's own file.

Called by the kubelet (`pod_resolv_conf`) and by resolvers in applications (`ResolvConf`).
Source: kubernetes pkg/kubelet/network/dns/dns.go (264659ed), pkg/apis/core/validation (DNS), containerd for the order
of the lines in the file.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from netsim.cluster.objects import Pod, PodDNSConfig

# pkg/apis/core/validation/validation.go, Kubernetes 1.26 and newer (before: 6 paths, 256 characters).
MAX_NAMESERVERS: Final = 3
MAX_SEARCH_PATHS: Final = 32
MAX_SEARCH_CHARS: Final = 2048
MAX_PATH_CHARS: Final = 253
CLUSTER_OPTIONS: Final = ("ndots:5",)  # dns.go defaultDNSOptions

_SUBDOMAIN: Final = re.compile(r"[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*")


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The contents of a resolv.conf(5): addresses as text, the search list, options such as `ndots:5`."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def option(self, name: str) -> str | None:
        """The value of an option, "" for one without a value, None for a missing one."""
        found = None
        for option in self.options:
            key, _, value = option.partition(":")
            found = value if key == name else found
        return found

    def render(self) -> str:
        """The file."""
        lines = [f"search {' '.join(self.searches)}"] if self.searches else []
        lines += [f"nameserver {address}" for address in self.nameservers]
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(f"{line}\n" for line in lines)


class DnsEvent(NamedTuple):
    """A Warning event about the pod."""

    reason: str
    message: str


Report = Callable[[DnsEvent], None]


class SearchLimits(NamedTuple):
    """How long a search list may be."""

    paths: int = MAX_SEARCH_PATHS
    chars: int = MAX_SEARCH_CHARS
    path_chars: int = MAX_PATH_CHARS


CURRENT_LIMITS: Final = SearchLimits()
LEGACY_LIMITS: Final = SearchLimits(6, 256, 255)  # before ExpandedDNSConfig, which is beta and on since 1.26
EXPANDED_SINCE: Final = 26


def parse_resolv_conf(text: str, *, legacy: bool = False) -> ResolvConf:
    """The kubelet's reading of the node's file. Raises ValueError for a nameserver line without an address.

    `legacy`: kubelets before "." was dropped from search lists and option lines were merged (commit 04791b49).
    """
    nameservers: list[str] = []
    searches: list[str] = []
    options: tuple[str, ...] = ()
    for line in text.split("\n"):
        key, *values = line.split() or ("#",)
        if key == "nameserver":
            if not values:
                raise ValueError("nameserver list is empty")
            nameservers.append(values[0])
        elif key == "search":  # the last line wins
            searches = [value.removesuffix(".") for value in values if legacy or value != "."]
        elif key == "options":
            options = tuple(values) if legacy else merge_options(options, values)
    return ResolvConf(tuple(nameservers), tuple(searches), options)


def merge_options(options: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Options with others over them: the later value of a name counts, in the place of the first."""
    merged = {option.partition(":")[0]: option for option in options}
    merged.update({option.partition(":")[0]: option for option in more})
    return tuple(merged.values())


def policy_type(policy: str, *, host_network: bool) -> str:
    """Where a pod's settings come from: `cluster`, `host` or `none`. Raises ValueError for an unknown policy."""
    if policy == "None":
        return "none"
    if policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not host_network):
        return "cluster"
    if policy in ("ClusterFirst", "Default"):
        return "host"
    raise ValueError(f"invalid DNSPolicy={policy}")


def pod_resolv_conf(
    pod: Pod,
    cluster_dns: Sequence[str],
    domain: str,
    node_conf: ResolvConf | None,
    node_ips: Iterable[str] = (),
    report: Report | None = None,
    limits: SearchLimits = CURRENT_LIMITS,
) -> ResolvConf:
    """The resolv.conf of a pod. `node_conf` None is a kubelet with `--resolv-conf=""`; `report` gets its events."""
    report = report or _ignore
    conf = node_conf or ResolvConf()
    kind = policy_type(pod.spec.dnsPolicy, host_network=pod.spec.hostNetwork)
    if kind == "cluster" and not cluster_dns:
        report(DnsEvent("MissingClusterDNS", _MISSING_CLUSTER_DNS))
        kind = "host"
    if kind == "none":
        conf = ResolvConf()
    elif kind == "cluster":
        conf = ResolvConf(
            tuple(cluster_dns),
            cluster_searches(pod.metadata.namespace, domain, conf.searches),
            CLUSTER_OPTIONS,
        )
    elif node_conf is None:
        conf = replace(conf, nameservers=_loopbacks(node_ips), searches=(".",))
    if pod.spec.dnsConfig is not None:
        conf = _with_dns_config(conf, pod.spec.dnsConfig)
    return replace(
        conf,
        nameservers=fit_nameservers(conf.nameservers, report),
        searches=fit_searches(conf.searches, report, limits),
    )


_MISSING_CLUSTER_DNS: Final = (
    'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. '
    'Falling back to "Default" policy.'
)


def _ignore(event: DnsEvent) -> None:
    """Nobody wants the kubelet's events."""


def _loopbacks(node_ips: Iterable[str]) -> tuple[str, ...]:
    """Without a file, the resolver asks its own node, over the families that the node has."""
    return tuple("::1" if ":" in address else "127.0.0.1" for address in node_ips) or ("127.0.0.1",)


def cluster_searches(namespace: str, domain: str, node_searches: Iterable[str]) -> tuple[str, ...]:
    """`<ns>.svc.<domain> svc.<domain> <domain>`, then the node's, without repetitions."""
    ours = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain) if domain else ()
    return tuple(dict.fromkeys((*ours, *node_searches)))


def _with_dns_config(conf: ResolvConf, config: PodDNSConfig) -> ResolvConf:
    options = (f"{o.name}:{o.value}" if o.value else o.name for o in config.options)
    return ResolvConf(
        tuple(dict.fromkeys((*conf.nameservers, *config.nameservers))),
        tuple(dict.fromkeys((*conf.searches, *config.searches))),
        merge_options(conf.options, options),
    )


def fit_nameservers(nameservers: Sequence[str], report: Report) -> tuple[str, ...]:
    """At most three; the rest is left out with an event."""
    kept = tuple(nameservers[:MAX_NAMESERVERS])
    if len(kept) < len(nameservers):
        report(DnsEvent("DNSConfigForming", _omitted("Nameserver limits", "nameservers", "nameserver", kept)))
    return kept


def fit_searches(
    searches: Sequence[str], report: Report, limits: SearchLimits = CURRENT_LIMITS
) -> tuple[str, ...]:
    """No more paths and characters than the limits; the rest is left out with an event."""
    kept = [path for path in searches[: limits.paths] if len(path) <= limits.path_chars]
    while len(" ".join(kept)) > limits.chars:
        kept.pop()
    if len(kept) < len(searches):
        report(DnsEvent("DNSConfigForming", _omitted("Search Line limits", "search paths", "search", kept)))
    return tuple(kept)


def _omitted(limits: str, what: str, line: str, kept: Iterable[str]) -> str:
    applied = f"the applied {line} line is: {' '.join(kept)}"
    return f"{limits} were exceeded, some {what} have been omitted, {applied}"


def validate_pod_dns(policy: str, config: PodDNSConfig | None) -> list[str]:
    """What the API server finds wrong with dnsPolicy and dnsConfig (validatePodDNSConfig); [] when valid."""
    if policy == "None" and config is None:
        return ["must provide `dnsConfig` when `dnsPolicy` is None"]
    if config is None:
        return []
    errors = []
    if policy == "None" and not config.nameservers:
        errors.append("must provide at least one DNS nameserver when `dnsPolicy` is None")
    if len(config.nameservers) > MAX_NAMESERVERS:
        errors.append(f"must not have more than {MAX_NAMESERVERS} nameservers")
    errors += ["must be a valid IP address" for address in config.nameservers if not _is_ip(address)]
    if len(config.searches) > MAX_SEARCH_PATHS:
        errors.append(f"must not have more than {MAX_SEARCH_PATHS} search paths")
    if len(" ".join(config.searches)) > MAX_SEARCH_CHARS:
        errors.append(
            f"must not have more than {MAX_SEARCH_CHARS} characters (including spaces) in the search list"
        )
    errors += [
        _BAD_PATH for path in config.searches if path != "." and not _is_subdomain(path.removesuffix("."))
    ]
    errors += ["must not be empty" for option in config.options if not option.name]
    return errors


_BAD_PATH: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
)


def _is_subdomain(path: str) -> bool:
    return len(path) <= MAX_PATH_CHARS and bool(_SUBDOMAIN.fullmatch(path))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
