"""The page around the sections: head, styles, script, navigation, header. Called by `run_page` and `compare_page`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from netsim.measure.page.markup import Html, el, join
from netsim.measure.page.svg import patterns

_MOST_ENTRIES = 32
# Nothing may be fetched, and only what is in the page may run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading; `anchor` is its id. `below` are sections within it."""

    anchor: str
    title: str
    content: Html
    below: "tuple[Section, ...]" = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the head of the page: what, how much, and a line below. `mood` is good, bad or ""."""

    label: str
    value: str
    note: str = ""
    mood: str = ""


def document(title: str, lead: str, facts: Html, tiles: Sequence[Tile], sections: Sequence[Section]) -> str:
    """The whole page as text."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{title}: netsim report"),
        el("style", Html(_resource("page.css"))),
    )
    body = el(
        "body",
        el("a", "Skip to the results", href="#main", class_="skip"),
        patterns(),
        _banner(title, lead, facts, tiles),
        el("div", _navigation(sections), el("main", *map(_section, sections), id="main"), class_="columns"),
        el("div", id="tip", role="status", hidden=True),
        el("script", Html(_resource("page.js"))),
    )
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


@cache
def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _banner(title: str, lead: str, facts: Html, tiles: Sequence[Tile]) -> Html:
    return el(
        "header",
        el("p", "netsim report", class_="eyebrow"),
        el("h1", title),
        el("p", lead, class_="lead"),
        facts,
        el("ul", *map(_tile, tiles), class_="tiles") if tiles else "",
    )


def _tile(tile: Tile) -> Html:
    note = el("span", tile.note, class_="tile-note") if tile.note else ""
    value = el("span", tile.value, class_=f"tile-value {tile.mood}".strip())
    return el("li", el("span", tile.label, class_="tile-label"), value, note)


def _navigation(sections: Sequence[Section]) -> Html:
    """Two levels of headings, or one where that is enough for a long page."""
    depth = 2 if sum(1 + len(s.below) for s in sections) <= _MOST_ENTRIES else 1
    return el("nav", el("p", "On this page"), _entries(sections, depth), aria_label="On this page")


def _entries(sections: Sequence[Section], depth: int) -> Html:
    items = [
        el(
            "li",
            el("a", s.title, href=f"#{s.anchor}"),
            _entries(s.below, depth - 1) if s.below and depth > 1 else "",
        )
        for s in sections
    ]
    return el("ol", *items)


def _section(section: Section, level: int = 2) -> Html:
    inner = join(_section(below, level + 1) for below in section.below)
    heading = el(f"h{min(level, 6)}", section.title, id=f"{section.anchor}-title")
    labelled = f"{section.anchor}-title"
    return el("section", heading, section.content, inner, id=section.anchor, aria_labelledby=labelled)
