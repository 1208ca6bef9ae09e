"""The report page in a real browser, without network: nothing is fetched, no script fails, nothing runs over the edge;
tooltips, sorting and the timeline's pointer work; it is dark where its reader wants that."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from browserlab import Page, browser

from netsim.experiment.api import load
from netsim.experiment.report import write_report
from netsim.experiment.results import Results
from netsim.measure.collect import Recording


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """One browser for all tests here."""
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def results(root: Path) -> Results:
    """A run with every section that a failover has."""
    found = load(root / "experiments" / "pod-kill.yaml").run(replications=2)
    assert isinstance(found, Results)
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, results: Results) -> Path:
    """Its page."""
    return write_report(tmp_path_factory.mktemp("report"), results)


@pytest.fixture
def opened(tab: Page, report: Path) -> Page:
    """The report, just opened in a usual window."""
    tab.resize(1280, 900)
    tab.open(report.as_uri())
    return tab


def test_nothing_is_fetched_and_no_script_fails(opened: Page, report: Path) -> None:
    assert opened.requests == [report.as_uri()]
    assert opened.errors == []
    assert opened.eval("document.querySelectorAll('main > section').length") >= 7
    assert opened.eval("document.compatMode") == "CSS1Compat"


def test_the_browser_keeps_the_page_as_it_was_written(opened: Page) -> None:
    """A table or paragraph that was closed by the browser's own guess would move elements."""
    assert opened.eval("document.querySelectorAll('p p, p table, svg div, body > table').length") == 0
    assert opened.eval(
        "[...document.querySelectorAll('svg.chart')].every(s => s.getBoundingClientRect().height > 20)"
    )


