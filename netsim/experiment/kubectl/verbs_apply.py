"""`kubectl apply`, `create -f` and `delete`.

Called by: `command`. Sources: k8s.io/kubectl/pkg/cmd/{apply,create,delete}. A deletion waits until the object is gone,
as kubectl does unless `--wait=false`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from netsim.cluster.admission import validate
from netsim.cluster.controlplane import applied
from netsim.cluster.errors import ApiError, InvalidError
from netsim.cluster.objects import ApiObject, Namespace, ObjectMeta, evolve
from netsim.cluster.operations import check_update, merged
from netsim.engine import S
from netsim.experiment.kubectl.arguments import Flag, Given, boolean
from netsim.experiment.kubectl.context import Context, KubectlError, seconds
from netsim.experiment.kubectl.document import document, to_yaml
from netsim.experiment.kubectl.manifests import files_of, read
from netsim.experiment.kubectl.output import fetch, parse_selector
from netsim.experiment.kubectl.resources import Resource, resource_of, targets

FILES: Final = (Flag("filename", "f", help="a file, a folder, or - for stdin"), boolean("recursive", "R"))
APPLY_FLAGS: Final = (
    *FILES,
    Flag("output", "o", help="name or yaml"),
    Flag("dry-run", implied="unchanged", help="client or server: change nothing"),
    boolean("server-side"),
    boolean("force-conflicts"),
    Flag("field-manager"),
    boolean("prune"),
    boolean("validate"),
)
DELETE_FLAGS: Final = (
    *FILES,
    Flag("selector", "l", help="labels"),
    boolean("all", help="all of the kind"),
    boolean("all-namespaces", "A"),
    boolean("force", help="with --grace-period=0: remove at once"),
    boolean("now", help="a grace period of one second"),
    boolean("wait", help="wait until it is gone (default true)"),
    boolean("ignore-not-found"),
    Flag("grace-period", help="seconds"),
    Flag("timeout", help="how long to wait"),
    Flag("cascade", implied="background"),
    Flag("output", "o", help="name"),
)
_GONE_LIMIT_NS: Final = 3600 * S


def apply(context: Context, given: Given) -> int:
    """kubectl apply -f FILE"""
    return _from_files(context, given, "apply", _apply_one)


def create(context: Context, given: Given) -> int:
    """kubectl create -f FILE, kubectl create namespace NAME"""
    if given.args[:1] in (["namespace"], ["ns"]) and len(given.args) == 2:
        item = Namespace(metadata=ObjectMeta(name=given.args[1]))
        verb = _create_one(context, item, "")
        context.out(f"{resource_of('Namespace').named(item.metadata.name)} {verb}\n")
        return 0
    if given.args:
        raise KubectlError("error: only `kubectl create -f FILE` and `create namespace NAME` are simulated")
    return _from_files(context, given, "create", _create_one)


def _from_files(
    context: Context, given: Given, verb: str, one: Callable[[Context, ApiObject, str], str]
) -> int:
    names = given.all("filename")
    if not names:
        raise KubectlError("error: must specify one of -f and -k")
    if given.args:
        raise KubectlError(f"error: Unexpected args: [{' '.join(given.args)}]")
    dry = given.get("dry-run") if given.has("dry-run") else ""
    code = 0
    for name in files_of(names, given.is_set("recursive")):
        shown = "STDIN" if name == "-" else name
        for found in read(context, name):
            resource = resource_of(found.kind, found.apiVersion)
            item = _placed(found, resource, given)
            try:
                done = _dry(context, item) if dry else one(context, item, shown)
            except KubectlError as error:
                context.err(f"{error}\n")
                code = error.code
                continue
            _tell(context, given, resource, item, done, f" ({dry} dry run)" if dry else "")
    return code


def _tell(context: Context, given: Given, resource: Resource, item: ApiObject, done: str, dry: str) -> None:
    form = given.get("output")
    if form == "yaml":
        context.out(to_yaml(document(_stored(context, item) or item)))
    elif form == "name":
        context.out(f"{resource.named(item.metadata.name)}\n")
    else:
        context.out(f"{resource.named(item.metadata.name)} {done}{dry}\n")


def _placed(item: ApiObject, resource: Resource, given: Given) -> ApiObject:
    """The object in the namespace of `-n`, which must not contradict the manifest."""
    wanted = given.get("namespace")
    if not wanted or not resource.namespaced:
        return item
    found = item.metadata.namespace
    if found not in ("", "default", wanted):
        raise KubectlError(
            f'error: the namespace from the provided object "{found}" does not match the namespace '
            f"\"{wanted}\". You must pass '--namespace={found}' to perform this operation."
        )
    return evolve(item, metadata__namespace=wanted)


def _stored(context: Context, item: ApiObject) -> ApiObject | None:
    namespace = (item.metadata.namespace or "default") if item.NAMESPACED else ""
    return context.api.get(item.kind, namespace, item.metadata.name)


def _dry(context: Context, item: ApiObject) -> str:
    return "created" if _stored(context, item) is None else "configured"


def _apply_one(context: Context, item: ApiObject, file: str) -> str:
    stored = _stored(context, item)
    if stored is None:
        return _create_one(context, item, file)
    if stored.metadata.deletionTimestamp is not None:
        context.err(
            f"Warning: Detected changes to resource {item.metadata.name} which is currently being deleted.\n"
        )
    changed = merged(stored, item, applied(stored, item))
    if changed == stored:
        return "unchanged"
    try:
        check_update(stored, changed)
        context.api.update(changed)
    except InvalidError as error:
        raise KubectlError(f"The {error}") from None
    return "configured"


def _create_one(context: Context, item: ApiObject, file: str) -> str:
    resource = resource_of(item.kind, item.apiVersion)
    where = f'error when creating "{file}": ' if file else ""
    namespace = item.metadata.namespace
    if item.NAMESPACED and namespace and resource.namespaced:
        space = context.api.get(Namespace, "", namespace)
        if space is None:
            raise KubectlError(f'Error from server (NotFound): {where}namespaces "{namespace}" not found')
    if _stored(context, item) is not None:
        name = item.metadata.name
        raise KubectlError(
            f'Error from server (AlreadyExists): {where}{resource.full} "{name}" already exists'
        )
    _refuse_invalid(item)
    try:
        context.api.create(item)
    except InvalidError as error:
        raise KubectlError(f"The {error}") from None
    except ApiError as error:
        raise KubectlError(f"Error from server: {where}{error}") from None
    return "created"


def _refuse_invalid(item: ApiObject) -> None:
    """The API server's objections, one per line, as kubectl lists several (cmdutil.StandardErrorMessage)."""
    errors = validate(item)
    if len(errors) > 1:
        lines = "\n".join(f"* {error}" for error in errors)
        raise KubectlError(f'The {item.kind} "{item.metadata.name}" is invalid: \n{lines}')


