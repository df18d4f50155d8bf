"""
C19: which host becomes and stays master in each dialect, compared with the rules of the three
programs written down a second time.
"""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.crafted import packed
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.dialect import DIALECTS, FREEBSD, OPENBSD, OPENBSD_77, UCARP, Dialect
from txcarp.protocol.effects import (
    Advertise,
    ArmMasterDown,
    ChangeRole,
    DisarmMasterDown,
    Reason,
    Reassert,
    Role,
    StartAdvertising,
    StopAdvertising,
)
from txcarp.protocol.election import BACKUP, MASTER, ICARPState, Standing
from txcarp.protocol.events import Heard
from txcarp.protocol.family import Family
from txcarp.protocol.timing import LEAVING, Peer, Timing

#: Advertises every 1.25 s, and takes over from a master with an interval above 3.25 s.
_OWN = Timing(1, 64)
_OWN_ADDRESS = packed("10.99.0.5")

#: The timing and address of each peer.
_PEERS = {
    "faster": (Timing(1, 63), "10.99.0.9"),
    "equal, lower": (Timing(1, 64), "10.99.0.4"),
    "equal, higher": (Timing(1, 64), "10.99.0.6"),
    "slower": (Timing(1, 65), "10.99.0.1"),
    "almost dead": (Timing(3, 64), "10.99.0.1"),
    "dead": (Timing(3, 65), "10.99.0.1"),
    "leaving": (LEAVING, "10.99.0.1"),
}

_MASTERS = {
    #                   The columns: the peer is less, equally or more demoted.
    "ucarp": {
        "faster": "BBB",
        "equal, lower": "BBB",
        "equal, higher": "MMM",
        "slower": "MMM",
        "almost dead": "MMM",
        "dead": "MMM",
        "leaving": "MMM",
    },
    "freebsd": {
        "faster": "BBB",
        "equal, lower": "BBB",
        "equal, higher": "BBB",
        "slower": "MMM",
        "almost dead": "MMM",
        "dead": "MMM",
        "leaving": "MMM",
    },
    "openbsd": {
        "faster": "BBM",
        "equal, lower": "BBM",
        "equal, higher": "BBM",
        "slower": "BMM",
        "almost dead": "BMM",
        "dead": "BMM",
        "leaving": "MMM",  # a bow-out is no claim to mastership
    },
}
_MASTERS["openbsd-7.7"] = _MASTERS["openbsd"]

_PATIENT = {
    "faster": "BBB",
    "equal, lower": "BBB",
    "equal, higher": "BBB",
    "slower": "BBB",
    "almost dead": "BBB",
    "dead": "MMM",
    "leaving": "MMM",
}

#: Backups that do not preempt.
_BACKUPS = {
    "ucarp": _PATIENT,
    "freebsd": _PATIENT,
    "openbsd": {
        "faster": "BBM",
        "equal, lower": "BBM",
        "equal, higher": "BBM",
        "slower": "BBM",
        "almost dead": "BBM",
        "dead": "MMM",
        "leaving": "MMM",
    },
}
_BACKUPS["openbsd-7.7"] = _BACKUPS["openbsd"]

_EAGER = {
    "faster": "BBB",
    "equal, lower": "BBB",
    "equal, higher": "BBB",
    "slower": "MMM",
    "almost dead": "MMM",
    "dead": "MMM",
    "leaving": "MMM",
}

#: Backups that preempt.
_PREEMPTING = {
    "ucarp": _EAGER,
    "freebsd": _EAGER,
    "openbsd": {
        "faster": "BBM",
        "equal, lower": "BBM",
        "equal, higher": "BBM",
        "slower": "BMM",
        "almost dead": "BMM",
        "dead": "MMM",
        "leaving": "MMM",
    },
}
_PREEMPTING["openbsd-7.7"] = _PREEMPTING["openbsd"]

#: The demotion of the peer in the three columns, and that of this host.
_COLUMNS = (3, 4, 5)
_OWN_DEMOTION = 4


def standing(dialect: Dialect, timing: Timing = _OWN, **more: Any) -> Standing:
    """
    Return the facts about this host in a group of a dialect.
    """
    settings: dict[str, Any] = {"deadRatio": 3, "preempt": False, "source": _OWN_ADDRESS}
    return Standing(timing=timing, dialect=dialect, **{**settings, **more})


