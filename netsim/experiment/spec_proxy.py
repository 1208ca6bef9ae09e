"""Configuration of kube-proxy and kube-controller-manager, by upstream's own names.

Called by: `spec_cluster`. The objects may be pasted from a real cluster (`kubectl -n kube-system get cm kube-proxy`):
every field upstream knows is accepted; those that netsim acts on are typed, the rest are accepted without effect.

Sources: kube-proxy config v1alpha1 (staging/src/k8s.io/kube-proxy/config), flags of
kube-controller-manager written in camelCase. Defaults that depend on the Kubernetes version are None here and are
chosen by netsim.cluster.timing.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool

from netsim.cluster.objects.inert import Inert
from netsim.experiment.spec_fields import Duration, PositiveDuration, SpecModel, Subnets
from netsim.experiment.spec_names import did_you_mean
from netsim.kernel.ipvs_schedulers import SCHEDULERS

Count = Annotated[int, Field(strict=True, ge=0)]
Ignored = Annotated[Any, Inert()]


class IptablesConfig(SpecModel):
    """KubeProxyIPTablesConfiguration; None: the version's default (1 s and 30 s in today's releases)."""

    min_sync_period_ns: Duration | None = Field(None, alias="minSyncPeriod")
    sync_period_ns: PositiveDuration | None = Field(None, alias="syncPeriod")
    masqueradeAll: StrictBool = False
    masqueradeBit: Annotated[int, Field(strict=True, ge=0, le=31)] = 14
    localhostNodePorts: StrictBool = True
    snatNodeInternalIP: Ignored = None


class NftablesConfig(SpecModel):
    """KubeProxyNFTablesConfiguration, for the nftables mode."""

    min_sync_period_ns: Duration | None = Field(None, alias="minSyncPeriod")
    sync_period_ns: PositiveDuration | None = Field(None, alias="syncPeriod")
    masqueradeAll: StrictBool = False
    masqueradeBit: Annotated[int, Field(strict=True, ge=0, le=31)] = 14


def _scheduler(value: str) -> str:
    if value and value not in SCHEDULERS:
        known = " ".join(SCHEDULERS)
        hint = did_you_mean(value, SCHEDULERS)
        raise ValueError(f'"{value}" is no IPVS scheduler: write one of {known}{hint}')
    return value


class IpvsConfig(SpecModel):
    """KubeProxyIPVSConfiguration. 0 for a time-out leaves the kernel's; no scheduler is rr."""

    min_sync_period_ns: Duration | None = Field(None, alias="minSyncPeriod")
    sync_period_ns: PositiveDuration | None = Field(None, alias="syncPeriod")
    scheduler: Annotated[str, AfterValidator(_scheduler)] = ""
    strictARP: StrictBool = False
    excludeCIDRs: tuple[str, ...] = ()
    tcp_timeout_ns: Duration = Field(0, alias="tcpTimeout")
    tcp_fin_timeout_ns: Duration = Field(0, alias="tcpFinTimeout")
    udp_timeout_ns: Duration = Field(0, alias="udpTimeout")


class ConntrackConfig(SpecModel):
    """KubeProxyConntrackConfiguration; 0 for a UDP time-out leaves the kernel's."""

    maxPerCore: Count = 32768
    min: Count = 131072
    tcp_established_timeout_ns: Duration = Field(86_400_000_000_000, alias="tcpEstablishedTimeout")
    tcp_close_wait_timeout_ns: Duration = Field(3_600_000_000_000, alias="tcpCloseWaitTimeout")
    tcpBeLiberal: StrictBool = False
    udp_timeout_ns: Duration = Field(0, alias="udpTimeout")
    udp_stream_timeout_ns: Duration = Field(0, alias="udpStreamTimeout")


class DetectLocalConfig(SpecModel):
    """DetectLocalConfiguration: the names that two of the modes of `detectLocalMode` go by."""

    bridgeInterface: str = ""
    interfaceNamePrefix: str = ""


class KubeProxyConfig(SpecModel):
    """KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)."""

    apiVersion: Literal["kubeproxy.config.k8s.io/v1alpha1"] = "kubeproxy.config.k8s.io/v1alpha1"
    kind: Literal["KubeProxyConfiguration"] = "KubeProxyConfiguration"
    mode: Literal["", "iptables", "nftables", "ipvs"] = ""
    clusterCIDR: Subnets | Literal[""] = ""
    iptables: IptablesConfig = IptablesConfig()
    nftables: NftablesConfig = NftablesConfig()
    ipvs: IpvsConfig = IpvsConfig()
    conntrack: ConntrackConfig = ConntrackConfig()
    nodePortAddresses: tuple[str, ...] = ()
    detectLocalMode: Literal["", "ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"] = ""
    detectLocal: DetectLocalConfig = DetectLocalConfig()
    bindAddress: Ignored = None
    bindAddressHardFail: Ignored = None
    clientConnection: Ignored = None
    configSyncPeriod: Ignored = None
    enableProfiling: Ignored = None
    featureGates: Ignored = None
    healthzBindAddress: Ignored = None
    hostnameOverride: Ignored = None
    logging: Ignored = None
    metricsBindAddress: Ignored = None
    oomScoreAdj: Ignored = None
    portRange: Ignored = None
    resourceContainer: Ignored = None
    showHiddenMetricsForVersion: Ignored = None
    udpIdleTimeout: Ignored = None
    windowsRunAsService: Ignored = None
    winkernel: Ignored = None


class ControllerManagerConfig(SpecModel):
    """Flags of kube-controller-manager, in camelCase; None: the version's default."""

    node_monitor_period_ns: PositiveDuration | None = Field(None, alias="nodeMonitorPeriod")
    node_monitor_grace_period_ns: PositiveDuration | None = Field(None, alias="nodeMonitorGracePeriod")
    pod_eviction_timeout_ns: PositiveDuration | None = Field(None, alias="podEvictionTimeout")
    nodeEvictionRate: Annotated[float, Field(gt=0)] | None = None
    secondaryNodeEvictionRate: Annotated[float, Field(ge=0)] | None = None
    unhealthyZoneThreshold: Annotated[float, Field(ge=0, le=1)] | None = None
    largeClusterSizeThreshold: Count | None = None
    kubeApiQps: Annotated[float, Field(gt=0)] | None = None
    kubeApiBurst: Annotated[int, Field(strict=True, ge=1)] | None = None
    maxEndpointsPerSlice: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    endpointslice_updates_batch_period_ns: Duration | None = Field(
        None, alias="endpointsliceUpdatesBatchPeriod"
    )
    concurrentServiceEndpointSyncs: Annotated[int, Field(strict=True, ge=1, le=50)] | None = None