# ---------------------------------------------------------------------- delete
def delete(context: Context, given: Given) -> int:
    """kubectl delete"""
    found = _to_delete(context, given)
    if not found and not given.all("filename"):
        context.out("No resources found\n")
        return 0
    grace = _grace(context, given)
    gone = [item for _, item in found]
    namespaces = {item.metadata.name for item in gone if isinstance(item, Namespace)}
    gone += [other for other in context.api if other.metadata.namespace in namespaces]
    for resource, item in found:
        _delete_one(context, given, resource, item, grace)
    if given.get("wait", "true") == "true" and grace != 0:
        _wait_gone(context, given, gone)
    return 0


def _to_delete(context: Context, given: Given) -> list[tuple[Resource, ApiObject]]:
    names = given.all("filename")
    if names:
        return _of_files(context, given, names)
    if not given.args:
        raise KubectlError("error: You must provide one or more resources by argument or filename.")
    everything = given.is_set("all") or bool(given.get("selector"))
    wanted = targets(given.args, context.api)
    if not everything and any(not target.name for target in wanted):
        raise KubectlError("error: resource(s) were provided, but no name was specified")
    if given.is_set("all") and any(target.name for target in wanted):
        raise KubectlError("error: setting 'all' parameter but found a non empty selector. ")
    namespace = None if given.is_set("all-namespaces") else given.get("namespace", context.namespace)
    labels = parse_selector(given.get("selector"))
    found: list[tuple[Resource, ApiObject]] = []
    for target in wanted:
        try:
            items = fetch(context, target.resource, namespace, target.name)
        except KubectlError:
            if not given.is_set("ignore-not-found"):
                raise
            continue
        found += [(target.resource, item) for item in items if labels.matches(item.metadata.labels)]
    return found


