"""
Tests for L{txcarp.commands.forget} and L{txcarp.state.requests}.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.operate.running import RunningTestCase
from txcarp.commands.forget import main
from txcarp.protocol.freshness import SealedSource
from txcarp.protocol.sealstate import SealState
from txcarp.state import requests
from txcarp.state.file import StateFile
from txcarp.state.format import bootIdentity, decodeState, encodeState, joinGroups
from txcarp.state.requests import ask, listen, socketPath
from txcarp.state.store import StateStore, inDaemonThread

_PEER = "10.99.0.1"
_PACKED = socket.inet_aton(_PEER)
_OTHER = socket.inet_aton("10.99.0.2")
_STATE = SealState(7, {_PACKED: SealedSource(5, 1.5, 3.0), _OTHER: SealedSource(6)})


def written(path: Path, *groups: str) -> Path:
    """
    Write a state file in which some groups know two hosts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = {group: encodeState(group, _STATE, bootIdentity()) for group in groups}
    path.write_text(joinGroups(lines))
    return path


def sources(path: Path) -> dict[str, set[bytes]]:
    """
    Return whom each group in a state file knows.
    """
    lines = path.read_text().splitlines()[1:]
    return {
        json.loads(line)["group"]: set(decodeState(line, bootIdentity()).sources)
        for line in lines
    }


class Ran:
    """
    The result of C{txcarp forget}.

    @ivar status: The exit status.
    """

    def __init__(self, *arguments: str) -> None:
        if not {"--state-file", "--control"}.intersection(arguments):
            # A txcarp that runs on this host is none of the business of a test.
            arguments = (*arguments, "--control", "/dev/null/none")
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = output, errors = StringIO(), StringIO()
        try:
            self.status: object = main(arguments)
        except SystemExit as exit:
            self.status = exit.code
        finally:
            sys.stdout, sys.stderr = before
        self.output, self.errors = output.getvalue(), errors.getvalue()


