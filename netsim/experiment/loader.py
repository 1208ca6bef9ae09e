"""Files -> topology and experiment, or all their problems at once.

Called by: the command line, `netsim.load`, tests. Everything is read and checked before SpecErrors is raised with
every problem of every file: syntax (reading goes on at the next document), unknown fields, types and values, then
names and references across documents. Checks that would only find follow-up errors of a part that could not be read
are left out.
"""

import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from netsim.cluster.objects import ApiObject, Ingress, Node, Service
from netsim.experiment.addon_ingress import ingress_addon
from netsim.experiment.errors import Problems, SpecErrors, shown
from netsim.experiment.loader_cluster import cluster_of
from netsim.experiment.loader_experiment import Experiment, experiment_of
from netsim.experiment.loader_files import File, read_file, split_documents
from netsim.experiment.loader_manifests import ManifestReader, inert_summary
from netsim.experiment.loader_variants import (
    CLUSTER,
    Changes,
    changed,
    relocate,
    sound_variants,
    without_variants,
)
from netsim.experiment.rules_cluster import check_cluster
from netsim.experiment.rules_disruption import note_blocking_budgets
from netsim.experiment.rules_dns import check_dns_config
from netsim.experiment.rules_environment import missing_sources, told
from netsim.experiment.rules_experiment import check_experiment
from netsim.experiment.rules_ingress import check_ingresses
from netsim.experiment.rules_names import Directory
from netsim.experiment.rules_outside import check_balanced
from netsim.experiment.rules_place import Loaded, Place
from netsim.experiment.rules_services import check_addons, check_services
from netsim.experiment.rules_topology import check_nodes, check_objects, collect_templates, missing_namespaces
from netsim.experiment.spec_cluster import ClusterSpec
from netsim.experiment.spec_experiment import ExperimentSpec, Variant


@dataclass(frozen=True, slots=True)
class Topology:
    """A cluster and what is created in it, checked.

    `objects` are in the order of the files, after the namespaces that are used but not defined; Node manifests are left
    out (nodes come from `spec.node_entries()`). `files` are all files that were read.
    """

    path: Path
    name: str
    spec: ClusterSpec
    objects: tuple[ApiObject, ...]
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def kinds(self) -> dict[str, int]:
        """How many objects there are of each kind."""
        return dict(sorted(Counter(thing.kind for thing in self.objects).items()))


@dataclass(frozen=True, slots=True)
class ExperimentBundle:
    """An experiment and its topology, checked. `variants` are whole experiments, called after their variant, each of
    which knows that it is one."""

    path: Path
    name: str
    spec: ExperimentSpec
    topology: Topology
    notes: tuple[str, ...] = ()
    variants: "tuple[ExperimentBundle, ...]" = ()
    is_variant: bool = False

    def variant(self, name: str) -> "ExperimentBundle":
        """One of the variants. Raises LookupError naming those there are."""
        for bundle in self.variants:
            if bundle.name == name:
                return bundle
        known = ", ".join(bundle.name for bundle in self.variants) or "none"
        raise LookupError(f"{self.name} has no variant {name} (there: {known})")


@dataclass(slots=True)
class _Draft:
    """A topology on its way: what could be read so far."""

    name: str = ""
    spec: ClusterSpec | None = None
    directory: Directory | None = None
    loaded: list[Loaded] = field(default_factory=list)
    addons: list[ApiObject] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    documents: list[BaseModel] = field(default_factory=list)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Reading makes many objects and no garbage: letting the collector look for some doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collecting()
def load(path: str | Path) -> Topology | ExperimentBundle:
    """An experiment or a topology, whichever the file is. Raises SpecErrors."""
    problems = Problems()
    file = read_file(Path(path), shown(path), problems)
    if file.is_experiment():
        return _experiment(file, problems)
    return _finish(file, _draft(file, problems), problems)


@_without_collecting()
def load_topology(path: str | Path) -> Topology:
    """A topology file with its manifests. Raises SpecErrors."""
    problems = Problems()
    file = read_file(Path(path), shown(path), problems)
    return _finish(file, _draft(file, problems), problems)


@_without_collecting()
def load_experiment(path: str | Path) -> ExperimentBundle:
    """An experiment file with its topology. Raises SpecErrors."""
    problems = Problems()
    return _experiment(read_file(Path(path), shown(path), problems), problems)


# ---------------------------------------------------------------- topology


def _draft(file: File, problems: Problems) -> _Draft:
    """Read everything that a topology file names and check it, recording problems."""
    draft = _Draft(files=[file.path])
    clusters, manifests = split_documents(file, problems)
    cluster = cluster_of(file, clusters, problems)
    files = [file]
    if cluster is not None:
        draft.name, draft.spec, draft.documents = cluster.name, cluster.spec, [cluster.spec]
        check_cluster(cluster.spec, cluster.place, cluster.unsure)
        files += [read_file(path, name, problems) for path, name in cluster.manifest_files(problems)]
        draft.files += [other.path for other in files[1:]]
    reader = ManifestReader(problems, draft.spec.minor if draft.spec else ClusterSpec().minor)
    for document in manifests:
        reader.read(document, file.name)
    for other in files[1:]:
        for document in other.documents:
            reader.read(document, other.name)
    draft.loaded = reader.loaded
    if draft.spec is not None:
        draft.addons, note = ingress_addon(draft.spec, draft.loaded)
        problems.notes += [note] if note else []
    if cluster is not None and all(other.whole for other in files):
        _cross_checks(draft, cluster.spec, cluster.place, reader, cluster.unsure)
        if not cluster.unsure & {"networking", "loadBalancer", "loadBalancerClasses"}:
            check_balanced(draft.loaded, cluster.spec, cluster.place)
    return draft


