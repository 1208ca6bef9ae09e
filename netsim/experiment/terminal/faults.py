"""`fault ACTION KEY=VALUE...`: the experiment's faults, now, in the words of the experiment file.

    fault pod-kill run=my-nginx
    fault link-netem node=worker-1 delay=50ms loss=1% for 10s
    fault partition node=worker-1 target.node=worker-2

Called by: `session`. Words that are no fields of a fault (pod, node, link, external, labels) belong to its selector,
those that begin with `target.` to the other side of a partition. What fits together is checked by the experiment's own
rules.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import ValidationError

from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.play import fault_plan
from netsim.experiment.spec_fault import Action, Fault
from netsim.experiment.spec_names import did_you_mean
from netsim.experiment.spec_select import Selector
from netsim.workload.faults import FaultInjector
from netsim.workload.records import FaultInjected

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster

ACTIONS: Final = tuple(action for action in get_args(Action) if action != "apply")  # kubectl has that
_NUMBERS: Final = ("value", "replicas")
_GIVEN: Final = ("at_ns", "action", "selector", "target", "manifest")
FIELDS: Final = tuple(
    sorted(field.alias or name for name, field in Fault.model_fields.items() if name not in _GIVEN)
)


class Faults:
    """Injects faults on one cluster, numbered over its life."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._injector = FaultInjector(
            cluster.engine, cluster.fabric, cluster.control_plane, cluster.containers
        )

    def inject(self, context: Context, args: Sequence[str]) -> int:
        """fault ACTION KEY=VALUE..."""
        fault = parse(args)
        told: list[FaultInjected] = []
        unsubscribe = self._cluster.engine.bus.subscribe(FaultInjected, told.append)
        try:
            self._injector.inject(fault_plan(fault))
        finally:
            unsubscribe()
        selects = fault.selector != Selector()
        if selects and not any((record.pods or record.nodes or record.links) for record in told):
            raise KubectlError(f"fault: nothing that runs matches {fault.selector}")
        for record in told:
            hit = record.nodes or record.links or record.pods
            context.out(f"{record.fault}: {', '.join(hit) or fault.object or 'done'}\n")
        return 0


def parse(args: Sequence[str]) -> Fault:
    """The fault. Raises KubectlError with what to write instead."""
    if not args:
        raise KubectlError(f"fault: which? {', '.join(ACTIONS)}; for example `fault pod-kill run=my-nginx`")
    action, *rest = args
    if action not in ACTIONS:
        known = did_you_mean(action, ACTIONS)
        raise KubectlError(f'fault: no action is called "{action}"{known} (known: {", ".join(ACTIONS)})')
    raw: dict[str, Any] = {"action": action, "at": "0s"}
    words = list(rest)
    while words:
        word = words.pop(0)
        if word == "for" and words:
            word = f"for={words.pop(0)}"
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            raise KubectlError(
                f'fault: "{word}" is no KEY=VALUE (write for example run=my-nginx, mode=all, for 10s)'
            )
        if key in FIELDS:
            raw[key] = int(value) if key in _NUMBERS and value.isdigit() else value
        elif key.startswith("target."):
            raw.setdefault("target", {})[key.removeprefix("target.")] = value
        else:
            raw.setdefault("selector", {})[key] = value
    try:
        fault = Fault.model_validate(raw)
    except ValidationError as error:
        raise KubectlError(f"fault: {_told(error)}") from None
    _check(fault)
    return fault


def _told(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def _check(fault: Fault) -> None:
    """What goes together, by the experiment's rules."""
    from netsim.experiment.errors import Problems
    from netsim.experiment.rules_faults import check_fault
    from netsim.experiment.rules_parts import Item, Parts
    from netsim.experiment.rules_place import Place
    from netsim.experiment.spec_messages import Source
    from netsim.experiment.yaml_tree import Node

    problems = Problems()
    parts = Parts(None, None, [], [], [], [])
    check_fault(Item(0, fault), parts, None, Place(Source("fault", Node(1, 1, {})), problems), ())
    if problems.errors:
        raise KubectlError("\n".join(f"fault: {error.message}" for error in problems.errors))
