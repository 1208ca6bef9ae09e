"""A real browser for tests: headless Chromium, driven by the DevTools protocol over a pipe.

`browser()` gives one that has its own empty profile, or skips the test where there is none; in CI there must be one.
Messages are JSON, each ended by a zero byte, on the descriptors 3 (to the browser) and 4 (from it).
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {" ": ("Space", 32), "ArrowRight": ("ArrowRight", 39), "ArrowLeft": ("ArrowLeft", 37), "Home": ("Home", 36),
        "End": ("End", 35), "PageDown": ("PageDown", 34), "PageUp": ("PageUp", 33),
        "Escape": ("Escape", 27)}  # fmt: skip
PATIENCE_S = 30


def find_browser() -> str:
    """The browser's path; skips where there is none, fails in CI."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium, which CI has to have")
        pytest.skip("there is no Chromium (Debian: apt install chromium)")
    return found


class Page:
    """One tab. Network requests other than for its own file are noted in `requests`, errors of scripts in `errors`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer, self._number = b"", 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result
            self._event(answer)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select([self._from], [], [], PATIENCE_S)
            assert ready, "the browser does not answer"
            self._buffer += os.read(self._from, 1 << 20)
        one, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(one)
        return message

    def _event(self, event: dict[str, Any]) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])

    @contextmanager
    def iframe(self) -> Iterator[None]:
        """What is done in the block is done in the page's iframe, which has a process of its own."""
        outside = self._session
        targets = self.call("Target.getTargets")["targetInfos"]
        (target,) = [found["targetId"] for found in targets if found["type"] == "iframe"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Runtime.enable")
        self.call("Log.enable")
        try:
            yield
        finally:
            self._session = outside

    def open(self, address: str) -> None:
        """Go to an address and wait until it is there."""
        self.requests.clear()
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def eval(self, expression: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true: asked once per frame, at most about 20 s."""
        asked = (
            "new Promise(done => { let n = 0; const look = () => { const ok = (() => { try { return !!("
            f"{expression}) }} catch {{ return false }} }})(); if (ok || ++n > 1200) done(ok); "
            "else setTimeout(look, 16); }; look(); })"
        )
        assert self.eval(asked), f"never true: {expression}"

    def press(self, key: str, *, shift: bool = False) -> None:
        """A key, as a user presses it."""
        code, number = KEYS.get(key, (key, ord(key[0].upper())))
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector: str) -> None:
        """The mouse, in the middle of an element."""
        place = self.eval(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', inline: 'center'}); "
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    def resize(self, width: int, height: int, *, dark: bool = False, calm: bool = True) -> None:
        """The size of the window, and what its user prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path) -> None:
        """A picture of the whole page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser() -> Iterator[Page]:
    """A browser with one empty tab; it ends with the block."""
    path = find_browser()
    read_here, write_there = os.pipe()
    read_there, write_here = os.pipe()

    # The two ends become descriptors 3 and 4 by way of a shell, whatever their numbers here.
    script = f'exec "$@" 3<&{read_there} 4>&{write_there}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", path, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(read_there, write_there),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
        )
        os.close(read_there)
        os.close(write_there)
        page = Page(write_here, read_here)
        try:
            page.attach()
            yield page
        finally:
            os.close(write_here)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(read_here)
