"""What the simulation assumes, what of the user's files had no effect, and how to run it again.

Called by `run_sections`.
"""

import json
from itertools import groupby

from netsim.measure.page.document import Section
from netsim.measure.page.markup import Html, details, el, join, table
from netsim.measure.page.model import Assumption, Run

INERT = "accepted"
_HEAD = ("setting", "value", "from", "what it does")


def model_section(run: Run, prefix: str) -> Section:
    """Assumptions by topic, notes, versions, the spec."""
    topics = [(topic, list(found)) for topic, found in groupby(run.assumptions, key=lambda a: a.topic)]
    given = sum(a.given for a in run.assumptions)
    parts: list[Html] = []
    if topics:
        said = f"{len(run.assumptions)} settings, {given} of them from the files of this experiment"
        parts.append(el("p", f"{said}, the others defaults with the source of each.", class_="quiet"))
    parts += [
        details(f"{topic} ({len(found)})", _topic(topic, found), open_=i == 0)
        for i, (topic, found) in enumerate(topics)
    ]
    below = tuple(s for s in (_inert(run, prefix), _notes(run, prefix), _again(run, prefix)) if s is not None)
    return Section(f"{prefix}model", "What the model assumes", join(parts), below)


def _topic(topic: str, found: list[Assumption]) -> Html:
    rows = [
        (el("code", a.name), a.value, "this experiment" if a.given else a.source, a.meaning) for a in found
    ]
    return table(_HEAD, rows, "llww", topic)


def _inert(run: Run, prefix: str) -> Section | None:
    """Fields that are accepted and do nothing, each kind on a line."""
    found = [note for note in run.notes if note.startswith(INERT)]
    if not found:
        return None
    lines = [part for note in found for part in note.partition(": ")[2].split("; ") if part]
    intro = "These kinds and fields were read and kept. Nothing that is simulated depends on them."
    content = join(
        [
            el("p", intro, class_="quiet"),
            el("ul", *(el("li", el("code", line)) for line in lines), class_="notes"),
        ]
    )
    return Section(f"{prefix}inert", "Accepted, no effect on packets", content)


def _notes(run: Run, prefix: str) -> Section | None:
    others = [note for note in run.notes if not note.startswith(INERT)]
    if not others:
        return None
    return Section(f"{prefix}notes", "Notes", el("ul", *(el("li", note) for note in others), class_="notes"))


def _again(run: Run, prefix: str) -> Section:
    parts: list[Html] = []
    if run.command:
        parts += [
            el("pre", run.command),
            el("p", "Same files, same seed, same fingerprint, on any machine.", class_="quiet"),
        ]
    parts.append(el("p", "Fingerprint ", el("code", run.header.fingerprint)))
    if run.versions:
        rows = [(name, version) for name, version in run.versions.items()]
        parts.append(details("Versions", table(("package", "version"), rows, "ll", "What it was run with")))
    if run.spec:
        parts.append(
            details(
                "The experiment as it was understood",
                el("pre", json.dumps(run.spec, indent=2, ensure_ascii=False)),
            )
        )
    return Section(f"{prefix}again", "Run it again", join(parts))
