"""A bridge without a simulation: learning, flooding, hairpin, ageing, and br_netfilter with its bridged DNAT."""

import pytest
from bridgelab import GATEWAY, SERVICE, A, B, BridgeBench
from netlab import Clock, Port, arp, flow, namespace, tcp, udp

from netsim.kernel.bridge import AGEING_NS
from netsim.kernel.hooks import DropReason
from netsim.wire.addr import BROADCAST_MAC, ip
from netsim.wire.packet import Packet


def test_a_broadcast_goes_everywhere_and_up() -> None:
    bench = BridgeBench(hairpin=False)
    bench.frame(0, BROADCAST_MAC, A, arp(1, A, "10.244.1.5", "10.244.1.1"))
    assert bench.plugs[0].one().flow.dst == ip("10.244.1.5")  # the bridge answers for its own address
    assert bench.out() == [0, 1, 1]
    assert bench.ns.copied == 2  # one upwards, one for the second port


def test_hairpin_ports_get_their_own_broadcasts_back() -> None:
    bench = BridgeBench()
    bench.frame(0, BROADCAST_MAC, A, arp(1, A, "10.244.1.5", "10.244.1.6"))
    assert bench.out() == [1, 1, 1]


def test_it_learns_where_an_address_is() -> None:
    bench = BridgeBench()
    bench.learn()
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 2))
    assert bench.out() == [0, 1, 0]
    assert bench.bridge.render_fdb().splitlines()[1] == "02:00:00:00:01:06 dev veth6 master cni0"


def test_an_unknown_address_is_flooded_but_not_upwards() -> None:
    bench = BridgeBench(hairpin=False)
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 2))
    assert bench.out() == [0, 1, 1]
    assert bench.inbox.got == []


def test_an_address_that_moves_is_found_again() -> None:
    bench = BridgeBench()
    bench.learn()
    before = bench.ns.generation
    bench.frame(2, A, B, udp("10.244.1.6", 1, "10.244.1.5", 2))
    assert bench.ns.generation > before
    bench.out()
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 2))
    assert bench.out() == [0, 0, 1]


def test_silence_of_300_s_is_forgotten() -> None:
    bench = BridgeBench(hairpin=False)
    bench.learn()
    bench.now = AGEING_NS - 1
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 2))
    assert bench.out() == [0, 1, 0]
    bench.now = AGEING_NS
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 2))
    assert bench.out() == [0, 1, 1]


def test_a_port_that_goes_takes_its_addresses_along() -> None:
    bench = BridgeBench(hairpin=False)
    bench.learn()
    bench.bridge.remove_port(bench.plugs[1].device)
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 2))
    assert bench.out() == [0, 0, 1]


def test_without_another_port_there_is_nowhere_to_go() -> None:
    bench = BridgeBench(hairpin=False)
    bench.bridge.remove_port(bench.plugs[1].device)
    bench.bridge.remove_port(bench.plugs[2].device)
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 2))
    assert bench.ns.drops == {("BRIDGE", DropReason.BRIDGE_NO_EGRESS_PORT): 1}


@pytest.mark.parametrize(("hairpin", "out"), [(True, [1, 0, 0]), (False, [0, 0, 0])])
def test_back_by_the_same_port_in_hairpin_mode_only(hairpin: bool, out: list[int]) -> None:
    bench = BridgeBench(hairpin=hairpin)
    bench.learn()
    bench.frame(0, A, A, udp("10.244.1.5", 1, "10.244.1.5", 2))
    assert bench.out() == out
    assert bench.ns.drops.total() == (0 if hairpin else 1)


def test_frames_for_the_bridge_are_routed() -> None:
    bench = BridgeBench()
    bench.learn()
    packet = bench.frame(0, GATEWAY, A, udp("10.244.1.5", 1, "10.2.0.9", 2))
    assert bench.right.one() is packet
    assert packet.ttl == 63
    bench.frame(0, GATEWAY, A, udp("10.244.1.5", 1, "10.244.1.1", 2))
    assert bench.inbox.flows == [flow("10.244.1.5", 1, "10.244.1.1", 2)]


def test_a_port_or_bridge_that_is_down_takes_nothing() -> None:
    bench = BridgeBench()
    bench.device.up = False
    bench.frame(0, BROADCAST_MAC, A, arp(1, A, "10.244.1.5", "10.244.1.1"))
    assert bench.ns.drops == {("PREROUTING", DropReason.DEVICE_DOWN): 1}
    assert bench.out() == [0, 0, 0]


# ---------------------------------------------------------------------------------------------------- br_netfilter
def test_dnat_to_a_host_on_the_bridge_is_bridged() -> None:
    """Sent to the gateway, it goes straight to the other port: the sender's MAC address and the time to live stay."""
    bench = BridgeBench()
    bench.ns.xtables.restore(SERVICE)  # type: ignore[union-attr]
    bench.learn()
    bench.frame(0, GATEWAY, A, udp("10.244.1.5", 4000, "10.96.0.10", 53))
    request = bench.plugs[1].one()
    assert (request.flow, request.ttl) == (flow("10.244.1.5", 4000, "10.244.1.6", 8053), 64)
    assert request.macs == B + A
    bench.frame(1, A, B, udp("10.244.1.6", 8053, "10.244.1.5", 4000))
    assert bench.plugs[0].one().flow == flow("10.96.0.10", 53, "10.244.1.5", 4000)