def _cross_checks(
    draft: _Draft, spec: ClusterSpec, cluster: Place, reader: ManifestReader, unsure: frozenset[str]
) -> None:
    templates = collect_templates(draft.loaded, spec, draft.addons)
    for template in reader.broken_templates:
        templates.add(template)
    services: dict[tuple[str, str], Service | None] = dict.fromkeys(reader.broken_services)
    services.update({("default", "kubernetes"): None, ("kube-system", "kube-dns"): None})
    objects = [*draft.addons, *(entry.object for entry in draft.loaded)]
    services.update({item.key: item for item in objects if isinstance(item, Service)})
    if "networking" not in unsure:
        claims = check_services(draft.loaded, templates, spec)
        check_addons(draft.addons, claims, cluster)
    check_objects(draft.loaded, services)
    note_blocking_budgets(draft.loaded, templates)
    check_ingresses(draft.loaded, services, draft.addons)
    check_dns_config(draft.loaded, spec)
    if not unsure & {"nodes", "networking"}:
        check_nodes(draft.loaded, templates, spec)
    hosts = frozenset(
        rule.host
        for entry in draft.loaded
        if isinstance(entry.object, Ingress)
        for rule in entry.object.spec.rules
        if rule.host and "*" not in rule.host
    )
    draft.directory = Directory(spec, services, templates, unsure, hosts)


def _finish(file: File, draft: _Draft, problems: Problems) -> Topology:
    """The topology, once nothing is wrong. Raises SpecErrors otherwise."""
    problems.raise_if_any()
    if draft.spec is None:
        raise AssertionError("a topology without errors has a Cluster document")
    namespaces = missing_namespaces(draft.loaded)
    for namespace in namespaces:
        problems.note(f'namespace "{namespace.metadata.name}" is used but not defined: it is added')
    sources = missing_sources(draft.loaded)
    for note in told(sources):
        problems.note(note)
    if any(isinstance(entry.object, Node) for entry in draft.loaded):
        problems.note("Node manifests are ignored: nodes come from spec.nodes of the Cluster")
    summary = inert_summary(draft.loaded, draft.documents)
    if summary:
        problems.note(summary)
    objects = (entry.object for entry in draft.loaded if not isinstance(entry.object, Node))
    return Topology(
        file.path,
        draft.name,
        draft.spec,
        (*namespaces, *sources, *draft.addons, *objects),
        tuple(problems.notes),
        tuple(draft.files),
    )


# ---------------------------------------------------------------- experiment


def _experiment(file: File, problems: Problems) -> ExperimentBundle:
    experiment = experiment_of(file, problems)
    if experiment is None:
        problems.raise_if_any()
        raise AssertionError("an experiment file without errors has an Experiment document")
    bundle = _bundle(file, experiment, {}, problems)
    place = experiment.place
    made = [_variant(file, one, index, place) for index, one in sound_variants(bundle.spec.variants, place)]
    problems.raise_if_any()
    return replace(bundle, variants=tuple(one for one in made if one is not None))


def _bundle(
    file: File, experiment: Experiment, cluster: Mapping[str, Any], problems: Problems
) -> ExperimentBundle:
    """The experiment with its topology, in which fields of the Cluster are set. Raises SpecErrors."""
    topology_file, draft = None, None
    place = experiment.topology_file(problems)
    if place is not None:
        topology_file = changed(
            read_file(*place, problems),
            cluster,
            lambda path, why: problems.add(file.name, (1, 1), f"{CLUSTER}{path}", why),
        )
        draft = _draft(topology_file, problems)
    check_experiment(experiment.parts, draft.directory if draft else None, experiment.place)
    problems.raise_if_any()
    if topology_file is None or draft is None or experiment.spec is None:
        raise AssertionError("an experiment without errors has a topology")
    notes = Problems(notes=problems.notes)
    topology = _finish(topology_file, draft, notes)
    return ExperimentBundle(file.path, experiment.name, experiment.spec, topology, tuple(notes.notes))


def _variant(file: File, variant: Variant, index: int, place: Place) -> ExperimentBundle | None:
    """One variant by itself; None after recording what is wrong with it."""
    problems, settings = Problems(), Changes.of(variant.set)
    own = changed(
        without_variants(file),
        settings.experiment,
        lambda path, why: problems.add(file.name, (1, 1), path, why),
    )
    try:
        experiment = experiment_of(own, problems)
        problems.raise_if_any()
        if experiment is None:
            raise AssertionError("a variant without errors has an Experiment document")
        return replace(
            _bundle(own, experiment, settings.cluster, problems), name=variant.name, is_variant=True
        )
    except SpecErrors as errors:
        relocate(list(errors.errors), variant, index, place)
        return None
