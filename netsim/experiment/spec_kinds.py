"""Which kinds and API versions exist, so that a misspelt `kind` or `apiVersion` is noticed instead of ignored.

Called by: `loader`. Kubernetes' own kinds that netsim does not act on are listed here; kinds of any other API group are
custom resources and pass unchecked.

Source: the API reference of Kubernetes 1.34, and the deprecated API migration guide for removed versions.
"""

from collections.abc import Mapping
from typing import Any

from netsim.cluster.objects.ingress import from_v1beta1
from netsim.cluster.objects.registry import API_VERSION, REMOVED_IN
from netsim.experiment.spec_names import a, did_you_mean

_OTHERS = """
v1: Binding Event LimitRange PersistentVolume PersistentVolumeClaim PodTemplate ReplicationController ResourceQuota
    Secret ServiceAccount ComponentStatus List
apps/v1: ControllerRevision
batch/v1: CronJob Job
autoscaling/v1: HorizontalPodAutoscaler
autoscaling/v2: HorizontalPodAutoscaler
rbac.authorization.k8s.io/v1: ClusterRole ClusterRoleBinding Role RoleBinding
networking.k8s.io/v1: NetworkPolicy IPAddress ServiceCIDR
storage.k8s.io/v1: CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass
apiextensions.k8s.io/v1: CustomResourceDefinition
admissionregistration.k8s.io/v1: MutatingWebhookConfiguration ValidatingAdmissionPolicy
    ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
apiregistration.k8s.io/v1: APIService
scheduling.k8s.io/v1: PriorityClass
node.k8s.io/v1: RuntimeClass
certificates.k8s.io/v1: CertificateSigningRequest
events.k8s.io/v1: Event
flowcontrol.apiserver.k8s.io/v1: FlowSchema PriorityLevelConfiguration
resource.k8s.io/v1: DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice
"""


def _known() -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for kind, version in API_VERSION.items():
        known.setdefault(version, []).append(kind)
    for line in _OTHERS.strip().replace("\n    ", " ").splitlines():
        version, kinds = line.split(": ")
        known.setdefault(version, []).extend(kinds.split())
    return known


KNOWN: Mapping[str, list[str]] = _known()
_ALL_KINDS = sorted({kind for kinds in KNOWN.values() for kind in kinds})


_NEW_SHAPE: Mapping[str, str] = {
    "Ingress": ", pathType: Prefix for each path, and service: {name: ..., port: {number: ...}} for each backend"
}


def _is_builtin(version: str) -> bool:
    group = version.rpartition("/")[0]
    return "." not in group or any(known.rpartition("/")[0] == group for known in KNOWN)


def problem_with_kind(version: str, kind: str, minor: int) -> tuple[str, str]:
    """(field, message) for an apiVersion and kind that do not exist in Kubernetes 1.`minor`; ("", "") if they do.

    Old versions of the modelled kinds pass while the cluster's release still had them.
    """
    removed = REMOVED_IN.get((version, kind))
    if removed is not None:
        if minor < removed:
            return "", ""
        shape = _NEW_SHAPE.get(kind, "")
        return (
            "apiVersion",
            f"{version} was removed in Kubernetes 1.{removed}: write {API_VERSION[kind]}{shape}",
        )
    if kind in KNOWN.get(version, ()):
        return "", ""
    if kind in API_VERSION:
        return "apiVersion", f'{a(kind)} has the apiVersion {API_VERSION[kind]}, not "{version}"'
    if version in KNOWN:
        near = did_you_mean(kind, KNOWN[version]) or did_you_mean(kind, _ALL_KINDS)
        return "kind", f'{version} has no kind "{kind}"{near}'
    versions = [known for known, kinds in KNOWN.items() if kind in kinds]
    if versions and _is_builtin(version):
        # Alpha, beta and removed versions of kinds without effect: nothing depends on them.
        same_group = any(known.rpartition("/")[0] == version.rpartition("/")[0] for known in versions)
        return (
            ("", "")
            if same_group
            else ("apiVersion", f'{a(kind)} has the apiVersion {" or ".join(versions)}, not "{version}"')
        )
    if _is_builtin(version) and "beta" not in version and "alpha" not in version:
        return "apiVersion", f'unknown apiVersion "{version}"{did_you_mean(version, KNOWN)}'
    return "", ""


def canonical(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same manifest with today's apiVersion (the shape too, for Ingresses from before 1.22)."""
    if data["kind"] == "Ingress" and data["apiVersion"].endswith("/v1beta1"):
        data = from_v1beta1(data)
    version = API_VERSION.get(data["kind"])
    return data if version in (None, data["apiVersion"]) else {**data, "apiVersion": version}
