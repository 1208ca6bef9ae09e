"""Loading: what comes out of good files, what is noted, kind configurations, and that large inputs are usable."""

import gc
import pickle
from pathlib import Path

import pytest

from netsim.cluster.objects import ConfigMap, Deployment, Namespace, Secret, Service
from netsim.engine import S
from netsim.experiment.errors import SpecErrors
from netsim.experiment.loader import ExperimentBundle, Topology, load, load_experiment, load_topology

ROOT = Path(__file__).resolve().parents[2]
TOPOLOGIES = sorted((ROOT / "topologies").glob("*.yaml"))
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))

CLUSTER = """\
apiVersion: netsim/v1
kind: Cluster
metadata: {name: test}
"""
WEB = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: nginx, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


def topology(tmp_path: Path, text: str) -> Topology:
    file = tmp_path / "topology.yaml"
    file.write_text(text, encoding="utf-8")
    return load_topology(file)


def errors(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SpecErrors) as caught:
        topology(tmp_path, text)
    return [f"{error.path}: {error.message}" for error in caught.value.errors]


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_shipped_topologies(path: Path) -> None:
    found = load(path)
    assert isinstance(found, Topology)
    assert found.kinds()["Service"] >= 1


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_shipped_experiments(path: Path) -> None:
    found = load(path)
    assert isinstance(found, ExperimentBundle)
    assert found.name == path.stem
    assert found.spec.load
    assert found.spec.checks


def test_the_tutorials_manifests() -> None:
    found = load_topology(ROOT / "topologies" / "tutorial-nginx.yaml")
    kinds = {thing.kind: thing for thing in found.objects}
    deployment, service = kinds["Deployment"], kinds["Service"]
    assert isinstance(deployment, Deployment)
    assert isinstance(service, Service)
    assert (deployment.key, deployment.spec.replicas) == (("default", "nginx-deploy"), 2)
    assert [(port.port, port.target) for port in service.spec.ports] == [(5000, 80)]
    assert [path.name for path in found.files] == [
        "tutorial-nginx.yaml",
        "nginx-deploy.yaml",
        "test-pod.yaml",
    ]


def test_the_default_experiment() -> None:
    found = load_experiment(ROOT / "experiments" / "pod-kill.yaml")
    (fault,) = found.spec.faults
    assert (fault.action, fault.at_ns, fault.selector.labels) == ("pod-kill", 10 * S, {"run": "my-nginx"})
    assert found.topology.name == "failover"


def test_notes_tell_what_has_no_effect(tmp_path: Path) -> None:
    found = topology(
        tmp_path,
        CLUSTER
        + "spec: {kubelet: {hairpinMode: none}}\n"
        + WEB.replace("image: nginx,", "image: nginx, stdin: true,")
        + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: s}\n"
        + "---\napiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {anything: [goes]}\n",
    )
    assert found.notes == (
        "accepted, no effect on packets: ServiceAccount (1); Widget (1); Cluster kubelet.hairpinMode; "
        "Deployment spec.template.spec.containers[].stdin",
    )
    assert found.kinds() == {"Deployment": 1, "Service": 1, "ServiceAccount": 1, "Widget": 1}


def test_what_containers_cannot_start_without_is_added(tmp_path: Path) -> None:
    """Secrets are seldom in files; the pod would stay in CreateContainerConfigError."""
    variable = "{name: A, valueFrom: {secretKeyRef: {name: db, key: password}}}"
    env = f"env: [{variable}], envFrom: [{{configMapRef: {{name: c}}}}],"
    optional = f"env: [{variable.replace('password', 'password, optional: true')}],"
    found = topology(tmp_path, CLUSTER + WEB.replace("image: nginx,", f"image: nginx, {env}"))
    assert "Secret default/db is used but not defined: it is added, its values empty" in found.notes
    (secret,) = (thing for thing in found.objects if isinstance(thing, Secret))
    assert secret.data == {"password": ""}
    assert any(isinstance(thing, ConfigMap) and thing.key == ("default", "c") for thing in found.objects)
    found = topology(tmp_path, CLUSTER + WEB.replace("image: nginx,", f"image: nginx, {optional}"))
    assert not any(isinstance(thing, Secret) for thing in found.objects)


