"""Cases of the referee's own, in the shape of upstream's."""

from typing import Any

CLUSTER_IP = "172.30.0.41"
ENDPOINTS = ("10.180.0.1", "10.180.0.2", "10.180.1.1", "10.180.1.2")  # the first two are on the node
POD, OUTSIDER = "10.0.0.2", "203.0.113.2"
LABEL = "kubernetes.io/service-name"


def one_service(mode: str, endpoints: int = 4, protocol: str = "TCP", **spec: Any) -> dict[str, Any]:
    """A Service at port 80 of the CLUSTER_IP, some of the ENDPOINTS at port 8080, and no flows."""
    port = {"port": 80, "protocol": protocol}
    return {
        "id": "own",
        "features": [],
        "proxier": _PROXIER | {"backend": mode},
        "flows": [_flow(source, protocol) for source in (POD, OUTSIDER)],
        "objects": [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"namespace": "ns1", "name": "svc1"},
                "spec": {"clusterIP": CLUSTER_IP, "ports": [port]} | spec,
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"namespace": "ns1", "name": "svc1-1", "labels": {LABEL: "svc1"}},
                "addressType": "IPv4",
                "endpoints": [
                    {
                        "addresses": [address],
                        "nodeName": "test-node" if address.startswith("10.180.0") else "other",
                    }
                    for address in ENDPOINTS[:endpoints]
                ],
                "ports": [{"port": 8080, "protocol": protocol}],
            },
        ],
    }


def client_ip(seconds: int) -> dict[str, Any]:
    """The part of a Service's spec that asks for session affinity."""
    return {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}


_PROXIER = {
    "ipFamily": "IPv4",
    "nodeName": "test-node",
    "nodeIP": "192.168.0.2",
    "nodeIPs": ["192.168.0.2"],
    "localDetector": {"type": "ClusterCIDR", "cidr": "10.0.0.0/8"},
    "masqueradeAll": False,
    "localhostNodePorts": True,
    "nodePortAddresses": None,
    "serviceCIDRs": "172.30.0.0/16",
}


def _flow(source: str, protocol: str) -> dict[str, Any]:
    return {"sourceIP": source, "protocol": protocol, "destIP": CLUSTER_IP, "destPort": 80}
