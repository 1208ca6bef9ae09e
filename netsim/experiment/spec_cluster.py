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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from netsim.cluster.objects import Taint
from netsim.cluster.objects.meta import Port
from netsim.cluster.objects.node import EXCLUDE_LABEL
from netsim.experiment.spec_dns import Dns
from netsim.experiment.spec_fields import (
    Addresses,
    Duration,
    LinkRate,
    Name,
    Percent,
    PositiveDuration,
    SpecModel,
    Subnets,
)
from netsim.experiment.spec_kubelet import KubeletConfig
from netsim.experiment.spec_outside import OutsideSpec
from netsim.experiment.spec_proxy import (
    ControllerManagerConfig,
    IptablesConfig,
    KubeProxyConfig,
    NftablesConfig,
)
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


# The ranges of a cluster of each `ipFamily` (kind pkg/apis/config/v1alpha4/default.go; its Docker network for nodes).
_SUBNETS_V4: Final = {
    "podSubnet": "10.244.0.0/16",
    "serviceSubnet": "10.96.0.0/16",
    "nodeSubnet": "172.18.0.0/16",
}
_SUBNETS_V6: Final = {
    "podSubnet": "fd00:10:244::/56",
    "serviceSubnet": "fd00:10:96::/112",
    "nodeSubnet": "fc00:f853:ccd:e793::/64",
}
_DEFAULT_SUBNETS: Final = {
    "ipv6": _SUBNETS_V6,
    "dual": {name: f"{_SUBNETS_V4[name]},{_SUBNETS_V6[name]}" for name in _SUBNETS_V4},
}


class Networking(SpecModel):
    """Address ranges and the choice of data plane and pod network. Defaults are kind's; a dual-stack cluster has two
    ranges of each kind, separated by a comma, the primary family first. `bridgeNfCallIptables` is the nodes'
    net.bridge.bridge-nf-call-iptables, for pod networks with a bridge. `withdrawPods` says when the pod network lets
    go of a pod: with its sandbox, or with its API object, as Calico's Felix does (projectcalico/calico#7983): then a
    pod that is deleted by force is cut off before its process has ended, and no FIN or RST of it gets out."""

    podSubnet: Subnets = "10.244.0.0/16"
    serviceSubnet: Subnets = "10.96.0.0/16"
    nodeSubnet: Subnets = "172.18.0.0/16"
    kubeProxyMode: str = "iptables"
    cni: str = "flat"
    bridgeNfCallIptables: StrictBool = True
    withdrawPods: Literal["sandbox", "object"] = "sandbox"
    dnsDomain: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] = (
        "cluster.local"
    )
    ipFamily: str = "ipv4"

    @model_validator(mode="before")
    @classmethod
    def _ranges_of_the_family(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("ipFamily"), str):
            return raw
        return {**_DEFAULT_SUBNETS.get(raw["ipFamily"], {}), **raw}

    @property
    def balanced_subnet(self) -> str:
        """The nodes' range in which load balancers have their addresses: IPv4's, where there is one."""
        return next((subnet for subnet in self.node_subnets if ":" not in subnet), self.node_subnets[0])

    @property
    def pod_subnets(self) -> tuple[str, ...]:
        """One per family, the primary one first."""
        return tuple(self.podSubnet.split(","))

    @property
    def service_subnets(self) -> tuple[str, ...]:
        """One per family, the primary one first."""
        return tuple(self.serviceSubnet.split(","))

    @property
    def node_subnets(self) -> tuple[str, ...]:
        """One per family, the primary one first."""
        return tuple(self.nodeSubnet.split(","))


class NodeSpec(SpecModel):
    """One node, or `count` equal ones."""

    role: Role = "worker"
    count: Annotated[int, Field(strict=True, ge=1, le=5000)] = 1
    name: Name = ""
    labels: dict[str, str] = Field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    address: Addresses | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that are given, one per family at most."""
        return tuple(self.address.split(",")) if self.address else ()


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


class IngressNodePorts(SpecModel):
    """The node ports of the ingress controller's Service; 30080 and 30443 unless they are taken."""

    http: Port | None = None
    https: Port | None = None