def test_missing_namespaces_are_added(tmp_path: Path) -> None:
    text = CLUSTER + WEB.replace("name: web}\nspec", "name: web, namespace: shop}\nspec")
    found = topology(tmp_path, text)
    assert isinstance(found.objects[0], Namespace)
    assert found.objects[0].metadata.name == "shop"
    assert 'namespace "shop" is used but not defined: it is added' in found.notes
    again = topology(tmp_path, text + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    assert [thing.kind for thing in again.objects] == ["Deployment", "Service", "Namespace"]


def test_an_empty_service_can_be_meant(tmp_path: Path) -> None:
    text = CLUSTER + WEB.replace("{app: web}, ports", "{app: later}, ports")
    assert "no pod has the labels app=later" in errors(tmp_path, text)[0]
    meant = "metadata: {name: web, annotations: {netsim/allow-empty: 'true'}}\nspec: {selector"
    assert topology(
        tmp_path, text.replace("metadata: {name: web}\nspec: {selector: {app: l", f"{meant}: {{app: l")
    )


def test_a_service_without_selector_needs_no_pod(tmp_path: Path) -> None:
    found = topology(
        tmp_path,
        CLUSTER
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {ports: [{port: 3306}]}\n"
        + "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: db}\n"
        + "subsets: [{addresses: [{ip: 192.168.26.81}], ports: [{port: 3306}]}]\n",
    )
    assert found.kinds() == {"Endpoints": 1, "Service": 1}


def test_lists_are_taken_apart(tmp_path: Path) -> None:
    items = WEB.replace("---\n", "").split("apiVersion")[1:]
    body = "".join("- apiVersion" + item.replace("\n", "\n  ").rstrip() + "\n" for item in items)
    found = topology(tmp_path, CLUSTER + "---\napiVersion: v1\nkind: List\nitems:\n" + body)
    assert found.kinds() == {"Deployment": 1, "Service": 1}


def test_extension_keys_and_anchors(tmp_path: Path) -> None:
    text = (
        "x-common: &common {role: worker, labels: {zone: a}}\n"
        + CLUSTER
        + "spec:\n  x-note: whatever\n  nodes: [{role: control-plane}, {<<: *common, name: a}, *common]\n"
    )
    entries = topology(tmp_path, text).spec.node_entries()
    assert [(entry.name, entry.labels.get("zone")) for entry in entries[1:]] == [("a", "a"), ("worker", "a")]


@pytest.mark.parametrize(("version", "loads"), [("1.15", True), ("1.16", False)])
def test_old_api_versions_in_old_clusters(version: str, loads: bool, tmp_path: Path) -> None:
    text = (
        CLUSTER + f'spec: {{kubernetesVersion: "{version}"}}\n' + WEB.replace("apps/v1", "extensions/v1beta1")
    )
    if loads:
        assert topology(tmp_path, text).objects[0].apiVersion == "apps/v1"
    else:
        assert "was removed in Kubernetes 1.16: write apps/v1" in errors(tmp_path, text)[0]


KIND = """\
# the multi-node example of kind's documentation
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  image: kindest/node:v1.31.2@sha256:0123
  extraPortMappings: [{containerPort: 80, hostPort: 8080}]
- role: worker
- role: worker
  labels: {tier: frontend}
networking:
  podSubnet: "10.10.0.0/16"
  serviceSubnet: "10.11.0.0/16"
  disableDefaultCNI: true
featureGates: {X: true}
"""


def test_a_kind_configuration_is_a_topology(tmp_path: Path) -> None:
    found = topology(tmp_path, KIND + WEB)
    assert (found.name, found.spec.minor, found.spec.networking.podSubnet) == ("kind", 31, "10.10.0.0/16")
    assert [entry.name for entry in found.spec.node_entries()] == ["control-plane", "worker-1", "worker-2"]
    assert found.spec.node_entries()[2].labels["tier"] == "frontend"
    assert found.notes == (
        "accepted from the kind configuration, no effect on packets: featureGates, "
        "networking.disableDefaultCNI, nodes[].extraPortMappings",
    )


def test_a_kind_configuration_without_nodes_has_one(tmp_path: Path) -> None:
    found = topology(tmp_path, "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n")
    assert [(entry.name, entry.taints) for entry in found.spec.node_entries()] == [("control-plane", ())]


def test_a_broken_object_is_not_blamed_twice(tmp_path: Path) -> None:
    text = CLUSTER + WEB.replace("containerPort: 80", "containerPort: 80, hostPort: no")
    assert errors(tmp_path, text) == [
        'Deployment/web: spec.template.spec.containers[0].ports[0].hostPort: must be a whole number, not "no"'
    ]
    assert len(errors(tmp_path, CLUSTER + WEB.replace("name: nginx, ", ""))) == 1


def test_ten_thousand_services(tmp_path: Path) -> None:
    service = WEB[WEB.rindex("---") :]
    many = "".join(service.replace("name: web", f"name: web-{number}") for number in range(10_000))
    found = topology(tmp_path, CLUSTER + WEB + many)
    assert found.kinds()["Service"] == 10_001
    assert gc.isenabled()


def test_errors_survive_pickling(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors) as caught:
        load(tmp_path / "missing.yaml")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.errors == caught.value.errors
    assert type(caught.value)(*caught.value.args).errors == caught.value.errors


def test_a_loaded_experiment_survives_pickling() -> None:
    bundle = load_experiment(ROOT / "experiments" / "load-split.yaml")
    assert pickle.loads(pickle.dumps(bundle)) == bundle


ADDON = """\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:dns"}
rules: [{apiGroups: [""], resources: [services], verbs: [list]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: dns, namespace: kube-system}
spec:
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      priorityClassName: system-cluster-critical
      tolerations: [{key: CriticalAddonsOnly, operator: Exists}]
      nodeSelector: {kubernetes.io/os: linux}
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {labelSelector: {matchExpressions: [{key: a, operator: In, values: [b]}]}, topologyKey: zone}
      dnsPolicy: Default
      securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "53"}]}
      volumes: [{name: config, configMap: {name: coredns, items: [{key: Corefile, path: Corefile}]}}]
      containers:
      - name: dns
        image: dns
        args: [-conf, /etc/Corefile]
        resources: {limits: {memory: 170Mi}, requests: {cpu: 100m}}
        ports: [{containerPort: 53, name: dns, protocol: UDP}, {containerPort: 53, name: dns-tcp, protocol: TCP}]
        livenessProbe: {httpGet: {path: /health, port: 8080, scheme: HTTP}, initialDelaySeconds: 60}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, annotations: {prometheus.io/port: "9153"}}
spec:
  clusterIP: 10.96.0.10
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
"""


def test_a_system_addon_as_people_have_it(tmp_path: Path) -> None:
    found = topology(tmp_path, CLUSTER + ADDON)
    assert found.kinds() == {"ClusterRole": 1, "Deployment": 1, "Service": 1}
    assert found.notes[-1].startswith(
        "accepted, no effect on packets: ClusterRole (1); Deployment spec.template.spec"
    )


def test_what_kubectl_prints_can_be_read(tmp_path: Path) -> None:
    text = WEB.replace(
        "metadata: {name: web}\nspec: {selector",
        "metadata: {name: web, uid: 1-2, resourceVersion: '77', creationTimestamp: 2026-11-21T04:00:00Z, "
        "managedFields: [{manager: kubectl, fieldsV1: {'f:spec': {}}}]}\nstatus: {loadBalancer: {}}\nspec: {selector",
    )
    (service,) = (thing for thing in topology(tmp_path, CLUSTER + text).objects if isinstance(thing, Service))
    assert service.metadata.resourceVersion == 77
