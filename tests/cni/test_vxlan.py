"""Flannel's network: routes, neighbours, FDB, rules; tunnels between nodes, captured on their uplinks."""

import pytest
from netlab import Lab, flow, inbox, ping, udp
from scapy.layers.inet import IP
from scapy.layers.vxlan import VXLAN

from netsim.cni.vxlan import VxlanCni
from netsim.engine import MS, S
from netsim.fabric.capture import Capture
from netsim.kernel.hooks import DropReason
from netsim.kernel.xtables import traversal_ns
from netsim.wire.packet import VxlanFrame


@pytest.fixture
def lab() -> Lab:
    found = Lab(nodes=2, cni=VxlanCni())
    for node, number in ((1, 5), (1, 6), (2, 7)):
        found.pod(node, number)
    found.run(MS)
    return found


def uplink(lab: Lab, node: str) -> Capture:
    capture = Capture()
    capture.attach(lab.fabric.cables[f"{node}:eth0"])
    return capture


def test_routes_of_a_node(lab: Lab) -> None:
    assert lab.nodes[0].ns.routes.render() == (
        "default via 172.18.0.1 dev eth0 proto dhcp src 172.18.0.2\n"
        "10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1\n"
        "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink\n"
        "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.2\n"
    )


def test_routes_of_a_pod(lab: Lab) -> None:
    assert lab.fabric.pods["p1-5"].ns.routes.render() == (
        "default via 10.244.1.1 dev eth0 src 10.244.1.5\n"
        "10.244.0.0/16 via 10.244.1.1 dev eth0 src 10.244.1.5\n"
        "10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.5\n"
    )


def test_neighbours_and_fdb_of_a_node(lab: Lab) -> None:
    cni = lab.fabric.cni
    assert isinstance(cni, VxlanCni)
    vtep = lab.nodes[1].ns.devices["flannel.1"].mac.hex(":")
    assert f"10.244.2.0 dev flannel.1 lladdr {vtep} PERMANENT\n" in lab.nodes[0].ns.neighbours.render()
    assert cni.tunnels["n1"].render_fdb() == f"{vtep} dst 172.18.0.3 self permanent\n"


def test_mtus(lab: Lab) -> None:
    devices = [lab.nodes[0].ns.devices[name] for name in ("cni0", "flannel.1", "eth0")]
    assert [device.mtu for device in devices] == [1450, 1450, 1500]
    assert lab.fabric.pods["p1-5"].ns.devices["eth0"].mtu == 1450


def test_rules_of_flanneld(lab: Lab) -> None:
    rules = lab.nodes[0].ns.xtables.save(tool=True)  # type: ignore[union-attr]
    nat = [line for line in rules.splitlines() if line.startswith("-A FLANNEL-POSTRTG")]
    comment = '-m comment --comment "flanneld masq"'
    assert nat == [f"-A FLANNEL-POSTRTG {line}" for line in (
        f"-m mark --mark 0x4000/0x4000 {comment} -j RETURN",
        f"-s 10.244.1.0/24 -d 10.244.0.0/16 {comment} -j RETURN",
        f"-s 10.244.0.0/16 -d 10.244.1.0/24 {comment} -j RETURN",
        f"! -s 10.244.0.0/16 -d 10.244.1.0/24 {comment} -j RETURN",
        f"-s 10.244.0.0/16 ! -d 224.0.0.0/4 {comment} -j MASQUERADE --random-fully",
        f"! -s 10.244.0.0/16 -d 10.244.0.0/16 {comment} -j MASQUERADE --random-fully",
    )]  # fmt: skip


def test_between_nodes_the_uplink_carries_the_tunnel(lab: Lab) -> None:
    capture = uplink(lab, "n1")
    inbox(lab.fabric.pods["p2-7"]).echo()
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4000, "10.244.2.7", 53, b"question"))
    lab.run(S)
    assert inbox(lab.fabric.pods["p1-5"]).flows == [flow("10.244.2.7", 53, "10.244.1.5", 4000)]
    assert inbox(lab.fabric.pods["p1-5"]).got[0][1].ttl == 62
    frames = [hop.packet().to_scapy() for hop in capture if isinstance(hop.body, VxlanFrame)]
    assert [(frame[IP].src, frame[IP].dst, frame[VXLAN][IP].src) for frame in frames] == [
        ("172.18.0.2", "172.18.0.3", "10.244.1.5"),
        ("172.18.0.3", "172.18.0.2", "10.244.2.7"),
    ]
    assert frames[0].lastlayer().load == b"question"
    lab.check_books()


