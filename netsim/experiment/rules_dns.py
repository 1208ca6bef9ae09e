"""What can be wrong about names: the servers' ConfigMaps, pods' DNS settings, name servers outside, loads of look-ups.

Called by: `loader`, `rules_cluster`, `rules_experiment`, `rules_names`. A Corefile that CoreDNS would refuse is an
error here with its line, although a cluster would start and its DNS pods would crash: nobody means that. Pods'
settings are judged as the API server does (pkg/apis/core/validation, validatePodDNSConfig), and what the kubelet cuts
off is noted.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from netsim.cluster.dns.manifests import COREFILE_KEY, NAME, NAMESPACE, SERVICE
from netsim.cluster.dns.resolvconf import (
    CURRENT_LIMITS,
    EXPANDED_SINCE,
    LEGACY_LIMITS,
    MAX_NAMESERVERS,
    validate_pod_dns,
)
from netsim.cluster.objects import ConfigMap, PodSpec
from netsim.experiment.rules_place import Loaded, Path, Place, template_of
from netsim.experiment.spec_cluster import ClusterSpec
from netsim.experiment.spec_experiment import Load

_FOR_REQUESTS: Final = {
    "timeout_ns": "timeout", "keepAlive": "keepAlive", "retries": "retries", "retry_backoff_ns": "retryBackoff",
    "method": "method", "resolve": "resolve",
}  # fmt: skip


# -- the cluster -------------------------------------------------------------------------------------------------------


def check_dns(spec: ClusterSpec, place: Place) -> None:
    """Name servers outside."""
    for index, host in enumerate(spec.external):
        if host.zone and host.resolver:
            message = (
                "a name server has records of its own (zone) or knows the names outside (resolver): keep one"
            )
            place.error(("external", index, "resolver"), message, key=True)


def outside_names(spec: ClusterSpec) -> frozenset[str]:
    """Names that some server outside knows, in lower case without a final dot."""
    lines = (*spec.dns.upstream.names, *(line for host in spec.external for line in host.zone))
    return _owners(lines)


@lru_cache(maxsize=8)
def _owners(lines: tuple[str, ...]) -> frozenset[str]:
    from netsim.cluster.dns.outside import NAMES
    from netsim.cluster.dns.zonefile import parse_lines, parse_zone

    records = (*parse_zone(NAMES, "."), *parse_lines(lines))
    return frozenset(record.name.rstrip(".").lower() for record in records)


# -- objects -----------------------------------------------------------------------------------------------------------


def check_dns_config(loaded: Iterable[Loaded], spec: ClusterSpec) -> None:
    """ConfigMaps of the DNS servers, and the DNS settings of pods."""
    everything = list(loaded)
    maps = {entry.object.key: entry for entry in everything if isinstance(entry.object, ConfigMap)}
    for key, check in (((NAMESPACE, NAME), _check_corefile), ((NAMESPACE, SERVICE), _check_kube_dns)):
        if key in maps:
            check(maps[key], everything)
    unused = SERVICE if spec.dns.provider == "coredns" else NAME
    if (NAMESPACE, unused) in maps:
        place = maps[NAMESPACE, unused].place
        place.problems.note(f"ConfigMap/{unused} is not read: dns.provider is {spec.dns.provider}")
    for entry in everything:
        template = template_of(entry, 1)
        if template is not None and template.spec is not None:
            _check_pod(template.spec, spec, entry.place, (*template.path, "spec"))


def _check_corefile(entry: Loaded, everything: Sequence[Loaded]) -> None:
    from netsim.cluster.dns.corefile import CorefileError
    from netsim.cluster.dns.dry_run import check_corefile

    assert isinstance(entry.object, ConfigMap)
    text = entry.object.data.get(COREFILE_KEY)
    if text is None:
        entry.place.error(("data",), f'the ConfigMap needs the key "{COREFILE_KEY}"', key=True)
        return
    try:
        check_corefile(text, _mounted(entry.object, everything))
    except CorefileError as error:
        for problem in error.problems:
            entry.place.error(("data", COREFILE_KEY), f"Corefile:{problem.line}: {problem.message}")


def _mounted(config: ConfigMap, everything: Sequence[Loaded]) -> dict[str, str]:
    """The files that the topology's own CoreDNS pods see; the cluster's have nothing but the Corefile."""
    from netsim.cluster.dns.coredns import mounted_files

    maps = {
        entry.object.metadata.name: entry.object
        for entry in everything
        if isinstance(entry.object, ConfigMap)
    }
    files: dict[str, str] = {}
    for entry in everything:
        template = template_of(entry, 1)
        if (
            template is not None
            and template.spec is not None
            and template.namespace == config.metadata.namespace
        ):
            for container in template.spec.containers:
                files |= mounted_files(template.spec, container, maps.get)
    return files


def _check_kube_dns(entry: Loaded, _everything: Sequence[Loaded]) -> None:
    from netsim.cluster.dns.kubedns_config import validate_config

    assert isinstance(entry.object, ConfigMap)
    config: dict[str, Any] = {}
    for key, kind in (("stubDomains", dict), ("upstreamNameservers", list)):
        text = entry.object.data.get(key)
        if text is None:
            continue
        try:
            config[key] = json.loads(text)
        except ValueError as error:
            entry.place.error(("data", key), f"is no JSON: {error}")
            return
        if not isinstance(config[key], kind):
            wanted = '{"acme.local": ["1.2.3.4"]}' if kind is dict else '["8.8.8.8"]'
            entry.place.error(("data", key), f"must be JSON such as {wanted}")
            return
    for message in validate_config(config):
        entry.place.error(("data",), message)


def _check_pod(pod: PodSpec, spec: ClusterSpec, place: Place, path: Path) -> None:
    for message in validate_pod_dns(pod.dnsPolicy, pod.dnsConfig):
        place.error((*path, "dnsConfig" if pod.dnsConfig is not None else "dnsPolicy"), message)
    if pod.dnsConfig is None:
        return
    ours = 1 if pod.dnsPolicy in ("ClusterFirst", "ClusterFirstWithHostNet", "Default") else 0
    servers = ours + len(pod.dnsConfig.nameservers)
    if servers > MAX_NAMESERVERS:
        place.problems.note(
            f"{place.source.prefix}{servers} name servers with those of dnsPolicy: the kubelet keeps {MAX_NAMESERVERS}"
        )
    most = (CURRENT_LIMITS if spec.minor >= EXPANDED_SINCE else LEGACY_LIMITS).paths
    paths = len(pod.dnsConfig.searches) + (3 if pod.dnsPolicy.startswith("ClusterFirst") else 0)
    if paths > most:
        place.problems.note(f"{place.source.prefix}{paths} search paths in all: the kubelet keeps {most}")


# -- loads -------------------------------------------------------------------------------------------------------------


def check_lookups(load: Load, place: Place, path: Path) -> None:
    """Fields that mean nothing for a load to dns://."""
    for name in sorted(set(_FOR_REQUESTS) & load.model_fields_set):
        field = _FOR_REQUESTS[name]
        place.error((*path, field), f"{field} is for http://; a look-up ends as its resolver does", key=True)


def note_unknown_name(load: Load, problem: str, place: Place) -> None:
    """A look-up may well be about a name that is not there."""
    if problem:
        place.problems.note(f'load "{load.name}": {problem}')
