"""
Tests for L{txcarp.daemon.reload}: the configuration file changes while the process runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakePlatform, Journal, runTo
from txcarp.change import FileStatus, ReloadResult
from txcarp.configuration import file
from txcarp.configuration.ucarp import read
from txcarp.daemon import reload
from txcarp.daemon.reload import Reloader
from txcarp.interfaces import IReloader
from txcarp.network.sockets import MissingCapability
from txcarp.occurrences import OccurrenceKind
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

    def found(
        self, interface: str, addresses: object, virtual: Collection[bytes], listing: object = None
    ) -> bytes:
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
        self.assertIn("Configuration: g2  removed: leaves vhid 2 on eth7; a master bows out", said)
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

    def test_sameObject(self) -> None:
        """
        A group that does not change keeps its configuration, the very object: comparing hundreds of
        them again and again would make advertisements late.
        """
        before = self.carp.virtualHosts[1].configuration
        self.reload(group(1, "advskew = 9"), group(2))
        self.assertEqual(self.carp.virtualHosts[0].configuration.advskew, 9)
        self.assertIs(self.carp.virtualHosts[1].configuration, before)
        self.assertIs(self.reloader._file.groups[1], before)

    def test_debug(self) -> None:
        """
        The option C{--debug} of the command line counts for groups that are read later, too.
        """
        line = attrs.evolve(self.reloader._line, debug=True)
        reloader = Reloader(self.carp, line, self.reloader._started, self.inThread)
        self.write(group(1), group(2), group(3))
        reloader.reload()
        self.assertEqual([one.configuration.debug for one in self.carp.virtualHosts], [True] * 3)

    def test_wrong(self) -> None:
        """
        A file with mistakes changes nothing, and each mistake is logged.
        """
        said = self.reload(group(1, "advskew = 9"), group(2, "vhdi = 5", "advbase = -1"))
        self.assertUnchanged()
        self.assertTrue(any(":14: unknown key 'vhdi' in [group.g2]" in one for one in said), said)
        self.assertTrue(any("advbase: -1 is not a number" in one for one in said), said)
        self.assertIn("              ^^", said)
        last = "The configuration is not changed: the file cannot be used"
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

    def test_noRights(self) -> None:
        """
        A process that has given up its capabilities is refused what needs them, in a preview, too.
        Everything else is changed.
        """

        def refuse(assign: bool) -> None:
            raise MissingCapability("open a raw socket", "CAP_NET_RAW")

        self.patch(reload, "checkCapabilities", refuse)
        for other in (
            (group(1, "advskew = 9"), group(2, 'multicast = "224.0.0.99"')),
            (group(1, "advskew = 9"), group(2), group(3)),
        ):
            said = self.reload(*other)
            self.assertIn("The configuration is not changed: cannot open a raw socket", said[-1])
            result = self.successResultOf(self.reloader.preview())
            self.assertIn("cannot open a raw socket", result.error)
            self.assertUnchanged()
        said = self.reload(group(1, "advskew = 9"), group(2, "dialect = 'freebsd'"))
        self.assertNotIn("not changed", said[-1])
        self.pass_(4)
        self.assertEqual(self.skews(), [9, 0])
        self.assertEqual(self.roles(), {"g1": Role.MASTER, "g2": Role.MASTER})

    def test_source(self) -> None:
        """
        An interface that is away for a moment gives the source that its groups have.
        """
        self.source = ValueError("there is no interface eth7")
        said = self.reload(group(1, "advskew = 9"), group(2))
        self.assertIn("is in effect", said[-1])
        self.assertEqual(self.carp.virtualHosts[0].configuration.advskew, 9)
        said = self.reload(group(1), group(2), group(3, 'interface = "eth8"'))
        self.assertIn("The configuration is not changed: the file cannot be used", said)

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
        self.assertEqual(result.lines[1], "g2  removed: leaves vhid 2 on eth7; a master bows out")
        [warning] = result.warnings
        self.assertIn("/nonexistent cannot be run", warning)
        self.write(group(1, "vhdi = 5"))
        wrong = self.successResultOf(self.reloader.reload())
        self.assertIn("unknown key 'vhdi'", wrong.error)
        self.assertTrue(wrong.error.endswith("not changed: the file cannot be used"))
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
                "g2  removed: leaves vhid 2 on eth7; a master bows out",
            ),
        )
        self.write(group(1, "vhdi = 9"))
        with capturedLogs() as more:
            wrong = self.successResultOf(self.reloader.preview())
        self.assertIn("unknown key 'vhdi'", wrong.error)
        self.assertEqual((events, more), ([], []))
        self.assertUnchanged()

    # Confirmation.

    def ask(self, *groups: str, confirm: float | None = None) -> ReloadResult:
        """
        Write another file, and have it read.
        """
        self.write(*groups)
        done = self.reloader.reload(confirm)
        self.pass_(1)
        return self.successResultOf(done)

    def skews(self) -> list[int]:
        """
        The skews of all virtual hosts.
        """
        return [one.configuration.advskew for one in self.carp.virtualHosts]

    def about(self) -> FileStatus:
        """
        How the file and what runs are related.
        """
        return self.successResultOf(self.reloader.status())

    def test_unconfirmed(self) -> None:
        """
        A change that nobody confirms is undone, without the disk; groups that were removed come
        back.
        """
        self.assertIsNone(self.about().unconfirmed)
        result = self.ask(group(1, "advskew = 9"), confirm=120.0)
        self.assertEqual((result.error, result.unconfirmed), ("", 120.0))
        self.assertEqual(self.skews(), [9])
        found = self.about()
        self.assertEqual((found.unconfirmed, found.differs), (119.0, False))
        self.assertIn("undone in 119 s unless 'txcarp confirm' keeps it", found.explain())
        self.slow = True  # the disk hangs
        occurred: list[Any] = []
        self.carp.addOccurrenceObserver(SimpleNamespace(occurred=occurred.append))
        with capturedLogs() as events:
            self.pass_(118.9)
            self.assertEqual(self.skews(), [9])
            self.pass_(0.2)
        self.assertIn((OccurrenceKind.RELOAD, "undone"), [(x.kind, x.reason) for x in occurred])
        said = [str(formatEvent(event)) for event in events]
        self.assertIn("Nobody has confirmed the last change in time: it is undone", said)
        self.assertIn(f"The last change is undone. {self.path} is not what runs", "".join(said))
        self.assertEqual(self.skews(), [0, 0])
        self.slow = False
        self.pass_(4)
        self.assertEqual(self.roles(), {"g1": Role.MASTER, "g2": Role.MASTER})
        found = self.about()
        self.assertEqual((found.unconfirmed, found.differs), (None, True))
        self.assertAlmostEqual(found.undone or 0.0, 4.1)
        self.assertIn(f"{self.path} is not what runs", found.explain())
        # Without --confirm it would be refused.
        self.assertIn("'txcarp reload --confirm' or a restart puts it in effect", found.explain())

    def test_confirmed(self) -> None:
        """
        A change that is confirmed remains, and the confirmation says what it is.
        """
        self.assertEqual(self.reloader.confirm().error, "No change waits to be confirmed")
        self.ask(group(1, "advskew = 9"), group(2), confirm=120.0)
        result = self.reloader.confirm()
        self.assertEqual(result.error, "")
        self.assertIn("g1  changes: advskew 0 -> 9", result.lines[1])
        self.pass_(200)
        self.assertEqual(self.skews(), [9, 0])
        self.assertEqual(self.about().explain(), "")
        self.assertNotEqual(self.reloader.confirm().error, "")

    def test_anotherMeanwhile(self) -> None:
        """
        While a change waits to be confirmed, another one is refused, as is that of a HUP.  One that
        has to be confirmed, too, replaces the first one; both are undone then.
        """
        self.ask(group(1, "advskew = 9"), group(2), confirm=120.0)
        result = self.ask(group(1, "advskew = 9"), group(2, "advskew = 7"))
        self.assertIn("the last change waits to be confirmed, and is undone in 119 s", result.error)
        self.assertIn("First confirm it with 'txcarp confirm'", self.reload()[-1])
        self.assertEqual(self.skews(), [9, 0])
        self.assertTrue(self.about().differs)
        self.pass_(60)
        result = self.ask(group(1, "advskew = 9"), group(2, "advskew = 7"), confirm=90.0)
        self.assertEqual((result.error, result.unconfirmed), ("", 90.0))
        self.pass_(88)
        self.assertEqual(self.skews(), [9, 7])
        self.pass_(2)
        self.assertEqual(self.skews(), [0, 0])

    def test_takenBack(self) -> None:
        """
        A file that says again what it said before takes the change back, and nothing waits.
        """
        self.ask(group(1, "advskew = 9"), group(2), confirm=120.0)
        self.assertEqual(self.ask(group(1), group(2)).error, "")
        self.assertEqual(self.skews(), [0, 0])
        found = self.about()
        self.assertEqual((found.unconfirmed, found.undone, found.differs), (None, None, False))
        result = self.ask(group(1), group(2), "# a remark\n", confirm=120.0)
        self.assertEqual((result.error, result.unconfirmed), ("", None))
        self.assertFalse(self.about().differs)

    def test_undoneAgain(self) -> None:
        """
        What was undone takes effect again only if it has to be confirmed; another file does at
        once.
        """
        self.ask(group(1, "advskew = 9"), group(2), confirm=2.0)
        self.pass_(2)
        said = self.reload()
        self.assertIn(f"{self.path} is not what runs: it still says what was undone", said[-1])
        self.assertEqual(self.skews(), [0, 0])
        [warning] = self.successResultOf(self.reloader.preview()).warnings
        self.assertIn("still says what was undone", warning)
        self.assertIn("the last one was undone", self.reloader.confirm().error)
        self.ask(group(1, "advskew = 9"), group(2), confirm=2.0)
        self.assertEqual(self.skews(), [9, 0])
        self.pass_(2)
        self.assertEqual(self.skews(), [0, 0])
        self.ask(group(1, "advskew = 8"), group(2))
        self.assertEqual(self.skews(), [8, 0])
        self.assertIsNone(self.about().undone)

    def test_undoRefused(self) -> None:
        """
        A change that cannot be undone is undone later.
        """
        self.ask(group(1), confirm=2.0)

        def busy(*arguments: object) -> None:
            raise OSError(98, "virtual host 2 on eth7 already runs")

        attach = self.platform.network.attach
        self.platform.network.attach = busy  # type: ignore[method-assign,assignment]
        with capturedLogs() as events:
            self.pass_(3)
        self.assertIn(
            "The last change cannot be undone: virtual host 2 on eth7 already runs. It is tried "
            "again in 10 s",
            [formatEvent(event) for event in events],
        )
        self.assertIsNotNone(self.about().unconfirmed)
        self.platform.network.attach = attach  # type: ignore[method-assign]
        self.pass_(14)
        self.assertEqual(self.roles(), {"g1": Role.MASTER, "g2": Role.MASTER})

    def test_undoneInPart(self) -> None:
        """
        If a group cannot come back after a change was undone, the log says so.
        """
        self.ask(group(1, "advskew = 9"), group(2), confirm=2.0)
        self.patch(self.carp, "reconfigure", lambda groups: fail(OSError(98, "busy")))
        with capturedLogs() as events:
            self.pass_(2)
        self.assertIn(
            "The last change is undone only in part: [Errno 98] busy",
            [formatEvent(event) for event in events],
        )
        self.assertIsNotNone(self.about().undone)

    def test_undoWhileReading(self) -> None:
        """
        A disk that hangs while another file is read does not put the end off.  When it answers,
        that file takes effect.
        """
        self.ask(group(1, "advskew = 9"), group(2), confirm=10.0)
        self.slow = True
        self.write(group(1), group(2, "advskew = 7"))
        done = self.reloader.reload(5.0)
        self.pass_(10)
        self.assertEqual(self.skews(), [0, 0])
        self.assertNoResult(done)
        self.reading[0].callback(None)
        self.assertEqual(self.successResultOf(done).unconfirmed, 5.0)
        self.assertEqual(self.skews(), [0, 7])
        self.pass_(6)
        self.assertEqual(self.skews(), [0, 0])

    def test_undoIncomplete(self) -> None:
        """
        A change that does not come to its end is undone in time, too; what is read meanwhile waits
        for that.
        """
        self.reload(group(1), group(2, "shutdown = true"))
        self.platform.scripts.hold = True
        other = group(2, "shutdown = true", 'multicast = "224.0.0.99"')
        self.write(group(1, "advskew = 9"), other)
        first = self.reloader.reload(2.0)
        self.pass_(1)
        self.assertNoResult(first)  # the down script of the second group hangs
        self.assertEqual(self.skews(), [9, 0])
        self.pass_(1)
        self.assertEqual(self.skews(), [0, 0])
        self.platform.scripts.hold = False
        self.platform.scripts.end()
        self.assertEqual(self.successResultOf(first).error, "")
        self.assertEqual(self.about().undone, 0.0)
        self.pass_(4)
        self.assertEqual(self.roles(), {"g1": Role.MASTER, "g2": Role.MASTER})
        default = self.carp.virtualHosts[0].configuration.group
        self.assertEqual(self.carp.virtualHosts[1].configuration.group, default)

    def test_endUnconfirmed(self) -> None:
        """
        At the end of the process nothing is undone; the log says what counts then.
        """
        self.reloader.startService()
        self.ask(group(1, "advskew = 9"), group(2), confirm=10.0)
        with capturedLogs() as events:
            self.reloader.stopService()
            self.pass_(20)
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "txcarp ends before the last change is confirmed. It is not undone: "
                f"{self.path} counts when txcarp is started again"
            ],
        )
        self.assertEqual(self.skews(), [9, 0])

    def test_status(self) -> None:
        """
        Whether the file is what runs is found out when it is asked for, within a second.
        """
        self.assertEqual(self.about(), FileStatus(str(self.path)))
        self.write(group(1), group(2), "# more\n")
        self.assertTrue(self.about().differs)
        self.reload()
        self.assertFalse(self.about().differs)
        self.reload(group(1, "vhdi = 5"))  # refused
        self.assertTrue(self.about().differs)
        self.path.write_bytes(b"\xff")
        self.assertTrue(self.about().differs)
        self.path.unlink()
        found = self.about()
        self.assertEqual((found.differs, found.problem), (None, "No such file or directory"))
        self.assertIn("cannot be read: No such file or directory", found.explain())

    def test_statusHangs(self) -> None:
        """
        A disk that hangs keeps neither the status nor more than one thread waiting.
        """
        self.slow = True
        asked = [self.reloader.status() for _ in range(3)]
        self.pass_(1)
        for one in asked:
            self.assertEqual(self.successResultOf(one).problem, "the disk does not answer")
        asked = [self.reloader.status(), self.reloader.status()]
        self.assertEqual(len(self.reading), 1)
        self.reading[0].callback(None)
        for one in asked:
            self.assertIs(self.successResultOf(one).differs, False)
        self.assertFalse(self.clock.getDelayedCalls() and self.reloader._glance._asked)

    def test_previewHangs(self) -> None:
        """
        A disk that hangs keeps one thread waiting, however often a preview is asked for.
        """
        self.slow = True
        asked = [self.reloader.preview() for _ in range(3)]
        self.assertEqual(len(self.reading), 1)
        self.reading[0].callback(None)
        self.successResultOf(asked[0])
        self.assertNoResult(asked[1])
        self.reading[1].callback(None)
        for one in asked[1:]:
            self.successResultOf(one)
        self.assertEqual(len(self.reading), 2)

    def test_noThread(self) -> None:
        """
        Without threads the status says so.
        """

        def refuse(function: object) -> None:
            raise RuntimeError("can't start new thread")

        self.patch(self.reloader._glance, "_inThread", refuse)
        self.assertEqual(self.about().problem, "can't start new thread")

    def test_notified(self) -> None:
        """
        The service manager gets to know when a reload begins, and when all of it has ended.
        """
        told: list[str] = []
        self.patch(self.reloader._notifier, "reloading", lambda: told.append("reloading"))
        self.patch(self.reloader._notifier, "ready", lambda: told.append("ready"))
        self.reload(group(1, "vhdi = 5"))
        self.assertEqual(told, ["reloading", "ready"])
        del told[:]
        self.reload(group(1))
        self.reload()
        self.assertEqual(told, ["reloading"])
        self.pass_(1)
        self.assertEqual(told, ["reloading", "reloading", "ready"])

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
