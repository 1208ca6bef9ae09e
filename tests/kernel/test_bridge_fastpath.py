"""The remembered way through a bridge: when it is taken, and that it is left when the frame or the bridge are others.

`tests/properties` compares whole fabrics on it; here one bridge sees single frames, with time as an argument.
"""

from bridgelab import GATEWAY, SERVICE, A, B, BridgeBench, C
from netlab import nat, tcp, udp

from netsim.kernel.bridge import AGEING_NS
from netsim.kernel.bridge_fastpath import port_receiver
from netsim.kernel.sysctl import S
from netsim.wire.addr import ip
from netsim.wire.packet import Packet


class Fast(BridgeBench):
    """Frames come in as links deliver them. A UDP flow from A to a Service whose pod is B has been answered."""

    def __init__(self, rules: str = SERVICE) -> None:
        super().__init__()
        self.ns.xtables.restore(rules)  # type: ignore[union-attr]
        self.learn()
        self.receivers = [port_receiver(self.bridge, port, self.clock) for port in self.ports]

    def arrive(self, port: int, to: bytes, source: bytes, packet: Packet, now: int = 0) -> None:
        self.clock._now = now
        packet.macs = to + source
        self.receivers[port](packet)

    def ask(self, now: int = 0, to: bytes = GATEWAY, ttl: int = 64) -> None:
        packet = udp("10.244.1.5", 4000, "10.96.0.10", 53)
        packet.ttl = ttl
        self.arrive(0, to, A, packet, now)

    def answer(self, now: int = 0) -> None:
        self.arrive(1, A, B, udp("10.244.1.6", 8053, "10.244.1.5", 4000), now)

    def talk(self, now: int = 0) -> None:
        self.ask(now)
        self.answer(now)

    @property
    def remembered(self) -> int:
        """Packets on remembered ways since they were remembered."""
        table = self.ns.conntrack.table  # type: ignore[union-attr]
        return sum(half.path.packets for half in table.values() if half.path is not None)


def test_both_directions_of_a_bridged_flow() -> None:
    bench = Fast()
    for _ in range(4):
        bench.talk()
    assert bench.remembered == 5  # all but two questions and the first answer
    assert bench.out() == [4, 4, 0]


def test_they_are_bridged_not_routed() -> None:
    bench = Fast()
    for _ in range(3):
        bench.talk()
    questions, answers = bench.plugs[1].take(), bench.plugs[0].take()
    assert [packet.ttl for packet in questions + answers] == [64] * 6
    assert {packet.macs for packet in questions} == {B + A}
    assert {packet.flow.src for packet in answers} == {ip("10.96.0.10")}


def test_routed_flows_count_the_time_to_live() -> None:
    bench = Fast()
    for _ in range(3):
        bench.arrive(0, GATEWAY, A, udp("10.244.1.5", 4000, "10.2.0.9", 53))
        bench.ns.conntrack.table[udp("10.244.1.5", 4000, "10.2.0.9", 53).flow].entry.seen_reply = True  # type: ignore[union-attr]
    assert [packet.ttl for packet in bench.right.take()] == [63] * 3
    assert bench.remembered == 1


def test_another_destination_address_takes_the_full_way() -> None:
    """The sender believes that the receiver is elsewhere, and the bridge sends the frame there."""
    bench = Fast()
    for _ in range(3):
        bench.talk()
    bench.out()
    bench.arrive(1, C, B, udp("10.244.1.6", 8053, "10.244.1.5", 4000))
    assert bench.out() == [0, 0, 1]


def test_a_bridge_does_not_look_at_the_time_to_live() -> None:
    bench = Fast()
    for _ in range(3):
        bench.talk()
    bench.out()
    bench.ask(ttl=1)
    assert bench.plugs[1].one().ttl == 1


def test_a_frame_from_the_wrong_port_teaches_the_bridge() -> None:
    bench = Fast()
    for _ in range(3):
        bench.talk()
    bench.out()
    bench.arrive(2, A, B, udp("10.244.1.6", 8053, "10.244.1.5", 4000))
    assert bench.bridge.fdb[B].port is bench.ports[2]
    bench.out()
    bench.ask()
    assert bench.out() == [0, 0, 1]


def test_who_talks_stays_known_and_who_is_silent_for_300_s_does_not() -> None:
    """The remembered way refreshes the sender's entry, and looks at the age of the receiver's."""
    bench = Fast()
    for second in range(0, 400, 20):
        bench.talk(second * S)
    bench.out()
    assert bench.remembered > 30
    assert bench.bridge.fdb[A].updated_ns == bench.bridge.fdb[B].updated_ns == 380 * S
    last = 380 * S + AGEING_NS
    for now in range(400 * S, last, 20 * S):
        bench.ask(now)
    assert bench.out() == [0, 14, 0]
    bench.ask(last)
    assert bench.out() == [1, 1, 1]  # flooded, by the hairpin port too


def test_rules_that_change_are_asked_again() -> None:
    bench = Fast()
    for _ in range(3):
        bench.talk()
    bench.out()
    bench.ns.xtables.restore("*filter\n-A FORWARD -p udp -j DROP\nCOMMIT\n")  # type: ignore[union-attr]
    bench.talk()
    assert bench.out() == [0, 0, 0]
    assert bench.ns.drops.total() == 2


def test_a_handshake_and_a_reset_are_followed() -> None:
    rule = "-A PREROUTING -d 10.96.0.13 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.6:8080"
    bench = Fast(nat(rule))

    def there(flags: str) -> None:
        bench.arrive(0, GATEWAY, A, tcp("10.244.1.5", 4000, "10.96.0.13", 80, flags))

    def back(flags: str) -> None:
        bench.arrive(1, A, B, tcp("10.244.1.6", 8080, "10.244.1.5", 4000, flags))

    there("S")
    back("S.")
    for _ in range(3):
        there(".")
        back(".")
    (entry,) = bench.ns.conntrack.entries(0)  # type: ignore[union-attr]
    assert "ESTABLISHED" in entry.text(0)
    assert entry.assured
    assert bench.remembered > 0
    back("R")
    assert "CLOSE" in entry.text(0)
    assert bench.out() == [5, 4, 0]
