"""
What a running process does on request that takes time, and what it answers when that is done.

Whoever asks may go away meanwhile.  What was begun goes on.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

from twisted.internet.defer import (
    Deferred,
    TimeoutError,
    gatherResults,
    inlineCallbacks,
    succeed,
)
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.change import Change, Drained, NotDrained
from txcarp.interfaces import IMastershipObserver
from txcarp.mastership.handover import SUCCESSION
from txcarp.operate.documents import Answer, answer, refusal
from txcarp.operate.request import Terms
from txcarp.protocol.actor import Actor
from txcarp.protocol.demotion import FULL_DEMOTION
from txcarp.protocol.effects import Role
from txcarp.protocol.events import HoldReason
from txcarp.status.parts import HoldStatus
from txcarp.virtualhost import VirtualHost

#: Seconds for which an answer waits at most for what other hosts do.
_OTHERS = 5.0

#: How many of its intervals a master has to be heard again.
_INTERVALS = 1.25

#: Seconds from which a time needs a date.
_DAY = 86400.0

#: Actions that take a host out of the election, or end that.
MAINTENANCE = ("drain", "resume")


class Acting:
    """
    Carries out requests, and answers when the result is known.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    # Drains.

    def maintain(
        self, host: VirtualHost, action: str, terms: Terms, actor: Actor
    ) -> Deferred[Answer]:
        """
        Drain a virtual host, or end that.

        @param action: C{"drain"} or C{"resume"}.
        """
        done = self._begin(host, action, terms, actor)
        return self._answered(host, done, terms)

    def maintainAll(
        self, hosts: Sequence[VirtualHost], action: str, terms: Terms, actor: Actor
    ) -> Deferred[Answer]:
        """
        Drain virtual hosts, or end that.  The answer has what has become of each.
        """

        def good(words: str, host: VirtualHost) -> dict[str, Any]:
            return _row(host, None, words)

        def bad(failure: Failure, host: VirtualHost) -> dict[str, Any]:
            return _row(host, *_trouble(host, failure, terms))

        rows: list[Deferred[dict[str, Any]]] = []
        for host in hosts:
            done = self._limited(self._begin(host, action, terms, actor), terms)
            rows.append(done.addCallbacks(good, bad, (host,), {}, (host,)))
        return gatherResults(rows).addCallback(lambda found: answer({"results": found}))

    def _begin(
        self, host: VirtualHost, action: str, terms: Terms, actor: Actor
    ) -> Deferred[str]:
        """
        @return: Fires with what has happened, as a phrase, or fails with L{NotDrained}.
        """
        if action == "resume":
            return self._resume(host, actor)
        done = host.drain(terms.duration, terms.anyway, actor)
        return done.addCallback(_drained, host)

    @inlineCallbacks
    def _resume(self, host: VirtualHost, actor: Actor) -> Generator[Deferred[Any], Any, str]:
        wasDrained = _drainOf(host) is not None
        yield host.resume(actor)
        if not wasDrained:
            return f"was not drained; {_state(host)}"
        yield self._settled(host, "resume")
        return f"takes part again; {_state(host)}"

    # The election.

    def afterwards(self, host: VirtualHost, action: str, terms: Terms) -> Deferred[Answer]:
        """
        Answer when it is known what a request has led to that was carried out.

        @param action: The last part of its path.
        """
        done = self._settled(host, action).addCallback(lambda _: "")
        answered = self._answered(host, done, terms)
        if action == "takeover":
            answered.addCallback(_remained, host)
        return answered

    @inlineCallbacks
    def _settled(self, host: VirtualHost, action: str) -> Generator[Deferred[Any], Any, None]:
        limit = min(_prospect(host, action), _OTHERS)
        if limit > 0:
            yield _NextRole(host, self._clock, limit).done
        yield host.settled()

    # Answers.

    def _answered(self, host: VirtualHost, done: Deferred[str], terms: Terms) -> Deferred[Answer]:
        def good(words: str) -> Answer:
            return answer({"group": host.status(), **({"message": words} if words else {})})

        def bad(failure: Failure) -> Answer:
            word, words = _trouble(host, failure, terms)
            return refusal(504 if word == "not-yet" else 409, word, words)

        return self._limited(done, terms).addCallbacks(good, bad)

    def within(self, done: Deferred[Answer], terms: Terms, begun: Answer) -> Deferred[Answer]:
        """
        Wait for an answer as long as a request wants to.  What leads to the answer goes on.

        @param begun: The answer to a request that does not want to wait.
        """
        waiting: Deferred[Answer] = Deferred()

        def tell(result: Answer | Failure) -> None:
            if not waiting.called:
                waiting.callback(result)

        def late(result: object, seconds: float) -> Answer:
            words = f"The request is not complete after {seconds:g} s. It goes on."
            return refusal(504, "not-yet", words)

        done.addBoth(tell)
        if not terms.wait:
            tell(begun)
        return waiting.addTimeout(terms.timeout, self._clock, late)

    def _limited(self, done: Deferred[str], terms: Terms) -> Deferred[str]:
        """
        Wait for something as long as a request wants to.
        """
        if terms.wait or done.called:
            return done.addTimeout(terms.timeout, self._clock)
        done.addErrback(lambda failure: failure.trap(NotDrained) and None)
        return succeed("requested; nothing was waited for")


