"""
Tests for L{txcarp.operate.events} and L{txcarp.operate.streams}, some of them with real sockets.
"""

from __future__ import annotations

import json
import socket
from queue import Queue
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakePlatform, Journal, configured
from tests.operate.running import RunningTestCase
from txcarp.operate import events, streams
from txcarp.operate.client import Client, ControlError
from txcarp.operate.control import Control, Streaming
from txcarp.operate.documents import Answer
from txcarp.operate.events import EventLog
from txcarp.operate.request import Request
from txcarp.operate.streams import EVENT_STREAM, KEEP_ALIVE, Reader
from txcarp.protocol.actor import Actor
from txcarp.service import CARPService

_ROOT = Actor(0, "root", 4711)


class Turns(Clock):
    """
    A clock that makes one turn of the reactor at a time, as the calls that are made in a turn are
    for the next one.
    """

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = True
                call.func(*call.args, **call.kw)


class Program:
    """
    A program that reads events.

    @ivar data: What it has got.
    @ivar isOver: Whether its stream was ended.
    """

    def __init__(self) -> None:
        self.data = b""
        self.writes = 0
        self.isOver = False

    def write(self, data: bytes) -> None:
        self.data += data
        self.writes += 1

    def finish(self) -> None:
        self.isOver = True

    @property
    def events(self) -> list[dict[str, Any]]:
        """
        The events, from lines.
        """
        return [json.loads(line) for line in self.data.splitlines() if line]

    @property
    def words(self) -> list[str]:
        """
        Their words.
        """
        return [event["event"] for event in self.events]


