"""
What a process answers, as a resource of twisted.web that another application mounts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from txcarp.interfaces import IReloader
from txcarp.operate.connections import LONGEST_BODY, requestOf, stream, write
from txcarp.operate.control import Control, Streaming
from txcarp.operate.documents import Answer, refusal
from txcarp.operate.page import loaded
from txcarp.protocol.actor import Actor
from txcarp.service import CARPService


class ControlResource(Resource):
    """
    The same paths as on the control socket, below any path of a site::

        root.putChild(b"carp", ControlResource(service))

    Everything can be read.  Who may change something is for the application to decide.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        carp: CARPService,
        *,
        reloader: IReloader | None = None,
        actorOf: Callable[[IRequest], Actor | None] = lambda request: None,
        reactor: IReactorTime | None = None,
        page: bool = False,
    ) -> None:
        """
        @param reloader: Reads the configuration file again; C{None} if there is none.
        @param actorOf: Returns who asks; C{None}, as by default, for one who may change nothing.
            It must defend against other sites that make a browser ask (CSRF).
        @param reactor: The reactor of the site; by default the global one.
        @param page: Whether there is a page for browsers, at the path of this resource with a slash
            behind it.
        """
        Resource.__init__(self)
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = cast(IReactorTime, installed)
        self._actorOf = actorOf
        self._control = Control(carp, reactor, reloader, loaded(page))

    def render(self, request: Any) -> int:
        """
        Answer a request.  The timeout of the site ends connections that do not read.
        """
        parts = [part.decode("latin-1") for part in request.postpath]
        body = request.content.read(LONGEST_BODY + 1)
        if len(body) > LONGEST_BODY:
            words = f"A request has at most {LONGEST_BODY} bytes besides its headers."
            write(request, refusal(413, "too-long", words))
            return NOT_DONE_YET
        isGone: list[bool] = []
        request.notifyFinish().addBoth(lambda _: isGone.append(True))

        def answered(answer: Any) -> None:
            if isGone:
                return
            if isinstance(answer, Streaming):
                stream(request, answer, end)
            else:
                write(request, answer)

        def end() -> None:
            if not isGone:
                request.finish()

        asked = requestOf(request, parts, body, self._actorOf(request))
        done = maybeDeferred(self._control.answer, asked)
        done.addErrback(self._failed).addCallback(answered)
        return NOT_DONE_YET

    def _failed(self, failure: Failure) -> Answer:
        self._log.failure("Internal error while a request was answered", failure)
        return refusal(500, "internal-error", "This is a fault of txcarp; its log has more.")
