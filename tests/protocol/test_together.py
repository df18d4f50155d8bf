"""
Tests for L{txcarp.protocol.together}: what a set decides about facts that are made up.
"""

from __future__ import annotations

import itertools

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.protocol.effects import Reason
from txcarp.protocol.together import (
    Answer,
    Hold,
    Release,
    Side,
    demotions,
    mayTakeOver,
    mayYield,
    settle,
    silent,
)

OUTER, INNER, THIRD = Side("outer", (1, ())), Side("inner", (2, ())), Side("third", (3, ()))


def asked(reason: Reason, *others: Side) -> Answer:
    """
    Ask for the outer side, beside others.
    """
    return mayTakeOver([OUTER, *others], "outer", reason)


class TakeOverTests(SynchronousTestCase):
    """
    Whether a set takes over because one member would.
    """

    def test_silence(self) -> None:
        """
        A set takes over when the master is silent on every side: where it is heard, or may be heard
        yet, it lives.
        """
        heard, quiet = INNER, attrs.evolve(INNER, isSilent=True)
        self.assertIs(asked(Reason.SILENCE, heard), Answer.NO)
        self.assertIs(asked(Reason.SILENCE, quiet), Answer.YES)
        self.assertIs(asked(Reason.SILENCE, quiet, THIRD), Answer.NO)
        beaten = attrs.evolve(INNER, isPreferred=True)
        self.assertIs(asked(Reason.SILENCE, beaten), Answer.NO)

    def test_vanished(self) -> None:
        """
        So it is when the host of the master is gone on one side: on each other side it must be
        gone, too, or silent.
        """
        quiet = attrs.evolve(INNER, isSilent=True)
        self.assertIs(asked(Reason.VANISHED, quiet), Answer.YES)
        self.assertIs(asked(Reason.VANISHED, quiet, THIRD), Answer.NO)
        waiting = attrs.evolve(quiet, isUnread=True)
        self.assertIs(asked(Reason.VANISHED, waiting), Answer.NO)

    def test_unread(self) -> None:
        """
        Silence proves nothing while packets of another side wait to be read.
        """
        waiting = attrs.evolve(INNER, isSilent=True, isUnread=True)
        self.assertIs(asked(Reason.SILENCE, waiting), Answer.LOOK_AGAIN)

    def test_bowOut(self) -> None:
        """
        A bow-out counts for all sides, unless another master goes on living on any of them.
        """
        self.assertIs(asked(Reason.BOW_OUT, INNER), Answer.YES)
        self.assertIs(asked(Reason.BOW_OUT, attrs.evolve(INNER, remaining=1)), Answer.NO)
        both = [attrs.evolve(OUTER, remaining=1), INNER]
        self.assertIs(mayTakeOver(both, "outer", Reason.BOW_OUT), Answer.NO)

    def test_preempt(self) -> None:
        """
        A set takes over from a living master only if it is preferred on every side, and hears it
        on every side.
        """
        beaten = attrs.evolve(INNER, isPreferred=True)
        for reason in (Reason.PREEMPTION, Reason.SLOW_MASTER, Reason.DEMOTED_MASTER):
            self.assertIs(asked(reason, beaten), Answer.YES)
            self.assertIs(asked(reason, INNER), Answer.NO)
            self.assertIs(asked(reason, beaten, THIRD), Answer.NO)
            self.assertIs(asked(reason, attrs.evolve(beaten, isSilent=True)), Answer.NO)

    def test_lack(self) -> None:
        """
        While any member cannot be master, nothing makes the set master.
        """
        for sides in (
            [OUTER, attrs.evolve(INNER, isSilent=True, lack="no link")],
            [attrs.evolve(OUTER, lack="no link"), attrs.evolve(INNER, isSilent=True)],
        ):
            for reason in Reason:
                self.assertIs(mayTakeOver(sides, "outer", reason), Answer.NO)

    def test_asked(self) -> None:
        """
        An administrator, a drain that nobody took over after, and the silence of one side where
        that was asked for, make all members master.
        """
        for reason in (Reason.CLAIMED, Reason.NO_SUCCESSOR, Reason.SIDE_SILENT):
            self.assertIs(asked(reason, INNER), Answer.YES)

    def test_joins(self) -> None:
        """
        A member may follow the others, but not while some of them are about to bow out.
        """
        master = attrs.evolve(INNER, isMaster=True)
        self.assertIs(asked(Reason.SILENCE, master), Answer.YES)
        quiet = attrs.evolve(THIRD, isSilent=True)
        self.assertIs(asked(Reason.SILENCE, master, quiet), Answer.NO)
        self.assertIs(asked(Reason.CLAIMED, master, quiet), Answer.NO)


