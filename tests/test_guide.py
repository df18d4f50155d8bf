"""
Tests for the documents: they render, their programs run, and their tables are complete.
"""

from __future__ import annotations

import runpy
import textwrap
from pathlib import Path
from typing import Any
from unittest import TestLoader, TestResult

import attrs
from docutils.core import publish_doctree
from twisted.application.service import Application, IService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.fakes import FakePlatform as OnePlatform
from tests.fakes import Journal, runTo
from txcarp import service
from txcarp.findings import Finding
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason
from txcarp.status.parts import (
    AddressStatus,
    CheckStatus,
    HoldStatus,
    PastChange,
    PeerStatus,
    StepStatus,
    SyncStatus,
)
from txcarp.status.snapshot import Status
from txcarp.testing import FakePlatform, PuppetVirtualHost, Segment

_ROOT = Path(txcarp.__file__).parent.parent
_PYTHON = "docs/python.rst"
_HEADING = "In another program"


def section(name: str, heading: str) -> str:
    """
    The text of one section of a document.
    """
    text = (_ROOT / name).read_text(encoding="utf-8")
    return text.partition(f"\n{heading}\n---")[2].partition("\n---")[0]


def program(name: str, heading: str = _HEADING) -> str:
    """
    The first literal block of a section, by default of the one about other programs.
    """
    block = section(name, heading).partition("::\n\n")[2]
    lines = block.split("\n")
    end = next(number for number, line in enumerate(lines) if line and line[0] != " ")
    return textwrap.dedent("\n".join(lines[:end]))


class RenderingTests(SynchronousTestCase):
    """
    reStructuredText.
    """

    def test_warnings(self) -> None:
        """
        Every document that is read without Sphinx renders without a warning.
        """
        documents = list(_ROOT.glob("*.rst"))
        self.assertGreater(len(documents), 2)
        for document in documents:
            publish_doctree(
                document.read_text(encoding="utf-8"),
                source_path=str(document),
                settings_overrides={"report_level": 2, "halt_level": 2},
            )


class Broker:
    """
    What the step in the manual uses.
    """

    def __init__(self) -> None:
        self.topics: set[str] = set()

    def subscribe(self, topic: str) -> Deferred[None]:
        """
        Begin to get messages.
        """
        self.topics.add(topic)
        return succeed(None)

    def unsubscribe(self, topic: str) -> Deferred[None]:
        """
        Cease to.
        """
        self.topics.discard(topic)
        return succeed(None)


