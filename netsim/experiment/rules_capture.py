"""What an experiment captures: does each pattern mean an interface of some host of the topology?

Called by: `rules_experiment`. Pods of the cluster's own add-ons (DNS, ingress) and cloud load balancers are not in the
topology file, so patterns for them are looked at only when the cluster runs (`Cluster.tcpdump`).
"""

from collections.abc import Iterator
from typing import Final

from netsim.experiment.rules_names import Directory
from netsim.experiment.rules_parts import Item
from netsim.experiment.rules_place import Place
from netsim.experiment.spec_names import did_you_mean
from netsim.fabric.tcpdump import selects

# Hosts that no file names.
_NOT_IN_FILES: Final = ("kube-system", "ingress", "balancer", "load-balancer")
# Any name that a Deployment may give: only its beginning counts.
_GENERATED: Final = "-0123456789-abcde"


def check_captures(captures: list[Item[str]], directory: Directory, place: Place) -> None:
    """Record patterns that mean nothing."""
    if directory.unsure & {"nodes", "external"}:
        return
    hosts = list(_hosts(directory))
    for item in captures:
        pattern = item.value.partition(":")[0]
        if any(word in pattern for word in _NOT_IN_FILES):
            continue
        if not any(selects(pattern, kind, host, "") for kind, host in hosts):
            known = did_you_mean(pattern, [_written(kind, host) for kind, host in hosts])
            how = "write pod/NAME, node/NAME or external/NAME"
            message = f'no host of the topology is meant by "{pattern}"{known}: {how}'
            place.error(("capture", item.index), message)


def _hosts(directory: Directory) -> Iterator[tuple[str, str]]:
    yield ("router", "router")
    for entry in directory.spec.node_entries():
        yield ("node", entry.name)
    for outside in directory.spec.external:
        yield ("external", outside.name)
    for template in directory.templates.items:
        names = template.names or (template.owner.partition("/")[2] + _GENERATED,)
        for name in names:
            yield ("pod", f"{template.namespace}/{name}")


def _written(kind: str, host: str) -> str:
    """As one would write it."""
    if kind == "router":
        return host
    return f"{kind}/{host.removeprefix('default/').removesuffix(_GENERATED)}"
