"""From the words of an experiment to what the workload is told (`netsim.experiment.play`)."""

from typing import Any

import pytest

from netsim.experiment.play import fault_plan, server_rule
from netsim.experiment.spec_experiment import Server
from netsim.experiment.spec_fault import Fault
from netsim.workload.http_server import ServerSpec


@pytest.mark.parametrize(
    ("mode", "value", "planned"),
    [
        ("one", None, 1),
        ("all", None, 1),
        ("fixed", 3, 3),
        ("fixed-percent", "50%", 50),
        ("fixed-percent", "12.5%", 12.5),
    ],
)
def test_how_many_a_fault_hits(mode: str, value: Any, planned: float) -> None:
    given = {"at": "1s", "action": "pod-kill", "selector": {"app": "web"}, "mode": mode}
    fault = Fault.model_validate(given if value is None else {**given, "value": value})
    assert fault_plan(fault).value == planned


@pytest.mark.parametrize(("given", "expected"), [({}, "ignore"), ({"shutdown": "fast"}, "fast")])
def test_what_sigterm_does_is_the_pods_unless_the_experiment_says_so(
    given: dict[str, str], expected: str
) -> None:
    rule = server_rule(Server.model_validate({"selector": {"run": "web"}, **given}))
    assert rule.spec(ServerSpec(shutdown="ignore")).shutdown == expected