class NoDaemonTests(SynchronousTestCase):
    """
    No process uses the state file.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.patch(os, "environ", {**os.environ, "STATE_DIRECTORY": str(self.directory)})

    def test_everywhere(self) -> None:
        """
        All groups in all files of the directory forget the host, and keep everything else.
        """
        paths = [
            written(self.directory / "eth0-1.json", "eth0:1"),
            written(self.directory / "carp.json", "eth0:2", "eth0:3"),
        ]
        ran = Ran(_PEER)
        self.assertEqual((ran.status, ran.errors), (0, ""))
        for group in ("eth0:1", "eth0:2", "eth0:3"):
            self.assertIn(f"{group}: {_PEER} is believed without a seal", ran.output)
        for path in paths:
            for known in sources(path).values():
                self.assertEqual(known, {_OTHER})
        state = decodeState(paths[0].read_text().splitlines()[1], bootIdentity())
        self.assertEqual(state, SealState(7, {_OTHER: SealedSource(6)}))

    def test_oneGroup(self) -> None:
        """
        Or a single group does, in a single file.
        """
        path = written(self.directory / "carp.json", "eth0:2", "eth0:3")
        beside = written(self.directory / "other.json", "eth0:3")
        ran = Ran("--group", "eth0:3", "--state-file", str(path), _PEER)
        self.assertEqual(ran.status, 0)
        both = {_PACKED, _OTHER}
        self.assertEqual(sources(path), {"eth0:2": both, "eth0:3": {_OTHER}})
        self.assertEqual(sources(beside), {"eth0:3": both})

    def test_unknown(self) -> None:
        """
        That nobody knows the host is an error that says where.
        """
        ran = Ran(_PEER)
        self.assertEqual((ran.status, ran.output), (1, ""))
        self.assertIn(f"in any group of {self.directory}, which has no state files", ran.errors)
        path = written(self.directory / "carp.json", "eth0:2")
        before = path.read_text()
        for arguments, words in (
            (["10.99.0.9"], "10.99.0.9 is not known to seal its advertisements in any group"),
            (["--group", "eth0:9", _PEER], "in group eth0:9 of"),
        ):
            ran = Ran(*arguments)
            self.assertEqual((ran.status, ran.output), (1, ""))
            self.assertIn(words, ran.errors)
        self.assertEqual(path.read_text(), before)

    def test_wrong(self) -> None:
        """
        So is text that is no address.
        """
        for text, words in (("10.99.0", "'10.99.0' is not an IPv4 address"), ("fe80:", "IPv6")):
            ran = Ran(text)
            self.assertEqual(ran.status, 1)
            self.assertIn(words, ran.errors)

    def test_trouble(self) -> None:
        """
        A missing or damaged file is trouble; the other files are changed nevertheless.
        """
        missing = self.directory / "missing.json"
        damaged = written(self.directory / "damaged.json")
        damaged.write_text("nonsense")
        good = written(self.directory / "good.json", "eth0:1")
        files = [str(each) for each in (missing, damaged, good)]
        ran = Ran(_PEER, *(word for each in files for word in ("--state-file", each)))
        self.assertEqual(ran.status, 2)
        self.assertIn(f"there is no state file {missing}", ran.errors)
        self.assertIn(str(damaged), ran.errors)
        self.assertEqual(sources(good), {"eth0:1": {_OTHER}})
        self.assertFalse(missing.exists())

    def test_notPermitted(self) -> None:
        """
        A user who may not change the file gets a status of its own.
        """

        def refuse(self: StateFile) -> bool:
            raise PermissionError(13, "Permission denied", str(self.path))

        self.patch(StateFile, "claim", refuse)
        path = written(self.directory / "good.json", "eth0:1")
        ran = Ran(_PEER)
        self.assertEqual(ran.status, 4)
        self.assertIn(f"Permission denied: '{path}'", ran.errors)


class DaemonTests(TestCase):
    """
    A process uses the state file.
    """

    def setUp(self) -> None:
        self.path = written(Path(self.mktemp()).absolute() / "s.json", "eth0:1", "eth0:2")
        # The name of a socket has 107 bytes at most.
        self.patch(requests, "socketPath", lambda path: Path(os.path.relpath(socketPath(path))))
        self.asked: list[bytes] = []

    def store(self) -> StateStore:
        """
        Return the store of a process in which eth0:1 runs.
        """
        clock: Any = reactor
        store = StateStore(
            StateFile(str(self.path)),
            clock,
            partial(inDaemonThread, clock),
            partial(listen, clock),
        )
        self.addCleanup(store.close)
        state = store.load("eth0:1")

        def forget(address: bytes) -> bool:
            self.asked.append(address)
            known = {each: one for each, one in state.sources.items() if each != address}
            store.changed("eth0:1", lambda: SealState(8, known), 0.0)
            return address in state.sources

        store.onForget("eth0:1", forget)
        return store

    async def ran(self, *arguments: str) -> Ran:
        """
        Run the command beside the process.
        """
        return await deferToThread(Ran, "--state-file", str(self.path), *arguments)

    async def test_asked(self) -> None:
        """
        The process is asked.  When the command ends, all groups have forgotten the host, those
        included that do not run, and that is saved.
        """
        self.store()
        ran = await self.ran(_PEER)
        self.assertEqual((ran.status, ran.errors), (0, ""))
        self.assertEqual(len(ran.output.splitlines()), 2)
        self.assertEqual(self.asked, [_PACKED])
        self.assertEqual(sources(self.path), {"eth0:1": {_OTHER}, "eth0:2": {_OTHER}})

    async def test_unknown(self) -> None:
        """
        A host that no group knows is an error, and so is one that the group in question does not.
        """
        self.store()
        for arguments in (["10.99.0.9"], ["--group", "eth0:9", _PEER]):
            ran = await self.ran(*arguments)
            self.assertEqual((ran.status, ran.output), (1, ""))
            self.assertIn("is not known to seal", ran.errors)

    async def test_cannotWrite(self) -> None:
        """
        That the process cannot save it is trouble.
        """
        store = self.store()

        def refuse(text: str) -> None:
            raise OSError(28, "No space left on device")

        self.patch(store._file, "write", refuse)
        with capturedLogs():
            ran = await self.ran(_PEER)
        self.assertEqual(ran.status, 2)
        self.assertIn("No space left on device", ran.errors)

    async def test_noAnswer(self) -> None:
        """
        So is a process that does not answer.
        """
        store = self.store()
        assert store._port is not None
        await store._port.stopListening()
        ran = await self.ran(_PEER)
        self.assertEqual(ran.status, 2)
        self.assertIn(f"{self.path} is in use by process {os.getpid()}", ran.errors)
        self.assertIn("or stop it, and try again", ran.errors)

    async def test_nonsense(self) -> None:
        """
        Requests that are not understood get an answer, and have no effect.
        """
        self.store()
        for request in ({}, {"forget": 7}, {"forget": "x"}):
            answer = await deferToThread(ask, self.path, request)
            self.assertIn("not understood", answer["error"])
        self.assertEqual(self.asked, [])

    async def test_socket(self) -> None:
        """
        Only the owner may connect.  Nobody can after a close.  The file of the socket remains, and
        does not matter to the next process.
        """
        store = self.store()
        address = requests.socketPath(self.path)
        self.assertEqual(address.stat().st_mode & 0o777, 0o600)
        await store.close()
        with socket.socket(socket.AF_UNIX) as client:
            self.assertRaises(ConnectionRefusedError, client.connect, str(address))
        self.store()
        ran = await self.ran(_PEER)
        self.assertEqual(ran.status, 0)

    async def test_cannotListen(self) -> None:
        """
        Without the socket the process runs all the same, and logs why.
        """
        self.patch(requests, "socketPath", lambda path: Path("x" * 200))
        with capturedLogs() as logs:
            store = self.store()
        self.assertEqual(store.load("eth0:2"), _STATE)
        [line] = [text for event in logs if "cannot" in (text := formatEvent(event) or "")]
        self.assertIn("'txcarp forget' cannot reach this process", line)


class ControlTests(RunningTestCase):
    """
    A process has a control socket.
    """

    async def test_asked(self) -> None:
        """
        The process is asked, and its answer is the result.
        """
        seals = self.carp.virtualHosts[0]._memory.seals
        assert seals is not None
        seals.freshness._know(_PACKED, SealedSource(5))
        ran = await deferToThread(Ran, "--control", self.path, "--group", "web", _PEER)
        name = self.carp.virtualHosts[0].configuration.name
        self.assertEqual((ran.status, ran.errors), (0, ""))
        self.assertIn(f"{name}: {_PEER} is believed without a seal", ran.output)
        ran = await deferToThread(Ran, "--control", self.path, _PEER)
        self.assertEqual((ran.status, ran.output), (1, ""))
        self.assertIn(f"{_PEER} is not known to seal", ran.errors)

    async def test_noDaemon(self) -> None:
        """
        Without a process, the state files are changed.
        """
        await self.service.stopService()
        directory = Path(self.mktemp()).absolute()
        self.patch(os, "environ", {**os.environ, "STATE_DIRECTORY": str(directory)})
        path = written(directory / "eth0-1.json", "eth0:1")
        ran = await deferToThread(Ran, "--control", self.path, _PEER)
        self.assertEqual((ran.status, ran.errors), (0, ""))
        self.assertEqual(sources(path), {"eth0:1": {_OTHER}})
