"""
Tests for L{txcarp.membership.chronicle}, and for the successions of L{txcarp.membership.peers}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests import crafted
from tests.fakes import Stage
from txcarp.interfaces import IOccurrenceObserver
from txcarp.occurrences import Occurrence, OccurrenceKind

_OTHER = "10.99.0.3"


@implementer(IOccurrenceObserver)
class Observer:
    """
    Notes what happens.
    """

    def __init__(self) -> None:
        self.seen: list[Occurrence] = []

    def occurred(self, occurrence: Occurrence) -> None:
        self.seen.append(occurrence)

    def of(self, kind: OccurrenceKind) -> list[Occurrence]:
        """
        The occurrences of one kind.
        """
        return [one for one in self.seen if one.kind is kind]


class SuccessionTests(SynchronousTestCase):
    """
    A backup notices that another host is master.
    """

    def setUp(self) -> None:
        self.stage = Stage(neutral=True, advskew=100)
        self.observer = Observer()
        self.stage.host.addOccurrenceObserver(self.observer)
        self.stage.start()

    def masters(self) -> list[tuple[str, str]]:
        """
        The masters that were noticed, each with the reason.
        """
        return [(one.peer, one.reason) for one in self.observer.of(OccurrenceKind.MASTER)]

    def hear(self, *sources: str, advskew: int = 9) -> None:
        """
        Hear an advertisement of each host.
        """
        for source in sources:
            self.stage.deliver(source=source, advskew=advskew)

    def test_first(self) -> None:
        """
        The first master is noticed at its second advertisement, and not again.
        """
        self.hear(crafted.PEER)
        self.assertEqual(self.masters(), [])
        self.hear(crafted.PEER, crafted.PEER, crafted.PEER)
        self.assertEqual(self.masters(), [(crafted.PEER, "unknown")])

    def test_reasons(self) -> None:
        """
        The reason for another master is what the advertisements show.
        """
        self.stage = Stage(neutral=True, startDelay=60.0)  # a host that never takes over
        self.stage.host.addOccurrenceObserver(self.observer)
        self.stage.start()
        self.hear(crafted.PEER, crafted.PEER)
        self.hear(_OTHER, _OTHER, advskew=1)
        self.stage.deliver(source=_OTHER, advbase=255, advskew=255)
        self.hear(crafted.PEER, crafted.PEER)
        self.stage.run(6)
        self.hear(_OTHER, _OTHER, advskew=200)
        self.hear(crafted.PEER, crafted.PEER, advskew=220)
        self.assertEqual(
            self.masters()[1:],
            [
                (_OTHER, "timing"),
                (crafted.PEER, "bow-out"),
                (_OTHER, "silence"),
                (crafted.PEER, "unknown"),
            ],
        )
        new = self.observer.of(OccurrenceKind.MASTER)[-1]
        self.assertEqual(
            new.explain(), f"{crafted.PEER} is the new master: in place of {_OTHER} (unknown)"
        )

    def test_two(self) -> None:
        """
        Two masters that advertise in turns are no succession, however long that lasts.
        """
        self.hear(crafted.PEER, crafted.PEER)
        self.hear(*[_OTHER, crafted.PEER] * 20)
        self.assertEqual(len(self.masters()), 1)

    def test_failing(self) -> None:
        """
        An observer that fails or is removed disturbs nothing.
        """

        def fail(occurrence: Occurrence) -> None:
            raise ZeroDivisionError

        observer = Observer()
        self.patch(observer, "occurred", fail)
        self.stage.host.addOccurrenceObserver(observer)
        self.stage.host.claim()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.stage.host.removeOccurrenceObserver(observer)
        self.stage.host.resign()
        [change, *_] = self.observer.of(OccurrenceKind.TRANSITION)[1:]
        self.assertEqual(change.reason, "claimed")
