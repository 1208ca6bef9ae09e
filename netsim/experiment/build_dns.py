"""The DNS side of a cluster: name servers outside, the add-on's objects, node caches, the pods' resolv.conf.

Called by `cluster.py`.
"""

from typing import TYPE_CHECKING

from netsim.cluster.dns.manifests import cluster_dns_address, dns_objects
from netsim.cluster.dns.manifests_kubedns import kube_dns_objects
from netsim.cluster.dns.nodelocal import ADDRESS, NodeLocalCache
from netsim.cluster.dns.outside import Outside, authoritative_server
from netsim.cluster.dns.resolvconf import (
    CURRENT_LIMITS,
    EXPANDED_SINCE,
    LEGACY_LIMITS,
    DnsEvent,
    ResolvConf,
    pod_resolv_conf,
)
from netsim.cluster.objects import ApiObject, Pod
from netsim.cluster.records import ClusterEvent

if TYPE_CHECKING:
    from netsim.engine import Engine
    from netsim.experiment.spec_cluster import ClusterSpec
    from netsim.fabric.fabric import Fabric


def start_name_servers(fabric: "Fabric", spec: "ClusterSpec") -> None:
    """Start the router's resolver and those of the outside hosts that serve names."""
    upstream = spec.dns.upstream
    outside = Outside(fabric.engine, upstream.names, upstream.delay_ns, upstream.loss)
    servers = [outside.resolver(fabric.router)]
    for external in spec.external:
        host = fabric.outside[external.name]
        if external.zone:
            servers.append(authoritative_server(host, external.zone))
        elif external.resolver:
            servers.append(outside.resolver(host))
    for server in servers:
        server.start(fabric.engine.now)


def dns_addon(spec: "ClusterSpec", version: tuple[int, int]) -> list[ApiObject]:
    """The objects of the cluster's DNS servers."""
    networking, dns = spec.networking, spec.dns
    if dns.provider == "kube-dns":
        return kube_dns_objects(networking.serviceSubnet, networking.dnsDomain, dns.pods)
    return dns_objects(networking.serviceSubnet, networking.dnsDomain, dns.pods, version)


def start_node_caches(fabric: "Fabric", spec: "ClusterSpec", node_conf: ResolvConf) -> None:
    """NodeLocal DNSCache on every node, if the topology wants it."""
    if not spec.dns.nodeLocal:
        return
    upstream = cluster_dns_address(spec.networking.serviceSubnet)
    for node in fabric.nodes.values():
        NodeLocalCache(node, upstream, spec.networking.dnsDomain, node_conf).start(fabric.engine.now)


def resolv_conf_of(pod: Pod, spec: "ClusterSpec", node_conf: ResolvConf, engine: "Engine") -> ResolvConf:
    """What the kubelet writes into a pod's resolv.conf; its warnings become events."""
    topic = engine.bus.topic(ClusterEvent)

    def report(event: DnsEvent) -> None:
        for listener in topic:
            listener(
                ClusterEvent(
                    engine.now,
                    "kubelet",
                    event.reason,
                    "Pod",
                    pod.metadata.namespace,
                    pod.metadata.name,
                    pod.spec.nodeName,
                    {"message": event.message},
                )
            )

    address = ADDRESS if spec.dns.nodeLocal else cluster_dns_address(spec.networking.serviceSubnet)
    limits = CURRENT_LIMITS if spec.minor >= EXPANDED_SINCE else LEGACY_LIMITS
    return pod_resolv_conf(pod, (address,), spec.networking.dnsDomain, node_conf, (), report, limits)
