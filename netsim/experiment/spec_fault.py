"""An entry of an experiment's `faults:`: what goes wrong or is done, in the words of Chaos Mesh and kubectl.

Called by: `spec_experiment` (the document), `rules_faults` (which fields go with which action), `play`.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from netsim.experiment.kubectl.resources import object_name
from netsim.experiment.spec_fields import Duration, LinkRate, Percent, PositiveDuration, SpecModel
from netsim.experiment.spec_select import Selector

Action = Literal[
    "pod-kill", "pod-delete", "pod-hang", "node-crash", "link-down", "link-netem", "kube-proxy-stop",
    "api-outage", "api-cut", "partition",
    "scale", "rollout", "cordon", "uncordon", "drain", "apply", "delete",
]  # fmt: skip

# What an action cannot do without, beside `at` and `action`.
REQUIRED: Final = {
    **dict.fromkeys(
        ("pod-kill", "pod-delete", "pod-hang", "node-crash", "link-down", "link-netem", "kube-proxy-stop"),
        ("selector",),
    ),
    **dict.fromkeys(("api-cut", "cordon", "uncordon", "drain"), ("selector",)),
    "api-outage": (),
    "partition": ("selector", "target"),
    "scale": ("object", "replicas"),
    "rollout": ("object",),
    "apply": ("manifest",),
    "delete": ("object",),
}


def _object(value: str) -> str:
    object_name(value)  # raises a ValueError that says what to write
    return value


def _manifest(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("must be a manifest: a mapping with apiVersion, kind and metadata")
    return value


def _schema(schema: dict[str, Any]) -> None:
    """For editors: which action needs which fields."""
    schema["allOf"] = [
        {"if": {"properties": {"action": {"const": action}}}, "then": {"required": list(needed)}}
        for action, needed in REQUIRED.items()
        if needed
    ]


class Fault(SpecModel):
    """Something that goes wrong, or that somebody does, at a time, to some of the selected things, for a while or for
    good.

    pod-kill: the processes die (SIGKILL). pod-delete: `kubectl delete pod`. pod-hang: processes stop answering, sockets
    stay. node-crash: power loss of the selected node, or of the node of a selected pod. link-down, link-netem: the
    cable of a node, a pod or an outside host. kube-proxy-stop: rules stay as they are. api-outage: the API server is
    down. api-cut: the selected nodes do not reach it. partition: the selected machines and those of `target` do not
    hear each other (`direction`: as the selected ones see it). scale (`replicas`), rollout (restart, or a new `image`),
    delete: kubectl's, on an `object` such as deployment/my-nginx in `namespace`. apply: a `manifest`. cordon, uncordon,
    drain: kubectl's, on nodes; a drain may have a `gracePeriod` and a `timeout`. `value` goes with the modes fixed (a
    number) and fixed-percent (a percentage).
    """

    model_config = ConfigDict(json_schema_extra=_schema)

    at_ns: Duration = Field(alias="at")
    for_ns: PositiveDuration | None = Field(None, alias="for")
    action: Action
    selector: Selector = Selector()
    target: Selector | None = None
    mode: Literal["one", "all", "fixed", "fixed-percent"] = "one"
    value: int | str | None = None
    delay_ns: Duration | None = Field(None, alias="delay")
    jitter_ns: Duration | None = Field(None, alias="jitter")
    rate_bps: LinkRate | None = Field(None, alias="rate")
    loss: Percent | None = None
    duplicate: Percent | None = None
    reorder: Percent | None = None
    corrupt: Percent | None = None
    direction: Literal["both", "to", "from"] = "both"
    grace_period_ns: Duration | None = Field(None, alias="gracePeriod")
    object: Annotated[str, AfterValidator(_object)] | None = None
    namespace: str | None = None
    replicas: Annotated[int, Field(strict=True, ge=0, le=5000)] | None = None
    image: Annotated[str, Field(min_length=1)] | None = None
    manifest: Annotated[dict[str, Any], BeforeValidator(_manifest)] | None = None
    timeout_ns: PositiveDuration | None = Field(None, alias="timeout")
