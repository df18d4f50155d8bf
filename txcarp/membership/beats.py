"""
Recognises what a host says once more in another form.
"""

from __future__ import annotations

import attrs

from txcarp.membership.peers import MAXIMUM
from txcarp.protocol.authentication import CURRENT
from txcarp.protocol.events import Heard
from txcarp.protocol.timing import Peer

#: Seconds within which the advertisements of one beat arrive.  They leave one right after the
#: other; a quarter of the interval is the limit where the interval is short.
TOGETHER = 0.1


@attrs.define
class _Beat:
    """
    The advertisements that a host sent at one moment.

    @ivar peer: What they say.
    @ivar at: When the first one arrived, in seconds of the clock.
    @ivar forms: Their forms, by label.
    @ivar before: The forms of the beat before that; none if there was none.
    """

    peer: Peer
    at: float
    forms: tuple[str, ...]
    before: tuple[str, ...]


class Beats:
    """
    The last beat of each host, where this host knows several forms
    (L{Form<txcarp.protocol.authentication.Form>}).

    A master advertises in each form that it knows, and says the same in all of them.  Of one beat,
    only the advertisement that arrives first is an event for the election.  Another one may
    arrive after a better host has replied to the first: a third host, which has just left the
    group to the better one, would take it for a new advertisement of a master that can be
    replaced, and become master once more.  A second bow-out, or the second form of an offer, has
    the same effect.

    An advertisement begins another beat if it says something else, if its form was heard in this
    beat, or if it comes too late.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Beat] = {}

    def begins(self, heard: Heard, now: float) -> bool:
        """
        Take in an advertisement.

        @param now: Seconds of the clock.
        @return: Whether it is the first one of a beat.
        """
        peer, form = heard.peer, heard.pair
        last = self._known.pop(peer.source, None)
        together = min(TOGETHER, peer.timing.interval / 4)
        isAgain = (
            last is not None
            and last.peer == peer
            and form not in last.forms
            and now - last.at <= together
        )
        if last is None or not isAgain:
            last = _Beat(peer, now, (form,), () if last is None else last.forms)
            if len(self._known) >= MAXIMUM:
                del self._known[next(iter(self._known))]
        else:
            last.forms += (form,)
        self._known[peer.source] = last
        return not isAgain

    def isBehind(self, source: bytes) -> bool:
        """
        Whether a host advertises in other forms only, and not in the current one of this host.
        """
        last = self._known.get(source)
        return last is not None and bool(last.before) and CURRENT not in last.before + last.forms

    def forms(self, source: bytes) -> tuple[str, ...]:
        """
        The labels of the forms in which a host advertised last.
        """
        last = self._known.get(source)
        return () if last is None else tuple(dict.fromkeys(last.before + last.forms))
