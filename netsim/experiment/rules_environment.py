"""Containers' environment: against the API server's rules, and the ConfigMaps and Secrets that values come from.

Called by: `rules_objects` (one container) and `loader` (all objects together). Source: validateEnv and
validateEnvVarValueFrom in pkg/apis/core/validation/validation.go.
"""

from collections.abc import Iterable, Iterator, Sequence

from netsim.cluster.kubelet.container_env import FIELD_PATHS, is_field
from netsim.cluster.objects import ApiObject, ConfigMap, Container, EnvVarSource, ObjectMeta, PodSpec, Secret
from netsim.experiment.rules_place import Loaded, Path, Place, template_of
from netsim.experiment.spec_names import did_you_mean

_SOURCES = ("fieldRef", "configMapKeyRef", "secretKeyRef", "resourceFieldRef", "fileKeyRef")
Key = tuple[type[ConfigMap] | type[Secret], str, str]


def check_environment(container: Container, place: Place, path: Path) -> None:
    """Record what the API server would refuse of a container's `env` and `envFrom`."""
    for index, variable in enumerate(container.env):
        where: Path = (*path, "env", index)
        if variable.valueFrom is not None:
            _check_source(variable.valueFrom, bool(variable.value), place, where)
    for index, source in enumerate(container.envFrom):
        where = (*path, "envFrom", index)
        if (source.configMapRef is None) == (source.secretRef is None):
            place.error(where, "write exactly one of configMapRef and secretRef", key=True)
        for field, ref in (("configMapRef", source.configMapRef), ("secretRef", source.secretRef)):
            if ref is not None and not ref.name:
                place.error((*where, field), 'missing field "name"', key=True)


def _check_source(source: EnvVarSource, has_value: bool, place: Place, where: Path) -> None:
    given = [name for name in _SOURCES if getattr(source, name) is not None]
    path: Path = (*where, "valueFrom")
    if has_value:
        place.error(path, "may not be specified when `value` is not empty", key=True)
    if len(given) != 1:
        place.error(path, f"write exactly one of {', '.join(_SOURCES)}", key=True)
    if source.fieldRef is not None and not is_field(source.fieldRef.fieldPath):
        found = source.fieldRef.fieldPath
        known = f"{', '.join(FIELD_PATHS)}, metadata.labels['KEY'] or metadata.annotations['KEY']"
        hint = did_you_mean(found, FIELD_PATHS)
        place.error((*path, "fieldRef", "fieldPath"), f'"{found}" is no field of a pod: write {known}{hint}')
    for name in ("configMapKeyRef", "secretKeyRef"):
        selector = getattr(source, name)
        if selector is not None and not selector.name:
            place.error((*path, name), 'missing field "name"', key=True)


def missing_sources(objects: Sequence[Loaded]) -> tuple[ConfigMap | Secret, ...]:
    """ConfigMaps and Secrets that containers cannot start without and that no manifest has, as Secrets seldom are in
    files: the loader adds them, with the keys that are asked for and empty values."""
    there = {(type(loaded.object), *loaded.object.key) for loaded in objects}
    wanted: dict[Key, dict[str, str]] = {}
    for loaded in objects:
        template = template_of(loaded, 1)
        if template is not None and template.spec is not None:
            for key, field in _asked(template.spec, template.namespace):
                if key not in there:
                    wanted.setdefault(key, {}).update({field: ""} if field else {})
    return tuple(
        kind(metadata=ObjectMeta(name=name, namespace=namespace), data=data)
        for (kind, namespace, name), data in wanted.items()
    )


def _asked(spec: PodSpec, namespace: str) -> Iterator[tuple[Key, str]]:
    """What the pod's containers cannot do without, with the key ("": the whole)."""
    for container in spec.containers:
        for source in container.envFrom:
            for kind, ref in ((ConfigMap, source.configMapRef), (Secret, source.secretRef)):
                if ref is not None and not ref.optional:
                    yield (kind, namespace, ref.name), ""
        for variable in container.env:
            origin = variable.valueFrom or EnvVarSource()
            for kind, selector in ((ConfigMap, origin.configMapKeyRef), (Secret, origin.secretKeyRef)):
                if selector is not None and not selector.optional:
                    yield (kind, namespace, selector.name), selector.key


def told(added: Iterable[ApiObject]) -> Iterator[str]:
    """A note for each that was added."""
    for thing in added:
        name = f"{thing.metadata.namespace}/{thing.metadata.name}"
        yield f"{thing.kind} {name} is used but not defined: it is added, its values empty"
