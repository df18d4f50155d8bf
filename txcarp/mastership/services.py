"""
Twisted services that run only while this host is master.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService, IServiceCollection
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
        @raise ValueError: If it runs, or somebody else starts and stops it.
        """
        self.name = f"service {getattr(service, 'name', None) or type(service).__name__}"
        if service.running or service.parent is not None:
            state = "runs already" if service.running else "has a parent that starts and stops it"
            raise ValueError(f"{self.name} {state}: it is to run only while this host is master")
        self.required = required
        self.timeLimit = timeLimit
        self._service = service
        self._begun = False

    def acquire(self, change: Change) -> None:
        """
        Start it, as a parent does with a service that it is given late.

        @raise RuntimeError: If it runs: its end took too long, or somebody
            else has started it.
        """
        if self._service.running:
            raise RuntimeError("it runs already")
        self._begun = True
        for port in _ports(self._service):
            # It raises what keeps it from listening at its first start only,
            # and at no start if it was made without strports; later a master
            # would not notice that it does not work.
            port._raiseSynchronously = True
        self._service.privilegedStartService()
        self._service.startService()

    def release(self, change: Change) -> Deferred[None] | None:
        """
        Stop it, also where it started only in part: one that does not count
        itself as running may have opened its ports.
        """
        if not self._begun:
            return None
        self._begun = False
        return maybeDeferred(self._service.stopService).addCallback(lambda _: None)


def _ports(service: IService) -> Iterator[StreamServerEndpointService]:
    """
    What listens in a service and in those that it holds.
    """
    if isinstance(service, StreamServerEndpointService):
        yield service
    if IServiceCollection.providedBy(service):
        for child in service:
            yield from _ports(child)
