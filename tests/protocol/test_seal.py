"""
Tests for L{txcarp.protocol.seal}.
"""

from __future__ import annotations

import socket

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed, tickOf
from txcarp.protocol.advertisement import Advertisement, decode
from txcarp.protocol.seal import (
    EPOCH,
    FAR_AHEAD,
    PACE,
    TAG_BITS,
    TICKS,
    Counters,
    Fields,
    Seal,
    Ticks,
    saidBy,
)

_BYTES = st.integers(0, 255)
_SAYS = st.builds(Fields, _BYTES, _BYTES, _BYTES)
_SOURCES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
_TICKS = st.integers(0, TICKS - 1)

_PEER = packed(crafted.PEER)


#: Tick, covered fields, source and counter, for vhid 10 and the password "secret".
WIRE = (
    (0, Fields(1, 0), "10.99.0.1", "0000000000af0f09"),
    (2**40 - 1, Fields(255, 255), "10.99.0.1", "ffffffffff7869f0"),
    (0x123456789, Fields(1, 100, 3), "fe80::1", "0123456789547fe9"),
)


def textOf(address: bytes) -> str:
    """
    Return a packed address as text.
    """
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


class SealTests(SynchronousTestCase):
    """
    Tests for L{Seal}.
    """

    def test_wire(self) -> None:
        """
        The format on the wire does not change: all hosts have to agree on it.
        """
        seal = Seal(b"secret", 10)
        for tick, says, source, expected in WIRE:
            self.assertEqual(f"{seal.counter(tick, says, packed(source)):016x}", expected)

    def test_layout(self) -> None:
        """
        A counter has 40 bits of tick and 24 bits of tag.
        """
        self.assertEqual((TAG_BITS, TICKS.bit_length() - 1), (24, 40))
        seal = Seal(b"secret", 10)
        for tick in (0, 1, 2**39, 2**40 - 1):
            counter = seal.counter(tick, Fields(1, 0), _PEER)
            self.assertLess(counter, 2**64)
            self.assertEqual(tickOf(counter), tick)
            self.assertEqual(
                counter % 2**24, crafted.tag(tick, advbase=1, vhid=10, password=b"secret")
            )

    @given(st.binary(max_size=20), st.integers(1, 255), _TICKS, _SAYS, _SOURCES)
    def test_secondImplementation(
        self, password: bytes, vhid: int, tick: int, says: Fields, source: bytes
    ) -> None:
        """
        A second implementation makes the same seal, and the seal opens.
        """
        seal = Seal(password, vhid)
        counter = crafted.sealed(
            tick,
            textOf(source),
            advbase=says.advbase,
            advskew=says.advskew,
            demotion=says.demotion,
            vhid=vhid,
            password=password,
        )
        self.assertEqual(seal.counter(tick, says, source), counter)
        self.assertTrue(seal.opens(counter, says, source))

    def test_changedField(self) -> None:
        """
        A seal does not open if any field is changed.
        """
        seal = Seal(b"secret", 10)
        says = Fields(1, 100, 7)
        counter = seal.counter(12345, says, _PEER)
        self.assertTrue(seal.opens(counter, says, _PEER))
        for field in ("advbase", "advskew", "demotion"):
            for value in {*range(256)} - {getattr(says, field)}:
                changed = attrs.evolve(says, **{field: value})
                self.assertFalse(seal.opens(counter, changed, _PEER), changed)
        # Two fields cannot be exchanged either.
        for swapped in (Fields(100, 1, 7), Fields(1, 7, 100), Fields(7, 100, 1)):
            self.assertFalse(seal.opens(counter, swapped, _PEER))

    def test_changedCounter(self) -> None:
        """
        A seal does not open with another tick or another tag.
        """
        seal = Seal(b"secret", 10)
        counter = seal.counter(12345, Fields(1, 0), _PEER)
        for bit in range(64):
            self.assertFalse(seal.opens(counter ^ 1 << bit, Fields(1, 0), _PEER), bit)

    def test_changedSource(self) -> None:
        """
        A seal opens for one source only, and for none that begins or ends with the same bytes.
        """
        seal = Seal(b"secret", 10)
        sources = [packed("10.99.0.1"), packed("fe80::1")]
        sources += [packed("::10.99.0.1"), packed("::ffff:10.99.0.1"), packed("a63:1::")]
        sources += [packed(f"10.99.0.{n}") for n in range(2, 255)]
        for source in sources:
            counter = seal.counter(12345, Fields(1, 0), source)
            for other in sources:
                self.assertEqual(
                    seal.opens(counter, Fields(1, 0), other), source == other, (source, other)
                )

    def test_changedGroup(self) -> None:
        """
        A seal does not open with another password or vhid.
        """
        counter = Seal(b"secret", 10).counter(12345, Fields(1, 0), _PEER)
        for password in (b"", b"secreT", b"secret1", b"secre"):
            self.assertFalse(Seal(password, 10).opens(counter, Fields(1, 0), _PEER))
        for vhid in {*range(1, 256)} - {10}:
            self.assertFalse(Seal(b"secret", vhid).opens(counter, Fields(1, 0), _PEER))

    def test_padding(self) -> None:
        """
        As in the digest, a password padded with zeros is the same key.
        """
        self.assertEqual(
            Seal(b"secret", 10).counter(5, Fields(1, 0), _PEER),
            Seal(b"secret\0\0", 10).counter(5, Fields(1, 0), _PEER),
        )

    def test_saidBy(self) -> None:
        """
        The covered fields are those of the advertisement.
        """
        advertisement = decode(crafted.payload(advbase=3, advskew=200, demotion=9))
        self.assertIsInstance(advertisement, Advertisement)
        self.assertEqual(saidBy(advertisement), Fields(3, 200, 9))

    def test_notShown(self) -> None:
        """
        Neither str() nor repr() of a seal shows the password.
        """
        seal = Seal(b"hunter2", 10)
        self.assertNotIn("hunter2", repr(seal) + str(seal) + repr(vars(seal)))