class IngressSettings(SpecModel):
    """The ingress controller. Without this section there is one when the manifests have an Ingress and no controller.

    `ingressClass` is the value of the annotation kubernetes.io/ingress.class that it serves (--ingress-class)."""

    controller: Literal["nginx", "none"] = "nginx"
    service: Literal["NodePort", "LoadBalancer"] = "NodePort"
    replicas: Annotated[int, Field(strict=True, ge=1, le=100)] = 1
    nodePorts: IngressNodePorts = IngressNodePorts()
    ingressClass: Name = ""


class Fillers(SpecModel):
    """Services that nobody asks for, each with so many endpoints: what size does to kube-proxy."""

    services: Annotated[int, Field(strict=True, ge=0, le=60_000)] = 0
    endpoints: Annotated[int, Field(strict=True, ge=0, le=1000)] = 1


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node of the cluster after counting and naming; `address` is "" when the subnet has no more, `more` are its
    addresses in other families."""

    name: str
    role: Role
    labels: dict[str, str]
    taints: tuple[Taint, ...]
    address: str
    index: int = field(compare=False, default=0)  # position in `spec.nodes`
    more: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """One per family, the primary one first."""
        return (self.address, *self.more)


class ClusterSpec(OutsideSpec):
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
    ingress: IngressSettings | None = None
    fillers: Fillers = Fillers()

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
        free = [self._free_addresses(subnet) for subnet in self.networking.node_subnets]
        number: Counter[Role] = Counter()
        for index, node in enumerate(self.nodes):
            for copy in range(1, node.count + 1):
                number[node.role] += 0 if node.name else 1
                if node.name:
                    name = node.name if node.count == 1 else f"{node.name}-{copy}"
                else:
                    name = node.role if unnamed[node.role] == 1 else f"{node.role}-{number[node.role]}"
                address, *more = self._addresses_of(node, free)
                labels, taints = _labels(node, name, taint), _taints(node, taint)
                yield NodeEntry(name, node.role, labels, taints, address, index, tuple(more))

    def _addresses_of(self, node: NodeSpec, free: list[Iterator[str]]) -> Iterator[str]:
        """The addresses that a node is given, and free ones in the families where it is given none."""
        for subnet, others in zip(self.networking.node_subnets, free, strict=True):
            given = (address for address in node.addresses if (":" in address) == (":" in subnet))
            yield next(given, "") or next(others, "")

    def _free_addresses(self, subnet: str) -> Iterator[str]:
        taken = {address for node in self.nodes for address in node.addresses}
        hosts = iter(ipaddress.ip_network(subnet).hosts())
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

    @property
    def proxy_section(self) -> IptablesConfig | NftablesConfig:
        """The part of KubeProxyConfiguration that the chosen mode reads."""
        sections = {"nftables": self.kubeProxy.nftables}
        return sections.get(self.networking.kubeProxyMode, self.kubeProxy.iptables)

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
            f"{self.networking.kubeProxyMode}.minSyncPeriod": self.proxy_section.min_sync_period_ns,
            f"{self.networking.kubeProxyMode}.syncPeriod": self.proxy_section.sync_period_ns,
        }
        if self.networking.kubeProxyMode == "ipvs":
            # Its own section, its own defaults (F:kp.ipvs.syncPeriod): no minimum, all compared every 30 s.
            ipvs = self.kubeProxy.ipvs
            flags["iptables.minSyncPeriod"] = flags["iptables.syncPeriod"] = None
            flags["ipvs.minSyncPeriod"] = ipvs.min_sync_period_ns or 0
            flags["ipvs.syncPeriod"] = ipvs.sync_period_ns or 30_000_000_000
        return {flag: value for flag, value in flags.items() if value is not None}


def cables_matching(pattern: str, cables: Iterable[str]) -> list[str]:
    """The cables that `worker-1:eth0`, `worker-1` or `worker-*` means."""
    full = pattern if ":" in pattern else f"{pattern}:eth0"
    return [cable for cable in cables if fnmatch.fnmatchcase(cable, full)]


def _labels(node: NodeSpec, name: str, workers: bool) -> dict[str, str]:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    if node.role == "control-plane":
        labels[CONTROL_PLANE_LABEL] = ""
        if workers:  # kubeadm, since 1.20; kind takes it away again when there is no other node
            labels[EXCLUDE_LABEL] = ""
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
