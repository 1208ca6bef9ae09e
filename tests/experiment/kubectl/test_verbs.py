"""kubectl's verbs beyond reading: labels, nodes, rollouts, waiting, exec, watching, mistakes."""

from pathlib import Path

import pytest
from shelllab import ROOT, User

import netsim
from netsim.cluster.objects import Deployment, Node, Pod


@pytest.fixture(scope="module")
def user() -> User:
    return User()


@pytest.mark.parametrize(
    ("line", "said", "code"),
    [
        ("get", "You must specify the type of resource to get", 1),
        ("get pods nope", 'Error from server (NotFound): pods "nope" not found\n', 1),
        ("get deploy nope", 'Error from server (NotFound): deployments.apps "nope" not found\n', 1),
        ("get pods -n empty", "No resources found in empty namespace.\n", 0),
        ("get pods nope --ignore-not-found", "", 0),
        ("get pods/client svc", "there is no need to specify a resource type as a separate argument", 1),
        ("get pods -o nonsense", 'unable to match a printer suitable for the output format "nonsense"', 1),
        ("get pods -l 'a in'", "unable to parse requirement", 1),
        ("get pods client -A", "a resource cannot be retrieved by name across all namespaces", 1),
        ("scale deploy/my-nginx", 'required flag(s) "replicas" not set', 1),
        ("scale svc/my-nginx --replicas=2", "the server could not find the requested resource", 1),
        ("scale deploy/my-nginx --replicas=2 --current-replicas=7", "Expected replicas to be 7, was 2", 1),
        ("rollout nonsense deploy/my-nginx", "kubectl rollout needs one of history, pause", 1),
        ("rollout undo deploy/my-nginx", 'no rollout history found for deployment "my-nginx"', 1),
        ("rollout undo deploy/my-nginx --to-revision=9", "unable to find specified revision 9 in history", 1),
        ("rollout status pod/client", "is not a kind that is rolled out", 1),
        ("label pod client", "at least one label update is required", 1),
        ("label pod client run=other", "'run' already has a value (client), and --overwrite is false", 1),
        ("label pod client 'a=b c'", 'Invalid value: "b c": a valid label must be an empty string or consist', 1),
        ("cordon nope", 'Error from server (NotFound): nodes "nope" not found\n', 1),
        ("delete pods", "resource(s) were provided, but no name was specified", 1),
        ("exec client", "you must specify at least one command", 1),
        ("exec client ls", "exec [POD] [COMMAND] is not supported anymore", 1),
        ("exec client -it -- sh", "an interactive sh is not simulated", 1),
        ("exec client -c nope -- ls", "container nope not found in pod client_default", 1),
        ("logs client", "what the processes of client log is not simulated", 1),
        ("edit pod client", "kubectl edit is not simulated", 1),
        ("gte pods", 'unknown command "gte" for "kubectl"\n\nDid you mean this?\n\tget\n', 1),
        ("set image deploy/my-nginx nope=x", 'unable to find container named "nope"', 1),
        ("wait pod/client --for=nonsense", 'unrecognized condition: "nonsense"', 1),
        ("version", "Server Version: v1.34.0\n", 0),
        ("exec deploy/my-nginx -- hostname", "my-nginx-", 0),
        ("exec client -- sh -c 'exit_with_nothing'", "command terminated with exit code 127\n", 127),
        ("wait pod/client --for=condition=Ready", "pod/client condition met\n", 0),
        ("wait pod -l run=client --for=jsonpath='{.status.phase}'=Running", "pod/client condition met\n", 0),
        ("wait pod/client --for=delete --timeout=1s", "timed out waiting for the condition on pods/client", 1),
    ],
)  # fmt: skip
def test_what_is_said(user: User, line: str, said: str, code: int) -> None:
    assert said in user.say(f"kubectl {line}")
    assert user.code == code


def test_every_verb_has_help(user: User) -> None:
    from netsim.experiment.kubectl.command import VERBS

    for verb in VERBS:
        assert f"kubectl {verb}: " in user.say(f"kubectl {verb} --help")
        assert user.code == 0


def test_labels_come_and_go(user: User) -> None:
    assert user.say("kubectl label pod client tier=x") == "pod/client labeled\n"
    assert user.say("kubectl label pod client tier=x") == "pod/client not labeled\n"
    assert "client" in user.say("kubectl get pods -l 'tier in (x,y),run!=my-nginx'")
    assert user.say("kubectl label pod client tier=y --overwrite") == "pod/client labeled\n"
    assert user.say("kubectl label pod client tier-") == "pod/client unlabeled\n"
    assert user.say("kubectl label pod client tier-") == 'label "tier" not found.\npod/client not labeled\n'
    assert user.say("kubectl annotate pod client note='a b'") == "pod/client annotated\n"


def test_a_pod_taken_out_by_its_label_is_replaced(user: User) -> None:
    """The lesson of the debugging guides: relabel a pod, and the ReplicaSet makes another one."""
    name = user.say("kubectl get pods -l run=my-nginx -o name").split()[0]
    user.say(f"kubectl label {name} run=debug --overwrite")
    user.say("until deployment my-nginx available")
    user.say("run 4s")
    assert len(user.say("kubectl get pods -l run=my-nginx -o name").split()) == 2
    assert user.say("kubectl get pods -l run=debug -o name").strip() == name
    assert user.say(f"kubectl get {name} -o jsonpath={{.metadata.ownerReferences}}") == ""
    user.say(f"kubectl delete {name} --force --grace-period=0")


BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 2, selector: {matchLabels: {run: my-nginx}}}
"""


def test_a_drain_asks_the_budgets(tmp_path: Path) -> None:
    """Both pods are needed: the drain asks again every five seconds, until its time is over."""
    user = User()
    file = tmp_path / "budget.yaml"
    file.write_text(BUDGET, "utf-8")
    assert user.say(f"kubectl apply -f {file}") == "poddisruptionbudget.policy/web created\n"
    user.say("run 2s")
    assert user.say("kubectl get pdb").splitlines() == [
        "NAME   MIN AVAILABLE   MAX UNAVAILABLE   ALLOWED DISRUPTIONS   AGE",
        "web    2               N/A               0                     2s",
    ]
    node = user.cluster.api.list(Pod, "default")[1].spec.nodeName
    said = user.say(f"kubectl drain {node} --force --timeout=12s")
    refused = "(will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget"
    assert said.count(refused) % 3 == 0
    assert refused in said
    assert said.endswith("error: drain did not complete within 12s\n")
    user.say("kubectl scale deployment my-nginx --replicas=3")
    user.say("until deployment my-nginx available")
    assert user.say(f"kubectl drain {node} --force").endswith(f"node/{node} drained\n")


def test_cordon_and_drain() -> None:
    user = User()
    assert user.say("kubectl cordon worker-1") == "node/worker-1 cordoned\n"
    assert user.say("kubectl cordon worker-1") == "node/worker-1 already cordoned\n"
    said = user.say("kubectl drain worker-1")
    assert "cannot delete Pods that declare no controller (use --force to override): default/client" in said
    assert user.code == 1
    said = user.say("kubectl drain worker-1 --force")
    assert said.endswith("node/worker-1 drained\n")
    assert "evicting pod default/client\n" in said
    assert "pod/client evicted\n" in said
    user.say("until deployment my-nginx available")
    pods = user.cluster.api.list(Pod, "default")
    assert {pod.spec.nodeName for pod in pods} == {"worker-2"}
    assert user.say("kubectl uncordon worker-1") == "node/worker-1 uncordoned\n"
    node = user.cluster.api.get(Node, "", "worker-1")
    assert node is not None
    assert not node.spec.unschedulable


def test_a_rollout_and_the_way_back() -> None:
    user = User()
    assert (
        user.say("kubectl set image deploy/my-nginx my-nginx=nginx:2")
        == "deployment.apps/my-nginx image updated\n"
    )
    assert user.say("kubectl rollout status deploy my-nginx").endswith('"my-nginx" successfully rolled out\n')
    assert user.say("kubectl rollout history deploy my-nginx") == (
        "deployment.apps/my-nginx \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n"
    )
    assert "Image:" in user.say("kubectl rollout history deploy my-nginx --revision=1")
    assert (
        user.say("kubectl rollout undo deploy my-nginx --to-revision=1")
        == "deployment.apps/my-nginx rolled back\n"
    )
    user.say("kubectl rollout status deploy my-nginx")
    assert "2         <none>\n3         <none>\n" in user.say("kubectl rollout history deploy my-nginx")
    stored = user.cluster.api.get(Deployment, "default", "my-nginx")
    assert stored is not None
    assert [c.image for c in stored.spec.template.spec.containers] == ["nginx"]
    assert "skipped rollback" in user.say("kubectl rollout undo deploy my-nginx --to-revision=3")
    user.say("kubectl rollout pause deploy my-nginx")
    assert "can't restart paused deployment" in user.say("kubectl rollout restart deploy my-nginx")
    assert user.say("kubectl rollout resume deploy my-nginx") == "deployment.apps/my-nginx resumed\n"
    assert user.say("kubectl rollout restart deploy my-nginx") == "deployment.apps/my-nginx restarted\n"


def test_a_watch_shows_each_change_and_ends() -> None:
    user = User()
    user.say("fault pod-delete run=my-nginx")
    before = user.cluster.now_ns
    lines = user.say("kubectl get pods -l run=my-nginx -w --request-timeout=5s").splitlines()
    assert user.cluster.now_ns - before == 5_000_000_000
    assert lines[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    new = [line.split()[1:3] for line in lines if line.split()[0] == lines[-1].split()[0]]
    assert ["0/1", "ContainerCreating"] in new
    assert new[-1] in (["1/1", "Running"], ["0/1", "Completed"])


def test_notebooks_get_the_same_text() -> None:
    cluster = netsim.Cluster(ROOT / "topologies/my-nginx.yaml")
    found = cluster.kubectl("get pods")
    assert str(found).startswith("NAME ")
    assert found.code == 0
    assert "Scheduled" in str(cluster.kubectl("kubectl get events"))
    assert cluster.kubectl("get pod nope").code == 1
    assert cluster.kubectl("get 'open").code == 2
    assert cluster.kubectl("delete pod client").took_ns > 0