class StreamTests(SynchronousTestCase):
    """
    Readers without sockets.
    """

    def setUp(self) -> None:
        self.clock = Turns()
        self.platform = FakePlatform(Clock(), Journal())
        self.carp = CARPService(
            [
                configured(vhid=7, title="web", neutral=True),
                configured(vhid=8, addresses=["10.99.0.101"], neutral=True),
            ],
            platform=self.platform,
        )
        self.platform.links.change(self.carp.virtualHosts[0].configuration.interface)
        self.control = Control(self.carp, self.clock)
        self.streams = self.control.streams
        self.carp.privilegedStartService()
        self.carp.startService()

    def read(self, path: str = "", last: str = "", accept: str = "") -> tuple[Program, Reader]:
        """
        Let a program begin to read.

        @param path: The parameters of the path.
        """
        query = {"group": path.split("&")} if path else {}
        answer = self.control.answer(
            Request("GET", ("v1", "events"), b"", None, query, accept, last)
        )
        assert isinstance(answer, Streaming), answer
        program = Program()
        return program, answer.begin(program.write, program.finish)

    def turns(self, number: int = 50) -> None:
        """
        Let the reactor have some turns.
        """
        for _ in range(number):
            self.clock.advance(0)

    def test_snapshot(self) -> None:
        """
        A reader gets the state of each group first, and then what happens.
        """
        program, _ = self.read()
        self.assertEqual(program.data, b"")
        self.turns()
        web, other, listening = program.events
        self.assertEqual([web["event"], other["event"]], ["state", "state"])
        self.assertEqual((web["group"], web["role"], web["id"]), ("web", "BACKUP", None))
        self.assertTrue(other["group"].endswith(":8"))
        self.assertEqual((listening["event"], listening["reason"]), ("listening", "snapshot"))
        self.carp.virtualHosts[0].claim(_ROOT)
        self.turns()
        change = next(one for one in program.events if one["event"] == "transition")
        self.assertEqual(change["reason"], "claimed")
        self.assertEqual((change["role"], change["previous"]), ("MASTER", "BACKUP"))
        self.assertEqual(
            change["actor"],
            {
                "uid": 0,
                "name": "root",
                "pid": 4711,
                "explanation": "root, uid 0, process 4711",
            },
        )
        self.assertEqual(
            change["text"], "BACKUP -> MASTER: asked to take over (by root, uid 0, process 4711)"
        )
        self.assertAlmostEqual(change["time"], self.platform.wallSeconds(), 3)

    def test_kinds(self) -> None:
        """
        Holds, demotions, and the groups that come and go are events, in the order in which they
        happen.
        """
        program, _ = self.read()
        self.turns()
        web, other = self.carp.virtualHosts
        web.demote("upgrade", 50, _ROOT)
        self.platform.links.change(web.configuration.interface, running=False)
        self.platform.links.change(web.configuration.interface, running=True)
        self.carp.reconfigure([web.configuration], _ROOT)
        self.turns()
        found = [one for one in program.events[3:] if one["group"] in ("web", None)]
        self.assertEqual(
            [(one["event"], one["reason"]) for one in found],
            [("demotion", "upgrade"), ("hold", "no_link"), ("release", "no_link")],
        )
        self.assertEqual((found[0]["amount"], found[0]["total"]), (50, 50))
        gone = [one for one in program.events if one["group"] == other.configuration.name][-2:]
        self.assertEqual([one["event"] for one in gone], ["removed", "transition"])
        removed = [one for one in program.events if one["event"] == "removed"]
        self.assertEqual([one["actor"]["name"] for one in removed], ["root"])
        self.assertEqual(len(program.events), len({one["id"] for one in program.events}) + 1)

    def test_groups(self) -> None:
        """
        A reader of one group hears nothing of others; an unknown group is an error.
        """
        program, _ = self.read("web")
        self.turns()
        self.carp.virtualHosts[1].claim()
        self.turns()
        self.assertEqual(program.words, ["state", "listening"])
        self.carp.virtualHosts[0].claim()
        self.turns()
        self.assertIn("transition", program.words)
        query = {"group": ["wbe"]}
        answer = self.control.answer(Request("GET", ("v1", "events"), b"", None, query))
        assert isinstance(answer, Answer)
        self.assertEqual(answer.code, 404)

    def test_duringSnapshot(self) -> None:
        """
        What happens while the snapshot is made is told once: by the state of the group or by an
        event after it.
        """
        program, _ = self.read()
        self.carp.virtualHosts[0].claim()  # the state of this group was made before
        self.carp.virtualHosts[1].claim()  # that of this one comes next
        self.turns()
        roles = {one["group"]: one["role"] for one in program.events if one["event"] == "state"}
        self.assertEqual(roles["web"], "BACKUP")
        self.assertEqual(sorted(roles.values()), ["BACKUP", "MASTER"])
        changes = [one["group"] for one in program.events if one["event"] == "transition"]
        self.assertEqual(changes, ["web"])

    def test_resumed(self) -> None:
        """
        A reader that knows an event gets those that it missed; one that knows an event of another
        process, or one that is too old, gets a snapshot.
        """
        first, reader = self.read()
        self.turns()
        self.carp.virtualHosts[0].claim()
        self.turns()
        last = first.events[-1]["id"]
        reader.gone()
        self.carp.virtualHosts[0].demote("upgrade", 50)
        again, _ = self.read(last=last)
        self.turns()
        self.assertEqual(again.words, ["listening", "demotion"])
        self.assertEqual(again.events[0]["id"], last)
        self.assertEqual(again.events[0]["reason"], "resumed")
        for unknown in ("", "0-1", "x", last + "0", "\u0663-\u0663", last.partition("-")[0]):
            program, _ = self.read(last=unknown)
            self.turns()
            self.assertEqual(program.words[0], "state", unknown)

    def test_slow(self) -> None:
        """
        A reader that does not read costs nothing; when it has missed events, its stream ends with
        a word for that, and others go on.
        """
        slow, reader = self.read()
        quick, _ = self.read()
        self.turns()
        before = slow.data
        reader.pauseProducing()
        for number in range(events.KEPT + 1):
            self.carp.virtualHosts[0].demote("x", 1 + number % 2)
            if number % 100 == 0:
                self.turns()
        self.turns(300)
        self.assertTrue(slow.isOver)
        [lagging] = slow.data.removeprefix(before).splitlines()
        self.assertEqual(json.loads(lagging)["event"], "lagging")
        self.assertFalse(quick.isOver)
        self.assertEqual(quick.words.count("demotion"), events.KEPT + 1)
        self.assertLessEqual(len(self.streams.log.records), events.KEPT)

    def test_paused(self) -> None:
        """
        A reader that was slow for a while gets everything.
        """
        program, reader = self.read()
        reader.pauseProducing()
        self.turns()
        self.assertEqual(program.data, b"")
        self.carp.virtualHosts[0].demote("x", 1)
        reader.resumeProducing()
        self.turns()
        self.assertEqual(program.words, ["state", "state", "listening", "demotion"])

    def test_oneInATurn(self) -> None:
        """
        In one turn of the reactor one reader gets some events, whatever has happened.
        """
        programs = [self.read()[0] for _ in range(5)]
        self.turns()
        for number in range(100):
            self.carp.virtualHosts[0].demote("x", 1 + number % 2)
        writes = sum(program.writes for program in programs)
        while not all(program.words.count("demotion") == 100 for program in programs):
            self.clock.advance(0)
            now = sum(program.writes for program in programs)
            self.assertLessEqual(now - writes, 1)
            writes = now
        self.turns()
        self.assertEqual(self.clock.getDelayedCalls()[0].getTime(), KEEP_ALIVE)

    def test_limit(self) -> None:
        """
        There is a limit for readers, and room again after one has gone.
        """
        readers = [self.read()[1] for _ in range(streams.MOST_READERS)]
        answer = self.control.answer(Request("GET", ("v1", "events"), b"", None))
        assert isinstance(answer, Answer)
        self.assertEqual(answer.code, 503)
        readers[0].gone()
        self.read()

    def test_signOfLife(self) -> None:
        """
        A reader gets a sign of life when nothing happens, which is no event.
        """
        lines, _ = self.read()
        told, _ = self.read(accept=EVENT_STREAM.contentType.decode())
        self.turns()
        before = lines.data, told.data
        self.clock.advance(KEEP_ALIVE)
        self.clock.advance(KEEP_ALIVE)
        self.assertEqual(lines.data, before[0] + b"\n")
        self.assertEqual(told.data, before[1] + b":\n\n")

    def test_ended(self) -> None:
        """
        At the end all streams end, and no call is left.
        """
        program, _ = self.read()
        self.turns()
        self.streams.end()
        self.assertTrue(program.isOver)
        self.turns()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_serverSentEvents(self) -> None:
        """
        Server-sent events have the same objects, with the word and the C{id} before them.
        """
        program, _ = self.read("web", accept="text/html, text/event-stream")
        self.turns()
        state, listening, rest = program.data.decode().split("\n\n")
        self.assertEqual(rest, "")
        head, data = state.split("\n")
        self.assertEqual(head, "event: state")
        self.assertEqual(json.loads(data.removeprefix("data: "))["group"], "web")
        identity, word, data = listening.split("\n")
        self.assertEqual(word, "event: listening")
        self.assertEqual("id: " + json.loads(data.removeprefix("data: "))["id"], identity)

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=40), st.integers(0, 5))
    def test_anyIdentity(self, identity: str, number: int) -> None:
        """
        Whatever a program calls the last event, the next one is known or it is not.
        """
        log = EventLog(lambda: 1e9)
        for _ in range(number):
            log.last += 1
        for one in (identity, f"{log.identity(0).partition('-')[0]}-{identity}"):
            after = log.after(one)
            self.assertIn(after, (None, number + 1))


