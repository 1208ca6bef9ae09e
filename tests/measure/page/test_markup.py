"""Markup: what is text stays text, whatever it says."""

from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.measure.page.markup import Html, el, identifier, join, number, table
from netsim.measure.page.svg import Scale, fitted

ATTACK = "</td><script>alert('1')</script>\"&"


def test_children_and_attributes_are_escaped() -> None:
    made = el("td", ATTACK, class_=ATTACK)
    assert "<script" not in made
    assert unescape(made).count(ATTACK) == 2
    assert el("p", "a ", el("b", "<"), Html("&lt;")) == "<p>a <b>&lt;</b>&lt;</p>"
    assert join(["<", Html("<br>")], "&") == "&lt;&amp;<br>"


@given(st.text())
def test_no_text_becomes_an_element(text: str) -> None:
    made = el("p", text, title=text)
    assert made.count("<") == 2
    assert unescape(made.removeprefix("<p").partition(">")[2].removesuffix("</p>")) == text


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (el("meta", charset="utf-8"), '<meta charset="utf-8">'),
        (el("line", x1=1.25, x2=2, class_="axis"), '<line x1="1.2" x2="2" class="axis"/>'),
        (el("rect", el("title", "a"), width=3), '<rect width="3"><title>a</title></rect>'),
        (el("div", hidden=True, id=None, open_=False), '<div hidden=""></div>'),
        (el("p", aria_label="x"), '<p aria-label="x"></p>'),
    ],
)
def test_elements(made: str, expected: str) -> None:
    assert made == expected


def test_identifiers_differ_where_names_do() -> None:
    names = ["a/b", "a.b", "a_b", "aé", "a<b", "A/b", "a b"]
    assert all(identifier(name).replace("-", "").replace("_", "").isalnum() for name in names)
    assert len({identifier(name) for name in ("a_b", "aé", "a<b", "A/b", "a/b")}) == 5


def test_a_table_marks_headings_and_numbers() -> None:
    made = table(("node", "packets"), [("a", "1")], "lr", "Drops")
    assert "<caption>Drops</caption>" in made
    assert '<th scope="col"><button type="button">node</button></th>' in made
    assert '<th scope="row">a</th><td class="num">1</td>' in made
    assert "<button" not in table(("node",), [("a",)], "l", sortable=False)


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (1.26, "1.3"), (-0.04, "-0"), (1234.5, "1234.5")])
def test_coordinates(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0, 1.29, 0, 100), [0, 0.25, 0.5, 0.75, 1.0, 1.25]),
        (Scale(0, 30, 0, 100), [0, 5, 10, 15, 20, 25, 30]),
        (Scale(0, 0, 0, 100), [0]),
        (Scale(0.5, 2000, 0, 100, log=True), [1, 10, 100, 1000]),
        (Scale(0.9, 30, 0, 100, log=True), [1, 2, 5, 10, 20]),
        (Scale(2, 3, 0, 100, log=True), [2, 2.2, 2.4, 2.6, 2.8, 3]),
    ],
)
def test_ticks_are_round_and_within(scale: Scale, ticks: list[float]) -> None:
    found = scale.ticks()
    assert all(scale.low <= tick <= scale.high for tick in found)
    if scale.log and scale.high / scale.low < 4:
        assert 3 <= len(found) <= 8
    else:
        assert found == pytest.approx(ticks)


def test_a_scale_keeps_everything_within_its_ends() -> None:
    scale = Scale(1, 100, 50, 150, log=True)
    assert [scale.at(v) for v in (0, 1, 10, 100, 1e9)] == [50, 50, 100, 150, 150]
    assert Scale(3, 3, 0, 10).at(3) == 5


def test_a_text_is_shortened_in_its_middle() -> None:
    assert fitted("my-nginx-bb7bbf8f5-jrmql", 400) == "my-nginx-bb7bbf8f5-jrmql"
    short = fitted("my-nginx-bb7bbf8f5-jrmql", 80)
    assert len(short) <= 12
    assert short.startswith("my-ng")
    assert short.endswith("jrmql")
