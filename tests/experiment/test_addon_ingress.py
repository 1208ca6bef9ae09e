"""Which topologies get an ingress controller, and what is said about it; names of Ingresses in loads."""

from pathlib import Path

import pytest

from netsim.cluster.objects import Deployment, IngressClass, Service
from netsim.experiment.errors import SpecErrors
from netsim.experiment.loader import Topology, load_experiment, load_topology

CLUSTER = """
apiVersion: netsim/v1
kind: Cluster
metadata: {name: t}
spec:
  kubernetesVersion: "%s"
  nodes: [{role: control-plane}, {role: worker}]
  external: [{name: laptop, address: 203.0.113.10}]
  %s
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: c, image: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, nodePort: %d}]}
"""
INGRESS = """
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, annotations: {%s}}
spec:
  %s
  rules:
  - host: shop.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
"""
OLD = """
---
apiVersion: %s
kind: Ingress
metadata: {name: old}
spec:
  backend: {serviceName: web, servicePort: http}
  rules: [{host: a.example.com, http: {paths: [{backend: {serviceName: web, servicePort: 80}}]}}]
"""
OWN = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: mine}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: c, image: "k8s.gcr.io/ingress-nginx/controller:v1.1.0"}]}
"""


def topology(
    tmp_path: Path, *more: str, section: str = "", port: int = 30500, version: str = "1.34"
) -> Topology:
    file = tmp_path / "t.yaml"
    file.write_text(CLUSTER % (version, section, port) + "".join(more))
    return load_topology(file)


def controller(made: Topology) -> Deployment | None:
    return next((item for item in made.objects if isinstance(item, Deployment)), None)


def service(made: Topology) -> Service:
    return next(item for item in made.objects if isinstance(item, Service) and item.key[0] == "ingress-nginx")


def test_without_an_ingress_there_is_none(tmp_path: Path) -> None:
    assert controller(topology(tmp_path)) is None


def test_an_ingress_brings_one_with_a_note(tmp_path: Path) -> None:
    made = topology(tmp_path, INGRESS % ("", "ingressClassName: nginx"))
    assert controller(made) is not None
    assert [port.nodePort for port in service(made).spec.ports] == [30080, 30443]
    assert any("ingress-nginx is added" in note and "node port 30080" in note for note in made.notes)


def test_the_node_port_gives_way(tmp_path: Path) -> None:
    made = topology(tmp_path, INGRESS % ("", "ingressClassName: nginx"), port=30080)
    assert service(made).spec.ports[0].nodePort == 31080


@pytest.mark.parametrize(
    ("annotations", "spec", "args", "classes"),
    [
        ("kubernetes.io/ingress.class: alb", "", "--ingress-class=alb", ["nginx"]),
        ("", "ingressClassName: alb", "--ingress-class=nginx", ["nginx", "alb"]),
    ],
)
def test_it_stands_in_for_other_classes(
    tmp_path: Path, annotations: str, spec: str, args: str, classes: list[str]
) -> None:
    made = topology(tmp_path, INGRESS % (annotations, spec))
    deployment = controller(made)
    assert deployment is not None
    assert args in (deployment.spec.template.spec.containers[0].args or ())
    assert [item.metadata.name for item in made.objects if isinstance(item, IngressClass)] == classes
    assert any("stands in for class alb" in note for note in made.notes)


def test_what_the_cluster_says_counts(tmp_path: Path) -> None:
    section = "ingress: {service: LoadBalancer, replicas: 2}"
    made = topology(tmp_path, section=section)
    deployment = controller(made)
    assert deployment is not None
    assert deployment.spec.replicas == 2
    assert service(made).spec.externalTrafficPolicy == "Local"
    assert any("publish-service" in text for text in deployment.spec.template.spec.containers[0].args or ())
    assert not any("is added" in note for note in made.notes)


def test_none_means_none_and_the_ingress_has_no_effect(tmp_path: Path) -> None:
    made = topology(tmp_path, INGRESS % ("", ""), section="ingress: {controller: none}")
    assert controller(made) is None
    assert any("Ingress/i has no effect: there is no controller" in note for note in made.notes)


def test_a_controller_of_ones_own_is_enough(tmp_path: Path) -> None:
    made = topology(tmp_path, INGRESS % ("", ""), OWN)
    assert controller(made) is None
    assert not any("has no effect" in note for note in made.notes)


def test_an_ingress_without_class_is_nobodys(tmp_path: Path) -> None:
    made = topology(tmp_path, INGRESS % ("nginx.ingress.kubernetes.io/enable-cors: 'true'", ""))
    assert any("it names no class: write ingressClassName: nginx" in note for note in made.notes)
    assert any("annotations nginx.ingress.kubernetes.io/enable-cors" in note for note in made.notes)


@pytest.mark.parametrize("version", ["extensions/v1beta1", "networking.k8s.io/v1beta1"])
def test_the_old_shape_loads_where_it_existed(tmp_path: Path, version: str) -> None:
    made = topology(tmp_path, OLD % version, version="1.21")
    assert made.kinds()["Ingress"] == 1
    with pytest.raises(SpecErrors, match=r"was removed in Kubernetes 1\.22: write networking\.k8s\.io/v1"):
        topology(tmp_path, OLD % version, version="1.22")


def test_the_node_port_of_the_cluster_section_is_checked(tmp_path: Path) -> None:
    with pytest.raises(
        SpecErrors, match=r"spec\.ingress\.nodePorts\.http: Invalid value: 80: provided port is not in"
    ):
        topology(tmp_path, section="ingress: {nodePorts: {http: 80}}")
    with pytest.raises(
        SpecErrors, match=r"nodePorts\.http: Invalid value: 30500: provided port is already allocated"
    ):
        topology(tmp_path, section="ingress: {nodePorts: {http: 30500}}")


EXPERIMENT = """
apiVersion: netsim/v1
kind: Experiment
metadata: {name: e}
spec:
  topology: t.yaml
  load:
  - {name: l, from: %s, to: "http://%s/", rate: 1/s, headers: {Host: shop.example.com}}
"""


@pytest.mark.parametrize(
    ("client", "host", "problem"),
    [
        ("{external: laptop}", "shop.example.com:30080", ""),
        ("{app: web}", "ingress-nginx-controller.ingress-nginx", ""),
        ("{app: web}", "shop.example.com", "is a host of an Ingress, not a name in the cluster's DNS"),
    ],
)
def test_hosts_of_ingresses_in_loads(tmp_path: Path, client: str, host: str, problem: str) -> None:
    topology(tmp_path, INGRESS % ("", "ingressClassName: nginx"))
    file = tmp_path / "e.yaml"
    file.write_text(EXPERIMENT % (client, host))
    if not problem:
        assert load_experiment(file).spec.load[0].headers == {"Host": "shop.example.com"}
        return
    with pytest.raises(SpecErrors, match=problem):
        load_experiment(file)
