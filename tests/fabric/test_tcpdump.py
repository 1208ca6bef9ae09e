"""Listening on interfaces: which ones a pattern means, what each sees and when, and that nothing is left behind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netlab import Lab, Service, inbox, udp

from netsim.engine import MS, S
from netsim.fabric.capture import Capture
from netsim.fabric.link import Netem
from netsim.fabric.tcpdump import SWITCH, Tcpdump, selects
from netsim.kernel.hooks import DropReason
from netsim.wire.packet import ArpMessage

PATTERNS = [
    # pattern, kind, host, device, meant?
    ("*", "node", "worker-1", "eth0", True),
    ("node/worker-1", "node", "worker-1", "veth1", True),
    ("node/worker-1", "node", "worker-10", "eth0", False),
    ("node/*:eth0", "node", "worker-1", "eth0", True),
    ("node/*:eth0", "node", "worker-1", "veth1", False),
    ("worker-*", "node", "worker-2", "eth0", True),
    ("pod/client", "pod", "default/client", "eth0", True),
    ("pod/client", "pod", "shop/client", "eth0", False),
    ("pod/shop/client", "pod", "shop/client", "lo", True),
    ("default/client:eth0", "pod", "default/client", "eth0", True),
    ("default/client:eth0", "pod", "default/client", "lo", False),
    ("pod/web", "pod", "default/web-7d4b9-x2x2x", "eth0", True),
    ("pod/*", "pod", "kube-system/coredns-1", "eth0", True),
    ("pod/*", "node", "worker-1", "eth0", False),
    ("external/laptop", "external", "laptop", "eth0", True),
    ("router", "router", "router", "eth0", True),
    ("node/web", "pod", "default/web", "eth0", False),
]


@pytest.mark.parametrize(("pattern", "kind", "host", "device", "meant"), PATTERNS)
def test_patterns(pattern: str, kind: str, host: str, device: str, meant: bool) -> None:
    assert selects(pattern, kind, host, device) is meant


def busy_lab() -> Lab:
    lab = Lab(nodes=2)
    lab.pod(1, 5)
    inbox(lab.pod(2, 7)).echo()
    lab.serve(Service("10.96.0.10", 53, [("10.244.2.7", 8053)]))
    return lab


def traffic(lab: Lab, ports: tuple[int, ...] = (4000, 4001, 4000)) -> None:
    client = lab.fabric.pods["p1-5"]
    for port in ports:
        lab.send(client, udp("10.244.1.5", port, "10.96.0.10", 53, b"question"))
        lab.run(10 * MS)
    lab.run(S)


def test_each_interface_sees_a_packet_when_it_passes() -> None:
    lab = busy_lab()
    dump = Tcpdump(lab.fabric, ["*"])
    traffic(lab, (4000,))
    uid = next(seen.uid for seen in dump if not isinstance(seen.body, ArpMessage))
    found = [
        (seen.interface.name, "out" if seen.outbound else "in", seen.flow.dport, seen.ttl)
        for seen in sorted(dump, key=lambda seen: seen.at_ns)
        if seen.uid == uid
    ]
    one, other = lab.fabric.pods["p1-5"].veth, lab.fabric.pods["p2-7"].veth
    assert found == [
        ("p1-5:eth0", "out", 53, 64),
        (f"n1:{one}", "in", 53, 64),
        ("n1:eth0", "out", 8053, 63),
        ("n2:eth0", "in", 8053, 63),
        (f"n2:{other}", "out", 8053, 62),
        ("p2-7:eth0", "in", 8053, 62),
    ]
    times = [seen.at_ns for seen in dump if seen.uid == uid]
    assert len(set(times)) == 6  # links take time


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from([4000, 4001, 4002]), min_size=1, max_size=5), st.booleans())
def test_what_is_seen_is_what_is_on_the_wire(ports: list[int], late: bool) -> None:
    """The other way to listen, on cables, is the witness: the same frames, each sent once and received once."""
    lab, capture = busy_lab(), Capture()
    if late:
        traffic(lab)
    for cable in lab.fabric.cables.values():
        capture.attach(cable)
    dump = Tcpdump(lab.fabric, ["*"])
    traffic(lab, tuple(ports))
    sent = [(s.at_ns, s.interface.name, s.uid, s.packet().to_bytes()) for s in dump if s.outbound]
    wire = [
        (hop.at_ns, f"{hop.link.device.ns.name}:{hop.link.device.name}", hop.uid, hop.packet().to_bytes())
        for hop in capture
        if hop.link.device is not None
    ]
    assert sent == wire
    received = sorted((s.uid, s.packet().to_bytes()) for s in dump if not s.outbound)
    ports_of_switch = {
        link.name for cable in lab.fabric.cables.values() for link in cable.links if not link.device
    }
    arrived = sorted(
        (hop.uid, hop.packet().to_bytes())
        for hop in capture
        if hop.link.name in ports_of_switch or ":eth0" not in hop.link.name or hop.link.name.startswith("p")
    )
    assert received == arrived


def test_what_nat_decided_is_heard_once_per_flow() -> None:
    lab = busy_lab()
    traffic(lab)  # so that first packets have a remembered way, which must not be taken now
    dump = Tcpdump(lab.fabric, ["p1-5"])
    traffic(lab, (4001, 4005, 4006, 4006))
    decided = [(r.namespace, r.hook, r.kind, r.before.sport, str(r.after)) for r in dump.rewrites]
    assert decided == [
        ("n1", "PREROUTING", "dnat", port, f"udp 10.244.1.5:{port} > 10.244.2.7:8053")
        for port in (4005, 4006)
    ]
    assert all("10.244.2.7:8053" in r.rule for r in dump.rewrites)


def test_drops_are_heard_where_somebody_listens_and_at_the_switch() -> None:
    lab = busy_lab()
    dump = Tcpdump(lab.fabric, ["n2"])
    lab.fabric.set_netem(lab.fabric.cables["n2:eth0"], Netem(loss=1.0), "to")
    traffic(lab, (4000,))
    assert [(d.namespace, d.reason, d.device) for d in dump.drops] == [
        (SWITCH, DropReason.LINK_LOSS, "n2")
    ] * len(dump.drops)
    assert dump.drops
    assert all(d.packet is not None and d.packet.to_bytes() for d in dump.drops)
    assert not [seen for seen in dump if not seen.outbound and seen.interface.device == "eth0"]


def test_pods_to_come_are_listened_to() -> None:
    lab = busy_lab()
    dump = Tcpdump(lab.fabric, ["p1-*"])
    lab.pod(1, 9)
    assert set(dump.interfaces) == {"p1-5:eth0", "p1-5:lo", "p1-9:eth0"}
    lab.send(lab.fabric.pods["p1-9"], udp("10.244.1.9", 4000, "10.96.0.10", 53, b"question"))
    lab.run(S)
    assert {seen.interface.name for seen in dump} == {"p1-9:eth0"}
    assert Tcpdump(lab.fabric, ["p1-*", "q*"]).unmatched() == ["q*"]


def test_stopped_means_stopped() -> None:
    lab = busy_lab()
    dumps = [Tcpdump(lab.fabric, ["*"]), Tcpdump(lab.fabric, ["*"])]
    traffic(lab, (4000,))
    assert len(dumps[0]) == len(dumps[1]) > 0
    number = len(dumps[0])
    dumps[0].stop()  # not the last one that began
    traffic(lab, (4000,))
    assert len(dumps[0]) == number < len(dumps[1])
    dumps[1].stop()
    traffic(lab, (4000,))
    links = [link for cable in lab.fabric.cables.values() for link in cable.links]
    assert all(link.forward == link.send and len(link._arrived) == 1 and not link.lost for link in links)
    assert all(
        not host.ns.rewrite_subscribers and not host.ns.drop_subscribers for host in lab.fabric.hosts()
    )
    assert not lab.fabric.cable_added
