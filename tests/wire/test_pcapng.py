"""Captures are read back by Scapy, by tshark where there is one, and block by block against the draft."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import IP
from scapy.utils import PcapNgReader, RawPcapNgReader

from netsim.wire.addr import ip
from netsim.wire.packet import TCP, Flow, Packet, TcpSegment
from netsim.wire.pcapng import Direction, PcapngWriter, Verdict, interface_block, packet_block

NAMES = {ip("10.96.0.10"): "my-nginx.default", ip("fd00::a"): "my-nginx.default", ip("10.244.1.5"): "client"}
COMMENT = "pod=web-1 ns=default svc=my-nginx rule=KUBE-SVC-ABC"


def segment() -> Packet:
    return Packet(
        Flow(ip("10.244.1.5"), ip("10.96.0.10"), 40000, 80, TCP), TcpSegment(1, 2, 24, 64240, b"", b"odd")
    )


def write(path: Path) -> None:
    """One packet seen on two interfaces, dropped at the second, 1 s and 1 ns after the start."""
    packet = segment()
    with PcapngWriter(path, names=NAMES, comment="seed 7") as capture:
        pod = capture.interface("pod/client/eth0", "the client's end", mac=b"\2\0\0\0\0\1")
        node = capture.interface("worker-1:eth0")
        assert capture.interface("pod/client/eth0") == pod
        capture.packet(pod, 1_000_000_001, packet.to_bytes(), packet_id=17, direction=Direction.OUTBOUND)
        packet.ttl -= 1
        capture.packet(
            node,
            1_000_020_001,
            packet.to_bytes(),
            packet_id=17,
            direction=Direction.INBOUND,
            verdict=Verdict.DROP,
            comments=[COMMENT, "lost"],
        )


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each block; both lengths must agree."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("!II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("!I", data, at + length - 4) == (length,)
        found.append((kind, data[at + 8 : at + length - 4]))
        at += length
    return found


def items(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Options, or records of a name block, up to their end mark; and what follows."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        code, length = struct.unpack_from("!HH", data, at)
        at += 4
        if code == 0:
            return found, data[at:]
        found.append((code, data[at : at + length]))
        at += length + -length % 4
    raise AssertionError("no end mark")


def test_scapy_reads_it_back(tmp_path: Path) -> None:
    write(tmp_path / "a.pcapng")
    with PcapNgReader(str(tmp_path / "a.pcapng")) as reader:
        first, second = reader
    assert bytes(first) == segment().to_bytes()
    assert int(first.time * 10**9) == 1_000_000_001
    assert (first.sniffed_on, second.sniffed_on) == ("pod/client/eth0", "worker-1:eth0")
    assert (first.direction, second.direction) == (Direction.OUTBOUND, Direction.INBOUND)
    assert (first.comments, second.comments) == (None, [COMMENT.encode(), b"lost"])
    assert (first[IP].ttl, second[IP].ttl) == (64, 63)


def test_scapy_reads_nanoseconds_as_ticks(tmp_path: Path) -> None:
    write(tmp_path / "a.pcapng")
    with RawPcapNgReader(str(tmp_path / "a.pcapng")) as reader:
        _, metadata = next(iter(reader))
    assert (metadata.tshigh << 32 | metadata.tslow, metadata.tsresol) == (1_000_000_001, 10**9)


def test_blocks(tmp_path: Path) -> None:
    write(tmp_path / "a.pcapng")
    section, names, pod, node, first, second = blocks((tmp_path / "a.pcapng").read_bytes())
    assert section[0] == 0x0A0D0D0A
    assert section[1][:16] == bytes.fromhex("1a2b3c4d00010000") + b"\xff" * 8
    assert items(section[1][16:]) == ([(1, b"seed 7"), (4, b"netsim")], b"")
    assert names == (4, names[1])
    assert items(names[1]) == (
        [
            (1, ip("10.96.0.10") + b"my-nginx.default\0"),
            (2, ip("fd00::a") + b"my-nginx.default\0"),
            (1, ip("10.244.1.5") + b"client\0"),
        ],
        b"",
    )
    assert pod[1][:8] == bytes.fromhex("0001000000000000")
    expected = [(2, b"pod/client/eth0"), (3, b"the client's end"), (6, b"\2\0\0\0\0\1"), (9, b"\x09")]
    assert items(pod[1][8:]) == (expected, b"")
    assert items(node[1][8:]) == ([(2, b"worker-1:eth0"), (9, b"\x09")], b"")
    options = 20 + len(segment().to_bytes()) + 3
    assert items(first[1][options:]) == ([(2, bytes([0, 0, 0, 2])), (5, struct.pack("!Q", 17))], b"")
    assert items(second[1][options:])[0] == [
        (1, COMMENT.encode()),
        (1, b"lost"),
        (2, bytes([0, 0, 0, 1])),
        (5, struct.pack("!Q", 17)),
        (7, bytes([1, 0, 0, 0, 0, 0, 0, 0, 2])),  # eBPF TC, TC_ACT_SHOT
    ]


def test_packet_without_options_has_no_end_mark() -> None:
    assert len(packet_block(0, 0, bytes(60))) == 12 + 20 + 60


def test_same_calls_give_the_same_file(tmp_path: Path) -> None:
    """No clock, no host name: a capture is part of a run's fingerprint."""
    write(tmp_path / "a.pcapng")
    write(tmp_path / "b.pcapng")
    assert (tmp_path / "a.pcapng").read_bytes() == (tmp_path / "b.pcapng").read_bytes()


