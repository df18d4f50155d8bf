"""
Tests for L{txcarp.protocol.election}.
"""

from __future__ import annotations

import ast
import pkgutil
import re
import socket
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import txcarp.protocol
from txcarp.protocol import effects as protocolEffects
from txcarp.protocol import election, events
from txcarp.protocol.dialect import DIALECTS, FREEBSD, OPENBSD_77, UCARP
from txcarp.protocol.effects import (
    Advertise,
    ArmMasterDown,
    BowOut,
    ChangeRole,
    DisarmMasterDown,
    LookAgain,
    OfferMastership,
    Reason,
    Reassert,
    Role,
    SendOffer,
    StartAdvertising,
    StopAdvertising,
    WithdrawOffer,
)
from txcarp.protocol.election import (
    BACKUP,
    INIT,
    LEAST_INTERVALS,
    LEAST_LATENESS,
    MASTER,
    OFFER_AFTER,
    SECOND_LOOK,
    TOLERATED_LATENESS,
    WAITING,
    ICARPState,
    Standing,
)
from txcarp.protocol.events import (
    Claimed,
    DeadlinePassed,
    DemotionChanged,
    Event,
    Heard,
    Held,
    HoldReason,
    MasterVanished,
    OfferUnanswered,
    Refused,
    Released,
    Resigned,
    SetTakesOver,
    Slept,
    Started,
    Stopped,
)
from txcarp.protocol.family import Family
from txcarp.protocol.pulse import Loss
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import LEAVING, Peer, Timing

STATES = (INIT, WAITING, BACKUP, MASTER)

#: Advertises every 1.25 s and gives up after 3.25 s.
OWN = Standing(
    timing=Timing(1, 64), deadRatio=3, preempt=False, source=socket.inet_aton("10.99.0.5")
)
PREEMPTING = attrs.evolve(OWN, preempt=True)
HELD = attrs.evolve(OWN, held=True)
DEMOTED = attrs.evolve(OWN, timing=Timing(1, 240), configured=OWN.timing)
PROMOTED = attrs.evolve(OWN, timing=Timing(1, 63), configured=OWN.timing)
#: The deadline in every family, and in the one in which a peer was heard.
PUTS_OFF = Refused(Rejection.UNSEALED, b"", putsOff=True)
ARM, ARM4 = ArmMasterDown(3.25), ArmMasterDown(3.25, Family.IPV4)
ARM6 = ArmMasterDown(3.25, Family.IPV6)


def peer(advbase: int, advskew: int, source: str = "10.99.0.1") -> Peer:
    """
    Return a peer with this timing.
    """
    return Peer(Timing(advbase, advskew), socket.inet_aton(source))


SLOWER, FASTER = peer(1, 65), peer(1, 63)
EQUAL_LOWER, EQUAL_HIGHER = peer(1, 64, "10.99.0.4"), peer(1, 64, "10.99.0.6")
#: One 256th slower than the dead time of L{OWN}, and exactly as slow.
MISSED, NOT_MISSED = peer(3, 65), peer(3, 64)
FASTER6 = Peer(Timing(1, 63), socket.inet_pton(socket.AF_INET6, "fe80::1"))
BOWING = Peer(LEAVING, socket.inet_aton("10.99.0.1"))


#: What the probe saw.
GONE = Loss("10.99.0.1", 7.0, 3, 0.015, ("10.99.0.254", "10.99.0.3"))
GONE_WORDS = (
    "10.99.0.1 left 3 questions in 15 ms unanswered, and 10.99.0.254 and 10.99.0.3 answer"
)


def tookOver(reason: Reason, who: Peer | None = None) -> tuple[Any, ...]:
    """
    Return the transition of a host that becomes master.
    """
    return (
        MASTER,
        DisarmMasterDown(),
        StartAdvertising(),
        ChangeRole(Role.MASTER, reason, who),
    )


