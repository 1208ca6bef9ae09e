"""The routing table: longest prefix, kinds, the table shared by many namespaces, and the text of `ip route`."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlab import Clock, Port, namespace

from netsim.kernel.netns import Device, Namespace
from netsim.kernel.routing import Route, RouteKind, Routes
from netsim.wire.addr import Prefix, ip


@pytest.fixture
def eth0() -> Device:
    return Device(namespace(), "eth0", b"\2\0\0\0\0\1")


@pytest.fixture
def eth1() -> Device:
    return Device(namespace(), "eth1", b"\2\0\0\0\0\2")


def route(text: str, device: Device | None = None, via: str | None = None, **more: object) -> Route:
    return Route(Prefix.parse(text), device, None if via is None else ip(via), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("destination", "prefix"),
    [
        ("10.244.1.5", "10.244.1.5/32"),
        ("10.244.1.6", "10.244.1.0/24"),
        ("10.244.2.1", "10.244.0.0/16"),
        ("10.245.0.0", "0.0.0.0/0"),
        ("255.255.255.255", "0.0.0.0/0"),
        ("0.0.0.0", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::/32"),
        ("2001:db9::1", "::/0"),
    ],
)
def test_longest_prefix_wins(eth0: Device, destination: str, prefix: str) -> None:
    routes = Routes()
    prefixes = ["0.0.0.0/0", "10.244.1.0/24", "10.244.1.5/32", "10.244.0.0/16", "::/0", "2001:db8::/32"]
    for text in prefixes:
        routes.add(route(text, eth0))
    found = routes.lookup(ip(destination))
    assert found is not None
    assert str(found.prefix) == prefix


def test_no_route() -> None:
    routes = Routes()
    routes.add(route("10.0.0.0/8"))
    assert routes.lookup(ip("11.0.0.1")) is None
    assert routes.lookup(ip("::a00:1")) is None


prefixes = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: ipaddress.ip_network((pair[0], pair[1]), strict=False)
)


@given(
    st.lists(prefixes, min_size=1, max_size=12), st.lists(st.integers(0, 2**32 - 1), max_size=8), st.data()
)
def test_agrees_with_a_plain_search(
    networks: list[ipaddress.IPv4Network], destinations: list[int], data: st.DataObject
) -> None:
    """Also for addresses inside the prefixes, and after some routes are taken away again."""
    routes, kept = Routes(), dict.fromkeys(networks)
    for network in networks:
        routes.add(route(str(network)))
        assert routes.lookup(network.network_address.packed) is not None  # fills the cache
    for network in data.draw(st.lists(st.sampled_from(networks), max_size=4)):
        routes.remove(Prefix.parse(str(network)))
        kept.pop(network, None)
    inside = [int(network.network_address) + network.num_addresses // 2 for network in networks]
    for destination in map(ipaddress.IPv4Address, destinations + inside):
        matching = [network for network in kept if destination in network]
        best = max(matching, key=lambda network: network.prefixlen, default=None)
        found = routes.lookup(destination.packed)
        assert (found and str(found.prefix)) == (best and str(best))


def test_a_replaced_route_is_not_remembered(eth0: Device, eth1: Device) -> None:
    routes = Routes()
    routes.add(route("10.0.0.0/8", eth0))
    assert routes.lookup(ip("10.1.1.1")).device is eth0
    routes.add(route("10.0.0.0/8", eth1))
    assert routes.lookup(ip("10.1.1.1")).device is eth1
    routes.remove(Prefix.parse("10.0.0.0/8"))
    assert routes.lookup(ip("10.1.1.1")) is None
    routes.remove(Prefix.parse("10.0.0.0/8"))  # harmless


# ---------------------------------------------------------------- the shared table
@pytest.fixture
def shared() -> Routes:
    table = Routes()
    table.add(route("10.244.1.0/24", via="172.18.0.2"))
    table.add(route("10.244.2.0/24", via="172.18.0.3"))
    return table


def test_shared_routes_find_their_device_by_their_gateway(shared: Routes, eth0: Device) -> None:
    routes = Routes(shared)
    routes.add(route("172.18.0.0/16", eth0, source=ip("172.18.0.2")))
    found = routes.lookup(ip("10.244.2.9"))
    assert found is not None
    assert (found.device, found.gateway, found.source) == (eth0, ip("172.18.0.3"), ip("172.18.0.2"))


def test_own_routes_win_at_equal_length(shared: Routes, eth0: Device) -> None:
    """A node's blackhole for its own pod range stands before the route that everybody else has to it."""
    routes = Routes(shared)
    routes.add(route("172.18.0.0/16", eth0))
    routes.add(route("10.244.1.0/24", kind=RouteKind.BLACKHOLE))
    assert routes.lookup(ip("10.244.1.9")).kind is RouteKind.BLACKHOLE
    assert routes.lookup(ip("10.244.2.9")).kind is RouteKind.UNICAST


def test_a_longer_shared_route_wins(shared: Routes, eth0: Device) -> None:
    routes = Routes(shared)
    routes.add(route("0.0.0.0/0", eth0, "172.18.0.1"))
    assert routes.lookup(ip("10.244.2.9")).gateway == ip("172.18.0.3")


