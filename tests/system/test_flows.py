"""`netsim get flows`: the shape of Hubble's messages, what they say of a request, and the printed forms."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from systemlab import ROOT, TOPOLOGIES, settled

from netsim.cli.get_flows import Form
from netsim.cli.main import main
from netsim.experiment.cluster import Cluster
from netsim.kernel.hooks import DropReason
from netsim.measure.flows import REASONS, time_text
from netsim.measure.flows_text import FORMS

# Fields of flow.proto's Flow that we write; always, and where it applies.
ALWAYS = {"time", "verdict", "IP", "source", "destination", "Type", "node_name", "event_type", "Summary",
          "traffic_direction"}  # fmt: skip
SOMETIMES = {"ethernet", "l4", "l7", "source_service", "destination_service", "trace_observation_point", "trace_reason",
             "is_reply", "interface", "drop_reason", "drop_reason_desc"}  # fmt: skip


def observed(topology: str, source: str, url: str, only: str = "") -> tuple[Cluster, list[dict[str, Any]]]:
    cluster = settled(topology)
    watching = cluster.observe(only)
    cluster.exec(source, f"curl -s -m 2 {url}")
    cluster.run("100ms")
    found = watching.flows()
    watching.stop()
    return cluster, found


@pytest.mark.parametrize(
    ("topology", "points"),
    [
        ("tutorial-nginx", {"FROM_ENDPOINT", "TO_ENDPOINT", "TO_NETWORK", "FROM_NETWORK"}),
        ("vxlan", {"FROM_ENDPOINT", "TO_ENDPOINT", "TO_OVERLAY", "FROM_OVERLAY"}),
    ],
)
def test_messages_have_hubbles_shape(topology: str, points: set[str]) -> None:
    source, url = (
        ("test-pod", "http://nginx-service:5000/") if topology != "vxlan" else ("client", "http://my-nginx/")
    )
    _, found = observed(topology, source, url)
    for message in found:
        assert set(message) == {"flow", "node_name", "time"}
        flow = message["flow"]
        assert set(flow) >= ALWAYS
        assert set(flow) <= ALWAYS | SOMETIMES
        assert re.fullmatch(r"1970-01-01T\d\d:\d\d:\d\d\.\d{9}Z", flow["time"])
        assert flow["IP"]["ipVersion"] == "IPv4"
        assert (flow["Type"], flow["event_type"]["type"]) in {("L3_L4", 4), ("L3_L4", 1), ("L7", 129)}
        json.dumps(message)
    seen = {m["flow"]["trace_observation_point"] for m in found if "trace_observation_point" in m["flow"]}
    assert seen >= points
    assert [m["time"] for m in found] == sorted(m["time"] for m in found)


def test_a_connection_from_end_to_end() -> None:
    """SYN and SYN, ACK as the nodes see them: before DNAT the Service, behind it the pod."""
    cluster, found = observed("tutorial-nginx", "test-pod", "http://nginx-service:5000/")
    syns = [
        (f["trace_observation_point"], f["is_reply"], f["traffic_direction"], f["trace_reason"],
         f["source"].get("pod_name") or f.get("source_service", {}).get("name"),
         f["destination"].get("pod_name") or f.get("destination_service", {}).get("name"))
        for m in found if (f := m["flow"])["Type"] == "L3_L4" and "SYN" in f["l4"].get("TCP", {}).get("flags", {})
    ]  # fmt: skip
    pod = next(m["flow"] for m in found if m["flow"]["IP"]["source"].startswith("10.244")
               and m["flow"].get("l4", {}).get("TCP", {}).get("source_port") == 80)["source"]  # fmt: skip
    name = pod["pod_name"]
    assert pod["workloads"] == [{"name": "nginx-deploy", "kind": "Deployment"}]
    assert "k8s:app=nginx" in pod["labels"]
    assert pod["identity"] >= 256
    assert syns[0] == ("FROM_ENDPOINT", False, "EGRESS", "NEW", "test-pod", "nginx-service")
    assert ("TO_ENDPOINT", False, "INGRESS", "NEW", "test-pod", name) in syns
    assert ("FROM_ENDPOINT", True, "INGRESS", "REPLY", name, "test-pod") in syns
    assert syns[-1] == ("TO_ENDPOINT", True, "EGRESS", "REPLY", "nginx-service", "test-pod")
    assert {m["node_name"] for m in found} <= set(cluster.fabric.nodes)


def test_pods_of_one_deployment_have_one_identity() -> None:
    _, found = observed("tutorial-nginx", "test-pod", "http://nginx-service:5000/")
    ends = [m["flow"][side] for m in found for side in ("source", "destination")]
    by_labels: dict[tuple[str, ...], set[int]] = {}
    for end in ends:
        by_labels.setdefault(tuple(end["labels"]), set()).add(end["identity"])
    assert all(len(identities) == 1 for identities in by_labels.values())
    assert len({next(iter(found)) for found in by_labels.values()}) == len(by_labels)


def test_names_and_requests_are_l7_flows() -> None:
    _, found = observed("tutorial-nginx", "test-pod", "http://nginx-service:5000/")
    l7 = [m["flow"] for m in found if m["flow"]["Type"] == "L7"]
    told = [(f["l7"]["type"], next(k for k in f["l7"] if k in ("dns", "http"))) for f in l7]
    assert Counter(told) == {("REQUEST", "dns"): 2, ("RESPONSE", "dns"): 2, ("REQUEST", "http"): 1,
                             ("RESPONSE", "http"): 1}  # fmt: skip
    answer = next(f for f in l7 if "ips" in f["l7"].get("dns", {}))
    name = "nginx-service.default.svc.cluster.local."
    assert answer["l7"]["dns"]["query"] == name
    assert answer["Summary"] == f'DNS Answer "{answer["l7"]["dns"]["ips"][0]}" TTL: 30 (Proxy {name} A)'
    assert 0 < int(answer["l7"]["latency_ns"]) < 10**9
    response = next(f for f in l7 if f["l7"].get("http", {}).get("code"))
    assert re.fullmatch(r"HTTP/1\.1 200 \d+ms \(GET http://nginx-service:5000/\)", response["Summary"])


def test_drops_have_a_reason() -> None:
    _, found = observed("tutorial-nginx", "test-pod", "http://nginx-service/")
    dropped = [m["flow"] for m in found if m["flow"]["verdict"] == "DROPPED"]
    assert dropped
    for flow in dropped:
        assert (flow["drop_reason_desc"], flow["drop_reason"]) == ("STALE_OR_UNROUTABLE_IP", 151)
        assert flow["Summary"].startswith(
            "TCP Flags: SYN; IP_BLACKHOLE: blackhole route at FORWARD of router"
        )


def test_drop_reasons_have_one_number_each() -> None:
    numbers = set(REASONS.values())
    assert len({name for name, _ in numbers}) == len({number for _, number in numbers}) == len(numbers)
    assert set(REASONS) <= set(DropReason)


def test_one_host_only() -> None:
    cluster, found = observed("tutorial-nginx", "test-pod", "http://nginx-service:5000/", "pod/test-pod")
    address = "10.244.1.2"
    assert cluster.host("pod/test-pod").address == bytes(map(int, address.split(".")))
    assert found
    assert all(address in (m["flow"]["IP"]["source"], m["flow"]["IP"]["destination"]) for m in found)


def test_compact_lines_read_as_hubbles() -> None:
    _, found = observed("tutorial-nginx", "test-pod", "http://nginx-service:5000/")
    lines = FORMS["compact"](found).splitlines()
    assert len(lines) == len(found)
    end = r"\S+:\d+ \((ID:\d+|host|world|remote-node)\)"
    kinds = r"(to|from)-(endpoint|network)|(dns|http)-(request|response) proxy"
    shape = rf"Jan  1 00:00:\d\d\.\d{{3}}: {end} (->|<-) {end} ({kinds}) FORWARDED \(.+\)"
    assert [line for line in lines if not re.fullmatch(shape, line)] == []
    syn = next(line for line in lines if "SYN, ACK" in line and "to-endpoint" in line)
    # An answer: the client stays on the left.
    assert re.search(
        r": default/test-pod:\d+ \(ID:\d+\) <- default/nginx-service:5000 \(world\) to-endpoint", syn
    )
    assert FORMS["text"](found) == FORMS["compact"](found)
    assert FORMS["table"](found).splitlines()[0].split() == [
        "TIMESTAMP", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"
    ]  # fmt: skip
    assert FORMS["dict"](found).count("VERDICT: ") == len(found)
    assert [json.loads(line) for line in FORMS["json"](found).splitlines()] == found
    assert set(FORMS) == set(Form)


def test_time_is_of_the_experiment() -> None:
    assert time_text(61_000_000_001) == "1970-01-01T00:01:01.000000001Z"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = str(ROOT / "experiments" / "wrong-port.yaml")
    get = ["get", "flows", "-f", experiment, "--at", "1s"]
    assert main([*get, "-o", "json", "--last", "5"]) == 0
    out, err = capsys.readouterr()
    assert len([json.loads(line) for line in out.splitlines()]) == 5
    assert re.search(r"the last 5 of [\d,]+ flows", err)
    assert main([*get, "--verdict", "DROPPED", "--last", "0", "-q"]) == 0
    out, err = capsys.readouterr()
    assert out
    assert all(" DROPPED " in line for line in out.splitlines())
    assert err == ""
    for wrong, said in (
        (["--verdict", "LOST"], "no verdict"),
        (["pod/nobody"], "no pod"),
        (["--at", "99h"], "ends before"),
    ):
        assert main([*get[:2], *wrong, *get[2:4], *(get[4:] if "--at" not in wrong else [])]) == 2
        assert said in capsys.readouterr().err
    assert main(["get", "flows", "-f", str(TOPOLOGIES / "my-nginx.yaml"), "--at", "1s"]) == 0
    assert "no flows were observed" in capsys.readouterr().err
    assert main(["get", "routes", "-f", experiment]) == 2
    assert "Name a node" in capsys.readouterr().err
