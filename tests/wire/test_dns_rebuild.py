"""DNS messages taken apart and put together again, by Scapy (names in full) and by dnspython (names compressed): the
same bytes. Also those of a running cluster, as tshark reads them."""

import random
import shutil
import subprocess
from pathlib import Path

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS
from scapy.packet import Packet as ScapyPacket
from systemlab import resolve, settled

from netsim.engine import MS
from netsim.wire.dns import AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT, A, Query, Question, Record, Reply
from netsim.wire.dns_codec import DnsCodec

NAME = "web.shop.svc.cluster.local."
RECORDS = (
    Record(NAME, A, 30, "10.96.0.7"),
    Record(NAME, AAAA, 30, "fd00::7"),
    Record("old.example.", CNAME, 60, NAME),
    Record("_http._tcp." + NAME, SRV, 30, f"0 50 80 {NAME}"),
    Record("7.0.96.10.in-addr.arpa.", PTR, 30, NAME),
    Record("example.com.", MX, 300, "10 mail.example.com."),
    Record("example.com.", NS, 300, "a.iana-servers.net."),
    Record("example.com.", TXT, 300, '"v=spf1 -all"'),
    Record("cluster.local.", SOA, 30, "ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30"),
)
sections = st.lists(st.sampled_from(RECORDS), max_size=4).map(tuple)
replies = st.builds(
    Reply, st.sampled_from([0, 2, 3]), sections, sections, sections, st.booleans(), st.booleans()
)
queries = st.builds(
    lambda qtype, edns: Query(Question(NAME, qtype), NAME, edns_size=edns),
    st.sampled_from([A, AAAA, SRV, SOA]), st.sampled_from([0, 1232]),
)  # fmt: skip


def forget_bytes(packet: ScapyPacket) -> None:
    """Make Scapy build the packet and its parts anew."""
    packet.raw_packet_cache = None
    for field in packet.fields.values():
        for part in field if isinstance(field, list) else [field]:
            if isinstance(part, ScapyPacket):
                forget_bytes(part)


def scapys(wire: bytes) -> bytes:
    packet = DNS(wire)
    forget_bytes(packet)
    return bytes(packet)


@settings(max_examples=80)
@given(queries, replies)
def test_scapy_rebuilds_what_is_not_compressed(query: Query, reply: Reply) -> None:
    wire = b"\x12\x34" + DnsCodec().body(query, reply, 65535).tail(random.Random(1))
    assert scapys(wire) == wire


@settings(max_examples=80)
@given(queries, replies)
def test_dnspython_rebuilds_what_is_compressed(query: Query, reply: Reply) -> None:
    wire = b"\x12\x34" + DnsCodec().compressed(query, reply, 65535)
    # One RR per RRset: dnspython would put records of one name and type together.
    assert dns.message.from_wire(wire, one_rr_per_rrset=True).to_wire(max_size=65535) == wire


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that a pod and CoreDNS say about some names: found, not found, outside, too large for UDP."""
    cluster = settled("dns-outside")
    record = cluster.capture("default/*", "kube-system/*", "acme-dns:*", "router:*")
    for name in ("shop", "www.example.com", "nope", "foo.acme.local", "many", "nope.example.com"):
        resolve(cluster, "pod/cluster-first", name)
    resolve(cluster, "pod/none", "foo")
    cluster.run(50 * MS)
    record.stop()
    path = tmp_path_factory.mktemp("dns") / "dns.pcapng"
    cluster.write_pcapng(record, path)
    datagrams = [hop.packet().to_scapy() for hop in record]
    messages = [
        bytes(frame["UDP"].payload)
        for frame in datagrams
        if "UDP" in frame and 53 in (frame.sport, frame.dport)
    ]
    assert len(messages) > 100
    for wire in messages:
        compressed = b"\xc0\x0c" in wire
        rebuilt = dns.message.from_wire(wire, one_rr_per_rrset=True).to_wire() if compressed else scapys(wire)
        assert rebuilt == wire
    return path


def tshark(path: Path, *arguments: str) -> list[str]:
    command = ["tshark", "-n", "-r", str(path), "-o", "udp.check_checksum:TRUE", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (Debian: apt install tshark)"
)


@needs_tshark
def test_tshark_finds_nothing_malformed(capture: Path) -> None:
    assert tshark(capture, "-Y", "_ws.malformed || dns.unsolicited || udp.checksum.status == 0") == []


@needs_tshark
def test_tshark_reads_the_same_names(capture: Path) -> None:
    asked = set(tshark(capture, "-Y", "dns.flags.response == 0", "-T", "fields", "-e", "dns.qry.name"))
    assert {"shop.default.svc.cluster.local", "www.example.com", "www.example.com.cluster.local"} <= asked
    assert {"many.default.svc.cluster.local", "foo.acme.local", "nope.svc.cluster.local"} <= asked
    found = tshark(
        capture, "-Y", "dns.flags.rcode == 0 && dns.cname", "-T", "fields", "-e", "dns.cname", "-e", "dns.a"
    )
    assert "www.shop.example.org,shop.example.org\t203.0.113.80" in found
    truncated = tshark(capture, "-Y", "dns.flags.truncated == 1", "-T", "fields", "-e", "dns.qry.name")
    assert set(truncated) == {"many.default.svc.cluster.local"}
    over_tcp = tshark(
        capture, "-Y", "dns && tcp && dns.flags.response == 1", "-T", "fields", "-e", "dns.count.answers"
    )
    assert set(over_tcp) == {"40"}
