"""
Tests for L{txcarp.operate.server}, L{txcarp.operate.control} and L{txcarp.operate.client}, with
real sockets.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.task import Clock, LoopingCall
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import crafted
from tests.fakes import FakePlatform, Journal, configured, runTo
from tests.operate.running import RunningTestCase, shortDirectory
from txcarp import __version__
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.operate import connections, opening, server
from txcarp.operate.client import Client, ControlError, NoDaemon, NotPermitted
from txcarp.operate.connections import Channel, ControlFactory
from txcarp.operate.control import Control, Streaming
from txcarp.operate.documents import SCHEMA, Answer
from txcarp.operate.gathering import Gathering
from txcarp.operate.request import USUAL_WAIT, Request
from txcarp.operate.server import ControlService
from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import Role
from txcarp.protocol.freshness import SealedSource
from txcarp.service import CARPService
from txcarp.status.snapshot import Status


def talk(path: str, data: bytes, limit: float = 30.0) -> bytes:
    """
    Write something to a socket, and read until the other side closes it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(limit)
        connection.connect(path)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        received = b""
        try:
            while piece := connection.recv(1 << 16):
                received += piece
        except ConnectionResetError:
            pass
        return received


class ReadingTests(RunningTestCase):
    """
    What is asked.
    """

    async def test_status(self) -> None:
        """
        The status has all groups, with every field.
        """
        self.becomeMaster()
        found = await self.asking(Client.status)
        self.assertEqual(found["schema"], SCHEMA)
        self.assertEqual(found["version"], __version__)
        self.assertEqual((found["pid"], found["host"]), (os.getpid(), socket.gethostname()))
        web, other = found["groups"]
        self.assertEqual((web["title"], web["role"], web["vhid"]), ("web", "MASTER", 7))
        self.assertEqual((other["title"], other["name"]), (None, f"{web['interface']}:8"))

    async def test_group(self) -> None:
        """
        One group is asked for by its name in the file, or by its interface and number.
        """
        names = ("web", self.carp.virtualHosts[0].configuration.name)
        for name in names:
            found = await self.asking(lambda client, name=name: client.group(name))
            self.assertEqual((found["vhid"], found["role"]), (7, "BACKUP"))

    async def test_unknownGroup(self) -> None:
        """
        The error for an unknown group names those that there are.
        """
        failure = await self.assertFailure(
            self.asking(lambda client: client.group("wbe/../x y")), ControlError
        )
        self.assertEqual(failure.word, "no-such-group")
        self.assertIn("'wbe/../x y'", str(failure))
        self.assertIn("web", str(failure))

    async def test_noSecrets(self) -> None:
        """
        The password is in no answer.
        """
        data = await self.inThread(talk, self.path, b"GET /v1/status HTTP/1.0\r\n\r\n")
        self.assertIn(b'"web"', data)
        self.assertNotIn(crafted.PASSWORD, data)

    async def test_paths(self) -> None:
        """
        Wrong paths and methods have errors of their own.
        """
        for line, code, word in (
            (b"GET /v2/status", 404, "no-such-path"),
            (b"GET /", 404, "no-such-path"),
            (b"POST /v1/status", 405, "wrong-method"),
            (b"BREW /v1/groups/web", 405, "wrong-method"),
            (b"GET /v1/groups/web/takeover", 405, "wrong-method"),
            (b"POST /v1/groups/web/explode", 404, "no-such-path"),
            (b"POST /v1/reload", 409, "no-file"),
        ):
            data = await self.inThread(talk, self.path, line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            head, _, body = data.partition(b"\r\n\r\n")
            self.assertIn(b" %d " % code, head.split(b"\r\n")[0], line)
            document = json.loads(body)
            self.assertEqual((document["error"], document["schema"]), (word, SCHEMA), line)
            self.assertRegex(document["message"], r"^[A-Z].*\.$")


class ActingTests(RunningTestCase):
    """
    What is told.
    """

    async def test_demotion(self) -> None:
        """
        A demotion begins and ends; who asked is logged.
        """
        with capturedLogs() as events:
            found = await self.asking(lambda client: client.demote("web", "upgrade", 50))
        self.assertEqual((found["demotions"], found["demotion"]), ({"upgrade": 50}, 50))
        self.assertEqual(self.carp.virtualHosts[0].status().demotions, {"upgrade": 50})
        said = [str(formatEvent(event)) for event in events]
        name = pwd.getpwuid(os.geteuid()).pw_name
        who = f"Asked by {name}, uid {os.geteuid()}, process {os.getpid()}: demote web"
        self.assertTrue([line for line in said if line.startswith(who)], said)
        self.assertTrue([line for line in said if "(reason 'upgrade', amount 50)" in line], said)
        found = await self.asking(lambda client: client.promote("web", "upgrade"))
        self.assertEqual(found["demotions"], {})
        failure = await self.assertFailure(
            self.asking(lambda client: client.promote("web", "upgrade")), ControlError
        )
        self.assertEqual(failure.word, "not-demoted")

    async def test_badDemotions(self) -> None:
        """
        What cannot be a demotion is refused.
        """
        for reason, amount in (
            ("", 5),
            ("two\nlines", 5),
            ("x" * 65, 5),
            (5, 5),
            ("x", 256),
            ("x", "5"),
            ("x", True),
            ("x", 10**3000),
        ):
            failure = await self.assertFailure(
                self.asking(lambda client, r=reason, a=amount: client.demote("web", r, a)),
                ControlError,
            )
            self.assertEqual(failure.word, "bad-request")
        self.assertEqual(self.carp.virtualHosts[0].status().demotions, {})

    async def test_takeover(self) -> None:
        """
        This host becomes master on request; if it is held back, the error says why.
        """
        found = await self.asking(lambda client: client.takeOver("web"))
        self.assertEqual(found["role"], "MASTER")
        self.assertEqual(self.carp.virtualHosts[1].role, Role.BACKUP)
        self.platform.links.change(self.carp.virtualHosts[0].configuration.interface, up=False)
        failure = await self.assertFailure(
            self.asking(lambda client: client.takeOver("web")), ControlError
        )
        self.assertEqual(failure.word, "held-back")
        self.assertIn("no link", str(failure))

    async def test_forget(self) -> None:
        """
        A host is forgotten in all groups or in one; it is an error if none knows it.
        """
        known = socket.inet_aton("10.99.0.9")
        for host in self.carp.virtualHosts:
            assert host._memory.seals is not None
            host._memory.seals.freshness._know(known, SealedSource(5))
        first, second = [host.configuration.name for host in self.carp.virtualHosts]
        found = await self.asking(lambda client: client.forget("10.99.0.9", "web"))
        self.assertEqual(found, [first])
        found = await self.asking(lambda client: client.forget("10.99.0.9"))
        self.assertEqual(found, [second])
        for address, group, word in (
            ("10.99.0.9", None, "not-known"),
            ("10.99.0.9", "wbe", "no-such-group"),
            ("10.99.0", None, "bad-request"),
        ):
            error = await self.assertFailure(
                self.asking(lambda client, a=address, g=group: client.forget(a, g)), ControlError
            )
            self.assertEqual(error.word, word)

    async def test_forgetAndSave(self) -> None:
        """
        With a state store, that is saved before the answer; a disk that is full is an error.
        """
        asked: list[tuple[bytes, str | None]] = []
        result: Deferred[list[str]] = Deferred()

        def forget(address: bytes, group: str | None) -> Deferred[list[str]]:
            asked.append((address, group))
            return result

        self.platform.store = SimpleNamespace(forget=forget)  # type: ignore[assignment]
        self.addCleanup(setattr, self.platform, "store", None)
        body = b'{"address": "10.99.0.9", "group": "web"}'
        root = Actor(0, "root", 1)
        answer = self.control.answer(Request("POST", ("v1", "forget"), body, root))
        assert isinstance(answer, Deferred)
        self.assertNoResult(answer)
        name = self.carp.virtualHosts[0].configuration.name
        self.assertEqual(asked, [(socket.inet_aton("10.99.0.9"), name)])
        result.errback(OSError(28, "No space left on device"))
        document = json.loads(self.successResultOf(answer).body)
        self.assertEqual(document["error"], "not-saved")
        self.assertIn("No space left", document["message"])

    def test_strangers(self) -> None:
        """
        A user without the right to act reads, and changes nothing.
        """
        for actor in (None, Actor(65534, "", 1, False)):
            for path in (
                ("v1", "groups", "web", "demote"),
                ("v1", "groups", "web", "promote"),
                ("v1", "groups", "web", "takeover"),
                ("v1", "reload"),
                ("v1", "forget"),
            ):
                given = b'{"reason": "x", "amount": 1, "dry_run": true}'
                answer = self.control.answer(Request("POST", path, given, actor))
                if isinstance(answer, Deferred):
                    answer = self.successResultOf(answer)
                assert isinstance(answer, Answer)
                self.assertEqual(answer.code, 403)
                self.assertEqual(json.loads(answer.body)["error"], "not-permitted")
            read = self.control.answer(Request("GET", ("v1", "groups", "web"), b"", actor))
            assert isinstance(read, Answer)
            self.assertEqual(read.code, 200)
        [web, _] = self.carp.virtualHosts
        self.assertEqual((web.role, web.status().demotions), (Role.BACKUP, {}))

    async def test_credentials(self) -> None:
        """
        The kernel says who asks: another user may not act.
        """
        if os.geteuid() != 0:
            raise SkipTest("only root can become another user")
        os.chmod(os.path.dirname(self.path), 0o755)
        os.chmod(self.path, 0o666)
        code = (
            "import os, sys; os.setuid(65534)\n"
            "from txcarp.operate.client import *\n"
            "client = Client(sys.argv[1])\n"
            "print(client.group('web')['role'])\n"
            "try: client.demote('web', 'x', 1)\n"
            "except NotPermitted as error: print(error)\n"
        )
        # The other user cannot write down what is covered.
        environment = {
            name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")
        }
        done = await self.inThread(
            lambda: subprocess.run(
                [sys.executable, "-c", "import txcarp.operate.client, json, http.client\n" + code]
                + [self.path],
                capture_output=True,
                text=True,
                check=False,
                env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        )
        self.assertEqual(done.stderr, "")
        role, why = done.stdout.splitlines()
        self.assertEqual(role, "BACKUP")
        self.assertIn("uid 65534 may read, but not act", why)
        self.assertEqual(self.carp.virtualHosts[0].status().demotions, {})


class BoundsTests(RunningTestCase):
    """
    Clients that are many, slow or mad.
    """

    def configurations(self) -> list[VirtualHostConfiguration]:
        """
        Enough groups for an answer that no buffer of the kernel holds.
        """
        return [
            configured(vhid=1 + number, addresses=[f"10.99.1.{1 + number}"], neutral=True)
            for number in range(250)
        ]

    def connected(self) -> int:
        """
        The number of connections that the server has.
        """
        port: Any = self.service._port
        return int(port.factory.connected)

    async def until(self, condition: Any) -> None:
        """
        Wait for a condition.
        """
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end, "it did not happen")
            await self.inThread(time.sleep, 0.01)

    async def test_manyClients(self) -> None:
        """
        A hundred clients at once get all groups, and the beats of the reactor stay on time.
        """
        beats: list[float] = []
        beat = LoopingCall(lambda: beats.append(time.monotonic()))
        beat.start(0.01)
        self.addCleanup(lambda: beat.running and beat.stop())
        reactor.suggestThreadPoolSize(100)  # type: ignore[attr-defined]
        self.addCleanup(reactor.suggestThreadPoolSize, 10)  # type: ignore[attr-defined]
        found = await gatherResults([self.asking(Client.status) for _ in range(100)])
        self.assertEqual({len(one["groups"]) for one in found}, {250})
        gaps = [later - earlier for earlier, later in pairwise(beats)]
        # 100 threads of this process compete with the reactor for its interpreter.
        self.assertLess(max(gaps), 5.0)

    def test_requestsInTurn(self) -> None:
        """
        In one turn of the reactor, one request is handled at most, however many arrive; a program
        that goes before its turn is forgotten.
        """
        clock = Clock()
        turns: list[Any] = []
        self.patch(clock, "callLater", lambda delay, *call: turns.append(partial(*call)))
        factory = ControlFactory(self.control, clock)
        handled: list[int] = []
        for number in range(3):
            channel = Channel()
            channel.factory = factory
            self.patch(channel, "takeTurn", partial(handled.append, number))
            channel.dataReceived(b"GET /")
            channel.dataReceived(b"v1/status HTTP/1.0\r\n\r\n")
        for number in range(3):
            self.assertEqual(len(handled), number)
            self.assertEqual(len(turns), 1)
            turns.pop()()
        self.assertEqual((handled, turns), ([0, 1, 2], []))

    async def test_unfinished(self) -> None:
        """
        Programs that go without a request, or in the middle of one, leave nothing behind.
        """
        part = b"POST /v1/reload HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
        for data in (b"", b"GET /v1/sta", part):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.path)
            connection.sendall(data)
            await self.until(lambda: self.connected() == 1)
            connection.close()
            await self.until(lambda: self.connected() == 0)

    def test_turns(self) -> None:
        """
        The reactor has a turn between any two groups; requests meanwhile share the next pass.
        """
        calls: list[int] = []
        turns: list[Any] = []
        scheduler: Any = SimpleNamespace(
            callLater=lambda delay, *call: turns.append(partial(*call))
        )
        host = self.carp.virtualHosts[0]

        def status(number: int) -> Status:
            calls.append(number)
            return host.status()

        gathering = Gathering(scheduler, lambda: [partial(status, one) for one in range(3)])
        first = gathering.gather()
        later = [gathering.gather(), gathering.gather()]
        self.assertEqual(calls, [0])
        turns.pop()()
        self.assertEqual(calls, [0, 1])
        self.assertNoResult(first)
        turns.pop()()
        self.assertEqual(len(self.successResultOf(first)), 3)
        self.assertEqual(calls, [0, 1, 2])
        for _ in range(3):
            turns.pop()()
        self.assertEqual(calls, [0, 1, 2] * 2)
        self.assertEqual([one.called for one in later], [True, False])
        while turns:
            self.assertEqual(len(turns), 1)
            turns.pop()()
        self.assertEqual([len(self.successResultOf(one)) for one in later], [3, 3])
        self.assertEqual(calls, [0, 1, 2] * 2)

    def test_fault(self) -> None:
        """
        A fault while a status is made goes to those who wait for it, and not to later ones.
        """
        faulty = [True]

        def status() -> Status:
            if faulty.pop():
                raise ZeroDivisionError
            return self.carp.virtualHosts[0].status()

        clock = Clock()
        gathering = Gathering(clock, lambda: [status])
        self.failureResultOf(gathering.gather(), ZeroDivisionError)
        faulty.append(False)
        clock.advance(0)
        self.successResultOf(gathering.gather())

    async def test_tooMany(self) -> None:
        """
        A client too many is told so; when one has gone, there is room again.
        """
        self.patch(connections, "MOST_CLIENTS", 2)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for one in waiting:
            self.addCleanup(one.close)
            one.connect(self.path)
        await self.until(lambda: self.connected() == 2)
        failure = await self.assertFailure(self.asking(Client.status), ControlError)
        self.assertEqual(failure.word, "too-many-clients")
        waiting[0].close()
        await self.until(lambda: self.connected() == 1)
        found = await self.asking(Client.status)
        self.assertEqual(len(found["groups"]), 250)

    async def test_slow(self) -> None:
        """
        A client that sends no request, or half of one, or does not read, is cut off.
        """
        self.patch(connections, "PATIENCE", 0.2)
        made: list[Any] = []
        connectionMade = connections.Channel.connectionMade

        def make(channel: Any) -> None:
            # No answer fits into what the kernel keeps.
            channel.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            connectionMade(channel)
            made.append(channel)

        self.patch(connections.Channel, "connectionMade", make)
        for sent in (b"", b"GET /v1/sta", b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"):
            made.clear()
            with socket.socket(socket.AF_UNIX) as slow:
                slow.connect(self.path)
                slow.sendall(sent)
                await self.until(lambda: made)
                await self.until(lambda: self.connected() == 0)

    async def test_pipelined(self) -> None:
        """
        A thousand requests in one packet get one answer, so that nobody fills the memory.
        """
        request = b"GET /v1/groups/nobody HTTP/1.1\r\nHost: x\r\n\r\n"
        data = await self.inThread(talk, self.path, request * 1000)
        self.assertEqual(data.count(b"HTTP/1.1 404"), 1)

    async def test_long(self) -> None:
        """
        A long body, announced or in chunks, is refused and not kept.
        """
        head = b"POST /v1/groups/web/demote HTTP/1.1\r\nHost: x\r\n"
        announced = head + b"Content-Length: 300000\r\n\r\n" + b"x" * 300000
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 50 + b"0\r\n\r\n"
        for data in (announced, chunked):
            answer = await self.inThread(talk, self.path, data)
            self.assertIn(b" 413 ", answer.split(b"\r\n")[0])
            self.assertIn(b'"too-long"', answer)

    async def test_page(self) -> None:
        """
        The page of a site that makes a browser reach the socket, as through C{ssh -L}, changes
        nothing.
        """
        head = b"POST /v1/drain HTTP/1.1\r\nHost: localhost:8080\r\n"
        head += b"Content-Type: text/plain\r\nOrigin: http://evil.example\r\n\r\n"
        answer = await self.inThread(talk, self.path, head)
        self.assertIn(b" 403 ", answer.split(b"\r\n")[0])
        self.assertIn(b'"from-a-page"', answer)
        self.assertEqual(self.carp.virtualHosts[0].status().holds, [])

    async def test_gone(self) -> None:
        """
        A client that leaves before it has its answer is no fault.
        """
        with socket.socket(socket.AF_UNIX) as impatient:
            impatient.connect(self.path)
            impatient.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
            await self.until(lambda: self.connected() == 1)
        await self.until(lambda: self.connected() == 0)
        found = await self.asking(Client.status)
        self.assertEqual(len(found["groups"]), 250)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_fuzzed(self) -> None:
        """
        Whatever arrives, nothing is raised, and the next client is answered.
        """
        words = [b"GET", b"POST", b" ", b"/v1/status", b"/v1/groups/web", b"/%ff", b" HTTP/1.1"]
        words += [b"GET /v1/events", b"?group=", b"&", b"=", b"Last-Event-ID: 5-5\r\n"]
        words += [b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"-1", b"5", b"{}", b"\0", b"\xff"]
        words += [b"Transfer-Encoding: chunked", b"Host: x", b"0\r\n\r\n", b"Expect: 100-continue"]
        words += [b"/demote", b'{"reason": "x"', b"[" * 2000, b"Connection: close"]
        pieces = st.lists(st.one_of(st.sampled_from(words), st.binary(max_size=40)), max_size=14)
        found: list[bytes] = []

        @settings(max_examples=150, database=None, deadline=None)
        @given(pieces)
        def collect(some: list[bytes]) -> None:
            found.append(b"".join(some))

        collect()
        for start in range(0, len(found), 10):
            some = found[start : start + 10]
            results = await DeferredList(
                [self.inThread(talk, self.path, data) for data in some], fireOnOneErrback=True
            )
            self.assertEqual(len(results), len(some))
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(len((await self.asking(Client.status))["groups"]), 250)


class AnythingTests(SynchronousTestCase):
    """
    Requests of any content, without a socket.
    """

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(["GET", "POST", "HEAD", "PUT", "get", ""]),
        st.lists(
            st.one_of(
                st.sampled_from(["v1", "groups", "status", "web", "demote", "promote", "reload"]),
                st.sampled_from(["v1", "groups", "web", "takeover", "drain", "resume"]),
                st.sampled_from(["v1", "events", "forget", "healthz", "readyz"]),
                st.text(max_size=8),
            ),
            max_size=5,
        ),
        st.one_of(
            st.binary(max_size=60),
            st.recursive(
                st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text()),
                lambda inner: st.lists(inner) | st.dictionaries(
                    st.sampled_from(["reason", "amount", "dry_run", "for", "anyway", "wait"])
                    | st.sampled_from(["address", "group"]),
                    inner,
                ),
                max_leaves=6,
            ).map(lambda value: json.dumps(value).encode()),
        ),
        st.sampled_from([None, Actor(0, "root", 1, True), Actor(7, "", 1, False)]),
        st.dictionaries(st.sampled_from(["group", "x"]), st.lists(st.text(max_size=5))),
        st.text(max_size=9),
    )
    def test_answered(
        self,
        method: str,
        path: list[str],
        body: bytes,
        actor: Actor | None,
        query: dict[str, list[str]],
        text: str,
    ) -> None:
        """
        Each of them has an answer in JSON, or one without an end that begins with JSON.
        """
        answer = self.control.answer(
            Request(method, tuple(path), body, actor, query, text, text)
        )
        if isinstance(answer, Streaming):
            written: list[bytes] = []
            reader = answer.begin(written.append, lambda: None)
            runTo(self.clock, self.clock.seconds() + 1)
            reader.gone()
            self.assertIn(json.loads(written[0].splitlines()[0])["event"], ("state", "listening"))
            return
        if not isinstance(answer, Answer):
            runTo(self.clock, self.clock.seconds() + USUAL_WAIT)
            answer = self.successResultOf(answer)
        document = json.loads(answer.body)
        self.assertEqual(document["schema"], SCHEMA)
        self.assertEqual("error" in document, answer.code != 200)

    def setUp(self) -> None:
        self.clock = Clock()
        platform = FakePlatform(self.clock, Journal())
        carp = CARPService([configured(title="web")], platform=platform)
        carp.startService()
        self.control = Control(carp, self.clock)


