"""Fields that Kubernetes knows and netsim accepts without acting on them (storage, security, affinity, environment...).

Called by: the object models of this folder (the `Inert` annotation) and `registry.inert_paths`, which lists the
fields of an object that were set and have no effect on packets. Their values are kept as plain data, but their
*names* are checked all the way down, so that a misspelt `readonly:` is still an error with its line.

Source: the OpenAPI definitions of Kubernetes 1.25 to 1.36 (api/openapi-spec/swagger.json, Apache-2.0), names only.
Simplified: the values themselves are not checked.
"""

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

# One type per entry: `Type = field field:Nested field:[ListOfNested]`; an indented line continues the entry.
_TABLE = """
Affinity = nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAntiAffinity
NodeAffinity = preferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm]
    requiredDuringSchedulingIgnoredDuringExecution:NodeSelector
PreferredSchedulingTerm = preference:NodeSelectorTerm weight
NodeSelectorTerm = matchExpressions:[NodeSelectorRequirement] matchFields:[NodeSelectorRequirement]
NodeSelectorRequirement = key operator values
NodeSelector = nodeSelectorTerms:[NodeSelectorTerm]
PodAffinity = preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm]
    requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]
WeightedPodAffinityTerm = podAffinityTerm:PodAffinityTerm weight
PodAffinityTerm = labelSelector:LabelSelector matchLabelKeys mismatchLabelKeys
    namespaceSelector:LabelSelector namespaces topologyKey
LabelSelector = matchExpressions:[LabelSelectorRequirement] matchLabels
LabelSelectorRequirement = key operator values
PodAntiAffinity = preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm]
    requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]
TopologySpreadConstraint = labelSelector:LabelSelector matchLabelKeys maxSkew minDomains
    nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable
SecurityContext = allowPrivilegeEscalation appArmorProfile:AppArmorProfile capabilities:Capabilities
    privileged procMount readOnlyRootFilesystem runAsGroup runAsNonRoot runAsUser
    seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile windowsOptions:WindowsSecurityContextOptions
AppArmorProfile = localhostProfile type
Capabilities = add drop
SELinuxOptions = level role type user
SeccompProfile = localhostProfile type
WindowsSecurityContextOptions = gmsaCredentialSpec gmsaCredentialSpecName hostProcess runAsUserName
EnvVar = name value valueFrom:EnvVarSource
EnvVarSource = configMapKeyRef:ConfigMapKeySelector fieldRef:ObjectFieldSelector
    fileKeyRef:FileKeySelector resourceFieldRef:ResourceFieldSelector secretKeyRef:SecretKeySelector
ConfigMapKeySelector = key name optional
ObjectFieldSelector = apiVersion fieldPath
FileKeySelector = key optional path volumeName
ResourceFieldSelector = containerName divisor resource
SecretKeySelector = key name optional
EnvFromSource = configMapRef:ConfigMapEnvSource prefix secretRef:SecretEnvSource
ConfigMapEnvSource = name optional
SecretEnvSource = name optional
ResourceRequirements = claims:[ResourceClaim] limits requests
ResourceClaim = name request
ContainerResizePolicy = resourceName restartPolicy
ContainerRestartRule = action exitCodes:ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes = operator values
VolumeMount = mountPath mountPropagation name readOnly recursiveReadOnly subPath subPathExpr
VolumeDevice = devicePath name
Volume = awsElasticBlockStore:AWSElasticBlockStoreVolumeSource azureDisk:AzureDiskVolumeSource
    azureFile:AzureFileVolumeSource cephfs:CephFSVolumeSource cinder:CinderVolumeSource
    configMap:ConfigMapVolumeSource csi:CSIVolumeSource downwardAPI:DownwardAPIVolumeSource
    emptyDir:EmptyDirVolumeSource ephemeral:EphemeralVolumeSource fc:FCVolumeSource
    flexVolume:FlexVolumeSource flocker:FlockerVolumeSource gcePersistentDisk:GCEPersistentDiskVolumeSource
    gitRepo:GitRepoVolumeSource glusterfs:GlusterfsVolumeSource hostPath:HostPathVolumeSource
    image:ImageVolumeSource iscsi:ISCSIVolumeSource name nfs:NFSVolumeSource
    persistentVolumeClaim:PersistentVolumeClaimVolumeSource
    photonPersistentDisk:PhotonPersistentDiskVolumeSource portworxVolume:PortworxVolumeSource
    projected:ProjectedVolumeSource quobyte:QuobyteVolumeSource rbd:RBDVolumeSource
    scaleIO:ScaleIOVolumeSource secret:SecretVolumeSource storageos:StorageOSVolumeSource
    vsphereVolume:VsphereVirtualDiskVolumeSource
AWSElasticBlockStoreVolumeSource = fsType partition readOnly volumeID
AzureDiskVolumeSource = cachingMode diskName diskURI fsType kind readOnly
AzureFileVolumeSource = readOnly secretName shareName
CephFSVolumeSource = monitors path readOnly secretFile secretRef:LocalObjectReference user
LocalObjectReference = name
CinderVolumeSource = fsType readOnly secretRef:LocalObjectReference volumeID
ConfigMapVolumeSource = defaultMode items:[KeyToPath] name optional
KeyToPath = key mode path
CSIVolumeSource = driver fsType nodePublishSecretRef:LocalObjectReference readOnly volumeAttributes
DownwardAPIVolumeSource = defaultMode items:[DownwardAPIVolumeFile]
DownwardAPIVolumeFile = fieldRef:ObjectFieldSelector mode path resourceFieldRef:ResourceFieldSelector
EmptyDirVolumeSource = medium sizeLimit
EphemeralVolumeSource = volumeClaimTemplate:PersistentVolumeClaimTemplate
PersistentVolumeClaimTemplate = metadata:ObjectMeta spec:PersistentVolumeClaimSpec
ObjectMeta = annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers
    generateName generation labels managedFields:[ManagedFieldsEntry] name namespace
    ownerReferences:[OwnerReference] resourceVersion selfLink uid
ManagedFieldsEntry = apiVersion fieldsType fieldsV1 manager operation subresource time
OwnerReference = apiVersion blockOwnerDeletion controller kind name uid
PersistentVolumeClaimSpec = accessModes dataSource:TypedLocalObjectReference
    dataSourceRef:TypedObjectReference resources:VolumeResourceRequirements selector:LabelSelector
    storageClassName volumeAttributesClassName volumeMode volumeName
TypedLocalObjectReference = apiGroup kind name
TypedObjectReference = apiGroup kind name namespace
VolumeResourceRequirements = limits requests
FCVolumeSource = fsType lun readOnly targetWWNs wwids
FlexVolumeSource = driver fsType options readOnly secretRef:LocalObjectReference
FlockerVolumeSource = datasetName datasetUUID
GCEPersistentDiskVolumeSource = fsType partition pdName readOnly
GitRepoVolumeSource = directory repository revision
GlusterfsVolumeSource = endpoints path readOnly
HostPathVolumeSource = path type
ImageVolumeSource = pullPolicy reference
ISCSIVolumeSource = chapAuthDiscovery chapAuthSession fsType initiatorName iqn iscsiInterface lun
    portals readOnly secretRef:LocalObjectReference targetPortal
NFSVolumeSource = path readOnly server
PersistentVolumeClaimVolumeSource = claimName readOnly
PhotonPersistentDiskVolumeSource = fsType pdID
PortworxVolumeSource = fsType readOnly volumeID
ProjectedVolumeSource = defaultMode sources:[VolumeProjection]
VolumeProjection = clusterTrustBundle:ClusterTrustBundleProjection configMap:ConfigMapProjection
    downwardAPI:DownwardAPIProjection podCertificate:PodCertificateProjection secret:SecretProjection
    serviceAccountToken:ServiceAccountTokenProjection
ClusterTrustBundleProjection = labelSelector:LabelSelector name optional path signerName
ConfigMapProjection = items:[KeyToPath] name optional
DownwardAPIProjection = items:[DownwardAPIVolumeFile]
PodCertificateProjection = certificateChainPath credentialBundlePath keyPath keyType
    maxExpirationSeconds signerName userAnnotations
SecretProjection = items:[KeyToPath] name optional
ServiceAccountTokenProjection = audience expirationSeconds path
QuobyteVolumeSource = group readOnly registry tenant user volume
RBDVolumeSource = fsType image keyring monitors pool readOnly secretRef:LocalObjectReference user
ScaleIOVolumeSource = fsType gateway protectionDomain readOnly secretRef:LocalObjectReference sslEnabled
    storageMode storagePool system volumeName
SecretVolumeSource = defaultMode items:[KeyToPath] optional secretName
StorageOSVolumeSource = fsType readOnly secretRef:LocalObjectReference volumeName volumeNamespace
VsphereVirtualDiskVolumeSource = fsType storagePolicyID storagePolicyName volumePath
EphemeralContainer = args command env:[EnvVar] envFrom:[EnvFromSource] image imagePullPolicy
    lifecycle:Lifecycle livenessProbe:Probe name ports:[ContainerPort] readinessProbe:Probe
    resizePolicy:[ContainerResizePolicy] resources:ResourceRequirements restartPolicy
    restartPolicyRules:[ContainerRestartRule] securityContext:SecurityContext startupProbe:Probe stdin
    stdinOnce targetContainerName terminationMessagePath terminationMessagePolicy tty
    volumeDevices:[VolumeDevice] volumeMounts:[VolumeMount] workingDir
Lifecycle = postStart:LifecycleHandler preStop:LifecycleHandler stopSignal
LifecycleHandler = exec:ExecAction httpGet:HTTPGetAction sleep:SleepAction tcpSocket:TCPSocketAction
ExecAction = command
HTTPGetAction = host httpHeaders:[HTTPHeader] path port scheme
HTTPHeader = name value
SleepAction = seconds
TCPSocketAction = host port
Probe = exec:ExecAction failureThreshold grpc:GRPCAction httpGet:HTTPGetAction initialDelaySeconds
    periodSeconds successThreshold tcpSocket:TCPSocketAction terminationGracePeriodSeconds timeoutSeconds
GRPCAction = port service
ContainerPort = containerPort hostIP hostPort name protocol
PodOS = name
PodResourceClaim = name resourceClaimName resourceClaimTemplateName source:ClaimSource
ClaimSource = resourceClaimName resourceClaimTemplateName
PodSchedulingGate = name
WorkloadReference = name podGroup podGroupReplicaKey
PodSchedulingGroup = podGroupName
PersistentVolumeClaim = apiVersion kind metadata:ObjectMeta spec:PersistentVolumeClaimSpec
    status:PersistentVolumeClaimStatus
PersistentVolumeClaimStatus = accessModes allocatedResourceStatuses allocatedResources capacity
    conditions:[PersistentVolumeClaimCondition] currentVolumeAttributesClassName
    modifyVolumeStatus:ModifyVolumeStatus phase resizeStatus
PersistentVolumeClaimCondition = lastProbeTime lastTransitionTime message reason status type
ModifyVolumeStatus = status targetVolumeAttributesClassName
NodeConfigSource = configMap:ConfigMapNodeConfigSource
ConfigMapNodeConfigSource = kubeletConfigKey name namespace resourceVersion uid
"""


