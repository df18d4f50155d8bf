"""
Chromium, steered by WebDriver (W3C) through C{chromedriver}.  Nothing but the standard library is
needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from txcarp.testbed.node import Node

#: The programs that are needed, which Debian's packages chromium and chromium-driver have.
PROGRAMS = ("chromium", "chromedriver")

#: The port of chromedriver.
_PORT = 9515

#: Seconds that anything may take.
PATIENCE = 30.0

#: The name of the key that has the identity of an element, by the standard.
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

#: The fonts of the pictures: as on the desktops of most people, if Debian's fonts-inter is there.
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
<alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
</fontconfig>
"""

KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Right": "\ue014", "Down": "\ue015"}


class BrowserError(Exception):
    """
    The browser cannot do what was asked for.
    """


class _Connection(HTTPConnection):
    """
    A connection to a server on a node.
    """

    def __init__(self, node: Node) -> None:
        super().__init__("127.0.0.1", _PORT, timeout=2 * PATIENCE)
        self._node = node

    def connect(self) -> None:
        with self._node.inside():
            super().connect()


class Browser:
    """
    A browser on a node.
    """

    def __init__(self, node: Node) -> None:
        """
        Start it.

        @raise BrowserError: If it does not start.
        """
        self._node = node
        self._home = tempfile.mkdtemp(prefix="txcarp-browser-")
        fonts = Path(self._home, ".config", "fontconfig")
        fonts.mkdir(parents=True)
        (fonts / "fonts.conf").write_text(_FONTS)
        environment = {**os.environ, "HOME": self._home, "XDG_CONFIG_HOME": f"{self._home}/.config"}
        with node.inside():
            self._driver = subprocess.Popen(
                [PROGRAMS[1], f"--port={_PORT}", "--silent"],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            self._path = ""
            self._await(lambda: self._ask("GET", "/status")["ready"])
            arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            arguments += ["--no-first-run", "--disable-background-networking", "--lang=en"]
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": {"binary": shutil.which(PROGRAMS[0]), "args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            made = self._ask("POST", "/session", capabilities={"alwaysMatch": wanted})
            self._path = f"/session/{made['sessionId']}"
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """
        End it.
        """
        if self._path:
            self._ask("DELETE", "")
        self._driver.terminate()
        self._driver.wait(PATIENCE)
        shutil.rmtree(self._home, ignore_errors=True)

    @staticmethod
    def _await(condition: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            if time.monotonic() > end:
                raise BrowserError("chromedriver does not answer")
            time.sleep(0.05)

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        connection = _Connection(self._node)
        try:
            text = json.dumps(body) if method == "POST" else None
            connection.request(method, self._path + path, text)
            found = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(found, dict) and "error" in found:
            raise BrowserError(f"{path}: {found['message']}")
        return found

    def _command(self, name: str, **parameters: Any) -> Any:
        """
        A command of the DevTools protocol.
        """
        return self._ask("POST", "/goog/cdp/execute", cmd=name, params=parameters)

    def open(self, url: str) -> None:
        """
        Load a page.
        """
        self._ask("POST", "/url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """
        Run the body of a function in the page, and return its result.
        """
        return self._ask("POST", "/execute/sync", script=script, args=list(arguments))

    def runAsync(self, script: str) -> Any:
        """
        Run the body of a function that calls its last argument with the result.
        """
        return self._ask("POST", "/execute/async", script=script, args=[])

    def press(self, *keys: str) -> None:
        """
        Press keys, one after the other.
        """
        actions = [
            {"type": kind, "value": KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._ask("POST", "/actions", actions=[keyboard])

    def look(self, width: int, height: int, *, dark: bool = False, scale: float = 1.0) -> None:
        """
        Set the size of the window, and the colours that its user prefers.
        """
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self._command("Emulation.setEmulatedMedia", media="screen", features=features)
        time.sleep(0.5)  # the page waits for the end of a change of size

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """
        Write a screenshot: of what is seen, or of the whole page.
        """
        more: dict[str, Any] = {}
        if whole:
            size = self._command("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            more = {"captureBeyondViewport": True, "clip": clip}
        found = self._command("Page.captureScreenshot", format="png", **more)
        path.write_bytes(b64decode(found["data"]))

    def complaints(self) -> list[str]:
        """
        What the browser had to say about the page since the last call: errors, and what a policy
        forbade.
        """
        found = self._ask("POST", "/se/log", type="browser")
        return [one["message"] for one in found if one["level"] in ("SEVERE", "WARNING")]

    def violations(self, axe: str) -> list[str]:
        """
        What is wrong with the page for people who cannot see it, by axe-core.

        @param axe: The script.
        """
        self.run(f"{axe}; window.axe = axe;")
        script = """
            const done = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ["violations", "incomplete"]})
                .then(done, error => done({error: String(error)}));
        """
        found = self.runAsync(script)
        if "error" in found:
            raise BrowserError(found["error"])
        return [
            f"{one['id']}: {one['help']}: {node['html'][:120]} {node.get('failureSummary', '')}"
            for one in found["violations"]
            for node in one["nodes"][:3]
        ]
