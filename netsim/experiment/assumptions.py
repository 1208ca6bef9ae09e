"""What a run takes for granted: versions, choices, network, times; each with its value and where that is from.

Called by `api` once per experiment; `run.json` keeps the list and the report shows it. Values are read from what the
simulation itself uses, so that a changed default shows here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.delays import Constant, LogNormal, Uniform
from netsim.cluster.timing import FLAGS, Timing
from netsim.engine import format_duration
from netsim.experiment.assumption_sources import TIMING, TOPICS
from netsim.experiment.settings import fabric_config, link_spec
from netsim.kernel.cost import CROSSING_NS, FIRST_PACKET_NS
from netsim.kernel.xtables_cost import DEFAULT as RULE_COST
from netsim.measure.page.model import Assumption

if TYPE_CHECKING:
    from netsim.experiment.loader import Topology
    from netsim.experiment.spec_cluster import ClusterSpec

_CLUSTER: Final = "The cluster"
_PATH: Final = "Packets and links"
_KERNEL: Final = "The nodes' kernel"
_SYSCTL: Final = "Linux Documentation/networking/ip-sysctl.rst"
_CONNTRACK: Final = "Linux Documentation/networking/nf_conntrack-sysctl.rst"
_KUBE_PROXY: Final = "pkg/proxy/apis/config/v1alpha1/defaults.go"
_CILIUM: Final = "measured: Cilium's TCP_RR charts, 2021-05-11"
_BLOG: Final = "measured: Kubernetes blog, 2025-02-28"


def assumptions(topology: "Topology") -> tuple[Assumption, ...]:
    """All of them, by topic."""
    spec = topology.spec
    return (*_choices(topology), *_path(spec), *_kernel(spec), *_timing(spec))


def _choices(topology: "Topology") -> Iterator[Assumption]:
    spec = topology.spec
    given, net = spec.model_fields_set, spec.networking
    chosen = net.model_fields_set if "networking" in given else set()
    modes = {
        "iptables": "rules of iptables",
        "nftables": "verdict maps of nftables",
        "ipvs": "the kernel's IPVS",
    }
    networks = {
        "flat": "host routes",
        "vxlan": "VXLAN, MTU 1450",
        "bridge": "a bridge per node and host routes",
    }
    entries = spec.node_entries()
    kinds = ", ".join(f"{number} {kind}" for kind, number in topology.kinds().items())

    def choice(
        name: str, value: str, is_given: bool, meaning: str, source: str = "netsim's default"
    ) -> Assumption:
        return Assumption(_CLUSTER, name, value, is_given, source, meaning)

    yield choice(
        "Kubernetes",
        spec.kubernetesVersion,
        "kubernetesVersion" in given,
        "which release's times and manners",
    )
    mode = bool({"kubeProxyMode"} & chosen) or "kubeProxy" in given
    yield choice("kube-proxy", net.kubeProxyMode, mode, modes.get(net.kubeProxyMode, ""), _KUBE_PROXY)
    yield choice("pod network", net.cni, "cni" in chosen, networks.get(net.cni, ""))
    yield choice("Linux", spec.kernel, "kernel" in given, "which kernel's TCP and conntrack")
    yield choice(
        "IP family", net.ipFamily, "ipFamily" in chosen, "addresses of Services and pods", "kind's default"
    )
    yield choice("nodes", str(len(entries)), "nodes" in given, ", ".join(e.name for e in entries[:12]))
    yield choice("objects", kinds, True, f"as in {topology.path.name}")
    yield choice("DNS", spec.dns.provider, "dns" in given, f"{spec.dns.replicas} replicas")
    if spec.fillers.services:
        made = f"{spec.fillers.services:,} with {spec.fillers.endpoints} endpoints each"
        yield choice("other Services", made, True, "nobody asks for them; what size does to kube-proxy")


def _path(spec: "ClusterSpec") -> Iterator[Assumption]:
    link, given = link_spec(spec.links.default), spec.links.default.model_fields_set
    models = "netsim's default, a data centre's"

    def one(name: str, value: str, source: str, meaning: str, is_given: bool = False) -> Assumption:
        return Assumption(_PATH, name, value, is_given, source, meaning)

    yield one(
        "links.delay",
        format_duration(link.delay_ns),
        models,
        "one way over a node's cable",
        "delay_ns" in given,
    )
    yield one("links.rate", f"{link.rate_bps / 1e9:g} Gbit/s", models, "of each cable", "rate_bps" in given)
    yield one(
        "links.queue",
        format_duration(link.queue_ns),
        models,
        "the longest wait before drops",
        "queue_ns" in given,
    )
    yield one(
        "node crossing", format_duration(CROSSING_NS), _CILIUM, "each packet through a node's namespace"
    )
    yield one(
        "first packet", format_duration(FIRST_PACKET_NS), _BLOG, "conntrack and nat, once per flow and node"
    )
    rules = f"{RULE_COST.near_ns} ns, {RULE_COST.far_ns} ns beyond {RULE_COST.knee:,}"
    yield one("iptables rule", rules, _BLOG, "each rule that a first packet is compared with")
    yield one(
        "TCP",
        "Linux 6.8",
        "RFC 9293, net/ipv4/tcp*.c",
        "without SACK, time stamps, congestion control beyond slow start",
    )


def _kernel(spec: "ClusterSpec") -> Iterator[Assumption]:
    kernel = fabric_config(spec).node_sysctl
    linear = "4 since Linux 6.5, 0 before"
    race = "conntrack_race_window_ns" in spec.model_fields_set
    rows = (
        ("tcp_syn_retries", str(kernel.tcp_syn_retries), _SYSCTL, "a SYN is repeated so often"),
        ("tcp_syn_linear_timeouts", str(kernel.tcp_syn_linear_timeouts), f"{_SYSCTL}; {linear}", "evenly spaced"),
        ("tcp_synack_retries", str(kernel.tcp_synack_retries), _SYSCTL, "a SYN-ACK is repeated so often"),
        ("tcp_retries2", str(kernel.tcp_retries2), _SYSCTL, "data is repeated so often"),
        ("nf_conntrack_max", f"{kernel.nf_conntrack_max:,}", _KUBE_PROXY, "entries; then new flows are dropped"),
        ("nf_conntrack_tcp_timeout_established", format_duration(kernel.nf_conntrack_tcp_timeout_established_ns),
         _KUBE_PROXY, "how long an idle connection is remembered"),
        ("nf_conntrack_udp_timeout", format_duration(kernel.nf_conntrack_udp_timeout_ns), _CONNTRACK, "a UDP flow"),
        ("nf_conntrack_udp_timeout_stream", format_duration(kernel.nf_conntrack_udp_timeout_stream_ns), _CONNTRACK,
         "a UDP flow that was answered"),
    )  # fmt: skip
    for name, value, source, meaning in rows:
        yield Assumption(_KERNEL, name, value, False, source, meaning)
    window = format_duration(kernel.conntrack_race_window_ns)
    yield Assumption(
        _KERNEL, "conntrackRaceWindow", window, race, _BLOG, "two first packets this close may clash"
    )


# ---------------------------------------------------------------- control plane
def _timing(spec: "ClusterSpec") -> Iterator[Assumption]:
    timing = Timing.for_version(spec.kubernetesVersion, spec.timing_flags())
    given = {FLAGS[flag] for flag in spec.timing_flags()}
    default = Timing.for_version(spec.kubernetesVersion)
    for part in fields(timing):
        if part.name == "version":
            continue
        values, usual = getattr(timing, part.name), getattr(default, part.name)
        for entry in fields(values):
            value = getattr(values, entry.name)
            said = (part.name, entry.name) in given and value != getattr(usual, entry.name)
            yield _setting(part.name, entry.name, value, said)


def _setting(part: str, name: str, value: Any, given: bool) -> Assumption:
    source, meaning = TIMING.get(f"{part}.{name}", ("netsim.cluster.timing", ""))
    shown = value_text(value, name.endswith("_ns"))
    return Assumption(TOPICS.get(part, part), name.removesuffix("_ns"), shown, given, source, meaning)


def value_text(value: Any, is_time: bool) -> str:
    """A setting for people: durations with their unit, distributions in words."""
    if isinstance(value, Constant):
        return format_duration(value.delay_ns)
    if isinstance(value, Uniform):
        return f"{format_duration(value.low_ns)} to {format_duration(value.high_ns)}, uniform"
    if isinstance(value, LogNormal):
        bounds = f"{format_duration(value.low_ns)} to {format_duration(value.high_ns)}"
        return f"log-normal, median {format_duration(value.median_ns)}, sigma {value.sigma:g}, {bounds}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_duration(value) if is_time else str(value)


def from_json(entries: "list[Mapping[str, Any]]") -> tuple[Assumption, ...]:
    """What `run.json` kept; entries of a newer netsim keep what is known here."""
    known = {field.name for field in fields(Assumption)}
    return tuple(Assumption(**{name: v for name, v in entry.items() if name in known}) for entry in entries)
