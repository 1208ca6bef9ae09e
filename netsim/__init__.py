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
    from netsim.experiment.data import data_root as data_root
    from netsim.experiment.lab.api import Lab as Lab
    from netsim.experiment.results import Results as Results

__all__ = ["Cluster", "Lab", "Results", "__version__", "data_root", "load"]

_HOMES = {
    "Cluster": "netsim.experiment.cluster",
    "Lab": "netsim.experiment.lab.api",
    "Results": "netsim.experiment.results",
    "data_root": "netsim.experiment.data",
    "load": "netsim.experiment.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netsim' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
