"""Objects as the API server sends them: what `-o yaml`, `-o json` and `-o jsonpath` show.

Called by: `output`. Defaults are shown where a server shows them, or where somebody set them; times are RFC 3339 from
1970 on, `resourceVersion` is text. What comes out can be applied again.
"""

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.functional_validators import BeforeValidator

from netsim.cluster.objects import ApiObject, OtherObject
from netsim.cluster.objects.meta import read_time
from netsim.experiment.kubectl.human import rfc3339

# Written whatever their value, as the API server fills them in (defaults.go of the kinds).
_SHOWN_DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Container": ("image",),
    "ContainerPort": ("protocol",),
    "DeploymentSpec": ("replicas",),
    "ReplicaSetSpec": ("replicas",),
    "StatefulSetSpec": ("replicas", "podManagementPolicy", "updateStrategy"),
    "StatefulSetUpdateStrategy": ("type",),
    "DeploymentStrategy": ("type",),
    "PodSpec": ("dnsPolicy", "restartPolicy", "terminationGracePeriodSeconds", "enableServiceLinks"),
    "PodStatus": ("phase",),
    "ServicePort": ("protocol",),
    "ServiceSpec": ("type", "sessionAffinity", "internalTrafficPolicy"),
    "ContainerStatus": ("ready", "restartCount", "image"),
    "Condition": ("status", "type"),
    "NamespaceStatus": ("phase",),
    "EndpointPort": ("name", "protocol"),
    "EndpointsPort": ("protocol",),
    "Probe": ("periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"),
    "HTTPGetAction": ("path", "scheme"),
    "Endpoint": ("conditions",),
    "DeploymentStatus": ("replicas",),
    "ReplicaSetStatus": ("replicas",),
}


def document(item: ApiObject) -> dict[str, Any]:
    """The object as plain data, keys sorted as kubectl sorts them."""
    data: dict[str, Any] = {"apiVersion": item.apiVersion}
    if isinstance(item, OtherObject):
        data |= {key: _other(key, value) for key, value in (item.model_extra or {}).items()}
    else:
        data |= _model(item)
    meta = _model(item.metadata)
    if item.metadata.resourceVersion:
        meta["resourceVersion"] = str(item.metadata.resourceVersion)
    else:
        meta.pop("resourceVersion", None)
    meta.pop("managedFields", None)
    meta.pop("selfLink", None)
    data |= {"kind": item.kind, "metadata": dict(sorted(meta.items()))}
    return dict(sorted(data.items()))


def _other(key: str, value: Any) -> Any:
    return rfc3339(value) if key in ("firstTimestamp", "lastTimestamp") else value


def _model(model: BaseModel) -> dict[str, Any]:
    always = _SHOWN_DEFAULTS.get(type(model).__name__, ())
    found = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None or (name not in always and (value == () or value == {} or value == "")):
            continue
        if name not in always and name not in model.model_fields_set and value == _default(field):
            continue
        if _is_time(field.metadata, field.annotation) and isinstance(value, int):
            found[name] = rfc3339(value)
        else:
            shown = _value(value)
            if shown != {} or name in always:
                found[name] = shown
    return dict(sorted(found.items()))


def _default(field: Any) -> Any:
    return field.get_default(call_default_factory=True)


def _is_time(metadata: list[Any], annotation: Any) -> bool:
    """Whether the field's type is `Time` (or `Time | None`)."""
    marks = [
        *metadata,
        *(mark for part in get_args(annotation) for mark in getattr(part, "__metadata__", ())),
    ]
    return any(isinstance(mark, BeforeValidator) and mark.func is read_time for mark in marks)


def _value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _model(value)
    if isinstance(value, tuple | list):
        return [_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _value(part) for key, part in sorted(value.items())}
    return value


# Texts that YAML 1.1 would read as something else: sigs.k8s.io/yaml puts them into double quotes.
_AMBIGUOUS: Final = re.compile(
    r"[-+]?(\d[\d_]*(\.\d*)?([eE][-+]?\d+)?|\.\d+|0x[\da-fA-F]+|0o?[0-7]+|\.inf|\.nan)"
    r"|\d{4}-\d\d?-\d\d?([Tt ].*)?|~|null|true|false|yes|no|on|off|y|n",
    re.IGNORECASE,
)


def to_yaml(data: Any) -> str:
    """As sigs.k8s.io/yaml writes it."""
    from ruamel.yaml import YAML

    writer = YAML(typ="rt")
    writer.default_flow_style = False
    writer.width = 10_000
    out = StringIO()
    writer.dump(_quoted(data), out)
    return out.getvalue()


def _quoted(value: Any) -> Any:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    if isinstance(value, dict):
        return {key: _quoted(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_quoted(part) for part in value]
    if not isinstance(value, str):
        return value
    if "\n" in value:
        return LiteralScalarString(value)
    return DoubleQuotedScalarString(value) if not value or _AMBIGUOUS.fullmatch(value) else value