@implementer(IMastershipObserver)
class _NextRole:
    """
    Waits until the role of a virtual host changes, but not for long.
    """

    def __init__(self, host: VirtualHost, clock: IReactorTime, limit: float) -> None:
        self.done: Deferred[None] = Deferred(lambda done: self._end())
        self._host = host
        self._timer = clock.callLater(limit, self._fire)
        host.addObserver(self)

    def roleChanged(self, change: Change) -> None:
        self._timer.reset(0)  # what follows from the change has not begun yet

    def _fire(self) -> None:
        self._end()
        self.done.callback(None)

    def _end(self) -> None:
        self._host.removeObserver(self)
        if self._timer.active():
            self._timer.cancel()


def _prospect(host: VirtualHost, action: str) -> float:
    """
    Within how many seconds the role of a host may change because of a request; 0 if it will not.
    """
    explanation = host.explain()
    status, comparisons = explanation.status, explanation.comparisons
    if status.role is Role.MASTER:
        if action == "takeover":
            # A better master goes on until it hears this one, or this one hears it.
            better = [peer for peer in status.peers if comparisons[peer.source].yields]
            return max((_INTERVALS * peer.timing.interval for peer in better), default=0.0)
        if action == "demote":
            # Backups are silent.  These are the cases in which one may be better.
            better = [peer for peer in status.peers if comparisons[peer.source].yields]
            return SUCCESSION if better or status.demotion >= FULL_DEMOTION else 0.0
        return 0.0
    if status.role is Role.BACKUP and action in ("promote", "resume"):
        for peer in status.peers:
            if peer.source == status.master and comparisons[peer.source].takesOver is not None:
                return _INTERVALS * peer.timing.interval
        if not status.master and status.deadline is not None and action == "resume":
            return status.deadline + 0.1
    return 0.0


def _row(host: VirtualHost, error: str | None, words: str) -> dict[str, Any]:
    own = host.configuration
    return {"name": own.name, "title": own.title, "error": error, "message": words}


def _trouble(host: VirtualHost, failure: Failure, terms: Terms) -> tuple[str, str]:
    """
    Why something is not done, as a word and as a sentence.
    """
    error = failure.value
    if isinstance(error, NotDrained):
        return error.word, str(error)
    failure.trap(TimeoutError)
    words = (
        f"The request for {host.configuration.display} is not complete after {terms.timeout:g} s. "
        "It goes on: 'txcarp status' shows what comes of it."
    )
    return "not-yet", words


def _remained(answered: Answer, host: VirtualHost) -> Answer:
    """
    The answer to a request to take over.
    """
    status = host.status()
    if answered.code != 200 or status.role is Role.MASTER:
        return answered
    who = status.master or "Another host"
    words = (
        f"{who} has taken {host.configuration.display} back at once, because it is preferred. "
        "Demote or drain it there first."
    )
    return refusal(409, "taken-back", words)


def _drainOf(host: VirtualHost) -> HoldStatus | None:
    for hold in host.status().holds:
        if hold.reason is HoldReason.DRAINED:
            return hold
    return None


def _drained(result: Drained, host: VirtualHost) -> str:
    hold, until = _drainOf(host), ""
    if hold is not None and hold.remaining is not None:
        form = " until %H:%M:%S" if hold.remaining < _DAY else " until %b %d %H:%M"
        until = time.strftime(form, time.localtime(host.status().time + hold.remaining))
    words = f"{result.master} is master" if result.master else "no other host is master"
    if not result.isKept:
        words += "; a restart of txcarp would end this, because it is not saved"
    return f"drained{until}; {words}"


def _state(host: VirtualHost) -> str:
    status = host.status()
    if status.role is Role.MASTER:
        return "this host is MASTER"
    who = f"{status.master} is master" if status.master else "no master is heard"
    return f"this host is {status.role.value}, {who}"
