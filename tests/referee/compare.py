"""The referee: tries the same connections on both sides and compares what was seen, with each other and with what
upstream's tests expect.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from caselab import service_table
from proxylab import Question, expected
from referee.plan import NODE, Plan, Request
from referee.seen import Seen, judged
from referee.twins import Twins

_ROUNDS = 3  # connections per endpoint to be seen, at least
_ATTEMPTS = 150  # with four endpoints, one in 10^18 runs misses one by chance


def asked_of(mode: str, case: dict[str, Any]) -> dict[str, Any]:
    """A case with what a mode of kube-proxy must do, which need not be the one that upstream's test is of."""
    table = service_table(case["objects"], 4 if case["proxier"]["ipFamily"] == "IPv4" else 6)
    flows = []
    for flow in case["flows"]:
        output, masquerade = expected(mode, Question(case["proxier"], table, flow))
        flows.append(flow | {"expect": {"output": output, "masq": masquerade}})
    return case | {"flows": flows}


class Side(Protocol):
    """The real or the simulated node."""

    def send(self, request: Request, counted: bool = False, silent: bool = False) -> Seen:
        """Try one connection."""

    def forget_clients(self) -> None:
        """Session affinity begins anew."""


def explore(side: Side, case: dict[str, Any], flow: dict[str, Any]) -> frozenset[Seen]:
    """All that becomes of a flow: one connection, or where an endpoint is drawn as many as it takes to see each of
    those that are expected. Session affinity is forgotten in between, as the rows assume."""
    expected = flow["expect"]["output"]
    request = Request.of(flow)
    if not isinstance(expected, list):
        return frozenset({side.send(request, counted=True, silent=expected == "DROP")})
    found: set[Seen] = set()
    for attempt in range(_ATTEMPTS):
        if attempt >= _ROUNDS * len(expected) and {seen.destination for seen in found} >= set(expected):
            break
        if "sessionAffinity" in case["features"]:
            side.forget_clients()
        found.add(side.send(request))
    return frozenset(found)


def in_words(found: frozenset[Seen], flow: dict[str, Any]) -> tuple[str | list[str], bool]:
    """In the words of the cases. Of a pod that may meet itself only that meeting is masqueraded, and a row says so."""
    judgements = [judged(seen, flow) for seen in found]
    outputs = {output for output, _ in judgements}
    masqueraded = any(rewritten for _, rewritten in judgements)
    wanted = flow["expect"]["output"]
    if not isinstance(wanted, list):
        return outputs.pop(), masqueraded
    return [*(o for o in wanted if o in outputs), *sorted(outputs.difference(wanted))], masqueraded


def inexpressible(mode: str, case: dict[str, Any], flow: dict[str, Any], plan: Plan) -> bool:
    """Whether what upstream expects of a flow cannot be had from a node. Both sides have to agree all the same.

    The tracer of upstream's iptables tests leads every packet through KUBE-EXTERNAL-SERVICES. OUTPUT does not lead
    there: what the node itself sends to an address elsewhere goes out, whoever would be refused there."""
    away = plan.place(flow["sourceIP"]) == NODE and plan.place(flow["destIP"]) != NODE
    cluster_ips = {o["spec"].get("clusterIP") for o in case["objects"] if o["kind"] == "Service"}
    refused = flow["destIP"] not in cluster_ips and flow["expect"]["output"] in ("REJECT", "DROP")
    return mode == "iptables" and away and refused


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the referee found of one flow."""

    flow: dict[str, Any]
    real: frozenset[Seen]
    simulated: frozenset[Seen]
    inexpressible: bool

    @property
    def problems(self) -> list[str]:
        """Where the sides differ from each other or from the expectation."""
        found = []
        if self.real != self.simulated:
            found.append("the simulator and the real kernel disagree")
        expected = self.flow["expect"]["output"], self.flow["expect"]["masq"]
        if not self.inexpressible and in_words(self.real, self.flow) != expected:
            found.append(f"upstream expects {expected}")
        return found

    def __str__(self) -> str:
        lines = [f"{self.flow['name']}: {'; '.join(self.problems) or 'agreed'}"]
        lines += [f"    real:      {seen}" for seen in sorted(self.real, key=str)]
        lines += [f"    simulated: {seen}" for seen in sorted(self.simulated, key=str)]
        return "\n".join(lines)


def rule(twins: Twins, case: dict[str, Any]) -> list[Ruling]:
    """All flows of a case."""
    real, simulated = twins
    return [
        Ruling(
            flow,
            explore(real, case, flow),
            explore(simulated, case, flow),
            inexpressible(twins.backend.name, case, flow, twins.plan),
        )
        for flow in case["flows"]
    ]
