"""The Experiment document of a file, as far as it can be used.

Called by: `loader`. Loads, servers, faults and checks that have no errors are kept even when others have some.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netsim.experiment.errors import Problems
from netsim.experiment.loader_files import (
    File,
    M,
    add_flaws,
    beside,
    check_head,
    not_a_mapping,
    part,
    validate,
    without_extensions,
)
from netsim.experiment.rules_parts import Item, Parts
from netsim.experiment.rules_place import Place
from netsim.experiment.spec_experiment import Check, ExperimentDocument, ExperimentSpec, Load, Server
from netsim.experiment.spec_fault import Fault
from netsim.experiment.spec_fields import read_duration
from netsim.experiment.spec_messages import Source
from netsim.experiment.spec_salvage import salvage


@dataclass(frozen=True, slots=True)
class Experiment:
    """An Experiment document: the spec if it is sound, and the parts of it that are."""

    name: str
    spec: ExperimentSpec | None
    parts: Parts
    topology: str
    place: Place

    def topology_file(self, problems: Problems) -> tuple[Path, str] | None:
        """(path, name) of the topology's file, if it is there."""
        return beside(self.topology, self.place, ("topology",)) if self.topology else None


def experiment_of(file: File, problems: Problems) -> Experiment | None:
    """The Experiment of a file; None (recorded) if there is none."""
    documents = [document for document in file.documents if isinstance(document.data, dict)]
    for document in file.documents:
        add_flaws(document, file, problems)
        if not isinstance(document.data, dict):
            not_a_mapping(document, file, problems)
    if not documents:
        return None
    for document in documents[1:]:
        place = Place(Source(file.name, document.node), problems)
        place.error((), "an experiment file has one document: put manifests into the topology")
    place = Place(Source(file.name, documents[0].node), problems)
    if not check_head(documents[0].data, "Experiment", place):
        return None
    raw = without_extensions(documents[0].data)
    whole = validate(raw, ExperimentDocument, place.source, problems)
    spec_place = Place(part(place.source, "spec"), problems)
    if whole is not None:
        return Experiment(
            whole.metadata.name, whole.spec, _parts(whole.spec), whole.spec.topology, spec_place
        )
    spec = raw.get("spec")
    if not isinstance(spec, dict):
        return None
    topology = spec.get("topology")
    return Experiment("", None, _salvaged(spec), topology if isinstance(topology, str) else "", spec_place)


def _parts(spec: ExperimentSpec) -> Parts:
    return Parts(
        spec.duration_ns,
        spec.warmup_ns,
        [Item(index, load) for index, load in enumerate(spec.load)],
        [Item(index, server) for index, server in enumerate(spec.servers)],
        [Item(index, fault) for index, fault in enumerate(spec.faults)],
        [Item(index, check) for index, check in enumerate(spec.checks)],
    )


def _salvaged(raw: Mapping[str, Any]) -> Parts:
    def items(name: str, model: type[M]) -> list[Item[M]]:
        found = []
        listed = raw.get(name, [])
        for index, entry in enumerate(listed if isinstance(listed, list) else []):
            value, removed = salvage(entry, model)
            if value is not None:
                found.append(Item(index, value, whole=not removed))
        return found

    return Parts(
        read_duration(raw.get("duration", "60s")),
        read_duration(raw.get("warmup", "0s")),
        items("load", Load),
        items("servers", Server),
        items("faults", Fault),
        items("checks", Check),
    )
