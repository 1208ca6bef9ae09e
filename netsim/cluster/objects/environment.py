"""A container's own environment variables (k8s.io/api/core/v1 EnvVar, EnvFromSource), and Secrets.

Called by: `container`; the kubelet makes the values (`kubelet/container_env.py`).
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.meta import ApiModel, ApiObject


class ObjectFieldSelector(ApiModel):
    """A field of the pod: `status.podIP`, `spec.nodeName`, `metadata.labels['app']`..."""

    fieldPath: str
    apiVersion: str = "v1"


class KeySelector(ApiModel):
    """One key of a ConfigMap or Secret. Without it the container does not start, unless it is `optional`."""

    key: str
    name: str = ""
    optional: StrictBool = False


class EnvVarSource(ApiModel):
    """Where a value comes from: exactly one of these. Resources and files have no value here."""

    fieldRef: ObjectFieldSelector | None = None
    configMapKeyRef: KeySelector | None = None
    secretKeyRef: KeySelector | None = None
    resourceFieldRef: Annotated[Any, Inert("ResourceFieldSelector")] = None
    fileKeyRef: Annotated[Any, Inert("FileKeySelector")] = None


class EnvVar(ApiModel):
    """One variable; `$(NAME)` in its value stands for one that is known before it."""

    name: str
    value: str = ""
    valueFrom: EnvVarSource | None = None


class SourceRef(ApiModel):
    """A whole ConfigMap or Secret."""

    name: str = ""
    optional: StrictBool = False


class EnvFromSource(ApiModel):
    """All keys of a ConfigMap or Secret, with a prefix."""

    prefix: str = ""
    configMapRef: SourceRef | None = None
    secretRef: SourceRef | None = None


class Secret(ApiObject):
    """Values by key, in base64 (`data`) or as they are (`stringData`, which wins)."""

    apiVersion: Literal["v1"] = "v1"
    kind: Literal["Secret"] = "Secret"
    type: str = "Opaque"
    data: dict[str, str] = Field(default_factory=dict)
    stringData: dict[str, str] = Field(default_factory=dict)
    immutable: StrictBool | None = None
