"""The user's own manifests: the output of `helm template` and `kubectl kustomize`, and what is refused."""

from pathlib import Path

import pytest
from shelllab import ROOT, User

from netsim.experiment.loader import load_topology

HERE = Path(__file__).parent
CLUSTER = """\
apiVersion: netsim/v1
kind: Cluster
metadata: {{name: it}}
spec:
  nodes: [{{role: control-plane}}, {{role: worker, count: 2}}]
manifests: [{file}]
"""


@pytest.mark.parametrize(
    ("name", "kinds", "without_effect"),
    [
        (
            "helm-template.yaml",
            {"Deployment": 1, "Service": 1, "Pod": 1, "HorizontalPodAutoscaler": 1, "ServiceMonitor": 1},
            "HorizontalPodAutoscaler (1); ServiceAccount (1); ServiceMonitor (1); Deployment ",
        ),
        (
            "kustomize.yaml",
            {"Namespace": 1, "Deployment": 1, "Service": 1, "NetworkPolicy": 1, "Role": 1},
            "NetworkPolicy (1); Role (1); RoleBinding (1); ServiceAccount (1); Deployment ",
        ),
    ],
)
def test_a_topology_takes_it_as_it_is(
    name: str, kinds: dict[str, int], without_effect: str, tmp_path: Path
) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text(CLUSTER.format(file=HERE / name))
    topology = load_topology(file)
    assert kinds.items() <= topology.kinds().items()
    said = [note for note in topology.notes if note.startswith("accepted, no effect on packets: ")]
    assert len(said) == 1
    assert without_effect in said[0]


def test_kubectl_applies_it_and_says_once_what_has_no_effect() -> None:
    user = User()
    for name in ("helm-template.yaml", "kustomize.yaml"):
        first = user.say(f"kubectl apply -f {HERE / name}")
        assert first.count("accepted, no effect on packets") == 1
        assert " created\n" in first
        second = user.say(f"kubectl apply -f {HERE / name}")
        assert "accepted" not in second
        assert all(line.endswith(" unchanged") for line in second.splitlines())
        assert len(second.splitlines()) == len(first.splitlines()) - 1
    user.say("until deployment release-name-web available")
    assert user.code == 0
    assert "Welcome to nginx" in user.say("kubectl exec client -- wget -qO- release-name-web")
    user.say(f"kubectl delete -f {HERE / 'kustomize.yaml'}")
    assert "No resources found in staging namespace." in user.say("kubectl get all -n staging")


@pytest.fixture(scope="module")
def user() -> User:
    return User()


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {run: my-nginx}\n"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (SERVICE + "  ports: []\n", 'The Service "web" is invalid: spec.ports: Required value'),
        (
            SERVICE + "  ports: [{port: 80}]\n  clusterIP: 1.2.3.4\n",
            'The Service "web" is invalid: spec.clusterIPs: Invalid value: ["1.2.3.4"]: failed to allocate IP 1.2.3.4: '
            "the provided IP (1.2.3.4) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
        ),
        (
            SERVICE + "  type: NodePort\n  ports: [{port: 80, nodePort: 80}]\n",
            "provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        (
            SERVICE + "  ports: [{port: 80}, {port: 81}]\n",
            'Service "web" is invalid: \n* spec.ports[0].name: Required value\n* spec.ports[1].name: Required value',
        ),
        (
            SERVICE + "  prots: []\n",
            'STDIN:6:3: Service/web: spec.prots: unknown field "prots" (did you mean "ports"?)',
        ),
        (
            SERVICE.replace("{name: web}", "{name: web, namespace: nowhere}") + "  ports: [{port: 80}]\n",
            'Error from server (NotFound): error when creating "STDIN": namespaces "nowhere" not found',
        ),
        ("a: [1", 'error: error validating "STDIN": error validating data:\nSTDIN:'),
        ("apiVersion: v1\nkind: Node\nmetadata: {name: x}\n", "nodes come from the topology"),
        (
            (ROOT / "topologies/manifests/my-nginx.yaml").read_text("utf-8").replace("my-nginx", "other").replace(
                "name: other", "name: my-nginx"
            ),
            "spec.selector: Invalid value:",
        ),
    ],
)  # fmt: skip
def test_what_the_server_refuses(user: User, manifest: str, message: str) -> None:
    version = user.cluster.api._version
    assert message in user.say("kubectl apply -f -", manifest)
    assert user.code == 1
    assert user.cluster.api._version == version or "Deployment" in manifest


def test_files_that_are_not_there(user: User, tmp_path: Path) -> None:
    assert user.say("kubectl apply -f nope.yaml") == 'error: the path "nope.yaml" does not exist\n'
    assert "recognized file extensions" in user.say(f"kubectl apply -f {tmp_path}")
    assert user.say("kubectl apply") == "error: must specify one of -f and -k\n"


def test_what_the_manifest_does_not_say_stays(user: User) -> None:
    """Replicas that were set by `kubectl scale`, and a dry run that changes nothing."""
    manifest = (ROOT / "tests/cli/shell/web.yaml").read_text("utf-8").replace("  replicas: 2\n", "")
    user.say("kubectl apply -f -", manifest)
    user.say("kubectl scale deploy web --replicas=3")
    assert "deployment.apps/web unchanged" in user.say("kubectl apply -f -", manifest)
    assert user.say("kubectl get deploy web -o jsonpath={.spec.replicas}") == "3"
    assert "web configured (client dry run)" in user.say("kubectl apply --dry-run=client -f -", manifest)
    user.say("kubectl delete deploy,svc -l app=web")
