"""`kubectl describe`: which objects, one after the other with two empty lines between them.

Called by: `command`. The texts are those of the `describe_*` files; a name may be the beginning of one.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from netsim.cluster.objects import ApiObject
from netsim.experiment.kubectl import describe_net, describe_nodes, describe_workloads
from netsim.experiment.kubectl.arguments import Flag, Given, boolean
from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.kubectl.output import fetch, parse_selector
from netsim.experiment.kubectl.resources import Target, targets
from netsim.experiment.kubectl.tabwriter import DESCRIBE, align

FLAGS: Final = (
    boolean("all-namespaces", "A", "all namespaces"),
    Flag("selector", "l", help="labels"),
    boolean("show-events"),
)
DESCRIBERS: Final[Mapping[str, Callable[[Context, Any], str]]] = {
    "Pod": describe_workloads.pod_text,
    "Deployment": describe_workloads.deployment_text,
    "ReplicaSet": describe_workloads.replica_set_text,
    "StatefulSet": describe_workloads.stateful_set_text,
    "DaemonSet": describe_workloads.daemon_set_text,
    "Service": describe_net.service_text,
    "Endpoints": describe_net.endpoints_text,
    "EndpointSlice": describe_net.slice_text,
    "Ingress": describe_net.ingress_text,
    "Node": describe_nodes.node_text,
    "Namespace": describe_nodes.namespace_text,
    "ConfigMap": describe_nodes.config_map_text,
}


def describe(context: Context, given: Given) -> int:
    """kubectl describe"""
    if not given.args:
        raise KubectlError("error: You must specify the type of resource to describe. ")
    namespace = None if given.is_set("all-namespaces") else given.get("namespace", context.namespace)
    labels = parse_selector(given.get("selector"))
    found: list[ApiObject] = []
    for target in targets(given.args, context.api):
        found += [item for item in _found(context, target, namespace) if labels.matches(item.metadata.labels)]
    if not found:
        where = f" in {namespace} namespace." if namespace else ""
        context.err(f"No resources found{where}\n")
    texts = [align(text_of(context, item), DESCRIBE) for item in found]
    context.out("\n\n".join(texts))
    return 0


def text_of(context: Context, item: ApiObject) -> str:
    """One description, with tabs."""
    return DESCRIBERS.get(item.kind, describe_nodes.other_text)(context, item)


def _found(context: Context, target: Target, namespace: str | None) -> list[ApiObject]:
    """By name, or by the beginning of one (describe's DescribeMatchingResources)."""
    try:
        return fetch(context, target.resource, namespace, target.name)
    except KubectlError:
        every = fetch(context, target.resource, namespace)
        matching = [item for item in every if item.metadata.name.startswith(target.name)]
        if not matching:
            raise
        return matching
