"""The `Cluster` document (apiVersion netsim/v1): nodes, networking, links, component settings.

Called by: `loader` (parsing), `experiment/build.py` (reading). Field names follow kind's configuration (`networking`,
`nodes[].role`) and upstream's component configurations.

Node names: an unnamed node is called after its role when it is the only unnamed one of that role (`control-plane`,
`worker`), otherwise they are numbered in order (`worker-1`, `worker-2`...). `count: 3` with `name: db` gives `db-1` to
`db-3`. When there are workers, control-plane nodes get kubeadm's NoSchedule taint; otherwise pods run on them, as in
kind.
"""

import fnmatch
import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool

from netsim.cluster.objects import Taint
from netsim.experiment.spec_dns import Dns, RecordLines
from netsim.experiment.spec_fields import (
    Duration,
    Ipv4,
    LinkRate,
    Name,
    Percent,
    PositiveDuration,
    SpecModel,
    Subnet,
)
from netsim.experiment.spec_kubelet import KubeletConfig
from netsim.experiment.spec_proxy import ControllerManagerConfig, KubeProxyConfig
from netsim.kernel.cost import FIRST_PACKET_NS

Role = Literal["control-plane", "worker"]

# kubeadm marks control-plane nodes so (KEP-2067).
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
OLDEST_MINOR, NEWEST_MINOR = 8, 36


def _version(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'put the version in quotes, for example "{value}" (YAML reads 1.30 as 1.3)')
    parts = str(value).removeprefix("v").split(".")
    if len(parts) not in (2, 3) or not all(part.isdigit() and len(part) < 4 for part in parts):
        raise ValueError(f'"{value}" is no Kubernetes version (write for example "1.34")')
    if int(parts[0]) != 1 or not OLDEST_MINOR <= int(parts[1]) <= NEWEST_MINOR:
        raise ValueError(
            f'Kubernetes {value} is not simulated: write "1.{OLDEST_MINOR}" to "1.{NEWEST_MINOR}"'
        )
    return ".".join(parts)


def _kernel(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'put the kernel version in quotes, for example "{value}" (YAML reads 6.10 as 6.1)')
    parts = str(value).split("-")[0].split(".")
    if len(parts) not in (2, 3) or not all(part.isdigit() and len(part) < 5 for part in parts):
        raise ValueError(f'"{value}" is no kernel version (write for example "6.8")')
    return str(value)


class Networking(SpecModel):
    """Address ranges and the choice of data plane and pod network. Defaults are kind's."""

    podSubnet: Subnet = "10.244.0.0/16"
    serviceSubnet: Subnet = "10.96.0.0/16"
    nodeSubnet: Subnet = "172.18.0.0/16"
    kubeProxyMode: str = "iptables"
    cni: str = "flat"
    dnsDomain: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] = (
        "cluster.local"
    )
    ipFamily: str = "ipv4"


class NodeSpec(SpecModel):
    """One node, or `count` equal ones."""

    role: Role = "worker"
    count: Annotated[int, Field(strict=True, ge=1, le=5000)] = 1
    name: Name = ""
    labels: dict[str, str] = Field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    address: Ipv4 | None = None


class LinkQuality(SpecModel):
    """What a cable does to packets; the words are netem's, loss and the like are independent per packet.

    `queue` is the longest time a packet waits for the transmitter before packets are dropped.
    """

    delay_ns: Duration | None = Field(None, alias="delay")
    jitter_ns: Duration | None = Field(None, alias="jitter")
    rate_bps: LinkRate | None = Field(None, alias="rate")
    loss: Percent | None = None
    duplicate: Percent | None = None
    reorder: Percent | None = None
    corrupt: Percent | None = None
    queue_ns: PositiveDuration | None = Field(None, alias="queue")


class LinkOverride(LinkQuality):
    """Other values for some cables. An endpoint is `worker-1:eth0`, `worker-1`, or a pattern such as `worker-*`."""

    endpoints: tuple[str, ...] = ()


class Links(SpecModel):
    """The cables between nodes (and outside hosts) and the underlay."""

    default: LinkQuality = LinkQuality()
    overrides: tuple[LinkOverride, ...] = ()


