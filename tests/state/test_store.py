"""
Tests for L{txcarp.state.store} and L{txcarp.state.file}: the memory of a process.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.fakes import (
    INTERFACE,
    FakeLinks,
    FakeNetwork,
    FakeScripts,
    FakeThreads,
    Journal,
    MemoryFile,
    configured,
)
from tests.lab.daemons import environment
from txcarp.interfaces import IStateStore
from txcarp.platform import LinuxPlatform
from txcarp.protocol.effects import Role
from txcarp.protocol.freshness import SealedSource
from txcarp.protocol.seal import TICKS, Fields
from txcarp.protocol.sealstate import SealState
from txcarp.service import CARPService
from txcarp.state import file as statefile
from txcarp.state import store as statestore
from txcarp.state.file import StateFile
from txcarp.state.format import BadState, bootIdentity, decodeState, encodeState
from txcarp.state.store import (
    LONGEST_WRITE,
    REPORT_EVERY,
    RETRY,
    SPACING,
    StateStore,
    defaultStateDirectory,
    inDaemonThread,
)

_PEER = socket.inet_aton("10.99.0.1")

_STATE = SealState(
    7,
    {
        _PEER: SealedSource(5, 1.5, 3.0, (Fields(1, 0), Fields(255, 255, 3))),
        socket.inet_pton(socket.AF_INET6, "fe80::1"): SealedSource(9),
    },
    (2**64 - 1, 3),
)


def at(tick: int) -> Callable[[], SealState]:
    """
    A snapshot of a state that is known by its tick.
    """
    return lambda: SealState(tick)


def version1(state: SealState) -> str:
    """
    A file as the first version of the format had it, one for each group.
    """
    line = json.loads(encodeState("eth0:1", state, bootIdentity()))
    del line["group"]
    return json.dumps({"version": 1, "about": "txcarp: what was sent and heard", **line}, indent=1)


def lines(logs: Any) -> list[str]:
    """
    What was logged.
    """
    return [formatEvent(event) or "" for event in logs]


def openStore(test: TestCase, path: Path) -> StateStore:
    """
    The store of a process, which has its file until the test ends.
    """
    clock: Any = reactor
    store = StateStore(StateFile(str(path)), clock, partial(inDaemonThread, clock))
    test.addCleanup(store.close)
    return store


class FormatTests(SynchronousTestCase):
    """
    One state as a line of text.
    """

    def setUp(self) -> None:
        self.text = encodeState("eth0:1", _STATE, "boot")

    def test_anotherBoot(self) -> None:
        """
        A boot starts the clock again that offsets refer to.
        """
        found = decodeState(self.text, "another")
        self.assertIsNone(found.sources[_PEER].offset)
        self.assertEqual(found.sources[_PEER].tick, 5)
        self.assertEqual(decodeState(self.text, "boot"), _STATE)

    def test_impossible(self) -> None:
        """
        A state that no host can have had is refused.
        """
        many = {socket.inet_aton(f"10.99.1.{n}"): SealedSource(1) for n in range(65)}
        for wrong, words in (
            (encodeState("eth0:1", SealState(0, many), "boot"), "65 sources"),
            (encodeState("eth0:1", SealState(0, {}, (1,) * 65), "boot"), "65 unsealed"),
            (encodeState("eth0:1", SealState(0, {}, (1 << 64,)), "boot"), "is not"),
            (self.text.replace('"tick": 7', '"tick": -1'), "-1 is not"),
            (self.text.replace('"tick": 7', '"tick": 1099511627776'), "1099511627776 is not"),
            (self.text.replace('"tick": 7', '"tick": "7"'), "'7' is not"),
            (self.text.replace("10.99.0.1", "10.99.0.1.2"), "10.99.0.1.2"),
        ):
            error = self.assertRaises(BadState, decodeState, wrong, "boot")
            self.assertIn(words, str(error))

    def test_noNumber(self) -> None:
        """
        Numbers that JSON does not have, and Python reads, are refused; so are endless ones.
        """
        for wrong in ("NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400):
            for name in ('"offset": 1.5', '"at": 3.0'):
                self.assertIn(name, self.text)
                changed = self.text.replace(name, name[: name.index(":") + 2] + wrong)
                self.assertRaises(BadState, decodeState, changed, "boot")

    def test_nameOfTheBoot(self) -> None:
        """
        Where the kernel does not say which boot this is, the host's name stands for it.
        """

        def refuse() -> str:
            raise OSError(errno.ENOENT, "no such file")

        self.assertEqual(bootIdentity(refuse), f"{socket.gethostname()} steady")
        self.assertEqual(bootIdentity(lambda: "one boot\n"), "one boot steady")

    @given(st.text(max_size=200))
    def test_nonsense(self, text: str) -> None:
        """
        Whatever a line contains, there is one kind of error.
        """
        self.assertRaises(BadState, decodeState, text, "boot")


class DirectoryTests(SynchronousTestCase):
    """
    Where state files are by default.
    """

    def setUp(self) -> None:
        self.user, self.writable = 0, False
        self.patch(os, "environ", {"HOME": "/home/one"})
        self.patch(os, "geteuid", lambda: self.user)
        self.patch(os, "access", lambda path, mode: self.writable)

    def test_systemd(self) -> None:
        """
        systemd knows best, and may name several.
        """
        os.environ["STATE_DIRECTORY"] = "/var/lib/one:/var/lib/two"
        for self.user in (0, 1000):
            self.assertEqual(defaultStateDirectory(), Path("/var/lib/one"))

    def test_system(self) -> None:
        """
        Root uses the directory of the system, and so does a user who may.
        """
        self.assertEqual(defaultStateDirectory(), Path("/var/lib/txcarp"))
        self.user, self.writable = 1000, True
        self.assertEqual(defaultStateDirectory(), Path("/var/lib/txcarp"))

    def test_user(self) -> None:
        """
        Each other user has a directory, where the XDG specification wants it.
        """
        self.user = 1000
        self.assertEqual(defaultStateDirectory(), Path("/home/one/.local/state/txcarp"))
        os.environ["XDG_STATE_HOME"] = "relative"
        self.assertEqual(defaultStateDirectory(), Path("/home/one/.local/state/txcarp"))
        os.environ["XDG_STATE_HOME"] = "/elsewhere"
        self.assertEqual(defaultStateDirectory(), Path("/elsewhere/txcarp"))

    def test_homeless(self) -> None:
        """
        A user without a home, as in a container, is left with the directory of the system.
        """
        self.user = 123456789
        self.patch(os.path, "expanduser", lambda path: path)
        self.assertEqual(defaultStateDirectory(), Path("/var/lib/txcarp"))


class MemoryTestCase(SynchronousTestCase):
    """
    A store whose file is in memory, on a clock that is set by hand.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.file = MemoryFile()
        self.threads = FakeThreads()
        self.store = self.make()

    def make(self) -> StateStore:
        """
        The store of a new process.
        """
        return StateStore(self.file, self.clock, self.threads)

    def tick(self, group: str) -> int:
        """
        What another process would find.
        """
        return self.file.saved(group).tick


