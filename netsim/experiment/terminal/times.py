"""Commands about time: `run 10s`, `until pod NAME ready`, `time`.

Called by: `session`. Time is that of the simulation, counted from the moment at which the cluster had booted.
"""

from collections.abc import Callable, Sequence
from typing import Final

from netsim.cluster.objects import DaemonSet, Deployment, EndpointSlice, StatefulSet
from netsim.engine import MS, format_duration
from netsim.experiment.kubectl.context import Context, KubectlError, seconds
from netsim.experiment.kubectl.output import fetch
from netsim.experiment.kubectl.resources import lookup

_LIMIT: Final = "10m"
UNTIL_HELP: Final = (
    "until pod NAME ready|gone, until deployment NAME available, until endpoints SERVICE [COUNT], "
    "until node NAME ready|notready; --timeout 60s"
)


def moment(context: Context) -> str:
    """`12.5s`, to the millisecond."""
    return format_duration(context.cluster.now_ns // MS * MS)


def run(context: Context, args: Sequence[str]) -> int:
    """run DURATION"""
    if len(args) != 1:
        raise KubectlError("run: how long? For example `run 10s`")
    context.advance(seconds(args[0], "duration") if not args[0].isdigit() else _no_unit(args[0]))
    return 0


def _no_unit(text: str) -> int:
    raise KubectlError(f'run: "{text}" needs a unit (write {text}s or {text}ms)')


def time(context: Context, args: Sequence[str]) -> int:
    """time"""
    if args:
        raise KubectlError("time: takes no words; `run 10s` lets time pass")
    up, started = format_duration(context.cluster.now_ns), format_duration(context.now)
    context.out(f"{up} since the cluster was up ({started} since it was started)\n")
    return 0


def until(context: Context, args: Sequence[str]) -> int:
    """until THING STATE"""
    words, limit = list(args), _LIMIT
    for flag in [word for word in words if word.startswith("--timeout")]:
        at = words.index(flag)
        limit = flag.partition("=")[2] or (words[at + 1] if at + 1 < len(words) else "")
        del words[at : at + (1 if "=" in flag else 2)]
    limit_ns = seconds(limit, "timeout")
    what, test = _condition(context, words)
    begun = context.now
    if not context.wait(test, limit_ns):
        raise KubectlError(f"until: not so within {format_duration(limit_ns)}: {what}")
    context.out(f"{what} after {format_duration(context.now - begun)}, at {moment(context)}\n")
    return 0


def _condition(context: Context, words: Sequence[str]) -> tuple[str, Callable[[], bool]]:
    kind, _, name = (words[0] if words else "").partition("/")
    rest = ([name] if name else []) + list(words[1:])
    if not kind:
        raise KubectlError(f"until: write {UNTIL_HELP}")
    resource = lookup(kind, context.api)
    if not rest or rest[0] in ("ready", "available"):
        return _every(context, resource.kind)
    if resource.kind in ("Service", "Endpoints", "EndpointSlice"):
        return _endpoints(context, rest)
    state = rest[1].lower() if len(rest) > 1 else "ready"
    if state not in _STATES.get(resource.kind, ()):
        known = ", ".join(_STATES.get(resource.kind, ())) or "nothing"
        raise KubectlError(f'until: a {resource.kind} cannot be "{state}" (known: {known})')
    fetch(context, resource, context.namespace, rest[0])  # it must be there to begin with
    return f"{resource.singular} {rest[0]} {state}", lambda: _is(context, resource.kind, rest[0], state)


_STATES: Final = {
    "Pod": ("ready", "gone", "notready"),
    "Deployment": ("available", "ready"),
    "StatefulSet": ("ready",),
    "DaemonSet": ("ready",),
    "Node": ("ready", "notready"),
}


def _is(context: Context, kind: str, name: str, state: str) -> bool:
    namespace = "" if kind == "Node" else context.namespace
    item = context.api.get(kind, namespace, name)
    if item is None:
        return state == "gone"
    if state == "gone":
        return False
    return ready(item) == (state != "notready")


def ready(item: object) -> bool:
    """Whether a pod or node is Ready, a workload complete."""
    if isinstance(item, Deployment):
        status, wanted = item.status, item.spec.replicas
        current = status.observedGeneration >= item.metadata.generation
        return current and status.updatedReplicas == status.availableReplicas == status.replicas == wanted
    if isinstance(item, StatefulSet):
        return item.status.readyReplicas == item.spec.replicas == item.status.updatedReplicas
    if isinstance(item, DaemonSet):
        return item.status.numberReady == item.status.desiredNumberScheduled > 0
    condition = item.status.condition("Ready")  # type: ignore[attr-defined] # a Pod or a Node
    return condition is not None and condition.status == "True"


def _every(context: Context, kind: str) -> tuple[str, Callable[[], bool]]:
    """`until pods ready`: all of the namespace."""
    namespace = None if kind == "Node" else context.namespace

    def test() -> bool:
        found = context.api.list(kind, namespace)
        return bool(found) and all(ready(item) for item in found)

    if kind not in _STATES:
        raise KubectlError(f"until: write {UNTIL_HELP}")
    return f"all {lookup(kind, context.api).plural} ready", test


def _endpoints(context: Context, rest: Sequence[str]) -> tuple[str, Callable[[], bool]]:
    """`until endpoints my-nginx 3`"""
    count = 1
    if len(rest) > 1:
        if not rest[1].isdigit():
            raise KubectlError(f'until: "{rest[1]}" is no number of endpoints')
        count = int(rest[1])
    fetch(context, lookup("svc", context.api), context.namespace, rest[0])

    def test() -> bool:
        ready_now = {
            endpoint.addresses
            for item in context.api.list(EndpointSlice, context.namespace)
            if item.service_name == rest[0]
            for endpoint in item.endpoints
            if endpoint.conditions.ready is not False
        }
        return len(ready_now) == count if len(rest) > 1 else bool(ready_now)

    return f"endpoints of {rest[0]}: {count if len(rest) > 1 else 'some'}", test
