"""Tables of Service ports: changes, differences, order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.dataplane.service_table import (
    Endpoint,
    IpMode,
    LoadBalancerIp,
    ServiceName,
    ServicePort,
    ServicePortName,
    ServiceTable,
    TrafficPolicy,
    order_endpoints,
)
from netsim.wire.addr import ip


def name(number, port="http"):
    return ServicePortName("default", f"svc-{number}", port)


def port(number, endpoints=0, label="http"):
    found = tuple(Endpoint(ip(f"10.0.{number}.{i + 1}"), 80) for i in range(endpoints))
    return ServicePort(name(number, label), ip(f"172.30.0.{number}"), 80, endpoints=found)


def test_names():
    assert str(ServicePortName("ns1", "svc1", "p80")) == "ns1/svc1:p80"
    assert str(ServicePortName("ns1", "svc1", "")) == "ns1/svc1"
    assert str(ServicePortName("ns1", "svc1", "p80").service) == "ns1/svc1"


def test_order_is_that_of_the_text():
    texts = ["10.0.0.2:80", "10.0.0.10:80", "10.0.0.10:443"]
    given_endpoints = [Endpoint(ip(t.split(":")[0]), int(t.split(":")[1])) for t in texts]
    ordered = order_endpoints([*given_endpoints, given_endpoints[0]])
    assert [str(e) for e in ordered] == ["10.0.0.10:443", "10.0.0.10:80", "10.0.0.2:80"]


def test_ipv6_text():
    assert str(Endpoint(ip("fd00::1"), 80)) == "[fd00::1]:80"


def test_mapping():
    table = ServiceTable([port(1, 2), port(1, 1, "https"), port(2)])
    assert len(table) == 3
    assert table.endpoint_count == 3
    assert [p.name.port for p in table.ports_of(ServiceName("default", "svc-1"))] == ["http", "https"]
    assert table.ports_of(ServiceName("default", "nobody")) == ()
    assert list(table) == [name(1), name(1, "https"), name(2)]
    assert table.get(name(9)) is None
    assert table == ServiceTable([port(2), port(1, 1, "https"), port(1, 2)])
    assert "3 ports" in repr(table)


def test_changes():
    old = ServiceTable([port(1, 2), port(2, 1)])
    new = old.with_changes({name(1): port(1, 3), name(2): None, name(3): port(3, 1)})
    assert dict(new) == {name(1): port(1, 3), name(3): port(3, 1)}
    assert (len(new), new.endpoint_count) == (2, 4)
    assert dict(old) == {name(1): port(1, 2), name(2): port(2, 1)}
    assert set(new.diff(old)) == {name(1), name(2), name(3)}
    assert new.diff(new) == ()


def test_no_change_gives_the_same_table():
    table = ServiceTable([port(1, 2)])
    assert table.with_changes({name(1): port(1, 2), name(7): None}) is table


def test_untouched_ports_are_shared():
    old = ServiceTable([port(1), port(2)])
    new = old.with_changes({name(1): port(1, 1)})
    assert new[name(2)] is old[name(2)]


def test_there_and_back_is_no_difference():
    first = ServiceTable([port(n) for n in range(10)])
    second = first.with_changes({name(1): port(1, 1)})
    third = second.with_changes({name(1): port(1)})
    assert third.diff(first) == ()
    assert third.diff(second) == (name(1),)


CHANGES = st.lists(
    st.dictionaries(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=3),
    max_size=8,
)


@given(start=st.dictionaries(st.integers(0, 5), st.integers(0, 3)), changes=CHANGES)
def test_diff_is_what_differs(start, changes):
    tables = [ServiceTable([port(n, e) for n, e in start.items()])]
    for change in changes:
        wanted = {name(n): None if e is None else port(n, e) for n, e in change.items()}
        tables.append(tables[-1].with_changes(wanted))
    for old in tables:
        for new in tables:
            expected = {n for n in (*old, *new) if old.get(n) != new.get(n)}
            assert set(new.diff(old)) == expected
            assert len(new.diff(old)) == len(expected)
    last = tables[-1]
    assert len(last) == len(list(last))
    assert last.endpoint_count == sum(len(p.endpoints) for p in last.values())


@pytest.mark.parametrize(
    ("change", "accessible", "cluster", "local"),
    [
        ({}, False, True, False),
        ({"internal_policy": TrafficPolicy.LOCAL}, False, False, True),
        ({"external_policy": TrafficPolicy.LOCAL}, False, True, False),
        ({"node_port": 30000}, True, True, False),
        ({"node_port": 30000, "external_policy": TrafficPolicy.LOCAL}, True, True, True),
        ({"node_port": 30000, "internal_policy": TrafficPolicy.LOCAL}, True, True, True),
        ({"external_ips": (ip("192.0.2.1"),)}, True, True, False),
        ({"load_balancer_ips": (LoadBalancerIp(ip("192.0.2.1")),)}, True, True, False),
        ({"load_balancer_ips": (LoadBalancerIp(ip("192.0.2.1"), IpMode.PROXY),)}, False, True, False),
    ],
)
def test_which_endpoints_are_used(change, accessible, cluster, local):
    changed = replace(port(1), **change)
    assert changed.externally_accessible is accessible
    assert changed.uses_cluster_endpoints is cluster
    assert changed.uses_local_endpoints is local
    assert changed.same_on_every_node is not local


def test_equal_ports_have_equal_hashes():
    assert hash(port(1, 2)) == hash(port(1, 2))
    assert port(1, 2) == port(1, 2)
    assert port(1, 2) != port(1, 3)
    assert not replace(
        port(1), endpoints=(Endpoint(ip("10.0.0.1"), 80, zone_hints=("a",)),)
    ).same_on_every_node
