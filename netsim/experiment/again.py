"""What to type to run an experiment again, from the folder that it was run from.

Called by `api` (a comparison of variants) and `stopping` (each result).
"""

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netsim.experiment.loader import ExperimentBundle


def command_line(bundle: "ExperimentBundle", seed: int, replications: int | None) -> str:
    """`netsim run ...`; without a number of replications where a stop rule decides on it."""
    words = ["netsim", "run", bundle.path.as_posix(), "--seed", str(seed)]
    words += [] if replications is None else ["--replications", str(replications)]
    return shlex.join([*words, *(["--variant", bundle.name] if bundle.is_variant else [])])
