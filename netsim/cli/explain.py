"""`netsim explain TOPOLOGY --from pod/NAME --to URL`: follow one request through every hook, rule, rewrite and link.

Called by: `main`. The journey goes to stdout: the DNS query and its answer, the connection, the request, the
response, the close, packet by packet, with times counted from the start of the request.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from netsim.cli.capturing import FILE, Patterns, Written, capturing

if TYPE_CHECKING:
    from netsim.experiment.explain import Explained

_PAGE: Final = "explain.html"


class HtmlMayLackFile(TyperCommand):
    """`--html` without a file writes explain.html."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give the option the value that it lacks."""
        for at, argument in enumerate(args):
            following = args[at + 1] if at + 1 < len(args) else "--"
            if argument == "--html" and following.startswith("-") and following != "-":
                args = [*args[:at], f"--html={_PAGE}", *args[at + 1 :]]
        return super().parse_args(ctx, args)


class Form(StrEnum):
    """How to print."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"


def explain(  # noqa: PLR0913, PLR0917 - one parameter per option
    file: Annotated[Path, typer.Argument(help="Topology (or experiment) file.", show_default=False)],
    source: Annotated[str, typer.Option("--from", help="Who asks: pod/NAME, node/NAME or external/NAME.")],
    target: Annotated[
        str,
        typer.Option(
            "--to", help="What is asked for: http://my-nginx/, ping://NAME, dns://NAME or sctp://NAME:PORT."
        ),
    ],
    seed: Annotated[int, typer.Option(help="Which of the possible runs.", min=0)] = 1,
    timeout: Annotated[str, typer.Option(help="How long the client waits.")] = "5s",
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help='A header of the request, such as "Host: shop.example.com".'),
    ] = None,
    arp: Annotated[bool, typer.Option(help="Show ARP frames too.")] = False,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="[FILE]",
            help="Write the packet stepper, one self-contained page, instead of printing.",
            show_default=False,
        ),
    ] = None,
    capture: Patterns = None,
    write: Written = FILE,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print the journey.")] = Form.TEXT,
) -> int:
    """Follow one request, packet by packet, there and back."""
    from netsim.engine import parse_duration
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.errors import SpecErrors  # noqa: F401 - raised by load, handled in main
    from netsim.experiment.loader import ExperimentBundle, load

    loaded = load(file)
    topology = loaded.topology if isinstance(loaded, ExperimentBundle) else loaded
    try:
        cluster = Cluster(topology, seed)
        headers = dict(_header(text) for text in header or ())
        timeout_ns = parse_duration(timeout)
        cluster.settle()
        with capturing(cluster, capture, write):
            explained = cluster.explain(source, target, timeout_ns, arp, headers)
    except (LookupError, ValueError) as error:
        print(f"netsim explain: {error.args[0]}", file=sys.stderr)
        return 2
    if output is Form.SVG:
        print(explained.journey.plot(explained.question).svg().decode(), end="")
        return 0
    if html is not None:
        return _write(explained, html)
    print(explained.journey.mermaid() if output is Form.MERMAID else explained.text(), end="")
    return 0


def _write(explained: "Explained", path: str) -> int:
    """The page into a file, or to stdout (`-`)."""
    if path == "-":
        print(explained.html())
        return 0
    try:
        explained.write_html(path)
    except OSError as error:
        print(f"netsim explain: cannot write {path}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{explained.question}\n{explained.outcome}")
    print(f"the packet stepper is in {path}: open it in a browser", file=sys.stderr)
    return 0


def _header(text: str) -> tuple[str, str]:
    """`Name: value`. Raises ValueError with what to write instead."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f'"{text}" is no header: write "Name: value"')
    return name.strip(), value.strip()