def _of_files(context: Context, given: Given, names: Sequence[str]) -> list[tuple[Resource, ApiObject]]:
    found: list[tuple[Resource, ApiObject]] = []
    for name in files_of(names, given.is_set("recursive")):
        for item in read(context, name):
            resource = resource_of(item.kind, item.apiVersion)
            stored = _stored(context, _placed(item, resource, given))
            if stored is not None:
                found.append((resource, stored))
            elif not given.is_set("ignore-not-found"):
                missing = f'{resource.full} "{item.metadata.name}" not found'
                context.err(f'Error from server (NotFound): error when deleting "{name}": {missing}\n')
    return found


def _grace(context: Context, given: Given) -> int | None:
    text = given.get("grace-period", "1" if given.is_set("now") else "-1")
    if not text.lstrip("-").isdigit():
        raise KubectlError(
            f'error: invalid argument "{text}" for "--grace-period" flag: strconv.ParseInt: parsing "{text}": '
            "invalid syntax"
        )
    grace = int(text)
    if given.is_set("force") and grace < 0:
        grace = 0
    if grace == 0 and not given.is_set("force"):
        return 1  # kubectl: 0 without --force is a second
    if grace == 0:
        context.err(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been "
            "terminated. The resource may continue to run on the cluster indefinitely.\n"
        )
    return None if grace < 0 else grace


def _delete_one(
    context: Context, given: Given, resource: Resource, item: ApiObject, grace: int | None
) -> None:
    if item.kind in ("Event", "Node"):
        raise KubectlError(f"error: {resource.plural} cannot be deleted here")
    if item.kind == "Namespace":
        _empty(context, item.metadata.name)
    if context.api.get(item.kind, *item.key) is not None:
        context.api.delete(item.kind, *item.key, grace)
    if given.get("output") == "name":
        context.out(f"{resource.named(item.metadata.name)}\n")
        return
    kind = f"{resource.singular}.{resource.group}" if resource.group else resource.singular
    way = "force deleted" if grace == 0 else "deleted"
    # Since kubectl 1.34 with the namespace.
    named = resource.namespaced and context.cluster.spec.minor >= 34
    where = f" from {item.metadata.namespace} namespace" if named else ""
    context.out(f'{kind} "{item.metadata.name}" {way}{where}\n')


def _empty(context: Context, namespace: str) -> None:
    """What is in a namespace goes with it; what others own is left to the garbage collector."""
    for other in list(context.api):
        if other.metadata.namespace == namespace and other.metadata.controller() is None:
            context.api.delete(other.kind, *other.key)


def _wait_gone(context: Context, given: Given, items: Sequence[ApiObject]) -> None:
    text = given.get("timeout", "0")
    limit_ns = _GONE_LIMIT_NS if text in ("0", "0s") else seconds(text, "timeout")

    def gone() -> bool:
        return all(_is_gone(context, item) for item in items)

    if not context.wait(gone, limit_ns):
        left = next(item for item in items if not _is_gone(context, item))
        resource = resource_of(left.kind, left.apiVersion)
        raise KubectlError(
            f"error: timed out waiting for the condition on {resource.plural}/{left.metadata.name}"
        )


def _is_gone(context: Context, item: ApiObject) -> bool:
    stored = context.api.get(item.kind, *item.key)
    return stored is None or stored.metadata.uid != item.metadata.uid
