"""
Tests for L{txcarp.operate.page}, and for the answers that only the page needs.  What a browser
makes of it is tried by C{python -m tests.page}.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.operate.running import RunningTestCase
from txcarp import ControlResource
from txcarp.addresses import parseAddress
from txcarp.occurrences import OccurrenceKind
from txcarp.operate.control import Control
from txcarp.operate.endpoints import ReadingService
from txcarp.operate.page import loaded, page
from txcarp.protocol.periods import Who

#: Bytes of the largest page.
_LARGEST = 100_000

#: Elements that have no end.
_VOID = ("meta", "link", "input", "br")


class Document(HTMLParser):
    """
    What is in the page.

    @ivar attributes: All attributes, with the names of their elements.
    @ivar texts: The contents of all scripts and styles.
    @ivar ids: The identities of the elements.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.open: list[str] = []
        self.feed(text)
        self.ids = [value for _, name, value in self.attributes if name == "id"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.texts:
            self.texts[self.open[-1]].append(data)


class PageTests(SynchronousTestCase):
    """
    The document itself.
    """

    def setUp(self) -> None:
        self.page = page()
        self.text = self.page.body.decode()
        self.document = Document(self.text)
        self.policy = dict(self.page.headers)[b"Content-Security-Policy"].decode()

    def test_whole(self) -> None:
        """
        It is one small, well-formed file; what it consists of is in it.
        """
        self.assertEqual(self.document.open, [])
        self.assertLess(len(self.page.body), _LARGEST)
        self.assertNotIn("page.js", self.text)
        self.assertNotIn("page.css", self.text)
        self.assertEqual(len(set(self.document.ids)), len(self.document.ids))

    def test_policy(self) -> None:
        """
        The policy permits the one script and the one style that are there, and nothing else.
        """
        for kind, texts in self.document.texts.items():
            [text] = texts
            digest = b64encode(sha256(text.encode()).digest()).decode()
            self.assertIn(f"; {kind}-src 'sha256-{digest}'; ", self.policy)
        rules = dict(rule.split(" ", 1) for rule in self.policy.split("; "))
        for rule in ("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"):
            self.assertEqual(rules[rule], "'none'")
        self.assertEqual((rules["connect-src"], rules["img-src"]), ("'self'", "data:"))
        self.assertNotIn("unsafe", self.policy)

    def test_nothingForeign(self) -> None:
        """
        Nothing is loaded from anywhere, and no attribute has a script or a style.
        """
        for tag, name, value in self.document.attributes:
            self.assertFalse(name.startswith("on") or name in ("style", "src"), (tag, name))
            if name in ("href", "action"):
                self.assertTrue(value.startswith(("#", "data:")), value)
        self.assertEqual(set(re.findall(r"\w+://[\w.]+", self.text)), {"http://www.w3.org"})
        self.assertEqual(re.findall(r"url\(|@import", self.text), [])

    def test_noMarkup(self) -> None:
        """
        The script makes no markup and no code of text.
        """
        [script] = self.document.texts["script"]
        makers = ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "Function(")
        for word in makers:
            self.assertNotIn(word, script)
        used = set(re.findall(r'\$\("(\w+)"\)', script))
        self.assertEqual(used - set(self.document.ids), set())

    def test_words(self) -> None:
        """
        The script listens for each kind of event, and there is a look for each kind of period.
        """
        [script] = self.document.texts["script"]
        listed = re.findall(r"(?s)const (?:NOTABLE|KINDS) = \[(.*?)\]", script)
        kinds = set(re.findall(r'"([\w-]+)"', " ".join(listed)))
        self.assertEqual(kinds, {kind.value for kind in OccurrenceKind} | {"listening"})
        [style] = self.document.texts["style"]
        for who in Who:
            self.assertIn(f".period.{who.name.lower()} {{", style)
            self.assertIn(f'class="swatch {who.name.lower()}"', self.text)


class ServingTestCase(RunningTestCase):
    """
    Tests with a TCP port that may have the page.

    @ivar page: Whether it has.
    """

    page = False

    def setUp(self) -> None:
        super().setUp()
        control = Control(self.carp, reactor, None, loaded(self.page))  # type: ignore[arg-type]
        self.reading = ReadingService(control, "tcp:0:interface=127.0.0.1", reactor)
        self.reading.privilegedStartService()
        self.reading.startService()
        self.addCleanup(self.reading.stopService)

    def asked(
        self, path: str, method: str = "GET", port: int | None = None, **headers: str
    ) -> Deferred[tuple[int, dict[str, str], bytes]]:
        """
        Send a request.

        @return: Fires with the status, the headers and the body.
        """
        reading: Any = self.reading._port

        def ask(number: int) -> tuple[int, dict[str, str], bytes]:
            connection = HTTPConnection("127.0.0.1", number, timeout=30)
            try:
                connection.request(method, path, headers=headers)
                response = connection.getresponse()
                return response.status, dict(response.getheaders()), response.read()
            finally:
                connection.close()

        return self.inThread(ask, port or reading.getHost().port)


