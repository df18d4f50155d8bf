"""
What signals do to a process that is a CARP daemon and nothing else.
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

from txcarp.protocol.actor import Actor
from txcarp.service import CARPService

#: Seconds in which several signals count as one.  When a terminal is closed, the kernel and the
#: shell both send HUP.
_ONE_REQUEST = 0.5

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class SignalService(Service):
    """
    ucarp's signals: USR1 logs the status of each virtual host, USR2 makes each master hand over,
    and TERM, INT, HUP and QUIT end the process.  With a configuration file, HUP has it read again.

    The process leaves its groups in good order before it ends.  If its virtual hosts run their
    down scripts at the end (C{-z}), it exits with status 0.  Otherwise it ends by the signal that
    it received, as if it had no handler.  A second signal some time later ends it at once,
    whatever it is waiting for.
    """

    _log = Logger()

    def __init__(
        self,
        carp: CARPService,
        *,
        exitQuietly: bool,
        reactor: Any = None,
        lastWords: Callable[[], None] = lambda: None,
        reload: Callable[[Actor], object] | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        @param exitQuietly: Whether to exit with status 0 after a signal.
        @param lastWords: Called before this service ends the process, to write the last log
            lines.
        @param reload: Called at HUP with the signal; C{None} if HUP ends the process.
        @param seconds: Returns a monotonic time in seconds.
        """
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = installed
        self._carp = carp
        self._exitQuietly = exitQuietly
        self._reactor = reactor
        self._lastWords = lastWords
        self._reload = reload
        self._seconds = seconds
        self._askedAt: float | None = None

    def startService(self) -> None:
        """
        Install the handlers, after the reactor has installed its own.
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
                host.resign(Actor.signal("SIGUSR2"))
        elif number == signal.SIGHUP and self._reload is not None:
            self._reload(Actor.signal("SIGHUP"))
        elif self._askedAt is not None:
            if self._seconds() - self._askedAt >= _ONE_REQUEST:
                self._log.error(
                    "Told to end for the second time: ending at once, without leaving the groups "
                    "in good order"
                )
                self._lastWords()
                os._exit(128 + number)
        else:
            self._askedAt = self._seconds()
            if not self._exitQuietly:
                atexit.register(self._dieBy, number)
            self._reactor.stop()

    def _dieBy(self, number: int) -> None:
        """
        End this process by a signal, so that its parent sees which one it was.
        """
        self._lastWords()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