class TableTests(SynchronousTestCase):
    """
    What this host does when it hears a peer.
    """

    def check(
        self, state: ICARPState, table: dict[str, dict[str, str]], *, preempt: bool
    ) -> None:
        self.assertEqual(set(table), set(DIALECTS))
        for name, lines in table.items():
            own = standing(DIALECTS[name], preempt=preempt, demotion=_OWN_DEMOTION)
            self.assertEqual(set(lines), set(_PEERS))
            for line, expected in lines.items():
                timing, address = _PEERS[line]
                for demotion, letter in zip(_COLUMNS, expected, strict=True):
                    peer = Peer(timing, packed(address), demotion)
                    following, _ = state.decide(own, Heard(peer))
                    where = (name, line, demotion, preempt)
                    self.assertIs(following, MASTER if letter == "M" else BACKUP, where)

    def test_master(self) -> None:
        """
        A master behaves alike whether it preempts or not.
        """
        self.check(MASTER, _MASTERS, preempt=False)
        self.check(MASTER, _MASTERS, preempt=True)

    def test_backup(self) -> None:
        """
        A backup that does not preempt.
        """
        self.check(BACKUP, _BACKUPS, preempt=False)

    def test_preempting(self) -> None:
        """
        A backup that preempts.
        """
        self.check(BACKUP, _PREEMPTING, preempt=True)

    def test_reasons(self) -> None:
        """
        Taking over from a demoted master has its own reason in OpenBSD's dialect. Preemption is
        checked first.
        """
        demoted = Peer(Timing(1, 65), packed("10.99.0.1"), 5)
        for preempt, reason in ((False, Reason.DEMOTED_MASTER), (True, Reason.PREEMPTION)):
            own = standing(OPENBSD, preempt=preempt, demotion=4)
            self.assertEqual(
                BACKUP.decide(own, Heard(demoted)),
                (
                    MASTER,
                    (
                        DisarmMasterDown(),
                        StartAdvertising(),
                        ChangeRole(Role.MASTER, reason, demoted),
                    ),
                ),
            )

    def test_effects(self) -> None:
        """
        The deadline uses the dialect's dead time. It is set in the family of the peer, or in all
        families if the role changes.
        """
        for dialect, deadTime in (
            (UCARP, 3.25),
            (FREEBSD, 3.25),
            (OPENBSD, 3.75),
            (OPENBSD_77, 3.25),
        ):
            own = standing(dialect)
            for address, family in (("10.99.0.9", Family.IPV4), ("fe80::9", Family.IPV6)):
                faster = Peer(Timing(1, 63), packed(address))
                slower = Peer(Timing(1, 65), packed(address))
                self.assertEqual(
                    BACKUP.decide(own, Heard(faster)), (BACKUP, (ArmMasterDown(deadTime, family),))
                )
                self.assertEqual(
                    MASTER.decide(own, Heard(faster)),
                    (
                        BACKUP,
                        (
                            *((Advertise(),) if dialect is UCARP else ()),
                            StopAdvertising(),
                            ChangeRole(Role.BACKUP, Reason.PREFERRED_MASTER, faster),
                            ArmMasterDown(deadTime),
                        ),
                    ),
                )
                self.assertEqual(MASTER.decide(own, Heard(slower)), (MASTER, (Reassert(slower),)))


class ZeroBaseTests(SynchronousTestCase):
    """
    An advbase of 0, which only OpenBSD's dialect allows.
    """

    def test_doesNotGuess(self) -> None:
        """
        With an advbase of 0, a backup in OpenBSD's dialect waits until a slow master is silent.
        In the other dialects it takes over at once.
        """
        slow, leaving = (Peer(timing, packed("10.99.0.1")) for timing in (Timing(9, 0), LEAVING))
        for heard in (slow, leaving):
            own = standing(OPENBSD, Timing(0, 100))
            self.assertEqual(
                BACKUP.decide(own, Heard(heard)), (BACKUP, (ArmMasterDown(300 / 256, Family.IPV4),))
            )
            self.assertIs(BACKUP.decide(standing(OPENBSD, Timing(1, 0)), Heard(heard))[0], MASTER)
            for dialect in (UCARP, FREEBSD):
                own = standing(dialect, Timing(0, 100))
                self.assertIs(BACKUP.decide(own, Heard(heard))[0], MASTER)

    def test_preempts(self) -> None:
        """
        Preemption and demotion work as usual.
        """
        slow = Peer(Timing(9, 0), packed("10.99.0.1"))
        own = standing(OPENBSD, Timing(0, 0), preempt=True)
        self.assertIs(BACKUP.decide(own, Heard(slow))[0], MASTER)
        demoted = Peer(Timing(0, 0), packed("10.99.0.1"), 1)
        self.assertIs(BACKUP.decide(standing(OPENBSD, Timing(0, 0)), Heard(demoted))[0], MASTER)

    def test_which(self) -> None:
        """
        Only OpenBSD's dialect has this rule.
        """
        zeroBase = [one for one in DIALECTS.values() if one.zeroBase]
        self.assertEqual(zeroBase, [OPENBSD, OPENBSD_77])


