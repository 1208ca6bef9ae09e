"""What the simulator's kernel takes for granted, asked of the real one: refusals of every kind, ICMP errors about
translated connections, what `sendto` says, and `conntrack -L`."""

import re

import pytest
from referee.backends import Iptables
from referee.cases import CLUSTER_IP, OUTSIDER, POD, one_service
from referee.mapped import twin
from referee.plan import NODE, PODS, Request
from referee.seen import ANSWERED, REFUSED, SILENCE
from referee.twins import Twins

from netsim.kernel.reject import TCP_RESET, UNREACHABLE_CODES, UNREACHABLE_CODES_V6

KINDS = [(4, kind) for kind in (*UNREACHABLE_CODES, TCP_RESET)]
KINDS += [(6, kind) for kind in (*UNREACHABLE_CODES_V6, TCP_RESET)]


def _case(family, protocol="TCP", endpoints=4):
    case = one_service("iptables", endpoints, protocol)
    return case if family == 4 else twin(case)


def _twins(networks, family, protocol="TCP", more="", endpoints=4):
    """The rules of a Service, and more."""
    twins = Twins.of(networks(family), _case(family, protocol, endpoints), Iptables(family))
    if more:
        Iptables(family).restore(twins.real.node, more, "--noflush")
        Iptables(family).tables(twins.simulated.ns).restore(more)
    return twins


def _requests(family, protocol, **more):
    """From a pod and from outside to the Service."""
    return [Request.of(flow, **more) for flow in _case(family, protocol)["flows"]]


def _agreed(twins, request, ending):
    real, simulated = (side.send(request) for side in twins)
    assert real == simulated
    assert real.ending == ending, real
    return real


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_reject(family, kind, protocol, networks):
    """In all three chains: to somebody else, to the node, and of the node's own."""
    if kind == TCP_RESET and protocol == "UDP":
        pytest.skip("only TCP can be reset")
    name = protocol.lower()
    rule = f"-p {name} -m {name} --dport 80 -j REJECT --reject-with {kind}"
    more = "*filter\n" + "".join(f"-A {chain} {rule}\n" for chain in ("INPUT", "FORWARD", "OUTPUT")) + "COMMIT\n"
    twins = Twins.of(networks(family), _case(family, endpoints=0), Iptables(family))
    ...
