"""Which source port a masqueraded connection gets: its own, or another one if that is taken or if rules want a random
one."""

from contextlib import ExitStack

import pytest
from netlab import udp
from referee.backends import Iptables
from referee.cases import one_service
from referee.plan import DEVICES, OUTSIDE, PODS, plan
from referee.twins import Twins

from netsim.wire.addr import ip_text

PORT = 40_001
CLIENTS = ("10.0.0.2", "10.0.0.3")
ELSEWHERE = "198.51.100.7"


def _real(twins):
    """The port that the server sees, of each client."""
    seen = []
    with ExitStack() as stack:
        for client in CLIENTS:
            sock = stack.enter_context(twins.real.places[PODS].open("UDP", client, PORT))
            sock.sendto(b"hello", (ELSEWHERE, 80))
            arrival = twins.real.datagram(OUTSIDE, 80)
            assert arrival.source == DEVICES[OUTSIDE].v4
            seen.append(arrival.sport)
    return seen


def _simulated(twins):
    seen = []
    for client in CLIENTS:
        twins.simulated.ports[PODS].arrive(udp(client, PORT, ELSEWHERE, 80))
        flow = twins.simulated.ports[OUTSIDE].one().flow
        assert ip_text(flow.src) == DEVICES[OUTSIDE].v4
        seen.append(flow.sport)
    return seen


@pytest.mark.parametrize("option", ["", "--random-fully"])
def test_masquerade(option, networks):
    twins = Twins(networks(4), plan(one_service("iptables", protocol="UDP")), Iptables(4))
    rules = f"*nat\n-A POSTROUTING -d {ELSEWHERE} -j MASQUERADE {option}\nCOMMIT\n"
    twins.backend.add(twins.real.node, twins.simulated.ns, rules)
    for ports in (_real(twins), _simulated(twins)):
        first, second = ports
        assert (first == PORT) is not bool(option)
        assert second not in (PORT, first)
        assert 1024 <= second <= 65535