class BatchTests(MemoryTestCase):
    """
    When states are written.
    """

    def test_provided(self) -> None:
        """
        The store is what virtual hosts need.
        """
        verifyObject(IStateStore, self.store)

    def test_thousand(self) -> None:
        """
        A thousand groups that change within a second are one write.
        """
        groups = [f"eth0.{n // 250}:{n % 250 + 1}" for n in range(1000)]
        for number, group in enumerate(groups):
            self.store.changed(group, at(number), 1.0)
            self.clock.advance(0.0009)
        self.assertEqual(self.file.writes, 0)
        self.clock.advance(0.1001)
        self.assertEqual(self.file.writes, 1)
        self.clock.advance(3600.0)
        self.assertEqual(self.file.writes, 1)
        self.assertEqual([self.tick(group) for group in groups[::100]], list(range(0, 1000, 100)))

    def test_urgentTogether(self) -> None:
        """
        So are a thousand urgent changes in one turn of the reactor.
        """
        for number in range(1000):
            self.store.changed(f"eth0:{number}", at(number), 0.0)
        self.assertEqual(self.file.writes, 0)
        self.clock.advance(0.0)
        self.assertEqual(self.file.writes, 1)

    def test_spacing(self) -> None:
        """
        Urgent changes all the time are one write per second; the first is written at once.
        """
        self.store.changed("eth0:1", at(1), 0.0)
        self.clock.advance(0.0)
        self.assertEqual(self.file.writes, 1)
        for number in range(1000):
            self.clock.advance(0.01)
            self.store.changed(f"eth0:{number}", at(number), 0.0)
        self.assertLessEqual(self.file.writes, 1 + 10 / SPACING)
        self.clock.advance(SPACING)
        self.assertEqual(self.tick("eth0:999"), 999)

    def test_earliest(self) -> None:
        """
        A change that may wait is written along with one that may not, and does not put the
        other off.
        """
        self.store.changed("eth0:1", at(1), 5.0)
        self.store.changed("eth0:2", at(2), 2.0)
        self.store.changed("eth0:3", at(3), 5.0)
        self.clock.advance(2.0)
        self.assertEqual([self.tick(f"eth0:{n}") for n in (1, 2, 3)], [1, 2, 3])
        self.clock.advance(10.0)
        self.assertEqual(self.file.writes, 1)

    def test_newest(self) -> None:
        """
        The state is taken when it is written, not when it changed.
        """
        ticks = [1]
        self.store.changed("eth0:1", lambda: SealState(ticks[-1]), 5.0)
        self.clock.advance(4.0)
        ticks.append(2)
        self.clock.advance(1.0)
        self.assertEqual(self.tick("eth0:1"), 2)

    def test_saved(self) -> None:
        """
        What must be safe is written at once, with what else is pending.
        """
        self.store.changed("eth0:1", at(1), 5.0)
        self.successResultOf(self.store.save("eth0:2", at(2)))
        self.assertEqual([self.tick("eth0:1"), self.tick("eth0:2")], [1, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_oneAtATime(self) -> None:
        """
        While a slow disk writes, changes are collected for one more write.
        """
        self.threads.slow = True
        first = self.store.save("eth0:1", at(1))
        later = [self.store.save("eth0:1", at(2)), self.store.save("eth0:2", at(3))]
        self.store.changed("eth0:3", at(4), 0.0)
        self.clock.advance(SPACING)
        self.assertEqual(self.threads.unfinished, 1)
        self.threads.finish()
        self.successResultOf(first)
        self.assertEqual(self.tick("eth0:1"), 1)
        self.assertEqual(self.threads.unfinished, 1)
        for done in later:
            self.assertNoResult(done)
        self.threads.finish()
        for done in later:
            self.successResultOf(done)
        self.assertEqual([self.tick(f"eth0:{n}") for n in (1, 2, 3)], [2, 3, 4])
        self.assertEqual((self.file.writes, self.clock.getDelayedCalls()), (2, []))

    def test_unchangedIsNotEncoded(self) -> None:
        """
        However many groups there are, only those that changed are encoded.
        """
        encoded: list[str] = []

        def encode(group: str, state: SealState, boot: str) -> str:
            encoded.append(group)
            return encodeState(group, state, boot)

        for number in range(1000):
            self.store.changed(f"eth0:{number}", at(1), 0.0)
        self.clock.advance(0.0)
        self.patch(statestore, "encodeState", encode)
        self.successResultOf(self.store.save("eth0:7", at(2)))
        self.assertEqual(encoded, ["eth0:7"])
        self.assertEqual([self.tick("eth0:7"), self.tick("eth0:8")], [2, 1])

    def test_otherGroups(self) -> None:
        """
        Groups that this process does not have keep their lines.
        """
        self.successResultOf(self.store.save("eth0:1", lambda: _STATE))
        line = self.file.texts[self.file.path].split("\n")[1]
        again = self.make()
        self.assertEqual(again.load("eth0:2"), SealState())
        self.successResultOf(again.save("eth0:2", at(2)))
        self.assertIn(line, self.file.texts[self.file.path].split("\n"))
        self.assertEqual(self.file.saved("eth0:1"), _STATE)


class TroubleTests(MemoryTestCase):
    """
    What happens when the disk does not work.
    """

    def test_retried(self) -> None:
        """
        What a full disk did not take is written when it has room, in its newest state.
        """
        self.file.writeError = OSError(errno.ENOSPC, "No space left on device")
        with capturedLogs() as logs:
            ticks = [1]
            done = self.store.save("eth0:1", lambda: SealState(ticks[-1]))
            self.failureResultOf(done, OSError)
            self.store.changed("eth0:2", at(2), 5.0)
            ticks.append(3)
            self.file.writeError = None
            self.clock.advance(RETRY)
        self.assertEqual([self.tick("eth0:1"), self.tick("eth0:2")], [3, 2])
        self.assertEqual(len(lines(logs)), 1)
        self.assertIn("/memory/state.json cannot be written: ", lines(logs)[0])
        self.assertIn("No space left on device", lines(logs)[0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_changedMeanwhile(self) -> None:
        """
        A state that changes during a write that fails is tried again as it is then.
        """
        self.threads.slow = True
        done = self.store.save("eth0:1", at(1))
        self.store.changed("eth0:1", at(2), 60.0)
        self.file.writeError = OSError(errno.EIO, "Input/output error")
        with capturedLogs():
            self.threads.finish()
            self.failureResultOf(done, OSError)
        self.file.writeError = None
        self.clock.advance(RETRY)
        self.threads.finish()
        self.assertEqual(self.tick("eth0:1"), 2)

    def test_reportedOncePerMinute(self) -> None:
        """
        A disk that stays full is reported once per minute.
        """
        self.file.writeError = OSError(errno.EROFS, "Read-only file system")
        with capturedLogs() as logs:
            self.store.changed("eth0:1", at(1), 0.0)
            for _ in range(10):
                self.clock.pump([1.0] * int(REPORT_EVERY))
        self.assertIn(len(lines(logs)), (10, 11))

    def test_unwritten(self) -> None:
        """
        A state that could not be written is not forgotten as long as the process lives.
        """
        self.file.writeError = OSError(errno.ENOSPC, "No space left on device")
        with capturedLogs():
            self.failureResultOf(self.store.save("eth0:1", at(1)), OSError)
        self.assertEqual(self.store.load("eth0:1"), SealState(1))
        self.threads.slow = True
        self.store.save("eth0:1", at(2))
        self.assertEqual(self.store.load("eth0:1"), SealState(2))

    def test_noThread(self) -> None:
        """
        A system that allows no more threads is a failure like any other.
        """
        starts: list[object] = []

        def start(thread: object) -> None:
            starts.append(thread)
            raise RuntimeError("can't start new thread")

        store = StateStore(self.file, self.clock, partial(inDaemonThread, reactor))  # type: ignore
        self.patch(threading.Thread, "start", start)
        with capturedLogs() as logs:
            store.changed("eth0:1", at(1), 0.0)
            self.clock.advance(0.0)
            self.failureResultOf(store.save("eth0:1", at(1)), OSError)
        self.assertEqual(len(starts), 2)
        self.assertEqual(len(lines(logs)), 1)
        self.assertIn("can't start new thread", lines(logs)[0])
        store._inThread = self.threads
        self.clock.advance(RETRY)
        self.assertEqual(self.tick("eth0:1"), 1)

    def test_hung(self) -> None:
        """
        A disk that does not answer is reported; a save fails, and is done when the disk
        answers after all.
        """
        self.threads.slow = True
        with capturedLogs() as logs:
            saves = [self.store.save("eth0:1", at(1)), self.store.save("eth0:2", at(2))]
            self.clock.advance(LONGEST_WRITE - 0.1)
            for done in saves:
                self.assertNoResult(done)
            self.clock.advance(0.1)
            for done in saves:
                self.failureResultOf(done, OSError)
            self.store.changed("eth0:1", at(3), 0.0)
            self.clock.advance(REPORT_EVERY)
            self.store.changed("eth0:1", at(3), 0.0)
        self.assertEqual(len(lines(logs)), 2)
        self.assertIn("no answer from the disk for 5 s", lines(logs)[1])
        self.assertEqual(self.threads.unfinished, 1)
        self.threads.finish()
        self.threads.finish()
        self.assertEqual([self.tick("eth0:1"), self.tick("eth0:2")], [3, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """
        Closing writes what is pending, and waits for what is being written.
        """
        self.store.changed("eth0:1", at(1), 5.0)
        self.successResultOf(self.store.close())
        self.assertEqual(self.tick("eth0:1"), 1)
        self.threads.slow = True
        self.store.changed("eth0:1", at(2), 0.0)
        self.clock.advance(SPACING)
        done = self.store.close()
        self.assertNoResult(done)
        self.threads.finish()
        self.successResultOf(done)
        self.assertEqual(self.tick("eth0:1"), 2)
        self.successResultOf(self.store.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closedWhileFull(self) -> None:
        """
        A full disk does not keep a process from ending, and leaves no timer.
        """
        self.file.writeError = OSError(errno.ENOSPC, "No space left on device")
        with capturedLogs():
            self.store.changed("eth0:1", at(1), 0.0)
            self.clock.advance(0.0)
            self.successResultOf(self.store.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closedWhileHung(self) -> None:
        """
        Nor does a disk that hangs, which is not waited for a second time.
        """
        self.threads.slow = True
        self.store.changed("eth0:1", at(1), 0.0)
        self.clock.advance(0.0)
        with capturedLogs():
            done = self.store.close()
            self.clock.advance(LONGEST_WRITE - 0.1)
            self.assertNoResult(done)
            self.clock.advance(0.1)
            self.successResultOf(done)
            self.store.changed("eth0:1", at(2), 0.0)
            done = self.store.close()
            self.clock.advance(0.0)
            self.successResultOf(done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cannotRead(self) -> None:
        """
        A file that cannot be read is not written over: other groups are in it.
        """
        self.successResultOf(self.store.save("eth0:1", at(1)))
        again = self.make()
        self.file.readError = OSError(errno.EIO, "Input/output error")
        with capturedLogs() as logs:
            self.assertRaises(OSError, again.load, "eth0:2")
            self.failureResultOf(again.save("eth0:2", at(2)), OSError)
        self.assertIn("Input/output error", lines(logs)[0])
        self.file.readError = None
        self.clock.advance(RETRY)
        self.assertEqual([self.tick("eth0:1"), self.tick("eth0:2")], [1, 2])


class DamageTests(MemoryTestCase):
    """
    What is read from a file that is not as it was written.
    """

    def setUp(self) -> None:
        super().setUp()
        for number in (1, 2, 3):
            self.store.changed(f"eth0:{number}", lambda: _STATE, 0.0)
        self.clock.advance(0.0)

    def test_oneLine(self) -> None:
        """
        A line that makes no sense costs one group its state.  Its file is named, and the
        next write makes it good.
        """
        text = self.file.texts[self.file.path]
        second = text.split("\n")[2]
        for wrong in ("{", '{"group": 2}', "[]", second.replace('"tick": 7', '"tick": -7')):
            self.file.texts[self.file.path] = text.replace(second, wrong)
            store = self.make()
            self.assertEqual(store.load("eth0:1"), _STATE)
            error = self.assertRaises(BadState, store.load, "eth0:2")
            self.assertIn("/memory/state.json: ", str(error))
            self.assertEqual(store.load("eth0:3"), _STATE)
            self.successResultOf(store.save("eth0:2", at(2)))
            self.assertEqual([self.tick(f"eth0:{n}") for n in (1, 2, 3)], [7, 2, 7])

    def test_noStateFile(self) -> None:
        """
        A file of another program, or of a later version, is refused by all groups.
        """
        for text, words in (
            ("", "not in the form of a state file, or damaged (JSONDecodeError"),
            ("{}", "KeyError"),
            ("[1]", "TypeError"),
            ('{"version": 3}\n', "version is 3"),
            ("[" * 100_000, "RecursionError"),
        ):
            self.file.texts[self.file.path] = text
            store = self.make()
            for group in ("eth0:1", "eth0:2"):
                error = self.assertRaises(BadState, store.load, group)
                self.assertIn(words, str(error))

    @given(st.binary(max_size=200))
    def test_nonsense(self, content: bytes) -> None:
        """
        Whatever is in the file, there is one kind of error.
        """
        self.file.texts[self.file.path] = content.decode("utf-8", "surrogateescape")
        self.assertRaises(BadState, self.make().load, "eth0:1")

    @given(st.data())
    def test_mutated(self, data: st.DataObject) -> None:
        """
        Nor is there another with a few bytes changed, in either version.
        """
        both = (self.file.texts[self.file.path], version1(_STATE))
        text = bytearray(data.draw(st.sampled_from(both)).encode())
        for _ in range(data.draw(st.integers(1, 4))):
            text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
        file = MemoryFile()
        file.texts[file.path] = text.decode("utf-8", "surrogateescape")
        store = StateStore(file, self.clock, self.threads)
        for group in ("eth0:1", "eth0:2", "eth0:3"):
            try:
                self.assertLess(store.load(group).tick, TICKS)
            except BadState:
                pass
        self.successResultOf(store.save("eth0:4", at(4)))
        self.assertEqual(file.saved("eth0:4").tick, 4)


class Version1Tests(MemoryTestCase):
    """
    Files of the first version are taken over.
    """

    def beside(self, name: str) -> Path:
        """
        A file beside that of the store.
        """
        return self.file.path.with_name(name)

    def test_ownFile(self) -> None:
        """
        The store's own file belongs to the group that uses it, and becomes one of version 2.
        """
        for name in ("eth0-7.json", "anything.json", "vip-3.json"):
            self.file.path = self.beside(name)
            self.file.texts = {self.file.path: version1(_STATE)}
            store = self.make()
            self.assertEqual(store.load("eth0:7"), _STATE)
            self.assertEqual(store.load("eth0:8"), SealState())
            self.successResultOf(store.save("eth0:8", at(8)))
            self.assertIn('"version": 2', self.file.texts[self.file.path])
            self.assertEqual(self.file.saved("eth0:7"), _STATE)

    def test_anotherGroup(self) -> None:
        """
        A name that is that of another group gives its content to that one.
        """
        self.file.path = self.beside("eth0-7.json")
        self.file.texts = {self.file.path: version1(_STATE)}
        self.assertEqual(self.store.load("eth0:8"), SealState())
        self.successResultOf(self.store.save("eth0:8", at(8)))
        self.assertEqual(self.file.saved("eth0:7"), _STATE)

    def test_beside(self) -> None:
        """
        A group of which the store knows nothing had a file of its own before, which stays
        as it is, and counts no more once the state was saved.
        """
        old = self.beside("br-lan-7.json")
        self.file.texts[old] = text = version1(_STATE)
        with capturedLogs() as logs:
            self.assertEqual(self.store.load("br-lan:7"), _STATE)
        self.assertIn(f"The state of br-lan:7 is taken over from {old}", lines(logs)[-1])
        self.assertEqual(self.store.load("br-lan:8"), SealState())
        self.successResultOf(self.store.save("br-lan:8", at(8)))
        self.file.texts[old] = "no longer read"
        self.assertEqual(self.file.saved("br-lan:7"), _STATE)
        self.file.texts[old] = text
        self.successResultOf(self.store.save("br-lan:7", at(9)))
        self.assertEqual(self.tick("br-lan:7"), 9)
        self.assertEqual(self.file.texts[old], text)

    def test_besideOfVersion2(self) -> None:
        """
        The same for the file of a daemon that had this group alone until now.
        """
        daemon = MemoryFile()
        store = StateStore(daemon, self.clock, self.threads)
        self.successResultOf(store.save("eth0:7", lambda: _STATE))
        self.file.texts[self.beside("eth0-7.json")] = daemon.texts[daemon.path]
        self.assertEqual(self.store.load("eth0:7"), _STATE)

    def test_damaged(self) -> None:
        """
        An old file that makes no sense is an error that names it.
        """
        for text in ("{", version1(_STATE).replace('"tick": 7', '"tick": -7')):
            self.file.texts = {self.beside("eth0-7.json"): text}
            error = self.assertRaises(BadState, self.store.load, "eth0:7")
            self.assertIn("/memory/eth0-7.json: ", str(error))


class FileTests(TestCase):
    """
    The file on a real disk, written in a real thread.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).resolve() / "deep" / "state.json"
        self.store = self.make()

    def make(self, path: Path | None = None) -> StateStore:
        """
        The store of a process, which has its file until the test ends.
        """
        return openStore(self, path or self.path)

    async def test_roundTrip(self) -> None:
        """
        What is saved is loaded; its directory is made; others cannot read it.
        """
        with capturedLogs() as logs:
            self.assertEqual(self.store.load("eth0:1"), SealState())
        self.assertIn("No state is saved in", lines(logs)[0])
        await self.store.save("eth0:1", lambda: _STATE)
        await self.store.save("eth0:2", at(8))
        await self.store.close()
        for store in (self.store, self.make()):
            self.assertEqual(store.load("eth0:1"), _STATE)
            self.assertEqual(store.load("eth0:2"), SealState(8))
            await store.close()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        names = sorted(os.listdir(self.path.parent))
        self.assertEqual(names, [".state.json.lock", "state.json"])

    async def test_reactorIsFree(self) -> None:
        """
        Snapshots are taken by the reactor's thread; encoding and writing are left to
        another, and a write makes the file and its name safe.
        """
        where: dict[str, int] = {}
        synced: list[str] = []
        encode, sync = encodeState, os.fsync

        def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                where[name] = threading.get_ident()
                return function(*arguments)

            return call

        def fsync(descriptor: int) -> None:
            synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            sync(descriptor)

        self.patch(statestore, "encodeState", noted("encode", encode))
        self.patch(os, "fsync", noted("sync", fsync))
        for number in range(1000):
            self.store.changed(f"eth0:{number}", at(number), 0.5)
        await self.store.save("eth0:1", noted("snapshot", at(1)))
        self.assertEqual(where["snapshot"], threading.get_ident())
        self.assertNotEqual(where["encode"], threading.get_ident())
        self.assertEqual(where["sync"], where["encode"])
        fresh, directory = str(self.path.with_name(".state.json.new")), str(self.path.parent)
        self.assertEqual(synced, [fresh, directory])

    async def test_openUmask(self) -> None:
        """
        Others can neither write nor replace it where the umask would let them.
        """
        self.addCleanup(os.umask, os.umask(0))
        path = self.path.parent / "deeper" / "state.json"
        await self.make(path).save("eth0:1", lambda: _STATE)
        for directory in (path.parent, path.parent.parent):
            self.assertEqual(directory.stat().st_mode & 0o777, 0o755)
        for name in os.listdir(path.parent):
            self.assertEqual((path.parent / name).stat().st_mode & 0o777, 0o600)

    async def test_notWritable(self) -> None:
        """
        A path through a file cannot be written.
        """
        inTheWay = Path(self.mktemp())
        inTheWay.write_bytes(b"")
        with capturedLogs(), self.assertRaises(OSError):
            await self.make(inTheWay / "state.json").save("eth0:1", lambda: _STATE)

    async def test_readOnly(self) -> None:
        """
        What can be read is read, also where there can be no lock.  Once there can be one,
        what another process wrote meanwhile is kept.
        """
        await self.store.save("eth0:1", lambda: _STATE)
        await self.store.close()
        error = OSError(errno.EROFS, "Read-only file system")

        def refuse(*arguments: object) -> None:
            raise error

        disk = self.patch(statefile.fcntl, "flock", refuse)
        store = self.make()
        self.assertEqual(store.load("eth0:1"), _STATE)
        with capturedLogs() as logs, self.assertRaises(OSError) as caught:
            await store.save("eth0:3", at(8))
        self.assertIs(caught.exception, error)
        self.assertIn("Read-only file system", lines(logs)[0])
        disk.restore()
        other = self.make()
        await other.save("eth0:1", at(2))
        await other.close()
        await store.save("eth0:3", at(3))
        await store.close()
        self.assertEqual([store.load(f"eth0:{n}").tick for n in (1, 3)], [2, 3])

    async def test_inTheWay(self) -> None:
        """
        A link or fifo where the new file is written is not followed, and not waited for.
        """
        self.path.parent.mkdir(parents=True)
        elsewhere = Path(self.mktemp())
        fresh = self.path.with_name(".state.json.new")
        with capturedLogs():
            fresh.symlink_to(elsewhere)
            with self.assertRaises(OSError):
                await self.store.save("eth0:1", lambda: _STATE)
            self.assertFalse(elsewhere.exists())
            fresh.unlink()
            os.mkfifo(fresh)
            with self.assertRaises(OSError):
                await self.store.save("eth0:1", lambda: _STATE)

    async def test_fifo(self) -> None:
        """
        Something else with the name of the file keeps nobody waiting, and is replaced.
        """
        self.path.parent.mkdir(parents=True)
        os.mkfifo(self.path)
        error = self.assertRaises(BadState, self.store.load, "eth0:1")
        self.assertIn("state.json is not a regular file", str(error))
        await self.store.save("eth0:1", lambda: _STATE)
        self.assertTrue(self.path.is_file())

    async def test_link(self) -> None:
        """
        A symbolic link is not followed; one to the directory is, which systemd makes.
        """
        await self.store.save("eth0:1", lambda: _STATE)
        await self.store.close()
        link = Path(self.mktemp()).resolve()
        link.symlink_to(self.path)
        self.assertRaises(OSError, self.make(link).load, "eth0:1")
        link.unlink()
        link.symlink_to(self.path.parent)
        store = self.make(link / "state.json")
        self.assertEqual(store.load("eth0:1"), _STATE)
        await store.save("eth0:1", at(8))

    def test_large(self) -> None:
        """
        A file that is far too large is refused, and not read to its end.
        """
        self.patch(statefile, "LARGEST_FILE", 1 << 20)
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b" " * (1 << 21))
        error = self.assertRaises(BadState, self.store.load, "eth0:1")
        self.assertIn("state.json has more than 1048576 bytes", str(error))

    async def test_directoryCannotSync(self) -> None:
        """
        A file system that cannot make a name safe is good enough; a disk that fails is not.
        """
        sync = os.fsync
        number = errno.EINVAL

        def refuse(descriptor: int) -> None:
            if os.path.isdir(f"/proc/self/fd/{descriptor}"):
                raise OSError(number, os.strerror(number))
            sync(descriptor)

        self.patch(os, "fsync", refuse)
        await self.store.save("eth0:1", lambda: _STATE)
        number = errno.EIO
        with capturedLogs(), self.assertRaises(OSError):
            await self.store.save("eth0:1", lambda: _STATE)

    async def test_directoryRemoved(self) -> None:
        """
        A directory that somebody removed is made again.
        """
        await self.store.save("eth0:1", at(1))
        for name in os.listdir(self.path.parent):
            (self.path.parent / name).unlink()
        self.path.parent.rmdir()
        await self.store.save("eth0:2", at(2))
        await self.store.close()
        self.assertEqual(self.make().load("eth0:1"), SealState(1))

    async def test_usedAgain(self) -> None:
        """
        A store that was closed can be used again, and respects what another process wrote
        meanwhile.
        """
        self.assertEqual(self.store.load("eth0:1"), SealState())
        await self.store.save("eth0:1", at(1))
        await self.store.close()
        other = self.make()
        await other.save("eth0:1", at(2))
        await other.save("eth0:2", at(2))
        await other.close()
        self.assertEqual(self.store.load("eth0:2"), SealState(2))
        await self.store.save("eth0:3", at(3))
        await self.store.close()
        again = self.make()
        ticks = [again.load(f"eth0:{n}").tick for n in (1, 2, 3)]
        self.assertEqual(ticks, [2, 2, 3])


#: What a process of its own does with a store; C{%s} is what happens in it.
_PROCESS = """
import os, signal, sys, threading
from functools import partial
from pathlib import Path
from twisted.internet import reactor
from txcarp.state import file as statefile
from txcarp.state import store as statestore
from txcarp.protocol.sealstate import SealState
from txcarp.state.file import StateFile
from txcarp.state.store import StateStore, inDaemonThread
file = StateFile(sys.argv[1])
store = StateStore(file, reactor, partial(inDaemonThread, reactor))
def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
def hang(*arguments):
    threading.Event().wait()
def save(tick):
    return store.save("eth0:1", lambda: SealState(tick))
%s
reactor.run()
"""


class ProcessTests(TestCase):
    """
    What other processes do with the same file, and how they end.
    """

    timeout = 60

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).resolve() / "state.json"

    def spawn(self, code: str) -> subprocess.Popen[bytes]:
        """
        Start another process.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", _PROCESS % code, str(self.path)],
            env=environment(self.path.parent),
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def store(self) -> StateStore:
        """
        The store of this process.
        """
        return openStore(self, self.path)

    def test_crash(self) -> None:
        """
        A crash between writing the new file and giving it its name leaves the old one.
        """
        process = self.spawn(
            "save(1).addCallback(lambda _: setattr(os, 'replace', die) or save(2))"
        )
        self.assertEqual(process.wait(30), -signal.SIGKILL)
        names = sorted(os.listdir(self.path.parent))
        self.assertEqual(names, [".state.json.lock", ".state.json.new", "state.json"])
        self.assertEqual(self.store().load("eth0:1"), SealState(1))

    async def test_locked(self) -> None:
        """
        A file that another process uses is neither read nor written; that process is
        named.  When it is dead its file is taken over, and what it knew is kept.
        """
        process = self.spawn("save(1).addCallback(lambda _: print(flush=True))")
        assert process.stdout is not None
        process.stdout.readline()
        text = self.path.read_text()
        store = self.store()
        error = self.assertRaises(OSError, store.load, "eth0:2")
        self.assertIn(f"{self.path} is in use by process {process.pid}.", str(error))
        with capturedLogs() as logs, self.assertRaises(OSError):
            await store.save("eth0:2", at(2))
        self.assertIn(f"in use by process {process.pid}.", lines(logs)[0])
        self.assertEqual(self.path.read_text(), text)
        process.kill()
        process.wait()
        await store.save("eth0:2", at(2))
        await store.close()
        again = self.store()
        self.assertEqual([again.load(f"eth0:{n}").tick for n in (1, 2)], [1, 2])

    def test_hungDisk(self) -> None:
        """
        A write that never returns does not keep a process from ending.
        """
        process = self.spawn(
            "file.write = hang\n"
            "statestore.LONGEST_WRITE = 0.2\n"
            "store.changed('eth0:1', lambda: SealState(1), 0.0)\n"
            "reactor.addSystemEventTrigger('before', 'shutdown', store.close)\n"
            "reactor.callLater(0.1, reactor.stop)"
        )
        self.assertEqual(process.wait(30), 0)


class ServiceTests(TestCase):
    """
    The stores of a service.
    """

    def service(self, path: Path, hosts: int = 1) -> CARPService:
        """
        A service with some virtual hosts and this file.
        """
        clock, journal = Clock(), Journal()
        platform = LinuxPlatform(
            reactor,
            clock=clock,
            links=FakeLinks(),
            network=FakeNetwork(journal, clock),
            scripts=FakeScripts(journal),
            stateFile=str(path),
        )
        configurations = [configured(vhid=vhid) for vhid in range(1, hosts + 1)]
        return CARPService(configurations, platform=platform)

    async def test_inUse(self) -> None:
        """
        A service whose file another process uses says so, takes part without memory, and
        leaves the file alone.
        """
        path = Path(self.mktemp()).resolve()
        earlier, first, second = self.service(path), self.service(path), self.service(path)
        earlier.startService()
        await earlier.stopService()
        text = path.read_text()
        first.startService()
        self.addCleanup(first.stopService)
        with capturedLogs() as logs:
            second.startService()
            self.assertIs(second.virtualHosts[0].role, Role.BACKUP)
            await second.stopService()
        errors = [line for line in lines(logs) if f"in use by process {os.getpid()}." in line]
        self.assertEqual(len(errors), 2)
        self.assertIn(f"The saved state of {INTERFACE}:1 cannot be read: ", errors[0])
        self.assertIn(f"{path} cannot be written: ", errors[1])
        self.assertEqual(path.read_text(), text)

    async def test_shared(self) -> None:
        """
        All virtual hosts share a store, also over a stop and a start; after the stop
        another process can have the file.
        """
        path = Path(self.mktemp()).resolve() / "state.json"
        carp = self.service(path, 3)
        for _ in range(2):
            carp.privilegedStartService()
            carp.startService()
            await carp.stopService()
        file = StateFile(str(path))
        self.assertTrue(file.claim())
        file.release()
        found = [json.loads(line).get("group") for line in path.read_text().splitlines()[1:]]
        self.assertEqual(sorted(found), [f"{INTERFACE}:{vhid}" for vhid in (1, 2, 3)])
