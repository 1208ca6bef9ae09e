"""Kernel settings of a namespace, by their sysctl names, with Linux's or kube-proxy's defaults."""

from dataclasses import dataclass

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
