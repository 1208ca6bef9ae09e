"""The command line: exit codes, what goes where, and the published JSON Schema."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

import netsim
from netsim.cli.get import What
from netsim.cli.main import main
from netsim.cli.schema import Document, json_schema
from netsim.experiment.views import VIEWS as KNOWN_VIEWS
from netsim.experiment.yaml_tree import parse_yaml

ROOT = Path(__file__).resolve().parents[2]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"netsim {netsim.__version__}\n", "")
    code, out, err = run(capsys, "--help")
    assert (code, err) == (0, "")
    assert "validate" in out
    assert "schema" in out


@pytest.mark.parametrize("arguments", [("validate",), ("validat",), ("validate", "-x"), ("schema", "pod")])
def test_wrong_usage(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Usage" in err
    assert "Traceback" not in err


def test_validate_says_what_it_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    code, out, err = run(capsys, "validate", "experiments/wrong-port.yaml", "topologies/auth.yaml")
    assert (code, err) == (0, "")
    first, *notes = out.splitlines()
    assert first == (
        "experiments/wrong-port.yaml: ok: experiment wrong-port: 1 replications, 2 load, 3 checks; "
        "cluster tutorial-nginx: 3 Node, 1 Deployment, 1 Pod, 1 Service"
    )
    assert any("has no port 80 (it has 5000)" in note for note in notes)


def test_good_and_bad_files_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    code, out, err = run(capsys, "validate", "topologies/auth.yaml", "nowhere.yaml")
    assert (code, err) == (2, "nowhere.yaml:1:1: (file): no such file\n")
    assert out.startswith("topologies/auth.yaml: ok")


def failing(error: BaseException) -> Any:
    def load(_: Path) -> None:
        raise error

    return load


def test_an_internal_error_leaves_a_file_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    loader = importlib.import_module("netsim.experiment.loader")
    monkeypatch.setattr(loader, "load", failing(ZeroDivisionError("a bug")))
    code, out, err = run(capsys, "validate", "x.yaml")
    assert (code, out) == (3, "")
    (details,) = tmp_path.iterdir()
    assert err == f"netsim: internal error: ZeroDivisionError: a bug (details in {details})\n"
    assert "Traceback" in details.read_text(encoding="utf-8")


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    loader = importlib.import_module("netsim.experiment.loader")
    monkeypatch.setattr(loader, "load", failing(KeyboardInterrupt()))
    code, _, err = run(capsys, "validate", "x.yaml")
    assert code == 130
    assert "interrupted" in err


def documents(folder: str) -> list[tuple[str, Any]]:
    return [
        (path.name, document.data)
        for path in sorted((ROOT / folder).glob("*.yaml"))
        for document in parse_yaml(path.read_text(encoding="utf-8")).documents
    ]


@pytest.mark.parametrize(
    ("document", "folder"), [(Document.CLUSTER, "topologies"), (Document.EXPERIMENT, "experiments")]
)
def test_the_schema_fits_what_is_shipped(document: Document, folder: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema(document))
    validator.check_schema(validator.schema)
    for name, data in documents(folder):
        assert list(validator.iter_errors(data)) == [], name


@pytest.mark.parametrize(
    ("document", "data"),
    [
        (Document.CLUSTER, {"spec": {"node": []}}),
        (Document.CLUSTER, {"spec": {"links": {"default": {"delay": 5}}}}),
        (Document.CLUSTER, {"spec": {"kubelet": {"maxPod": 5}}}),
        (Document.EXPERIMENT, {"spec": {"topology": "t.yaml", "durations": "5s"}}),
        (
            Document.EXPERIMENT,
            {"spec": {"topology": "t.yaml", "faults": [{"at": "5s", "action": "pod-kil"}]}},
        ),
    ],
)
def test_the_schema_finds_mistakes(document: Document, data: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    kind = "Cluster" if document is Document.CLUSTER else "Experiment"
    whole = {"apiVersion": "netsim/v1", "kind": kind, "metadata": {"name": "a"}, **data}
    assert list(jsonschema.Draft202012Validator(json_schema(document)).iter_errors(whole))


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "schema", "experiment")
    assert (code, err) == (0, "")
    assert json.loads(out) == json_schema(Document.EXPERIMENT)


POD_KILL = ("-f", "experiments/pod-kill.yaml", "-q")


def test_get_prints_what_the_tools_would(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    code, out, err = run(capsys, "get", "routes", "worker-1", *POD_KILL)
    assert (code, err) == (0, "")
    assert out.startswith("default via 172.18.0.1 dev eth0 proto dhcp src 172.18.0.3\n")
    code, out, err = run(capsys, "get", "iptables", "clients", *POD_KILL, "--at", "1s")
    assert (code, err) == (0, "")
    assert out.startswith("*filter\n:INPUT ACCEPT [")
    assert out.endswith("COMMIT\n")
    assert '"default/my-nginx cluster IP"' in out


def test_get_looks_at_the_moment_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    early = run(capsys, "get", "conntrack", "clients", *POD_KILL, "--at", "10ms")[1].count("dport=80 ")
    late = run(capsys, "get", "conntrack", "clients", *POD_KILL, "--at", "2s")[1].count("dport=80 ")
    assert early < 20
    assert late > 150


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("routes", "worker-9"), "there is no node worker-9 (there: clients, "),
        (("routes", "worker-1", "--at", "31"), "31"),
        (("routes", "worker-1", "--at", "31h"), "the experiment pod-kill ends before that"),
    ],
)
def test_get_says_what_is_wrong(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    code, out, err = run(capsys, "get", *arguments, *POD_KILL)
    assert (code, out) == (2, "")
    assert err.startswith(f"netsim get: {message}") or message in err
    assert "Traceback" not in err


ALL = {"iptables", "nftables", "ipvs"}
VIEWS = (
    ("iptables", "*nat\n:PREROUTING ACCEPT [", ALL),  # the pod network's rules are there in any mode
    ("nftables", "table ip kube-proxy {\n", {"nftables"}),
    ("ipvs", "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port ", {"ipvs"}),
    ("ipset", "Name: KUBE-CLUSTER-IP\nType: hash:ip,port\n", {"ipvs"}),
    ("conntrack", "tcp      6 ", ALL),
    ("routes", "default via 172.18.0.1 dev eth0", ALL),
)


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_every_mode_has_its_views(
    mode: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    variant = ("-f", "experiments/proxy-modes.yaml", "--variant", f"{mode}-10", "--at", "100ms")
    assert [what for what, _, _ in VIEWS] == list(KNOWN_VIEWS)
    assert list(What) == [*KNOWN_VIEWS, "flows"]
    for what, part, modes in VIEWS:
        code, out, err = run(capsys, "get", what, "clients", *variant)
        there = mode in modes
        assert (code, part in out, err) == (0, there, "" if there else f"netsim get: clients has no {what}\n")


@pytest.mark.parametrize(
    ("mode", "what", "counted"),
    [
        ("iptables", "iptables", r"\[(\d+):\d+\] -A FORWARD .*-j KUBE-FORWARD"),
        ("ipvs", "ipvs", r"TCP  \S+:80 +(\d+) "),
    ],
)
def test_counters_are_up_to_date(
    mode: str, what: str, counted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Established flows are counted when somebody looks: later looks see more. (No rule of kube-proxy's nftables has a
    counter.)"""
    monkeypatch.chdir(ROOT)
    variant = ("-f", "experiments/proxy-modes.yaml", "-q", "--variant", f"{mode}-10")

    def packets(at: str) -> int:
        out = run(capsys, "get", what, "clients", *variant, "--at", at)[1]
        return max(int(number) for number in re.findall(counted, out))

    assert packets("2s") > packets("1s") + 50


