"""KubeProxyConfiguration against the versions of Kubernetes and Linux, and nodePortAddresses.

Called by: `rules_cluster`. Sources: KEP-3866 (the nftables mode is alpha in 1.29);
staging/src/k8s.io/component-helpers/kernel/constants.go (`NFTablesKubeProxyKernelVersion`, 5.13);
pkg/proxy/apis/config/validation (`primary` stands alone), KEP-4004.
"""

import ipaddress

from netsim.experiment.rules_place import Place
from netsim.experiment.spec_cluster import ClusterSpec

# As dataplane/nftables_config.py has it; the rules load no dataplane.
NFTABLES_MINOR = 29
NFTABLES_KERNEL = (5, 13)
_PRIMARY = "primary"


def check_proxy(spec: ClusterSpec, place: Place) -> None:
    """Record what is wrong with the choice of a mode and the settings of kube-proxy."""
    if spec.networking.kubeProxyMode == "nftables":
        _check_nftables(spec, place)
    addresses = spec.kubeProxy.nodePortAddresses
    for index, text in enumerate(addresses):
        path = ("kubeProxy", "nodePortAddresses", index)
        if text == _PRIMARY:
            if len(addresses) > 1:
                place.error(path, f'"{_PRIMARY}" stands alone: remove it or the others')
        elif not _is_cidr(text):
            place.error(path, f'"{text}" is no address range: write for example 172.18.0.0/16, or {_PRIMARY}')


def _check_nftables(spec: ClusterSpec, place: Place) -> None:
    path = ("networking", "kubeProxyMode")
    if spec.minor < NFTABLES_MINOR:
        message = f"nftables came with Kubernetes 1.{NFTABLES_MINOR}, and kubernetesVersion is "
        write = f'write iptables, or kubernetesVersion: "1.{NFTABLES_MINOR}" or later'
        place.error(path, f"{message}{spec.kubernetesVersion}: {write}")
    if spec.kernel_release < NFTABLES_KERNEL:
        needed = ".".join(map(str, NFTABLES_KERNEL))
        message = f"kube-proxy in nftables mode needs Linux {needed}, and kernel is {spec.kernel}"
        place.error(path, f'{message}: write iptables, or kernel: "{needed}" or later')


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return "/" in text
