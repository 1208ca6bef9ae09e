"""Reading a report page strictly: every element closed where it was opened, ids once, nothing fetched.

Used by tests of `netsim.measure.page` and `netsim report`.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"br", "hr", "link", "meta"}
# What may not be inside a paragraph: a browser would end the paragraph silently.
BLOCKS = {
    "div",
    "figure",
    "table",
    "ul",
    "ol",
    "dl",
    "section",
    "details",
    "p",
    "pre",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
}
HOLDERS = {"tr": {"thead", "tbody"}, "td": {"tr"}, "th": {"tr"}, "li": {"ul", "ol"}, "dt": {"dl"}, "dd": {"dl"},
           "figcaption": {"figure"}, "summary": {"details"}, "caption": {"table"}}  # fmt: skip


@dataclass
class Page:
    """What is on a page: the words of each section by its id, tables, ids, references, names of elements."""

    words: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""

    def section(self, anchor: str) -> str:
        """The words of a section and of those within it."""
        return " ".join(self.words[anchor].split())


class _Reader(HTMLParser):
    """Fails with AssertionError where the markup is not balanced."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page, self.open, self.sections = Page(), [], []  # type: ignore[var-annotated]
        self._table: list[list[str]] | None = None
        self._cell: list[str] | None = None
        self._caption: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        if tag == "section":
            self.sections.append(found["id"])
            self.page.words[str(found["id"])] = ""
        if tag == "table":
            self._table, self._caption = [], []
        if tag == "tr" and self._table is not None:
            self._table.append([])
        if tag in {"td", "th"}:
            self._cell = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open, f"<{tag}/> outside a drawing"
        self._seen(tag, attrs)

    def _seen(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        assert not (tag in BLOCKS and "p" in self.open), f"<{tag}> within <p>"
        if tag in HOLDERS:
            assert self.open[-1] in HOLDERS[tag], f"<{tag}> within <{self.open[-1]}>"
        found = {name: value or "" for name, value in attrs}
        self.page.elements.append((tag, found))
        self.page.ids += [found["id"]] if "id" in found else []
        self.page.links += [found[name] for name in ("href", "src", "xlink:href") if name in found]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>: {self.open}"
        self.open.pop()
        self.page.text += "" if tag in {"b", "code", "span", "strong"} else " "
        if tag == "section":
            self.sections.pop()
        if tag in {"td", "th"} and self._table is not None and self._cell is not None:
            self._table[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None
        if tag == "table" and self._table is not None:
            self.page.tables["".join(self._caption or [])] = self._table
            self._table = None

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"}:
            return
        self.page.text += data
        for section in self.sections:
            self.page.words[section] += f" {data}"
        if self._cell is not None:
            self._cell.append(f" {data}" if self.open[-1] == "small" else data)
        if self.open and self.open[-1] == "caption" and self._caption is not None:
            self._caption.append(data)


def read_page(html: str) -> Page:
    """The page, after a strict look at it."""
    assert html.startswith("<!DOCTYPE html>\n")
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open, f"never closed: {reader.open}"
    page: Page = reader.page
    assert len(page.ids) == len(set(page.ids)), sorted(i for i in page.ids if page.ids.count(i) > 1)
    inside = {link for link in page.links if link.startswith("#")}
    assert inside <= {f"#{name}" for name in page.ids}
    assert set(page.links) == inside, "a link leads out of the page"
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, page.ids[0]) in page.ids
    assert not re.search(r"url\((?!#)", html), "something is fetched"
    return page


def drawings(page: Page) -> list[dict[str, Any]]:
    """The charts."""
    return [found for tag, found in page.elements if tag == "svg" and found.get("role") == "img"]