class ServedTests(ServingTestCase):
    """
    A port with the page.
    """

    page = True

    async def test_served(self) -> None:
        """
        The page is at the root, with its policy.
        """
        status, headers, body = await self.asked("/")
        self.assertEqual((status, body), (200, page().body))
        self.assertEqual(headers["Content-Type"], "text/html; charset=utf-8")
        self.assertIn("script-src 'sha256-", headers["Content-Security-Policy"])
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(headers["Referrer-Policy"], "no-referrer")
        status, headers, body = await self.asked("/", "HEAD")
        self.assertEqual((status, body), (200, b""))

    async def test_refused(self) -> None:
        """
        Nothing can be sent to it, and it is not there under the name of another site.
        """
        self.assertEqual((await self.asked("/", "POST"))[0], 405)
        status, _, body = await self.asked("/", Host="evil.example")
        self.assertEqual((status, json.loads(body)["error"]), (403, "wrong-host"))
        self.assertEqual((await self.asked("//"))[0], 404)

    async def test_answers(self) -> None:
        """
        No browser takes other answers for a page.
        """
        _, headers, _ = await self.asked("/v1/status")
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(headers["Cross-Origin-Resource-Policy"], "same-origin")

    async def test_timeline(self) -> None:
        """
        There is who was master when, of all groups or of some.
        """
        self.becomeMaster()
        status, _, body = await self.asked("/v1/timeline")
        found = json.loads(body)
        self.assertEqual((status, found["schema"], found["time"]), (200, 1, 1.8e9 + 4))
        self.assertEqual([one["title"] for one in found["groups"]], ["web", None])
        before, last = found["groups"][0]["periods"]
        self.assertEqual((before["who"], before["begin"]), ("unknown", 1.8e9))
        self.assertEqual(
            last,
            {
                "begin": 1.8e9 + 3,
                "who": "own",
                "master": "",
                "reason": "silence",
                "explanation": "no advertisement within the dead time",
                "label": "this host",
            },
        )
        name = self.carp.virtualHosts[1].configuration.name
        _, _, body = await self.asked(f"/v1/timeline?group={name}&group=web&group={name}")
        names = [one["name"] for one in json.loads(body)["groups"]]
        self.assertEqual(names, [name, self.carp.virtualHosts[0].configuration.name])
        self.assertEqual((await self.asked("/v1/timeline?group=other"))[0], 404)

    async def test_twoMasters(self) -> None:
        """
        A group with two masters is not in order, as far as this host hears the other one.
        """
        self.becomeMaster()
        self.assertEqual((await self.asked("/readyz"))[0], 200)
        timeline = self.carp.virtualHosts[0]._memory.chronicle.timeline
        timeline.rival(parseAddress("10.99.0.9"), 1.0)
        status, _, body = await self.asked("/readyz")
        message = json.loads(body)["message"]
        self.assertEqual(status, 503)
        self.assertRegex(message, r"^\S*web\S*: 10\.99\.0\.9 is master, too\.$")
        _, _, body = await self.asked("/v1/groups/web")
        self.assertEqual(json.loads(body)["group"]["problem"], "10.99.0.9 is master, too")

    async def test_mounted(self) -> None:
        """
        In the site of another application, the page is at the path of the resource.
        """
        for wanted, code in ((True, 200), (False, 404)):
            root = Resource()
            root.putChild(b"carp", ControlResource(self.carp, page=wanted))
            port: Any = reactor.listenTCP(0, Site(root), interface="127.0.0.1")  # type: ignore
            self.addCleanup(port.stopListening)
            self.assertEqual((await self.asked("/carp/", port=port.getHost().port))[0], code)
            # Its questions would go to the root of the site.
            self.assertEqual((await self.asked("/carp", port=port.getHost().port))[0], 404)


class OffTests(ServingTestCase):
    """
    Without C{page}, there is none.
    """

    async def test_notServed(self) -> None:
        """
        There is nothing at the root.
        """
        status, headers, _ = await self.asked("/")
        self.assertEqual(status, 404)
        self.assertNotIn("Content-Security-Policy", headers)

    def test_installed(self) -> None:
        """
        The parts of the page belong to the package.
        """
        parts = Path(__file__).parents[2] / "txcarp" / "operate" / "web"
        self.assertEqual(
            sorted(one.name for one in parts.iterdir()), ["page.css", "page.html", "page.js"]
        )
        setup = (Path(__file__).parents[2] / "setup.cfg").read_text(encoding="utf-8")
        self.assertIn("operate/web/*", setup)
