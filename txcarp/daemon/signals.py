"""
What signals mean to a process that is a CARP daemon and nothing else.
"""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from txcarp.service import CARPService

#: Seconds in which several signals are one wish: a terminal that is closed has both the
#: kernel and the shell send HUP.
_ONE_WISH = 0.5

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class SignalService(Service):
    """
    ucarp's signals: USR1 logs what each virtual host is, USR2 has each master
    hand over, and TERM, INT, HUP and QUIT end the process.

    A process whose virtual hosts run their down scripts at the end (C{-z})
    exits with status 0; otherwise it ends by the signal it got, as one that
    has no handler does.  In both cases it leaves its groups in good order
    first.  Another signal some time later ends it at once, whatever it is
    waiting for.
    """

    _log = Logger()

    def __init__(
        self,
        carp: CARPService,
        *,
        exitQuietly: bool,
        reactor: Any = None,
        lastWords: Callable[[], None] = lambda: None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        @param exitQuietly: Whether to exit with status 0 on a signal.
        @param lastWords: Called before the process ends by itself, to write
            what was logged.
        @param seconds: What time it is.
        """
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = installed
        self._carp = carp
        self._exitQuietly = exitQuietly
        self._reactor = reactor
        self._lastWords = lastWords
        self._seconds = seconds
        self._asked: float | None = None

    def startService(self) -> None:
        """
        Put the handlers in place, once the reactor has put its own.
        """
        Service.startService(self)
        self._reactor.callWhenRunning(self._install)

    def _install(self) -> None:
        for number in (*_ENDING, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._act, number)

    def _act(self, number: int) -> None:
        if number == signal.SIGUSR1:
            for host in self._carp.virtualHosts:
                host.logStatus()
        elif number == signal.SIGUSR2:
            for host in self._carp.virtualHosts:
                host.resign()
        elif self._asked is not None:
            if self._seconds() - self._asked >= _ONE_WISH:
                self._log.error("Asked to end for the second time: ending at once")
                self._lastWords()
                os._exit(128 + number)
        else:
            self._asked = self._seconds()
            if not self._exitQuietly:
                atexit.register(self._dieBy, number)
            self._reactor.stop()

    def _dieBy(self, number: int) -> None:
        """
        End this process by a signal, so that its parent sees which.
        """
        self._lastWords()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