class YieldTests(SynchronousTestCase):
    """
    Which side decides where two masters meet.
    """

    def test_first(self) -> None:
        """
        A master yields, unless it has just met a less preferred one on a side before that.
        """
        winning = attrs.evolve(OUTER, isWinning=True)
        self.assertTrue(mayYield([OUTER, INNER], "inner"))
        self.assertFalse(mayYield([winning, INNER], "inner"))
        self.assertTrue(mayYield([winning, attrs.evolve(INNER, rank=(0, ()))], "inner"))
        self.assertTrue(mayYield([winning, INNER], "outer"))

    def test_new(self) -> None:
        """
        A master that has just taken over yields on the first side only.
        """
        outer, inner = (attrs.evolve(side, isNew=True) for side in (OUTER, INNER))
        self.assertFalse(mayYield([outer, inner], "inner"))
        self.assertTrue(mayYield([outer, inner], "outer"))
        self.assertTrue(mayYield([OUTER, INNER], "inner"))

    def test_agree(self) -> None:
        """
        However the preferences differ, one of two hosts that hear each other on all sides goes on,
        and only one.
        """
        for wins in itertools.product((True, False), repeat=3):
            for order in itertools.permutations((OUTER, INNER, THIRD)):
                here = [
                    attrs.evolve(side, isWinning=won)
                    for side, won in zip((OUTER, INNER, THIRD), wins, strict=True)
                ]
                there = [attrs.evolve(side, isWinning=not side.isWinning) for side in here]
                asking = [side.name for side in order]
                yields = [
                    any(
                        mayYield(sides, name)
                        for name in asking
                        if not next(one for one in sides if one.name == name).isWinning
                    )
                    for sides in (here, there)
                ]
                self.assertEqual(sorted(yields), [False, True])


