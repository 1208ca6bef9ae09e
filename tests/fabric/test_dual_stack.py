"""A fabric with addresses of both families: each goes its own way, and what is remembered of the ways does not mix."""

from typing import Any

import pytest

from netsim.cni.flat import FlatCni
from netsim.engine import MS, Engine
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.fabric.host import Host, PodHost
from netsim.wire.addr import Address, Prefix, ip
from netsim.wire.packet import ICMP, ICMPV6

CONFIG = FabricConfig(
    more_underlays=(Prefix.parse("fc00:f853:ccd:e793::/64"),),
    more_pod_subnets=(Prefix.parse("fd00:10:244::/56"),),
)


class Lab:
    """Two nodes, a pod on each, and a laptop outside."""

    def __init__(self, config: FabricConfig = CONFIG) -> None:
        self.engine = Engine(1)
        self.fabric = Fabric(self.engine, config, FlatCni())
        for number in (1, 2):
            address = ip(f"172.18.0.{number + 1}")
            more = [(ip(f"fc00:f853:ccd:e793::{number + 1}"), Prefix.parse(f"fd00:10:244:{number}::/64"))]
            cidr = Prefix.parse(f"10.244.{number}.0/24")
            self.fabric.add_node(f"n{number}", address, cidr, more=more)
        self.pods = [self.pod(number) for number in (1, 2)]
        self.laptop = self.fabric.add_outside("laptop", ip("203.0.113.10"), more=(ip("2001:db8::10"),))

    def pod(self, node: int) -> PodHost:
        more = (ip(f"fd00:10:244:{node}::5"),)
        return self.fabric.add_pod(f"n{node}", f"p{node}", ip(f"10.244.{node}.5"), more)

    def ping(self, source: Host, address: Address) -> list[Any]:
        got: list[Any] = []
        socket = source.ns.sockets.open_icmp(lambda _socket, reply, errno, _now: got.append(reply or errno))
        for sequence in (1, 2):
            socket.send(address, sequence, b"payload", self.engine.now)
            self.engine.run(self.engine.now + 20 * MS)
        socket.close()
        return got


@pytest.mark.parametrize(("family", "protocol"), [(4, ICMP), (16, ICMPV6)])
def test_many_pings(family: int, protocol: int) -> None:
    """The way of first packets is remembered for TCP and UDP only; an echo request has no flags to look at."""
    lab = Lab()
    address = lab.pods[1].address_of(family)
    assert address is not None
    for _ in range(6):
        replies = lab.ping(lab.pods[0], address)
        assert [reply.flow.proto for reply in replies] == [protocol, protocol]
        assert {reply.flow.src for reply in replies} == {address}


@pytest.mark.parametrize("family", [4, 16])
def test_everybody_reaches_everybody(family: int) -> None:
    lab = Lab()
    hosts: list[Host] = [*lab.pods, *lab.fabric.nodes.values(), lab.laptop]
    for source in hosts:
        for target in hosts:
            address = target.address_of(family)
            if address is None or (source is lab.laptop and target in lab.pods):
                continue  # nobody outside has a route to pods
            assert len(lab.ping(source, address)) == 2, (source, target)


def test_a_pod_that_goes_takes_both_addresses() -> None:
    lab = Lab()
    node = lab.fabric.nodes["n2"].ns
    assert "fd00:10:244:2::5" in node.routes.render(16)
    lab.fabric.remove_pod(lab.pods[1])
    assert "10.244.2.5" not in node.routes.render()
    assert "fd00:10:244:2::5" not in node.routes.render(16)
    assert lab.ping(lab.pods[0], ip("fd00:10:244:2::5")) == []


def test_routes_of_a_pod() -> None:
    """As Calico writes them."""
    pod = Lab().pods[0].ns
    assert pod.routes.render().startswith("default via 169.254.1.1 dev eth0")
    assert "default via fe80::ecee:eeff:feee:eeee dev eth0" in pod.routes.render(16)


def test_an_ipv4_cluster_has_no_ipv6_addresses() -> None:
    fabric = Fabric(Engine(1), FabricConfig(), FlatCni())
    node = fabric.add_node("n1", ip("172.18.0.2"), Prefix.parse("10.244.1.0/24"))
    assert {len(address) for address in node.ns.addresses} == {4}
    assert node.ns.routes.render(16) == ""


def test_groups_are_flooded() -> None:
    lab = Lab()
    before = lab.fabric.copies()
    lab.ping(lab.fabric.nodes["n1"], ip("fc00:f853:ccd:e793::3"))
    assert lab.fabric.copies() > before
    assert lab.fabric.in_flight() == 0
