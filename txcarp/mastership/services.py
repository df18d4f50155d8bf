"""
Twisted services that run only while this host is master.
"""

from __future__ import annotations

from twisted.application.service import IService
from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from txcarp.change import Change
from txcarp.interfaces import IMastershipStep


@implementer(IMastershipStep)
class ServiceStep:
    """
    Starts a service after the addresses are usable, and stops it, waiting for
    its Deferred, before they leave.
    """

    def __init__(
        self, service: IService, *, required: bool = True, timeLimit: float | None = 30.0
    ) -> None:
        """
        @param service: Not started by anybody else, and without a parent.
        @param required: Whether a host where it does not start must not be
            master.
        @param timeLimit: Seconds that its end may take.
        """
        self.name = f"service {getattr(service, 'name', None) or type(service).__name__}"
        self.required = required
        self.timeLimit = timeLimit
        self._service = service

    def acquire(self, change: Change) -> None:
        """
        Start it, as a parent does with a service that it is given late.
        """
        self._service.privilegedStartService()
        self._service.startService()

    def release(self, change: Change) -> Deferred[None] | None:
        """
        Stop it, also where it started only in part.
        """
        if not self._service.running:
            return None
        return maybeDeferred(self._service.stopService).addCallback(lambda _: None)
