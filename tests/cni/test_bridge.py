"""The bridge network: routes, ARP between pods, what becomes of a pod that is gone."""

import pytest
from netlab import Lab, flow, inbox, udp

from netsim.cni.bridge import BridgeCni
from netsim.engine import MS, S
from netsim.kernel.hooks import DropReason
from netsim.kernel.sockets import Sockets
from netsim.wire.addr import ip
from netsim.wire.packet import ArpMessage


@pytest.fixture
def lab() -> Lab:
    found = Lab(nodes=2, cni=BridgeCni())
    for node, number in ((1, 5), (1, 6), (2, 7)):
        found.pod(node, number)
    found.run(MS)
    return found


def test_routes_of_a_node(lab: Lab) -> None:
    assert lab.nodes[0].ns.routes.render() == (
        "default via 172.18.0.1 dev eth0 proto dhcp src 172.18.0.2\n"
        "10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1\n"
        "10.244.2.0/24 via 172.18.0.3 dev eth0 src 172.18.0.2\n"
        "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.2\n"
    )
    found = lab.nodes[0].ns.routes.lookup(ip("10.244.1.5"))
    assert found is not None
    assert found.device is lab.nodes[0].ns.devices["cni0"]


def test_routes_of_a_pod(lab: Lab) -> None:
    assert lab.fabric.pods["p1-5"].ns.routes.render() == (
        "default via 10.244.1.1 dev eth0 src 10.244.1.5\n"
        "10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.5\n"
    )


def test_pods_announce_themselves_and_the_bridge_learns(lab: Lab) -> None:
    cni = lab.fabric.cni
    assert isinstance(cni, BridgeCni)
    pods = [lab.fabric.pods[name] for name in ("p1-5", "p1-6")]
    expected = [f"{pod.ns.devices['eth0'].mac.hex(':')} dev {pod.veth} master cni0" for pod in pods]
    assert cni.bridges.of["n1"].render_fdb().splitlines() == expected


def test_pods_of_a_node_talk_at_layer_2(lab: Lab) -> None:
    capture = _captured(lab)
    inbox(lab.fabric.pods["p1-6"]).echo()
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4000, "10.244.1.6", 53))
    lab.run(S)
    ((_, answer),) = inbox(lab.fabric.pods["p1-5"]).got
    assert answer.flow == flow("10.244.1.6", 53, "10.244.1.5", 4000)
    assert answer.ttl == 64
    asked = [body.target_ip for body in capture if isinstance(body, ArpMessage) and body.op == 1]
    assert set(asked) == {ip("10.244.1.6")}  # who is asked learns of who asks
    lab.check_books()


def _captured(lab: Lab) -> list[object]:
    bodies: list[object] = []
    for cable in lab.fabric.cables.values():
        for link in cable.links:
            link.taps.append(lambda _link, packet, _at: bodies.append(packet.body))
            link.rewire()
    return bodies


@pytest.mark.parametrize("source", ["p1-5", "n1"])
def test_a_dead_address_on_the_link_is_unreachable_after_3_s(source: str) -> None:
    lab = Lab(nodes=1, cni=BridgeCni())
    lab.pod(1, 5)
    lab.run(MS)
    host = {**lab.fabric.pods, **lab.fabric.nodes}[source]
    start = lab.engine.now
    lab.send(host, udp("10.244.1.5" if source == "p1-5" else "10.244.1.1", 4000, "10.244.1.99", 53))
    lab.run(10 * S)
    (at, about, type_, code), = inbox(host).errors  # fmt: skip
    assert (at - start, about.dst, type_, code) == (3 * S, ip("10.244.1.99"), 3, 1)
    lab.check_books()


def test_a_dead_address_on_another_node_comes_back_as_an_icmp_error(lab: Lab) -> None:
    """Unlike flat, which is silent: the other node asks by ARP and then tells."""
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4000, "10.244.2.99", 53))
    lab.run(10 * S)
    (at, about, type_, code), = inbox(lab.fabric.pods["p1-5"]).errors  # fmt: skip
    assert (type_, code) == (3, 1)
    assert 3 * S < at < 4 * S
    assert about.dst == ip("10.244.2.99")


def test_who_has_talked_to_a_pod_that_dies_floods_until_its_neighbour_entry_is_doubted(lab: Lab) -> None:
    """The MAC address is known for 30 s and believed for 5 s more; the bridge knows it no longer."""
    client = lab.fabric.pods["p1-5"]
    lab.send(client, udp("10.244.1.5", 4000, "10.244.1.6", 53))
    lab.run(S)
    lab.fabric.remove_pod(lab.fabric.pods["p1-6"])
    lab.pod(1, 9)
    lab.run(S)
    lab.send(client, udp("10.244.1.5", 4000, "10.244.1.6", 53))
    lab.run(S)
    assert lab.fabric.drops()["p1-9", "FORWARD", DropReason.OTHERHOST] == 1
    assert inbox(client).errors == []
    lab.run(30 * S)
    for _ in range(13):  # 5 s of doubt, 3 s of questions to the old MAC address, 3 s of questions to all
        lab.send(client, udp("10.244.1.5", 4000, "10.244.1.6", 53))
        lab.run(S)
    assert [error[2:] for error in inbox(client).errors][:1] == [(3, 1)]
    lab.check_books()


def test_a_removed_pod_leaves_its_port(lab: Lab) -> None:
    cni = lab.fabric.cni
    assert isinstance(cni, BridgeCni)
    lab.fabric.remove_pod(lab.fabric.pods["p1-5"])
    lab.fabric.remove_pod(lab.fabric.pods["p1-6"])
    assert cni.bridges.of["n1"].ports == {}
    assert cni.bridges.of["n1"].render_fdb() == ""


def test_an_address_used_again_is_announced_to_those_who_knew_the_old_one(lab: Lab) -> None:
    client = lab.fabric.pods["p1-5"]
    lab.send(client, udp("10.244.1.5", 4000, "10.244.1.6", 53))
    lab.run(S)
    lab.fabric.remove_pod(lab.fabric.pods["p1-6"])
    successor = lab.fabric.add_pod("n1", "other", ip("10.244.1.6"))
    assert isinstance(successor.ns.sockets, Sockets)
    lab.run(MS)
    assert (
        f"10.244.1.6 dev eth0 lladdr {successor.ns.devices['eth0'].mac.hex(':')}"
        in client.ns.neighbours.render()
    )


def test_a_node_that_joins_later_is_known_to_all(lab: Lab) -> None:
    lab.node(3)
    late = lab.pod(3, 9)
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4001, "10.244.3.9", 53))
    lab.run(S)
    assert inbox(late).flows == [flow("10.244.1.5", 4001, "10.244.3.9", 53)]
    assert inbox(late).got[0][1].ttl == 62