def test_dnat_elsewhere_is_routed() -> None:
    bench = BridgeBench()
    bench.ns.xtables.restore(SERVICE)  # type: ignore[union-attr]
    bench.learn()
    bench.frame(0, GATEWAY, A, udp("10.244.1.5", 4000, "10.96.0.12", 53))
    request = bench.right.one()
    assert (request.flow, request.ttl) == (flow("10.244.1.5", 4000, "10.2.0.9", 8053), 63)


def test_the_switch_off_answers_go_past_conntrack() -> None:
    """The request is DNATed on its way through routing; the answer is only bridged, and comes from a stranger."""
    bench = BridgeBench(bridge_nf_call_iptables=False)
    bench.ns.xtables.restore(SERVICE)  # type: ignore[union-attr]
    bench.learn()
    bench.frame(0, GATEWAY, A, udp("10.244.1.5", 4000, "10.96.0.10", 53))
    request = bench.plugs[1].one()
    assert (request.flow, request.ttl) == (flow("10.244.1.5", 4000, "10.244.1.6", 8053), 63)
    assert request.macs == B + GATEWAY
    bench.frame(1, A, B, udp("10.244.1.6", 8053, "10.244.1.5", 4000))
    assert bench.plugs[0].one().flow == flow("10.244.1.6", 8053, "10.244.1.5", 4000)


def test_a_pod_reaches_itself_through_hairpin_mode() -> None:
    bench = BridgeBench()
    bench.ns.xtables.restore(SERVICE.replace(  # type: ignore[union-attr]
        "COMMIT", "-A POSTROUTING -s 10.244.1.5 -d 10.244.1.5 -j MASQUERADE\nCOMMIT"))  # fmt: skip
    bench.learn()
    bench.frame(0, GATEWAY, A, udp("10.244.1.5", 4000, "10.96.0.11", 53))
    request = bench.plugs[0].one()
    assert request.flow == flow("10.244.1.1", 4000, "10.244.1.5", 8053)
    bench.frame(0, GATEWAY, A, Packet(request.flow.reverse(), request.body))
    answer = bench.plugs[0].one()
    assert (answer.flow, answer.macs[:6]) == (flow("10.96.0.11", 53, "10.244.1.5", 4000), A)


def test_rules_of_the_filter_table_see_bridged_packets() -> None:
    bench = BridgeBench()
    bench.ns.xtables.restore("*filter\n-A FORWARD -i cni0 -o cni0 -p tcp -j DROP\nCOMMIT\n")  # type: ignore[union-attr]
    bench.learn()
    bench.frame(0, B, A, tcp("10.244.1.5", 1, "10.244.1.6", 80, "S"))
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 80))
    assert bench.out() == [0, 1, 0]
    assert bench.ns.drops == {("FORWARD", DropReason.NETFILTER_DROP): 1}


def test_dnat_to_an_unknown_neighbour_waits_for_arp_and_keeps_the_senders_mac() -> None:
    bench = BridgeBench()
    bench.ns.xtables.restore(SERVICE)  # type: ignore[union-attr]
    bench.frame(0, GATEWAY, A, udp("10.244.1.5", 4000, "10.96.0.10", 53))
    assert bench.ns.neighbours.waiting == 1
    assert bench.out() == [1, 1, 1]  # the question
    bench.frame(1, GATEWAY, B, arp(2, B, "10.244.1.6", "10.244.1.1", GATEWAY))
    request = bench.plugs[1].one()
    assert (request.flow.dst, request.macs, request.ttl) == (ip("10.244.1.6"), B + A, 64)


def test_dnat_to_a_dead_neighbour_ends_after_3_s_with_an_error_from_the_service() -> None:
    bench = BridgeBench()
    bench.ns.xtables.restore(SERVICE)  # type: ignore[union-attr]
    bench.ns.neighbours.permanent(bench.device, ip("10.244.1.5"), A)
    bench.frame(0, GATEWAY, A, udp("10.244.1.5", 4000, "10.96.0.10", 53))
    bench.clock.run(2_999_999_999)
    assert bench.ns.neighbours.waiting == 1
    for plug in bench.plugs:
        plug.take()
    bench.clock.run(3_000_000_000)
    assert bench.ns.drops == {("POSTROUTING", DropReason.NEIGH_FAILED): 1}
    error = bench.plugs[0].one()
    assert error.flow.src == ip("10.96.0.10")
    assert (error.body.type, error.body.code) == (3, 1)  # type: ignore[union-attr]


def test_a_bridge_without_netfilter() -> None:
    bench = BridgeBench(netfilter=False)
    bench.learn()
    bench.frame(0, B, A, udp("10.244.1.5", 1, "10.244.1.6", 2))
    assert bench.out() == [0, 1, 0]


def test_a_flooded_frame_is_for_somebody_else() -> None:
    ns = namespace(clock=Clock())
    port = Port(ns, "eth0", ns.timers)  # type: ignore[arg-type]
    packet = udp("10.244.1.5", 1, "10.244.1.6", 2)
    packet.macs = B + A
    port.arrive(packet)
    assert ns.drops == {("FORWARD", DropReason.OTHERHOST): 1}