def steppedDown(who: Peer, *, silently: bool = False) -> tuple[Any, ...]:
    """
    Return the transition of a master that hears a better one.
    """
    return (
        BACKUP,
        *(() if silently else (Advertise(),)),
        StopAdvertising(),
        ChangeRole(Role.BACKUP, Reason.PREFERRED_MASTER, who),
        ARM,
    )


#: A state, a standing and an event; the next state, and the effects in order.  Events that are
#: not listed change nothing.
TABLE: dict[str, tuple[ICARPState, Standing, Event, tuple[Any, ...]]] = {
    # Start.
    "start": (
        INIT,
        OWN,
        Started(),
        (BACKUP, ChangeRole(Role.BACKUP, Reason.STARTED), ARM),
    ),
    "start with preempt": (
        INIT,
        PREEMPTING,
        Started(),
        (BACKUP, ChangeRole(Role.BACKUP, Reason.STARTED), ARM),
    ),
    "start without link": (
        INIT,
        HELD,
        Started(),
        (WAITING, ChangeRole(Role.BACKUP, Reason.STARTED)),
    ),
    "link comes": (WAITING, OWN, Released(), (BACKUP, ARM)),
    # The master is silent.
    "silence": (BACKUP, OWN, DeadlinePassed(0.0, False), tookOver(Reason.SILENCE)),
    "silence, but packets wait": (
        BACKUP,
        OWN,
        DeadlinePassed(0.0, True),
        (BACKUP, LookAgain(SECOND_LOOK)),
    ),
    "silence, noticed almost in time": (
        BACKUP,
        OWN,
        DeadlinePassed(TOLERATED_LATENESS, False),
        tookOver(Reason.SILENCE),
    ),
    "silence, noticed late": (
        BACKUP,
        OWN,
        DeadlinePassed(TOLERATED_LATENESS + 0.001, False),
        (BACKUP, LookAgain(SECOND_LOOK)),
    ),
    "the host of the master is gone": (
        BACKUP,
        OWN,
        MasterVanished((GONE, GONE)),
        (
            MASTER,
            DisarmMasterDown(),
            StartAdvertising(),
            ChangeRole(Role.MASTER, Reason.VANISHED, detail=f"{GONE_WORDS}; {GONE_WORDS}"),
        ),
    ),
    # A backup hears a peer.
    "backup hears faster": (BACKUP, OWN, Heard(FASTER), (BACKUP, ARM4)),
    "backup hears slower": (BACKUP, OWN, Heard(SLOWER), (BACKUP, ARM4)),
    "backup hears equal": (BACKUP, OWN, Heard(EQUAL_HIGHER), (BACKUP, ARM4)),
    "backup hears IPv6": (BACKUP, OWN, Heard(FASTER6), (BACKUP, ARM6)),
    "B1": (BACKUP, PREEMPTING, Heard(SLOWER), tookOver(Reason.PREEMPTION, SLOWER)),
    "B1 by a whole base": (
        BACKUP,
        PREEMPTING,
        Heard(peer(2, 0)),
        tookOver(Reason.PREEMPTION, peer(2, 0)),
    ),
    "B1 not when equal": (BACKUP, PREEMPTING, Heard(EQUAL_HIGHER), (BACKUP, ARM4)),
    "B1 not when faster": (BACKUP, PREEMPTING, Heard(FASTER), (BACKUP, ARM4)),
    "B2": (BACKUP, OWN, Heard(MISSED), tookOver(Reason.SLOW_MASTER, MISSED)),
    "B2 not yet": (
        BACKUP,
        OWN,
        Heard(NOT_MISSED),
        (BACKUP, ArmMasterDown(3.25 * LEAST_INTERVALS, Family.IPV4)),
    ),
    "a fifth less than the dead time": (
        BACKUP,
        OWN,
        Heard(peer(2, 153)),
        (BACKUP, ARM4),
    ),
    "a little more than that": (
        BACKUP,
        OWN,
        Heard(peer(2, 154)),
        (BACKUP, ArmMasterDown((2 + 154 / 256) * LEAST_INTERVALS, Family.IPV4)),
    ),
    "B2 on a bow-out": (BACKUP, OWN, Heard(BOWING), tookOver(Reason.BOW_OUT, BOWING)),
    "B1 on a bow-out": (BACKUP, PREEMPTING, Heard(BOWING), tookOver(Reason.BOW_OUT, BOWING)),
    "B1 comes first": (
        BACKUP,
        PREEMPTING,
        Heard(MISSED),
        tookOver(Reason.PREEMPTION, MISSED),
    ),
    # A master hears a peer.
    "M1": (MASTER, OWN, Heard(FASTER), steppedDown(FASTER)),
    "M1 by a whole base": (MASTER, OWN, Heard(peer(0, 255)), steppedDown(peer(0, 255))),
    "M1 whether preempting or not": (MASTER, PREEMPTING, Heard(FASTER), steppedDown(FASTER)),
    "M1 in a promoted host": (MASTER, PROMOTED, Heard(peer(1, 62)), steppedDown(peer(1, 62))),
    "M1 in a demoted host": (MASTER, DEMOTED, Heard(SLOWER), steppedDown(SLOWER, silently=True)),
    "M1 in FreeBSD": (
        MASTER,
        attrs.evolve(OWN, dialect=FREEBSD),
        Heard(EQUAL_HIGHER),
        steppedDown(EQUAL_HIGHER, silently=True),
    ),
    "M1 in OpenBSD": (
        MASTER,
        attrs.evolve(OWN, dialect=OPENBSD_77, demotion=1),
        Heard(SLOWER),
        steppedDown(SLOWER, silently=True),
    ),
    "M1 on a tie": (MASTER, OWN, Heard(EQUAL_LOWER), steppedDown(EQUAL_LOWER)),
    "M2": (MASTER, OWN, Heard(SLOWER), (MASTER, Reassert(SLOWER))),
    "M2 on a tie": (MASTER, OWN, Heard(EQUAL_HIGHER), (MASTER, Reassert(EQUAL_HIGHER))),
    "M2 on a bow-out": (MASTER, OWN, Heard(BOWING), (MASTER, Reassert(BOWING))),
    # This host did not run.
    "backup slept": (BACKUP, OWN, Slept(9.0), (BACKUP, ARM)),
    "backup refused what may be of the master": (BACKUP, OWN, PUTS_OFF, (BACKUP, ARM)),
    "master slept": (
        MASTER,
        OWN,
        Slept(9.0),
        (
            BACKUP,
            StopAdvertising(),
            ChangeRole(Role.BACKUP, Reason.PAUSED, pause=9.0),
            ARM,
        ),
    ),
    "backup loses its link": (
        BACKUP,
        HELD,
        Held(HoldReason.NO_LINK),
        (WAITING, DisarmMasterDown()),
    ),
    "master loses its link": (
        MASTER,
        HELD,
        Held(HoldReason.NO_LINK, "eth0 is down"),
        (
            WAITING,
            StopAdvertising(),
            ChangeRole(Role.BACKUP, Reason.LINK_LOST, detail="eth0 is down"),
        ),
    ),
    # Handing over.
    "resigned": (
        MASTER,
        HELD,
        Resigned(HoldReason.RESIGNED),
        (WAITING, BowOut(), StopAdvertising(), ChangeRole(Role.BACKUP, Reason.RESIGNED)),
    ),
    "unfit": (
        MASTER,
        HELD,
        Resigned(HoldReason.UNFIT),
        (WAITING, BowOut(), StopAdvertising(), ChangeRole(Role.BACKUP, Reason.UNFIT)),
    ),
    "unfit, and backup by now": (
        BACKUP,
        HELD,
        Resigned(HoldReason.UNFIT),
        (WAITING, DisarmMasterDown()),
    ),
    # Demotion.
    "demoted, somebody better may be there": (
        MASTER,
        DEMOTED,
        DemotionChanged(True),
        (MASTER, Advertise(), OfferMastership(OFFER_AFTER)),
    ),
    "demoted, nobody is better": (
        MASTER,
        DEMOTED,
        DemotionChanged(False),
        (MASTER, Advertise(), WithdrawOffer()),
    ),
    "demoted in OpenBSD": (
        MASTER,
        attrs.evolve(OWN, dialect=OPENBSD_77, demotion=255, configured=OWN.timing),
        DemotionChanged(True),
        (MASTER, Advertise(), WithdrawOffer()),
    ),
    "promoted": (
        MASTER,
        PROMOTED,
        DemotionChanged(True),
        (MASTER, Advertise(), WithdrawOffer()),
    ),
    "demoted, but an offer cannot say it": (
        MASTER,
        attrs.evolve(DEMOTED, timing=Timing(86, 240)),
        DemotionChanged(True),
        (MASTER, Advertise(), WithdrawOffer()),
    ),
    "nobody took over": (
        MASTER,
        DEMOTED,
        OfferUnanswered(),
        (MASTER, SendOffer(Timing(3, 240), OFFER_AFTER)),
    ),
    "nobody took over, and not demoted any more": (MASTER, OWN, OfferUnanswered(), (MASTER,)),
    "claimed": (BACKUP, OWN, Claimed(), tookOver(Reason.CLAIMED)),
    "its set takes over": (
        BACKUP,
        OWN,
        SetTakesOver(Reason.PREEMPTION, SLOWER),
        tookOver(Reason.PREEMPTION, SLOWER),
    ),
    # Stop.
    "backup stops": (BACKUP, OWN, Stopped(), (INIT, DisarmMasterDown())),
    "waiting stops": (WAITING, HELD, Stopped(), (INIT, DisarmMasterDown())),
    "master stops": (MASTER, OWN, Stopped(), (INIT, BowOut(), StopAdvertising())),
}

