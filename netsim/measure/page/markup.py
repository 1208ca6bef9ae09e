"""Building HTML and SVG: every text is escaped unless it is markup already, so that no name in a YAML file can become
an element. Called by everything in this package.

    el("p", "Service ", el("code", name), class_="note")
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_VOID: Final = frozenset({"br", "hr", "link", "meta"})
# SVG's empty elements; in HTML they may end themselves within <svg>.
_DRAWN: Final = frozenset({"circle", "line", "path", "rect", "use"})

Attribute = str | float | bool | None


class Html(str):
    """Markup: safe to put into a page as it is."""

    __slots__ = ()


def text(content: str) -> Html:
    """Escaped text."""
    return Html(escape(content))


def join(parts: Iterable[str], between: str = "") -> Html:
    """Fragments one after the other, escaping those that are plain text."""
    return Html(escape(between).join(part if isinstance(part, Html) else escape(part) for part in parts))


def el(tag: str, *children: str, **attributes: Attribute) -> Html:
    """An element. `class_` is `class`, other underscores are hyphens; None and False leave an attribute out."""
    head = "".join([tag, *(_attribute(name, value) for name, value in attributes.items())])
    if tag in _VOID:
        return Html(f"<{head}>")
    if tag in _DRAWN and not children:
        return Html(f"<{head}/>")
    return Html(f"<{head}>{join(children)}</{tag}>")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    shown = "" if value is True else number(value) if isinstance(value, float) else str(value)
    return f' {name.rstrip("_").replace("_", "-")}="{escape(shown)}"'


def number(value: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")


def identifier(*parts: str) -> str:
    """A valid id attribute from names: letters, digits, hyphens; other characters by their code, so that different
    names stay different."""
    return "-".join("".join(c if c.isascii() and c.isalnum() else _code(c) for c in part) for part in parts)


def _code(character: str) -> str:
    return "-" if character in "-/. " else f"_{ord(character):x}"


_COLUMNS: Final = {"r": "num", "w": "wide"}


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], align: str, caption: str = "", sortable: bool = True
) -> Html:
    """A table with columns aligned by letters: `l` text, `w` long text, `r` numbers. The first cell of a row is its
    heading. A sortable one has buttons in its head, which page.js brings to life."""
    kinds = [_COLUMNS.get(letter) for letter in align]
    cells = [
        el("th", el("button", name, type="button") if sortable and name else name, scope="col", class_=kind)
        for name, kind in zip(head, kinds, strict=True)
    ]
    body = [
        el("tr", *(el("th" if i == 0 else "td", cell, scope="row" if i == 0 else None, class_=kinds[i])
                   for i, cell in enumerate(row)))
        for row in rows
    ]  # fmt: skip
    titled = [el("caption", caption)] if caption else []
    whole = el(
        "table",
        *titled,
        el("thead", el("tr", *cells)),
        el("tbody", *body),
        class_="sortable" if sortable else None,
    )
    return el("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption or "table")


def details(summary: str, *children: str, open_: bool = False) -> Html:
    """What can be folded away."""
    return el("details", el("summary", summary), *children, open_=open_)
