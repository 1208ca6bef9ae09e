"""The `netsim` command as a process: `python -m netsim` and the console script.

Called by nobody inside netsim. Ctrl-C ends it at any time with one line and exit code 130: also while the imports run, and
without tearing down libraries whose threads are at work (pyarrow aborts the process when that happens).
"""

import os
import sys


def entry() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from netsim.cli.main import INTERRUPTED, main

        code = main()
    except KeyboardInterrupt:
        print("netsim: interrupted", file=sys.stderr)
        code = INTERRUPTED = 130
    if code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    entry()