def test_offset_makes_times_before_the_experiment_possible(tmp_path: Path) -> None:
    with PcapngWriter(tmp_path / "a.pcapng", offset_ns=1000) as capture:
        capture.packet(capture.interface("a"), -1, b"")
        with pytest.raises(ValueError, match="offset_ns"):
            capture.packet(0, -1001, b"")


def interrupted(path: Path) -> None:
    with PcapngWriter(path) as capture:
        capture.packet(capture.interface("a"), 0, bytes(60))
        raise KeyboardInterrupt


@pytest.mark.parametrize("old", [None, b"an older capture"])
def test_interrupted_capture_leaves_no_trace(tmp_path: Path, old: bytes | None) -> None:
    path = tmp_path / "a.pcapng"
    if old:
        path.write_bytes(old)
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == ({path.name: old} if old else {})


def test_file_that_cannot_get_its_name_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "a.pcapng").mkdir()
    with pytest.raises(OSError, match="directory"), PcapngWriter(tmp_path / "a.pcapng"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["a.pcapng"]


def test_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    capture = PcapngWriter(tmp_path / "a.pcapng")
    assert not (tmp_path / "a.pcapng").exists()
    capture.close()
    capture.close()
    capture.abort()
    assert [file.name for file in tmp_path.iterdir()] == ["a.pcapng"]
    with pytest.raises(ValueError, match="closed"):
        capture.interface("a")


def test_interface_must_be_described(tmp_path: Path) -> None:
    with PcapngWriter(tmp_path / "a.pcapng") as capture, pytest.raises(ValueError, match="interface 0"):
        capture.packet(0, 0, b"")


def test_option_length_limit() -> None:
    with pytest.raises(ValueError, match="65535"):
        interface_block("x" * 65536)


@pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (Debian: apt install tshark)"
)
def test_tshark_reads_it_back(tmp_path: Path) -> None:
    """Also Wireshark's own check of both checksums ("1" is good), and of the names."""
    write(tmp_path / "a.pcapng")
    fields = [
        "frame.time_epoch",
        "frame.interface_name",
        "frame.packet_id",
        "frame.verdict.ebpf_tc",
        "frame.comment",
        "ip.checksum.status",
        "tcp.checksum.status",
        "ip.src_host",
        "ip.dst_host",
        "ip.ttl",
    ]
    checks = ["-N", "n", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    command = ["tshark", "-r", str(tmp_path / "a.pcapng"), *checks, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    good = ["1", "1", "client", "my-nginx.default"]
    assert [line.split("\t") for line in run.stdout.splitlines()] == [
        ["1.000000001", "pod/client/eth0", "17", "", "", *good, "64"],
        ["1.000020001", "worker-1:eth0", "17", "2", f"{COMMENT},lost", *good, "63"],
    ]