#: advskew at advbase 1; interval; dead time of ucarp, FreeBSD and OpenBSD 7.7, and of OpenBSD
#: 7.8.
_TIMES = (
    (0, 1.000, 3.000, 3.000),
    (100, 1.391, 3.391, 4.172),
    (240, 1.938, 3.938, 5.813),
    (254, 1.992, 3.992, 5.977),
)

#: Half a millisecond, and a little for rounding.
_MILLISECOND = 0.00051


class DeadTimeTests(SynchronousTestCase):
    """
    Intervals and dead times.
    """

    def test_table(self) -> None:
        """
        Intervals and dead times are correct to the millisecond.
        """
        for advskew, interval, classic, current in _TIMES:
            timing = Timing(1, advskew)
            self.assertApproximates(timing.interval, interval, _MILLISECOND)
            for dialect in DIALECTS.values():
                expected = current if dialect is OPENBSD else classic
                self.assertApproximates(
                    standing(dialect, timing).deadTime, expected, _MILLISECOND
                )

    def test_shortest(self) -> None:
        """
        0/0 is an interval of 1/256 s in OpenBSD's dialects.
        """
        for dialect in (OPENBSD, OPENBSD_77):
            self.assertEqual(standing(dialect, Timing(0, 0)).deadTime, 3 / 256)
            self.assertEqual(standing(dialect, Timing(0, 1)).deadTime, 3 / 256)
            self.assertEqual(standing(dialect, Timing(0, 50)).deadTime, 150 / 256)

    def test_ratio(self) -> None:
        """
        The dead ratio need not be three.
        """
        for dialect in DIALECTS.values():
            expected = 6.25 if dialect is OPENBSD else 5.25
            self.assertEqual(standing(dialect, deadRatio=5).deadTime, expected)

    def test_demoted(self) -> None:
        """
        Demotion does not make a host take over later.
        """
        for dialect in DIALECTS.values():
            plain = standing(dialect)
            skew = _OWN.advskew if dialect.demotionByte else 240
            demoted = standing(dialect, Timing(1, skew), configured=_OWN, demotion=255)
            self.assertEqual(demoted.deadTime, plain.deadTime)

    def test_sentSkew(self) -> None:
        """
        FreeBSD's dialect sends a skew of 254 as 240, and waits as if it were 254.
        """
        configured = Timing(1, 254)
        sent = DemotionLedger().apply(configured, FREEBSD)
        self.assertApproximates(sent.interval, 1.938, _MILLISECOND)
        self.assertApproximates(
            standing(FREEBSD, sent, configured=configured).deadTime, 3.992, _MILLISECOND
        )


_TIMINGS = st.builds(Timing, st.integers(0, 4), st.integers(0, 255)) | st.just(LEAVING)
_ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
_DEMOTIONS = st.integers(0, 3) | st.integers(0, 255)


@attrs.frozen
class Host:
    """
    What the rules compare. Times are in 256ths of a second.
    """

    name: str
    base: int
    skew: int
    address: bytes
    demotion: int
    ratio: int
    preempt: bool

    @property
    def interval(self) -> int:
        return self.base * 256 + self.skew

    @property
    def patience(self) -> int:
        return self.base * 256 * self.ratio + self.skew

    def keeps(self, peer: Host) -> bool:
        """
        Whether this host, as master, stays master on hearing a peer.
        """
        if self.interval < peer.interval == 0xFFFF:
            return True  # a bow-out is no claim to mastership
        if self.name.startswith("openbsd"):
            better = self.interval >= peer.interval and peer.demotion <= self.demotion
            return not (better or peer.demotion < self.demotion)
        if self.name == "freebsd":
            return self.interval < peer.interval
        if self.interval == peer.interval:
            own, other = (int.from_bytes(host.address, "little") for host in (self, peer))
            return own < other
        return self.interval < peer.interval

    def takes(self, peer: Host) -> bool:
        """
        Whether this host, as backup, takes over on hearing a peer.
        """
        worse = self.interval < peer.interval
        late = self.patience < peer.interval
        if self.name.startswith("openbsd"):
            preempts = self.preempt and worse and peer.demotion >= self.demotion
            return preempts or peer.demotion > self.demotion or (self.base != 0 and late)
        return (self.preempt and worse) or late


