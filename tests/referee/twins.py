"""Both sides of one case at once: the real node and the simulated one, with the same rules."""

from typing import Any

from referee.backends import Backend
from referee.plan import NODE, Plan, plan
from referee.real import RealNode
from referee.simulated import SimulatedNode


class Twins:
    """A context manager; without a case's rules until `program`. `backend` makes the mode's one for a family."""

    def __init__(self, drawn: Plan, backend: Backend) -> None:
        self.plan = drawn
        self.backend = backend
        self.simulated = SimulatedNode(drawn, backend)
        self.real = RealNode(drawn, backend)

    @classmethod
    def of(cls, case: dict[str, Any], backend: Backend) -> "Twins":
        """With the rules of a case, which the real tool has taken and gives back as we print them."""
        twins = cls(plan(case), backend)
        try:
            backend.program(case, twins.simulated.ns)
            backend.load(twins.real.ns[NODE], twins.simulated.ns)
            backend.compare(twins.real.ns[NODE], twins.simulated.ns)
        except BaseException:
            twins.real.close()
            raise
        return twins

    def __enter__(self) -> "Twins":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.real.close()

    def __iter__(self) -> Any:
        return iter((self.real, self.simulated))
