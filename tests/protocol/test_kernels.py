"""
The dialects of the kernels against what the kernels decided (C{tests/vectors/kernels}): each
decision is equal, or one of the few deliberate differences that are listed here.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from functools import cache

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import columns, load
from txcarp.addresses import parseAddress
from txcarp.protocol.authentication import CURRENT, Keyring
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.dialect import FREEBSD, OPENBSD, OPENBSD_77, Dialect
from txcarp.protocol.effects import ArmMasterDown, Reassert, StartAdvertising
from txcarp.protocol.election import BACKUP, LEAST_INTERVALS, MASTER, ICARPState, Standing
from txcarp.protocol.envelope import Audience, readPacket, unwrap
from txcarp.protocol.events import Heard
from txcarp.protocol.timing import LEAVING, SHORTEST_INTERVAL, Peer, Timing

#: The dialect of each kernel, the table with its decisions, and the column with its timers.
KERNELS = (
    (FREEBSD, "freebsd", "timer_us 14"),
    (FREEBSD, "freebsd", "timer_us 15"),
    (OPENBSD_77, "openbsd", "timer_us 1.367"),
    (OPENBSD, "openbsd", "timer_us 1.372"),
)

#: The questions in each table.
ROWS = 40000

#: The kernels' numbers of the states.
_STATES: dict[int, ICARPState] = {1: BACKUP, 2: MASTER}

#: Seconds between setting and reading a timer, at most.  An advskew of 1 is 0.0039 s.
_READING = 0.0001


class Difference(enum.Enum):
    """
    A deliberate difference, with its reason.
    """

    BOW_OUT = (
        "An OpenBSD master yields to the bow-out of a less demoted host. A bow-out is no claim to "
        "mastership, and nobody would be master."
    )
    MARGIN = (
        "A kernel waits for its dead time, also if the master advertises hardly more often. One "
        "advertisement that is slightly late would make a second master."
    )
    FIRST_INTERVAL = (
        "A demoted FreeBSD host that becomes master sends its second advertisement as if it were "
        "not demoted, and the others at the interval that it advertises. Peers expect that "
        "interval from the first advertisement on."
    )


@attrs.frozen
class Outcome:
    """
    The answer to a question.

    @ivar state: The next state.
    @ivar timer: Seconds for which its timer is set; C{None} if it is left alone.
    """

    state: ICARPState
    timer: float | None


@attrs.frozen
class Case:
    """
    One question, and the answer of a kernel.
    """

    own: Standing
    state: ICARPState
    peer: Peer
    answer: Outcome


@cache
def standing(
    dialect: Dialect, preempt: int, advbase: int, advskew: int, demotion: int
) -> Standing:
    """
    A host that is configured and demoted like the kernel.
    """
    ledger, configured = DemotionLedger({"test": demotion}), Timing(advbase, advskew)
    return Standing(
        timing=ledger.apply(configured, dialect),
        deadRatio=3,
        preempt=bool(preempt),
        source=b"\x0a\x63\x00\x01",
        dialect=dialect,
        demotion=ledger.byte if dialect.demotionByte else 0,
        configured=configured,
    )


@cache
def heard(advbase: int, advskew: int, demotion: int) -> Peer:
    """
    What the kernel heard.
    """
    return Peer(Timing(advbase, advskew), b"\x0a\x63\x00\x02", demotion)


def cases(dialect: Dialect, table: str, timers: str) -> Iterator[Case]:
    """
    All cases of one kernel.
    """
    found = columns(table)
    rows = zip(
        *(found[name] for name in ("state", "preempt")),
        *(found[f"own_{name}"] for name in ("advbase", "advskew", "demotion")),
        *(found[f"peer_{name}"] for name in ("advbase", "advskew", "demotion")),
        *(found[name] for name in ("new_state", timers)),
        strict=True,
    )
    for state, preempt, base, skew, demotion, *said, following, timer in rows:
        yield Case(
            standing(dialect, preempt, base, skew, demotion),
            _STATES[state],
            heard(*said),
            Outcome(_STATES[following], None if timer == -1 else timer / 1e6),
        )


def decided(case: Case) -> Outcome:
    """
    What txcarp decides.

    @raise ValueError: If the effects are not those of any answer of a kernel.
    """
    following, ordered = case.state.decide(case.own, Heard(case.peer))
    for effect in ordered:
        match effect:
            case ArmMasterDown(delay=delay):
                return Outcome(following, delay)
            case StartAdvertising():
                return Outcome(following, max(case.own.timing.interval, SHORTEST_INTERVAL))
            case Reassert():
                return Outcome(following, None)
    raise ValueError(f"{ordered!r} is no answer")


def isEqual(one: float | None, other: float | None) -> bool:
    """
    Whether two timers are the same.
    """
    if one is None or other is None:
        return one is other
    return abs(one - other) < _READING


def difference(case: Case, ours: Outcome) -> Difference | None:
    """
    The deliberate difference between an answer of txcarp and that of the kernel, if it is one.
    """
    own, peer, kernel = case.own, case.peer, case.answer
    assert own.configured is not None
    if kernel.state is not ours.state:
        left = peer.timing == LEAVING and peer.demotion < own.demotion
        isMaster = case.state is ours.state is MASTER
        return Difference.BOW_OUT if left and isMaster else None
    if kernel.state is BACKUP:
        margin = peer.timing.interval * LEAST_INTERVALS
        plain = own.dialect.deadTime(own.configured, 3)
        hasMargin = isEqual(kernel.timer, plain) and isEqual(ours.timer, margin) and margin > plain
        return Difference.MARGIN if hasMargin else None
    first = own.dialect is FREEBSD and isEqual(kernel.timer, own.configured.interval)
    return Difference.FIRST_INTERVAL if first and case.state is BACKUP else None


class DecisionTests(SynchronousTestCase):
    """
    What the kernels decided.
    """

    def test_all(self) -> None:
        """
        Each decision of each kernel is that of its dialect, but for the differences that are
        listed.  Each listed difference exists.
        """
        expected = {
            "freebsd": {Difference.MARGIN, Difference.FIRST_INTERVAL},
            "openbsd": {Difference.MARGIN, Difference.BOW_OUT},
        }
        for dialect, table, timers in KERNELS:
            equal = 0
            found: Counter[Difference] = Counter()
            for case in cases(dialect, table, timers):
                ours = decided(case)
                if ours.state is case.answer.state and isEqual(ours.timer, case.answer.timer):
                    equal += 1
                    continue
                why = difference(case, ours)
                if why is None:
                    self.fail(f"{dialect.name}, {timers}: {case} is decided as {ours}")
                found[why] += 1
            self.assertEqual(equal + found.total(), ROWS)
            self.assertEqual(set(found), expected[table])

    def test_bowOut(self) -> None:
        """
        With a demotion of 255, a bow-out makes a master of each OpenBSD backup that is demoted by
        less, and a backup of no master, however much it is demoted.
        """
        for dialect, table, timers in KERNELS[2:]:
            bowOuts = 0
            for case in cases(dialect, table, timers):
                says = case.peer
                if says.timing != LEAVING or says.demotion != dialect.leavingDemotion:
                    continue
                if case.state is MASTER or case.own.demotion < says.demotion:
                    self.assertIs(case.answer.state, MASTER, case)
                    bowOuts += 1
            self.assertGreater(bowOuts, 50)

    def test_offer(self) -> None:
        """
        A FreeBSD backup that does not preempt accepts an offer of a demoted master exactly if it
        is better, its demotion counted.
        """
        for dialect, table, timers in KERNELS[:2]:
            accepted: Counter[bool] = Counter()
            for case in cases(dialect, table, timers):
                own, offered = case.own, case.peer.timing
                if case.state is BACKUP and not own.preempt:
                    master = Timing(own.timing.advbase, offered.advskew)
                    if master.offer(3) == offered:
                        accepts = case.answer.state is MASTER
                        self.assertIs(accepts, own.timing < master, case)
                        accepted[accepts] += 1
            self.assertGreater(min(accepted.values()), 50)
            self.assertEqual(len(accepted), 2)


class FrameTests(SynchronousTestCase):
    """
    Advertisements that the kernels sent.
    """

    def test_accepted(self) -> None:
        """
        Each packet is accepted in the dialect of its kernel: with IPv4, IPv6 and several addresses,
        and demoted.  With another password or other addresses it is not.
        """
        seen = 0
        for sent in load("kernels/frames"):
            dialect = FREEBSD if sent["kernel"].startswith("freebsd") else OPENBSD
            password = sent["password"].encode()
            addresses = [parseAddress(one) for one in sent["addresses"]]
            right = Keyring(sent["vhid"], dialect, password, addresses)
            wrong = (
                Keyring(sent["vhid"], dialect, password[:-1], addresses),
                Keyring(sent["vhid"], dialect, password, [*addresses, bytes(4)]),
            )
            for text in sent["packets"]:
                packet = readPacket(bytes.fromhex(text))
                said = unwrap(packet, Audience(sent["vhid"], b"", packet.destination))
                self.assertEqual(right.recognise(said.counter, said.digest), CURRENT)
                for one in wrong:
                    self.assertIsNone(one.recognise(said.counter, said.digest))
                self.assertEqual(said.advbase, sent["advbase"])
                expected = (sent["advskew"], 240) if dialect is FREEBSD else (sent["advskew"],)
                self.assertIn(said.advskew, expected)
                self.assertIn(said.demotion, (0,) if dialect is FREEBSD else (0, 5))
                seen += 1
        self.assertEqual(seen, 48)
