"""The `netsim` command as a process: `python -m netsim` and the console script.

Ctrl-C ends it at any time with one line and exit code 130: also while the imports run, and without tearing down
libraries whose threads are at work (pyarrow aborts the process when that happens).
"""

import os
import sys
from typing import Final

_INTERRUPTED: Final = 130  # 128 + SIGINT


def entry() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from netsim.cli.main import main

        code = main()
    except KeyboardInterrupt:
        print("netsim: interrupted", file=sys.stderr)
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    entry()
