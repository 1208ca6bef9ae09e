"""Pods in their node's namespace: sockets beside the node's, an end that does not touch it, no part in the books."""

import pytest
from netlab import Lab, udp

from netsim.engine import S
from netsim.fabric.host import HostNetworkPod
from netsim.kernel.sockets import InUseError
from netsim.kernel.udp import UdpSocket


@pytest.fixture
def lab() -> Lab:
    return Lab(nodes=2, real=True)


def listen(pod: HostNetworkPod, port: int, heard: list[bytes]) -> UdpSocket:
    def note(_socket: UdpSocket, data: bytes, *_: object) -> None:
        heard.append(data)

    return pod.ns.sockets.open_udp(note, port, owner=pod)


def test_several_share_a_node(lab: Lab) -> None:
    one, two = (lab.fabric.add_host_network_pod("n1", name) for name in ("one", "two"))
    assert one.ns is two.ns is lab.nodes[0].ns
    assert (one.address, one.hostname, one.node) == (lab.nodes[0].address, "n1", lab.nodes[0])
    assert lab.fabric.pods == {}
    assert list(lab.nodes[0].pods) == ["one", "two"]
    one.env["A"] = "1"
    assert two.env == lab.nodes[0].env == {}
    heard: list[bytes] = []
    listen(one, 53, heard)
    with pytest.raises(InUseError):
        listen(two, 53, heard)
    lab.send(lab.nodes[1], udp("172.18.0.3", 4000, "172.18.0.2", 53, b"hello"))
    lab.run(S)
    assert heard == [b"hello"]
    lab.check_books()


def test_its_end_is_not_the_nodes(lab: Lab) -> None:
    one, two = (lab.fabric.add_host_network_pod("n1", name) for name in ("one", "two"))
    heard: list[bytes] = []
    listen(two, 53, heard)
    lab.fabric.remove_pod(one)
    lab.fabric.remove_pod(one)
    assert (one.alive, two.alive, lab.nodes[0].alive) == (False, True, True)
    lab.send(lab.nodes[1], udp("172.18.0.3", 4000, "172.18.0.2", 53, b"hello"))
    lab.run(S)
    assert heard == [b"hello"]
    assert list(lab.nodes[0].pods) == ["two"]


def test_it_dies_with_its_node(lab: Lab) -> None:
    pod = lab.fabric.add_host_network_pod("n1", "one")
    lab.fabric.crash_node("n1")
    assert not pod.alive
    assert not lab.nodes[0].alive
