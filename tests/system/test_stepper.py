"""The packet stepper: the page's data agree with the journey, it is light, self-contained and safe, and a real browser
can be played with by mouse and keyboard."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browserlab import Page, browser
from systemlab import TOPOLOGIES, settled

from netsim.cli.main import main
from netsim.experiment.explain import Explained
from netsim.measure.journey import Journey
from netsim.measure.stepper import Scene, embedded, page

VOID = {"meta", "input", "br", "link", "img"}
LIMIT = 1_000_000

CASES = {
    "flat": ("tutorial-nginx", "pod/test-pod", "http://nginx-service:5000/"),
    "nobody answers": ("tutorial-nginx", "pod/test-pod", "http://nginx-service/"),
    "vxlan": ("vxlan", "pod/client", "http://my-nginx/"),
    "nftables": ("nftables", "pod/client", "http://my-nginx/"),
    "ipvs": ("ipvs", "pod/client", "http://my-nginx/"),
    "load balancer": ("external-policy", "external/laptop", "http://203.0.113.128/"),
    "ingress": ("ingress", "external/laptop", "http://shop.example.com:30080/"),
}


class Outline(HTMLParser):
    """Checks that elements nest, and keeps ids and addresses of other files."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "action"):
                self.outside.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def data_of(document: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', document, re.DOTALL)
    assert found
    loaded: dict[str, Any] = json.loads(found[1])
    return loaded


def made(case: str) -> Explained:
    topology, source, target = CASES[case]
    return settled(topology).explain(source, target)


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_whole_light_and_alone(case: str) -> None:
    explained = made(case)
    document = explained.html()
    assert len(document.encode()) < LIMIT / 2
    outline = Outline()
    outline.feed(document)
    assert outline.open == []
    assert len(set(outline.ids)) == len(outline.ids)
    assert outline.outside == []
    assert "default-src 'none'" in document
    data = data_of(document)
    steps = [step for packet in explained.journey.packets for step in packet.steps]
    texts, hosts = data["texts"], data["drawing"]["hosts"]
    assert [(texts[f[4]], hosts[f[2]]["name"], f[1]) for f in data["frames"]] == [
        (step.kind, step.namespace, step.at_ns - explained.journey.epoch_ns) for step in steps
    ]
    assert all(texts[f[5]].endswith(".") for f in data["frames"])
    # Every place that a packet can be at is inside the drawing.
    width, height = data["drawing"]["width"], data["drawing"]["height"]
    assert all(0 < f[12] < width and 0 < f[13] < height for f in data["frames"])


@pytest.mark.parametrize(
    ("case", "kind", "pattern"),
    [
        ("flat", "rule", r"^\[\d+:\d+\] -A KUBE-SEP-\w+ .*-j DNAT --to-destination 10\.244\.\d\.\d:80$"),
        ("nftables", "rule", r"^meta l4proto tcp dnat to 10\.244\.\d\.\d:80$"),
        ("nftables", "rule", r"^ip daddr 10\.244|^ct state|numgen random mod 3 vmap"),
        ("ipvs", "ipvs", r"\nTCP  10\.96\.\d+\.\d+:80 +\d.*\n  -> 10\.244\.\d\.\d:80 +1 "),
    ],
)
def test_the_rule_is_in_its_tools_words(case: str, kind: str, pattern: str) -> None:
    data = data_of(made(case).html())
    rules = [data["texts"][f[7]] for f in data["frames"] if data["texts"][f[4]] == kind]
    assert any(re.search(pattern, rule) for rule in rules), set(rules)


def test_counters_are_those_that_the_tool_prints_afterwards() -> None:
    """The last hit of a rule in the page has the counter that `iptables-save -c` shows when all is over."""
    cluster = settled("tutorial-nginx")
    explained = cluster.explain("pod/test-pod", "http://nginx-service:5000/")
    seen: dict[tuple[str, str], str] = {}
    for packet in explained.journey.packets:
        for step in packet.steps:
            if step.rule is not None and "KUBE-SVC" in step.rule.chain:
                seen[step.namespace, step.rule.saved.split("] ", 1)[1]] = step.rule.saved
    assert seen
    for (node, _), line in seen.items():
        assert line in cluster.view("iptables", f"node/{node}").splitlines()


def test_nothing_of_the_data_becomes_markup() -> None:
    evil = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)> & {{DATA}} \u2028"
    document = page(evil, evil, Journey([], 0), Scene((), evil))
    outline = Outline()
    outline.feed(document)
    assert outline.outside == []
    assert document.count("<script") == 2
    assert data_of(document)["drawing"]["network"] == evil
    frame = Outline()
    frame.feed(embedded(evil, evil, Journey([], 0), Scene((), evil)))
    assert frame.outside == []


