"""
Tests for L{txcarp.doctor.correspondence}: doctors on a network without sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.doctor.case import EVERYTHING, GROUP, OTHER, OWN, group
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.doctor.correspondence import ENOUGH, GONE, HOPELESS, Correspondence
from txcarp.doctor.packet import Kind, Seen, vhidIn
from txcarp.membership.reception import keyringOf
from txcarp.protocol.advertisement import Advertisement, encode
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family

#: Seconds between rounds, as microseconds.
_ROUND = 200_000


class Network:
    """
    Two doctors, whose packets arrive at once.

    @ivar loses: Whether a packet with a kind from an address is lost.
    @ivar drops: The packed addresses of hosts that drop everything behind their interface.
    @ivar ahead: By how many microseconds the clock of each doctor is ahead.
    """

    def __init__(self, *doctors: Correspondence) -> None:
        self.doctors = doctors
        self.loses: Callable[[Kind, bytes], bool] = lambda kind, source: False
        self.drops: Sequence[bytes] = ()
        self.ahead = dict.fromkeys((one.source for one in doctors), 0)
        self.clock = 10**15

    def rounds(self, count: int = 3 * ENOUGH) -> None:
        """
        Let both send some rounds.
        """
        for _ in range(count):
            self.clock += _ROUND
            for doctor in self.doctors:
                for kind, destination, payload in doctor.toSend(self.now(doctor)):
                    if not self.loses(kind, doctor.source):
                        self.deliver(doctor.source, destination, payload)

    def deliver(self, source: bytes, destination: bytes, payload: bytes, hops: int = 255) -> None:
        """
        Let a packet arrive at its receivers.
        """
        packet = Packet(Family.IPV4, source, destination, hops, 112, payload)
        for doctor in self.doctors:
            if destination == doctor.source or destination[0] == 224:
                if vhidIn(payload) != doctor.group.vhid:
                    continue
                isHere = source == doctor.source
                doctor.arrived(packet, False, isHere, self.now(doctor))
                if not isHere and doctor.source not in self.drops:
                    doctor.arrived(packet, True, False, self.now(doctor))

    def now(self, doctor: Correspondence) -> int:
        """
        The clock of a doctor.
        """
        return self.clock + self.ahead[doctor.source]


def doctor(
    source: bytes, settings: VirtualHostConfiguration = GROUP, run: bytes = b""
) -> Correspondence:
    """
    A doctor.
    """
    return Correspondence(settings, Family.IPV4, source, run or bytes(4) + source, 1500)


class CorrespondenceTests(SynchronousTestCase):
    """
    Two doctors.
    """

    def setUp(self) -> None:
        self.left, self.right = doctor(OWN), doctor(OTHER)
        self.network = Network(self.left, self.right)

    def test_healthy(self) -> None:
        """
        Everything arrives, both know that, and both are done.
        """
        self.network.rounds()
        for one, other in ((self.left, OTHER), (self.right, OWN)):
            [partner] = one.partners()
            self.assertEqual(partner.source, other)
            self.assertTrue(partner.isPresent)
            self.assertEqual((partner.seenHere, partner.seenThere), (EVERYTHING, EVERYTHING))
            self.assertTrue(partner.hasSameSettings)
            self.assertEqual((partner.clockDistance, partner.hops), (0.0, 0))
            self.assertTrue(one.isDone and one.isDismissed)
            self.assertEqual((one.strangers(), one.isEchoed, one.lost()), ([], False, []))

    def test_patience(self) -> None:
        """
        Nobody is judged before there was time for everything to arrive.
        """
        self.network.rounds(ENOUGH - 1)
        self.assertEqual(self.left.doctors(), [OTHER])
        self.assertEqual(self.left.partners(), [])
        self.assertEqual(self.left.lost(), [OTHER])
        self.assertFalse(self.left.isDone)

    def test_late(self) -> None:
        """
        Rounds in which nothing was heard, because the other host is busy, do not count.
        """
        self.network.rounds(2)
        for _ in range(GONE - 1):
            list(self.left.toSend(0))
        self.assertFalse(self.left.isDone)
        self.network.rounds()
        self.assertEqual(self.left.partners()[0].seenHere, EVERYTHING)

    def test_gone(self) -> None:
        """
        A doctor that has ended early is not waited for, and not judged.
        """
        self.network.rounds(2)
        for _ in range(GONE + 2):
            list(self.left.toSend(0))
        self.assertTrue(self.left.isDismissed)
        self.assertEqual((self.left.partners(), self.left.lost()), ([], [OTHER]))

    def test_dropped(self) -> None:
        """
        What does not pass the firewall is known on both sides.
        """
        self.network.drops = [OWN]
        self.network.rounds()
        front = Seen.MULTICAST_AT_INTERFACE | Seen.UNICAST_AT_INTERFACE | Seen.LARGE_AT_INTERFACE
        self.assertEqual(self.left.partners()[0].seenHere, front)
        self.assertEqual(self.right.partners()[0].seenThere, front)
        self.assertEqual(self.right.partners()[0].seenHere, EVERYTHING)

    def test_kinds(self) -> None:
        """
        Each kind of packet can be lost without the others.
        """
        for kind in Kind:
            network = Network(doctor(OWN), doctor(OTHER))
            network.loses = lambda sent, source, kind=kind: sent is kind and source == OTHER  # type: ignore[misc]
            network.rounds()
            [partner] = network.doctors[0].partners()
            names = {str(flag.name).partition("_")[0] for flag in Seen if flag & partner.seenHere}
            self.assertEqual(names, {one.name for one in Kind} - {kind.name})
            self.assertEqual(partner.seenThere, EVERYTHING)

    def test_oneWay(self) -> None:
        """
        A doctor that hears nothing is not present for the other one, which ends all the same.
        """
        self.network.loses = lambda kind, source: source == OWN
        self.network.rounds(HOPELESS + 1)
        [partner] = self.left.partners()
        self.assertFalse(partner.isPresent)
        self.assertEqual(partner.seenThere, Seen.NOTHING)
        self.assertIn(Seen.MULTICAST, partner.seenHere)
        self.assertTrue(self.left.isDone)
        self.assertEqual(self.right.partners(), [])

    def test_clock(self) -> None:
        """
        The distance of the clocks is seen from both sides.
        """
        self.network.ahead[OTHER] = 90_000_000
        self.network.rounds()
        self.assertEqual(self.left.partners()[0].clockDistance, 90.0)
        self.assertEqual(self.right.partners()[0].clockDistance, -90.0)

    def test_routers(self) -> None:
        """
        Routers lower the TTL.
        """
        [(_, destination, payload), *_] = self.right.toSend(self.network.clock)
        self.network.deliver(OTHER, destination, payload, 253)
        self.network.rounds()
        self.assertEqual(self.left.partners()[0].hops, 2)

    def test_echo(self) -> None:
        """
        Own packets that come back are an echo, and no partner.
        """
        [(_, destination, payload), *_] = self.left.toSend(self.network.clock)
        packet = Packet(Family.IPV4, OWN, destination, 255, 112, payload)
        self.left.arrived(packet, False, False, self.network.clock)
        self.assertTrue(self.left.isEchoed)
        self.assertEqual(self.left.doctors(), [])

    def test_replay(self) -> None:
        """
        Packets of an earlier day are ignored, and those of an earlier run do not take the place of
        the present one.
        """
        old = doctor(OTHER, run=b"an old 1")
        [(_, destination, payload), *_] = old.toSend(self.network.clock - 3600 * 10**6)
        self.network.deliver(OTHER, destination, payload)
        self.assertEqual(self.left.doctors(), [])
        self.network.rounds()
        [(_, destination, payload), *_] = old.toSend(self.network.clock)
        self.network.deliver(OTHER, destination, payload)
        [partner] = self.left.partners()
        self.assertEqual(partner.said.run, bytes(4) + OTHER)
        self.assertTrue(partner.isPresent)

    def test_password(self) -> None:
        """
        A doctor with another password is a stranger; one of another group is not.
        """
        for settings, strangers in (
            (group(password=b"another"), [OTHER]),
            (group(vhid=8, password=b"another"), []),
        ):
            left = doctor(OWN)
            Network(left, doctor(OTHER, settings)).rounds()
            self.assertEqual(left.strangers(), strangers)
            self.assertEqual(left.partners(), [])

    def test_change(self) -> None:
        """
        While a group changes its password and addresses, nobody is a stranger.
        """
        new = group(
            password=b"new",
            otherPasswords=[b"secret"],
            addresses=["10.1.1.253"],
            otherAddresses=[["10.1.1.252"]],
        )
        mixed = group(otherPasswords=[b"new"], otherAddresses=[["10.1.1.253"]])
        for settings in (GROUP, mixed):
            left, right = doctor(OWN, settings), doctor(OTHER, new)
            Network(left, right).rounds()
            self.assertEqual(len(left.partners()), 1)
            self.assertEqual((left.strangers(), right.strangers()), ([], []))
            # The new one accepts the addresses of the other one, which accepts those if it knows.
            self.assertTrue(right.partners()[0].hasSameSettings)
            self.assertEqual(left.partners()[0].hasSameSettings, settings is mixed)

    def test_settings(self) -> None:
        """
        Other addresses, or another dialect, are other settings.
        """
        for changes in ({"addresses": ["10.1.1.251"]}, {"dialect": "freebsd", "advskew": 1}):
            left = doctor(OWN)
            Network(left, doctor(OTHER, group(**changes))).rounds()
            self.assertFalse(left.partners()[0].hasSameSettings)

    def test_crowd(self) -> None:
        """
        The number of partners and strangers that are remembered is limited.
        """
        for number in range(50):
            source = bytes((10, 1, 2, number))
            for settings in (GROUP, group(password=b"another")):
                one = doctor(source, settings)
                [(_, destination, payload), *_] = one.toSend(self.network.clock)
                self.network.deliver(source, destination, payload)
        self.assertEqual(len(self.left.doctors()), 8)
        self.assertLessEqual(len(self.left.strangers()), 8)


class AdvertiserTests(SynchronousTestCase):
    """
    What advertisements show.
    """

    def hear(
        self, one: Correspondence, source: bytes, signed: VirtualHostConfiguration, isHere: bool
    ) -> None:
        """
        Let an advertisement arrive.
        """
        found = Advertisement(signed.vhid, 1, 0, 5, b"")
        [form, *_] = keyringOf(signed).forms
        payload = encode(attrs.evolve(found, digest=form.authenticator.sign(5)))
        packet = Packet(Family.IPV4, source, GROUP.group, 255, 112, payload)
        one.arrived(packet, False, isHere, 0)
        one.arrived(packet, True, isHere, 0)

    def test_heard(self) -> None:
        """
        Hosts are told apart by whether they are this one, and members.
        """
        one = doctor(OWN)
        self.hear(one, OTHER, GROUP, False)
        self.hear(one, OTHER, GROUP, False)
        self.hear(one, OWN, GROUP, True)
        self.hear(one, b"\x0a\1\1\5", group(password=b"another"), False)
        found = [(each.source, each.isHere, each.isMember) for each in one.advertisers()]
        self.assertEqual(
            found,
            [(OTHER, False, True), (OWN, True, True), (b"\x0a\1\1\5", False, False)],
        )
        self.assertEqual(one.advertisers()[0].behind, 2)
        # The members get test packets by unicast.
        self.assertEqual(one.others(), [OTHER])

    def test_turns(self) -> None:
        """
        Who advertises after whom, whatever strangers say.
        """
        one = doctor(OWN)
        for source, turns in ((OTHER, 0), (OTHER, 0), (OWN, 1), (OTHER, 2)):
            self.hear(one, source, GROUP, source == OWN)
            self.hear(one, b"\x0a\1\1\5", group(password=b"another"), False)
            self.assertEqual(one.turns, turns)
