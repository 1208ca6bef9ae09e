"""Service ports and node views for tests of dataplanes: ports by number, and random histories of them."""

from hypothesis import strategies as st

from netsim.dataplane.node_view import LocalDetector, NodeView
from netsim.dataplane.service_table import (
    Endpoint,
    LoadBalancerIp,
    ServicePort,
    ServicePortName,
    TrafficPolicy,
    order_endpoints,
)
from netsim.wire.addr import Prefix, ip

DETECTOR = LocalDetector(prefix=Prefix.parse("10.0.0.0/8"))


def view(number=1, **settings_):
    address = ip(f"192.168.0.{number}")
    return NodeView(f"node-{number}", address, (address,), local_detector=DETECTOR, **settings_)


def port(number, endpoints=(1, 2), label="http", **settings_):
    found = order_endpoints(Endpoint(ip(f"10.0.{number}.{e}"), 8080, f"node-{e}") for e in endpoints)
    name = ServicePortName("default", f"svc-{number}", label)
    return ServicePort(name, ip(f"172.30.0.{number}"), 80, endpoints=found, **settings_)


SHAPES = st.fixed_dictionaries(
    {
        "endpoints": st.lists(st.integers(1, 4), max_size=3, unique=True),
        "node_port": st.sampled_from([0, 30001]),
        "vips": st.booleans(),
        "ranges": st.booleans(),
        "internal_policy": st.sampled_from(TrafficPolicy),
        "external_policy": st.sampled_from(TrafficPolicy),
        "affinity_timeout_s": st.sampled_from([0, 10800]),
    }
)
HISTORY = st.lists(
    st.dictionaries(
        st.tuples(st.integers(1, 3), st.sampled_from(["http", "https"])),
        st.one_of(st.none(), SHAPES),
        max_size=3,
    ),
    min_size=1,
    max_size=6,
)


def shaped(key, shape):
    number, label = key
    return port(
        number,
        shape["endpoints"],
        label,
        node_port=shape["node_port"] + number if shape["node_port"] else 0,
        load_balancer_ips=(LoadBalancerIp(ip(f"203.0.113.{number}")),) if shape["vips"] else (),
        load_balancer_source_ranges=(Prefix.parse("192.168.0.0/24"),) if shape["ranges"] else (),
        internal_policy=shape["internal_policy"],
        external_policy=shape["external_policy"],
        affinity_timeout_s=shape["affinity_timeout_s"],
    )


def wanted(changes):
    """What a step of a history asks of `ServiceTable.with_changes`."""
    return {
        ServicePortName("default", f"svc-{number}", label): None
        if shape is None
        else shaped((number, label), shape)
        for (number, label), shape in changes.items()
    }
