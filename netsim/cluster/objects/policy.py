"""PodDisruptionBudget (k8s.io/api/policy/v1): how many pods a drain may take away at a time.

Called by: the disruption controller (status) and evictions. Times are integer nanoseconds.
"""

from typing import Literal

from pydantic import Field, StrictInt

from netsim.cluster.objects.meta import (
    ApiModel,
    ApiObject,
    Condition,
    IntOrString,
    LabelSelector,
    NonNegative,
    Time,
)


class PodDisruptionBudgetSpec(ApiModel):
    """Which pods, and at most one of `minAvailable` and `maxUnavailable` (a number or a percentage)."""

    selector: LabelSelector | None = None
    minAvailable: IntOrString | None = None
    maxUnavailable: IntOrString | None = None
    unhealthyPodEvictionPolicy: Literal["IfHealthyBudget", "AlwaysAllow"] | None = None


class PodDisruptionBudgetStatus(ApiModel):
    """What the disruption controller worked out. `disruptedPods`: evicted, but the controller has not seen it yet."""

    observedGeneration: StrictInt = 0
    disruptionsAllowed: NonNegative = 0
    currentHealthy: NonNegative = 0
    desiredHealthy: NonNegative = 0
    expectedPods: NonNegative = 0
    disruptedPods: dict[str, Time] = Field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


class PodDisruptionBudget(ApiObject):
    """A budget of voluntary disruptions."""

    apiVersion: Literal["policy/v1"] = "policy/v1"
    kind: Literal["PodDisruptionBudget"] = "PodDisruptionBudget"
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()
