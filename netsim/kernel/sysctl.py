"""Kernel settings of a namespace, by their sysctl names, with Linux's or kube-proxy's defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sysctl:
    """Times in nanoseconds. Defaults: Documentation/networking/ip-sysctl.rst and nf_conntrack-sysctl.rst of Linux 6.8;
    where kube-proxy sets a value of its own (pkg/proxy/apis/config/v1alpha1/defaults.go), the fabric passes it."""

    ip_forward: bool = False
    # br_netfilter: bridged IPv4 packets pass iptables; 1 when the module is loaded, as kubeadm demands.
    bridge_nf_call_iptables: bool = True
    # Linux 6.5 added four linear SYN time-outs before the doubling starts; 0 before.
    tcp_syn_linear_timeouts: int = 4
    tcp_syn_retries: int = 6
    tcp_synack_retries: int = 5
    tcp_retries2: int = 15
    tcp_fin_timeout_ns: int = 60 * S
    # include/net/tcp.h TCP_KEEPALIVE_TIME, TCP_KEEPALIVE_INTVL, TCP_KEEPALIVE_PROBES.
    tcp_keepalive_time_ns: int = 7200 * S
    tcp_keepalive_intvl_ns: int = 75 * S
    tcp_keepalive_probes: int = 9
    tcp_max_syn_backlog: int = 4096
    somaxconn: int = 4096
    ip_local_port_range: tuple[int, int] = (32768, 60999)
    nf_conntrack_max: int = 262144
    nf_conntrack_tcp_timeout_established_ns: int = 432_000 * S
    nf_conntrack_tcp_timeout_close_wait_ns: int = 60 * S
    nf_conntrack_udp_timeout_ns: int = 30 * S
    nf_conntrack_udp_timeout_stream_ns: int = 120 * S
    nf_conntrack_tcp_loose: bool = True
    # Not sysctls, but the kernel's own: how long a first packet is under way between conntrack and the table on another
    # CPU, and what becomes of the loser (`netsim.kernel.clash`).
    conntrack_race_window_ns: int = 0
    clash_resolution: str = "harder"
    # net/ipv4/arp.c arp_tbl: reachable 30 s, delay_probe 5 s, three probes one second apart.
    neigh_reachable_ns: int = 30 * S
    neigh_delay_first_probe_ns: int = 5 * S
    neigh_retrans_ns: int = 1 * S
    neigh_mcast_solicit: int = 3
    neigh_ucast_solicit: int = 3
    neigh_unres_qlen_bytes: int = 212_992
    # net.ipv4.conf.all.arp_ignore: 0 answers for any local address, 1 only for those of the device that was asked.
    arp_ignore: int = 0


# What may be set by name in a namespace of its own, with the bounds that the kernel has (net/ipv4/sysctl_net_ipv4.c);
# the scale is that of our field.
SETTABLE: Final[Mapping[str, tuple[str, int, int, int]]] = {
    "net.core.somaxconn": ("somaxconn", 0, 2**31 - 1, 1),
    "net.ipv4.tcp_fin_timeout": ("tcp_fin_timeout_ns", 1, 2**31 // 1000, S),
    "net.ipv4.tcp_keepalive_intvl": ("tcp_keepalive_intvl_ns", 1, 32767, S),
    "net.ipv4.tcp_keepalive_probes": ("tcp_keepalive_probes", 1, 127, 1),
    "net.ipv4.tcp_keepalive_time": ("tcp_keepalive_time_ns", 1, 32767, S),
    "net.ipv4.tcp_max_syn_backlog": ("tcp_max_syn_backlog", 1, 2**31 - 1, 1),
    "net.ipv4.tcp_retries2": ("tcp_retries2", 0, 255, 1),
    "net.ipv4.tcp_syn_linear_timeouts": ("tcp_syn_linear_timeouts", 0, 127, 1),
    "net.ipv4.tcp_syn_retries": ("tcp_syn_retries", 1, 127, 1),
    "net.ipv4.tcp_synack_retries": ("tcp_synack_retries", 0, 255, 1),
}
PORT_RANGE: Final = "net.ipv4.ip_local_port_range"


def with_settings(base: Sysctl, settings: Mapping[str, str]) -> Sysctl:
    """These settings (`sysctl -w NAME=VALUE`) on top of others. Names that have no effect here are passed over; raises
    ValueError for a value that the kernel would refuse."""
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        if name == PORT_RANGE:
            changes["ip_local_port_range"] = _port_range(value)
        elif name in SETTABLE:
            field, low, high, scale = SETTABLE[name]
            if not value.strip().isdecimal() or not low <= int(value) <= high:
                raise ValueError(f'must be a whole number from {low} to {high}, not "{value}"')
            changes[field] = int(value) * scale
    return replace(base, **changes) if changes else base


def _port_range(value: str) -> tuple[int, int]:
    """ipv4_local_port_range: two ports, the first not above the second."""
    words = value.split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise ValueError(f'must be two port numbers such as "32768 60999", not "{value}"')
    low, high = map(int, words)
    if not 1 <= low <= high <= 65535:
        raise ValueError(f'"{value}" is no range of ports')
    return low, high
