"""Captures: every hop is recorded as it was, and can be rendered at any later time."""

from netlab import Lab, Service, inbox, udp

from netsim.engine import MS, S
from netsim.fabric.capture import Capture
from netsim.wire.addr import ip_text
from netsim.wire.packet import ArpMessage, Packet


def busy_lab() -> Lab:
    lab = Lab(nodes=2)
    lab.pod(1, 5)
    inbox(lab.pod(2, 7)).echo()
    lab.serve(Service("10.96.0.10", 53, [("10.244.2.7", 8053)]))
    return lab


def traffic(lab: Lab) -> None:
    client = lab.fabric.pods["p1-5"]
    for port in (4000, 4001, 4000):
        lab.send(client, udp("10.244.1.5", port, "10.96.0.10", 53, b"question"))
        lab.run(10 * MS)
    lab.run(S)


def test_hops_render_to_the_bytes_of_their_moment() -> None:
    """The packet itself is rewritten at each hop; a copy of its bytes taken at once is the witness."""
    lab, capture, witness = busy_lab(), Capture(), []
    for cable in lab.fabric.cables.values():
        for link in cable.links:
            link.taps.append(
                lambda link, packet, at: witness.append((at, link.name, packet.uid, packet.to_bytes()))
            )
        capture.attach(cable)
    traffic(lab)
    found = [(hop.at_ns, hop.link.name, hop.uid, hop.packet().to_bytes()) for hop in capture]
    assert found == witness
    # 3 questions and 3 answers over 4 links each; an ARP request, copied by the switch, and its answer.
    assert len(capture) == len(found) == 2 * 3 * 4 + 3 + 2


def test_a_packet_along_its_way() -> None:
    lab, capture = busy_lab(), Capture()
    for cable in lab.fabric.cables.values():
        capture.attach(cable)
    traffic(lab)
    first = next(hop.uid for hop in capture if not isinstance(hop.body, ArpMessage))
    assert [
        (hop.link.name, ip_text(hop.flow.dst), hop.flow.dport, hop.ttl) for hop in capture if hop.uid == first
    ] == [
        ("p1-5:eth0", "10.96.0.10", 53, 64),
        ("n1:eth0", "10.244.2.7", 8053, 63),
        ("switch:n2", "10.244.2.7", 8053, 63),
        (f"n2:{lab.fabric.pods['p2-7'].veth}", "10.244.2.7", 8053, 62),
    ]


def test_only_attached_cables_and_only_while_attached() -> None:
    lab, capture = busy_lab(), Capture()
    traffic(lab)
    capture.attach(lab.fabric.cables["p1-5:eth0"])
    traffic(lab)
    assert len(capture) == 6
    assert {hop.link.name.split(":")[0] for hop in capture} == {"p1-5", "n1"}
    capture.stop()
    traffic(lab)
    assert len(capture) == 6
    assert all(link.forward == link.send for cable in lab.fabric.cables.values() for link in cable.links)


def test_captures_do_not_disturb_each_other() -> None:
    lab = busy_lab()
    cable = lab.fabric.cables["p1-5:eth0"]
    one, other = Capture(), Capture()
    one.attach(cable)
    other.attach(cable)
    traffic(lab)
    one.stop()
    traffic(lab)
    assert (len(one), len(other)) == (6, 12)


def test_a_capture_outlives_a_removed_pod() -> None:
    lab, capture = busy_lab(), Capture()
    capture.attach(lab.fabric.cables["p2-7:eth0"])
    traffic(lab)
    lab.fabric.remove_pod(lab.fabric.pods["p2-7"])
    traffic(lab)
    assert len(capture) == 6
    capture.stop()


def test_a_hop_is_a_packet_of_its_own() -> None:
    lab, capture = busy_lab(), Capture()
    capture.attach(lab.fabric.cables["p1-5:eth0"])
    traffic(lab)
    hop = next(iter(capture))
    packet = hop.packet()
    assert isinstance(packet, Packet)
    packet.ttl = 1
    assert hop.ttl == hop.packet().ttl == 64