def test_a_shared_route_without_a_way_to_its_gateway_is_none(shared: Routes) -> None:
    routes = Routes(shared)
    assert routes.lookup(ip("10.244.2.9")) is None
    routes.add(route("0.0.0.0/0", kind=RouteKind.BLACKHOLE))
    routes.forget_cached()
    assert routes.lookup(ip("10.244.2.9")) is None


def test_a_change_of_the_shared_table_is_seen_after_forgetting(shared: Routes, eth0: Device) -> None:
    routes = Routes(shared)
    routes.add(route("172.18.0.0/16", eth0))
    assert routes.lookup(ip("10.244.3.9")) is None
    shared.add(route("10.244.3.0/24", via="172.18.0.4"))
    routes.forget_cached()
    assert routes.lookup(ip("10.244.3.9")).gateway == ip("172.18.0.4")


def test_forgetting_a_device_leaves_other_routes_to_the_same_prefix(
    shared: Routes, eth0: Device, eth1: Device
) -> None:
    routes = Routes(shared)
    routes.add(route("172.18.0.0/16", eth0))
    routes.add(route("10.244.1.0/24", kind=RouteKind.BLACKHOLE))
    routes.add(route("10.244.1.7/32", eth1))
    routes.forget(eth0)
    assert {str(r.prefix) for r in routes} == {"10.244.1.0/24", "10.244.1.7/32"}
    routes.forget(eth1)
    assert routes.lookup(ip("10.244.1.7")).kind is RouteKind.BLACKHOLE


# ---------------------------------------------------------------- text
def test_text_as_ip_route_prints_it(shared: Routes, eth0: Device, eth1: Device) -> None:
    routes = Routes(shared)
    routes.add(route("172.18.0.0/16", eth0, source=ip("172.18.0.2"), protocol="kernel"))
    routes.add(route("0.0.0.0/0", eth0, "172.18.0.1", source=ip("172.18.0.2"), protocol="dhcp"))
    routes.add(route("10.244.1.5/32", eth1))
    routes.add(route("10.244.1.0/24", kind=RouteKind.BLACKHOLE))
    routes.add(route("192.0.2.0/24", kind=RouteKind.UNREACHABLE))
    assert routes.render() == (
        "default via 172.18.0.1 dev eth0 proto dhcp src 172.18.0.2\n"
        "blackhole 10.244.1.0/24\n"
        "10.244.1.5 dev eth1 scope link\n"
        "10.244.2.0/24 via 172.18.0.3 dev eth0 src 172.18.0.2\n"
        "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.2\n"
        "unreachable 192.0.2.0/24\n"
    )


# ---------------------------------------------------------------- what a namespace answers
@pytest.fixture
def host() -> Namespace:
    clock = Clock()
    ns = namespace("host", clock)
    eth0, eth1 = Port(ns, "eth0", clock).device, Port(ns, "eth1", clock, mtu=1450).device
    ns.add_address(ip("10.0.0.1"), eth0)
    ns.add_address(ip("10.9.0.1"), eth1)
    ns.add_route(Route(Prefix.parse("10.0.0.0/16"), eth0))
    ns.add_route(Route(Prefix.parse("10.9.0.0/16"), eth1, source=ip("10.9.0.99")))
    ns.add_route(Route(Prefix.parse("10.8.0.0/16"), kind=RouteKind.BLACKHOLE))
    return ns


@pytest.mark.parametrize(
    ("destination", "source", "mtu"),
    [
        ("10.0.3.3", "10.0.0.1", 1500),  # the device's address
        ("10.9.3.3", "10.9.0.99", 1450),  # the route's preferred source
        ("10.0.0.1", "10.0.0.1", 65536),  # itself
        ("127.0.0.1", "127.0.0.1", 65536),
        ("127.8.9.9", "127.8.9.9", 65536),
        ("10.8.0.1", None, 65536),
        ("192.0.2.1", None, 65536),
    ],
)
def test_source_and_mtu(host: Namespace, destination: str, source: str | None, mtu: int) -> None:
    assert host.source_for(ip(destination)) == (None if source is None else ip(source))
    assert host.mtu_for(ip(destination)) == mtu


def test_every_change_counts_as_one(host: Namespace) -> None:
    before = host.generation
    host.add_route(Route(Prefix.parse("192.0.2.0/24"), host.devices["eth0"]))
    host.remove_route(Prefix.parse("192.0.2.0/24"))
    host.add_address(ip("10.0.0.2"), host.devices["eth0"])
    host.neighbours.permanent(host.devices["eth0"], ip("10.0.0.9"), b"\2\0\0\0\0\7")
    assert host.generation == before + 4


def test_a_removed_device_takes_its_addresses_routes_and_neighbours_along(host: Namespace) -> None:
    device = host.devices["eth1"]
    host.neighbours.permanent(device, ip("10.9.0.7"), b"\2\0\0\0\0\7")
    host.remove_device("eth1", 5)
    assert not host.is_local(ip("10.9.0.1"))
    assert host.source_for(ip("10.9.3.3")) is None
    assert host.neighbours.render() == ""
    assert not device.up
    assert set(host.devices) == {"lo", "eth0"}
