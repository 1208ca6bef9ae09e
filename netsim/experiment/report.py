"""`report.html`: a result folder's page, made from results in memory or read back.

Called by `Results.write`, `Comparison.write` and `netsim report`. Both ways give the same page.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netsim.experiment.comparison import Comparison
    from netsim.experiment.results import Results
    from netsim.measure.page.model import Run

REPORT: Final = "report.html"
_POINTS: Final = 8000  # marks of requests on a page, so that it stays small


def report_html(results: "Results | Comparison") -> str:
    """The page as text, which names nothing outside itself."""
    from netsim.experiment.results import Results
    from netsim.measure.page.model import Compared
    from netsim.measure.page.pages import compare_page, run_page

    if isinstance(results, Results):
        return run_page(_run(results))
    most = max(300, _POINTS // max(1, len(results.results)))
    runs = {name: _run(result, most) for name, result in results.results.items()}
    return compare_page(Compared(results.name, results.fingerprint, runs, results.table, results.command))


def write_report(folder: Path, results: "Results | Comparison") -> Path:
    """Write the page into a folder; its path."""
    path = folder / REPORT
    path.write_text(report_html(results), encoding="utf-8")
    return path


def read_results(folder: Path) -> "Results | Comparison":
    """Whatever a result folder holds. FileNotFoundError when it is none, ValueError when it is damaged or too new."""
    from netsim.experiment.comparison import Comparison
    from netsim.experiment.results import Results, read_manifest, what_it_holds

    kind = read_manifest(folder).get("kind")
    if kind == Comparison.KIND:
        return Comparison.read(folder)
    if kind != Results.KIND:
        raise ValueError(f"{folder} {what_it_holds(str(kind))}")
    return Results.read(folder)


def _run(results: "Results", most_points: int = 2500) -> "Run":
    from netsim.measure.page.model import Run

    info = results.info
    return Run(
        results.header(),
        results.analysis,
        results.packets,
        results.checks,
        info.warnings,
        info.assumptions,
        info.versions,
        info.spec,
        info.command,
        min(most_points, 2500),
        info.warmup_ns,
    )