#: One event of each kind, to find those that the table leaves out.
_KINDS: tuple[Event, ...] = (
    Started(),
    Heard(FASTER),
    DeadlinePassed(),
    Slept(9.0),
    PUTS_OFF,
    Held(HoldReason.NO_LINK),
    Resigned(HoldReason.RESIGNED),
    Released(),
    DemotionChanged(True),
    OfferUnanswered(),
    Claimed(),
    SetTakesOver(Reason.SYNC),
    MasterVanished((GONE,)),
    Stopped(),
)


class TableTests(SynchronousTestCase):
    """
    All transitions.
    """

    def test_table(self) -> None:
        """
        Each line of the table is the transition that the code makes, with the effects in this
        order.
        """
        for name, (state, standing, event, (expected, *effects)) in TABLE.items():
            following, done = state.decide(standing, event)
            self.assertIs(following, expected, name)
            self.assertEqual(list(done), effects, name)

    def test_nothingElse(self) -> None:
        """
        An event that the table does not list for a state changes nothing in this state.
        """
        known = {(state, type(event)) for state, _, event, _ in TABLE.values()}
        for state in STATES:
            for event in _KINDS:
                if (state, type(event)) not in known:
                    self.assertEqual(state.decide(OWN, event), (state, ()), (state.role, event))

    def test_provided(self) -> None:
        """
        Each state provides the interface, and the samples contain each event that the election
        handles.
        """
        for state in STATES:
            verifyObject(ICARPState, state)
        source = Path(election.__file__).read_text()
        decided = set(re.findall(r"\b(\w+)\(", "".join(re.findall(r"case (.*):\n", source))))
        decided.add("Started")  # INIT handles nothing else
        self.assertEqual(decided, {type(event).__name__ for event in _KINDS})

    def test_roles(self) -> None:
        """
        To its peers, a host that is held back is a backup.
        """
        self.assertEqual(
            [state.role for state in STATES], [Role.INIT, Role.BACKUP, Role.BACKUP, Role.MASTER]
        )

    def test_patienceAfterAnOffer(self) -> None:
        """
        A backup does not take the interval in an offer for that of the master.
        """
        offer = Heard(peer(3, 64))
        waits = LEAST_INTERVALS * 3.25
        self.assertEqual(BACKUP.decide(OWN, offer)[1], (ArmMasterDown(waits, Family.IPV4),))
        offered = attrs.evolve(OWN, offered=Timing(1, 64))
        self.assertEqual(
            BACKUP.decide(offered, offer)[1], (ArmMasterDown(OWN.deadTime, Family.IPV4),)
        )

    def test_shortIntervals(self) -> None:
        """
        An advertisement may be late by a quarter of the interval, and where that is little, by two
        intervals or 10 ms.
        """
        for skew, waits in (
            (1, 3 / 256),
            (2, 2 / 256 + 0.01),
            (3, 3 / 256 + 0.01),
            (10, 10 / 256 + 0.01),
            (11, 1.25 * 11 / 256),
            (26, 1.25 * 26 / 256),
        ):
            own = attrs.evolve(OWN, timing=Timing(0, skew), dialect=UCARP)
            [armed] = BACKUP.decide(own, Heard(peer(0, skew)))[1]
            assert isinstance(armed, ArmMasterDown)
            self.assertAlmostEqual(armed.delay, waits, 12)

    def test_littleEndianTie(self) -> None:
        """
        10.99.1.1 stays master when it hears 10.99.0.2, which becomes backup.
        """
        one = attrs.evolve(OWN, source=socket.inet_aton("10.99.1.1"))
        two = attrs.evolve(OWN, source=socket.inet_aton("10.99.0.2"))
        self.assertIs(MASTER.decide(one, Heard(peer(1, 64, "10.99.0.2")))[0], MASTER)
        self.assertIs(MASTER.decide(two, Heard(peer(1, 64, "10.99.1.1")))[0], BACKUP)

    @given(
        st.builds(Timing, st.integers(0, 3), st.integers(0, 255)),
        st.builds(Timing, st.integers(0, 3), st.integers(0, 255)),
        st.binary(min_size=4, max_size=4),
        st.binary(min_size=4, max_size=4),
    )
    def test_oneStays(self, one: Timing, two: Timing, first: bytes, second: bytes) -> None:
        """
        Of two masters with different addresses that hear each other, exactly one stays.
        """
        own = Standing(timing=one, deadRatio=3, preempt=False, source=first)
        other = Standing(timing=two, deadRatio=3, preempt=False, source=second)
        if first != second:
            left, _ = MASTER.decide(own, Heard(Peer(two, second)))
            right, _ = MASTER.decide(other, Heard(Peer(one, first)))
            self.assertEqual({left, right}, {MASTER, BACKUP})


