"""Variables in a load's URL: would the clients' pods have them?

Called by: `rules_experiment`. A variable that nobody gives is noted and not refused, as showing what happens then may
be the point of the experiment.
"""

from collections.abc import Iterator, Sequence

from netsim.cluster.kubelet.envvars import names_of
from netsim.experiment.rules_names import Directory
from netsim.experiment.rules_place import Path, Place, Template
from netsim.experiment.spec_experiment import Load
from netsim.experiment.spec_names import did_you_mean
from netsim.experiment.url_variables import references

_MASTER = (
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "KUBERNETES_SERVICE_PORT_HTTPS",
    "KUBERNETES_PORT",
)


def check_variables(
    load: Load, clients: Sequence[Template], directory: Directory, place: Place, path: Path
) -> None:
    """Record what is wrong."""
    if not clients:
        place.error(
            path, f"only pods are told where Services are, and {load.from_} is none: write an address"
        )
        return
    for name in references(load.to.template):
        for client in clients:
            known = list(_variables(client, directory))
            if name not in known and not name.startswith("KUBERNETES_PORT_"):
                place.problems.note(
                    f'load "{load.name}": no Service gives $({name}) to {client.owner} in namespace '
                    f"{client.namespace}{did_you_mean(name, known)}: it will be empty"
                )


def _variables(client: Template, directory: Directory) -> Iterator[str]:
    yield from _MASTER
    if client.spec is None or not client.spec.enableServiceLinks:
        return
    for (namespace, _), service in directory.services.items():
        if namespace == client.namespace and service is not None:
            yield from names_of(service)
