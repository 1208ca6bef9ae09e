"""From the words of an experiment to what the workload is told (`netsim.experiment.play`)."""

from typing import Any

import pytest

from netsim.experiment.play import fault_plan
from netsim.experiment.spec_experiment import Fault


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
