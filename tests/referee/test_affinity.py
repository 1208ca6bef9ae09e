"""`sessionAffinity: ClientIP`: a client stays with its endpoint, until it has been silent for the time-out."""

import re

import pytest
from referee.backends import BACKENDS, Iptables
from referee.cases import client_ip, one_service
from referee.mapped import twin
from referee.plan import Request
from referee.twins import Twins

# With four endpoints, all of them meet the same one, or the same one again, in one run of 10^8.
CLIENTS = [f"10.0.0.{number}" for number in range(2, 16)]
SHORT_S, PAUSE_S = 1, 1.5


def _case(mode, seconds, family, endpoints=4):
    case = one_service(mode, endpoints, **client_ip(seconds))
    case["flows"] = [flow | {"sourceIP": client} for flow in case["flows"][:1] for client in CLIENTS]
    return case if family == 4 else twin(case)


def _choices(side, case):
    return [side.send(Request.of(flow)).destination for flow in case["flows"]]


@pytest.mark.parametrize("mode", BACKENDS)
@pytest.mark.parametrize("family", [4, 6])
def test_a_client_stays(mode, family, networks):
    case = _case(mode, 10_800, family)
    for side in Twins.of(networks(family), case, BACKENDS[mode](family)):
        first = _choices(side, case)
        assert len(set(first)) > 1
        assert _choices(side, case) == first


@pytest.mark.parametrize("mode", BACKENDS)
def test_a_silent_client_is_forgotten(mode, networks):
    case = _case(mode, SHORT_S, 4)
    for side in Twins.of(networks(4), case, BACKENDS[mode](4)):
        first = _choices(side, case)
        side.wait(PAUSE_S)
        assert _choices(side, case) != first


@pytest.mark.parametrize("family", [4, 6])
def test_what_xt_recent_remembers(family, networks):
    """`--reap` takes away the one entry that was renewed longest ago, and only when the client is known itself."""
    case = _case("iptables", SHORT_S, family, endpoints=1)
    requests = [Request.of(flow) for flow in case["flows"][:4]]
    *known, new = [request.source for request in requests]
    twins = Twins.of(networks(family), case, Iptables(family))
    name = re.search(r"--name (KUBE-SEP-\S+)", Iptables(family).tables(twins.simulated.ns).save()).group(1)
    found = []
    for side in twins:
        steps = []
        for request in requests[:3]:
            side.send(request)
        steps.append(side.remembered(name, [*known, new]))
        side.wait(PAUSE_S)
        for request in (requests[3], requests[1], requests[2]):
            side.send(request)
            steps.append(side.remembered(name, [*known, new]))
        found.append(steps)
    real, simulated = found
    assert real[0] == set(known)
    assert real == simulated
