"""Both sides of one case at once: the real node and the simulated one, with the same rules."""

from collections.abc import Iterator
from typing import Any

from referee.backends import Backend
from referee.network import RealNetwork
from referee.plan import Plan, plan
from referee.real import RealNode
from referee.simulated import SimulatedNode


class Twins:
    """The sides of a plan; unpacks to the real and the simulated one."""

    def __init__(self, network: RealNetwork, drawn: Plan, backend: Backend) -> None:
        self.plan = drawn
        self.backend = backend
        self.real = RealNode(network, drawn, backend)
        self.simulated = SimulatedNode(drawn, backend)

    @classmethod
    def of(cls, network: RealNetwork, case: dict[str, Any], backend: Backend) -> "Twins":
        """With the rules of a case, which the real tool has taken and gives back as we print them."""
        twins = cls(network, plan(case), backend)
        node, ours = twins.real.node, twins.simulated.ns
        backend.program(case, ours)
        backend.load(node, ours)
        backend.compare(node, ours)
        return twins

    def __iter__(self) -> Iterator[RealNode | SimulatedNode]:
        return iter((self.real, self.simulated))
