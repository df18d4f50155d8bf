"""
Groups that change their password or addresses, as one host sees it: a master advertises in each
form that it knows, and a host that knows several forms hears each statement once.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Sequence
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import destinationOf, payloadOf
from tests.fakes import FakeTransport, Stage, configured, networkDown
from txcarp.configuration.difference import Changed
from txcarp.findings import Finding
from txcarp.membership.reception import keyringOf
from txcarp.protocol.advertisement import decode
from txcarp.protocol.authentication import CURRENT
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.effects import Role
from txcarp.protocol.family import Family
from txcarp.protocol.freshness import Freshness
from txcarp.protocol.seal import Verification, saidBy
from txcarp.protocol.timing import LEAVING, Timing

_NEW, _OLD = b"new", crafted.PASSWORD
_OTHER = "the other password"

#: A better host than the peer.
_BETTER = "10.99.0.5"


def forms(transport: FakeTransport, **settings: Any) -> list[str | None]:
    """
    The form of each packet that was sent, in the words of a host with these settings.
    """
    keys = keyringOf(configured(**settings))
    return [keys.recognise(said.counter, said.digest) for said in transport.advertisements]


class SendingTests(SynchronousTestCase):
    """
    Masters.
    """

    def test_each(self) -> None:
        """
        At each beat a master advertises once in each form, the current one first, and counts that
        as one advertisement.  A bow-out leaves in each form, too.
        """
        settings = {"password": _NEW, "otherPasswords": (_OLD,), "otherAddresses": (["10.0.0.9"],)}
        stage = Stage(neutral=True, **settings)
        stage.becomeMaster()
        stage.transport.packets.clear()
        before = stage.host.status().sent
        stage.run(2)
        each = [
            CURRENT,
            "the other addresses",
            "the other password",
            "the other password and the other addresses",
        ]
        self.assertEqual(forms(stage.transport, **settings), each * 2)
        self.assertEqual(stage.host.status().sent, before + 2)
        self.assertEqual(list(stage.host.status().forms), each)
        stage.transport.packets.clear()
        stage.host.stopService()
        stage.run(1)
        self.assertEqual(forms(stage.transport, **settings), each)
        for said in stage.transport.advertisements:
            self.assertEqual(Timing(said.advbase, said.advskew), LEAVING)
        self.assertEqual(stage.host.status().forms, ())

    def test_sameSkew(self) -> None:
        """
        Every form of a beat says the same, also when a demotion begins or ends.
        """
        stage = Stage(neutral=True, otherPasswords=(_NEW,))
        stage.becomeMaster()
        for change in (
            lambda: stage.host.demote("disk", 50),
            lambda: stage.host.promote("disk"),
            lambda: stage.host.demote("disk", 240),  # followed by an offer
        ):
            change()
            stage.run(1.5)
        said = [(one.advbase, one.advskew) for one in stage.transport.advertisements]
        self.assertEqual(said[::2], said[1::2])
        self.assertIn((3, 240), said)

    def test_growing(self) -> None:
        """
        A receiver with both passwords, or with either one, finds every advertisement fresh, and the
        ticks of each form grow.
        """
        both = {"password": _NEW, "otherPasswords": (_OLD,)}
        for verification in Verification.LEARN, Verification.REQUIRE:
            stage = Stage(neutral=True, verification=verification, **both)
            stage.becomeMaster()
            stage.run(10)
            source = socket.inet_aton(crafted.OWN)
            for settings in (both, {"password": _NEW}, {"password": _OLD}):
                keys = keyringOf(configured(**settings))
                fresh = Freshness(verification, keys.seals)
                ticks = []
                for said, when in zip(
                    stage.transport.advertisements, stage.transport.times, strict=True
                ):
                    if keys.recognise(said.counter, said.digest) is not None:
                        self.assertTrue(fresh.judge(said.counter, saidBy(said), source, when))
                        ticks.append(crafted.tickOf(said.counter))
                self.assertEqual(len(ticks), 22 if settings is both else 11)
                self.assertEqual(ticks, sorted(set(ticks)))

    def test_families(self) -> None:
        """
        A form is sent in the families of its addresses, and the host takes part in those of all
        its sets.  Each of them is heard, too.
        """
        both = ["10.0.0.9", "fd00::9"]
        for addresses, former, expected in (
            (["10.0.0.9"], both, {Family.IPV4: [CURRENT, "old"], Family.IPV6: ["old"]}),
            (both, ["10.0.0.9"], {Family.IPV4: [CURRENT, "old"], Family.IPV6: [CURRENT]}),
            (["fd00::9"], ["10.0.0.9"], {Family.IPV4: ["old"], Family.IPV6: [CURRENT]}),
        ):
            settings = {"addresses": addresses, "otherAddresses": (former,)}
            stage = Stage(neutral=True, **settings)
            stage.becomeMaster()
            stage.run(1)
            sent: dict[Family, list[str]] = {family: [] for family in Family}
            keys = keyringOf(stage.host.configuration)
            for packet in stage.transport.packets[-sum(map(len, expected.values())) :]:
                isIPv4 = len(destinationOf(packet)) == 4
                said = decode(payloadOf(packet))
                label = keys.recognise(said.counter, said.digest)
                sent[Family.IPV4 if isIPv4 else Family.IPV6].append(
                    CURRENT if label == CURRENT else "old"
                )
            self.assertEqual(sent, expected)
            self.assertEqual(len(stage.network.attached), len(expected))

    def test_notLive(self) -> None:
        """
        Former addresses of another family concern the sockets, so that a host joins its group
        again.
        """
        now = configured()
        for former, isLive in ((["10.0.0.9"], True), (["fd00::9"], False)):
            after = configured(otherAddresses=(former,))
            self.assertIs(Changed(now, after).isLive, isLive)

    def test_oneFails(self) -> None:
        """
        A master of which one form does not leave is not fit: hosts that know that form only take
        over.  It is demoted after three times, as if nothing left.
        """
        stage = Stage(neutral=True, otherPasswords=(_NEW,))
        stage.becomeMaster()
        send, turns = stage.transport.send, itertools.count()

        def fails(packet: bytes) -> None:
            if next(turns) % 2:
                raise networkDown()
            send(packet)

        run = stage.host._run
        assert run is not None
        self.assertTrue(run.parts.isFit())
        self.patch(stage.transport, "send", fails)
        with capturedLogs():
            stage.run(1)
            self.assertFalse(run.parts.isFit())
            self.assertEqual(stage.host.status().sendErrors, 1)
            stage.run(2)
            self.assertEqual(stage.host.status().demotion, 240)
            self.patch(stage.transport, "send", send)
            stage.run(6)
        self.assertTrue(run.parts.isFit())
        self.assertEqual(stage.host.status().demotion, 0)

    def test_echoes(self) -> None:
        """
        The last advertisements of a master that come back are its own, whatever their number, and
        change nothing.
        """
        settings: dict[str, Any] = {"otherPasswords": tuple(b"%d" % n for n in range(15))}
        for more in ({}, {"verification": Verification.OFF}, {"dialect": "openbsd"}):
            stage = Stage(neutral=True, **settings, **more)
            stage.becomeMaster()
            stage.run(4)
            with capturedLogs():
                for packet in stage.transport.packets[-64:]:
                    stage.deliver(packet)
            status = stage.host.status()
            self.assertIs(status.role, Role.MASTER)
            self.assertEqual((status.received, set(status.findings)), (0, {Finding.OWN_ECHO}))

    def test_constant(self) -> None:
        """
        Without seals, a host with OpenBSD's rules has one counter for all forms, by which it knows
        its own.
        """
        stage = Stage(
            neutral=True, dialect="openbsd", verification="off", otherPasswords=(_NEW,)
        )
        stage.becomeMaster()
        stage.run(2)
        self.assertEqual(len({said.counter for said in stage.transport.advertisements}), 1)


class HearingTests(SynchronousTestCase):
    """
    A backup that knows two passwords.
    """

    def setUp(self) -> None:
        self.counter = 0

    def stage(self, **settings: Any) -> Stage:
        """
        A backup with skew 50 that preempts.
        """
        default = {"neutral": True, "preempt": True, "advskew": 50, "otherPasswords": (_NEW,)}
        stage = Stage(**{**default, **settings})
        stage.start()
        return stage

    def hear(
        self, stage: Stage, *passwords: bytes, source: str = crafted.PEER, **fields: Any
    ) -> None:
        """
        Hear an advertisement that is signed with each of several passwords.
        """
        for password in passwords:
            self.counter += 1
            stage.deliver(password=password, source=source, counter=self.counter, **fields)

    def test_replied(self) -> None:
        """
        A second form that arrives after another host has replied to the first one makes no second
        master: neither a less preferred advertisement, nor a bow-out, nor that of a more demoted
        host, in any dialect and any order of the forms.
        """
        for dialect, order in itertools.product(DIALECTS, ((_OLD, _NEW), (_NEW, _OLD))):
            demoted: dict[str, Any] = {"demotion": 9} if dialect.startswith("openbsd") else {}
            for fields in ({"advskew": 200}, {"advbase": 255, "advskew": 255}, demoted):
                stage = self.stage(dialect=dialect)
                self.hear(stage, *order, advskew=1)
                stage.run(1)
                first, second = order
                self.hear(stage, first, **{"advskew": 1, **fields})
                if fields:
                    self.assertIs(stage.host.role, Role.MASTER, (dialect, fields))
                self.hear(stage, *order, source=_BETTER, advskew=0)
                self.assertIs(stage.host.role, Role.BACKUP)
                self.hear(stage, second, **{"advskew": 1, **fields})
                self.assertIs(stage.host.role, Role.BACKUP, (dialect, fields, order))
                stage.run(0.5)
                self.hear(stage, *order, source=_BETTER, advskew=0)
                self.assertIs(stage.host.role, Role.BACKUP)

    def test_offer(self) -> None:
        """
        An offer of a demoted master is recognised in each form: a host that is not better does not
        take it for a slow master.
        """
        for order in ((_OLD, _NEW), (_NEW, _OLD), (_NEW,)):
            stage = self.stage(advskew=250)
            for fields in ({"advskew": 240}, {"advbase": 3, "advskew": 240}, {"advskew": 240}):
                self.hear(stage, *order, **fields)
                stage.run(0.05)
            self.assertEqual((stage.host.role, len(stage.observer.changes)), (Role.BACKUP, 1))

    def test_deadline(self) -> None:
        """
        Each beat puts the deadline off once, from its first advertisement.  If one form is lost,
        the other one does.
        """
        stage = self.stage()
        for passwords in ((_OLD, _NEW), (_NEW,), (_OLD,), (_OLD, _NEW)):
            self.hear(stage, *passwords)
            self.assertAlmostEqual(stage.host.status().deadline or 0.0, 3 + 50 / 256)
            stage.run(1)
        self.assertEqual(stage.host.status().received, 6)
        stage.run(2 + 51 / 256)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_announced(self) -> None:
        """
        A master that hears a less preferred one announces its addresses once for each beat.
        """
        stage = self.stage()
        stage.run(4)
        for _ in range(2):
            stage.journal.clear()
            self.hear(stage, _OLD, _NEW, advskew=200)
            announced = [one for one in stage.journal if one[0] == "announce"]
            self.assertEqual(len(announced), 1)
            stage.run(1)

    def test_named(self) -> None:
        """
        A peer that does not sign with the current password is named in the log and in the status,
        which say what this host cannot do without; one that signs with both is not.
        """
        for passwords, isBehind in (((_NEW,), True), ((_OLD, _NEW), False), ((_OLD,), False)):
            stage = self.stage()
            with capturedLogs() as logs:
                for _ in range(3):
                    self.hear(stage, *passwords)
                    stage.run(1)
            [peer] = stage.host.status().peers
            expected = [{_OLD: CURRENT, _NEW: _OTHER}[one] for one in passwords]
            self.assertEqual((list(peer.forms), peer.isBehind), (expected, isBehind))
            self.assertIs(Finding.OTHER_KEY in stage.host.status().findings, isBehind)
            self.assertIs("has not been changed yet" in str(list(logs)), isBehind)
            words = [
                "the current password and addresses" if one == CURRENT else one
                for one in expected
            ]
            [line] = [one for one in stage.host.status().lines() if "signed with" in one]
            self.assertIn(f", signed with {', with '.join(words)}, heard", line)

    def test_explained(self) -> None:
        """
        The explanation says whether this host can do without the other password.
        """
        for passwords, words in (
            ((_NEW,), f"{crafted.PEER} has not been changed: it signs with the other password"),
            ((_OLD, _NEW), "remove the others when every host of the group has the current ones"),
        ):
            stage = self.stage()
            self.hear(stage, *passwords)
            text = "\n".join(stage.host.explain().lines())
            self.assertIn(
                "as master, signs each advertisement with the current password and addresses, with "
                "the other password.",
                text,
            )
            self.assertIn(words, text)
        stage = self.stage(otherPasswords=())
        self.assertNotIn("sign", "\n".join(stage.host.explain().lines()))

    def test_dropped(self) -> None:
        """
        A host that drops the old password no longer says in which forms its peers advertise, and
        refuses the old one without a warning while the new one is heard, too.
        """
        stage = self.stage()
        self.hear(stage, _OLD, _NEW)
        stage.host.reconfigure(configured(neutral=True, preempt=True, advskew=50))
        [peer] = stage.host.status().peers
        self.assertEqual((peer.forms, stage.host.status().forms), ((), (CURRENT,)))
        for _ in range(5):
            stage.run(1)
            self.hear(stage, _NEW, _OLD)
        status = stage.host.status()
        self.assertEqual((status.received, status.rejected.total()), (7, 5))
        self.assertEqual(status.findings, {})


class PeerTests(SynchronousTestCase):
    """
    Two masters that know different forms.
    """

    def roles(self, settings: Sequence[dict[str, Any]]) -> list[Role]:
        """
        The roles of two masters that hear what the other one sends.  The second has the worse
        timing.
        """
        stages = [
            Stage(neutral=True, advskew=skew, source=source, **each)
            for skew, source, each in zip((0, 9), ("10.99.0.1", "10.99.0.2"), settings, strict=True)
        ]
        for stage in stages:
            stage.becomeMaster()
            stage.transport.packets.clear()
            stage.run(1)
        sent = [list(stage.transport.packets) for stage in stages]
        for stage, packets in zip(stages, reversed(sent), strict=True):
            for packet in packets:
                stage.deliver(packet)
        return [stage.host.role for stage in stages]

    def test_common(self) -> None:
        """
        If they have one form in common, the worse one yields, whichever knows more.
        """
        old, new = {"password": _OLD}, {"password": _NEW}
        first = {"password": _OLD, "otherPasswords": (_NEW,)}
        second = {"password": _NEW, "otherPasswords": (_OLD,)}
        for pair in itertools.product((old, new, first, second), repeat=2):
            if set(map(str, pair)) != {str(old), str(new)}:
                self.assertEqual(self.roles(pair), [Role.MASTER, Role.BACKUP], pair)
