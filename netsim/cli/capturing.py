"""`--capture PATTERN -w FILE`: what commands that run something in a cluster have in common with tcpdump.

Called by: `exec`, `explain`. The file appears when the command is over; a remark about it goes to stderr.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster

Patterns = Annotated[
    list[str] | None,
    typer.Option(
        "--capture",
        metavar="INTERFACES",
        help='Record packets: pod/NAME, node/NAME:DEVICE, router, "*"... May be given several times.',
        show_default=False,
    ),
]
Written = Annotated[Path, typer.Option("--write", "-w", help="Where the capture goes (pcapng).")]
FILE = Path("netsim.pcapng")


@contextmanager
def capturing(cluster: "Cluster", patterns: list[str] | None, path: Path) -> Iterator[None]:
    """Record while the block runs, and write what was recorded. Raises LookupError for a pattern that means nothing,
    ValueError for a file that cannot be written."""
    if not patterns:
        yield
        return
    dump = cluster.tcpdump(*patterns)
    try:
        yield
    finally:
        dump.stop()
    try:
        number = cluster.write_pcapng(dump, path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from None
    print(f"{number} packets on {len(dump.interfaces)} interfaces in {path}", file=sys.stderr)
