"""A Sweep file -> its cells, each a whole experiment, or everything that is wrong with it before anything runs.

Called by: the command line, `netsim.sweep`. Every cell is read and checked as if it had been written
out; topologies that are the same are read once. A cell's key is a hash of all that its results depend on: the spec of
the experiment and of the cluster, the objects, the seed, the versions of netsim and of this format.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from netsim.experiment import loader
from netsim.experiment.errors import Problems, SpecErrors, shown
from netsim.experiment.loader import ExperimentBundle, Memo, Topology, experiment_bundle, with_settings
from netsim.experiment.loader_files import (
    File,
    add_flaws,
    beside,
    check_head,
    not_a_mapping,
    part,
    read_file,
    validate,
    without_extensions,
)
from netsim.experiment.loader_variants import anonymous, plain_path, related
from netsim.experiment.rules_place import Path as SpecPath
from netsim.experiment.rules_place import Place
from netsim.experiment.rules_sweep import check_sweep
from netsim.experiment.spec_messages import Source
from netsim.experiment.spec_sweep import SweepDocument, SweepSpec
from netsim.experiment.sweep_plan import Point, parameters, points

FORMAT: Final = 1
_SWEEP: Final = re.compile(rb"kind[\"']?:\s*[\"']?Sweep\b")
_MOST_PROBLEMS: Final = 20
# What the results of a cell do not depend on.
_HARMLESS: Final = ("topology", "seed", "replications", "until", "capture", "checks", "variants")


@dataclass(frozen=True, slots=True)
class Cell:
    """One experiment of a sweep. `values` are those of the parameters, as the file has them."""

    number: int
    values: Mapping[str, Any]
    bundle: ExperimentBundle
    key: str


@dataclass(frozen=True, slots=True)
class SweepBundle:
    """A sweep, checked. `fields` are the paths that each parameter stands for."""

    path: Path
    name: str
    spec: SweepSpec
    seed: int
    cells: tuple[Cell, ...]
    fields: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()


def load_any(path: str | Path) -> "Topology | ExperimentBundle | SweepBundle":
    """A sweep, an experiment or a topology, whichever the file is. Raises SpecErrors."""
    try:
        likely = _SWEEP.search(Path(path).read_bytes()) is not None
    except OSError:
        likely = False
    if likely:
        problems = Problems()
        file = read_file(Path(path), shown(path), problems)
        if file.is_a("Sweep"):
            return sweep_bundle(file, problems)
    return loader.load(path)


def load_sweep(path: str | Path) -> SweepBundle:
    """A sweep file with its experiment and topology. Raises SpecErrors."""
    problems = Problems()
    return sweep_bundle(read_file(Path(path), shown(path), problems), problems)


def sweep_bundle(file: File, problems: Problems) -> SweepBundle:
    """The sweep of a file that was read. Raises SpecErrors."""
    document, place = _document(file, problems)
    if document is None or place is None:
        problems.raise_if_any()
        raise AssertionError("a sweep file without errors has a Sweep document")
    check_sweep(document.spec, place)
    base = _base(document.spec, place, problems)
    problems.raise_if_any()
    assert base is not None
    experiment = experiment_bundle(base, problems)
    if experiment.variants:
        problems.note("the experiment's variants are left out: the sweep says what varies")
    if experiment.spec.checks:
        problems.note("the experiment's checks are not evaluated in a sweep")
    seed = experiment.spec.seed if document.spec.seed is None else document.spec.seed
    cells = tuple(_cells(document.spec, seed, base, place))
    problems.raise_if_any()
    fields = {parameter.name: parameter.paths for parameter in parameters(document.spec)}
    notes = tuple(dict.fromkeys((*problems.notes, *(note for cell in cells for note in cell.bundle.notes))))
    return SweepBundle(file.path, document.metadata.name, document.spec, seed, cells, fields, notes)


def _document(file: File, problems: Problems) -> tuple[SweepDocument | None, Place | None]:
    for document in file.documents:
        add_flaws(document, file, problems)
        if not isinstance(document.data, dict):
            not_a_mapping(document, file, problems)
    documents = [document for document in file.documents if isinstance(document.data, dict)]
    if not documents:
        return None, None
    for extra in documents[1:]:
        Place(Source(file.name, extra.node), problems).error((), "a sweep file has one document")
    place = Place(Source(file.name, documents[0].node), problems)
    if not check_head(documents[0].data, "Sweep", place):
        return None, None
    whole = validate(without_extensions(documents[0].data), SweepDocument, place.source, problems)
    return whole, Place(part(place.source, "spec"), problems)


def _base(spec: SweepSpec, place: Place, problems: Problems) -> File | None:
    """The file of the experiment; None (recorded) if there is none."""
    found = beside(spec.experiment, place, ("experiment",))
    if found is None:
        return None
    file = read_file(*found, problems)
    if file.documents and not file.is_experiment():
        place.error(("experiment",), f"{found[1]} is no experiment: a sweep varies one")
        return None
    return file


def _cells(spec: SweepSpec, seed: int, base: File, place: Place) -> Iterator[Cell]:
    """Every cell that loads; what keeps one from loading is recorded where the sweep sets it."""
    memo, keys, problems = Memo(), _Keys(seed), place.problems
    for number, point in enumerate(points(spec, seed)):
        settings = dict(spec.set)
        for name, value in point.values.items():
            settings |= dict.fromkeys(spec.parameters.get(name, (name,)), value)
        try:
            bundle = _unlike(with_settings(base, settings, memo), spec, seed)
        except SpecErrors as errors:
            _relocate(errors, spec, point, place)
            if len(problems.errors) >= _MOST_PROBLEMS:
                return
            continue
        yield Cell(number, point.values, bundle, keys.key(bundle))


def _unlike(bundle: ExperimentBundle, spec: SweepSpec, seed: int) -> ExperimentBundle:
    """What a cell runs: the sweep's own number of replications, no packets kept."""
    changes: dict[str, Any] = {"seed": seed, "capture": (), "checks": ()}
    if spec.replications is not None:
        changes |= {"replications": spec.replications, "until": None}
    return replace(bundle, spec=bundle.spec.model_copy(update=changes))


