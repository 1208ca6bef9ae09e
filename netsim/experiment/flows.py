"""Observing a cluster as Hubble does: who is who from the API, what happened from the nodes' interfaces.

Called by `netsim get flows` and `Cluster.observe`. Pods are known by their labels at the beginning and at the end; one
that came and went in between is known by its name.
"""

from typing import TYPE_CHECKING, Any

from netsim.cluster.objects import Pod, ReplicaSet, Service
from netsim.fabric.host import HostNetworkPod
from netsim.fabric.tcpdump import Tcpdump
from netsim.measure.flows import flows
from netsim.measure.flows_endpoints import Directory, PodEntry, label_texts
from netsim.wire.addr import ip

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.fabric.host import PodHost

Message = dict[str, Any]


class Observed:
    """What is heard from now on."""

    def __init__(self, cluster: "Cluster", host: str) -> None:
        self._cluster = cluster
        self._only = (
            frozenset(cluster.host(host if "/" in host else f"node/{host}").addresses) if host else None
        )
        self._directory = Directory()
        self._dump = Tcpdump(cluster.fabric, ["node/*"], all_drops=True)
        self._learn()

    def flows(self, verdict: str = "") -> list[Message]:
        """Everything until now, as GetFlowsResponse messages, oldest first."""
        self._learn()
        found = flows(self._dump, self._directory, self._cluster.epoch_ns)
        return [message for message in found if self._wants(message["flow"], verdict)]

    def stop(self) -> None:
        """Listen no more."""
        self._dump.stop()

    def _wants(self, flow: Message, verdict: str) -> bool:
        if verdict and flow["verdict"] != verdict:
            return False
        ends = {ip(flow["IP"]["source"]), ip(flow["IP"]["destination"])}
        return self._only is None or bool(ends & self._only)

    # ------------------------------------------------------------------ who is who
    def _learn(self) -> None:
        cluster, directory = self._cluster, self._directory
        fabric = cluster.fabric
        directory.nodes |= {a: node.name for node in fabric.nodes.values() for a in node.addresses}
        pods = {"/".join(pod.key): pod for pod in cluster.api.list(Pod)}
        for host in (*fabric.gone, *fabric.pods.values()):
            if not isinstance(host, HostNetworkPod):
                self._learn_pod(host, pods.get(host.name))  # type: ignore[arg-type]  # only pods go
        for service in cluster.api.list(Service):
            addresses = [] if service.spec.clusterIP in ("", "None") else list(service.spec.clusterIPs)
            addresses += [ingress.ip for ingress in service.status.loadBalancer.ingress if ingress.ip]
            directory.services |= {ip(address): service.key for address in addresses}

    def _learn_pod(self, host: "PodHost", pod: Pod | None) -> None:
        directory = self._directory
        directory.pod_nodes[host.name] = host.node.name
        namespace, name = host.name.split("/", 1)
        known = directory.pods.get(host.address)
        if pod is None and known is not None and known.name == name:
            return
        labels = label_texts(pod.metadata.labels) if pod is not None else ()
        workload = self._workload(pod) if pod is not None else ("", "")
        entry = PodEntry(namespace, name, labels, workload)
        directory.pods |= dict.fromkeys(host.addresses, entry)

    def _workload(self, pod: Pod) -> tuple[str, str]:
        """The controller's controller for a Deployment's pods, as Hubble names workloads."""
        owner = pod.metadata.controller()
        if owner is None:
            return "Pod", pod.metadata.name
        if owner.kind == "ReplicaSet":
            replica_set = self._cluster.api.get(ReplicaSet, pod.metadata.namespace, owner.name)
            above = replica_set.metadata.controller() if replica_set is not None else None
            if above is not None:
                return above.kind, above.name
        return owner.kind, owner.name


def observe(cluster: "Cluster", host: str = "") -> Observed:
    """Listen on all nodes from now on; with a host, for what it sends and gets. Raises LookupError for an unknown
    one."""
    return Observed(cluster, host)
