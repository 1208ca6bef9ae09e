"""What a dataplane knows of its node."""

import pytest

from netsim.dataplane.node_view import DetectLocal, LocalDetector, NodeView
from netsim.wire.addr import Prefix, ip, ip_text

V4 = (ip("192.168.0.2"), ip("192.168.1.2"))
V6 = (ip("2001:db8::1"),)


@pytest.mark.parametrize(
    ("addresses", "ranges", "localhost", "expected"),
    [
        (V4, None, True, None),
        (V4, [], True, []),
        (V4, ["192.168.0.0/24"], True, ["192.168.0.2"]),
        (V4, ["192.168.0.0/16"], True, ["192.168.0.2", "192.168.1.2"]),
        (V4, ["127.0.0.0/8"], True, ["127.0.0.1"]),
        (V4, ["127.0.0.0/8"], False, []),
        (V4, ["10.0.0.0/8"], True, []),
        (V6, ["::1/128", "2001:db8::/64"], True, ["2001:db8::1"]),
    ],
)
def test_node_port_ips(addresses, ranges, localhost, expected):
    prefixes = None if ranges is None else tuple(map(Prefix.parse, ranges))
    view = NodeView(
        "n", addresses[0], addresses, localhost_node_ports=localhost, node_port_addresses=prefixes
    )
    found = view.node_port_ips
    assert (None if found is None else [ip_text(a) for a in found]) == expected


@pytest.mark.parametrize(
    ("mode", "prefix", "interface"),
    [
        (DetectLocal.CLUSTER_CIDR, None, ""),
        (DetectLocal.NODE_CIDR, Prefix.parse("10.0.0.0/24"), "cbr0"),
        (DetectLocal.BRIDGE_INTERFACE, None, ""),
        (DetectLocal.INTERFACE_NAME_PREFIX, Prefix.parse("10.0.0.0/24"), ""),
    ],
)
def test_detector_needs_what_its_mode_uses(mode, prefix, interface):
    with pytest.raises(ValueError, match=f"detectLocalMode {mode.value} needs"):
        LocalDetector(mode, prefix, interface)
