"""Every flow of the cases, with real packets and in the simulator."""

from referee.backends import BACKENDS
from referee.compare import rule
from referee.table import PROPERTY
from referee.twins import Twins


def test_case(case, family, record_property):
    mode = case["proxier"]["backend"]
    with Twins.of(case, BACKENDS[mode](family)) as twins:
        rulings = rule(twins, case)
    record_property(PROPERTY, _rows(f"{mode}, IPv{family}", case["features"], rulings))
    problems = [str(ruling) for ruling in rulings if ruling.problems]
    assert not problems, "\n".join(problems)


def _rows(mode, features, rulings):
    agreed = sum(not ruling.problems for ruling in rulings)
    unexpected = sum(bool(ruling.without_expectation) for ruling in rulings)
    numbers = [len(rulings), agreed, len(rulings) - agreed, unexpected]
    return [[mode, feature, *numbers] for feature in ("all", *features)]
