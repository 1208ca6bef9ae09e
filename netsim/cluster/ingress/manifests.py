"""The objects of ingress-nginx, as its deploy.yaml makes them: IngressClass, ConfigMap, Service, Deployment.

Called by the loader, for clusters that have an ingress controller. Source: kubernetes/ingress-nginx
deploy/static/provider/{baremetal,cloud}/deploy.yaml (controller v1.13): `baremetal` is a NodePort Service and shows the
nodes' addresses in the status, `cloud` a LoadBalancer Service with externalTrafficPolicy Local whose address it shows.
RBAC, the admission webhook and security settings are left out, since nothing here acts on them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from netsim.cluster.ingress.configuration import CONTROLLER_CLASS
from netsim.cluster.objects import ApiObject, ConfigMap, Deployment, IngressClass, Namespace, Service

NAMESPACE: Final = "ingress-nginx"
NAME: Final = "ingress-nginx-controller"
IMAGE: Final = "registry.k8s.io/ingress-nginx/controller:v1.13.3"
LABELS: Final = {
    "app.kubernetes.io/name": "ingress-nginx",
    "app.kubernetes.io/instance": "ingress-nginx",
    "app.kubernetes.io/component": "controller",
}


@dataclass(frozen=True, slots=True)
class Addon:
    """What can be chosen. `classes` are the IngressClasses to make, `annotated` the value that the old annotation
    kubernetes.io/ingress.class has to have (--ingress-class); node ports 0: the API server chooses."""

    service: Literal["NodePort", "LoadBalancer"] = "NodePort"
    replicas: int = 1
    http_node_port: int = 0
    https_node_port: int = 0
    classes: tuple[str, ...] = ("nginx",)
    annotated: str = "nginx"


def ingress_objects(addon: Addon) -> list[ApiObject]:
    """The add-on's objects, in the order in which deploy.yaml has them."""
    data = {"metadata": {"name": NAME, "namespace": NAMESPACE, "labels": LABELS}, "data": {}}
    return [
        Namespace.model_validate({"metadata": {"name": NAMESPACE, "labels": _without_component()}}),
        ConfigMap.model_validate(data),
        _service(addon),
        _deployment(addon),
        *_classes(addon.classes),
    ]


def _without_component() -> dict[str, str]:
    return {key: value for key, value in LABELS.items() if not key.endswith("/component")}


def _classes(names: Iterable[str]) -> list[IngressClass]:
    return [
        IngressClass.model_validate(
            {"metadata": {"name": name, "labels": LABELS}, "spec": {"controller": CONTROLLER_CLASS}}
        )
        for name in names
    ]


def _service(addon: Addon) -> Service:
    cloud = addon.service == "LoadBalancer"
    return Service.model_validate({
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": LABELS},
        "spec": {
            "type": addon.service,
            **({"externalTrafficPolicy": "Local"} if cloud else {}),
            "selector": LABELS,
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http", "appProtocol": "http",
                 "nodePort": addon.http_node_port},
                {"name": "https", "port": 443, "targetPort": "https", "appProtocol": "https",
                 "nodePort": addon.https_node_port},
            ],
        },
    })  # fmt: skip


def _deployment(addon: Addon) -> Deployment:
    return Deployment.model_validate({
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": LABELS},
        "spec": {
            "replicas": addon.replicas,
            "minReadySeconds": 0,
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": LABELS},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": LABELS}, "spec": _pod(addon)},
        },
    })  # fmt: skip


def _pod(addon: Addon) -> dict[str, Any]:
    return {
        "dnsPolicy": "ClusterFirst",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "terminationGracePeriodSeconds": 300,
        "containers": [_container(addon)],
    }


def _container(addon: Addon) -> dict[str, Any]:
    probe = {
        "httpGet": {"path": "/healthz", "port": 10254, "scheme": "HTTP"},
        "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1,
    }  # fmt: skip
    published = f"--publish-service=$(POD_NAMESPACE)/{NAME}"
    return {
        "name": "controller",
        "image": IMAGE,
        "args": [
            "/nginx-ingress-controller",
            *([published] if addon.service == "LoadBalancer" else []),
            "--election-id=ingress-nginx-leader",
            f"--controller-class={CONTROLLER_CLASS}",
            f"--ingress-class={addon.annotated}",
            f"--configmap=$(POD_NAMESPACE)/{NAME}",
        ],
        "ports": [
            {"containerPort": 80, "name": "http", "protocol": "TCP"},
            {"containerPort": 443, "name": "https", "protocol": "TCP"},
        ],
        "livenessProbe": {**probe, "failureThreshold": 5},
        "readinessProbe": {**probe, "failureThreshold": 3},
        "resources": {"requests": {"cpu": "100m", "memory": "90Mi"}},
    }
