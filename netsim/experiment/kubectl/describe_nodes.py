"""`kubectl describe` of nodes, namespaces, ConfigMaps, and of kinds that have no description of their own.

Called by: `describe`. Source: k8s.io/kubectl/pkg/describe/describe.go, Kubernetes 1.34.
"""

from netsim.cluster.objects import ApiObject, ConfigMap, Lease, Namespace, Node, Pod
from netsim.experiment.kubectl.columns_core import node_roles
from netsim.experiment.kubectl.context import Context
from netsim.experiment.kubectl.describe_parts import annotations, events_text, head, labels, multiline
from netsim.experiment.kubectl.human import age, rfc1123
from netsim.experiment.kubectl.output import view_of


def node_text(context: Context, node: Node) -> str:
    """A node."""
    text = f"Name:\t{node.metadata.name}\nRoles:\t{node_roles(node, view_of(context))}\n"
    text += labels("Labels", node.metadata.labels) + annotations(node.metadata.annotations)
    text += f"CreationTimestamp:\t{rfc1123(node.metadata.creationTimestamp or 0)}\n"
    taints = (
        f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
        for taint in node.spec.taints
    )
    text += multiline("Taints", taints)
    text += f"Unschedulable:\t{str(node.spec.unschedulable).lower()}\n"
    text += _lease(context, node) + _conditions(node) + _addresses(node)
    if node.spec.podCIDR:
        text += f"PodCIDR:\t{node.spec.podCIDR}\nPodCIDRs:\t{','.join(node.spec.podCIDRs)}\n"
    return text + _pods(context, node) + events_text(context, node)


def _lease(context: Context, node: Node) -> str:
    lease = context.api.get(Lease, "kube-node-lease", node.metadata.name)
    if lease is None:
        return ""
    spec = lease.spec
    acquired = rfc1123(spec.acquireTime) if spec.acquireTime is not None else "<unset>"
    renewed = rfc1123(spec.renewTime) if spec.renewTime is not None else "<unset>"
    holder = spec.holderIdentity or "<unset>"
    return f"Lease:\n  HolderIdentity:\t{holder}\n  AcquireTime:\t{acquired}\n  RenewTime:\t{renewed}\n"


def _conditions(node: Node) -> str:
    text = "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n"
    text += "  ----\t------\t-----------------\t------------------\t------\t-------\n"
    for condition in node.status.conditions:
        times = [
            rfc1123(moment) if moment is not None else "<unset>"
            for moment in (condition.lastHeartbeatTime, condition.lastTransitionTime)
        ]
        text += f"  {condition.type} \t{condition.status} \t{times[0]} \t{times[1]} "
        text += f"\t{condition.reason} \t{condition.message}\n"
    return text


def _addresses(node: Node) -> str:
    return "Addresses:\n" + "".join(f"  {entry.type}:\t{entry.address}\n" for entry in node.status.addresses)


def _pods(context: Context, node: Node) -> str:
    pods = [
        pod
        for pod in sorted(context.api.list(Pod), key=lambda item: item.key)
        if pod.spec.nodeName == node.metadata.name and pod.status.phase not in ("Succeeded", "Failed")
    ]
    text = (
        f"Non-terminated Pods:\t({len(pods)} in total)\n  Namespace\tName\t\tAge\n  ---------\t----\t\t---\n"
    )
    for pod in pods:
        ago = age(context.now, pod.metadata.creationTimestamp)
        text += f"  {pod.metadata.namespace}\t{pod.metadata.name}\t\t{ago}\n"
    return text


def namespace_text(_context: Context, item: Namespace) -> str:
    """A namespace."""
    text = head(item, namespace=False) + f"Status:\t{item.status.phase}\n"
    return text + "\nNo resource quota.\n\nNo LimitRange resource.\n"


def config_map_text(context: Context, item: ConfigMap) -> str:
    """A ConfigMap."""
    text = head(item) + "\nData\n====\n"
    for key, value in sorted(item.data.items()):
        text += f"{key}:\n----\n{value}\n\n"
    text += "\nBinaryData\n====\n"
    return text + "\n" + events_text(context, item)


def other_text(context: Context, item: ApiObject) -> str:
    """Any other kind: what all objects have."""
    text = head(item, namespace=bool(item.metadata.namespace))
    text += f"API Version:\t{item.apiVersion}\nKind:\t{item.kind}\n"
    return text + events_text(context, item)