class ProgramTests(SynchronousTestCase):
    """
    The programs in the manual, on a platform of fakes.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.platform: FakePlatform = OnePlatform(self.clock, Journal())
        self.platform.links.change("eth0")
        self.stateFiles: list[str | None] = []
        self.patch(service, "LinuxPlatform", self.makePlatform)

    def makePlatform(self, *, stateFile: str | None) -> FakePlatform:
        """
        What C{CARPService} calls in place of L{txcarp.platform.LinuxPlatform}.
        """
        self.stateFiles.append(stateFile)
        return self.platform

    def start(self, heading: str = _HEADING, **given: Any) -> dict[str, Any]:
        """
        Run a program of the chapter about Python, start its application, and let hosts become
        master.

        @param given: The names that the program expects to have.
        """
        names = dict(given)
        exec(compile(program(_PYTHON, heading), _PYTHON, "exec"), names)
        IService(names["application"]).startService()
        self.pass_(3)
        return names

    def pass_(self, seconds: float) -> None:
        """
        Let time pass.
        """
        runTo(self.clock, self.clock.seconds() + seconds)

    def test_service(self) -> None:
        """
        The service in the manual runs while its host is master.
        """
        web = Service()
        self.start("A service on the master", application=Application("test"), webServer=web)
        self.assertTrue(web.running)
        self.assertEqual(self.stateFiles, ["/var/lib/myprogram/carp.json"])

    def test_program(self) -> None:
        """
        The program in the manual reports its virtual hosts, and adds, changes and removes
        them.
        """
        names = self.start()
        self.assertEqual(names["overview"](), "eth0:1 MASTER, master this host")
        done = Deferred.fromCoroutine(names["change"]())
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(names["overview"](), "eth0:1 MASTER, master this host")
        [host] = names["carp"].virtualHosts
        self.assertEqual(host.configuration.advskew, 50)

    def test_maintenance(self) -> None:
        """
        The program in the manual works on its host only while another one is master.
        """
        segment = Segment()
        self.platform = first = segment.host("10.1.1.1")
        worked: list[Deferred[None]] = []
        said: list[str] = []

        def work() -> Deferred[None]:
            worked.append(Deferred())
            return worked[-1]

        names: dict[str, Any] = {"workOnDatabase": work, "print": said.append}
        text = program(_PYTHON), program(_PYTHON, "Maintenance by a program")
        for part in text:
            exec(compile(part, _PYTHON, "exec"), names)
        first.start(names["carp"])
        Deferred.fromCoroutine(names["greet"]())
        segment.advance(4)
        self.assertEqual(said, ["clients reach this host"])
        done = Deferred.fromCoroutine(names["migrate"]())
        segment.advance(2)
        self.successResultOf(done)
        self.assertEqual(
            said[1:], ["not now: Nobody took over eth0:1 within 1.5 s; this host is master again."]
        )
        second = segment.host("10.1.1.2")
        here = attrs.evolve(names["web"], source=second.source)
        second.start(txcarp.CARPService([here], platform=second))
        segment.advance(2)
        done = Deferred.fromCoroutine(names["migrate"]())
        segment.advance(1)
        self.assertEqual(said[2:], ["10.1.1.2 is master"])
        self.assertEqual((len(worked), segment.masters()), (1, [second]))
        self.assertNoResult(done)
        worked[0].callback(None)
        self.successResultOf(done)
        self.assertEqual(first.virtualHosts[0].status().holds, [])

    def test_step(self) -> None:
        """
        The step in the manual is acquired by the master and released by a backup.
        """
        host, broker = PuppetVirtualHost(), Broker()
        names: dict[str, Any] = {"host": host, "broker": broker}
        text = program(_PYTHON, "What belongs to a virtual host")
        exec(compile(text, _PYTHON, "exec"), names)
        host.becomeMaster()
        self.assertEqual(broker.topics, {"orders"})
        self.assertTrue(host.status().complete)
        host.becomeBackup()
        self.assertEqual(broker.topics, set())

    def test_check(self) -> None:
        """
        The check in the manual demotes a host whose queue is long.
        """
        host, queue = PuppetVirtualHost(), [0] * 5
        names: dict[str, Any] = {"host": host, "queue": queue}
        text = program("docs/checks.rst", "Own checks")
        exec(compile(text, "docs/checks.rst", "exec"), names)
        host.becomeMaster()
        host.machine.segment.advance(2)
        self.assertEqual(host.status().checks[0].text, "5 messages wait")
        queue += [0] * 1000
        host.machine.segment.advance(4)
        self.assertEqual(host.status().demotions, {"check queue": 50})
        self.assertEqual(host.status().checks[0].text, "1005 messages wait")

    def test_tests(self) -> None:
        """
        The tests in the manual pass, and have ten lines each at most.
        """
        text = program(_PYTHON, "Testing your program")
        names = {**self.start(), "server": Service()}
        exec(compile(text, _PYTHON, "exec"), names)
        result = TestResult()
        TestLoader().loadTestsFromTestCase(names["FailoverTests"]).run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (2, [], []))
        for method in text.split("def test_")[1:]:
            self.assertLessEqual(len(method.strip().split("\n")) - 1, 11)


class ExampleTests(SynchronousTestCase):
    """
    The tests in C{examples}.
    """

    def test_failover(self) -> None:
        """
        They pass.
        """
        names = runpy.run_path(str(_ROOT / "examples/test_failover.py"))
        result = TestResult()
        for name in ("CounterTests", "ProgramTests"):
            TestLoader().loadTestsFromTestCase(names[name]).run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (4, [], []))


class CompletenessTests(SynchronousTestCase):
    """
    What the manual lists.
    """

    def assertLists(self, document: str, heading: str, *names: str) -> None:
        """
        Assert that a section of the manual names these things.
        """
        text = section(document, heading)
        for name in names:
            self.assertIn(f"``{name}``", text)

    def test_status(self) -> None:
        """
        Each attribute of a status, and of the values in it.
        """
        values = PeerStatus, AddressStatus, HoldStatus, CheckStatus, StepStatus, PastChange
        for kind in (Status, SyncStatus, *values):
            self.assertLists(_PYTHON, _HEADING, *(field.name for field in attrs.fields(kind)))
        self.assertLists(_PYTHON, _HEADING, *(f"Role.{role.name}" for role in Role))

    def test_reasons(self) -> None:
        """
        Each reason that a script may get.
        """
        self.assertLists("docs/steps.rst", "Scripts", *(reason.name.lower() for reason in Reason))

    def test_holds(self) -> None:
        """
        Each reason for which a host stays out of the election.
        """
        heading = "A host does not become master"
        self.assertLists("docs/trouble.rst", heading, *(one.value for one in HoldReason))

    def test_findings(self) -> None:
        """
        Each finding.
        """
        self.assertLists("docs/trouble.rst", "Findings", *(one.value for one in Finding))