def wallTick(wall: float) -> int:
    """
    Return the tick for a time of the wall clock.
    """
    return int((wall - EPOCH) * PACE)


_WALLS = st.floats(-1e9, 1e10, allow_nan=False)
_GAPS = st.floats(0, 1e6) | st.floats(0, 0.05)


class CountersTests(SynchronousTestCase):
    """
    Tests for L{Counters}.
    """

    @given(
        st.integers(2, 12),
        st.lists(st.one_of(st.integers(0, 30), st.integers(0, 2**64 - 1)), max_size=60),
    )
    def test_last(self, limit: int, added: list[int]) -> None:
        """
        At least the last half of the limit is known, in any order, and no more than the limit.
        The highest counter that is forgotten is reported.
        """
        counters = Counters(limit)
        forgotten = -1
        for number, counter in enumerate(added, 1):
            forgotten = max(forgotten, counters.add(counter))
            self.assertLessEqual(len(counters), limit)
            for one in added[max(0, number - limit // 2) : number]:
                self.assertIn(one, counters)
            for one in added[:number]:
                self.assertTrue(one in counters or one <= forgotten)
        for other in {*range(40)} - {*added}:
            self.assertNotIn(other, counters)


class TicksTests(SynchronousTestCase):
    """
    Tests for L{Ticks}.
    """

    def test_wallClock(self) -> None:
        """
        With a correct clock, the ticks are its time.
        """
        ticks = Ticks()
        for second in range(100):
            wall = 1.8e9 + second
            self.assertEqual(ticks.next(wall, 50.0 + second), wallTick(wall))
            self.assertEqual(ticks.last, wallTick(wall))

    def test_epoch(self) -> None:
        """
        Tick 0 is the beginning of 2020. With an earlier clock the first tick is 1.
        """
        self.assertEqual(Ticks().next(EPOCH + 0.5, 0.0), PACE // 2)
        self.assertEqual(Ticks().next(0.0, 0.0), 1)

    def test_setBack(self) -> None:
        """
        When the clock is set back, the ticks continue at their pace.
        """
        ticks = Ticks()
        first = ticks.next(1.8e9, 100.0)
        assert first is not None
        for second in range(1, 50):
            tick = ticks.next(1.8e9 - 86400 + second, 100.0 + second)
            self.assertEqual(tick, first + second * PACE)

    def test_setForward(self) -> None:
        """
        When the clock is set forward, the ticks follow, and stay ahead when it is set back.
        """
        ticks = Ticks()
        ticks.next(1.8e9, 100.0)
        far = ticks.next(1.8e9 + 86400, 101.0)
        self.assertEqual(far, wallTick(1.8e9 + 86400))
        assert far is not None
        self.assertEqual(ticks.next(1.8e9 + 2, 102.0), far + PACE)

    def test_sameMoment(self) -> None:
        """
        Several advertisements in one moment have different ticks.
        """
        ticks = Ticks()
        first = ticks.next(1.8e9, 100.0)
        assert first is not None
        more = [ticks.next(1.8e9, 100.0) for _ in range(10)]
        self.assertEqual(more, [first + 1 + n for n in range(10)])

    def test_restart(self) -> None:
        """
        After a restart the ticks are later than those of the earlier run, whatever the clock
        shows.
        """
        ticks = Ticks(10**9)
        self.assertEqual(ticks.next(0.0, 0.0), 10**9 + 1)
        self.assertEqual(ticks.next(0.0, 1.0), 10**9 + 1 + PACE)
        ticks = Ticks(1000)
        self.assertEqual(ticks.next(1.8e9, 0.0), wallTick(1.8e9))

    def test_heard(self) -> None:
        """
        After a later tick of a peer, the ticks continue from that at their pace. An earlier one
        has no effect.
        """
        ticks = Ticks()
        own = ticks.next(1.8e9, 100.0)
        assert own is not None
        ahead = own + 10**6
        ticks.heard(ahead, 110.0)
        self.assertEqual(ticks.last, ahead)
        ticks.heard(own, 115.0)
        self.assertEqual(ticks.last, ahead)
        self.assertEqual(ticks.next(1.8e9 + 20, 120.0), ahead + 10 * PACE)

    def test_heardBeforeSending(self) -> None:
        """
        This also holds for a host that has sent nothing yet, such as new hardware.
        """
        ticks = Ticks()
        ticks.heard(5 * 10**9, 7.0)
        self.assertEqual(ticks.next(0.0, 7.0), 5 * 10**9 + 1)
        self.assertEqual(ticks.next(0.0, 8.0), 5 * 10**9 + PACE)

    def test_yearsAhead(self) -> None:
        """
        A host whose clock is years ahead keeps the pace of the group that it heard. One that
        heard nobody follows its clock, even if it is set from 1970.
        """
        for years in (11, 30, 200, 500):
            wall = 1.8e9 + years * 365 * 86400
            ticks = Ticks()
            ticks.heard(wallTick(1.8e9), 100.0)
            for second in range(1, 10):
                expected = wallTick(1.8e9 + second)
                self.assertEqual(ticks.next(wall + second, 100.0 + second), expected)
        ticks.heard(wallTick(1.8e9 + 20), 110.0)
        near = 1.8e9 + 20 + FAR_AHEAD - 1
        self.assertEqual(ticks.next(near, 110.0), wallTick(near))
        alone = Ticks()
        alone.next(0.0, 1.0)
        self.assertEqual(alone.next(1.8e9, 2.0), wallTick(1.8e9))

    def test_twoFamilies(self) -> None:
        """
        With two advertisements per moment for a day, the ticks do not run away from the clock.
        """
        ticks = Ticks()
        for second in range(86400):
            for _ in range(2):
                tick = ticks.next(1.8e9 + second, float(second))
                assert tick is not None
                self.assertLessEqual(tick - wallTick(1.8e9 + second), 1)

    def test_manyAtATime(self) -> None:
        """
        With more advertisements than ticks, as with advbase and advskew 0, the ticks have to run
        ahead. When there are fewer again, no receiver finds them late.
        """
        ticks = Ticks()
        offset = float("-inf")
        now = 0.0
        for step in [1 / 512] * 30000 + [1.0] * 100:
            now += step
            tick = ticks.next(1.8e9, now)
            assert tick is not None
            self.assertGreater(tick / PACE - now, offset - 1.05)
            offset = max(offset, tick / PACE - now)

    def test_exhausted(self) -> None:
        """
        After the last tick there is none, however it was reached.
        """
        ticks = Ticks(TICKS - 2)
        self.assertEqual(ticks.next(1.8e9, 0.0), TICKS - 1)
        self.assertIsNone(ticks.next(1.8e9, 1.0))
        heard = Ticks()
        heard.heard(TICKS - 1, 0.0)
        self.assertIsNone(heard.next(1.8e9, 0.0))
        paced = Ticks()
        paced.heard(TICKS - 50, 0.0)
        self.assertIsNone(paced.next(1.8e9, 1.0))

    def test_wrongForAWhile(self) -> None:
        """
        A clock that is beyond the last tick uses no tick up: when it is correct again, there are
        ticks.
        """
        ticks = Ticks()
        self.assertIsNone(ticks.next(EPOCH + TICKS / PACE, 0.0))
        self.assertEqual(ticks.last, 0)
        self.assertEqual(ticks.next(1.8e9, 1.0), wallTick(1.8e9))
        last = Ticks().next(EPOCH + (TICKS - 1) / PACE + 0.001, 0.0)
        self.assertEqual(last, TICKS - 1)

    @given(
        st.integers(0, TICKS // 2),
        st.floats(0, 1e8),
        st.lists(
            st.tuples(st.just("next"), _GAPS, _WALLS)
            | st.tuples(st.just("heard"), _GAPS, st.integers(0, TICKS // 2)),
            max_size=30,
        ),
    )
    def test_anyClock(
        self, last: int, running: float, history: list[tuple[str, float, float]]
    ) -> None:
        """
        With any wall clock, each tick is later than every tick used or heard before, by at least
        the time that has passed, less one second, because several may be used in one moment.
        """
        ticks = Ticks(last)
        earlier: list[tuple[float, int]] = []
        for what, gap, value in history:
            running += gap
            if what == "heard":
                newer = value > ticks.last
                ticks.heard(int(value), running)
                if newer:
                    earlier.append((running, int(value)))
            else:
                tick = ticks.next(value, running)
                assert tick is not None
                self.assertGreater(tick, last)
                for then, before in earlier:
                    self.assertGreater(tick, before)
                    # One tick for rounding, and one for floating-point errors.
                    self.assertGreaterEqual(tick - before, (running - then - 1) * PACE - 2)
                earlier.append((running, tick))
            self.assertLess(ticks.last, TICKS)

    @given(_GAPS, _WALLS, st.lists(_WALLS, min_size=1, max_size=10))
    def test_anyRestart(self, gap: float, wall: float, walls: list[float]) -> None:
        """
        Whatever the clock shows at each of several starts, no tick is used twice.
        """
        ticks = Ticks()
        ticks.next(wall, 5.0)
        for now in walls:
            before = ticks.last
            ticks = Ticks(before)
            tick = ticks.next(now, gap)
            assert tick is not None
            self.assertGreater(tick, before)
