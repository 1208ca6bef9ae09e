"""The ingress controller from end to end: hosts and paths, failures behind it, its status, the tutorial's Ingress."""

from pathlib import Path

import pytest
import yaml
from systemlab import TOPOLOGIES, ask, settled

from netsim.cli.main import main
from netsim.cluster.objects import Deployment, Ingress, Pod, evolve
from netsim.engine import S
from netsim.experiment.api import load
from netsim.experiment.cluster import Cluster
from netsim.experiment.results import Results
from netsim.workload.http_exchange import HttpExchange
from netsim.workload.ingress.records import ProxiedRequest

SHOP, WILD = "shop.example.com", "v1.api.example.com"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return settled("ingress")


def node_of_controller(cluster: Cluster) -> str:
    pod = next(pod for pod in cluster.api.list(Pod) if pod.metadata.namespace == "ingress-nginx")
    return pod.status.hostIP


def get(cluster: Cluster, host: str, path: str = "/", **more: object) -> HttpExchange:
    """From outside through the node port, as `curl -H "Host: ..." http://NODE:30080/path`."""
    headers = (("Host", host),) if host else ()
    address = node_of_controller(cluster)
    return ask(cluster, "external/laptop", address, 30080, path=path, headers=headers, **more)


@pytest.mark.parametrize(
    ("host", "path", "status", "body"),
    [
        (SHOP, "/", 200, "shop-"),
        (SHOP, "/apixyz", 200, "shop-"),  # not an element of /api
        (SHOP, "/api", 200, "api-"),
        (SHOP, "/api/v1?x=/", 200, "api-"),
        (SHOP.upper(), "//api//v1", 200, "api-"),
        (WILD, "/", 200, "api-"),
        ("api.example.com", "/", 404, "404 Not Found"),
        ("a.b.api.example.com", "/", 404, "404 Not Found"),  # a wildcard is one label
        ("", "/", 404, "404 Not Found"),
    ],
)
def test_hosts_and_paths_choose_the_service(
    cluster: Cluster, host: str, path: str, status: int, body: str
) -> None:
    exchange = get(cluster, host, path)
    assert exchange.response is not None
    assert exchange.response.status == status
    assert body in exchange.response.body.decode()
    assert "Server" not in dict(exchange.response.headers)


def test_outside_hosts_know_the_names_and_pods_do_not(cluster: Cluster) -> None:
    assert ask(cluster, "external/laptop", SHOP, 30080).status == 200
    assert ask(cluster, "pod/client", SHOP, 80).outcome == "dns"
    inside = ask(cluster, "pod/client", "ingress-nginx-controller.ingress-nginx", headers=(("Host", SHOP),))
    assert inside.status == 200


def test_the_status_shows_the_controllers_node(cluster: Cluster) -> None:
    shown = cluster.api.get(Ingress, "default", "shop")
    assert shown is not None
    assert [entry.ip for entry in shown.status.loadBalancer.ingress] == [node_of_controller(cluster)]


def test_requests_take_turns_on_kept_connections(cluster: Cluster) -> None:
    log: list[ProxiedRequest] = []
    stop = cluster.engine.bus.subscribe(ProxiedRequest, log.append)
    for _ in range(24):
        get(cluster, SHOP)
    stop()
    by_worker: dict[str, list[str]] = {}
    for record in log:
        assert record.service == "default/shop"
        by_worker.setdefault(record.worker, []).append(record.tries[-1].endpoint)
    for endpoints in by_worker.values():
        assert endpoints[3:] == endpoints[:-3]  # three pods in turns
    assert len({endpoint for endpoints in by_worker.values() for endpoint in endpoints}) == 3
    assert sum(record.tries[-1].reused for record in log) >= 24 - 6


def test_explain_follows_the_request_behind_the_controller(cluster: Cluster) -> None:
    told = cluster.explain("external/laptop", f"http://{SHOP}:30080/api")
    assert told.outcome.startswith("HTTP 200")
    text = told.text()
    assert "=> delivered to ingress-nginx/ingress-nginx-controller-" in text
    assert "=> delivered to default/api-" in text


