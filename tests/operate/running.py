"""
A service that answers on a real Unix socket, with groups on fakes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.fakes import FakePlatform, Journal, configured, runTo
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.operate.client import Client
from txcarp.operate.control import Control
from txcarp.operate.server import ControlService
from txcarp.service import CARPService


def shortDirectory(case: TestCase) -> Path:
    """
    Make a directory whose path leaves room for the name of a socket, which has 107 bytes at most.
    """
    path = tempfile.mkdtemp()
    case.addCleanup(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


class RunningTestCase(TestCase):
    """
    Tests with a service that answers.

    @ivar path: The path of the socket.
    """

    reloader: Any = None
    timeout = 60

    def setUp(self) -> None:
        """
        Start two groups, of which this host is master, and the socket.
        """
        self.path = str(shortDirectory(self) / "control.sock")
        self.clock = Clock()
        self.platform = FakePlatform(self.clock, Journal())
        self.carp = CARPService(self.configurations(), platform=self.platform)
        self.platform.links.change(self.carp.virtualHosts[0].configuration.interface)
        self.carp.privilegedStartService()
        self.carp.startService()
        self.control = Control(self.carp, reactor, self.reloader)  # type: ignore[arg-type]
        self.service = self.serve()

    def configurations(self) -> list[VirtualHostConfiguration]:
        """
        What the service runs.
        """
        return [
            configured(vhid=7, title="web", neutral=True),
            configured(vhid=8, addresses=["10.99.0.101"], neutral=True),
        ]

    def serve(self) -> ControlService:
        """
        Answer on the socket.
        """
        service = ControlService(self.control, self.path, reactor)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def becomeMaster(self) -> None:
        """
        Let so much time pass that this host becomes master of all groups.
        """
        runTo(self.clock, self.clock.seconds() + 4)

    def asking(self, ask: Callable[[Client], Any]) -> Deferred[Any]:
        """
        Ask in a thread.
        """
        return deferToThread(ask, Client(self.path))

    def inThread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """
        Call a function in a thread.
        """
        return deferToThread(function, *arguments)

    def socketExists(self) -> bool:
        """
        Whether the file of the socket is there.
        """
        return os.path.exists(self.path)
