"""The `netsim` command: registers the verbs and turns what happens into exit codes.

Called by: the console script and tests (`main(["validate", "file.yaml"])`). Verbs are functions with typer's
annotations, one file each; they import what they need when they run, so that `netsim --help` is quick.

Data go to stdout, everything else to stderr. Exit codes: 0 fine, 1 checks of an experiment failed, 2 wrong usage or
invalid input, 3 internal error, 130 interrupted.
"""

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from netsim.cli.compare import compare
from netsim.cli.describe import describe
from netsim.cli.examples import examples
from netsim.cli.exec import exec_
from netsim.cli.explain import HtmlMayLackFile, explain
from netsim.cli.get import get
from netsim.cli.lab import lab
from netsim.cli.report import report
from netsim.cli.run import run
from netsim.cli.schema import schema
from netsim.cli.shell import shell
from netsim.cli.sweep import sweep
from netsim.cli.validate import validate

OK, CHECKS_FAILED, INVALID, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="netsim",
    help="What Kubernetes does with a connection to a Service, packet by packet.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.command()(run)
app.command()(validate)
app.command()(compare)
app.command()(sweep)
app.command(cls=HtmlMayLackFile)(explain)
app.command()(get)
app.command("exec")(exec_)
app.command()(report)
app.command()(schema)
app.add_typer(describe, name="describe")
app.command()(shell)
app.command()(examples)
app.add_typer(lab, name="lab")


def _show_version(wanted: bool) -> None:
    if wanted:
        from netsim import __version__

        typer.echo(f"netsim {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; never lets a traceback out."""
    from netsim.experiment.errors import SpecErrors

    _never_fail_to_print()
    try:
        result = app(args=None if argv is None else list(argv), prog_name="netsim", standalone_mode=False)
        return _interrupted() if result == INTERRUPTED else int(result or OK)
    except SpecErrors as errors:
        print(errors, file=sys.stderr)
        return INVALID
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        # The reader of a pipe has gone (`netsim schema | head`): nothing more to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        return _usage_error(error) or _internal_error(error)


def _never_fail_to_print() -> None:
    """Characters that the terminal cannot show become escapes instead of errors."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _interrupted() -> int:
    print("netsim: interrupted", file=sys.stderr)
    return INTERRUPTED


def _usage_error(error: Exception) -> int:
    """Shows an error of the command line itself (unknown option, missing argument); 0 if it is something else."""
    show = getattr(error, "show", None)
    if show is None or getattr(error, "exit_code", None) is None:
        return 0
    show(file=sys.stderr)
    return INVALID


def _internal_error(error: Exception) -> int:
    """One line about a bug, with the file that holds the details."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="netsim-",
            suffix=".traceback",
            encoding="utf-8",
            errors="backslashreplace",
            delete=False,
        ) as file:
            file.write(text)
        where = f"details in {file.name}"
    except OSError:
        where = "the details could not be written"
    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    print(f"netsim: internal error: {summary} ({where})", file=sys.stderr)
    return INTERNAL


if __name__ == "__main__":
    sys.exit(main())
