"""Which addresses an Ingress shows."""

from typing import Any

import pytest

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.ingress.configuration import Options
from netsim.cluster.ingress.status import addresses, outdated
from netsim.cluster.objects import Ingress, IngressClass, Node, Pod, Service, evolve
from netsim.cluster.objects.service import LoadBalancerIngress
from netsim.cluster.timing import Timing
from netsim.engine import Engine

POD = ("ingress-nginx", "c-0")
PUBLISHED = Options(publish_service=("ingress-nginx", "svc"))


@pytest.fixture
def api() -> ApiServer:
    api = ApiServer(Engine(1), Timing.for_version("1.34"))
    for number, ready in enumerate([True, True, False]):
        addresses = [{"type": "InternalIP", "address": f"172.18.0.{number + 2}"}]
        if number == 1:
            addresses.append({"type": "ExternalIP", "address": "203.0.113.9"})
        api.create(
            Node.model_validate({"metadata": {"name": f"n{number}"}, "status": {"addresses": addresses}})
        )
        api.create(Pod.model_validate({
            "metadata": {"name": f"c-{number}", "namespace": "ingress-nginx",
                         "labels": {"a": "b", "pod-template-hash": str(number)}},
            "spec": {"nodeName": f"n{number}", "containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
        }))  # fmt: skip
    return api


def texts(found: tuple[LoadBalancerIngress, ...]) -> list[str]:
    return [entry.ip or entry.hostname for entry in found]


def test_without_a_published_service_the_nodes_of_ready_controllers(api: ApiServer) -> None:
    assert texts(addresses(api, Options(), POD)) == ["172.18.0.2", "203.0.113.9"]
    assert addresses(api, Options(), ("ingress-nginx", "gone")) == ()


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        ({"type": "NodePort", "clusterIP": "10.96.1.1"}, [], ["10.96.1.1"]),
        ({"type": "NodePort", "externalIPs": ["203.0.113.5"]}, [], ["203.0.113.5"]),
        ({"type": "LoadBalancer"}, [], []),
        ({"type": "LoadBalancer"}, [{"ip": "203.0.113.6"}, {"hostname": "lb.example.com"}],
         ["203.0.113.6", "lb.example.com"]),
        ({"type": "ExternalName", "externalName": "x.example.com"}, [], ["x.example.com"]),
    ],
)  # fmt: skip
def test_the_published_service(
    api: ApiServer, spec: dict[str, Any], status: list[Any], shown: list[str]
) -> None:
    assert addresses(api, PUBLISHED, POD) == ()
    api.create(Service.model_validate({
        "metadata": {"name": "svc", "namespace": "ingress-nginx"},
        "spec": {"ports": [{"port": 80}], **spec}, "status": {"loadBalancer": {"ingress": status}},
    }))  # fmt: skip
    assert texts(addresses(api, PUBLISHED, POD)) == shown


def test_only_own_ingresses_that_show_something_else_are_outdated(api: ApiServer) -> None:
    wanted = (LoadBalancerIngress(ip="172.18.0.2"),)
    api.create(
        IngressClass.model_validate(
            {"metadata": {"name": "n"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
        )
    )
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    made = Ingress.model_validate(
        {"metadata": {"name": "mine"}, "spec": {"ingressClassName": "n", "defaultBackend": backend}}
    )
    api.create(made)
    api.create(evolve(made, metadata__name="other", spec__ingressClassName="x"))
    assert [item.metadata.name for item in outdated(api, Options(), wanted)] == ["mine"]
    api.patch(Ingress, "default", "mine", lambda old: evolve(old, status__loadBalancer__ingress=wanted))
    assert outdated(api, Options(), wanted) == []
