"""`kubectl scale`, `label`, `annotate` and `set image`.

Called by: `command`. Sources: k8s.io/kubectl/pkg/cmd/{scale,label,annotate,set}.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from netsim.cluster.objects import ApiObject, evolve
from netsim.cluster.operations import SCALABLE, change, scale, set_image
from netsim.cluster.validation.names import label_value, qualified_name
from netsim.experiment.kubectl.arguments import Flag, Given, boolean
from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.kubectl.output import fetch, parse_selector
from netsim.experiment.kubectl.resources import Resource, targets

SELECTING: Final = (
    Flag("selector", "l", help="labels"),
    boolean("all", help="all of the kind"),
    boolean("all-namespaces", "A"),
)
SCALE_FLAGS: Final = (
    Flag("replicas", help="the new number of replicas"),
    Flag("current-replicas", help="change only from this number"),
    *SELECTING,
)
LABEL_FLAGS: Final = (boolean("overwrite", help="replace a value"), *SELECTING)
SET_FLAGS: Final = SELECTING


def selected(context: Context, given: Given, words: Sequence[str]) -> list[tuple[Resource, ApiObject]]:
    """The objects that a command means. Raises KubectlError when a name is not there, or none is given."""
    namespace = None if given.is_set("all-namespaces") else given.get("namespace", context.namespace)
    labels = parse_selector(given.get("selector"))
    several = given.is_set("all") or given.is_set("all-namespaces") or bool(given.get("selector"))
    found: list[tuple[Resource, ApiObject]] = []
    for target in targets(words, context.api):
        if not target.name and not several:
            raise KubectlError("error: resource(s) were provided, but no name was specified")
        items = fetch(context, target.resource, namespace, target.name)
        found += [(target.resource, item) for item in items if labels.matches(item.metadata.labels)]
    return found


def scale_verb(context: Context, given: Given) -> int:
    """kubectl scale"""
    text = given.get("replicas")
    if not text:
        raise KubectlError('error: required flag(s) "replicas" not set')
    if not text.isdigit():
        raise KubectlError(
            "error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"
        )
    found = selected(context, given, given.args)
    if not found:
        raise KubectlError("error: no objects passed to scale")
    before = given.get("current-replicas", "-1")
    for resource, item in found:
        if item.kind not in SCALABLE:
            raise KubectlError(
                "Error from server (NotFound): the server could not find the requested resource"
            )
        have = getattr(item, "spec").replicas  # noqa: B009 - the model is one of SCALABLE, which mypy cannot know
        if before != "-1" and str(have) != before:
            raise KubectlError(f"error: Expected replicas to be {before}, was {have}")
        scale(context.api, item, int(text))
        context.out(f"{resource.named(item.metadata.name)} scaled\n")
    return 0


# ---------------------------------------------------------------------- labels and annotations
def label(context: Context, given: Given) -> int:
    """kubectl label"""
    return _marks(context, given, "labels", "label")


def annotate(context: Context, given: Given) -> int:
    """kubectl annotate"""
    return _marks(context, given, "annotations", "annotation")


def _marks(context: Context, given: Given, field: str, word: str) -> int:
    words = [arg for arg in given.args if not _is_change(arg)]
    changes = [arg for arg in given.args if _is_change(arg)]
    if not changes:
        raise KubectlError(f"error: at least one {word} update is required")
    new = dict(arg.split("=", 1) for arg in changes if "=" in arg)
    removed = [arg[:-1] for arg in changes if "=" not in arg]
    for resource, item in selected(context, given, words):
        before = dict(getattr(item.metadata, field))
        for key, value in new.items():
            if not given.is_set("overwrite") and before.get(key, value) != value:
                raise KubectlError(
                    f"error: '{key}' already has a value ({before[key]}), and --overwrite is false"
                )
        for key in removed:
            if key not in before:
                context.out(f'{word} "{key}" not found.\n')
        after = {key: value for key, value in {**before, **new}.items() if key not in removed}
        _check(item, after, field)
        change(context.api, item, partial(evolve, **{f"metadata__{field}": after}))
        context.out(f"{resource.named(item.metadata.name)} {_done(before, after, removed, field)}\n")
    return 0


def _done(before: dict[str, str], after: dict[str, str], removed: list[str], field: str) -> str:
    if field == "annotations":
        return "annotated"
    if before == after:
        return "not labeled"
    return "unlabeled" if removed and set(after) < set(before) else "labeled"


def _is_change(arg: str) -> bool:
    return "=" in arg or (arg.endswith("-") and len(arg) > 1)


def _check(item: ApiObject, after: dict[str, str], field: str) -> None:
    for key, value in after.items():
        for problem in (*qualified_name(key), *(label_value(value) if field == "labels" else ())):
            shown = value if problem in label_value(value) else key
            raise KubectlError(
                f'The {item.kind} "{item.metadata.name}" is invalid: metadata.{field}: '
                f'Invalid value: "{shown}": {problem}'
            )


# ---------------------------------------------------------------------- set image
def set_verb(context: Context, given: Given) -> int:
    """kubectl set image"""
    if given.args[:1] != ["image"]:
        raise KubectlError("error: only `kubectl set image` is simulated")
    words = [arg for arg in given.args[1:] if "=" not in arg]
    images = dict(arg.split("=", 1) for arg in given.args[1:] if "=" in arg)
    if not words:
        raise KubectlError(
            "error: one or more resources must be specified as <resource> <name> or <resource>/<name>"
        )
    if not images:
        raise KubectlError("error: at least one image update is required")
    for resource, item in selected(context, given, words):
        try:
            changed = set_image(context.api, item, images)
        except LookupError as error:
            raise KubectlError(f"error: {error.args[0]}") from None
        except AttributeError:
            raise KubectlError(f"error: {resource.plural} have no pod template") from None
        if changed.metadata.resourceVersion != item.metadata.resourceVersion:
            context.out(f"{resource.named(item.metadata.name)} image updated\n")
    return 0
