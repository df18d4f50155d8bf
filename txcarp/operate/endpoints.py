"""
Endpoints on which everybody may read, and nobody can change anything.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.operate.connections import ACCEPTS, ControlFactory
from txcarp.operate.control import Control
from txcarp.operate.opening import RETRY, Opening


class ReadingService(Opening):
    """
    Answers on an endpoint.

    What keeps it from being opened is logged once, and does not keep this process from its work.
    It is tried again: the address may come, or the other process that uses it may end.
    """

    _log = Logger()

    def __init__(self, control: Control, description: str, reactor: Any) -> None:
        """
        @param description: The endpoint, as in C{tcp:9112:interface=127.0.0.1}.
        """
        super().__init__(control, reactor)
        self._description = description

    def _open(self) -> None:
        from twisted.internet.endpoints import serverFromString  # takes a while to load

        factory = ControlFactory(self._control, self._reactor, isPublic=True)
        opened = maybeDeferred(serverFromString, self._reactor, self._description)
        opened.addCallback(lambda endpoint: endpoint.listen(factory))
        opened.addCallbacks(self._opened, self._failed)

    def _opened(self, port: IListeningPort) -> None:
        self._port = port
        acceptFew(port)
        self._log.info(
            "Everybody who reaches {description} can read the state of all groups",
            description=self._description,
        )
        if not self._tried:  # stopped meanwhile
            self.stopService()

    def _failed(self, failure: Failure) -> None:
        if not self._reported:
            self._reported = True
            # Twisted wraps what the kernel says.
            reason = getattr(failure.value, "socketError", failure.value)
            self._log.warn(
                "Nobody can read the state of this process through {description}: it cannot be "
                "opened: {reason}. It is tried again every {retry:.0f} s",
                description=self._description,
                reason=getattr(reason, "strerror", None) or str(reason),
                retry=RETRY,
            )
        self._again()


def acceptFew(port: Any) -> None:
    """
    Let a port accept few connections in one turn of the reactor, in place of up to some hundred.
    An advertisement that is due would wait for all of them.
    """
    if not hasattr(port, "numberAccepts"):
        return  # it is no socket of Twisted's own
    read = port.doRead

    def doRead() -> object:
        port.numberAccepts = ACCEPTS
        return read()

    port.doRead = doRead
