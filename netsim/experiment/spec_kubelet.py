"""KubeletConfiguration (kubelet.config.k8s.io/v1beta1): what netsim acts on first, then everything else upstream knows.

Called by: `spec_cluster`. Source: staging/src/k8s.io/kubelet/config/v1beta1/types.go. None: the default of
netsim.cluster.timing for the cluster's version.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from netsim.cluster.objects.inert import Inert
from netsim.experiment.spec_fields import PositiveDuration, SpecModel

AtLeastOne = Annotated[int, Field(strict=True, ge=1)]
Ignored = Annotated[Any, Inert()]


class CrashLoopBackOff(SpecModel):
    """KEP-5593."""

    max_container_restart_period_ns: PositiveDuration | None = Field(None, alias="maxContainerRestartPeriod")


class KubeletConfig(SpecModel):
    """The settings of every node's kubelet."""

    apiVersion: Literal["kubelet.config.k8s.io/v1beta1"] = "kubelet.config.k8s.io/v1beta1"
    kind: Literal["KubeletConfiguration"] = "KubeletConfiguration"
    nodeLeaseDurationSeconds: AtLeastOne | None = None
    node_status_update_frequency_ns: PositiveDuration | None = Field(None, alias="nodeStatusUpdateFrequency")
    maxPods: AtLeastOne | None = None
    kubeAPIQPS: AtLeastOne | None = None
    kubeAPIBurst: AtLeastOne | None = None
    crashLoopBackOff: CrashLoopBackOff = CrashLoopBackOff()
    allowedUnsafeSysctls: tuple[str, ...] = ()

    # Accepted, no effect on packets.
    address: Ignored = None
    authentication: Ignored = None
    authorization: Ignored = None
    cgroupDriver: Ignored = None
    cgroupRoot: Ignored = None
    cgroupsPerQOS: Ignored = None
    clusterDNS: Ignored = None
    clusterDomain: Ignored = None
    configMapAndSecretChangeDetectionStrategy: Ignored = None
    containerLogMaxFiles: Ignored = None
    containerLogMaxSize: Ignored = None
    containerLogMaxWorkers: Ignored = None
    containerLogMonitorInterval: Ignored = None
    containerRuntimeEndpoint: Ignored = None
    contentType: Ignored = None
    cpuCFSQuota: Ignored = None
    cpuCFSQuotaPeriod: Ignored = None
    cpuManagerPolicy: Ignored = None
    cpuManagerPolicyOptions: Ignored = None
    cpuManagerReconcilePeriod: Ignored = None
    draManagerReconcilePeriod: Ignored = None
    dynamicConfigDir: Ignored = None
    enableContentionProfiling: Ignored = None
    enableControllerAttachDetach: Ignored = None
    enableDebugFlagsHandler: Ignored = None
    enableDebuggingHandlers: Ignored = None
    enableProfilingHandler: Ignored = None
    enableServer: Ignored = None
    enableSystemLogHandler: Ignored = None
    enableSystemLogQuery: Ignored = None
    enforceNodeAllocatable: Ignored = None
    eventBurst: Ignored = None
    eventRecordQPS: Ignored = None
    evictionHard: Ignored = None
    evictionMaxPodGracePeriod: Ignored = None
    evictionMinimumReclaim: Ignored = None
    evictionPressureTransitionPeriod: Ignored = None
    evictionSoft: Ignored = None
    evictionSoftGracePeriod: Ignored = None
    failCgroupV1: Ignored = None
    failSwapOn: Ignored = None
    featureGates: Ignored = None
    fileCheckFrequency: Ignored = None
    hairpinMode: Ignored = None
    healthzBindAddress: Ignored = None
    healthzPort: Ignored = None
    httpCheckFrequency: Ignored = None
    imageGCHighThresholdPercent: Ignored = None
    imageGCLowThresholdPercent: Ignored = None
    imageMaximumGCAge: Ignored = None
    imageMinimumGCAge: Ignored = None
    imagePullCredentialsVerificationPolicy: Ignored = None
    imageServiceEndpoint: Ignored = None
    iptablesDropBit: Ignored = None
    iptablesMasqueradeBit: Ignored = None
    kernelMemcgNotification: Ignored = None
    kubeReserved: Ignored = None
    kubeReservedCgroup: Ignored = None
    kubeletCgroups: Ignored = None
    localStorageCapacityIsolation: Ignored = None
    logging: Ignored = None
    makeIPTablesUtilChains: Ignored = None
    maxOpenFiles: Ignored = None
    maxParallelImagePulls: Ignored = None
    memoryManagerPolicy: Ignored = None
    memoryReservationPolicy: Ignored = None
    memorySwap: Ignored = None
    memoryThrottlingFactor: Ignored = None
    mergeDefaultEvictionSettings: Ignored = None
    nodeStatusMaxImages: Ignored = None
    nodeStatusReportFrequency: Ignored = None
    oomScoreAdj: Ignored = None
    podCIDR: Ignored = None
    podLogsDir: Ignored = None
    podPidsLimit: Ignored = None
    podsPerCore: Ignored = None
    port: Ignored = None
    preloadedImagesVerificationAllowlist: Ignored = None
    protectKernelDefaults: Ignored = None
    providerID: Ignored = None
    qosReserved: Ignored = None
    readOnlyPort: Ignored = None
    registerNode: Ignored = None
    registerWithTaints: Ignored = None
    registryBurst: Ignored = None
    registryPullQPS: Ignored = None
    reservedMemory: Ignored = None
    reservedSystemCPUs: Ignored = None
    resolvConf: Ignored = None
    rotateCertificates: Ignored = None
    runOnce: Ignored = None
    runtimeRequestTimeout: Ignored = None
    seccompDefault: Ignored = None
    serializeImagePulls: Ignored = None
    serverTLSBootstrap: Ignored = None
    showHiddenMetricsForVersion: Ignored = None
    shutdownGracePeriod: Ignored = None
    shutdownGracePeriodByPodPriority: Ignored = None
    shutdownGracePeriodCriticalPods: Ignored = None
    singleProcessOOMKill: Ignored = None
    staticPodPath: Ignored = None
    staticPodURL: Ignored = None
    staticPodURLHeader: Ignored = None
    streamingConnectionIdleTimeout: Ignored = None
    syncFrequency: Ignored = None
    systemCgroups: Ignored = None
    systemReserved: Ignored = None
    systemReservedCgroup: Ignored = None
    tlsCertFile: Ignored = None
    tlsCipherSuites: Ignored = None
    tlsCurvePreferences: Ignored = None
    tlsMinVersion: Ignored = None
    tlsPrivateKeyFile: Ignored = None
    topologyManagerPolicy: Ignored = None
    topologyManagerPolicyOptions: Ignored = None
    topologyManagerScope: Ignored = None
    tracing: Ignored = None
    userNamespaces: Ignored = None
    volumePluginDir: Ignored = None
    volumeStatsAggPeriod: Ignored = None
