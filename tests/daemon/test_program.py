"""
Tests for L{txcarp.daemon.program}; with real processes in L{tests.lab.test_programs}.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from twisted.application.service import IService, IServiceMaker, MultiService
from twisted.logger import LogEvent, Logger, globalLogPublisher
from twisted.plugin import IPlugin
from twisted.python.reflect import namedModule
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.configuration.test_options import commandLine
from twisted import plugins
from txcarp.configuration.options import CARPOptions
from txcarp.daemon import program as plugin
from txcarp.daemon.program import SchedulingService, SyslogService, makeService
from txcarp.daemon.signals import SignalService
from txcarp.network.sockets import MissingCapability
from txcarp.service import CARPService


class FakeSyslog:
    """
    A log daemon.
    """

    def __init__(self, facility: int, identity: str) -> None:
        self.facility, self.identity = facility, identity
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)


class PluginTests(SynchronousTestCase):
    """
    What twistd gets.
    """

    def setUp(self) -> None:
        """
        Let this process be allowed everything, and no system log exist.
        """
        self.asked: list[bool] = []
        self.hidden: list[bytes] = []
        self.syslogs: list[FakeSyslog] = []
        self.patch(plugin, "checkCapabilities", self.asked.append)
        self.patch(plugin, "SyslogObserver", self.syslog)
        self.patch(CARPOptions, "hidePasswords", self.hide)

    def syslog(self, facility: int, identity: str) -> FakeSyslog:
        """
        Make a log daemon.
        """
        self.syslogs.append(FakeSyslog(facility, identity))
        return self.syslogs[-1]

    def hide(self) -> None:
        """
        Take the passwords out of the process list.
        """
        self.hidden.append(b"")

    def parsed(self, *more: str, parent: Any = None) -> CARPOptions:
        """
        A command line as twistd hands it over.
        """
        options = CARPOptions()
        options.parent = parent
        options.parseOptions(commandLine(*more))
        return options

    def made(self, *more: str, parent: Any = None) -> MultiService:
        """
        The whole program for a command line.
        """
        made = makeService(self.parsed(*more, parent=parent))
        assert isinstance(made, MultiService)
        return made

    def refused(self, *more: str) -> str:
        """
        What is said of a command line that cannot run.
        """
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        ended = self.assertRaises(SystemExit, makeService, self.parsed(*more))
        self.assertEqual(ended.code, 2)
        return errors.getvalue()

    def test_found(self) -> None:
        """
        twistd finds it by its name, and the options that it takes.
        """
        maker = namedModule("twisted.plugins.txcarp_plugin").carp
        verifyObject(IServiceMaker, maker)
        verifyObject(IPlugin, maker)
        self.assertEqual(maker.tapname, "txcarp")
        self.assertIs(maker.options, CARPOptions)
        self.assertTrue(plugins.__path__)

    def test_order(self) -> None:
        """
        The system log begins before anything else may have something to say, and the
        virtual hosts end before the log does.
        """
        made = self.made()
        verifyObject(IService, made)
        self.assertEqual(
            [type(service) for service in made],
            [SyslogService, SchedulingService, SignalService, CARPService],
        )
        self.assertEqual((self.asked, self.hidden), ([False], [b""]))
        self.made("--assign")
        self.assertEqual(self.asked, [False, True])

    def test_syslog(self) -> None:
        """
        What is logged while the program runs goes to the facility that was asked for, as
        far as an administrator wants to read it.
        """
        for options, debugging in (((), False), (("-D",), True)):
            service = next(iter(self.made("-f", "local3", *options)))
            log = self.syslogs[-1]
            self.assertEqual((log.facility, log.identity), (19, "txcarp"))
            logger = Logger(observer=globalLogPublisher)
            logger.info("before")
            service.privilegedStartService()
            service.startService()
            logger.info("shown")
            logger.debug("detail")
            service.stopService()
            logger.info("after")
            said = [event["log_format"] for event in log.events]
            self.assertEqual(said, ["shown", "detail"] if debugging else ["shown"])

    def test_noSyslog(self) -> None:
        """
        With the facility none there is no system log.
        """
        made = self.made("-f", "none")
        self.assertNotIn(SyslogService, [type(service) for service in made])
        self.assertEqual(self.syslogs, [])
        service = SyslogService("none", False)
        service.privilegedStartService()
        service.startService()
        service.stopService()

    def test_mayNot(self) -> None:
        """
        A process that lacks a privilege says which in one line, and ends with status 2.
        """

        def refuse(assign: bool) -> None:
            raise MissingCapability("open a raw socket", "CAP_NET_RAW")

        self.patch(plugin, "checkCapabilities", refuse)
        said = self.refused()
        self.assertRegex(said, r"^txcarp: cannot open a raw socket: .*CAP_NET_RAW.*\n$")

    def test_cannot(self) -> None:
        """
        So does one that is asked for what cannot be done, without a word of the password.
        """
        said = self.refused("-p", "Geheimnis" * 10)
        self.assertRegex(said, r"^txcarp: Password too long: 90 bytes.*\n$")
        self.assertNotIn("Geheimnis", said)
        self.assertEqual((self.asked, self.hidden), ([], []))

    def test_background(self) -> None:
        """
        C{-B} is twistd's business, whatever its own options say.
        """
        for more, expected in (((), True), (("-B",), False)):
            parent = {"nodaemon": True}
            self.made(*more, parent=parent)
            self.assertEqual(parent, {"nodaemon": expected})
        self.made("-B")

    def test_onTime(self) -> None:
        """
        What keeps this process on time is asked for once, while it may be.
        """
        asked: list[None] = []
        self.patch(plugin, "stayOnTime", lambda: asked.append(None))
        service = SchedulingService()
        service.privilegedStartService()
        service.startService()
        service.stopService()
        self.assertEqual(len(asked), 1)
