"""Every flow of the cases, with real packets and in the simulator."""

from referee.backends import BACKENDS
from referee.compare import asked_of, rule
from referee.table import PROPERTY
from referee.twins import Twins


def test_case(case, family, mode, networks, record_property):
    case = asked_of(mode, case)
    rulings = rule(Twins.of(networks(family), case, BACKENDS[mode](family)), case)
    record_property(PROPERTY, _rows(f"{mode}, IPv{family}", case["features"], rulings))
    problems = [str(ruling) for ruling in rulings if ruling.problems]
    assert not problems, "\n".join(problems)


def _rows(mode, features, rulings):
    agreed = sum(not ruling.problems for ruling in rulings)
    inexpressible = sum(ruling.inexpressible for ruling in rulings)
    numbers = [len(rulings), agreed, len(rulings) - agreed, inexpressible]
    return [[mode, feature, *numbers] for feature in ("all", *features)]
