"""The objects of kube-dns, the DNS add-on before CoreDNS: Deployment and Service kube-dns, ConfigMap kube-dns.

Called by whoever brings a cluster up (`dns: {provider: kube-dns}`). Source: kubernetes
cluster/addons/dns/kube-dns/kube-dns.yaml.base of 1.33, and kubeadm before 1.21 (cmd/kubeadm/app/phases/addons/dns).
ServiceAccount, RBAC objects and security settings are left out, since nothing here acts on them.
"""

from typing import Final

from netsim.cluster.dns.manifests import LABELS, NAMESPACE, SERVICE, cluster_dns_address, dns_service
from netsim.cluster.objects import ApiObject, ConfigMap, Deployment

IMAGES: Final = "registry.k8s.io/dns/k8s-dns-"
IMAGE_TAG: Final = "1.23.1"
KUBEDNS_PORT: Final = 10053
READY_PORT: Final = 8081
SIDECAR_PORT: Final = 10054
CONFIG_DIR: Final = "/kube-dns-config"
NANNY_CONFIG_DIR: Final = "/etc/k8s/dns/dnsmasq-nanny"
_PROBE: Final = "127.0.0.1:{port},kubernetes.default.svc.{domain},5,SRV"


def kube_dns_objects(
    service_subnet: str = "10.96.0.0/16", domain: str = "cluster.local", replicas: int = 1
) -> list[ApiObject]:
    """ConfigMap (empty: no stub domains, the node's name servers upstream), Service and Deployment."""
    return [
        ConfigMap.model_validate({"metadata": {"name": SERVICE, "namespace": NAMESPACE}}),
        dns_service(cluster_dns_address(service_subnet), "KubeDNS"),
        Deployment.model_validate({
            "metadata": {"name": SERVICE, "namespace": NAMESPACE, "labels": LABELS},
            "spec": {
                "replicas": replicas,
                "strategy": {"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0}},
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": _pod(domain)},
            },
        }),
    ]  # fmt: skip


def _pod(domain: str) -> dict[str, object]:
    return {
        "priorityClassName": "system-cluster-critical",
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "dnsPolicy": "Default",
        "volumes": [{"name": "kube-dns-config", "configMap": {"name": SERVICE, "optional": True}}],
        "containers": [_kubedns(domain), _dnsmasq(domain), _sidecar(domain)],
    }


def _liveness(path: str) -> dict[str, object]:
    return {
        "httpGet": {"path": path, "port": SIDECAR_PORT, "scheme": "HTTP"},
        "initialDelaySeconds": 60, "timeoutSeconds": 5, "successThreshold": 1, "failureThreshold": 5,
    }  # fmt: skip


def _ports(number: int, name: str) -> list[dict[str, object]]:
    return [
        {"containerPort": number, "name": name, "protocol": "UDP"},
        {"containerPort": number, "name": f"{name}-tcp", "protocol": "TCP"},
    ]


def _kubedns(domain: str) -> dict[str, object]:
    return {
        "name": "kubedns",
        "image": f"{IMAGES}kube-dns:{IMAGE_TAG}",
        "args": [f"--domain={domain}.", f"--dns-port={KUBEDNS_PORT}", f"--config-dir={CONFIG_DIR}", "--v=2"],
        "livenessProbe": _liveness("/healthcheck/kubedns"),
        "readinessProbe": {
            "httpGet": {"path": "/readiness", "port": READY_PORT, "scheme": "HTTP"},
            "initialDelaySeconds": 3, "timeoutSeconds": 5,
        },
        "ports": _ports(KUBEDNS_PORT, "dns-local"),
        "volumeMounts": [{"name": "kube-dns-config", "mountPath": CONFIG_DIR}],
    }  # fmt: skip


def _dnsmasq(domain: str) -> dict[str, object]:
    servers = [f"--server=/{zone}/127.0.0.1#{KUBEDNS_PORT}" for zone in (domain, "in-addr.arpa", "ip6.arpa")]
    return {
        "name": "dnsmasq",
        "image": f"{IMAGES}dnsmasq-nanny:{IMAGE_TAG}",
        "args": [
            "-v=2", "-logtostderr", f"-configDir={NANNY_CONFIG_DIR}", "-restartDnsmasq=true", "--",
            "-k", "--cache-size=1000", "--no-negcache", "--dns-loop-detect", "--log-facility=-", *servers,
        ],
        "livenessProbe": _liveness("/healthcheck/dnsmasq"),
        "ports": _ports(53, "dns"),
        "volumeMounts": [{"name": "kube-dns-config", "mountPath": NANNY_CONFIG_DIR}],
    }  # fmt: skip


def _sidecar(domain: str) -> dict[str, object]:
    return {
        "name": "sidecar",
        "image": f"{IMAGES}sidecar:{IMAGE_TAG}",
        "args": [
            "--v=2", "--logtostderr",
            f"--probe=kubedns,{_PROBE.format(port=KUBEDNS_PORT, domain=domain)}",
            f"--probe=dnsmasq,{_PROBE.format(port=53, domain=domain)}",
        ],
        "livenessProbe": _liveness("/metrics"),
        "ports": [{"containerPort": SIDECAR_PORT, "name": "metrics", "protocol": "TCP"}],
    }  # fmt: skip
