"""What the simulator's kernel takes for granted of refusals, asked of the real one: REJECT of every kind, DROP, and
ICMP errors about translated connections."""

from dataclasses import replace

import pytest
from referee.backends import Iptables
from referee.cases import ENDPOINTS, OUTSIDER, POD, one_service
from referee.mapped import twin
from referee.plan import NODE, PODS, Request, plan
from referee.seen import REFUSED, SILENCE, endpoint
from referee.twins import Twins

from netsim.kernel.reject import TCP_RESET, UNREACHABLE_CODES, UNREACHABLE_CODES_V6

KINDS = [(4, kind) for kind in (*UNREACHABLE_CODES, TCP_RESET)]
KINDS += [(6, kind) for kind in (*UNREACHABLE_CODES_V6, TCP_RESET)]
ELSEWHERE = "198.51.100.7"


def _case(family, protocol="TCP", endpoints=4):
    """With flows from the pod and from outside to the Service; from the pod and the node to elsewhere; and to the
    node."""
    case = one_service("iptables", endpoints, protocol)
    node = case["proxier"]["nodeIP"]
    ways = [(POD, ELSEWHERE), (node, ELSEWHERE), (OUTSIDER, node), (POD, node), (node, node)]
    case["flows"] += [case["flows"][0] | {"sourceIP": src, "destIP": dst} for src, dst in ways]
    return case if family == 4 else twin(case)


def _requests(case):
    return [Request.of(flow) for flow in case["flows"]]


def _agreed(twins, request, ending):
    real, simulated = (side.send(request, silent=ending == SILENCE) for side in twins)
    assert real == simulated, f"{real}\n{simulated}"
    assert real.ending == ending, real
    return real


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_reject(family, kind, protocol, networks):
    """Of what goes to somebody else, to the node and to the node itself."""
    if kind == TCP_RESET and protocol == "UDP":
        return  # iptables refuses such a rule
    case, name = _case(family, protocol), protocol.lower()
    twins = Twins(networks(family), plan(case), Iptables(family))
    rule = f"-p {name} -m {name} --dport 80 -j REJECT --reject-with {kind}\n"
    _add(twins, "*filter", *(f"-A {chain} {rule}" for chain in ("INPUT", "FORWARD", "OUTPUT")))
    for request in _requests(case):
        _agreed(twins, request, REFUSED)


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("family", [4, 6])
def test_drop(family, protocol, networks):
    """Silence; but whoever sends a datagram from the node hears that he may not."""
    case = _case(family, protocol)
    twins = Twins(networks(family), plan(case), Iptables(family))
    _add(twins, "*filter", *(f"-A {chain} -j DROP\n" for chain in ("INPUT", "FORWARD", "OUTPUT")))
    for request in _requests(case):
        seen = _agreed(twins, request, SILENCE)
        assert seen.errno == ("EPERM" if protocol == "UDP" and _from_node(twins, request) else "")


def _from_node(twins, request):
    return twins.plan.place(request.source) == NODE


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("family", [4, 6])
def test_rejected_behind_dnat(family, protocol, networks):
    """The error names the Service, which is what the client knows."""
    case = _case(family, protocol, endpoints=1)
    twins = Twins.of(networks(family), case, Iptables(family))
    behind = ENDPOINTS[0] if family == 4 else "fd00::ab4:1"
    _add(twins, "*filter", f"-A FORWARD -d {behind} -j REJECT\n")
    for request in _requests(case)[:1]:  # what comes from outside is marked and accepted before
        assert f"about {_text(request)}" in _agreed(twins, request, REFUSED).refusal


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("family", [4, 6])
def test_nobody_listens(family, protocol, networks):
    """The endpoint itself refuses: a RST, or an ICMP error that is translated on its way back."""
    case = _case(family, protocol, endpoints=1)
    twins = Twins.of(networks(family), case, Iptables(family))
    for side in twins:
        side.close_port(protocol, 8080)
    for request in _requests(case)[:2]:
        assert _text(request) in _agreed(twins, request, REFUSED).refusal


@pytest.mark.parametrize("family", [4, 6])
def test_time_exceeded(family, networks):
    """A traceroute's first hop, to a Service and to elsewhere."""
    case = _case(family, "UDP", endpoints=1)
    twins = Twins.of(networks(family), case, Iptables(family))
    for request in _requests(case)[:3]:
        assert _agreed(twins, replace(request, ttl=1), REFUSED).refusal.startswith("time exceeded")


@pytest.mark.parametrize("family", [4, 6])
def test_too_big(family, networks):
    """The way to the endpoint is narrower than the client's; the path MTU is told about the Service."""
    case = _case(family, "UDP", endpoints=1)
    twins = Twins.of(networks(family), case, Iptables(family))
    for side in twins:
        side.narrow(PODS, 1300)
    outsider = _requests(case)[1]
    try:
        _agreed(twins, replace(outsider, payload=bytes(1350)), REFUSED)
    finally:
        twins.real.narrow(PODS, 1500)


def _add(twins, *text):
    rules = "\n".join((text[0], *(line.strip() for line in text[1:]), "COMMIT\n"))
    twins.backend.add(twins.real.node, twins.simulated.ns, rules)


def _text(request):
    return endpoint(request.destination, request.port)
