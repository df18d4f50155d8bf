"""
Tests for L{txcarp.membership.beats}.
"""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from txcarp.membership.beats import TOGETHER, Beats
from txcarp.membership.peers import MAXIMUM
from txcarp.protocol.authentication import CURRENT
from txcarp.protocol.events import Heard
from txcarp.protocol.timing import LEAVING, Peer, Timing

_PEER, _OTHER = (socket.inet_aton(address) for address in ("10.99.0.1", "10.99.0.3"))
_OLD, _OLDER = "password 2", "password 3"
_TIMING = Timing(1, 0)


def said(form: str, *, source: bytes = _PEER, timing: Timing = _TIMING) -> Heard:
    """
    An advertisement.
    """
    return Heard(Peer(timing, source), pair=form)


class BeatsTests(SynchronousTestCase):
    """
    Tests for L{Beats}.
    """

    def setUp(self) -> None:
        self.beats = Beats()

    def begins(self, now: float, *forms: str, timing: Timing = _TIMING) -> list[bool]:
        """
        Take in advertisements that arrive together.
        """
        return [self.beats.begins(said(form, timing=timing), now) for form in forms]

    def test_first(self) -> None:
        """
        Of each beat, the first advertisement counts, whatever its form.
        """
        for now in range(3):
            self.assertEqual(self.begins(now, CURRENT, _OLD, _OLDER), [True, False, False])
        for now in range(3, 6):
            self.assertEqual(self.begins(now, _OLDER, _OLD), [True, False])

    def test_readLate(self) -> None:
        """
        Several beats that are read at one moment count once each, also if one of their
        advertisements was lost.
        """
        together = (CURRENT, _OLD, CURRENT, _OLD, _OLD, CURRENT, _OLD)
        self.assertEqual(
            self.begins(0.0, *together), [True, False, True, False, True, False, True]
        )

    def test_saysOther(self) -> None:
        """
        What says something else counts: another timing, another demotion, or that its sender
        leaves.  Of several bow-outs, too, the first counts.
        """
        self.begins(0.0, CURRENT)
        for timing in (Timing(1, 240), Timing(3, 240), LEAVING):
            forms = CURRENT, _OLD
            self.assertEqual(self.begins(0.0, *forms, timing=timing), [True, False], timing)
        demoted = Heard(Peer(LEAVING, _PEER, 1), pair=_OLD)
        self.assertTrue(self.beats.begins(demoted, 0.0))

    def test_late(self) -> None:
        """
        What comes later than the advertisements of one beat counts, because it is another beat: a
        host may advertise in another form from now on.
        """
        self.begins(0.0, CURRENT)
        self.assertEqual(self.begins(TOGETHER + 0.01, _OLD), [True])
        fast = Timing(0, 64)
        self.begins(1.0, CURRENT, timing=fast)
        self.assertEqual(self.begins(1.07, _OLD, timing=fast), [True])

    def test_hosts(self) -> None:
        """
        A reply of another host between the advertisements of one beat changes nothing.
        """
        self.assertEqual(self.begins(0.0, CURRENT), [True])
        self.assertTrue(self.beats.begins(said(CURRENT, source=_OTHER), 0.001))
        self.assertEqual(self.begins(0.002, _OLD), [False])

    def test_isBehind(self) -> None:
        """
        A host is behind after a whole beat without the current form.  The order of the forms does
        not matter, nor does what was not heard yet.
        """
        behind = []
        for now, forms in enumerate(
            ([_OLD], [_OLD, CURRENT], [_OLD, CURRENT], [_OLD], [_OLD], [_OLD, _OLDER], [CURRENT])
        ):
            for form in forms:
                self.begins(now, form)
                behind.append(self.beats.isBehind(_PEER))
        self.assertEqual(
            behind, [False, True, False, False, False, False, True, True, True, False]
        )
        self.assertFalse(self.beats.isBehind(_OTHER))

    def test_forms(self) -> None:
        """
        The forms of a host are those of its last beats.
        """
        self.assertEqual(self.beats.forms(_PEER), ())
        self.begins(0.0, CURRENT, _OLD)
        self.begins(1.0, CURRENT)
        self.assertEqual(self.beats.forms(_PEER), (CURRENT, _OLD))
        self.begins(2.0, CURRENT)
        self.assertEqual(self.beats.forms(_PEER), (CURRENT,))

    def test_full(self) -> None:
        """
        A new host replaces the one that has been silent for longest.
        """
        for number in range(MAXIMUM + 10):
            for source in (_PEER, number.to_bytes(4, "big")):
                self.beats.begins(said(CURRENT, source=source), float(number))
        self.assertEqual(len(self.beats._known), MAXIMUM)
        self.assertEqual(self.beats.forms(_PEER), (CURRENT,))