class SocketTests(RunningTestCase):
    """
    The file of the socket.
    """

    def second(self, path: str | None = None) -> tuple[ControlService, list[str]]:
        """
        Start another service, on the same path by default.

        @return: What it logs, too.
        """
        service = ControlService(self.control, path or self.path, reactor)
        self.addCleanup(service.stopService)
        with capturedLogs() as events:
            service.privilegedStartService()
            service.startService()
        said = [str(formatEvent(event)) for event in events if event.get("log_level")]
        return service, [line for line in said if "txcarp status" in line]

    def test_mode(self) -> None:
        """
        Only the user and the group of the process can open it.
        """
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)

    async def test_end(self) -> None:
        """
        At the end the file is removed, but not if it has been replaced.
        """
        await self.service.stopService()
        self.assertFalse(self.socketExists())
        service = self.serve()
        os.unlink(self.path)
        with open(self.path, "w"):
            pass
        await service.stopService()
        self.assertTrue(self.socketExists())

    async def test_stale(self) -> None:
        """
        The socket of a process that has died is replaced.
        """
        await self.service.stopService()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.path)
        failure = await self.assertFailure(self.asking(Client.status), NoDaemon)
        self.assertIn("start one", str(failure))
        _, [said] = self.second()
        self.assertIn(f"reach this process through {self.path}", said)
        await self.asking(Client.status)

    async def test_living(self) -> None:
        """
        That of a process that lives is not; it is tried again until the process has ended.
        """
        self.patch(opening, "RETRY", 0.05)
        _, [said] = self.second()
        self.assertIn(f"process {os.getpid()} answers on {self.path}", said)
        self.assertIn("--control", said)
        found = await self.asking(Client.status)
        self.assertEqual(len(found["groups"]), 2)
        await self.service.stopService()
        end = time.monotonic() + 30
        while not self.socketExists():
            self.assertLess(time.monotonic(), end)
            await self.inThread(time.sleep, 0.01)
        await self.asking(Client.status)

    async def test_race(self) -> None:
        """
        Of two that find the socket of a dead process at one instant, one gets it, and the other
        one tries again.
        """
        await self.service.stopService()
        self.patch(opening, "RETRY", 60.0)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.path)
        remove, said = server.removeStale, []

        def slowly(path: str) -> None:
            self.patch(server, "removeStale", remove)
            said.extend(self.second()[1])
            remove(path)

        self.patch(server, "removeStale", slowly)
        _, lines = self.second()
        self.assertIn("reach this process through", lines[-1])
        [other] = [line for line in said if "cannot reach" in line]
        self.assertIn(f"another process is about to open {self.path}", other)
        await self.asking(Client.status)

    async def test_lock(self) -> None:
        """
        The lock is held as long as the socket, and its file is removed with it.  A lock on a file
        that was removed is none.
        """
        lock = f"{self.path}.lock"
        self.assertRaises(server.InUse, server.lockBeside, self.path)
        await self.service.stopService()
        self.assertFalse(os.path.exists(lock))
        flock, files = fcntl.flock, []

        def replaced(descriptor: int, how: int) -> None:
            flock(descriptor, how)
            if not files:
                files.append(descriptor)
                os.unlink(lock)

        self.patch(fcntl, "flock", replaced)
        descriptor = server.lockBeside(self.path)
        self.assertTrue(os.path.samestat(os.fstat(descriptor), os.stat(lock)))
        os.close(descriptor)

    def test_owner(self) -> None:
        """
        The socket belongs to the user that the process becomes.
        """
        path = str(shortDirectory(self) / "run" / "control.sock")
        self.patch(server, "CONTROL_SOCKET", path)
        given = []
        self.patch(os, "chown", lambda *words, **more: given.append((*words, more)))
        service = ControlService(self.control, path, reactor, (33, -1))
        self.addCleanup(service.stopService)
        service.privilegedStartService()
        more = {"follow_symlinks": False}
        self.assertEqual(given, [(os.path.dirname(path), 33, -1, more), (path, 33, -1, more)])

    def test_impossible(self) -> None:
        """
        What keeps the socket from being opened is logged, and nothing is raised.
        """
        directory = shortDirectory(self)
        (directory / "file").write_text("mine")
        for name, reason in (
            ("missing/control.sock", "No such file or directory"),
            ("file", "the file exists, and is no socket"),
            ("x" * 110, "too long"),
        ):
            _, [said] = self.second(str(directory / name))
            self.assertIn("cannot be opened", said)
            self.assertIn(reason, said)
        self.assertEqual((directory / "file").read_text(), "mine")

    async def test_notPermitted(self) -> None:
        """
        A user who may not open the socket is told so.
        """
        def refuse(*arguments: object) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(socket.socket, "connect", refuse)
        error = self.assertRaises(NotPermitted, Client(self.path).status)
        self.assertIn("as root", str(error))
