"""Where the topologies, experiments, notebooks and labs are: in the wheel, or in the clone that netsim runs from.

Called by whatever names an example or a lab. The wheel holds them below `netsim/data` (pyproject.toml, force-include);
in a clone they are the folders beside `netsim/`.
"""

from pathlib import Path
from typing import Final

FOLDERS: Final = ("topologies", "experiments", "notebooks")


def data_root() -> Path:
    """The folder in which `topologies/`, `experiments/` and `notebooks/` are. Raises FileNotFoundError."""
    package = Path(__file__).resolve().parents[1]
    for root in (package / "data", package.parent):
        if all((root / name).is_dir() for name in FOLDERS):
            return root
    raise FileNotFoundError(f"netsim's examples are missing: no {', '.join(FOLDERS)} beside {package}")


def examples() -> dict[str, Path]:
    """The experiments that come with netsim, by name."""
    return {path.stem: path for path in sorted((data_root() / "experiments").glob("*.yaml"))}


def example(name: str) -> Path:
    """The file of an experiment. Raises LookupError with the nearest name there is."""
    from netsim.experiment.spec_names import did_you_mean

    found = examples()
    if name not in found:
        nearest = did_you_mean(name, tuple(found)) or f" (there: {', '.join(found)})"
        raise LookupError(f'no example is called "{name}"{nearest}')
    return found[name]
