"""An experiment against its topology: clients and targets of the load, times, checks.

Called by: `loader`. `place` is that of the document's `spec`; the topology has been read by then.
"""

from collections.abc import Sequence

from netsim.experiment.checks import compile_check
from netsim.experiment.rules_client import check_client
from netsim.experiment.rules_dns import check_lookups, note_unknown_name
from netsim.experiment.rules_families import load_family_problem
from netsim.experiment.rules_faults import check_fault
from netsim.experiment.rules_names import Directory, is_address
from netsim.experiment.rules_parts import Item, Parts
from netsim.experiment.rules_place import Path, Place, Template
from netsim.experiment.rules_select import check_selected, check_words
from netsim.experiment.rules_variables import check_variables
from netsim.experiment.spec_experiment import Check, Load
from netsim.experiment.spec_names import did_you_mean


def check_experiment(parts: Parts, directory: Directory | None, place: Place) -> None:
    """Record what is wrong. Without a directory (the topology has errors itself) only times and shapes are checked."""
    if parts.ends_by(parts.warmup_ns):
        place.error(("warmup",), f"the warm-up is not shorter than the experiment ({parts.length()})")
    _check_unique([(item.index, item.value.name) for item in parts.load], "load", place)
    _check_unique([(item.index, item.value.name) for item in parts.checks], "checks", place)
    for load in parts.load:
        _check_load(load, parts, directory, place, ("load", load.index))
    _note_closed([item.value.name for item in parts.load if item.value.model == "closed"], place)
    for server in parts.servers:
        path: Path = ("servers", server.index, "selector")
        selector = server.value.selector
        if check_words(selector, ("labels", "pod"), "the pods of a server", place, path) and directory:
            check_selected(selector, directory, place, path)
    for fault in parts.faults:
        check_fault(fault, parts, directory, place, ("faults", fault.index))
    for check in parts.checks:
        _check_during(check.value, parts, place, ("checks", check.index, "during"))
        if directory:
            _check_expression(check.value, directory, place, ("checks", check.index, "expr"))
        _check_loads(check.value, parts, place, ("checks", check.index, "expr"))
    if "load" not in place.source.node.parts:
        place.problems.note("the experiment has no load: nothing will be asked and nothing measured")


def _check_unique(names: Sequence[tuple[int, str]], what: str, place: Place) -> None:
    seen: dict[str, int] = {}
    for index, name in names:
        first = seen.setdefault(name, index)
        if first != index:
            message = f'"{name}" is also the name of {what}[{first}]: choose another'
            place.error((what, index, "name"), message)


def _check_during(check: Check, parts: Parts, place: Place, path: Path) -> None:
    if check.during is None:
        return
    begin, end = check.during
    if begin >= end:
        place.error(path, "must be [from, to] with from before to")
    elif parts.ends_by(end - 1):
        place.error((*path, 1), f"is after the end: the experiment takes {parts.length()}")


def _check_expression(check: Check, directory: Directory, place: Place, path: Path) -> None:
    """The Services that the expression asks about must exist; they are written `name` or `namespace/name`."""
    for service in compile_check(check.expr).services:
        namespace, _, name = service.rpartition("/")
        if not any(key[1] == name and namespace in ("", key[0]) for key in directory.services):
            known = did_you_mean(name, [key[1] for key in directory.services])
            place.error(path, f'no Service of the topology is called "{service}"{known}')


def _check_loads(check: Check, parts: Parts, place: Place, path: Path) -> None:
    """So must the loads (unless one of them could not be read)."""
    names = [item.value.name for item in parts.load]
    written = place.source.node.below(("load",)).parts if "load" in place.source.node.parts else {}
    if len(written) > len(names):
        return
    for load in compile_check(check.expr).loads:
        if load not in names:
            place.error(path, f'the experiment has no load "{load}"{did_you_mean(load, names)}')


