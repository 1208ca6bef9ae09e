"""A container's environment: the Services' variables, then whole ConfigMaps and Secrets, then its own variables.

Called by: the kubelet at each container start. Source: makeEnvironmentVariables in pkg/kubelet/kubelet_pods.go,
`$(NAME)` by third_party/forked/golang/expansion. Left out: values of resourceFieldRef and fileKeyRef, since containers
have neither CPU, memory nor files here; such variables are missing.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.objects import ConfigMap, Container, EnvFromSource, EnvVar, Pod, Secret
from netsim.cluster.objects.environment import KeySelector, SourceRef

# IsEnvVarName in apimachinery/pkg/util/validation: keys that are no names are left out, with an event.
_NAME: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\))")
_MEMBER: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_FIELDS: Final[Mapping[str, Callable[[Pod], str]]] = {
    "metadata.name": lambda pod: pod.metadata.name,
    "metadata.namespace": lambda pod: pod.metadata.namespace,
    "metadata.uid": lambda pod: pod.metadata.uid,
    "spec.nodeName": lambda pod: pod.spec.nodeName,
    "spec.serviceAccountName": lambda pod: str(pod.spec.serviceAccountName or "default"),
}
_ADDRESSES: Final = ("status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs")
FIELD_PATHS: Final = (*_FIELDS, *_ADDRESSES)


class ConfigError(Exception):
    """A container cannot be made: what it refers to is not there (CreateContainerConfigError)."""


def is_field(path: str) -> bool:
    """Whether `fieldRef` may name it (validateObjectFieldSelector in pkg/apis/core/validation)."""
    return path in FIELD_PATHS or _MEMBER.fullmatch(path) is not None


def container_environment(
    pod: Pod,
    container: Container,
    services: dict[str, str],
    api: ApiServer,
    pod_ips: tuple[str, ...],
    host_ips: tuple[str, ...],
) -> dict[str, str]:
    """All variables by name; `services` itself where the container adds none. Raises ConfigError."""
    if not container.env and not container.envFrom:
        return services
    result: dict[str, str] = {}
    for source in container.envFrom:
        result.update(_all_of(source, pod.metadata.namespace, api))
    addresses = dict(
        zip(_ADDRESSES, (pod_ips[0], ",".join(pod_ips), host_ips[0], ",".join(host_ips)), strict=True)
    )
    for variable in container.env:
        value = _value(variable, pod, api, addresses, {**services, **result})
        if value is not None:
            result[variable.name] = value
    return {**services, **result}


def _value(
    variable: EnvVar, pod: Pod, api: ApiServer, addresses: Mapping[str, str], known: Mapping[str, str]
) -> str | None:
    source = variable.valueFrom
    if source is None:
        return expand(variable.value, known)
    if source.fieldRef is not None:
        return _field(source.fieldRef.fieldPath, pod, addresses)
    for kind, selector in (("configmap", source.configMapKeyRef), ("secret", source.secretKeyRef)):
        if selector is not None:
            return _of_key(kind, selector, pod.metadata.namespace, api)
    return None


def expand(value: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` is the value of a known variable and stays as it is for another one; `$$` is a dollar sign."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[1] is None else known.get(found[1], found[0])

    return _REFERENCE.sub(one, value)


def _field(path: str, pod: Pod, addresses: Mapping[str, str]) -> str:
    member = _MEMBER.fullmatch(path)
    if member is not None:
        labels: Mapping[str, str] = getattr(pod.metadata, member[1])
        return labels.get(member[2], "")
    return _FIELDS[path](pod) if path in _FIELDS else addresses.get(path, "")


def _all_of(source: EnvFromSource, namespace: str, api: ApiServer) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, ref in (("configmap", source.configMapRef), ("secret", source.secretRef)):
        if ref is not None:
            found.update(_data(kind, ref, namespace, api) or {})
    return {
        source.prefix + key: value for key, value in found.items() if _NAME.fullmatch(source.prefix + key)
    }


def _of_key(kind: str, selector: KeySelector, namespace: str, api: ApiServer) -> str | None:
    data = _data(kind, selector, namespace, api)
    if data is not None and selector.key not in data and not selector.optional:
        title = "ConfigMap" if kind == "configmap" else "Secret"
        raise ConfigError(f"couldn't find key {selector.key} in {title} {namespace}/{selector.name}")
    return None if data is None else data.get(selector.key)


def _data(
    kind: str, ref: SourceRef | KeySelector, namespace: str, api: ApiServer
) -> Mapping[str, str] | None:
    found = api.get(ConfigMap if kind == "configmap" else Secret, namespace, ref.name)
    if found is None and not ref.optional:
        raise ConfigError(f'{kind} "{ref.name}" not found')
    if isinstance(found, Secret):
        return {key: _decoded(value) for key, value in found.data.items()} | found.stringData
    return found.data if isinstance(found, ConfigMap) else None


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode(errors="replace")
    except binascii.Error:
        return ""
