"""What every API object has in common: metadata, owner references, label selectors, and the model base classes.

Called by: every other file of this folder and whoever makes objects (controllers, kubelet, the loader).
Names and shapes are upstream's (k8s.io/apimachinery/pkg/apis/meta/v1, Kubernetes 1.34), so manifests load verbatim.

Two things differ on purpose:
- times (`creationTimestamp`, `deletionTimestamp`, condition times, Lease times) are integer nanoseconds of simulated
  time; an RFC 3339 text in a manifest (from `kubectl get -o yaml`) is read as nanoseconds since 1970;
- `resourceVersion` is an int (0: not stored yet), because the store compares versions.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from netsim.cluster.objects.inert import Inert

IntOrString = StrictInt | StrictStr
NonNegative = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Protocol = Literal["TCP", "UDP", "SCTP"]
Labels = dict[str, str]


def read_time(value: object) -> object:
    """Nanoseconds of an RFC 3339 text; anything else as it is."""
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)  # RFC 3339, with or without fractions of a second
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000


def _to_version(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdigit() else value


Time = Annotated[int, BeforeValidator(read_time)]


class ApiModel(BaseModel):
    """A frozen part of an API object; unknown fields are errors. Change one with `evolve` or `model_copy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OwnerReference(ApiModel):
    """Who made this object: garbage collection follows `uid`, adoption follows `controller`."""

    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: StrictBool = False
    blockOwnerDeletion: StrictBool = False


class ObjectMeta(ApiModel):
    """Name, labels and the store's book-keeping. `namespace` is "" for cluster-scoped kinds."""

    name: str = ""
    generateName: str = ""
    namespace: str = ""
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)
    uid: str = ""
    resourceVersion: Annotated[int, BeforeValidator(_to_version)] = 0
    generation: StrictInt = 0
    creationTimestamp: Time | None = None
    deletionTimestamp: Time | None = None
    deletionGracePeriodSeconds: NonNegative | None = None
    finalizers: tuple[str, ...] = ()
    ownerReferences: tuple[OwnerReference, ...] = ()
    selfLink: Annotated[Any, Inert()] = None
    managedFields: Annotated[Any, Inert("[ManagedFieldsEntry]")] = None

    def controller(self) -> OwnerReference | None:
        """The owner that manages this object, or None (at most one owner has `controller: true`)."""
        return next((owner for owner in self.ownerReferences if owner.controller), None)


class ApiObject(ApiModel):
    """An object of the API: what the store keeps. Subclasses fix `apiVersion` and `kind`."""

    NAMESPACED: ClassVar[bool] = True

    apiVersion: str
    kind: str
    metadata: ObjectMeta = ObjectMeta()

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name): the identity within one kind."""
        return self.metadata.namespace, self.metadata.name

    def owner_reference(self) -> OwnerReference:
        """The reference that a controller writes into the objects that it makes for this one."""
        return OwnerReference(
            apiVersion=self.apiVersion, kind=self.kind, name=self.metadata.name, uid=self.metadata.uid,
            controller=True, blockOwnerDeletion=True,
        )  # fmt: skip


class ObjectReference(ApiModel):
    """A pointer to another object (an endpoint's `targetRef` names its pod)."""

    apiVersion: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resourceVersion: str = ""
    fieldPath: str = ""


class Condition(ApiModel):
    """One entry of a status's `conditions`; the union of the fields that the kinds use."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    lastTransitionTime: Time | None = None
    lastProbeTime: Time | None = None
    lastHeartbeatTime: Time | None = None
    lastUpdateTime: Time | None = None
    observedGeneration: StrictInt | None = None


def matches_labels(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Does an equality selector (Service.spec.selector, nodeSelector) select these labels? An empty one selects all."""
    return all(labels.get(key) == value for key, value in selector.items())


_OPERATORS: dict[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    # A missing key satisfies NotIn (labels.Requirement.Matches in apimachinery/pkg/labels/selector.go).
    "In": lambda value, values: value is not None and value in values,
    "NotIn": lambda value, values: value is None or value not in values,
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
}


class LabelSelectorRequirement(ApiModel):
    """One `matchExpressions` entry."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Does this requirement hold for these labels?"""
        return _OPERATORS[self.operator](labels.get(self.key), self.values)


class LabelSelector(ApiModel):
    """`matchLabels` and `matchExpressions`, all of which must hold; an empty selector selects everything."""

    matchLabels: Labels = Field(default_factory=dict)
    matchExpressions: tuple[LabelSelectorRequirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Does this selector select these labels?"""
        return matches_labels(self.matchLabels, labels) and all(
            requirement.matches(labels) for requirement in self.matchExpressions
        )


M = TypeVar("M", bound=ApiModel)


def evolve(model: M, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> M:
    """A copy with fields replaced: `evolve(pod, {"status.phase": "Running"})` or `evolve(pod, spec__nodeName="a")`

    A path is field names joined by dots (or by two underscores as a keyword). Values are not validated, as with
    `model_copy`. Raises AttributeError for a path through something that is not a model with that field.
    """
    nested: dict[str, dict[str, Any]] = {}
    flat: dict[str, Any] = {}
    for path, value in (*(changes or {}).items(), *((k.replace("__", "."), v) for k, v in fields.items())):
        head, _, rest = path.partition(".")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            flat[head] = value
    for head, inner in nested.items():
        flat[head] = evolve(flat.get(head, getattr(model, head)), inner)
    for name in flat:
        if name not in type(model).model_fields:
            raise AttributeError(f"{type(model).__name__} has no field {name!r}")
    return model.model_copy(update=flat)
