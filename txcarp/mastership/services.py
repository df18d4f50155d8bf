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
    Starts a service when the addresses are usable.  Before they leave, stops the service and
    waits for its Deferred.
    """

    def __init__(
        self, service: IService, *, required: bool = True, timeLimit: float | None = 30.0
    ) -> None:
        """
        @param service: A service without a parent, which nothing else starts or stops.
        @param required: Whether a host where the service does not start must not be master.
        @param timeLimit: Seconds that stopping the service may take, C{None} for no limit.
        @raise ValueError: If the service is running or has a parent.
        """
        self.name = f"service {getattr(service, 'name', None) or type(service).__name__}"
        if service.running or service.parent is not None:
            state = "is running" if service.running else "has a parent, which starts and stops it"
            raise ValueError(f"{self.name} {state}: it must run only while this host is master")
        self.required = required
        self.timeLimit = timeLimit
        self._service = service
        self._begun = False

    def acquire(self, change: Change) -> None:
        """
        Start the service, as a running parent starts a service that is added to it.

        @raise RuntimeError: If the service is running, because it took too long to stop or
            something else has started it.
        """
        if self._service.running:
            raise RuntimeError("it is running already")
        self._begun = True
        for port in _ports(self._service):
            # By itself, the service raises an error of listening at its first start only,
            # and never if it was made without strports.  A master would not notice that it
            # does not listen.  Twisted has no public name for this.
            port._raiseSynchronously = True
        self._service.privilegedStartService()
        self._service.startService()

    def release(self, change: Change) -> Deferred[None] | None:
        """
        Stop the service, also when it failed to start: it may have opened ports although it
        does not count as running.
        """
        if not self._begun:
            return None
        self._begun = False
        return maybeDeferred(self._service.stopService).addCallback(lambda _: None)


def _ports(service: IService) -> Iterator[StreamServerEndpointService]:
    """
    The services that listen: this one and all below it.
    """
    if isinstance(service, StreamServerEndpointService):
        yield service
    if IServiceCollection.providedBy(service):
        for child in service:
            yield from _ports(child)
