"""Why requests failed, what clients were told, and how long each client was hurt. Called by `run_sections`."""

from netsim.measure.client_errors import HEAD, LATE_HEAD, failed_rows, late_rows
from netsim.measure.hurt import HEAD as HURT_HEAD
from netsim.measure.hurt import hurt_frame, hurt_rows
from netsim.measure.page.document import Section
from netsim.measure.page.markup import Html, join, table
from netsim.measure.page.model import Run

_CAUSE_HEAD = ("requests", "Service", "why", "replications")


def harm_section(run: Run, prefix: str) -> Section | None:
    """None when nothing went wrong."""
    parts = [part for part in (_causes(run), _told(run), _late(run), _by_client(run)) if part]
    return Section(f"{prefix}harm", "What went wrong", join(parts)) if parts else None


def _causes(run: Run) -> Html:
    causes = run.analysis.causes
    if causes.empty:
        return Html()
    rows = [
        (f"{row['requests']:,}", row["service"], row["words"], f"{row['replications']:,}")
        for _, row in causes.iterrows()
    ]
    return table(_CAUSE_HEAD, rows, "rlwr", "Why requests failed")


def _told(run: Run) -> Html:
    rows = failed_rows(run.analysis.requests)
    caption = "Failed requests, by what the client was told (curl: its exit code)"
    return table(HEAD, rows, "llllrrrr", caption) if rows else Html()


def _late(run: Run) -> Html:
    rows = late_rows(run.analysis.requests)
    return table(LATE_HEAD, rows, "llrrr", "Succeeded late") if rows else Html()


def _by_client(run: Run) -> Html:
    """How long each client was hurt, where there are several kinds of client."""
    frame = hurt_frame(run.analysis.requests, run.analysis.events)
    if frame["load"].nunique() < 2:
        return Html()
    return table(HURT_HEAD, hurt_rows(frame), "lrrrrrw", "What the faults did to each client")
