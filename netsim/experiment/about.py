"""What was run, in a line: for the section header of captures (shb_userappl and its comment).

Called by `play.py` and `Cluster.write_pcapng`. The digests are of what the files say, with defaults filled in, so that
two captures can be told to be of the same thing.
"""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netsim.experiment.cluster import Cluster
    from netsim.experiment.spec_experiment import ExperimentSpec


def _application() -> str:
    try:
        return f"netsim {version('k8s-netsim')}"
    except PackageNotFoundError:
        return "netsim"


APPLICATION: Final = _application()


def _digest(spec: "BaseModel") -> str:
    text = json.dumps(spec.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def about_cluster(cluster: "Cluster") -> str:
    """Topology, seed and what decides how packets go."""
    spec = cluster.spec
    network = spec.networking
    return (
        f"topology {cluster.topology.name}, seed {cluster.seed}, Kubernetes {spec.kubernetesVersion}, "
        f"kube-proxy {network.kubeProxyMode}, pod network {network.cni}, spec sha256 {_digest(spec)}"
    )


def about_experiment(spec: "ExperimentSpec") -> str:
    """The experiment's part."""
    return f"experiment on {spec.topology}, {spec.duration_ns / 1e9:g} s, spec sha256 {_digest(spec)}"
