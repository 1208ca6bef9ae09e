"""Captures of whole clusters: opened by the real tshark, and byte for byte what the simulator has."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from scapy.utils import RawPcapNgReader
from systemlab import ROOT, TOPOLOGIES, settled

from netsim.cli.main import main
from netsim.experiment.cluster import Cluster
from netsim.fabric.link import Netem
from netsim.fabric.tcpdump import Tcpdump

CASES = {
    "tutorial-nginx": ("test-pod", "http://nginx-service:5000/"),
    "vxlan": ("client", "http://my-nginx/"),
    "ipvs": ("client", "http://my-nginx/"),
    "nftables": ("client", "http://my-nginx/"),
    "tutorial-ipv6": ("test-pod", "http://nginx-service:5000/"),
}
NOBODY = """
apiVersion: netsim/v1
kind: Cluster
metadata: {name: nobody}
spec:
  nodes: [{role: control-plane}, {role: worker, count: 2}]
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {containers: [{name: client, image: busybox}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody, annotations: {netsim/allow-empty: "true"}}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
"""


def asked(cluster: Cluster, source: str, url: str, *patterns: str) -> Tcpdump:
    """One curl, with somebody listening."""
    dump = cluster.tcpdump(*patterns)
    cluster.exec(source, f"curl -s -m 3 {url}")
    cluster.run("200ms")
    dump.stop()
    return dump


def tshark(path: Path, *arguments: str) -> list[list[str]]:
    """Rows of fields; skips where there is no tshark, except in CI."""
    if shutil.which("tshark") is None:
        if os.environ.get("CI"):
            pytest.fail("there is no tshark, which CI has to have")
        pytest.skip("there is no tshark (Debian: apt install tshark)")
    checks = ["ip", "tcp", "udp"]
    options = [word for check in checks for word in ("-o", f"{check}.check_checksum:TRUE")]
    command = ["tshark", "-r", str(path), "-N", "n", "-d", "udp.port==8472,vxlan", *options, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [line.split("\t") for line in run.stdout.splitlines()]


def fields(*names: str) -> list[str]:
    return ["-T", "fields", "-E", "aggregator=|", *(word for name in names for word in ("-e", name))]


@pytest.mark.parametrize("topology", CASES)
def test_tshark_reads_everything(topology: str, tmp_path: Path) -> None:
    cluster = settled(topology)
    source, url = CASES[topology]
    dump = asked(cluster, source, url)
    path = tmp_path / "all.pcapng"
    number = cluster.write_pcapng(dump, path)
    assert number >= len(dump) > 40
    rows = tshark(
        path, *fields("frame.time_epoch", "frame.interface_name", "frame.packet_id", "frame.comment")
    )
    assert len(rows) == number
    assert {row[1] for row in rows} == {seen.interface.name for seen in dump}
    assert all(re.fullmatch(r"\d+\.\d{9}", row[0]) for row in rows)
    assert all(row[3] for row in rows)
    assert tshark(path, "-Y", "_ws.malformed || _ws.expert.severity == error") == []
    bad = "ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0"
    assert tshark(path, "-Y", bad) == []


def test_bytes_times_and_directions_in_the_file_are_the_simulators(tmp_path: Path) -> None:
    cluster = settled("vxlan")
    dump = asked(cluster, "client", "http://my-nginx/")
    path = tmp_path / "all.pcapng"
    cluster.write_pcapng(dump, path)
    with RawPcapNgReader(str(path)) as reader:
        found = [
            (meta.tshigh << 32 | meta.tslow, meta.ifname.decode(), meta.direction, data)
            for data, meta in reader
        ]
    expected = [
        (s.at_ns - cluster.epoch_ns, s.interface.name, 2 if s.outbound else 1, s.packet().to_bytes())
        for s in sorted(dump, key=lambda s: s.at_ns)
    ]
    assert found == expected
    # The tunnel's device sees frames without the wrapping that eth0 sees them with.
    inner = {data for _, name, _, data in found if name.endswith(":flannel.1")}
    outer = [data for _, name, _, data in found if name.endswith(":eth0") and data[36:38] == b"\x21\x18"]
    assert outer
    assert {data[50:] for data in outer} == inner


def test_names_interfaces_and_what_was_run(tmp_path: Path) -> None:
    cluster = settled("tutorial-nginx")
    path = tmp_path / "pod.pcapng"
    cluster.write_pcapng(asked(cluster, "test-pod", "http://nginx-service:5000/", "pod/test-pod"), path)
    rows = tshark(
        path, *fields("ip.src_host", "ip.dst_host", "frame.interface_description"), "-Y", "tcp.flags.syn==1"
    )
    node = cluster.fabric.pods["default/test-pod"].node.name
    described = rf"eth0 of pod default/test-pod, 10\.244\.\d\.\d; other end: {node}:veth\w+"
    assert [row[:2] for row in rows] == [
        ["default/test-pod", "svc/default/nginx-service"],
        ["svc/default/nginx-service", "default/test-pod"],
    ]
    assert all(re.fullmatch(described, row[2]) for row in rows)
    if shutil.which("capinfos"):
        told = subprocess.run(["capinfos", str(path)], capture_output=True, text=True, check=True).stdout
        assert re.search(r"Capture application: +netsim \d", told)
        assert re.search(
            r"Capture comment: +topology tutorial-nginx, seed 1, Kubernetes .*sha256 \w{16}", told
        )


@pytest.mark.parametrize(
    ("topology", "rule"),
    [
        ("tutorial-nginx", r"DNAT on worker-\d: 10\.96\.\S+ to 10\.244\.\d\.\d:80 by nat: -A KUBE-SEP-\w+ .* -j DNAT"),
        ("nftables", r"DNAT on \S+: 10\.96\.\S+ to 10\.244\.\d\.\d:80 by ip kube-proxy endpoint-\S+ rule .*dnat to"),
        ("ipvs", r"IPVS on \S+: 10\.96\.\S+ to 10\.244\.\d\.\d:80 by ipvs: -t 10\.96\.\S+:80 -s rr -r 10\.244\."),
    ],
)  # fmt: skip
def test_comments_name_the_rule_on_every_interface_there_and_back(
    topology: str, rule: str, tmp_path: Path
) -> None:
    cluster = settled(topology)
    source, url = CASES[topology]
    path = tmp_path / "all.pcapng"
    cluster.write_pcapng(asked(cluster, source, url), path)
    rows = tshark(path, *fields("frame.comment"), "-Y", "tcp.flags.syn==1 && tcp.port==80 || tcp.port==5000")
    assert len(rows) >= 8
    assert [row[0] for row in rows if not re.search(rule, row[0])] == []
    assert any("|answer in a flow with " in row[0] for row in rows)
    assert all(re.search(r"\|(svc/)?default/\S+ > (svc/)?default/\S+", row[0]) for row in rows)


def test_a_dropped_packet_says_where_and_why(tmp_path: Path) -> None:
    """The port that the Service does not have: it leaves the node and ends at the router."""
    cluster = settled("tutorial-nginx")
    path = tmp_path / "drop.pcapng"
    cluster.write_pcapng(asked(cluster, "test-pod", "http://nginx-service/"), path)
    shown = fields("frame.interface_name", "frame.verdict.ebpf_tc", "frame.comment", "tcp.flags.str")
    rows = tshark(path, *shown, "-Y", "frame.verdict.ebpf_tc")
    assert {(row[0], row[1]) for row in rows} == {("router:eth0", "2")}
    assert all(
        "|DROPPED at FORWARD of router (eth0): blackhole route [IP_BLACKHOLE]" in row[2] for row in rows
    )
    everything = tshark(path, *fields("frame.verdict.ebpf_tc"))
    assert len(everything) > len(rows)


def test_a_rejected_packet_names_the_rule(tmp_path: Path) -> None:
    (tmp_path / "nobody.yaml").write_text(NOBODY, "utf-8")
    cluster = Cluster(tmp_path / "nobody.yaml")
    cluster.settle()
    path = tmp_path / "reject.pcapng"
    cluster.write_pcapng(asked(cluster, "client", "http://nobody/"), path)
    rows = tshark(path, *fields("frame.interface_name", "frame.comment"), "-Y", "frame.verdict.ebpf_tc")
    assert len(rows) == 1
    assert re.fullmatch(r"worker-\d:veth\w+", rows[0][0])
    said = (
        r"DROPPED at FORWARD of worker-\d .*\[NETFILTER_REJECT\], by filter: -A KUBE-SERVICES .*nobody has no"
    )
    assert re.search(said, rows[0][1])


def test_what_met_no_interface_of_a_host_is_there_too(tmp_path: Path) -> None:
    """A node's own packet that a rule refuses, and one that the switch loses."""
    (tmp_path / "nobody.yaml").write_text(NOBODY, "utf-8")
    cluster = Cluster(tmp_path / "nobody.yaml")
    cluster.settle()
    address = cluster.exec("client", "nslookup nobody").stdout.rsplit("Address: ", 1)[1].strip()
    dump = cluster.tcpdump("node/*")
    cluster.fabric.set_netem(cluster.fabric.cables["worker-2:eth0"], Netem(loss=1.0), "to")
    cluster.exec("node/worker-1", f"curl -s -m 1 http://{address}/")
    cluster.exec("node/worker-1", "ping -c 1 -W 1 172.18.0.4")
    dump.stop()
    path = tmp_path / "unseen.pcapng"
    cluster.write_pcapng(dump, path)
    rows = tshark(path, *fields("frame.interface_name", "frame.comment"), "-Y", "frame.verdict.ebpf_tc")
    found = {row[0]: row[1].rpartition("|")[2] for row in rows}
    assert re.match(
        r"DROPPED at OUTPUT of worker-1: .*NETFILTER_REJECT.*has no endpoints", found["worker-1:any"]
    )
    assert found["switch:worker-2"] == "DROPPED at LINK of switch (worker-2): lost on the link [LINK_LOSS]"


def test_patterns_that_mean_nothing_are_refused() -> None:
    cluster = settled("my-nginx")
    with pytest.raises(
        LookupError, match=r"no interface is meant by pod/clent \(hosts there are: .*default/client"
    ):
        cluster.tcpdump("pod/client", "pod/clent")
    assert all(not host.ns.drop_subscribers for host in cluster.fabric.hosts())


# ---------------------------------------------------------------------- the command line
def test_exec_and_explain_write_captures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    topology = str(TOPOLOGIES / "my-nginx.yaml")
    listen = ["--capture", "pod/client", "--capture", "node/*:eth0"]
    assert (
        main(
            [
                "exec",
                "client",
                "-f",
                topology,
                *listen,
                "-w",
                "e.pcapng",
                "--",
                "ping",
                "-c",
                "1",
                "10.96.0.10",
            ]
        )
        == 1
    )
    assert re.search(r"^\d+ packets on \d+ interfaces in e\.pcapng$", capsys.readouterr().err, re.MULTILINE)
    ask = ["explain", topology, "--from", "pod/client", "--to", "http://my-nginx/"]
    assert main([*ask, *listen]) == 0
    assert len(tshark(tmp_path / "netsim.pcapng", "-Y", "http")) >= 2
    capsys.readouterr()
    assert main([*ask, "--capture", "pod/nobody"]) == 2
    assert "no interface is meant by pod/nobody" in capsys.readouterr().err
    assert main([*ask, *listen, "-w", "no/folder/x.pcapng"]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_run_keeps_a_capture_of_the_first_replication_and_the_same_fingerprint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = tmp_path / "short.yaml"
    text = (
        (ROOT / "experiments" / "wrong-port.yaml")
        .read_text("utf-8")
        .replace("../topologies", str(TOPOLOGIES))
    )
    text = re.sub(r"duration: \w+", "duration: 5s", text)
    experiment.write_text(re.sub(r"\n  capture: .*", "", text), "utf-8")
    plain = ["run", str(experiment), "-q", "--no-figures", "--jobs", "1"]
    assert main([*plain, "--out", str(tmp_path / "one")]) in (0, 1)
    first = capsys.readouterr().out.splitlines()[0]
    assert main([*plain, "--out", str(tmp_path / "two"), "--capture", "pod/test-pod"]) in (0, 1)
    assert capsys.readouterr().out.splitlines()[0] == first
    path = tmp_path / "two" / "packets" / "capture.pcapng"
    assert path.is_file()
    assert not (tmp_path / "one" / "packets").exists()
    assert tshark(path, "-Y", "dns")
    assert main([*plain, "--out", str(tmp_path / "three"), "--capture", "pod/nobody"]) == 2
    assert "no interface is meant by pod/nobody" in capsys.readouterr().err
