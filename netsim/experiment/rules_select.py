"""Selectors of loads, servers and faults against the topology: do they say one thing, and is it there?

Called by: `rules_experiment`.
"""

import fnmatch
from collections.abc import Iterable

from netsim.experiment.rules_cluster import cable_names
from netsim.experiment.rules_names import Directory
from netsim.experiment.rules_place import Path, Place, Template
from netsim.experiment.spec_cluster import cables_matching
from netsim.experiment.spec_names import did_you_mean
from netsim.experiment.spec_select import Selector

_EXAMPLES = {
    "labels": "by labels such as {run: my-nginx}",
    "node": "{node: worker-1}",
    "link": "{link: worker-1:eth0}",
}


def check_words(selector: Selector, allowed: Iterable[str], what: str, place: Place, path: Path) -> bool:
    """Does the selector say exactly one thing, and one that can be meant here?"""
    words = selector.words()
    if not words:
        place.error(
            path,
            f"the selector is empty: name {what}, for example {_EXAMPLES[next(iter(allowed), 'labels')]}",
        )
    elif len(words) > 1:
        place.error(
            path,
            f"the selector names {' and '.join(words)}: write one of them (other labels go into labels:)",
        )
    elif words[0] not in allowed:
        place.error(path, f"a {words[0]} cannot be meant here: name {what} by {', '.join(allowed)}")
    else:
        return True
    return False


def check_selected(selector: Selector, directory: Directory, place: Place, path: Path) -> list[Template]:
    """Record a selector that finds nothing; returns the templates of the pods that it finds."""
    if selector.kind == "labels":
        return _check_labels(selector, directory, place, path)
    if selector.kind == "pod":
        return _check_pod(selector, directory, place, path)
    if directory.unsure & {"nodes", "external"}:
        return []
    entries = [entry.name for entry in directory.spec.node_entries()]
    names = {
        "node": entries,
        "external": [host.name for host in directory.spec.external],
        "link": cable_names(directory.spec),
    }[selector.kind]
    value = getattr(selector, selector.kind)
    found = cables_matching(value, names) if selector.kind == "link" else fnmatch.filter(names, value)
    if not found:
        what = {"node": "node", "external": "outside host", "link": "cable"}[selector.kind]
        message = f'the topology has no {what} "{value}"{did_you_mean(value, names)}'
        place.error((*path, selector.kind), message)
    return []


def _check_labels(selector: Selector, directory: Directory, place: Place, path: Path) -> list[Template]:
    found = directory.templates.matching(selector.labels, selector.namespace)
    if not found:
        text = ",".join(f"{key}={value}" for key, value in selector.labels.items())
        hint = did_you_mean(text, directory.templates.label_pairs())
        where = f" in namespace {selector.namespace}" if selector.namespace else ""
        place.error(path, f"no pod of the topology has the labels {text}{where}{hint}")
    elif all(template.replicas == 0 for template in found):
        place.error(path, f"{found[0].owner} has 0 replicas: nobody is selected")
    return found


def _check_pod(selector: Selector, directory: Directory, place: Place, path: Path) -> list[Template]:
    known = directory.templates.pod_names()
    for full, template in known.items():
        namespace, _, name = full.partition("/")
        if selector.selects_pod(namespace, name, {}):
            return [template]
    hint = did_you_mean(selector.pod, [full.partition("/")[2] for full in known])
    name = selector.pod.rpartition("/")[2]
    for template in directory.templates.items:
        if not template.names and name.startswith(template.owner.partition("/")[2]):
            labels = ", ".join(f"{key}: {value}" for key, value in template.labels.items())
            hint = f": pods of {template.owner} get generated names, so select them by labels {{{labels}}}"
            break
    place.error((*path, "pod"), f'no pod of the topology is called "{selector.pod}"{hint}')
    return []
