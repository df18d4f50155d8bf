"""
Tests for L{txcarp.checks.pulses} and L{txcarp.checks.masterpulse}: what is asked, and when.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.network.scenery import packed
from txcarp.checks.gateway import MOST_WITNESSES
from txcarp.checks.masterpulse import (
    FIRST_REST,
    LINGER,
    LONGEST_REST,
    ROUND,
    MasterPulse,
    Wish,
)
from txcarp.checks.pulses import MOST_HOSTS
from txcarp.interfaces import IPolling
from txcarp.protocol.family import Family
from txcarp.protocol.pulse import ARMED_AFTER
from txcarp.testing import Segment
from txcarp.testing.fakes import FakeNeighbours, FakePolling

MASTER, GATEWAY, OTHER = packed("10.99.0.1"), packed("10.99.0.254"), packed("10.99.0.9")
MAC, GATEWAY_MAC = b"\2\0\0\0\0\1", b"\2\0\0\0\0\xfe"

EVERY = 1 / 128
ARMING = (ARMED_AFTER + 2) * EVERY

WISH = Wish(EVERY, (packed("10.99.0.2"),), (GATEWAY,))


class PulsesTests(SynchronousTestCase):
    """
    A host that asks another one.
    """

    def setUp(self) -> None:
        self.segment = Segment()
        self.host = self.segment.host("10.99.0.2")
        self.neighbours: FakeNeighbours = self.host.neighbours
        self.neighbours.answering = {MASTER: MAC, GATEWAY: GATEWAY_MAC}
        self.told: list[str] = []

    def join(self, key: str = "one", wish: Wish = WISH, master: bytes = MASTER) -> MasterPulse:
        """
        Ask for a group.
        """
        found: MasterPulse = self.host.pulses.join(
            "eth0", master, key, wish, lambda: self.told.append(key)
        )
        return found

    def leave(self, key: str = "one", master: bytes = MASTER) -> None:
        """
        Ask for it no more.
        """
        self.host.pulses.leave("eth0", master, key)

    def asked(self, seconds: float) -> list[tuple[bytes, bytes | None]]:
        """
        The questions of some time.
        """
        self.neighbours.polled.clear()
        self.segment.advance(seconds)
        return list(self.neighbours.polled)

    def armed(self, **settings: Any) -> MasterPulse:
        """
        A pulse of a host that answers.
        """
        pulse = self.join(wish=attrs.evolve(WISH, **settings))
        self.segment.advance(ARMING)
        self.assertEqual(pulse.status().state, "armed")
        return pulse

    def test_provided(self) -> None:
        """
        The fake provides the interface.
        """
        verifyObject(IPolling, self.neighbours.poll("eth0", Family.IPV4))

    def test_whom(self) -> None:
        """
        All hosts are asked until it is known who has the address.  From then on the questions go
        to that host alone, and no witness is asked.
        """
        self.join()
        self.assertEqual(self.asked(0.0), [(MASTER, None), (GATEWAY, None)])
        self.segment.advance(ARMING)
        questions = self.asked(1.0)
        self.assertEqual(set(questions), {(MASTER, MAC)})
        self.assertTrue(120 <= len(questions) <= 128, len(questions))

    def test_lost(self) -> None:
        """
        A host that is gone is told at the fourth interval.  While an answer is missing, all hosts
        are asked, and the witness.
        """
        pulse = self.armed()
        self.assertEqual(self.told, [])
        before = self.segment.clock.seconds()
        del self.neighbours.answering[MASTER]
        questions = self.asked(4 * EVERY)
        self.assertEqual(self.told, ["one"])
        loss = pulse.loss
        assert loss is not None
        self.assertEqual((loss.address, loss.witnesses), ("10.99.0.1", ("10.99.0.254",)))
        self.assertEqual((loss.missed, loss.seconds), (3, 3 * EVERY))
        self.assertTrue(before <= loss.since <= before + EVERY)
        self.assertEqual(
            questions,
            [
                (MASTER, MAC),
                *[(MASTER, None), (GATEWAY, GATEWAY_MAC)] * 2,
                *[(MASTER, MAC)] * (len(questions) - 5),
            ],
        )
        self.assertEqual(pulse.status().state, "lost")

    def test_lostForLong(self) -> None:
        """
        A host that stays away is soon asked as rarely as one that never answered.  When it answers
        again, that is told.
        """
        pulse = self.armed()
        del self.neighbours.answering[MASTER]
        self.segment.advance((LINGER + 4) * EVERY)
        self.assertLessEqual(len(self.asked(5.0)), 2 * 4)
        self.assertEqual(self.told, ["one"])
        self.neighbours.answering[MASTER] = OTHER[:2] + MAC[2:]
        self.segment.advance(LONGEST_REST)
        self.assertEqual((self.told, pulse.loss), (["one", "one"], None))
        self.assertEqual(pulse.status().state, "armed")

    def test_cutOff(self) -> None:
        """
        If the witness does not answer either, nothing is told, also when it answers sooner than
        the master later.
        """
        pulse = self.armed()
        self.neighbours.answering.clear()
        self.segment.advance(1.0)
        self.neighbours.answering[GATEWAY] = GATEWAY_MAC
        self.segment.advance(30.0)
        self.assertEqual((self.told, pulse.loss), ([], None))
        self.assertEqual(pulse.status().state, "searching")

    def test_otherHardware(self) -> None:
        """
        A host that answers from another card is there.
        """
        pulse = self.armed()
        self.neighbours.answering[MASTER] = b"\2\0\0\0\0\7"
        self.assertIn((MASTER, None), self.asked(4 * EVERY))
        self.segment.advance(ARMING)
        self.assertEqual((self.told, pulse.status().state), ([], "armed"))

    def test_ownWitness(self) -> None:
        """
        A witness that has the hardware address of the master is the same host, or one that answers
        for everybody: no third party.
        """
        self.neighbours.answering[GATEWAY] = MAC
        pulse = self.armed()
        del self.neighbours.answering[MASTER]
        self.segment.advance(1.0)
        self.assertIsNone(pulse.loss)

    def test_never(self) -> None:
        """
        What a group excludes is no witness, whoever names it; nor is the master.
        """
        self.neighbours.hops["eth0"] = [OTHER]
        self.join("one", attrs.evolve(WISH, witnesses=(MASTER, GATEWAY)))
        self.join("two", attrs.evolve(WISH, never=frozenset((OTHER, GATEWAY))))
        self.assertEqual({one for one, _ in self.asked(2 * ROUND)}, {MASTER})

    def test_gateways(self) -> None:
        """
        The gateways are witnesses.  They are looked up again and again.
        """
        pulse = self.armed(witnesses=())
        self.assertEqual(pulse.status().witnesses, [])
        self.neighbours.hops["eth0"] = [GATEWAY]
        self.segment.advance(3 * ROUND)
        self.assertEqual(pulse.status().witnesses, ["10.99.0.254"])
        self.assertFalse(pulse.lacksWitness)
        del self.neighbours.answering[MASTER]
        self.segment.advance(1.0)
        self.assertIsNotNone(pulse.loss)

    def test_gatewaysUnknown(self) -> None:
        """
        Without an answer of the kernel about routes, the others remain.
        """
        waiting: list[Deferred[Any]] = []

        def gateways(interface: str) -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1]

        self.neighbours.gateways = gateways  # type: ignore[method-assign]
        pulse = self.armed()
        for one in waiting:
            one.errback(OSError(1, "no"))
        self.leave()
        self.segment.advance(1.0)
        self.assertTrue(pulse.isIdle)

    def test_lacksWitness(self) -> None:
        """
        It is told that no witness answers, when the host does.  One lost answer is not enough.
        """
        pulse = self.armed()
        self.segment.advance(2 * EVERY)
        del self.neighbours.answering[GATEWAY]
        self.segment.advance(ROUND + 1.5 * FIRST_REST)
        self.assertEqual((self.told, pulse.lacksWitness), ([], False))
        self.segment.advance(FIRST_REST)
        self.assertEqual((self.told, pulse.lacksWitness), (["one"], True))
        self.neighbours.answering[GATEWAY] = GATEWAY_MAC
        self.segment.advance(ROUND + 2 * EVERY)
        self.assertEqual((self.told, pulse.lacksWitness), (["one", "one"], False))

    def test_answeredBefore(self) -> None:
        """
        What a witness answered to others, before it was asked, does not count.
        """
        pulse = self.armed()
        self.segment.advance(2 * EVERY)
        polling = self.host.pulses._pollings["eth0", Family.IPV4]
        polling.ask(GATEWAY, ())
        self.segment.advance(EVERY)
        del self.neighbours.answering[GATEWAY]
        self.segment.advance(ROUND)
        self.assertEqual(pulse.status().witnesses, [])

    def test_rarely(self) -> None:
        """
        A host that does not answer is asked more and more rarely.
        """
        del self.neighbours.answering[MASTER]
        self.join()
        masters = [one for one in self.asked(10 * LONGEST_REST) if one[0] == MASTER]
        self.assertLess(len(masters), 18)
        self.assertGreater(len(masters), 12)

    def test_seldom(self) -> None:
        """
        So is one that answers only some of the questions.
        """
        class Seldom(dict[bytes, bytes]):
            """
            Every tenth question has no answer.
            """

            count = 0

            def get(self, key: bytes, default: Any = None) -> Any:
                self.count += key == MASTER
                return None if self.count % 10 == 0 else super().get(key, default)

        self.neighbours.answering = Seldom(self.neighbours.answering)
        pulse = self.join()
        self.segment.advance(10 * LONGEST_REST)
        self.assertEqual((self.told, pulse.loss), ([], None))
        self.assertLess(len(self.asked(2 * LONGEST_REST)), 60)

    def test_late(self) -> None:
        """
        What is noticed late does not count.
        """
        pulse = self.armed()
        del self.neighbours.answering[MASTER]
        for _ in range(40):
            self.host.asleep += EVERY * 1.1
            self.segment.advance(EVERY)
        self.assertIsNone(pulse.loss)
        self.segment.advance(4 * EVERY)
        self.assertIsNotNone(pulse.loss)

    def test_notSent(self) -> None:
        """
        Questions that cannot be sent do not count, and the reason is in the status and, once, in
        the log.
        """
        pulse = self.armed()
        self.neighbours.error = OSError(100, "the interface is down", "eth0")
        self.segment.advance(1.0)
        self.assertIsNone(pulse.loss)
        status = pulse.status()
        self.assertEqual((status.state, status.problem), ("unable", "the interface is down"))
        self.neighbours.error = None
        self.segment.advance(1.0)
        self.assertEqual(pulse.status().state, "armed")

    def test_noSocket(self) -> None:
        """
        A socket that the kernel refuses is tried again.
        """
        self.neighbours.error = OSError(1, "not permitted", "eth0")
        pulse = self.join()
        self.segment.advance(1.0)
        self.assertEqual(pulse.status().problem, "not permitted")
        self.neighbours.error = None
        self.segment.advance(ROUND + ARMING)
        self.assertEqual(pulse.status().state, "armed")

    def test_noNeighbours(self) -> None:
        """
        A platform without neighbours asks nobody.
        """
        self.host.neighbours = None
        pulse = self.join()
        self.segment.advance(ROUND)
        self.assertEqual(pulse.status().problem, "this platform cannot ask neighbours")
        self.leave()

    def test_shared(self) -> None:
        """
        A thousand groups with one master ask no more often than one, at the shortest interval,
        and all are told.
        """
        self.join()
        alone = len(self.asked(1.0))
        for number in range(1000):
            self.join(str(number), attrs.evolve(WISH, interval=5 * EVERY))
        self.assertLessEqual(len(self.asked(1.0)), alone + 1)
        del self.neighbours.answering[MASTER]
        self.segment.advance(4 * EVERY)
        self.assertEqual(len(self.told), 1001)
        self.leave()
        self.neighbours.answering[MASTER] = MAC
        self.segment.advance(5.0)
        self.assertLess(len(self.asked(1.0)), 30)

    def test_tooMany(self) -> None:
        """
        Only so many hosts are asked on an interface.
        """
        masters = [bytes((10, 99, 0, 10 + number)) for number in range(MOST_HOSTS + 1)]
        pulses = [self.join(str(one), master=one) for one in masters]
        self.segment.advance(0.0)
        self.assertEqual([one.status().problem for one in pulses[:-1]], [""] * MOST_HOSTS)
        self.assertIn("more than 16 masters on eth0", pulses[-1].status().problem)
        self.assertNotIn(masters[-1], {one for one, _ in self.neighbours.polled})

    def test_manyWitnesses(self) -> None:
        """
        Only so many witnesses are asked.
        """
        others = tuple(bytes((10, 99, 1, number)) for number in range(20))
        self.join(wish=attrs.evolve(WISH, witnesses=others))
        asked = {one for one, _ in self.asked(0.0)} - {MASTER}
        self.assertEqual(asked, {*others[:MOST_WITNESSES]})

    def test_left(self) -> None:
        """
        When the last group leaves, nobody is asked, and the socket is closed.
        """
        closed: list[FakePolling] = []
        self.patch(FakePolling, "close", lambda polling: closed.append(polling))
        self.join("one")
        self.join("two")
        self.segment.advance(1.0)
        self.leave("one")
        self.assertNotEqual(self.asked(1.0), [])
        self.leave("two")
        self.assertEqual(self.asked(ROUND), [])
        self.assertEqual(len(closed), 1)
        self.leave("two")

    def test_suspended(self) -> None:
        """
        A host whose silence was no death is not asked for some time, whoever asks for it.
        """
        pulse = self.armed()
        self.host.pulses.suspend("eth0", MASTER, 600.0)
        self.assertEqual(self.asked(300.0), [])
        self.assertEqual((pulse.status().state, pulse.status().suspended), ("suspended", 300 - 0.0))
        self.leave()
        pulse = self.join()
        self.assertEqual(self.asked(299.0), [])
        self.assertNotEqual(self.asked(1.0 + EVERY), [])
        self.segment.advance(ARMING)
        self.assertEqual(pulse.status().state, "armed")

    def test_suspendedBefore(self) -> None:
        """
        So it is if no group asks for it at the moment.
        """
        self.host.pulses.suspend("eth0", MASTER, 5.0)
        self.join()
        self.assertEqual(self.asked(4.9), [])
        self.assertNotEqual(self.asked(0.2), [])

    def test_manySuspended(self) -> None:
        """
        Only so many hosts are remembered for that, the newest ones.
        """
        for number in range(65):
            self.host.pulses.suspend("eth0", bytes((10, 99, 0, 1 + number)), 60.0)
        self.join(master=bytes((10, 99, 0, 65)))
        self.assertEqual(self.asked(1.0), [])
        self.join(master=MASTER)
        self.assertNotEqual(self.asked(1.0), [])

    def test_someWitnesses(self) -> None:
        """
        If the kernel has no room for all witnesses, the others remain.
        """
        follow = FakePolling.follow

        def limited(polling: FakePolling, addresses: Iterable[bytes]) -> None:
            several = list(addresses)
            if OTHER in several:
                raise OSError(105, "too many neighbours are asked at once")
            follow(polling, several)

        self.patch(FakePolling, "follow", limited)
        pulse = self.armed(witnesses=(GATEWAY, OTHER))
        self.segment.advance(2 * EVERY)
        self.assertEqual(pulse.status().witnesses, ["10.99.0.254"])

    def test_listenerFails(self) -> None:
        """
        A group that fails does not keep the others from knowing.
        """

        def fails() -> None:
            raise RuntimeError("no")

        self.host.pulses.join("eth0", MASTER, "broken", WISH, fails)
        self.join()
        self.segment.advance(ARMING)
        del self.neighbours.answering[MASTER]
        self.segment.advance(4 * EVERY)
        self.assertEqual(self.told, ["one"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_leavesWhenTold(self) -> None:
        """
        A group may leave when it is told, and join again.
        """

        def leaves() -> None:
            self.host.pulses.leave("eth0", MASTER, "leaving")
            self.told.append("leaving")
            if len(self.told) > 1:
                self.join()

        for _ in range(2):
            self.host.pulses.join("eth0", MASTER, "leaving", WISH, leaves)
            self.neighbours.answering[MASTER] = MAC
            self.segment.advance(ARMING)
            del self.neighbours.answering[MASTER]
            self.segment.advance(4 * EVERY)
        self.assertEqual(self.told, ["leaving"] * 2)
        self.neighbours.answering[MASTER] = MAC
        self.segment.advance(FIRST_REST + ARMING)
        self.assertLessEqual(len(self.asked(1.0)), 128)
