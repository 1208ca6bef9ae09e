"""`netsim validate FILE...`: read topologies, experiments and sweeps, say what is in them or everything that is wrong.

Called by: `main`. Exit code 0, or 2 when any file has an error. What was read goes to stdout, errors to stderr;
with `-o json` one object goes to stdout.
"""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from netsim.experiment.loader import ExperimentBundle, Topology
    from netsim.experiment.loader_sweep import SweepBundle


class Output(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


def validate(
    files: Annotated[
        list[Path], typer.Argument(help="Topology, experiment or sweep files.", show_default=False)
    ],
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")] = Output.TEXT,
) -> int:
    """Check topology, experiment and sweep files without running anything."""
    from netsim.experiment.errors import SpecErrors
    from netsim.experiment.loader_sweep import load_any

    results: list[dict[str, Any]] = []
    for file in files:
        try:
            loaded = load_any(file)
        except SpecErrors as errors:
            results.append(
                {"file": str(file), "valid": False, "errors": [e.as_dict() for e in errors.errors]}
            )
            if output is Output.TEXT:
                print(errors, file=sys.stderr)
        else:
            results.append({"file": str(file), "valid": True, "errors": [], **_describe(loaded)})
            if output is Output.TEXT:
                _print(results[-1])
    valid = all(result["valid"] for result in results)
    if output is Output.JSON:
        print(json.dumps({"schemaVersion": 1, "valid": valid, "files": results}, indent=2))
    return 0 if valid else 2


def _describe(loaded: "Topology | ExperimentBundle | SweepBundle") -> dict[str, Any]:
    """What the file holds."""
    from netsim.experiment.loader import ExperimentBundle
    from netsim.experiment.loader_sweep import SweepBundle

    if isinstance(loaded, SweepBundle):
        first = _describe(loaded.cells[0].bundle)
        sweep = {
            "cells": len(loaded.cells),
            "parameters": {name: list(at) for name, at in loaded.fields.items()},
        }
        return {**first, "kind": "Sweep", "name": loaded.name, "notes": list(loaded.notes), "sweep": sweep}
    topology = loaded.topology if isinstance(loaded, ExperimentBundle) else loaded
    found: dict[str, Any] = {
        "kind": "Experiment" if isinstance(loaded, ExperimentBundle) else "Cluster",
        "name": loaded.name,
        "cluster": topology.name,
        "nodes": len(topology.spec.node_entries()),
        "objects": topology.kinds(),
        "notes": list(loaded.notes),
    }
    if isinstance(loaded, ExperimentBundle):
        lists = {name: len(getattr(loaded.spec, name)) for name in ("load", "servers", "faults", "checks")}
        found["experiment"] = {"replications": loaded.spec.replications, **lists}
    return found


def _print(found: dict[str, Any]) -> None:
    counts = [f"{found['nodes']} Node", *(f"{number} {kind}" for kind, number in found["objects"].items())]
    text = f"cluster {found['cluster']}: {', '.join(counts)}"
    if "sweep" in found:
        sweep = found["sweep"]
        text = f"sweep {found['name']}: {sweep['cells']} cells over {', '.join(sweep['parameters'])}; {text}"
    elif "experiment" in found:
        parts = ", ".join(f"{number} {name}" for name, number in found["experiment"].items() if number)
        text = f"experiment {found['name']}: {parts}; {text}"
    print(f"{found['file']}: ok: {text}")
    for note in found["notes"]:
        print(f"{found['file']}: note: {note}")
