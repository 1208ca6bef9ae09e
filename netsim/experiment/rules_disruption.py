"""PodDisruptionBudgets: what the API server refuses, and budgets that stop every drain.

Called by: `rules_objects` (one budget), `loader` (against the workloads). Source: pkg/apis/policy/validation.
"""

from collections.abc import Iterable

from netsim.cluster.controllers.disruption import needed
from netsim.cluster.objects import PodDisruptionBudget
from netsim.experiment.rules_place import Loaded, Path, Place, Templates


def check_budget(budget: PodDisruptionBudget, place: Place) -> None:
    """Record what is wrong with a budget by itself."""
    spec = budget.spec
    if spec.minAvailable is not None and spec.maxUnavailable is not None:
        message = "minAvailable and maxUnavailable cannot be both set"
        place.error(("spec", "maxUnavailable"), message, key=True)
    for name in ("minAvailable", "maxUnavailable"):
        value = getattr(spec, name)
        where: Path = ("spec", name)
        if isinstance(value, int) and value < 0:
            place.error(where, f"must be greater than or equal to 0, not {value}")
        if isinstance(value, str) and not _is_percentage(value):
            place.error(where, f'"{value}" is no percentage: write a number, or 0% to 100%')


def _is_percentage(value: str) -> bool:
    return value.endswith("%") and value[:-1].isdigit() and int(value[:-1]) <= 100


def note_blocking_budgets(objects: Iterable[Loaded], templates: Templates) -> None:
    """Say which budgets never let a pod go: a drain of its node would wait for ever."""
    for loaded in objects:
        budget = loaded.object
        if not isinstance(budget, PodDisruptionBudget) or budget.spec.selector is None:
            continue
        selector, namespace = budget.spec.selector, budget.metadata.namespace
        meant = [t for t in templates.items if t.namespace == namespace and selector.matches(t.labels)]
        pods = sum(template.replicas for template in meant)
        if not meant:
            loaded.place.note(
                ("spec", "selector"), "no pod of the topology has these labels: it protects nothing"
            )
        elif pods and _wanted(budget, pods) >= pods:
            field = "maxUnavailable" if budget.spec.maxUnavailable is not None else "minAvailable"
            loaded.place.note(
                ("spec", field),
                f"there are {pods} pods and all must stay: no drain can ever evict one of them",
            )


def _wanted(budget: PodDisruptionBudget, pods: int) -> int:
    try:
        return needed(budget, pods, pods)[1]
    except ValueError:
        return 0  # no percentage: an error already
