"""Every flow of the cases, with real packets and in the simulator."""

from collections import Counter

from referee.backends import BACKENDS
from referee.compare import rule
from referee.plan import NODE, plan
from referee.real import RealNode
from referee.simulated import SimulatedNode
from referee.table import PROPERTY


def test_case(case, record_property):
    mode = case["proxier"]["backend"]
    drawn = plan(case)
    backend = BACKENDS[mode](drawn.family)
    simulated = SimulatedNode(drawn, backend)
    backend.program(case, simulated.ns)
    with RealNode(drawn, backend) as real:
        backend.load(real.ns[NODE], simulated.ns)
        rulings = rule(real, simulated, case, drawn)
    record_property(PROPERTY, _rows(f"{mode}, IPv{drawn.family}", case["features"], rulings))
    problems = [str(ruling) for ruling in rulings if ruling.problems]
    assert not problems, "\n".join(problems)


def _rows(mode, features, rulings):
    numbers = Counter(
        {
            "flows": len(rulings),
            "agree": sum(not r.problems for r in rulings),
            "disagree": sum(bool(r.problems) for r in rulings),
            "none": sum(bool(r.without_expectation) for r in rulings),
        }
    )
    return [[mode, feature, *numbers.values()] for feature in ("all", *features)]
