"""Headless Chromium for the tests of pages: real clicks and keys, any width, light or dark.

It is spoken to through two pipes in the DevTools protocol, a message of JSON between two zero bytes, so that no driver
has to be installed and no port is opened.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
LONGEST = 300
"""Seconds after which a browser is ended, so that one that hangs fails its tests and does not stop the suite."""
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowUp": 38, "ArrowDown": 40, "Enter": 13, "Escape": 27, "Tab": 9, " ": 32}


class Tab:
    """One page in one tab; `complaints` are what it wrote to the console or threw."""

    def __init__(self, write: Any, read: Any) -> None:
        self.write, self.read, self.number = write, read, 0
        self.session = ""
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.write.write(json.dumps(message).encode() + b"\0")
        self.write.flush()
        while (answer := self._next()).get("id") != self.number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        content = bytearray()
        while (byte := self.read.read(1)) not in (b"\0", b""):
            content += byte
        message = json.loads(content or b"{}")
        assert message, "the browser went away"
        if message.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(json.dumps(message["params"])[:500])
        return message

    def open(self, address: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Load a page in a window of this size."""
        mobile = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        features = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        pairs = [{"name": name, "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", features=pairs)
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=address)
        while self._next().get("method") != "Page.loadEventFired" or self.value("location.href") == "about:blank":
            pass
        self.settle()

    def settle(self) -> None:
        """Wait until the page was painted twice, with everything that it put off until then."""
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression holds."""
        while not self.value(expression):
            self.settle()

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def box(self, selector: str) -> dict[str, float]:
        """Where an element stands in the window."""
        return self.value(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")

    def point(self, x: float, y: float, kind: str = "mouseMoved", **more: Any) -> None:
        """Move the mouse to a place in the window, or press or release its button there."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector: str) -> None:
        """Click into the middle of an element, which is scrolled into view where it is not."""
        self.value(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = self.box(selector)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.point(x, y, kind, button="left", clickCount=1)
        self.settle()

    def press(self, key: str) -> None:
        """Press a key on what has the focus."""
        known = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
        self.send("Input.dispatchKeyEvent", type="keyDown", **known, **({"text": "\r"} if key == "Enter" else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **known)
        self.settle()

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot of the window, or of the whole page."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def browser() -> Iterator[Tab]:
    """A browser with one tab, which ends with the block."""
    assert CHROMIUM
    to_browser, from_tests = os.pipe()
    to_tests, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        words = " ".join([CHROMIUM, *OPTIONS, f"--user-data-dir={home}", "--remote-debugging-pipe"])
        command = ["bash", "-c", f"exec {words} 3<&{to_browser} 4>&{from_browser} 2>/dev/null"]
        process = subprocess.Popen(command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        end = threading.Timer(LONGEST, process.kill)
        end.start()
        with os.fdopen(from_tests, "wb", buffering=0) as write, os.fdopen(to_tests, "rb") as read:
            try:
                yield Tab(write, read)
            finally:
                end.cancel()
                process.terminate()
                process.wait(timeout=20)