_TIMINGS = st.builds(Timing, st.integers(0, 255), st.integers(0, 255))
_STANDINGS = st.builds(
    Standing,
    timing=_TIMINGS,
    deadRatio=st.integers(1, 5),
    preempt=st.booleans(),
    source=st.binary(min_size=4, max_size=4),
    held=st.booleans(),
    dialect=st.sampled_from(list(DIALECTS.values())),
    demotion=st.integers(0, 255),
    configured=st.none() | _TIMINGS,
)
_PEERS = st.builds(
    Peer,
    timing=_TIMINGS,
    source=st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
    demotion=st.integers(0, 255),
)
_EVENTS = st.one_of(
    st.just(Started()),
    st.builds(Heard, _PEERS),
    st.builds(DeadlinePassed, st.floats(0, 10), st.booleans()),
    st.builds(Slept, st.floats(0, 100)),
    st.builds(Held, st.sampled_from(HoldReason)),
    st.builds(Resigned, st.sampled_from(HoldReason)),
    st.just(Released()),
    st.builds(DemotionChanged, st.booleans()),
    st.just(OfferUnanswered()),
    st.just(Claimed()),
    st.just(Stopped()),
)

#: Which role may follow which.
_LEGAL = {
    (Role.INIT, Role.BACKUP),
    (Role.BACKUP, Role.MASTER),
    (Role.MASTER, Role.BACKUP),
    (Role.BACKUP, Role.INIT),
    (Role.MASTER, Role.INIT),
}