def test_a_notebook_cell_holds_the_page_and_the_text() -> None:
    explained = made("flat")
    cell = explained._repr_html_()
    assert 'sandbox="allow-scripts"' in cell
    assert "srcdoc=" in cell
    assert "<summary>as text</summary>" in cell
    assert repr(explained).startswith("pod/test-pod asks")


def test_the_command_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ask = ["explain", str(TOPOLOGIES / "my-nginx.yaml"), "--from", "pod/client", "--to", "ping://10.96.0.10"]
    assert main([*ask, "--html"]) == 0
    assert main([*ask, "--html", "other.html"]) == 0
    assert (tmp_path / "explain.html").read_bytes() == (tmp_path / "other.html").read_bytes()
    out, err = capsys.readouterr()
    assert out.startswith("pod/client asks ping://10.96.0.10\n")
    assert "other.html" in err
    assert main([*ask, "--html", "no/such/folder.html"]) == 2
    assert "cannot write" in capsys.readouterr().err


# ---------------------------------------------------------------------- in a real browser
@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    explained = made("flat")
    path = explained.write_html(tmp_path_factory.mktemp("stepper") / "page.html")
    return path.as_uri(), data_of(path.read_text("utf-8"))


def step_of(tab: Page) -> int:
    return int(tab.eval("document.body.dataset.step"))


def first_of(data: dict[str, Any], kind: str) -> int:
    """Number of the first step of a kind, as the page counts."""
    return next(i for i, f in enumerate(data["frames"], 1) if data["texts"][f[4]] == kind)


def test_it_opens_at_a_step_without_network_and_without_errors(
    tab: Page, written: tuple[str, dict[str, Any]]
) -> None:
    address, data = written
    number = first_of(data, "dnat")
    tab.resize(1400, 900)
    tab.open(f"{address}#step={number}")
    assert tab.requests == [address]
    assert tab.errors == []
    assert step_of(tab) == number
    assert "is rewritten from 10.96.0.10:53" in tab.eval("caption.textContent")
    changed = tab.eval("[...document.querySelectorAll('tr.changed th')].map(e => e.textContent)")
    assert changed == ["dst", "checksum", "checksum"]
    assert tab.eval("document.querySelector('#hooks .hook.on > button').textContent") == "PREROUTING"
    assert tab.eval("document.querySelector('#hooks li.on').firstChild.textContent") == "nat: DNAT"
    assert "src=10.96.0.10" not in tab.eval("facts.textContent")  # the entry knows of the pod already
    assert tab.eval("document.querySelectorAll('#bytes mark').length") >= 3


def test_keys(tab: Page, written: tuple[str, dict[str, Any]]) -> None:
    address, data = written
    starts = [packet["first"] + 1 for packet in data["packets"]]
    last = len(data["frames"])
    tab.open(f"{address}#step=1")
    pressed = [
        ("ArrowRight", False, 2), ("ArrowRight", False, 3), ("ArrowLeft", False, 2), ("PageDown", False, starts[1]),
        ("PageDown", False, starts[2]), ("ArrowRight", True, starts[3]), ("ArrowRight", False, starts[3] + 1),
        ("PageUp", False, starts[3]), ("ArrowLeft", True, starts[2]), ("End", False, last),
        ("ArrowRight", False, last), ("Home", False, 1),
    ]  # fmt: skip
    for key, shift, wanted in pressed:
        tab.press(key, shift=shift)
        assert step_of(tab) == wanted, key
        assert tab.eval("location.hash") == f"#step={wanted}"
    tab.press("?")
    assert tab.eval("help.open")
    tab.press("Escape")
    assert not tab.eval("help.open")
    tab.press("d")
    tab.press("ArrowRight")
    kinds = [data["texts"][frame[4]] for frame in data["frames"]]
    assert kinds[step_of(tab) - 1] == "transmit"  # the route was passed over
    tab.press("d")


