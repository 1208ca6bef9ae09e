"""From the words of a topology file to the values of the fabric and the kernel.

Called by `cluster.py`. Kernel settings that kube-proxy writes at its start have its defaults
(pkg/proxy/apis/config/v1alpha1/defaults.go).
"""

from typing import TYPE_CHECKING, Final

from netsim.engine import S
from netsim.fabric.fabric import FabricConfig
from netsim.fabric.link import LinkSpec, Netem
from netsim.kernel import releases
from netsim.kernel.clash import resolution_of
from netsim.kernel.sysctl import Sysctl
from netsim.wire.addr import Prefix

if TYPE_CHECKING:
    from netsim.experiment.spec_cluster import ClusterSpec, LinkQuality

# kube-proxy: conntrack.maxPerCore 32768, min 131072; our nodes have four cores.
CORES: Final = 4


def fabric_config(spec: "ClusterSpec") -> FabricConfig:
    """Subnets, kernel settings and the default cable."""
    linear = releases.value("tcp_syn_linear_timeouts", spec.kernel_release)
    node = Sysctl(
        ip_forward=True,
        bridge_nf_call_iptables=spec.networking.bridgeNfCallIptables,
        tcp_syn_linear_timeouts=linear,
        nf_conntrack_max=max(131072, 32768 * CORES),
        nf_conntrack_tcp_timeout_established_ns=24 * 3600 * S,
        nf_conntrack_tcp_timeout_close_wait_ns=3600 * S,
        conntrack_race_window_ns=spec.conntrack_race_window_ns,
        clash_resolution=resolution_of(spec.kernel_release),
    )
    underlay, *more_underlays = map(Prefix.parse, spec.networking.node_subnets)
    pod_subnet, *more_pod_subnets = map(Prefix.parse, spec.networking.pod_subnets)
    return FabricConfig(
        underlay=underlay,
        pod_subnet=pod_subnet,
        node_sysctl=node,
        pod_sysctl=Sysctl(tcp_syn_linear_timeouts=linear),
        default_link=link_spec(spec.links.default),
        more_underlays=tuple(more_underlays),
        more_pod_subnets=tuple(more_pod_subnets),
    )


def link_spec(quality: "LinkQuality") -> LinkSpec:
    """Delay, rate and queue of a cable; what the file leaves out has the fabric's default."""
    given = {
        "delay_ns": quality.delay_ns,
        "rate_bps": quality.rate_bps,
        "queue_ns": quality.queue_ns,
    }
    return LinkSpec(**{name: value for name, value in given.items() if value is not None})


def node_netem(quality: "LinkQuality") -> Netem | None:
    """The lasting impairments of a cable, or None."""
    netem = Netem(
        jitter_ns=quality.jitter_ns or 0,
        loss=quality.loss or 0.0,
        duplicate=quality.duplicate or 0.0,
        reorder=quality.reorder or 0.0,
        corrupt=quality.corrupt or 0.0,
    )
    return None if netem == Netem() else netem
