"""netsim: a packet simulator of Kubernetes Service networking.

    import netsim

    result = netsim.load("experiments/pod-kill.yaml").run(seed=7)
    cluster = netsim.Cluster("topologies/my-nginx.yaml")

The names are imported when first used, so that `import netsim` is quick.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from netsim.experiment.api import load as load
    from netsim.experiment.cluster import Cluster as Cluster
    from netsim.experiment.compare import compare as compare
    from netsim.experiment.data import data_root as data_root
    from netsim.experiment.lab.api import Lab as Lab
    from netsim.experiment.results import Results as Results
    from netsim.experiment.sweep import sweep as sweep
    from netsim.experiment.sweep_results import SweepResults as SweepResults

__all__ = [
    "Cluster",
    "Lab",
    "Results",
    "SweepResults",
    "__version__",
    "compare",
    "data_root",
    "load",
    "sweep",
]

_HOMES = {
    "Cluster": "netsim.experiment.cluster",
    "Lab": "netsim.experiment.lab.api",
    "Results": "netsim.experiment.results",
    "SweepResults": "netsim.experiment.sweep_results",
    "compare": "netsim.experiment.compare",
    "data_root": "netsim.experiment.data",
    "load": "netsim.experiment.api",
    "sweep": "netsim.experiment.sweep",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netsim' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
