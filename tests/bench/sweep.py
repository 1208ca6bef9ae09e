"""How well a sweep uses two cores: wall time with one process over twice that with two. Called by bench.py.

The sweep has 96 cells of about 0.2 s each. Both runs load the file, boot every cluster, and write every cell and the
table; the import of Python's modules and drawing are not in the figure. The runs take turns, so that a busy machine
slows both, and the median counts.
"""

import gc
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from netsim.experiment.loader_sweep import load_sweep
from netsim.experiment.sweep import Sweep

HERE = Path(__file__).parent


def seconds(jobs: int) -> float:
    """Wall time of the whole sweep, into an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        gc.collect()  # what a run in this process has left behind is not the next one's work
        start = time.perf_counter()
        Sweep(load_sweep(HERE / "sweep.yaml")).run(
            folder, jobs, figures=False, progress=lambda _done, _total, _share: None
        )
        return time.perf_counter() - start


def main() -> int:
    """Print {"sweep_efficiency_2_cores": ...}, empty on a machine with one processor."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    figures: dict[str, float] = {}
    if (os.cpu_count() or 1) >= 2:
        seconds(2)  # modules, bytecode, file cache
        ratios = [seconds(1) / (2 * seconds(2)) for _ in range(rounds)]
        figures["sweep_efficiency_2_cores"] = round(statistics.median(ratios), 3)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
