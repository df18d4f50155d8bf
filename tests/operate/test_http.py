"""
Tests for endpoints on which everybody may read, and for L{txcarp.operate.resource}.
"""

from __future__ import annotations

import json
import socket
import time
from http.client import HTTPConnection
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.operate.running import RunningTestCase
from txcarp import ControlResource
from txcarp.operate import opening
from txcarp.operate.client import Client, NotPermitted
from txcarp.operate.connections import ACCEPTS, isOwnName
from txcarp.operate.endpoints import ReadingService
from txcarp.protocol.actor import Actor


class NameTests(SynchronousTestCase):
    """
    The names in requests.
    """

    def test_names(self) -> None:
        """
        Addresses and names of this host are its own, with a port or without, and no others.
        """
        self.patch(socket, "gethostname", lambda: "Web1.example.org")
        for name in ("", "localhost", "10.1.1.1", "[::1]", "web1", "web1.example.org", "WEB1."):
            for port in ("", ":9112"):
                self.assertTrue(isOwnName(name + port), name + port)
        for name in ("evil.example", "localhost.evil.example", "web1.evil", "[evil]", "1.2.3.4.x"):
            for port in ("", ":9112", ":x"):
                self.assertFalse(isOwnName(name + port), name + port)


class ReadingTests(RunningTestCase):
    """
    A TCP port of the same service.
    """

    def setUp(self) -> None:
        super().setUp()
        self.open("tcp:0:interface=127.0.0.1")

    def open(self, endpoint: str) -> ReadingService:
        """
        Answer on an endpoint.
        """
        self.reading = ReadingService(self.control, endpoint, reactor)
        self.reading.privilegedStartService()
        self.reading.startService()
        self.addCleanup(self.reading.stopService)
        return self.reading

    @property
    def port(self) -> int:
        """
        The number of the port.
        """
        port: Any = self.reading._port
        return int(port.getHost().port)

    def requested(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> Deferred[tuple[int, dict[str, Any]]]:
        """
        Send a request.

        @return: Fires with the status and the document.
        """

        def send(port: int) -> tuple[int, dict[str, Any]]:
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, json.loads(response.read())
            finally:
                connection.close()

        done: Deferred[tuple[int, dict[str, Any]]] = self.inThread(send, self.port)
        return done

    async def test_read(self) -> None:
        """
        Everything can be read: the state, explanations and events.
        """
        client = Client(address=("127.0.0.1", self.port))
        found = await self.inThread(client.status)
        self.assertEqual([one["vhid"] for one in found["groups"]], [7, 8])
        found = await self.inThread(client.explain, "web")
        self.assertIn("BACKUP", found["lines"][0])
        event = await self.inThread(lambda: next(client.events(["web"])))
        self.assertEqual((event["event"], event["group"]), ("state", "web"))

    async def test_nothingChanges(self) -> None:
        """
        Nothing can be changed, whatever user asks.
        """
        client = Client(address=("127.0.0.1", self.port))
        for ask in (
            lambda: client.demote("web", "x", 1),
            lambda: client.takeOver("web"),
            lambda: client.reload(dryRun=True),
        ):
            error = await self.assertFailure(self.inThread(ask), NotPermitted)
            self.assertEqual(error.word, "not-permitted")
        self.assertEqual(self.carp.virtualHosts[0].status().demotions, {})

    async def test_otherNames(self) -> None:
        """
        A request to another name is refused, which a page of another site would make.
        """
        status, found = await self.requested("GET", "/v1/status", Host="evil.example:9112")
        self.assertEqual((status, found["error"]), (403, "wrong-host"))

    async def test_readyz(self) -> None:
        """
        C{/healthz} says that the process lives, and C{/readyz} whether all groups are in order.
        """
        status, found = await self.requested("GET", "/healthz")
        self.assertEqual((status, found["healthy"]), (200, True))
        status, found = await self.requested("GET", "/readyz")
        self.assertEqual((status, found["error"]), (503, "not-ready"))
        self.assertIn("no master is heard", found["message"])
        self.becomeMaster()
        status, found = await self.requested("GET", "/readyz")
        self.assertEqual((status, found.get("ready")), (200, True), found)
        self.platform.links.change(self.carp.virtualHosts[0].configuration.interface, up=False)
        status, found = await self.requested("GET", "/readyz")
        self.assertEqual(status, 503)
        self.assertRegex(found["message"], r"held back from the election \(no link\); .*\.$")
        await self.carp.removeVirtualHost(self.carp.virtualHosts[0])
        await self.carp.removeVirtualHost(self.carp.virtualHosts[0])
        status, _ = await self.requested("GET", "/readyz")
        self.assertEqual(status, 503)

    async def test_fewAccepts(self) -> None:
        """
        In one turn of the reactor, few connections are accepted, however many wait.
        """
        port: Any = self.reading._port
        made: list[int] = []
        read, build = port.doRead, port.factory.buildProtocol

        def doRead() -> object:
            made.append(0)
            return read()

        def buildProtocol(address: object) -> object:
            made[-1] += 1
            return build(address)

        self.patch(port, "doRead", doRead)
        self.patch(port.factory, "buildProtocol", buildProtocol)
        for _ in range(40):
            connection = socket.create_connection(("127.0.0.1", self.port))
            self.addCleanup(connection.close)
        for _ in range(1000):
            if sum(made) == 40:
                break
            await self.inThread(time.sleep, 0.01)
        self.assertEqual((sum(made), max(made)), (40, ACCEPTS))

    async def test_inUse(self) -> None:
        """
        A port that is in use is logged once, and tried again until it is free.
        """
        self.patch(opening, "RETRY", 0.05)
        first, port = self.reading, self.port
        with capturedLogs() as events:
            second = self.open(f"tcp:{port}:interface=127.0.0.1")
        said = [str(formatEvent(event)) for event in events if event.get("log_level")]
        [line] = [one for one in said if "cannot be opened" in one]
        self.assertIn("Address already in use", line)
        await first.stopService()
        for _ in range(1000):
            if second._port is not None:
                break
            await self.inThread(time.sleep, 0.01)
        await self.inThread(Client(address=("127.0.0.1", port)).status)


class ResourceTests(RunningTestCase):
    """
    The same in the site of another application.

    @ivar actor: Who asks, according to the application.
    """

    actor: Actor | None = None

    def setUp(self) -> None:
        super().setUp()
        root = Resource()
        self.resource = ControlResource(self.carp, actorOf=lambda request: self.actor)
        root.putChild(b"carp", self.resource)
        listening: Any = reactor
        self.site = listening.listenTCP(0, Site(root), interface="127.0.0.1")
        self.addCleanup(self.site.stopListening)

    def requested(self, method: str, path: str, body: str = "") -> Deferred[tuple[int, Any]]:
        """
        Send a request.

        @return: Fires with the status and the first line of the answer.
        """

        def send(port: int) -> tuple[int, Any]:
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request(method, path, body)
                response = connection.getresponse()
                return response.status, json.loads(response.readline())
            finally:
                connection.close()

        done: Deferred[tuple[int, Any]] = self.inThread(send, self.site.getHost().port)
        return done

    async def test_read(self) -> None:
        """
        The paths are below that of the resource.
        """
        status, found = await self.requested("GET", "/carp/v1/groups/web")
        self.assertEqual((status, found["group"]["vhid"]), (200, 7))
        status, found = await self.requested("GET", "/carp/v1/status?x=y")
        self.assertEqual((status, len(found["groups"])), (200, 2))
        for path in ("/carp", "/carp/", "/carp/v1/groups/web/", "/carp/v1/groups/w%2Fb%FF"):
            status, found = await self.requested("GET", path)
            self.assertEqual(status, 404, path)
            self.assertIn(found["error"], ("no-such-path", "no-such-group"))

    async def test_events(self) -> None:
        """
        A stream ends when its reader goes.
        """
        status, found = await self.requested("GET", "/carp/v1/events?group=web")
        self.assertEqual((status, found["event"]), (200, "state"))
        readers = self.resource._control.streams._readers
        for _ in range(1000):
            if not readers:
                break
            await self.inThread(time.sleep, 0.01)
        self.assertEqual(readers, {})

    async def test_acting(self) -> None:
        """
        Only those change something of whom the application says so.
        """
        path, body = "/carp/v1/groups/web/demote", '{"reason": "x", "amount": 5}'
        status, found = await self.requested("POST", path, body)
        self.assertEqual((status, found["error"]), (403, "not-permitted"))
        self.actor = Actor(None, "alice", None)
        status, found = await self.requested("POST", path, body)
        self.assertEqual((status, found["group"]["demotions"]), (200, {"x": 5}))
        self.assertEqual(found["group"]["history"][-1]["occurrence"]["actor"]["name"], "alice")
        status, found = await self.requested("POST", path, " " * 5000)
        self.assertEqual((status, found["error"]), (413, "too-long"))