class _Keys:
    """Makes keys; topologies that cells share are written out once."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._topologies: dict[int, tuple[Topology, str]] = {}

    def key(self, bundle: ExperimentBundle) -> str:
        from netsim import __version__

        spec = bundle.spec.model_dump(mode="json", by_alias=True, exclude=set(_HARMLESS))
        whole = [FORMAT, __version__, self._seed, spec, self._topology(bundle.topology)]
        return _digest(whole)[:32]

    def _topology(self, topology: Topology) -> str:
        if id(topology) not in self._topologies:
            objects = [thing.model_dump(mode="json", by_alias=True) for thing in topology.objects]
            spec = topology.spec.model_dump(mode="json", by_alias=True)
            self._topologies[id(topology)] = topology, _digest([spec, objects])
        return self._topologies[id(topology)][1]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _relocate(errors: SpecErrors, spec: SweepSpec, point: Point, place: Place) -> None:
    """Report a cell's problems where the sweep gives the value, each once however many cells have it."""
    known = {(error.line, error.column, error.message) for error in place.problems.errors}
    for error in errors.errors:
        where, path = _setting(error.path, spec, point)
        same = path and anonymous(plain_path(path)) == anonymous(plain_path(error.path))
        about = "" if same else f"{error.path}: "
        # A clash of several values: say which.
        cell = ", ".join(f"{name} {value}" for name, value in point.values.items()) if about else ""
        message = f"{about}{error.message}" + (f" (with {cell})" if cell else "")
        at = place.source.node.find(where)
        if not any(
            (line, column) == at and text.startswith(f"{about}{error.message}")
            for line, column, text in known
        ):
            place.error(where, message)
            known.add((*at, message))


def _setting(about: str, spec: SweepSpec, point: Point) -> tuple[SpecPath, str]:
    """The place in the sweep and the field path that a complaint is about: the longest path that begins the
    complaint's, or is begun by it; failing that, the nearest around it; or all of the spec."""
    places: dict[str, SpecPath] = {path: ("set", path) for path in spec.set}
    for name, place in point.places.items():
        places |= dict.fromkeys(spec.parameters.get(name, (name,)), place)
    subject = plain_path(about)
    plain = {path: plain_path(path) for path in places}
    found = (
        [path for path in places if related(plain[path], subject)]
        or [path for path in places if related(anonymous(plain[path]), anonymous(subject))]
        or [path for path in places if _common(plain[path], subject)]
    )
    best = max(found, key=lambda path: (_common(plain[path], subject), len(path)), default="")
    return places.get(best, ()), best


def _common(one: str, other: str) -> int:
    """How many characters two paths have in common at their beginning, whole names only; 0 for hardly any."""
    same = 0
    for end in (at for at, letter in enumerate(f"{one}.") if letter in ".[:"):
        if not f"{other}.".startswith(one[:end]):
            break
        same = end
    return same