def _parse_table(text: str) -> dict[str, dict[str, str]]:
    entries: dict[str, dict[str, str]] = {}
    for line in text.strip().replace("\n    ", " ").splitlines():
        name, fields = line.split(" = ")
        pairs = (field.partition(":") for field in fields.split())
        entries[name] = {field: nested for field, _, nested in pairs}
    return entries


_TYPES = _parse_table(_TABLE)


def _type_schema(name: str, built: dict[str, CoreSchema]) -> CoreSchema:
    if name not in built:
        fields = {
            field: core_schema.typed_dict_field(_field_schema(nested, built), required=False)
            for field, nested in _TYPES[name].items()
        }
        built[name] = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
    return built[name]


def _field_schema(nested: str, built: dict[str, CoreSchema]) -> CoreSchema:
    if not nested:
        return core_schema.any_schema()
    if nested.startswith("["):
        return core_schema.list_schema(_type_schema(nested[1:-1], built))
    return _type_schema(nested, built)


def known_names(shape: str) -> list[str]:
    """The fields of a shape (see Inert): of the type itself, none for a list or for anything goes."""
    return list(_TYPES.get(shape, ()))


_BUILT: dict[str, CoreSchema] = {}


class Inert:
    """Annotation of a field without effect on packets: `volumes: Annotated[Any, Inert("[Volume]")] = None`.

    `shape` is empty (anything goes), the name of an upstream type, or that name in brackets for a list of it.
    """

    def __init__(self, shape: str = "") -> None:
        self.shape = shape

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.nullable_schema(_field_schema(self.shape, _BUILT))

    def step(self, item: str | int) -> "Inert | None":
        """What is below a field or an index of this value, or None when nothing is known about it."""
        if isinstance(item, int):
            return Inert(self.shape[1:-1]) if self.shape.startswith("[") else None
        nested = _TYPES.get(self.shape, {}).get(item)
        return Inert(nested) if nested else None
