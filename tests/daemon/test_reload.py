"""
Tests for L{txcarp.daemon.reload}: the configuration file changes while the process runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakePlatform, Journal, runTo
from txcarp.configuration import file
from txcarp.configuration.ucarp import read
from txcarp.daemon import reload
from txcarp.daemon.reload import Reloader
from txcarp.interfaces import IReloader
from txcarp.network.sockets import MissingCapability
from txcarp.protocol.effects import Role
from txcarp.service import CARPService

DEFAULTS = """\
[defaults]
interface = "eth7"
passfile = "password"
up_script = "/bin/true"
down_script = "/bin/true"
neutral = true
"""


def group(number: int, *lines: str) -> str:
    """
    The text of a group.
    """
    own = f'[group.g{number}]\nvhid = {number}\naddresses = "10.0.0.{100 + number}"\n'
    return own + "".join(f"{line}\n" for line in lines)


class ReloaderTests(SynchronousTestCase):
    """
    Tests for L{Reloader}, with a service whose two virtual hosts are masters.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "txcarp.toml"
        self.path.parent.mkdir()
        (self.path.parent / "password").write_text("secret")
        (self.path.parent / "password").chmod(0o600)
        self.source: bytes | Exception = b"\x7f\0\0\1"
        for module in (file, reload):
            self.patch(module, "sourceOn", self.found)
        self.write(group(1), group(2))
        line = read(["--config", str(self.path)])
        assert line.file is not None
        self.clock = Clock()
        self.journal = Journal()
        self.platform = FakePlatform(self.clock, self.journal)
        self.platform.links.change("eth7")
        self.carp = CARPService(line.configurations, platform=self.platform)
        self.reloader = Reloader(self.carp, line, line.file, self.inThread)
        self.reading: list[Deferred[None]] = []
        self.slow = False
        self.patch(reload, "checkCapabilities", lambda assign: None)
        self.carp.privilegedStartService()
        self.carp.startService()
        self.pass_(3)
        self.journal.clear()

    def found(self, interface: str, addresses: object, virtual: Collection[bytes]) -> bytes:
        """
        The source that the interface gives.
        """
        self.virtual = set(virtual)
        if isinstance(self.source, Exception):
            raise self.source
        return self.source

    def inThread(self, function: Callable[[], Any]) -> Deferred[Any]:
        """
        Read at once, or when the test says so.
        """
        if not self.slow:
            return maybeDeferred(function)
        waiting: Deferred[None] = Deferred()
        self.reading.append(waiting)
        return waiting.addCallback(lambda _: function())

    def write(self, *groups: str) -> None:
        """
        Write the file.
        """
        self.path.write_text(DEFAULTS + "".join(groups))

    def pass_(self, seconds: float) -> None:
        """
        Let time pass.
        """
        runTo(self.clock, self.clock.seconds() + seconds)

    def reload(self, *groups: str) -> list[str]:
        """
        Write another file, and have it read.

        @return: What is logged.
        """
        if groups:
            self.write(*groups)
        with capturedLogs() as events:
            self.reloader.reload()
        return [str(formatEvent(event)) for event in events]

    def roles(self) -> dict[str, Role]:
        """
        The roles of all virtual hosts by the names of their groups.
        """
        return {str(one.configuration.title): one.role for one in self.carp.virtualHosts}

    def assertUnchanged(self) -> None:
        """
        Assert that no virtual host noticed anything.
        """
        self.assertEqual(self.journal, [])
        self.assertEqual(self.roles(), {"g1": Role.MASTER, "g2": Role.MASTER})

    def test_same(self) -> None:
        """
        A file that says the same changes nothing.
        """
        said = self.reload()
        self.assertEqual(
            said,
            [
                f"Reading {self.path} again",
                "Configuration: g1  unchanged; nothing will be sent",
                "Configuration: g2  unchanged; nothing will be sent",
                f"The configuration in {self.path} is in effect",
            ],
        )
        self.assertUnchanged()

    def test_changes(self) -> None:
        """
        One group is changed, one removed and one added; the log says so.
        """
        said = self.reload(group(3), group(1, "advskew = 9"))
        self.assertIn(
            "Configuration: g1  changes: advskew 0 -> 9; one advertisement at most, no "
            "interruption",
            said,
        )
        self.assertIn("Configuration: g3  added: joins vhid 3 on eth7", said)
        self.assertIn("Configuration: g2  removed: leaves its group; a master bows out", said)
        self.assertNotIn(f"The configuration in {self.path} is in effect", said)
        sent = [one for one in self.journal if one[0] == "advertise"]
        self.assertEqual(sorted(sent), [("advertise", 1, 9), ("advertise", 255, 255)])
        with capturedLogs() as events:
            self.pass_(4)
        self.assertIn(
            f"The configuration in {self.path} is in effect",
            [formatEvent(event) for event in events],
        )
        self.assertEqual(self.roles(), {"g1": Role.MASTER, "g3": Role.MASTER})

    def test_wrong(self) -> None:
        """
        A file with mistakes changes nothing, and each mistake is logged.
        """
        said = self.reload(group(1, "advskew = 9"), group(2, "vhdi = 5", "advbase = -1"))
        self.assertUnchanged()
        self.assertTrue(any(":14: unknown key 'vhdi' in [group.g2]" in one for one in said), said)
        self.assertTrue(any("advbase: -1 is not a number" in one for one in said), said)
        self.assertIn("              ^^", said)
        last = "The configuration is not changed: the file is wrong"
        self.assertEqual(said[-1], last)
        self.path.unlink()
        said = self.reload()
        self.assertTrue(said[1].endswith("txcarp.toml: cannot be read: No such file or directory"))
        self.assertEqual(said[2], last)
        self.assertUnchanged()
        self.assertIn("is in effect", self.reload(group(1), group(2))[-1])

    def test_refused(self) -> None:
        """
        If the process may not do what a file asks for, nothing is changed.
        """

        def refuse(assign: bool) -> None:
            if assign:
                raise MissingCapability("change addresses", "CAP_NET_ADMIN")

        self.patch(reload, "checkCapabilities", refuse)
        said = self.reload(group(1, "advskew = 9"), group(2, "assign = true"))
        self.assertIn("The configuration is not changed: cannot change addresses", said[-1])
        self.assertUnchanged()

        def busy(*arguments: object) -> None:
            raise OSError(98, "virtual host 3 on eth7 already runs")

        self.patch(self.platform.network, "attach", busy)
        said = self.reload(group(1, "advskew = 9"), group(2), group(3))
        self.assertIn("virtual host 3 on eth7 already runs", said[-1])
        self.assertUnchanged()

    def test_source(self) -> None:
        """
        An interface that is away for a moment gives the source that its groups have.
        """
        self.source = ValueError("there is no interface eth7")
        said = self.reload(group(1, "advskew = 9"), group(2))
        self.assertIn("is in effect", said[-1])
        self.assertEqual(self.carp.virtualHosts[0].configuration.advskew, 9)
        said = self.reload(group(1), group(2), group(3, 'interface = "eth8"'))
        self.assertIn("The configuration is not changed: the file is wrong", said)

    def test_noSource(self) -> None:
        """
        An address of a group that is no longer in the file is no source for another group.
        """
        self.reload(group(2))
        self.assertEqual(self.virtual, {b"\x0a\0\0\x65", b"\x0a\0\0\x66"})

    def test_daemon(self) -> None:
        """
        What does not change while the process runs is said.
        """
        said = self.reload(group(1), group(2), "[daemon]\nfacility = 'local1'\n")
        self.assertTrue(any(one.startswith("facility in [daemon] has changed") for one in said))
        self.assertUnchanged()

    def test_warnings(self) -> None:
        """
        Likely mistakes of groups that change are said, as at the start.
        """
        said = self.reload(group(1, 'up_script = "/nonexistent"'), group(2))
        self.assertIn(
            "The up script /nonexistent cannot be run: No such file or directory", said
        )
        self.assertEqual(len([one for one in self.reload() if "cannot be run" in one]), 0)

    def test_meanwhile(self) -> None:
        """
        Requests while the file is read, or while a change is not complete, lead to one more.
        """
        self.slow = True
        self.reload(group(1, "advskew = 9"), group(2))
        self.reload(group(1, "advskew = 10"), group(2))
        self.reload()
        self.assertEqual(len(self.reading), 1)
        self.write(group(1, "advskew = 11"))
        self.reading[0].callback(None)
        self.assertEqual(len(self.reading), 1)  # the second group still leaves
        self.pass_(1)
        self.assertEqual(len(self.reading), 2)
        self.write(group(1, "advskew = 12"))
        self.reading[1].callback(None)
        self.pass_(1)
        self.assertEqual(len(self.reading), 2)
        self.assertEqual([one.configuration.advskew for one in self.carp.virtualHosts], [12])

    def test_result(self) -> None:
        """
        Who asks gets to know what has changed, when all of it is in effect, or why nothing has.
        """
        verifyObject(IReloader, self.reloader)
        self.write(group(1, "advskew = 9", 'up_script = "/nonexistent"'))
        done = self.reloader.reload()
        self.assertNoResult(done)  # the second group still leaves
        self.pass_(1)
        result = self.successResultOf(done)
        self.assertEqual(result.error, "")
        self.assertTrue(result.lines[0].startswith("g1  changes: advskew 0 -> 9, up_script"))
        self.assertEqual(result.lines[1], "g2  removed: leaves its group; a master bows out")
        [warning] = result.warnings
        self.assertIn("/nonexistent cannot be run", warning)
        self.write(group(1, "vhdi = 5"))
        wrong = self.successResultOf(self.reloader.reload())
        self.assertIn("unknown key 'vhdi'", wrong.error)
        self.assertTrue(wrong.error.endswith("not changed: the file is wrong"))
        self.assertEqual((wrong.lines, wrong.warnings), ((), ()))

    def test_resultMeanwhile(self) -> None:
        """
        The result is that of a reading that began after the request.
        """
        self.slow = True
        self.write(group(1, "advskew = 9"), group(2))
        first = self.reloader.reload()
        self.write(group(1, "advskew = 10"), group(2))
        later = [self.reloader.reload(), self.reloader.reload()]
        self.reading[0].callback(None)
        self.successResultOf(first)
        for one in later:
            self.assertNoResult(one)
        self.write(group(1, "advskew = 11"), group(2))
        self.reading[1].callback(None)
        for one in later:
            self.assertIn("advskew 10 -> 11", self.successResultOf(one).lines[1])

    def test_preview(self) -> None:
        """
        A preview says what would change, changes nothing, and logs nothing.
        """
        self.write(group(1, "advskew = 9"), group(3))
        with capturedLogs() as events:
            result = self.successResultOf(self.reloader.preview())
        self.assertEqual(
            result.lines,
            (
                "g1  changes: advskew 0 -> 9; one advertisement at most, no interruption",
                "g3  added: joins vhid 3 on eth7",
                "g2  removed: leaves its group; a master bows out",
            ),
        )
        self.write(group(1, "vhdi = 9"))
        with capturedLogs() as more:
            wrong = self.successResultOf(self.reloader.preview())
        self.assertIn("unknown key 'vhdi'", wrong.error)
        self.assertEqual((events, more), ([], []))
        self.assertUnchanged()

    def test_ending(self) -> None:
        """
        A service that has stopped meanwhile is not changed any more.
        """
        self.slow = True
        self.reload(group(1, "advskew = 9"), group(2))
        done = self.carp.stopService()
        self.reading[0].callback(None)
        self.pass_(1)
        self.successResultOf(done)
        self.assertEqual(self.carp.virtualHosts[0].configuration.advskew, 0)

    def test_bug(self) -> None:
        """
        A bug is logged, and the next request is handled.
        """
        self.patch(self.carp, "reconfigure", lambda groups, actor: succeed(1 / 0))
        self.reload()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(self.reloader._busy)
        self.assertUnchanged()