def test_a_pod_has_no_rules(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    code, out, err = run(capsys, "get", "iptables", "pod/client", *POD_KILL[:2])
    assert (code, out, err) == (0, "", "netsim get: pod/client has no iptables\n")


TUTORIAL = ("-f", "topologies/tutorial-nginx.yaml")


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (("test-pod", *TUTORIAL, "--", "hostname"), 0, "test-pod\n", ""),
        (("test-pod", *TUTORIAL, "--", "sh", "-c", "echo $HOSTNAME | wc -l"), 0, "1\n", ""),
        (("test-pod", *TUTORIAL, "--", "false"), 1, "", "command terminated with exit code 1\n"),
        (("nobody", *TUTORIAL, "--", "env"), 2, "", "netsim exec: there is no pod default/nobody (there: "),
        (("test-pod", *TUTORIAL, "--at", "5", "--", "env"), 2, "", 'netsim exec: "5" needs a unit'),
        (
            ("test-pod", *TUTORIAL, "--variant", "x", "--", "env"),
            2,
            "",
            "netsim exec: topologies/tutorial-nginx",
        ),
    ],
)
def test_exec_is_the_commands_output_and_exit_code(
    arguments: tuple[str, ...],
    code: int,
    out: str,
    err: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    found = run(capsys, "exec", *arguments)
    assert found[:2] == (code, out)
    assert found[2].startswith(err)
    assert "Traceback" not in found[2]