def test_the_command_line_takes_headers(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(TOPOLOGIES / "ingress.yaml")
    to = ["--to", "http://ingress-nginx-controller.ingress-nginx/", "--from", "pod/client"]
    assert main(["explain", file, *to, "-H", f"Host: {SHOP}"]) == 0
    out, _ = capsys.readouterr()
    assert "HTTP 200 after" in out
    assert "=> delivered to default/shop-" in out
    assert main(["explain", file, *to, "--header", "Host"]) == 2
    _, err = capsys.readouterr()
    assert '"Host" is no header: write "Name: value"' in err


def test_no_endpoints_is_503_dead_ones_502_and_silent_ones_504() -> None:
    cluster = settled("ingress", seed=2)
    api = [pod for pod in cluster.api.list(Pod) if pod.metadata.labels.get("app") == "api"]
    for pod in api:
        cluster.control_plane.kill_container(pod)
    assert get(cluster, WILD).status == 502
    cluster.run(60 * S)  # the pods are back
    assert get(cluster, WILD).status == 200
    for pod in api:
        cluster.containers.hang(*pod.key)
    assert get(cluster, WILD, timeout_ns=200 * S).status == 504
    cluster.api.patch(Deployment, "default", "api", lambda old: evolve(old, spec__replicas=0))
    cluster.run(6 * S)
    assert get(cluster, WILD).status == 503


def test_the_tutorials_ingress_is_served() -> None:
    cluster = settled("tutorial-ingress")
    for path, service in (("/grpc.health.v1.Health/Check", "health"), ("/proto.sample.v1.Sample", "sample")):
        exchange = ask(cluster, "external/laptop", "sample.example.com", 30080, path=path)
        assert exchange.response is not None
        assert exchange.response.body.decode().startswith(f"Hostname: {service}-")
    assert ask(cluster, "external/laptop", "sample.example.com", 30080).status == 404


def test_a_new_ingress_works_after_a_reload(cluster: Cluster) -> None:
    text = (TOPOLOGIES / "manifests/shop-ingress.yaml").read_text()
    raw = next(item for item in yaml.safe_load_all(text) if item["kind"] == "Ingress")
    raw["metadata"]["name"] = "more"
    raw["spec"]["rules"] = [{**raw["spec"]["rules"][0], "host": "more.example.com"}]
    assert get(cluster, "more.example.com").status == 404
    cluster.control_plane.apply([Ingress.model_validate(raw)])
    cluster.run(5 * S)
    assert get(cluster, "more.example.com").status == 200


@pytest.fixture(scope="module")
def results() -> Results:
    return load(Path(__file__).parents[2] / "experiments/ingress.yaml").run()


def test_the_experiment_splits_per_backend_service(results: Results, tmp_path: Path) -> None:
    assert results.passed, results.text()
    assert results.services == ("default/api", "default/shop", "ingress-nginx/ingress-nginx-controller")
    shop = results.load_split("shop")
    log = results.proxied[results.proxied["service"] == "default/shop"]
    assert shop.connections == len(log) > 1000
    assert shop.stray == 0
    assert set(log["pod"]) == set(shop.table["pod"])
    assert int(log["request"].nunique()) == int((results.requests["load"] == "pages").sum())
    failed = log[log["outcome"] != "ok"]
    assert len(failed) == int(shop.table["failed"].sum()) > 0  # tries, hidden from the clients
    again = Results.read(results.write(tmp_path / "r", figures=False))
    assert again.load_split("shop").table.equals(shop.table)
    assert "a retry as another one" in results.text()


def test_same_seed_same_log() -> None:
    def once() -> list[ProxiedRequest]:
        cluster = settled("ingress", seed=5)
        log: list[ProxiedRequest] = []
        cluster.engine.bus.subscribe(ProxiedRequest, log.append)
        for _ in range(4):
            get(cluster, SHOP)
        return log

    first = once()
    assert first == once()
    assert len(first) == 4


OWN = """
apiVersion: netsim/v1
kind: Cluster
metadata: {name: own}
spec: {nodes: [{role: control-plane}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gateway, labels: {app: gateway}}
spec:
  containers:
  - name: controller
    image: registry.example.com/ingress-nginx/controller:v1.9.4
    args: [/nginx-ingress-controller, --watch-ingress-without-class=true, --configmap=$(POD_NAMESPACE)/settings]
    readinessProbe: {httpGet: {path: /healthz, port: 10254}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: gateway}
spec: {selector: {app: gateway}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {worker-processes: "4"}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080, targetPort: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: all}
spec: {defaultBackend: {service: {name: web, port: {number: 8080}}}}
"""


def test_a_controller_of_ones_own_manifest(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    cluster = Cluster(file)
    cluster.settle()
    exchange = ask(cluster, "pod/web", "gateway")
    assert exchange.status == 200
    (process,) = cluster.containers.ingress.running
    assert process.nginx is not None
    assert len(process.nginx.workers) == 4
    shown = cluster.api.get(Ingress, "default", "all")
    assert shown is not None
    assert len(shown.status.loadBalancer.ingress) == 1
