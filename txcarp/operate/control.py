"""
What a running process answers to a request, and does because of it.

Nothing here knows of connections: a L{Request} goes in, and an L{Answer} comes out.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp import __version__
from txcarp.addresses import parseAddress, textOf
from txcarp.change import FileStatus, ReloadResult
from txcarp.interfaces import IReloader
from txcarp.operate.acting import MAINTENANCE, Acting
from txcarp.operate.documents import SCHEMA, Answer, answer, encoded, plain, refusal
from txcarp.operate.gathering import Gathering
from txcarp.operate.request import (
    LONGEST_WAIT,
    Refused,
    Request,
    Terms,
    amountIn,
    confirmationIn,
    flagIn,
    reasonIn,
    shown,
    wrong,
)
from txcarp.operate.scraping import Metrics
from txcarp.operate.streams import EVENT_STREAM, LINES, MOST_READERS, Reader, Streams
from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.periods import Who
from txcarp.service import CARPService
from txcarp.status.snapshot import Status
from txcarp.virtualhost import VirtualHost


@attrs.frozen
class Streaming:
    """
    An answer without an end.

    @ivar contentType: The media type.
    @ivar begin: Begins to write.  The parameters are functions: one writes bytes, and the other
        ends the answer.  The reader that is returned is told when the other side pauses or goes.
    """

    contentType: bytes
    begin: Callable[[Callable[[bytes], object], Callable[[], object]], Reader]


#: What an answer may be.
Answered = Answer | Streaming | Deferred[Answer]


def _whyRefused(failure: Failure) -> Answer:
    failure.trap(Refused)
    assert isinstance(failure.value, Refused)
    return failure.value.answer


class Control:
    """
    Answers requests about a service, and carries them out.
    """

    _log = Logger()

    def __init__(
        self,
        carp: CARPService,
        reactor: IReactorTime,
        reloader: IReloader | None = None,
        page: Answer | None = None,
    ) -> None:
        """
        @param reloader: Reads the configuration file again; C{None} if there is none.
        @param page: The page for browsers (L{txcarp.operate.page}); C{None} for none.
        """
        self._page = page
        self._carp = carp
        self._reloader = reloader
        self.streams = Streams(carp, reactor)
        self._metrics = Metrics(carp, reactor, reloader)
        self._gathering: Gathering[bytes] = Gathering(
            reactor, lambda: [partial(_status, host) for host in carp.virtualHosts]
        )
        self._timelines: Gathering[tuple[VirtualHost, bytes]] = Gathering(
            reactor, lambda: [partial(_timeline, host) for host in carp.virtualHosts]
        )
        self._problems: Gathering[str] = Gathering(
            reactor, lambda: [partial(_problem, host) for host in carp.virtualHosts]
        )
        self._acting = Acting(carp.platform.clock)
        self._actions: dict[str, Callable[[VirtualHost, dict[str, Any], Actor], None]] = {
            "demote": self._demote,
            "promote": self._promote,
            "takeover": self._takeOver,
        }

    def answer(self, request: Request) -> Answered:
        """
        Answer a request.
        """
        try:
            answered = self._answer(request)
        except Refused as refused:
            return refused.answer
        if isinstance(answered, Deferred):
            answered.addErrback(_whyRefused)
        return answered

    def _answer(self, request: Request) -> Answered:
        match request.path:
            case ("v1", "status"):
                request.must("GET")
                return self._overview()
            case ("v1", "events"):
                return self._events(request)
            case ("v1", "timeline"):
                request.must("GET")
                return self._timeline(request)
            case ("",) if self._page is not None:
                request.must("GET")
                return self._page
            case ("healthz",):
                request.must("GET")
                return answer({"healthy": True})
            case ("readyz",):
                request.must("GET")
                return self._problems.gather().addCallback(_aboutReadiness)
            case ("metrics",):
                request.must("GET")
                return self._metrics.answer()
            case ("v1", "groups", name):
                request.must("GET")
                whole = _status(self._host(name))
                return Answer(200, b'{"schema": %d, "group": %s}\n' % (SCHEMA, whole))
            case ("v1", "groups", name, "explain"):
                request.must("GET")
                explanation = self._host(name).explain()
                return answer(
                    {"lines": explanation.lines(), "comparisons": explanation.comparisons}
                )
            case ("v1", "groups", name, action) if action in (*self._actions, *MAINTENANCE):
                request.must("POST")
                actor = request.mayAct()
                host, given = self._host(name), request.given()
                terms = Terms.read(given)
                self._report(actor, action, f" {host.configuration.display}", given)
                if action in MAINTENANCE:
                    return self._acting.maintain(host, action, terms, actor)
                self._actions[action](host, given, actor)
                return self._acting.afterwards(host, action, terms)
            case ("v1", action) if action in MAINTENANCE:
                request.must("POST")
                actor, given = request.mayAct(), request.given()
                terms = Terms.read(given)
                self._report(actor, action, " all groups", given)
                return self._acting.maintainAll(self._carp.virtualHosts, action, terms, actor)
            case ("v1", "reload"):
                request.must("POST")
                return self._reloaded(request)
            case ("v1", "forget"):
                request.must("POST")
                return self._forgotten(request)
            case ("v1", "confirm"):
                request.must("POST")
                return self._confirmed(request)
        raise Refused(404, "no-such-path", "There is nothing under this path.")

    # Reading.

    @inlineCallbacks
    def _overview(self) -> Generator[Deferred[Any], Any, Answer]:
        file: FileStatus | None = None
        if self._reloader is not None:
            file = yield self._reloader.status()
        groups: tuple[bytes, ...] = yield self._gathering.gather()
        now = self._carp.platform.wallSeconds()
        head = {
            "schema": SCHEMA,
            "version": __version__,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": now,
            "configuration": file,
        }
        whole = b", ".join(groups)
        return Answer(200, encoded(head)[:-1] + b', "groups": [' + whole + b"]}\n")

    @inlineCallbacks
    def _timeline(self, request: Request) -> Generator[Deferred[Any], Any, Answer]:
        """
        Who was master when, in some groups, or in all.
        """
        wanted = [self._host(name) for name in request.query.get("group", ())]
        found: Sequence[tuple[VirtualHost, bytes]]
        if wanted:
            found = [_timeline(host) for host in dict.fromkeys(wanted)]
        else:
            found = yield self._timelines.gather()
        head = {"schema": SCHEMA, "time": self._carp.platform.wallSeconds()}
        whole = b", ".join(one for _, one in found)
        return Answer(200, encoded(head)[:-1] + b', "groups": [' + whole + b"]}\n")

    def _host(self, name: str) -> VirtualHost:
        """
        The virtual host of a group, which has the name in the file or one such as C{eth0:7}.
        """
        hosts = self._carp.virtualHosts
        for one in hosts:
            if one.configuration.title == name:
                return one
        for one in hosts:
            if one.configuration.name == name:
                return one
        known = ", ".join(one.configuration.title or one.configuration.name for one in hosts[:10])
        more = " and others" if len(hosts) > 10 else ""
        raise Refused(
            404, "no-such-group", f"There is no group {name[:64]!r}; the groups are: {known}{more}."
        )

    def _events(self, request: Request) -> Streaming:
        if request.method != "GET":
            raise Refused(405, "wrong-method", "This path is for the method GET.")
        wanted = [self._host(name).configuration for name in request.query.get("group", ())]
        places = {(one.interface, one.vhid) for one in wanted}
        if self.streams.isFull:
            raise Refused(
                503,
                "too-many-clients",
                f"{MOST_READERS} programs read events, and more are not served: try later.",
            )
        form = EVENT_STREAM if "text/event-stream" in request.accept else LINES
        return Streaming(
            form.contentType, partial(self.streams.open, form, places, request.lastEventID)
        )

    # Acting.

    def _demote(self, host: VirtualHost, given: dict[str, Any], actor: Actor) -> None:
        try:
            host.demote(reasonIn(given), amountIn(given), actor)
        except ValueError as error:
            raise wrong(error) from None

    def _promote(self, host: VirtualHost, given: dict[str, Any], actor: Actor) -> None:
        reason, before = reasonIn(given), host.status().demotions
        if reason not in before:
            present = ", ".join(map(repr, before)) or "none"
            raise Refused(
                409,
                "not-demoted",
                f"{host.configuration.display} is not demoted for {reason!r}; the present reasons "
                f"are: {present}.",
            )
        host.promote(reason, actor)

    def _takeOver(self, host: VirtualHost, given: dict[str, Any], actor: Actor) -> None:
        host.claim(actor)
        status = host.status()
        if status.role is not Role.MASTER:
            holds = ", ".join(hold.explain() for hold in status.holds)
            why = f"it is held back from the election: {holds}" if holds else "it does not run"
            if any(hold.reason is HoldReason.DRAINED for hold in status.holds):
                why += f"; 'txcarp resume {host.configuration.display}' ends the drain"
            raise Refused(
                409, "held-back", f"{host.configuration.display} cannot become master: {why}."
            )

    def _reloaded(self, request: Request) -> Deferred[Answer]:
        given = request.given()
        dryRun, confirm = flagIn(given, "dry_run", False), confirmationIn(given)
        terms = Terms.read({"timeout": LONGEST_WAIT, **given})
        # Reading the file with other rights than one's own is acting, too.
        reloader, actor = self._reloading(request)
        self._report(actor, "reload", "", given)
        done = reloader.preview() if dryRun else reloader.reload(confirm, actor)
        begun = ReloadResult(("The file is read again. The log says what changes.",))
        return self._acting.within(done.addCallback(_aboutReload), terms, _aboutReload(begun))

    def _confirmed(self, request: Request) -> Answer:
        reloader, actor = self._reloading(request)
        self._report(actor, "confirm", "", {})
        result = reloader.confirm()
        if result.error:
            raise Refused(409, "not-waiting", f"{result.error}.")
        return _aboutReload(result)

    @inlineCallbacks
    def _forgotten(self, request: Request) -> Generator[Deferred[Any], Any, Answer]:
        actor, given = request.mayAct(), request.given()
        address, group = given.get("address"), given.get("group")
        try:
            packed = parseAddress(str(address))
        except ValueError as error:
            raise wrong(error) from None
        host = None if group is None else self._host(str(group))
        self._report(actor, "forget", f" {textOf(packed)}", given)
        store = self._carp.platform.store
        if store is None:
            hosts = self._carp.virtualHosts if host is None else [host]
            known = [one.configuration.name for one in hosts if one.forget(packed)]
        else:
            try:
                name = None if host is None else host.configuration.name
                known = yield store.forget(packed, name)
            except OSError as error:
                reason = f"It is forgotten, but that cannot be saved: {error}."
                return refusal(409, "not-saved", reason)
        if not known:
            where = "any group" if host is None else host.configuration.display
            return refusal(
                409,
                "not-known",
                f"{textOf(packed)} is not known to seal its advertisements in {where}.",
            )
        return answer({"groups": known})

    def _reloading(self, request: Request) -> tuple[IReloader, Actor]:
        actor = request.mayAct()
        if self._reloader is None:
            raise Refused(
                409,
                "no-file",
                "This process has no configuration file that it could read again.",
            )
        return self._reloader, actor

    def _report(self, actor: Actor, action: str, group: str, given: dict[str, Any]) -> None:
        """
        Log who asks for what.
        """
        kinds = ("reason", "amount", "dry_run", "confirm", "for", "anyway")
        words = {key: given[key] for key in kinds if given.get(key) is not None}
        said = ", ".join(f"{key} {shown(one)}" for key, one in words.items())
        self._log.info(
            "Asked by {actor}: {action}{group}{details}",
            actor=actor.explain(),
            action=action,
            group=group,
            details=f" ({said})" if said else "",
        )

def _problem(host: VirtualHost) -> str:
    """
    What is not in order in a group, with its name; an empty string if all is well.
    """
    why = _problemOf(host, host.status())
    return f"{host.configuration.display}: {why}" if why else ""


def _aboutReadiness(found: Sequence[str]) -> Answer:
    problems = [one for one in found if one]
    if problems or not found:
        message = f"{'; '.join(problems)}." if problems else "There are no groups."
        return refusal(503, "not-ready", message)
    return answer({"ready": True})


def _status(host: VirtualHost) -> bytes:
    status = host.status()
    problem = _problemOf(host, status)
    return encoded({**plain(status), "notes": status.notes, "problem": problem})


def _problemOf(host: VirtualHost, status: Status) -> str:
    """
    What is not in order in a group, as a clause; an empty string if all is well.
    """
    why = status.problem
    if not why and status.role is Role.MASTER:
        last = host.periods()[-1]
        if last.who is Who.BOTH:
            why = f"{last.master} is master, too"
    return why


def _timeline(host: VirtualHost) -> tuple[VirtualHost, bytes]:
    configuration = host.configuration
    return host, encoded(
        {
            "name": configuration.name,
            "title": configuration.title,
            "periods": [
                {**plain(period), "label": period.label} for period in host.periods()
            ],
        }
    )


def _aboutReload(result: ReloadResult) -> Answer:
    if result.error:
        return refusal(409, "not-reloaded", result.error)
    return answer(
        {
            "lines": result.lines,
            "warnings": result.warnings,
            "unconfirmed": result.unconfirmed,
        }
    )
