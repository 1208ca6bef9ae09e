"""The objects of the DNS add-on, as kubeadm makes them: Deployment coredns, Service kube-dns, ConfigMap coredns.

Called by whoever brings a cluster up. Source: kubernetes cmd/kubeadm/app/phases/addons/dns/manifests.go (008b3652).
ServiceAccount, RBAC objects and security settings are left out, since nothing here acts on them.
"""

from typing import Final

from netsim.cluster.families import parse_subnets
from netsim.cluster.objects import ApiObject, ConfigMap, Deployment, Service
from netsim.wire.addr import ip_text

NAMESPACE: Final = "kube-system"
NAME: Final = "coredns"
SERVICE: Final = "kube-dns"
LABELS: Final = {"k8s-app": "kube-dns"}
IMAGE: Final = "registry.k8s.io/coredns/coredns"
IMAGE_TAG: Final = "v1.12.1"  # kubeadm constants.CoreDNSVersion of Kubernetes 1.34
COREFILE_KEY: Final = "Corefile"
MOUNT_PATH: Final = "/etc/coredns"
# kubeadm since the manifest at 008b3652 (1.32, from memory): names of the cluster are not kept in the cache plugin.
UNCACHED_CLUSTER_NAMES_SINCE: Final = (1, 32)

_CACHE: Final = {
    False: "    cache 30\n",
    True: "    cache 30 {{\n       disable success {domain}\n       disable denial {domain}\n    }}\n",
}
_COREFILE: Final = """.:53 {{
    errors
    health {{
       lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus :9153
    forward . /etc/resolv.conf {{
       max_concurrent 1000
    }}
{cache}    loop
    reload
    loadbalance
}}
"""


def corefile(domain: str = "cluster.local", version: tuple[int, int] = (1, 34)) -> str:
    """kubeadm's Corefile for a cluster domain and a Kubernetes release."""
    cache = _CACHE[version >= UNCACHED_CLUSTER_NAMES_SINCE].format(domain=domain)
    return _COREFILE.format(domain=domain, cache=cache)


def cluster_dns_address(service_subnet: str) -> str:
    """The address of kube-dns: the tenth of the service subnet, of the primary family if there are two (kubeadm
    constants.GetDNSIP). Raises ValueError."""
    return ip_text(parse_subnets(service_subnet)[0].nth(10))


def dns_objects(
    service_subnet: str = "10.96.0.0/16",
    domain: str = "cluster.local",
    replicas: int = 2,
    version: tuple[int, int] = (1, 34),
    corefile_text: str | None = None,
) -> list[ApiObject]:
    """ConfigMap, Service and Deployment, in the order in which kubeadm creates them."""
    data = {COREFILE_KEY: corefile_text if corefile_text is not None else corefile(domain, version)}
    return [
        ConfigMap.model_validate({"metadata": {"name": NAME, "namespace": NAMESPACE}, "data": data}),
        dns_service(cluster_dns_address(service_subnet)),
        _deployment(replicas),
    ]


def dns_service(address: str, server: str = "CoreDNS") -> Service:
    """The Service kube-dns, which keeps its name whoever serves."""
    return Service.model_validate({
        "metadata": {
            "name": SERVICE, "namespace": NAMESPACE, "annotations": {"prometheus.io/port": "9153"},
            "labels": {**LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": server},
        },
        "spec": {
            "clusterIP": address,
            "selector": LABELS,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
            ],
        },
    })  # fmt: skip


def _deployment(replicas: int) -> Deployment:
    return Deployment.model_validate({
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": LABELS},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": _pod()},
        },
    })  # fmt: skip


def _pod() -> dict[str, object]:
    return {
        "priorityClassName": "system-cluster-critical",
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": {
                "labelSelector": {"matchExpressions": [
                    {"key": "k8s-app", "operator": "In", "values": ["kube-dns"]},
                ]},
                "topologyKey": "kubernetes.io/hostname",
            },
        }]}},
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "dnsPolicy": "Default",
        "containers": [_container()],
        "volumes": [{
            "name": "config-volume",
            "configMap": {"name": NAME, "items": [{"key": COREFILE_KEY, "path": COREFILE_KEY}]},
        }],
    }  # fmt: skip


def _container() -> dict[str, object]:
    return {
        "name": "coredns",
        "image": f"{IMAGE}:{IMAGE_TAG}",
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", f"{MOUNT_PATH}/{COREFILE_KEY}"],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "volumeMounts": [{"name": "config-volume", "mountPath": MOUNT_PATH, "readOnly": True}],
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
            {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
            {"containerPort": 8080, "name": "liveness-probe", "protocol": "TCP"},
            {"containerPort": 8181, "name": "readiness-probe", "protocol": "TCP"},
        ],
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"},
            "initialDelaySeconds": 60, "timeoutSeconds": 5, "successThreshold": 1, "failureThreshold": 5,
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181, "scheme": "HTTP"}},
    }  # fmt: skip
