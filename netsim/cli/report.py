"""`netsim report DIR`: make the page of a result folder again, and open it if wanted.

Called by: `main`. The page's place goes to stdout.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[Path, typer.Argument(help="Result folder of netsim run.", show_default=False)],
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> int:
    """Write report.html of a result folder again: one page to look at, print or send, without network."""
    from netsim.experiment.report import read_results, write_report

    try:
        page = write_report(folder, read_results(folder))
    except (OSError, ValueError) as error:
        print(f"netsim report: {error}", file=sys.stderr)
        return 2
    print(page)
    if open_:
        import webbrowser

        if not webbrowser.open(page.absolute().as_uri()):
            print("netsim report: no browser was found: open the page yourself", file=sys.stderr)
    return 0