def test_playing_and_pausing(tab: Page, written: tuple[str, dict[str, Any]]) -> None:
    tab.open(f"{written[0]}#step=5")
    for _ in range(4):
        tab.press("+")
    assert tab.eval("speed.value") == "8"
    tab.press(" ")
    tab.wait("Number(document.body.dataset.step) > 8")
    assert tab.eval("play.getAttribute('aria-label')") == "Pause"
    tab.press(" ")
    stopped = step_of(tab)
    assert tab.eval("new Promise(d => setTimeout(() => d(document.body.dataset.step), 400))") == str(stopped)
    tab.click("#play")
    tab.wait(f"Number(document.body.dataset.step) > {stopped}")
    tab.click("#play")
    assert tab.eval("document.body.dataset.playing") is None


def test_mouse_and_jumps(tab: Page, written: tuple[str, dict[str, Any]]) -> None:
    address, data = written
    tab.open(f"{address}#step=1")
    tab.click("#packet-list li:nth-child(5) button")
    assert step_of(tab) == data["packets"][4]["first"] + 1
    assert tab.eval("document.querySelector('#packet-list [aria-current] b').textContent") == "SYN"
    dnat = first_of(data, "dnat")
    tab.eval(f"jump.value = '{dnat - 1}', jump.dispatchEvent(new Event('change'))")
    assert step_of(tab) == dnat
    tab.click("#hooks .hook.postrouting button")
    frame = data["frames"][step_of(tab) - 1]
    assert data["texts"][frame[3]] == "POSTROUTING"
    tab.eval("location.hash = '#step=3'")
    tab.wait("document.body.dataset.step === '3'")


def test_the_packet_moves(tab: Page, written: tuple[str, dict[str, Any]]) -> None:
    """With motion on, between two hosts it is on its way for a while, and arrives."""
    address, data = written
    tab.resize(1400, 900, calm=False)
    number = first_of(data, "receive")
    tab.open(f"{address}#step={number - 1}")
    tab.press("ArrowRight")
    frame = data["frames"][number - 1]
    tab.wait(f"dot.getAttribute('transform') === 'translate({frame[12]} {frame[13]})'")
    tab.resize(1400, 900)


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (800, False), (1400, True)])
def test_it_fits_every_screen(
    tab: Page, written: tuple[str, dict[str, Any]], width: int, dark: bool, tmp_path: Path
) -> None:
    tab.resize(width, 800, dark=dark)
    tab.open(f"{written[0]}#step=40")
    assert tab.eval("document.documentElement.scrollWidth") <= width
    light = "getComputedStyle(document.body).backgroundColor"
    background = tab.eval(light)
    assert (background == "rgb(19, 21, 25)") is dark
    tab.press("t")
    assert tab.eval(light) != background
    tab.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000
    tab.resize(1400, 900)


def test_in_a_notebook_cell(tab: Page, tmp_path: Path) -> None:
    """Inside an iframe, without an origin or an address: it works, and says nothing to the console."""
    path, explained = tmp_path / "cell.html", made("flat")
    path.write_text(f"<!doctype html><title>cell</title>{explained._repr_html_()}", "utf-8")
    tab.open(path.as_uri())
    with tab.iframe():
        tab.wait("document.body.dataset.step === '1'")
        tab.press("PageDown")
        tab.press("ArrowRight")
        tab.click("#forward")
        assert tab.eval("document.querySelector('#packet-list [aria-current] b').textContent") == "DNS AAAA?"
        assert tab.eval("document.body.dataset.step") == str(
            data_of(explained.html())["packets"][1]["first"] + 3
        )
    assert [address for address in tab.requests if not address.startswith(("file:", "about:"))] == []
    assert tab.errors == []


def test_what_comes_from_yaml_is_only_text(tab: Page, tmp_path: Path) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"
    explained = made("flat")
    names = dict.fromkeys(explained.journey.names, evil)
    steps = [step for packet in explained.journey.packets for step in packet.steps]
    journey = Journey(steps, explained.journey.epoch_ns, names)
    path = tmp_path / "evil.html"
    path.write_text(page(evil, evil, journey, explained.scene), "utf-8")
    tab.open(f"{path.as_uri()}#step=11")
    assert tab.eval("document.title").startswith("netsim: <img")
    assert evil in tab.eval("caption.textContent")
    assert tab.errors == []
    assert tab.requests == [path.as_uri()]
