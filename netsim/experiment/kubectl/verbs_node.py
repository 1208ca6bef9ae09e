"""`kubectl cordon`, `uncordon` and `drain`.

Called by: `command`. Source: k8s.io/kubectl/pkg/cmd/drain, pkg/drain. A drain asks again every five seconds for pods
whose budget refuses, and waits until the evicted ones are gone.
"""

from collections.abc import Sequence
from typing import Final

from netsim.cluster.errors import NotFoundError, TooManyRequestsError
from netsim.cluster.eviction import evict
from netsim.cluster.objects import Node, Pod
from netsim.cluster.operations import DrainPlan, cordon, drain_plan
from netsim.engine import S
from netsim.experiment.kubectl.arguments import Flag, Given, boolean
from netsim.experiment.kubectl.context import Context, KubectlError, seconds
from netsim.experiment.kubectl.output import parse_selector

CORDON_FLAGS: Final = (Flag("selector", "l", help="labels of nodes"),)
DRAIN_FLAGS: Final = (
    boolean("ignore-daemonsets", help="leave DaemonSet pods alone"),
    boolean("force", help="also pods without a controller"),
    boolean("delete-emptydir-data"),
    boolean("disable-eviction"),
    Flag("grace-period", help="seconds; -1: the pod's own"),
    Flag("timeout", help="how long to wait"),
    Flag("pod-selector", help="labels of pods"),
    *CORDON_FLAGS,
)
_LIMIT_NS: Final = 3600 * S
_RETRY_NS: Final = 5 * S  # evictPods in pkg/drain/drain.go


def _nodes(context: Context, given: Given, verb: str) -> list[str]:
    if given.get("selector"):
        labels = parse_selector(given.get("selector"))
        return sorted(
            node.metadata.name for node in context.api.list(Node) if labels.matches(node.metadata.labels)
        )
    if not given.args:
        raise KubectlError(
            f"error: USAGE: {verb} NODE [flags]\nSee 'kubectl {verb} -h' for help and examples"
        )
    names = [arg.removeprefix("node/").removeprefix("nodes/") for arg in given.args]
    for name in names:
        if context.api.get(Node, "", name) is None:
            raise KubectlError(f'Error from server (NotFound): nodes "{name}" not found')
    return names


def cordon_verb(context: Context, given: Given) -> int:
    """kubectl cordon"""
    return _mark(context, _nodes(context, given, "cordon"), "cordoned", True)


def uncordon(context: Context, given: Given) -> int:
    """kubectl uncordon"""
    return _mark(context, _nodes(context, given, "uncordon"), "uncordoned", False)


def _mark(context: Context, nodes: Sequence[str], word: str, unschedulable: bool) -> int:
    for node in nodes:
        try:
            news = cordon(context.api, node, unschedulable)
        except NotFoundError as error:
            raise KubectlError(f"Error from server (NotFound): {error}") from None
        context.out(f"node/{node} {'' if news else 'already '}{word}\n")
    return 0


def drain(context: Context, given: Given) -> int:
    """kubectl drain"""
    nodes = _nodes(context, given, "drain")
    _mark(context, nodes, "cordoned", True)
    code = 0
    for node in nodes:
        code = max(code, _drain(context, given, node))
    return code


def _drain(context: Context, given: Given, node: str) -> int:
    plan = _selected(drain_plan(context.api, node), given)
    reasons = _reasons(plan, given)
    if reasons:
        listed = reasons[0] if len(reasons) == 1 else f"[{', '.join(reasons)}]"
        context.err(f'error: unable to drain node "{node}" due to error: {listed}, continuing command...\n')
        context.err(f"There are pending nodes to be drained:\n {node}\n" + "".join(f"{r}\n" for r in reasons))
        return 1
    _warn(context, plan)
    pods = [*plan.evict, *plan.unmanaged]
    _wait(context, given, pods)
    context.out(f"node/{node} drained\n")
    return 0


def _selected(plan: DrainPlan, given: Given) -> DrainPlan:
    labels = parse_selector(given.get("pod-selector"))
    kept = (
        tuple(pod for pod in pods if labels.matches(pod.metadata.labels))
        for pods in (plan.evict, plan.daemons, plan.unmanaged)
    )
    return DrainPlan(*kept)


def _listed(pods: Sequence[Pod]) -> str:
    return ", ".join("/".join(pod.key) for pod in pods)


def _reasons(plan: DrainPlan, given: Given) -> list[str]:
    """Why nothing is drained (the filters' messages)."""
    found = []
    if plan.daemons and not given.is_set("ignore-daemonsets"):
        found.append(
            f"cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): {_listed(plan.daemons)}"
        )
    if plan.unmanaged and not given.is_set("force"):
        found.append(
            "cannot delete Pods that declare no controller (use --force to override): "
            + _listed(plan.unmanaged)
        )
    return found


def _warn(context: Context, plan: DrainPlan) -> None:
    parts = []
    if plan.daemons:
        parts.append(f"ignoring DaemonSet-managed Pods: {_listed(plan.daemons)}")
    if plan.unmanaged:
        parts.append(f"deleting Pods that declare no controller: {_listed(plan.unmanaged)}")
    if parts:
        context.err(f"Warning: {'; '.join(parts)}\n")


def _wait(context: Context, given: Given, pods: Sequence[Pod]) -> None:
    """Evict the pods, as their budgets allow, and say of each when it is gone."""
    seconds_of_grace = int(given.get("grace-period", "-1"))
    grace = None if seconds_of_grace < 0 else seconds_of_grace
    asked = {pod.key: context.now for pod in pods}  # when to ask next; 0: it has been evicted
    left = list(pods)

    def done() -> bool:
        for pod in list(left):
            stored = context.api.get(Pod, *pod.key)
            if stored is None or stored.metadata.uid != pod.metadata.uid:
                context.out(f"pod/{pod.metadata.name} evicted\n")
                left.remove(pod)
            elif asked[pod.key] and context.now >= asked[pod.key]:
                evicted = _evict(context, given, stored, grace)
                asked[pod.key] = 0 if evicted else context.now + _RETRY_NS
        return not left

    text = given.get("timeout", "0s")
    limit_ns = _LIMIT_NS if text in ("0", "0s") else seconds(text, "timeout")
    if not context.wait(done, limit_ns):
        raise KubectlError(f"error: drain did not complete within {text}")


def _evict(context: Context, given: Given, pod: Pod, grace: int | None) -> bool:
    namespace, name = pod.key
    context.out(f"evicting pod {namespace}/{name}\n")
    try:
        if given.is_set("disable-eviction"):
            context.api.delete(Pod, namespace, name, grace)
        else:
            evict(context.api, pod, context.now, grace)
    except TooManyRequestsError as refusal:
        what = f'error when evicting pods/"{name}" -n "{namespace}" (will retry after 5s)'
        context.err(f"{what}: {refusal}\n")
        return False
    return True
