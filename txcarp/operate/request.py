"""
A request, and what it says.  Whatever is wrong with it is refused with an answer that says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from txcarp.configuration.settings import seconds
from txcarp.operate.documents import refusal
from txcarp.protocol.actor import Actor
from txcarp.protocol.demotion import FULL_DEMOTION
from txcarp.virtualhost import LONGEST_DRAIN

#: Characters of the longest reason for a demotion.
LONGEST_REASON = 64

#: Seconds for which an answer may wait for the result, at most.
LONGEST_WAIT = 240.0

#: The same if the request says nothing about it.
USUAL_WAIT = 60.0

#: Seconds of the longest time to confirm a change in.
_LONGEST_CONFIRMATION = 86400.0


class Refused(Exception):
    """
    A request cannot be answered as wished.

    @ivar answer: What is answered instead.
    """

    def __init__(self, code: int, word: str, message: str) -> None:
        """
        The parameters are those of L{refusal}.
        """
        super().__init__(message)
        self.answer = refusal(code, word, message)


@attrs.frozen
class Request:
    """
    A request.

    @ivar method: The method of HTTP.
    @ivar path: The parts of the path.
    @ivar body: What came with it: an empty string or a JSON object.
    @ivar actor: The user who asks; C{None} if that is unknown, so that nothing may be changed.
    @ivar query: The values of each parameter behind the path.
    @ivar accept: The media types that are wanted.
    @ivar lastEventID: The last event that is known; an empty string for none.
    """

    method: str
    path: tuple[str, ...]
    body: bytes
    actor: Actor | None
    query: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    accept: str = ""
    lastEventID: str = ""

    def must(self, method: str) -> None:
        """
        Refuse another method.  HEAD is as good as GET.
        """
        methods = ("GET", "HEAD") if method == "GET" else (method,)
        if self.method not in methods:
            raise Refused(405, "wrong-method", f"This path is for the method {method}.")

    def mayAct(self) -> Actor:
        """
        The user who asks.  One who may not change anything is refused.
        """
        actor = self.actor
        if actor is not None and actor.mayAct:
            return actor
        who = "Whoever asks here" if actor is None else f"The user with uid {actor.uid}"
        raise Refused(
            403,
            "not-permitted",
            f"{who} may read, but not act: only root and the user that txcarp runs as may.",
        )

    def given(self) -> dict[str, Any]:
        """
        The object that came with the request.
        """
        if not self.body.strip():
            return {}
        try:
            given = json.loads(self.body)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise wrong("What comes with a request must be a JSON object.")
        return given


@attrs.frozen
class Terms:
    """
    What a request says besides what is to be done.

    @ivar wait: Whether to answer when the result is known.
    @ivar timeout: Seconds after which to answer all the same.
    @ivar duration: Seconds until what is asked for ends; C{None} for no end.
    @ivar anyway: Whether to do it even if nobody is master then.
    """

    wait: bool = True
    timeout: float = USUAL_WAIT
    duration: float | None = None
    anyway: bool = False

    @classmethod
    def read(cls, given: dict[str, Any]) -> Terms:
        """
        The terms in the object that came with a request.
        """
        duration = given.get("for")
        return cls(
            wait=flagIn(given, "wait", True),
            timeout=_time("timeout", given.get("timeout", USUAL_WAIT), LONGEST_WAIT),
            duration=None if duration is None else _time("for", duration, LONGEST_DRAIN),
            anyway=flagIn(given, "anyway", False),
        )


def flagIn(given: dict[str, Any], name: str, default: bool) -> bool:
    """
    Whether something is wished.
    """
    value = given.get(name, default)
    if type(value) is not bool:
        raise wrong(f"{name} must be true or false.")
    return value


def reasonIn(given: dict[str, Any]) -> str:
    """
    The reason for a demotion: a name in one line.
    """
    reason = given.get("reason")
    if not isinstance(reason, str) or not reason.isprintable() or not reason.strip():
        raise wrong("A reason is needed: a name in one line.")
    if len(reason) > LONGEST_REASON:
        raise wrong(f"A reason has at most {LONGEST_REASON} characters.")
    return reason


def amountIn(given: dict[str, Any]) -> int:
    """
    How much to demote by.
    """
    amount = given.get("amount", FULL_DEMOTION)
    if type(amount) is not int:
        raise wrong("The amount must be a whole number.")
    return amount


def confirmationIn(given: dict[str, Any]) -> float | None:
    """
    The seconds within which a change must be confirmed; C{None} if it need not be.
    """
    value = given.get("confirm")
    if value is None:
        return None
    try:
        found = seconds(value)
        if 1.0 <= found <= _LONGEST_CONFIRMATION:
            return found
    except ValueError:
        pass
    raise wrong(
        f"{shown(value)} is not a time to confirm a change in: give one from a second to a day, "
        'such as "2m".'
    )


def wrong(problem: str | ValueError) -> Refused:
    """
    Make the refusal of a request that says something which is not understood.

    @param problem: A sentence, or an error that has one without a full stop.
    """
    if isinstance(problem, ValueError):
        text = str(problem)
        problem = f"{text[:1].upper()}{text[1:]}."
    return Refused(400, "bad-request", problem)


def shown(value: object) -> str:
    """
    Something from a request for a log line.
    """
    return ascii(value)[: LONGEST_REASON + 2]


def _time(name: str, value: object, longest: float) -> float:
    try:
        found = seconds(value)
    except ValueError:
        found = -1.0
    if not 0 < found <= longest:
        raise wrong(
            f'{name} must be a time such as "10m", or a number of seconds: more than 0, '
            f"and at most {longest:.0f}. It cannot be {str(value)[:64]!r}."
        )
    return found