@pytest.mark.parametrize("width", [390, 800, 1000, 1280, 1900])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_runs_over_the_edge(opened: Page, width: int, dark: bool, tmp_path: Path) -> None:
    opened.resize(width, 900, dark=dark)
    assert opened.eval("document.documentElement.scrollWidth") <= width
    back = opened.eval("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in back.removeprefix("rgb(").removesuffix(")").split(","))
    assert (brightness < 200) == dark
    kept = os.environ.get("NETSIM_SCREENSHOTS")
    if kept:
        opened.screenshot(Path(kept) / f"report-{width}{'-dark' if dark else ''}.png")


CONTRAST = """
(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const paper = e => {
    for (; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found.length < 4 || found[3] > .5) return found;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll('main *, header *, nav *')) {
    const says = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!says || !e.getBoundingClientRect().width) continue;
    const drawn = e.closest('svg'), style = getComputedStyle(e);
    const ink = light(rgb(drawn ? style.fill : style.color)), back = light(paper(drawn ? drawn.parentElement : e));
    const ratio = (Math.max(ink, back) + .05) / (Math.min(ink, back) + .05);
    if (ratio < 4.5) bad.push(`${e.tagName} ${e.getAttribute('class')} ${e.textContent.slice(0, 30)} ${ratio}`);
  }
  return bad;
})()
"""


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_the_paper(opened: Page, dark: bool) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1."""
    opened.resize(1280, 900, dark=dark)
    assert opened.eval(CONTRAST) == []


def order(page: Page) -> list[str]:
    """The first column of kube-proxy's table, as it is now."""
    found = page.eval("[...document.querySelectorAll('#kube-proxy tbody th')].map(cell => cell.textContent)")
    return list(found)


def test_a_heading_sorts_its_column(opened: Page) -> None:
    before = order(opened)
    heading = "#kube-proxy thead th:first-child button"
    opened.click(heading)
    assert order(opened) == sorted(before)
    assert opened.eval("document.querySelector('#kube-proxy thead th').ariaSort") == "ascending"
    opened.click(heading)
    assert order(opened) == sorted(before, reverse=True)
    opened.click("#kube-proxy thead th:nth-child(6) button")
    waits = opened.eval(
        "[...document.querySelectorAll('#kube-proxy tbody tr')].map(row => row.cells[5].textContent)"
    )
    sizes = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    seconds = [float(text.split()[0]) * sizes[text.split()[1]] for text in waits]
    assert seconds == sorted(seconds)


def test_headings_are_reached_and_pressed_by_keys(opened: Page) -> None:
    opened.eval("document.querySelector('#kube-proxy thead button').focus()")
    opened.press(" ")
    assert opened.eval("document.querySelector('#kube-proxy thead th').ariaSort") == "ascending"


SAID = "document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent"


def move(page: Page, selector: str) -> None:
    """The pointer onto the middle of an element."""
    place = page.eval(
        f"(() => {{ const e = document.querySelector('{selector}'); e.scrollIntoView({{block: 'center'}}); "
        "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])


def test_marks_say_what_they_are_under_the_pointer(opened: Page) -> None:
    move(opened, "#failover svg.chart rect.stage")
    opened.wait(f"({SAID}).includes('the time until somebody noticed')")
    move(opened, "h1")
    opened.wait(f"({SAID}) === ''")
    move(opened, "#split svg.chart rect.bar")
    opened.wait(f"({SAID}).includes('expected')")


FIRST_FAILURE = """
(() => {
  const path = document.querySelector('svg.chart path.cross');
  path.ownerSVGElement.scrollIntoView({block: 'center'});
  const found = path.getAttribute('d').match(/M([\\d.]+) ([\\d.]+)/);
  const at = new DOMPoint(+found[1], +found[2]).matrixTransform(path.ownerSVGElement.getScreenCTM());
  return [at.x, at.y];
})()
"""


def test_the_timeline_tells_the_request_under_the_pointer(opened: Page, results: Results) -> None:
    """Its time is read back from the drawing and is that of the table."""
    requests = results.requests[results.requests["replication"] == 0]
    first = int(requests.loc[requests["outcome"] != "ok", "t_ns"].min()) / 1e9 - 10
    x, y = opened.eval(FIRST_FAILURE)
    opened.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 2, y=y - 2)
    opened.wait(f"({SAID}).startsWith('failed')")
    said = opened.eval(SAID)
    assert "after the fault, given up after about" in said
    assert float(said.split("began ")[1].split(" s")[0]) == pytest.approx(first, abs=0.003)


UNNAMED = """
[...document.querySelectorAll('section')].filter(
  section => !document.getElementById(section.getAttribute('aria-labelledby'))).length
"""


def test_sections_are_landmarks_with_names(opened: Page) -> None:
    """What a screen reader lists: regions by their headings, drawings by their labels."""
    assert opened.eval(UNNAMED) == 0
    labelled = (
        "[...document.querySelectorAll('svg.chart')].every(s => s.getAttribute('aria-label').length > 10)"
    )
    assert opened.eval(labelled)
    levels = opened.eval("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => +h.tagName[1])")
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_it_prints(opened: Page) -> None:
    """On paper: light, without navigation, with everything unfolded and nothing cut off."""
    opened.call(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    try:
        assert opened.eval("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert opened.eval("getComputedStyle(document.querySelector('nav')).display") == "none"
        opened.eval("dispatchEvent(new Event('beforeprint'))")
        assert opened.eval("[...document.querySelectorAll('details')].every(part => part.open)")
        opened.call(
            "Emulation.setDeviceMetricsOverride", width=680, height=900, deviceScaleFactor=1, mobile=False
        )
        assert opened.eval("document.documentElement.scrollWidth") <= 680
        assert opened.call("Page.printToPDF")["data"].startswith("JVBERi0")  # %PDF-
        kept = os.environ.get("NETSIM_SCREENSHOTS")
        if kept:
            opened.call(
                "Emulation.setDeviceMetricsOverride", width=760, height=900, deviceScaleFactor=1, mobile=False
            )
            opened.screenshot(Path(kept) / "report-print.png")
    finally:
        opened.call("Emulation.setEmulatedMedia", media="", features=[])


def test_hostile_names_do_nothing(tab: Page, tmp_path: Path) -> None:
    evil = "<img src=x onerror=document.title='gone'><script>document.title='gone'</script>"
    results = Results.from_recordings(
        [Recording(0, 0, 1, (), ())], name=evil, spec={}, seed=1, duration_ns=1_000_000_000, warnings=[evil]
    )
    tab.open(write_report(tmp_path, results).as_uri())
    assert tab.eval("document.title").startswith("<img")
    assert tab.eval("document.querySelector('h1').textContent") == evil
    assert tab.errors == []
