"""`securityContext.sysctls` of pods: what the API server, the kubelet or the kernel would refuse.

Called by: `rules_topology`. A refused pod would be Failed with reason SysctlForbidden; that is an error here, as nobody
means it. Sources: pkg/apis/core/validation (ValidateSysctls), pkg/kubelet/sysctl/{safe_sysctls,allowlist}.go,
Kubernetes 1.34.
"""

import re
from typing import Final

from netsim.cluster.objects import PodSpec
from netsim.experiment.rules_place import Path, Place, Templates
from netsim.experiment.spec_cluster import ClusterSpec
from netsim.experiment.spec_names import did_you_mean
from netsim.kernel.sysctl import PORT_RANGE, SETTABLE, Sysctl, with_settings

# SafeSysctlAllowlist; the kubelet takes these without being asked (with the kernel that each needs).
SAFE: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        PORT_RANGE,
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)
_NAME: Final = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_WITH_EFFECT: Final = (*SETTABLE, PORT_RANGE)


def check_sysctls(templates: Templates, spec: ClusterSpec) -> None:
    """Record what is wrong with the pods' settings."""
    for template in templates.items:
        if template.loaded is not None and template.spec is not None and template.spec.sysctls:
            path = (*template.path, "spec", "securityContext", "sysctls")
            _check_pod(template.spec, spec, template.loaded.place, path)


def _check_pod(pod: PodSpec, spec: ClusterSpec, place: Place, path: Path) -> None:
    assert pod.securityContext is not None
    seen: set[str] = set()
    for index, entry in enumerate(pod.securityContext.sysctls):
        name = entry.name.replace("/", ".")
        where: Path = (*path, index, "name")
        if not _NAME.fullmatch(entry.name) or len(entry.name) > 253:
            place.error(where, f'"{entry.name}" is no name of a sysctl')
        elif name in seen:
            place.error(where, f"{name} is set twice")
        elif not _allowed(name, spec):
            meant = "" if name in SETTABLE else did_you_mean(name, sorted(SAFE))
            message = (
                f"{name} is not safe: the kubelet would refuse the pod (SysctlForbidden) unless the Cluster's "
                f"kubelet has allowedUnsafeSysctls: [{name}]{meant}"
            )
            place.error(where, message)
        elif pod.hostNetwork and name.startswith("net."):
            place.error(where, f"{name} is the node's with hostNetwork: the kubelet would refuse the pod")
        else:
            _check_value(name, entry.value, place, (*path, index))
        seen.add(name)


def _allowed(name: str, spec: ClusterSpec) -> bool:
    for pattern in spec.kubelet.allowedUnsafeSysctls:
        if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
            return True
    return name in SAFE


def _check_value(name: str, value: str, place: Place, path: Path) -> None:
    if name not in _WITH_EFFECT:
        place.problems.note(f"{place.source.prefix}{name} has no effect on packets here")
        return
    try:
        with_settings(Sysctl(), {name: value})
    except ValueError as error:
        place.error((*path, "value"), str(error))
