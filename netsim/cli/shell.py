"""`netsim shell TOPOLOGY`: a terminal at a simulated cluster.

Called by: `main`. At a real terminal prompt_toolkit gives completion and history. With `-c`, or when stdin is no
terminal, the commands are read one after the other; those from stdin are shown behind their prompt, so that the
transcript reads well. The exit code is the last command's.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from netsim.experiment.terminal.session import Session

_CONTINUED = "> "
INTERRUPTED = 130


def shell(
    file: Annotated[
        Path, typer.Argument(metavar="TOPOLOGY", help="Topology or experiment file.", show_default=False)
    ],
    command: Annotated[
        list[str] | None,
        typer.Option(
            "--command", "-c", help="Run these commands, divided by ;, and leave.", show_default=False
        ),
    ] = None,
    at: Annotated[str, typer.Option(help="Begin at this moment of an experiment.")] = "0s",
    variant: Annotated[str, typer.Option(help="Which of the experiment's variants.")] = "",
    seed: Annotated[int | None, typer.Option(help="Which of the possible runs.", min=0)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no greeting.")] = False,
) -> int:
    """Type kubectl, iptables-save, tcpdump, run 10s... at a simulated cluster."""
    from netsim.experiment.terminal.session import Leave

    interrupts = Interrupts()
    try:
        session = _session(file, variant, seed, at, quiet, interrupts)
    except (LookupError, ValueError) as error:
        print(f"netsim shell: {error.args[0]}", file=sys.stderr)
        return 2
    try:
        with interrupts.heard():
            if command:
                for text in command:
                    if session.run(text) == INTERRUPTED:
                        break
            elif sys.stdin.isatty():
                _talk(session, quiet)
            else:
                _read(session)
    except Leave as leave:
        return leave.code
    return session.code


class Interrupts:
    """Ctrl-C while a command runs: remembered, and heard between two steps of time."""

    def __init__(self) -> None:
        self._pending = False

    def __call__(self) -> bool:
        """Whether there was one since the last time that this was asked."""
        pending, self._pending = self._pending, False
        return pending

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Instead of KeyboardInterrupt in the middle of an event."""

        def remember(_number: int, _frame: object) -> None:
            self._pending = True

        before = signal.signal(signal.SIGINT, remember)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _session(
    file: Path, variant: str, seed: int | None, at: str, quiet: bool, interrupted: Callable[[], bool]
) -> "Session":
    """A session at the given moment; Events are heard from the cluster's first one. Raises SpecErrors, LookupError,
    ValueError."""
    from netsim.cli.begun import begun
    from netsim.experiment.progress import progress_bar
    from netsim.experiment.terminal.session import Session

    made: list[Session] = []

    def watch(cluster: Any) -> None:
        made.append(Session(cluster, _out, _err, interrupted))

    with progress_bar("starting the cluster", quiet) as progress:
        cluster = begun(file, variant, seed, at, progress, watch)
    if not quiet:
        for note in cluster.topology.notes:
            print(f"Note: {note}", file=sys.stderr)
    return made[0]


def _out(text: str) -> None:
    print(text, end="", flush=True)


def _err(text: str) -> None:
    sys.stdout.flush()
    print(text, end="", file=sys.stderr, flush=True)


# ---------------------------------------------------------------------- scripts
def _read(session: "Session") -> None:
    """Commands from a file or a pipe, each shown behind its prompt."""
    from netsim.experiment.terminal.line import here_document

    lines = iter(sys.stdin.read().splitlines())
    for first in lines:
        whole = first
        if not whole.strip() or whole.lstrip().startswith("#"):
            _out(f"{whole}\n")
            continue
        while whole.endswith("\\"):
            whole = whole[:-1] + next(lines, "")
        _out(f"{session.prompt}{whole}\n")
        command, end = here_document(whole)
        if session.run(command, _document(lines, end) if end else None) == INTERRUPTED:
            return


def _document(lines: Iterator[str], end: str) -> str:
    """What stands between `<<EOF` and `EOF`, shown as it is read."""
    found: list[str] = []
    for line in lines:
        _out(f"{_CONTINUED}{line}\n")
        if line.strip() == end:
            break
        found.append(line)
    return "".join(f"{line}\n" for line in found)


# ---------------------------------------------------------------------- a person
def _talk(session: "Session", quiet: bool) -> None:
    """At a terminal: until `exit` or Ctrl-D. Ctrl-C forgets the line."""
    from netsim.cli.prompt import reader

    if not quiet:
        nodes = len(session.cluster.fabric.nodes)
        name = session.cluster.topology.name
        _out(f"{name}: {nodes} nodes. `help` lists what there is, Tab completes, Ctrl-D leaves.\n")
    ask = reader(session)
    while True:
        try:
            line, document = ask()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        session.interrupted()  # a Ctrl-C from before does not count
        session.run(line, document)