class SocketTests(RunningTestCase):
    """
    Readers with real sockets.
    """

    def following(self, *groups: str) -> tuple[Queue[Any], Deferred[None]]:
        """
        Read events in a thread.

        @return: Where they come out, and what fires at the end.
        """
        found: Queue[Any] = Queue()

        def follow(client: Client) -> None:
            for event in client.events(groups):
                found.put(event)

        return found, self.asking(follow)

    async def until(self, found: Queue[Any], word: str) -> dict[str, Any]:
        """
        Wait for an event.
        """
        while True:
            event: dict[str, Any] = await self.inThread(found.get, True, 30)
            if event["event"] == word:
                return event

    async def test_client(self) -> None:
        """
        The client yields what happens, with who asked for it, until txcarp ends.
        """
        found, done = self.following("web")
        await self.until(found, "listening")
        await self.asking(lambda client: client.demote("web", "upgrade", 50))
        event = await self.until(found, "demotion")
        self.assertEqual((event["reason"], event["amount"]), ("upgrade", 50))
        self.assertIn("process", event["actor"]["explanation"])
        await self.service.stopService()
        await done

    async def test_clientRefused(self) -> None:
        """
        An unknown group is an error.
        """
        _, done = self.following("wbe")
        error = await self.assertFailure(done, ControlError)
        self.assertEqual(error.word, "no-such-group")

    async def test_unread(self) -> None:
        """
        A program that never reads is cut off in the end, and others get everything meanwhile.
        """
        self.patch(events, "KEPT", 100)
        self.control.streams.log.records = type(self.control.streams.log.records)(maxlen=100)
        deaf = socket.socket(socket.AF_UNIX)
        self.addCleanup(deaf.close)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(self.path)
        deaf.sendall(b"GET /v1/events HTTP/1.0\r\n\r\n")
        found, _ = self.following()
        await self.until(found, "listening")
        readers = self.control.streams._readers
        self.assertEqual(len(readers), 2)
        number = 0
        while len(readers) == 2:
            for _ in range(50):
                number += 1
                self.carp.virtualHosts[0].demote("x" * 60, 1 + number % 2)
            while (await self.until(found, "demotion"))["id"].rpartition("-")[2] != str(
                self.control.streams.log.last
            ):
                pass
            self.assertLess(number, 100_000)
