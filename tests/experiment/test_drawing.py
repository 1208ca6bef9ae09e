"""The drawing of a cluster: what is where, which pods serve which Service, and what is wrong at the moment."""

import pytest

from netsim.experiment.cluster import Cluster
from netsim.experiment.drawing import view_of
from netsim.measure.figures_topology import NodeBox, PodBox, ServiceLine, View, topology_plot

TOPOLOGIES = "topologies"


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    root = request.getfixturevalue("root")
    made = Cluster(root / TOPOLOGIES / "external-policy.yaml")
    made.settle()
    return made


def words(view: View) -> str:
    from matplotlib.text import Text

    return " | ".join(t.get_text() for t in topology_plot(view).findobj(Text) if isinstance(t, Text))


def test_pods_stand_on_their_nodes_with_the_services_that_they_serve(cluster: Cluster) -> None:
    view = view_of(cluster)
    assert [node.name for node in view.nodes] == ["control-plane", "worker-1", "worker-2", "worker-3"]
    web = {
        node.name: [pod.services for pod in node.pods if pod.name.startswith("web")] for node in view.nodes
    }
    both = ("web-cluster", "web-local")
    assert web == {"control-plane": [], "worker-1": [both], "worker-2": [both] * 2, "worker-3": [both] * 3}
    lines = {service.name: service for service in view.services}
    assert lines["web-local"].endpoints == 6
    assert "LoadBalancer 203.0.113.129" in lines["web-local"].reached
    assert list(lines)[-1] == "kube-system/kube-dns"
    assert view.outside == (("laptop", "192.0.2.10"),)


def test_a_drawing_boots_the_cluster_and_a_display_does_not(root: object) -> None:
    made = Cluster(f"{root}/{TOPOLOGIES}/my-nginx.yaml")
    assert "not booted" in made._repr_html_()
    assert made.epoch_ns == 0
    assert made.plot().png().startswith(b"\x89PNG")
    assert made.epoch_ns > 0


def test_trouble_is_said_in_words() -> None:
    view = View(
        "lab",
        "",
        (NodeBox("worker-1", "10.0.0.1", False, (PodBox("web-0", "", False),)),),
        (ServiceLine("web", "headless", 0),),
        (),
        "underlay",
    )
    said = words(view)
    assert "10.0.0.1, not ready" in said
    assert "no address, not ready" in said
    assert "headless; no endpoint" in said


@pytest.mark.parametrize(("nodes", "pods", "services"), [(0, 0, 0), (1, 1, 1), (9, 14, 30), (60, 3, 2)])
def test_clusters_of_any_size_are_drawn(nodes: int, pods: int, services: int) -> None:
    names = tuple(f"svc-{n}" for n in range(services))
    boxes = tuple(PodBox(f"pod-{n}", f"10.0.0.{n}", True, names[:5]) for n in range(pods))
    view = View(
        "big", "note", tuple(NodeBox(f"node-{n}", "172.18.0.2", True, boxes) for n in range(nodes)),
        tuple(ServiceLine(name, "10.96.0.1:80", 3) for name in names), (("laptop", "192.0.2.1"),) * 6, "underlay",
    )  # fmt: skip
    said = words(view)
    assert topology_plot(view).png().startswith(b"\x89PNG")
    assert ("more nodes" in said) == (nodes > 24)
    assert ("and 4 more |" in said) == (pods == 14)
    assert ("more Services" in said) == (services > 26)
