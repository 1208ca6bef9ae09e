"""All that rules may do with a new connection, and how likely it is."""

from random import Random

import pytest

from netsim.kernel.targets import Drop, Masquerade, Reject
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_outcomes import outcomes
from netsim.wire.addr import ip
from netsim.wire.packet import TCP, Flow

RULES = """
*nat
:SVC - [0:0]
-A PREROUTING -d 172.30.0.41 -j SVC
-A OUTPUT -d 172.30.0.41 -j SVC
-A SVC -m statistic --mode random --probability 0.25 -j DNAT --to-destination 10.0.1.1:80
-A SVC -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.1.2:80
-A SVC -j DNAT --to-destination 10.0.1.3:80
-A POSTROUTING -s 10.0.0.2 -d 10.0.1.2 -j MASQUERADE
COMMIT
*filter
-A FORWARD -d 10.0.1.3 -j DROP
-A INPUT -p tcp --dport 22 -j REJECT
-A OUTPUT -d 10.0.1.1 -j REJECT
COMMIT
"""


class Node:
    def __init__(self):
        self.xtables = Xtables()
        self.xtables.restore(RULES)
        self.ip6tables = self.nft = None
        self.random = Random(1)

    def is_local(self, address):
        return address == ip("192.168.0.2")


def flow(dst, dport=8080, src="10.0.0.2"):
    return Flow(ip(src), ip(dst), 40000, dport, TCP)


def test_every_branch_with_its_probability():
    found = outcomes(Node(), flow("172.30.0.41"), device="eth0")
    assert [(o.probability, o.flow.dst, o.verdict, o.source) for o in found] == [
        (pytest.approx(0.25), ip("10.0.1.1"), None, None),
        (pytest.approx(0.375), ip("10.0.1.2"), None, Masquerade()),
        (pytest.approx(0.375), ip("10.0.1.3"), Drop(), None),
    ]
    assert {o.flow.dport for o in found} == {80}
    assert [hit.chain for hit in found[0].hits] == ["PREROUTING", "SVC"]
    assert [o.visited for o in found] == [1 + 1 + 1 + 1, 1 + 2 + 1 + 1, 1 + 3 + 1]


def test_made_here():
    found = outcomes(Node(), flow("172.30.0.41", src="192.168.0.2"))
    assert [(o.verdict, o.source) for o in found] == [(Reject(), None), (None, None), (None, None)]


@pytest.mark.parametrize(("dport", "verdict"), [(22, Reject()), (23, None)])
def test_for_the_node_itself(dport, verdict):
    (only,) = outcomes(Node(), flow("192.168.0.2", dport), device="eth0")
    assert (only.probability, only.verdict) == (1.0, verdict)


def test_nothing_changes_in_the_namespace():
    node = Node()
    before = node.random.getstate()
    outcomes(node, flow("172.30.0.41"), device="eth0")
    assert node.random.getstate() == before
    assert [c.packets for c in node.xtables.counters("nat", "SVC")] == [0, 0, 0]


def test_chosen_chains_only():
    (only,) = outcomes(Node(), flow("10.0.1.3"), steps=[("filter", "FORWARD")])
    assert only.verdict == Drop()
