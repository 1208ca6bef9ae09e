"""The flat pod network: the routes, neighbours and rules that it leaves on nodes and in pods."""

import pytest
from netlab import Lab, flow, inbox, udp

from netsim.engine import S
from netsim.kernel.hooks import DropReason
from netsim.wire.addr import ip


@pytest.fixture
def lab() -> Lab:
    found = Lab(nodes=2)
    found.pod(1, 5)
    found.pod(2, 7)
    return found


def test_routes_of_a_node(lab: Lab) -> None:
    veth = lab.fabric.pods["p1-5"].veth
    assert lab.fabric.nodes["n1"].ns.routes.render() == (
        "default via 172.18.0.1 dev eth0 proto dhcp src 172.18.0.2\n"
        "blackhole 10.244.1.0/24\n"
        f"10.244.1.5 dev {veth} scope link src 172.18.0.2\n"
        "10.244.2.0/24 via 172.18.0.3 dev eth0 src 172.18.0.2\n"
        "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.2\n"
    )


def test_routes_and_neighbours_of_a_pod(lab: Lab) -> None:
    pod = lab.fabric.pods["p1-5"]
    assert pod.ns.routes.render() == (
        "default via 169.254.1.1 dev eth0 src 10.244.1.5\n169.254.1.1 dev eth0 scope link src 10.244.1.5\n"
    )
    mac = lab.fabric.nodes["n1"].ns.devices[pod.veth].mac.hex(":")
    assert pod.ns.neighbours.render() == f"169.254.1.1 dev eth0 lladdr {mac} PERMANENT\n"


def test_a_node_that_joins_later_is_known_to_all(lab: Lab) -> None:
    say = udp("10.244.1.5", 4000, "10.244.3.9", 53)
    lab.send(lab.fabric.pods["p1-5"], say)
    lab.run(S)
    assert lab.fabric.drops() == {("router", "FORWARD", DropReason.IP_BLACKHOLE): 1}
    lab.node(3)
    late = lab.pod(3, 9)
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4001, "10.244.3.9", 53))
    lab.run(S)
    assert inbox(late).flows == [flow("10.244.1.5", 4001, "10.244.3.9", 53)]


def test_a_removed_pod_leaves_the_blackhole(lab: Lab) -> None:
    lab.fabric.remove_pod(lab.fabric.pods["p1-5"])
    node = lab.fabric.nodes["n1"].ns
    found = node.routes.lookup(ip("10.244.1.5"))
    assert found is not None
    assert str(found) == "blackhole 10.244.1.0/24"
    assert "10.244.1.5" not in node.neighbours.render()


def test_only_what_leaves_the_pod_network_is_masqueraded(lab: Lab) -> None:
    rules = lab.fabric.nodes["n1"].ns.xtables.save()  # type: ignore[union-attr]
    assert "-A POSTROUTING -s 10.244.0.0/16 -j CNI-MASQ" in rules
    assert "-A CNI-MASQ -d 10.244.0.0/16 -j RETURN\n-A CNI-MASQ -j MASQUERADE" in rules


def test_pods_need_no_arp(lab: Lab) -> None:
    lab.send(lab.fabric.pods["p1-5"], udp("10.244.1.5", 4000, "172.18.0.2", 53))
    lab.run(S)
    assert len(inbox(lab.fabric.nodes["n1"]).got) == 1
    assert lab.fabric.pods["p1-5"].ns.sent == 1
    assert lab.fabric.copies() == 0