def test_on_one_node_there_is_no_tunnel(lab: Lab) -> None:
    capture = uplink(lab, "n1")
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4000, "10.244.1.6", 53))
    lab.run(S)
    assert len(inbox(lab.fabric.pods["p1-6"]).got) == 1
    assert list(capture) == []


def test_what_goes_outside_is_masqueraded_and_not_wrapped(lab: Lab) -> None:
    laptop = lab.outside()
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4000, "203.0.113.10", 53))
    lab.run(S)
    (arrived,) = inbox(laptop).flows
    assert arrived.src == lab.nodes[0].address


def test_a_node_speaks_to_remote_pods_with_its_tunnels_address(lab: Lab) -> None:
    node = lab.nodes[0]
    source = node.ns.source_for(lab.fabric.pods["p2-7"].address)
    assert source == node.pod_cidr.address
    lab.send(node, ping("10.244.1.0", "10.244.2.7"))
    lab.run(S)
    assert [packet.flow.src for _, packet in inbox(node).got] == [lab.fabric.pods["p2-7"].address]


def test_too_big_for_the_tunnel() -> None:
    """A pod whose own MTU was left at 1500 is told of 1450 by its node."""
    lab = Lab(nodes=2, cni=VxlanCni())
    pod = lab.pod(1, 5)
    lab.pod(2, 7)
    lab.run(MS)
    pod.ns.devices["eth0"].mtu = 1500
    pod.ns.changed()
    lab.send(pod, udp("10.244.1.5", 4000, "10.244.2.7", 53, bytes(1423)))
    lab.run(S)
    assert [error[2:] for error in inbox(pod).errors] == [(3, 4)]
    assert lab.fabric.drops()["n1", "FORWARD", DropReason.PKT_TOO_BIG] == 1


def test_a_node_that_is_dead_is_silence(lab: Lab) -> None:
    """The outer packet's neighbour does not answer; nobody tells the pod (the error is about the node's own packet)."""
    lab.fabric.crash_node("n2")
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4000, "10.244.2.7", 53))
    lab.run(10 * S)
    assert lab.fabric.drops()["n1", "POSTROUTING", DropReason.NEIGH_FAILED] == 1
    assert inbox(lab.fabric.pods["p1-5"]).errors == []
    assert inbox(lab.fabric.pods["p1-5"]).got == []
    lab.check_books()


def test_a_lossy_tunnel_keeps_the_books(lab: Lab) -> None:
    """What is in a lost datagram is lost once, what is in a duplicated one arrives twice."""
    from netsim.fabric.link import Netem

    lab.fabric.set_netem(lab.fabric.cables["n1:eth0"], Netem(loss=0.3, duplicate=0.3))
    for port in range(4000, 4050):
        lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", port, "10.244.2.7", 53))
        lab.run(MS)
    lab.run(10 * S)
    lab.check_books()
    uids = [packet.uid for _, packet in inbox(lab.fabric.pods["p2-7"]).got]
    assert 20 < len(set(uids)) < len(uids)


def test_a_known_flow_crosses_in_the_time_of_three_crossings(lab: Lab) -> None:
    """Out of the bridge, into the tunnel, out of it: 1.7 us each; nat rules are paid for by first packets only."""
    inbox(lab.fabric.pods["p2-7"]).echo()
    took = []
    for _ in range(3):
        start = lab.engine.now
        lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4000, "10.244.2.7", 53))
        lab.run(100 * MS)
        took.append(inbox(lab.fabric.pods["p2-7"]).got[-1][0] - start)
    transmissions = took[2] - (
        2 * 1_700 + 2 * 100_000 + 3 * 1_700
    )  # without two veths, two links, three crossings
    assert 0 < transmissions < 300
    assert took[0] > took[2] + 3 * 10_000 + traversal_ns(1)


def test_a_node_that_joins_later_is_known_to_all(lab: Lab) -> None:
    lab.node(3)
    late = lab.pod(3, 9)
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4001, "10.244.3.9", 53))
    lab.run(S)
    assert inbox(late).flows == [flow("10.244.1.5", 4001, "10.244.3.9", 53)]
