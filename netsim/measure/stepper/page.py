"""The page itself: the template with style, program and data put in; and the same in an iframe for notebooks.

Nothing of the data becomes markup: it travels as JSON in which `<`, `>` and `&` are escapes, and the program only ever
sets text. The page forbids itself the network (Content-Security-Policy), so that it is the same everywhere.
"""

import json
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Final

from netsim.measure.journey import Journey
from netsim.measure.stepper.frames import frames
from netsim.measure.stepper.scene import Scene

_SCRIPTS: Final = ("data.js", "drawing.js", "panels.js", "player.js")
_ESCAPES: Final = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})
_FRAME_HEIGHT: Final = 860
# A journey's text is for readers without JavaScript; a very long one would only weigh.
_MOST_TEXT: Final = 200_000


@lru_cache
def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text("utf-8")


def page(question: str, outcome: str, journey: Journey, scene: Scene) -> str:
    """One self-contained HTML document."""
    data = {"question": question, "outcome": outcome, **frames(journey, scene)}
    text = journey.text()
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]}\n..."
    filled = {
        "TITLE": escape(question),
        "OUTCOME": escape(outcome),
        "STYLE": _asset("stepper.css"),
        "SCRIPT": "\n".join(map(_asset, _SCRIPTS)),
        "TEXT": escape(text),
        "DATA": json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES),
    }
    # In one pass: what is put in is not looked at again.
    first, *parts = _asset("page.html").split("{{")
    return first + "".join(filled[name] + rest for name, _, rest in (part.partition("}}") for part in parts))


def embedded(question: str, outcome: str, journey: Journey, scene: Scene) -> str:
    """The page in a notebook cell: an iframe that needs no file, with the journey's text beside it."""
    document = escape(page(question, outcome, journey, scene))
    # Scripts may run, but in an origin of their own: they cannot touch the notebook.
    frame = (
        f'<iframe title="{escape(question)}" sandbox="allow-scripts" srcdoc="{document}" '
        f'style="width:100%;height:{_FRAME_HEIGHT}px;border:1px solid #8884;border-radius:6px"></iframe>'
    )
    told = f"<p><b>{escape(question)}</b><br>{escape(outcome)}</p>"
    text = f"<details><summary>as text</summary><pre>{escape(journey.text())}</pre></details>"
    return f"<div>{told}{frame}{text}</div>"
