"""Who gets which address."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.errors import InvalidError
from netsim.cluster.ipam import HEALTH, NodePorts, NodeRanges, PodRange, ServiceAddresses
from netsim.wire.addr import Prefix, ip


def test_pod_addresses_are_not_reused_before_the_range_is_through() -> None:
    pods = PodRange("10.244.1.0/29")
    first = [pods.allocate() for _ in range(3)]
    assert first == ["10.244.1.2", "10.244.1.3", "10.244.1.4"]
    pods.release("10.244.1.2")
    assert [pods.allocate() for _ in range(3)] == ["10.244.1.5", "10.244.1.6", "10.244.1.2"]
    with pytest.raises(InvalidError, match="no free address in pod range"):
        pods.allocate()


@given(st.lists(st.booleans(), max_size=200))
def test_no_pod_address_is_held_twice(steps: list[bool]) -> None:
    pods, held = PodRange("10.0.0.0/28"), list[str]()
    for take in steps:
        if take and len(held) < 13:
            address = pods.allocate()
            assert address not in held
            held.append(address)
        elif held:
            pods.release(held.pop(0))


@pytest.mark.parametrize(
    ("subnet", "mask", "ranges"),
    [
        ("10.244.0.0/16", None, ["10.244.0.0/24", "10.244.1.0/24"]),
        ("10.244.0.0/16", 26, ["10.244.0.0/26", "10.244.0.64/26"]),
        ("fd00:10:244::/56", None, ["fd00:10:244::/64", "fd00:10:244:1::/64"]),
    ],
)
def test_node_ranges(subnet: str, mask: int | None, ranges: list[str]) -> None:
    nodes = NodeRanges(subnet, mask)
    assert [nodes.allocate() for _ in ranges] == ranges


def test_node_ranges_run_out() -> None:
    nodes = NodeRanges("10.244.0.0/23")
    nodes.allocate()
    nodes.allocate()
    with pytest.raises(InvalidError, match="no /24 left"):
        nodes.allocate()


def test_drawn_cluster_addresses_avoid_the_static_band() -> None:
    services, prefix = ServiceAddresses("10.96.0.0/24"), Prefix.parse("10.96.0.0/28")
    drawn = [services.allocate(f"s{n}", Random(n)) for n in range(200)]
    assert len(set(drawn)) == 200
    assert not any(prefix.contains(ip(address)) for address in drawn)


def test_cluster_addresses_use_the_static_band_last_and_run_out() -> None:
    services = ServiceAddresses("10.96.0.0/28")
    drawn = {services.allocate(f"s{n}", Random(n)) for n in range(14)}
    assert len(drawn) == 14
    with pytest.raises(InvalidError, match="no free address in the service subnet"):
        services.allocate("one more", Random(1))


def test_node_ports_per_protocol() -> None:
    ports = NodePorts(30000, 30031)
    ports.claim(30000, "TCP", "a")
    ports.claim(30000, "UDP", "a")
    drawn = {ports.allocate("TCP", f"s{n}", Random(n)) for n in range(31)}
    assert drawn == set(range(30001, 30032))
    with pytest.raises(InvalidError, match="no free node port"):
        ports.allocate("TCP", "b", Random(1))
    ports.release(30007, "TCP")
    assert ports.allocate("TCP", "b", Random(1)) == 30007


@pytest.mark.parametrize(
    ("port", "protocol", "owner", "refused"),
    [
        (30000, "UDP", "a", ""),  # the same Service, another protocol
        (30000, "TCP", "a", "provided port is already allocated"),
        (30000, "UDP", "b", "provided port is already allocated"),  # a number belongs to one Service
        (30000, HEALTH, "a", "provided port is already allocated"),
        (30001, "SCTP", "a", "provided port is already allocated"),  # a health check port shares with nobody
        (
            29999,
            "TCP",
            "a",
            "provided port is not in the valid range. The range of valid ports is 30000-30031",
        ),
        (30002, "TCP", "b", ""),
    ],
)
def test_who_may_have_a_node_port(port: int, protocol: str, owner: str, refused: str) -> None:
    ports = NodePorts(30000, 30031)
    ports.claim(30000, "TCP", "a")
    ports.claim(30001, HEALTH, "a")
    if not refused:
        ports.claim(port, protocol, owner)
        return
    with pytest.raises(InvalidError, match=re.escape(refused)):
        ports.claim(port, protocol, owner)


def test_a_shared_node_port_is_free_when_both_have_gone() -> None:
    ports = NodePorts(30000, 30031)
    for protocol in ("TCP", "UDP"):
        ports.claim(30000, protocol, "a")
    ports.release(30000, "TCP")
    with pytest.raises(InvalidError):
        ports.claim(30000, "TCP", "b")
    ports.release(30000, "UDP")
    ports.claim(30000, "TCP", "b")