class AnyOrderTests(SynchronousTestCase):
    """
    What holds for any order of events.
    """

    @given(st.lists(st.tuples(_EVENTS, _STANDINGS), max_size=30))
    def test_invariants(self, history: list[tuple[Event, Standing]]) -> None:
        """
        Roles change only in allowed ways, and each change is reported once (except to INIT, which
        the caller asked for). Exactly a master advertises, and only a master offers its place.
        Exactly a backup that is not held back has a deadline, and has it in every family.
        """
        state: ICARPState = INIT
        advertising = armed = False
        for event, standing in history:
            following, effects = state.decide(standing, event)
            changes = [effect for effect in effects if isinstance(effect, ChangeRole)]
            if following.role is not state.role:
                self.assertIn((state.role, following.role), _LEGAL)
                if following.role is not Role.INIT:
                    self.assertEqual([change.role for change in changes], [following.role])
            else:
                self.assertEqual(changes, [])
            for effect in effects:
                match effect:
                    case StartAdvertising():
                        self.assertFalse(advertising)
                        advertising = True
                    case StopAdvertising():
                        self.assertTrue(advertising)
                        advertising = False
                    case (
                        Advertise() | BowOut() | OfferMastership() | SendOffer() | WithdrawOffer()
                    ):
                        self.assertTrue(advertising)
                    case ArmMasterDown(delay, family):
                        self.assertGreaterEqual(delay, standing.deadTime)
                        bearable = standing.timing.deadTime(standing.deadRatio)
                        longest = max(standing.deadTime, bearable)
                        most = max(longest * LEAST_INTERVALS, longest + LEAST_LATENESS)
                        self.assertLessEqual(delay, most)
                        # The first deadline is always one for all families.
                        self.assertTrue(armed or family is None)
                        armed = True
                    case DisarmMasterDown():
                        armed = False
                    case LookAgain():
                        self.assertTrue(armed)
            state = following
            self.assertEqual(advertising, state is MASTER)
            self.assertEqual(armed, state is BACKUP)