class AnyPairTests(SynchronousTestCase):
    """
    The same rules, written differently, for any two hosts.
    """

    @given(
        st.sampled_from(sorted(DIALECTS)),
        _TIMINGS,
        _TIMINGS,
        st.sampled_from([4, 16]).flatmap(
            lambda size: st.tuples(*[st.binary(min_size=size, max_size=size)] * 2)
        ),
        st.tuples(_DEMOTIONS, _DEMOTIONS),
        st.integers(1, 5),
        st.booleans(),
    )
    def test_rules(
        self,
        name: str,
        timing: Timing,
        heard: Timing,
        addresses: tuple[bytes, bytes],
        demotions: tuple[int, int],
        ratio: int,
        preempt: bool,
    ) -> None:
        """
        The code and these rules agree, for a master and for a backup.
        """
        host = Host(
            name, timing.advbase, timing.advskew, addresses[0], demotions[0], ratio, preempt
        )
        other = Host(
            name, heard.advbase, heard.advskew, addresses[1], demotions[1], ratio, preempt
        )
        own = standing(
            DIALECTS[name],
            timing,
            deadRatio=ratio,
            preempt=preempt,
            source=addresses[0],
            demotion=demotions[0],
        )
        peer = Peer(heard, addresses[1], demotions[1])
        self.assertIs(MASTER.decide(own, Heard(peer))[0], MASTER if host.keeps(other) else BACKUP)
        self.assertIs(BACKUP.decide(own, Heard(peer))[0], MASTER if host.takes(other) else BACKUP)

    @given(
        st.sampled_from(list(DIALECTS.values())),
        _TIMINGS,
        _TIMINGS,
        st.tuples(_DEMOTIONS, _DEMOTIONS),
    )
    def test_twoMasters(
        self, dialect: Dialect, one: Timing, two: Timing, demotions: tuple[int, int]
    ) -> None:
        """
        Of two masters that hear each other exactly one stays. If only their addresses differ,
        that holds for ucarp's dialect; in the kernels' dialects neither stays.
        """
        # A host that sends a bow-out is no longer master.
        assume(LEAVING not in (one, two))
        sources = packed("10.99.0.1"), packed("10.99.0.2")
        stays = []
        for own, peer in ((0, 1), (1, 0)):
            demotion = [demotions[n] if dialect.demotionByte else 0 for n in (own, peer)]
            timing = [(one, two)[n] for n in (own, peer)]
            following, _ = MASTER.decide(
                standing(dialect, timing[0], source=sources[own], demotion=demotion[0]),
                Heard(Peer(timing[1], sources[peer], demotion[1])),
            )
            stays.append(following is MASTER)
        equal = one == two and (not dialect.demotionByte or demotions[0] == demotions[1])
        self.assertEqual(sum(stays), 0 if equal and not dialect.breaksTies else 1)

    @given(_TIMINGS, _ADDRESSES)
    def test_noAddress(self, timing: Timing, address: bytes) -> None:
        """
        A host that leaves ties to the other family stays master in this one.
        """
        own = standing(UCARP, timing, source=b"")
        self.assertIs(MASTER.decide(own, Heard(Peer(timing, address)))[0], MASTER)


class DifferencesTests(SynchronousTestCase):
    """
    The rest of the table.
    """

    def test_fields(self) -> None:
        """
        The fields that are not rules of the election.
        """
        fields = (
            "farewell",
            "breaksTies",
            "signsLinkLocal",
            "acceptsOtherLinkLocal",
            "demotionByte",
            "failureDemotion",
            "leavingDemotion",
            "highestSkew",
            "constantCounter",
        )
        expected = {
            "ucarp": (True, True, True, False, False, 240, 0, 255, False),
            "freebsd": (False, False, True, False, False, 240, 0, 240, False),
            "openbsd": (False, False, False, True, True, 1, 255, 255, True),
            "openbsd-7.7": (False, False, False, True, True, 1, 255, 255, True),
        }
        self.assertEqual(set(expected), set(DIALECTS))
        for name, values in expected.items():
            dialect = DIALECTS[name]
            self.assertEqual(dialect.name, name)
            self.assertEqual(tuple(getattr(dialect, field) for field in fields), values, name)

    def test_default(self) -> None:
        """
        The default is ucarp's dialect.
        """
        host = Standing(timing=_OWN, deadRatio=3, preempt=False, source=_OWN_ADDRESS)
        self.assertIs(host.dialect, UCARP)
