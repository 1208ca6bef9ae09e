"""`netsim examples`: the experiments that come with netsim, each with the first sentence of its file.

Called by: `main`. `netsim run --example NAME` runs one.
"""

import re
from itertools import takewhile


def examples() -> None:
    """List the experiments that come with netsim."""
    from netsim.experiment.data import examples as there

    found = there()
    width = max(len(name) for name in found)
    for name, path in found.items():
        print(f"{name:<{width}}  {_first_sentence(path.read_text('utf-8'))}")


def _first_sentence(text: str) -> str:
    """What the comment at the head of a file says first."""
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    comment = " ".join(line.removeprefix("#").strip() for line in lines)
    return re.split(r"(?<=[.?!]) ", comment, maxsplit=1)[0]