def _check_load(
    item: Item[Load], parts: Parts, directory: Directory | None, place: Place, path: Path
) -> None:
    load = item.value
    if item.whole:
        _check_model(load, place, path)
    if load.to.scheme == "dns":
        check_lookups(load, place, path)
    if parts.ends_by(load.start_ns):
        place.error((*path, "start"), f"the load starts after the end: the experiment takes {parts.length()}")
    check_client(load, parts, place, path)
    if load.to.scheme != "http" and "method" in load.model_fields_set:
        place.error((*path, "method"), f"method is for http://: a {load.to.scheme} load has none", key=True)
    problem = load_family_problem(load.ipFamily, directory.spec) if directory else ""
    if problem:
        place.error((*path, "ipFamily"), problem)
    who: Path = (*path, "from")
    if check_words(load.from_, ("labels", "pod", "node", "external"), "clients", place, who) and directory:
        clients = check_selected(load.from_, directory, place, who)
        if clients or load.from_.kind in ("node", "external"):
            _check_target(load, clients, directory, place, (*path, "to"))


def _check_model(load: Load, place: Place, path: Path) -> None:
    if load.model == "open":
        if load.rate_per_s is None:
            place.error(path, 'an open load needs a "rate", such as 200/s (or write model: closed)')
        if load.think_time_ns:
            place.error((*path, "thinkTime"), "thinkTime is for model: closed", key=True)
        return
    for name, given in (("rate", load.rate_per_s), ("arrivals", "arrivals" in load.model_fields_set)):
        if given:
            message = f"{name} is for model: open; a closed load has connections and thinkTime"
            place.error((*path, name), message, key=True)


def _note_closed(names: Sequence[str], place: Place) -> None:
    if not names:
        return
    who = ", ".join(f'"{name}"' for name in names)
    which = f"load {who} is" if len(names) == 1 else f"loads {who} are"
    place.problems.note(
        f"{which} closed: slow answers delay the next requests, so latencies look better than they are"
    )


def _check_target(
    load: Load, clients: list[Template], directory: Directory, place: Place, path: Path
) -> None:
    if load.to.template:
        check_variables(load, clients, directory, place, path)
        return
    host = load.to.host
    namespaces = list(dict.fromkeys(client.namespace for client in clients)) or ["default"]
    if load.to.scheme == "dns":
        note_unknown_name(load, directory.problem_with_name(host, namespaces), place)
        return
    if not clients and not directory.unsure & {"nodes", "external"} and host in directory.outside_names():
        return
    if is_address(host):
        problem = directory.problem_with_address(host)
    elif load.from_.kind == "external" and host in directory.ingress_hosts:
        return  # it is in the outside hosts' /etc/hosts
    else:
        problem = directory.problem_with_name(host, namespaces)
        if problem and not clients:
            names = directory.outside_names()
            hint = did_you_mean(host, names)
            problem = f'{load.from_} knows no "{host}"{hint}: /etc/hosts has nodes and outside hosts'
    if problem:
        place.error(path, problem)
        return
    if load.from_.kind == "external" and is_address(host) and not directory.is_routed_outside(host):
        place.problems.note(
            f'load "{load.name}": the router has no route to {host}, so connections from outside will hang '
            f"(spec.routes of the Cluster can have one: {{to: {host}/32, via: a node}})"
        )
    if not clients and not is_address(host):
        place.problems.note(
            f'load "{load.name}": {load.from_} does not ask the cluster\'s DNS, so {host} will not resolve'
        )
    keys = (directory.service_of(host, namespace) for namespace in namespaces)
    service = next((directory.services[key] for key in keys if key), None)
    if service is not None and service.spec.ports and not service.spec.is_headless:
        protocol = "UDP" if load.to.scheme == "udp" else "TCP"
        ports = [port.port for port in service.spec.ports if port.protocol == protocol]
        if load.to.port not in ports:
            wanted = f"{load.to.port}/UDP" if protocol == "UDP" else str(load.to.port)
            place.problems.note(
                f'load "{load.name}": Service/{service.metadata.name} has no port {wanted} '
                f"(it has {', '.join(map(str, ports)) or f'none for {protocol}'}): "
                "connections will hang until they time out"
            )