class SettleTests(SynchronousTestCase):
    """
    What follows from the facts.
    """

    def test_nothing(self) -> None:
        """
        A set that is master, or backup, as a whole is left alone.
        """
        masters = [attrs.evolve(side, isMaster=True) for side in (OUTER, INNER)]
        self.assertEqual(settle([OUTER, INNER]), [])
        self.assertEqual(settle(masters), [])

    def test_lack(self) -> None:
        """
        While a member cannot be master, the others are held back, and say why.
        """
        lacking = attrs.evolve(OUTER, lack="no link")
        for isMaster in (True, False):
            inner = attrs.evolve(INNER, isMaster=isMaster)
            self.assertEqual(settle([lacking, inner]), [Hold("inner", "outer: no link")])
        held = attrs.evolve(INNER, held="outer: no link")
        self.assertEqual(settle([lacking, held]), [])
        self.assertEqual(settle([OUTER, held]), [Release("inner")])

    def test_bothLack(self) -> None:
        """
        Of two that cannot be master, each is also held back by the other.
        """
        lacking = [attrs.evolve(side, lack="no link") for side in (OUTER, INNER)]
        self.assertEqual(
            settle(lacking), [Hold("outer", "inner: no link"), Hold("inner", "outer: no link")]
        )

    def test_handsOver(self) -> None:
        """
        A master that already hands over is not asked to do so again.
        """
        both = [attrs.evolve(side, isMaster=True, lack="it hands over") for side in (OUTER, INNER)]
        self.assertEqual(settle(both), [])

    def test_lost(self) -> None:
        """
        When a member is not master any more, the others bow out.
        """
        lost = attrs.evolve(OUTER, why="a preferred master advertises")
        inner, third = (attrs.evolve(one, isMaster=True) for one in (INNER, THIRD))
        detail = "outer: a preferred master advertises"
        self.assertEqual(
            settle([lost, inner, third]), [Hold("inner", detail), Hold("third", detail)]
        )

    def test_joining(self) -> None:
        """
        A set that is master does not wait for a new member.  A new member that is master gives that
        up if the set is not.
        """
        master = attrs.evolve(INNER, isMaster=True)
        for new in (OUTER, attrs.evolve(OUTER, lack="no link")):
            self.assertEqual(settle([attrs.evolve(new, isJoining=True), master]), [])
        new = attrs.evolve(OUTER, isJoining=True, isMaster=True)
        self.assertEqual(settle([new, INNER]), [Hold("outer", "inner: is not master")])

    @given(
        st.lists(
            st.builds(
                Side,
                name=st.just(""),
                isMaster=st.booleans(),
                lack=st.sampled_from(("", "", "no link")),
                held=st.sampled_from((None, "x")),
                isJoining=st.booleans(),
            ),
            min_size=2,
            max_size=4,
        )
    )
    def test_settles(self, drawn: list[Side]) -> None:
        """
        When the decisions are carried out, a few times, nothing is left to do, and the set is
        master as a whole or not at all.
        """
        sides = [attrs.evolve(side, name=str(number)) for number, side in enumerate(drawn)]
        # A member that is held back, or lacks something, is not master for long.
        sides = [
            attrs.evolve(side, isMaster=side.isMaster and not side.lack and side.held is None)
            for side in sides
        ]
        for _ in range(5):
            decisions = settle(sides)
            if not decisions:
                break
            named = {side.name: side for side in sides}
            for decision in decisions:
                side = named[decision.name]
                held = decision.detail if isinstance(decision, Hold) else None
                isMaster = side.isMaster and held is None
                named[side.name] = attrs.evolve(side, held=held, isMaster=isMaster)
            sides = list(named.values())
        self.assertEqual(settle(sides), [])
        old = [side for side in sides if not side.isJoining]
        self.assertLess(len({side.isMaster for side in old}), 2)
        if old and not old[0].isMaster:
            self.assertFalse(any(side.isMaster for side in sides))


class SilentTests(SynchronousTestCase):
    """
    The sides on which the master is silent.
    """

    def test_silent(self) -> None:
        """
        A side is silent while another one hears the master, and no member is held back.
        """
        quiet, heard = attrs.evolve(OUTER, isSilent=True), attrs.evolve(INNER, hears=True)
        self.assertEqual(silent([quiet, heard]), ["outer"])
        self.assertEqual(silent([OUTER, heard]), [])
        self.assertEqual(silent([quiet, INNER]), [])
        self.assertEqual(silent([quiet, attrs.evolve(heard, lack="no link")]), [])
        self.assertEqual(silent([quiet, attrs.evolve(heard, isMaster=True)]), [])
        # What it heard before does not count where the dead time has passed since.
        self.assertEqual(silent([quiet, attrs.evolve(heard, isSilent=True)]), [])


class DemotionTests(SynchronousTestCase):
    """
    The demotion of a set.
    """

    def test_sum(self) -> None:
        """
        All members are demoted by the same amount: the sum over all reasons, each of which counts
        once with its largest amount.
        """
        own = {"outer": {"link of eth2": 240, "a": 10}, "inner": {"a": 30, "b": -5}, "third": {}}
        extra = demotions(own)
        self.assertEqual({name: extra[name] + sum(own[name].values()) for name in own}, {
            "outer": 265, "inner": 265, "third": 265,
        })
        self.assertEqual(demotions({"outer": {}, "inner": {}}), {"outer": 0, "inner": 0})
