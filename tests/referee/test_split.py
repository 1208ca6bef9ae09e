"""How connections to a ClusterIP are split among its endpoints: the same test for the real draw and for the simulated
one."""

from collections import Counter

import pytest
from referee.backends import BACKENDS
from referee.cases import CLUSTER_IP, ENDPOINTS, POD, one_service
from referee.plan import Request
from referee.twins import Twins
from scipy.stats import chi2_contingency, chisquare

CONNECTIONS = 5_000
# The kernel's draw cannot be seeded. A fair one fails in one of a million runs; one that favours an endpoint by a tenth
# fails in nearly all.
LEVEL = 1e-6


@pytest.mark.parametrize("mode", BACKENDS)
def test_split(mode, networks):
    request = Request(POD, "TCP", CLUSTER_IP, 80)
    twins = Twins.of(networks(4), one_service(mode), BACKENDS[mode](4))
    found = [Counter(side.send(request).destination for _ in range(CONNECTIONS)) for side in twins]
    real, simulated = found
    assert set(real) == set(simulated) == {f"{address}:8080" for address in ENDPOINTS}
    for counts in found:
        assert chisquare(list(counts.values())).pvalue > LEVEL, counts
    both = [[counts[endpoint] for endpoint in sorted(real)] for counts in found]
    assert chi2_contingency(both).pvalue > LEVEL, both
