"""
What is tried with the page, and looked at.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.page.browser import Browser
from tests.page.hosts import Host, Scene, manyGroups, past, until

#: The sizes of the pictures: a phone, a tablet and a desktop.
SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900)}

#: Markup that must never become any.
_MARKUP = "<img src=x onerror=document.title='attacked'>"

#: Seconds in which the page notices that nobody answers: its patience, its pace, and some more.
_NOTICED = 15.0

_ROW = """
    const row = [...document.querySelectorAll(".row")].find(
        one => one.querySelector(".open").textContent === arguments[0]);
    return row && {state: row.querySelector(".badge").textContent,
        master: row.children[2].textContent, line: row.textContent,
        timeline: row.querySelector(".timeline").getAttribute("aria-label"),
        last: row.querySelector(".timeline").lastChild.className};
"""


class Story:
    """
    One run.

    @ivar failures: What is not as it should be.
    """

    def __init__(self, axe: str, pictures: Path) -> None:
        """
        @param axe: The script of axe-core.
        @param pictures: The directory for the pictures.
        """
        self.failures: list[str] = []
        self._axe = axe
        self._pictures = pictures

    def play(self) -> None:
        """
        Try everything.
        """
        scene = Scene()
        try:
            scene.configure()
            first, second = scene.hosts
            first.remember(past(time.time()))
            for host in scene.hosts:
                host.start()
            until(lambda: self._masters(first) == ["", "", "10.99.0.2"], "all is calm")
            self._browser = Browser(scene.client)
            try:
                self._try(self._looks, first)
                self._try(self._readOnly, first)
                self._try(self._keyboard, first)
                self._try(self._takeOver, first, second)
                self._try(self._twoMasters, first, second)
                self._try(self._noAnswer, first)
                self._try(self._hidden, first)
                self._try(self._many, first)
            finally:
                self._browser.close()
        except BaseException:
            print(scene.logs())
            raise
        finally:
            scene.close()

    def _try(self, step: Callable[..., None], *hosts: Host) -> None:
        print(f"{step.__doc__.strip().splitlines()[0]}" if step.__doc__ else step.__name__)
        try:
            step(*hosts)
        except AssertionError as error:
            self._check(False, str(error))
        for complaint in self._browser.complaints():
            if "net::ERR_" not in complaint:  # the tests end daemons
                self._check(False, f"the browser complains: {complaint}")

    def _check(self, isGood: object, what: str) -> None:
        if not isGood:
            self.failures.append(what)
            print(f"  FAILED: {what}")

    @staticmethod
    def _masters(host: Host) -> list[str]:
        try:
            return [group["master"] for group in host.control.status()["groups"]]
        except Exception:
            return []

    # What the page shows.

    def _open(self, host: Host) -> None:
        self._browser.look(*SIZES["desktop"])
        self._browser.open(host.url)
        until(lambda: self._text("#linktext") == "Live", "the page is live")
        until(lambda: self._row("web"), "the page has the groups")

    def _text(self, selector: str) -> str:
        script = "return document.querySelector(arguments[0]).textContent"
        return str(self._browser.run(script, selector))

    def _row(self, group: str) -> Any:
        return self._browser.run(_ROW, group)

    # The steps.

    def _twoMasters(self, first: Host, second: Host) -> None:
        """
        Two masters are crosshatched on the page of the one that hears the other, and a gap is red.
        """
        self._open(second)
        shown = "return document.querySelectorAll('.period.' + arguments[0]).length"
        self._check(not self._browser.run(shown, "both"), "there are two masters already")
        first.deafen(True)
        until(lambda: self._browser.run(shown, "both"), "two masters are crosshatched", 30)
        until(lambda: "is master, too" in self._text("#problems"), "the page says so", 15)
        until(lambda: "two-masters" in self._text("#latest"), "the page has the finding", 15)
        self._browser.picture(self._pictures / "both.png", whole=True)
        self._accessible("both")
        said = self._row("mail")["line"].count("is master, too")
        self._check(said == 1, f"the row says {said} times who is master, too")
        first.deafen(False)
        until(lambda: self._row("mail")["last"] == "period own", "one of them has yielded", 60)
        before = self._browser.run(shown, "nobody")
        first.node.unplug()
        until(lambda: self._browser.run(shown, "nobody") > before, "the gap is red", 30)
        first.node.plugIn()
        until(lambda: self._row("web")["state"] == "BACKUP", "the first host is back", 30)

    def _readOnly(self, host: Host) -> None:
        """
        Nothing comes from elsewhere, and text does not become markup.
        """
        host.control.demote("web", _MARKUP[:64], 0)
        self._open(host)
        until(lambda: _MARKUP[:20] in self._text("#latest"), "the page has the name of a demotion")
        run = self._browser.run
        self._check(not run("return document.querySelectorAll('img').length"), "there is markup")
        foreign = run(
            "return performance.getEntriesByType('resource').map(one => one.name)"
            ".filter(name => !name.startsWith(location.origin))"
        )
        self._check(not foreign, f"the page loads {foreign}")
        script = "try { document.body.innerHTML = '<p>' } catch (error) { return error.name }"
        self._check(run(script) == "TypeError", "text can become markup")
        self._browser.complaints()  # about these attempts
        host.control.promote("web", _MARKUP[:64])

    def _looks(self, host: Host) -> None:
        """
        The page is readable in all sizes and colours, with details and without.
        """
        self._open(host)
        host.broken.touch()
        until(lambda: "not good" in self._text("#summary ~ ul"), "the page shows a bad check")
        time.sleep(5.0)  # the pictures are to have an answer that is not the first
        for isOpen in (False, True):
            if isOpen:
                self._browser.run("document.querySelectorAll('.open')[1].click()")
                until(lambda: "advertises every" in self._text(".details:not([hidden])"), "why")
            for size, (width, height) in SIZES.items():
                for dark in (False, True):
                    name = f"{size}-{'dark' if dark else 'light'}{'-open' if isOpen else ''}"
                    self._browser.look(width, height, dark=dark)
                    self._browser.picture(self._pictures / f"{name}.png", whole=True)
                    self._accessible(name)
            if not isOpen:
                self._browser.look(*SIZES["phone"], dark=True, scale=2.0)
                self._browser.picture(self._pictures / "phone-view.png")
                self._browser.look(1120, 680, scale=1.5)
                self._browser.picture(self._pictures / "manual-view.png")
        host.broken.unlink()

    def _accessible(self, name: str) -> None:
        for violation in self._browser.violations(self._axe):
            self._check(False, f"{name}: {violation}")
        over = self._browser.run(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        self._check(over <= 0, f"{name}: the page is {over} pixels too wide")

    def _keyboard(self, host: Host) -> None:
        """
        Everything can be reached and used by keyboard, and the focus is seen.
        """
        self._open(host)
        reached: list[str] = []
        for _ in range(12):
            self._browser.press("Tab")
            one = self._browser.run(
                "const one = document.activeElement, shown = one.name === 'range' ?"
                " one.nextElementSibling : one;"
                "return [one.className || one.name || one.tagName,"
                " getComputedStyle(shown).outlineStyle !== 'none']"
            )
            reached.append(one[0])
            if one[0] == "BODY":
                break  # once around
            if one[0] in ("skip", "range", "open"):
                self._check(one[1], f"the focus is not seen on {one[0]}")
            if one[0] == "range" and reached.count("range") == 1:
                before = self._row("web")["timeline"]
                self._browser.press("Right")
                after = self._row("web")["timeline"]
                self._check(before != after, f"an arrow key leaves the range at {after}")
            if one[0] == "open" and reached.count("open") == 1:
                self._browser.press("Enter")
                isOpen = "return document.activeElement.getAttribute('aria-expanded')"
                self._check(self._browser.run(isOpen) == "true", "Enter opens no details")
            if one[0] == "scroll":
                time.sleep(5.0)  # the page has two more answers
                name = self._browser.run("return document.activeElement.className")
                self._check(name == "scroll", f"the focus moves to {name!r} by itself")
        self._check(reached.count("open") == 3, f"Tab reaches {reached}")

    def _takeOver(self, first: Host, second: Host) -> None:
        """
        When the master is killed, the page of the backup shows who is master now, and says it.
        """
        self._open(second)
        self._check(self._row("web")["state"] == "BACKUP", "the second host is a backup")
        first.kill()
        begin = time.monotonic()
        until(lambda: self._row("web")["state"] == "MASTER", "the page shows the take-over", 15)
        print(f"  shown {time.monotonic() - begin:.2f} s after the kill")
        until(lambda: "web: BACKUP" in self._text("#said"), "a screen reader is told", 15)
        until(lambda: "this host" in self._row("web")["timeline"], "the timeline has it", 15)
        first.start()
        until(lambda: self._row("web")["state"] == "BACKUP", "the page shows the return", 30)
        until(lambda: "heard" in self._row("web")["master"], "the page shows the master", 15)

    def _noAnswer(self, host: Host) -> None:
        """
        A page whose daemon is gone, or hangs, says so, and is live again when it is back.
        """
        self._open(host)
        host.kill()
        said = "has given no answer since"
        until(lambda: said in self._text("#lost"), "the end is noticed", _NOTICED)
        time.sleep(4.0)
        self._browser.picture(self._pictures / "lost.png", whole=True)
        self._accessible("lost")
        host.start()
        until(lambda: self._text("#linktext") == "Live", "the page is live again", 30)
        assert host.daemon is not None
        host.daemon.send_signal(signal.SIGSTOP)
        until(lambda: self._text("#linktext") != "Live", "the hang is noticed", _NOTICED)
        host.daemon.send_signal(signal.SIGCONT)
        until(lambda: self._text("#linktext") == "Live", "the page is live once more", 30)

    def _hidden(self, host: Host) -> None:
        """
        A page that nobody sees asks for nothing.
        """
        self._open(host)
        self._browser.run(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        time.sleep(1.0)
        count = "return performance.getEntriesByType('resource').length"
        before = self._browser.run(count)
        time.sleep(6.0)
        self._check(self._browser.run(count) == before, "a hidden page asks")
        self._browser.run(
            "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))"
        )
        until(lambda: self._browser.run(count) > before, "the page asks again")

    def _many(self, host: Host) -> None:
        """
        250 groups are readable, and cost little.
        """
        host.kill()
        host.write(manyGroups(250))
        host.start()
        until(lambda: len(self._masters(host)) == 250, "250 groups run")
        time.sleep(8.0)
        idle = self._cost(host)
        begin = time.monotonic()
        self._browser.open(host.url)
        until(lambda: self._browser.run("return document.querySelectorAll('.row').length") == 250,
              "the page has 250 groups")
        print(f"  shown after {time.monotonic() - begin:.2f} s")
        busy = self._cost(host)
        print(f"  processor time of the daemon: {idle:.1%} without the page, {busy:.1%} with it")
        self._check(busy - idle < 0.15, "the page costs the daemon more than 15 %")
        self._browser.run(
            "const find = document.getElementById('find'); find.value = 'g024';"
            "find.dispatchEvent(new Event('input'))"
        )
        shown = "return document.querySelectorAll('.row:not([hidden])').length"
        self._check(self._browser.run(shown) == 10, "the search finds ten groups")
        self._browser.picture(self._pictures / "many-found.png")
        self._browser.run(
            "const find = document.getElementById('find'); find.value = '';"
            "find.dispatchEvent(new Event('input'))"
        )
        self._browser.picture(self._pictures / "many.png")
        self._accessible("many")

    @staticmethod
    def _cost(host: Host, seconds: float = 20.0) -> float:
        before = host.seconds
        time.sleep(seconds)
        return (host.seconds - before) / seconds


def forManual(pictures: Path, docs: Path) -> None:
    """
    Make the pictures of the manual from some of the others.

    @raise OSError: If a program is missing that makes them small.
    """
    for source, name in (("manual-view", "page-desktop"), ("phone-view", "page-phone")):
        path = docs / f"{name}.png"
        shutil.copy(pictures / f"{source}.png", path)
        subprocess.run(
            ["pngquant", "--force", "--ext=.png", "--speed=1", "--strip", "128", path], check=True
        )
        subprocess.run(["optipng", "-quiet", "-o5", path], check=True)
