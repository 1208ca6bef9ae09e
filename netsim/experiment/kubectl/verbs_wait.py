"""`kubectl wait`: until a condition holds, a field has a value, or an object is gone.

Called by: `command`. Source: k8s.io/kubectl/pkg/cmd/wait.
"""

from typing import Any, Final

from netsim.cluster.objects import ApiObject
from netsim.experiment.kubectl.arguments import Flag, Given
from netsim.experiment.kubectl.context import Context, KubectlError, seconds
from netsim.experiment.kubectl.document import document
from netsim.experiment.kubectl.jsonpath import plain, select
from netsim.experiment.kubectl.resources import Resource
from netsim.experiment.kubectl.verbs_change import SELECTING, selected

FLAGS: Final = (
    Flag("for", help="condition=NAME[=VALUE], delete, create, jsonpath='{...}'=VALUE"),
    Flag("timeout", help="how long (30s unless given)"),
    *SELECTING,
)


def wait(context: Context, given: Given) -> int:
    """kubectl wait"""
    wanted = given.get("for")
    if not wanted:
        raise KubectlError("error: --for is required")
    limit_ns = seconds(given.get("timeout", "30s"), "timeout")
    found = selected(context, given, given.args)
    if not found:
        raise KubectlError("error: no matching resources found")
    end = context.now + limit_ns
    for resource, item in found:
        if not context.wait(lambda item=item: _holds(context, item, wanted), max(0, end - context.now)):  # type: ignore[misc]
            name = item.metadata.name
            raise KubectlError(f"error: timed out waiting for the condition on {resource.plural}/{name}")
        context.out(f"{_line(resource, item, wanted)}\n")
    return 0


def _line(resource: Resource, item: ApiObject, wanted: str) -> str:
    named = resource.named(item.metadata.name)
    return f"{named} deleted" if wanted.lower() == "delete" else f"{named} condition met"


def _holds(context: Context, item: ApiObject, wanted: str) -> bool:
    stored: Any = context.api.get(item.kind, *item.key)
    kind, _, rest = wanted.partition("=")
    if kind.lower() == "delete":
        return stored is None or stored.metadata.uid != item.metadata.uid
    if stored is None:
        return False
    if kind.lower() == "create":
        return True
    if kind == "condition":
        name, _, value = rest.partition("=")
        return any(
            condition.type.lower() == name.lower() and condition.status.lower() == (value or "True").lower()
            for condition in getattr(stored.status, "conditions", ())
        )
    if kind == "jsonpath":
        path, _, value = rest.rpartition("=")
        path, value = (rest, "") if not path or not path.strip("'\"").endswith("}") else (path, value)
        values = [plain(part) for part in select(document(stored), path.strip("'\"").strip("{}"))]
        return bool(values) and (not value or value.strip("'\"") in values)
    raise KubectlError(f'error: unrecognized condition: "{wanted}"')