class PurityTests(SynchronousTestCase):
    """
    The protocol package has no side effects.
    """

    @given(_STANDINGS, _PEERS, st.booleans(), st.integers(1), st.text(), st.booleans())
    def test_sameQuestion(
        self, standing: Standing, peer: Peer, isOld: bool, counter: int, pair: str, other: bool
    ) -> None:
        """
        What an advertisement leads to depends on the state, the facts, its sender and what it says,
        and its age.  The virtual host does not ask again with the same ones.
        """
        first = Heard(peer, isOld=isOld)
        second = Heard(peer, counter, other, pair, other, other, isOld, other)
        for state in (INIT, WAITING, BACKUP, MASTER):
            self.assertEqual(state.decide(standing, first), state.decide(standing, second))

    def test_small(self) -> None:
        """
        Events and effects have their fields, and no dictionary for others.
        """
        for module, base in ((events, events.Event), (protocolEffects, protocolEffects.Effect)):
            kinds = [
                one
                for one in vars(module).values()
                if isinstance(one, type) and issubclass(one, base)
            ]
            self.assertGreater(len(kinds), 5)
            for kind in kinds:
                self.assertNotIn("__dict__", dir(kind), kind)

    def test_imports(self) -> None:
        """
        No module of the package imports anything with a clock, a socket, a log or a reactor.
        """
        forbidden = {"twisted", "socket", "time", "logging", "os", "asyncio", "random", "secrets"}
        directory = Path(txcarp.protocol.__path__[0])
        modules = [module.name for module in pkgutil.iter_modules([str(directory)])]
        self.assertIn("election", modules)
        for name in [*modules, "__init__"]:
            tree = ast.parse((directory / f"{name}.py").read_text(encoding="utf-8"))
            imported = set()
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    self.assertEqual(node.level, 0)
                    imported.add((node.module or "").split(".")[0])
            self.assertEqual(imported & forbidden, set(), name)
            inside = {
                node.module
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.startswith("txcarp")
            }
            self.assertEqual(
                {
                    module
                    for module in inside
                    if not module.startswith("txcarp.protocol") and module != "txcarp.links"
                },
                set(),
                name,
            )