class External(SpecModel):
    """A host outside the cluster, reached through the router.

    With a `zone` it is a name server for these records; with SOA records among them, only for the zones that those
    begin. A `resolver` answers as the upstream name server does.
    """

    name: Name
    address: Ipv4
    zone: RecordLines = ()
    resolver: StrictBool = False


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node of the cluster after counting and naming; `address` "" if the fabric may choose."""

    name: str
    role: Role
    labels: dict[str, str]
    taints: tuple[Taint, ...]
    address: str
    index: int = field(compare=False, default=0)  # position in `spec.nodes`


class ClusterSpec(SpecModel):
    """The `spec` of a Cluster."""

    kubernetesVersion: Annotated[str, BeforeValidator(_version)] = "1.34"
    kernel: Annotated[str, BeforeValidator(_kernel)] = "6.8"
    # How long a first packet is in hand (`netsim.kernel.clash`): what it costs to cross a node (`netsim.kernel.cost`).
    conntrack_race_window_ns: Duration = Field(FIRST_PACKET_NS, alias="conntrackRaceWindow")
    networking: Networking = Networking()
    nodes: tuple[NodeSpec, ...] = (NodeSpec(role="control-plane"),)
    links: Links = Links()
    kubeProxy: KubeProxyConfig = KubeProxyConfig()
    kubelet: KubeletConfig = KubeletConfig()
    controllerManager: ControllerManagerConfig = ControllerManagerConfig()
    dns: Dns = Dns()
    external: tuple[External, ...] = ()

    @property
    def minor(self) -> int:
        """34 for Kubernetes 1.34."""
        return int(self.kubernetesVersion.split(".")[1])

    @property
    def kernel_release(self) -> tuple[int, int]:
        """(6, 8) for Linux 6.8."""
        major, minor = self.kernel.split("-")[0].split(".")[:2]
        return int(major), int(minor)

    def node_entries(self) -> tuple[NodeEntry, ...]:
        """All nodes, named, labelled and tainted as the cluster will register them, in the file's order.

        Addresses that are not given are the next free ones of the node subnet, from its second address on (the first
        is the router's), as kind's Docker network hands them out.
        """
        return tuple(self._entries())

    def _entries(self) -> Iterator[NodeEntry]:
        unnamed: Counter[Role] = Counter()
        for node in self.nodes:
            unnamed[node.role] += 0 if node.name else node.count
        taint = any(node.role == "worker" for node in self.nodes)
        free = self._free_addresses()
        number: Counter[Role] = Counter()
        for index, node in enumerate(self.nodes):
            for copy in range(1, node.count + 1):
                number[node.role] += 0 if node.name else 1
                if node.name:
                    name = node.name if node.count == 1 else f"{node.name}-{copy}"
                else:
                    name = node.role if unnamed[node.role] == 1 else f"{node.role}-{number[node.role]}"
                address = node.address or next(free, "")
                yield NodeEntry(name, node.role, _labels(node, name), _taints(node, taint), address, index)

    def _free_addresses(self) -> Iterator[str]:
        taken = {node.address for node in self.nodes}
        hosts = ipaddress.ip_network(self.networking.nodeSubnet).hosts()
        next(hosts, None)
        return (str(host) for host in hosts if str(host) not in taken)

    def link(self, cable: str) -> LinkQuality:
        """What the file says about a cable (`worker-1:eth0`): the default with the overrides that name it, in order."""
        quality = self.links.default
        for override in self.links.overrides:
            if any(cables_matching(endpoint, (cable,)) for endpoint in override.endpoints):
                given = {name: getattr(override, name) for name in override.model_fields_set - {"endpoints"}}
                quality = quality.model_copy(update=given)
        return quality

    def timing_flags(self) -> dict[str, object]:
        """The settings of control plane, kubelet and kube-proxy that the file gives, by upstream's flag names.

        Durations are whole nanoseconds; this is what `netsim.cluster.timing.Timing.for_version` takes as overrides.
        """
        manager, kubelet = self.controllerManager, self.kubelet
        flags: dict[str, object] = {
            "node-monitor-period": manager.node_monitor_period_ns,
            "node-monitor-grace-period": manager.node_monitor_grace_period_ns,
            "pod-eviction-timeout": manager.pod_eviction_timeout_ns,
            "node-eviction-rate": manager.nodeEvictionRate,
            "secondary-node-eviction-rate": manager.secondaryNodeEvictionRate,
            "unhealthy-zone-threshold": manager.unhealthyZoneThreshold,
            "large-cluster-size-threshold": manager.largeClusterSizeThreshold,
            "kube-api-qps": manager.kubeApiQps,
            "kube-api-burst": manager.kubeApiBurst,
            "max-endpoints-per-slice": manager.maxEndpointsPerSlice,
            "endpointslice-updates-batch-period": manager.endpointslice_updates_batch_period_ns,
            "concurrent-service-endpoint-syncs": manager.concurrentServiceEndpointSyncs,
            "nodeLeaseDurationSeconds": kubelet.nodeLeaseDurationSeconds,
            "nodeStatusUpdateFrequency": kubelet.node_status_update_frequency_ns,
            "maxPods": kubelet.maxPods,
            "kubeAPIQPS": kubelet.kubeAPIQPS,
            "kubeAPIBurst": kubelet.kubeAPIBurst,
            "crashLoopBackOff.maxContainerRestartPeriod": kubelet.crashLoopBackOff.max_container_restart_period_ns,
            "iptables.minSyncPeriod": self.kubeProxy.iptables.min_sync_period_ns,
            "iptables.syncPeriod": self.kubeProxy.iptables.sync_period_ns,
        }
        return {flag: value for flag, value in flags.items() if value is not None}


def cables_matching(pattern: str, cables: Iterable[str]) -> list[str]:
    """The cables that `worker-1:eth0`, `worker-1` or `worker-*` means."""
    full = pattern if ":" in pattern else f"{pattern}:eth0"
    return [cable for cable in cables if fnmatch.fnmatchcase(cable, full)]


def _labels(node: NodeSpec, name: str) -> dict[str, str]:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    if node.role == "control-plane":
        labels[CONTROL_PLANE_LABEL] = ""
    return {**labels, **node.labels}


def _taints(node: NodeSpec, taint_control_plane: bool) -> tuple[Taint, ...]:
    if node.role == "control-plane" and taint_control_plane:
        return (Taint(key=CONTROL_PLANE_LABEL, effect="NoSchedule"), *node.taints)
    return node.taints


class Metadata(SpecModel):
    """Name and notes of a netsim document."""

    name: Name
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class ClusterDocument(SpecModel):
    """The whole document; `manifests` are files beside it."""

    apiVersion: Literal["netsim/v1"]
    kind: Literal["Cluster"]
    metadata: Metadata
    spec: ClusterSpec = ClusterSpec()
    manifests: tuple[str, ...] = ()

    def with_name(self, name: str) -> Self:
        """A copy under another name."""
        return self.model_copy(update={"metadata": self.metadata.model_copy(update={"name": name})})
