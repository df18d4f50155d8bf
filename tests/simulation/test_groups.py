"""
Tests of groups with two families, other dialects, unicast peers, demotion and delays.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.crafted import destinationOf, payloadOf, sourceOf
from tests.fakes import GOOD_LINK, INTERFACE
from tests.simulation.segment import LATENCY, Computer, Segment
from tests.simulation.test_pairs import pair
from tests.simulation.test_pauses import nap
from txcarp.configuration.model import FlapLimit, TrackedInterface
from txcarp.findings import Finding
from txcarp.links import Link
from txcarp.membership.peers import Peers
from txcarp.protocol.advertisement import decode
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.election import OFFER_AFTER
from txcarp.protocol.envelope import wrap
from txcarp.protocol.events import HoldReason
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.ipv6 import GROUP as GROUP6
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import Verification
from txcarp.protocol.timing import Timing
from txcarp.virtualhost import VirtualHost

BOTH: dict[str, Any] = {"addresses": ["10.99.0.100", "fd00::100"]}
SIX: dict[str, Any] = {"addresses": ["fd00::100"], "source": None}


def hostOf(computer: Computer) -> VirtualHost:
    """
    The virtual host that runs on a computer.
    """
    assert computer.virtualHost is not None
    return computer.virtualHost


class FamilyTests(SynchronousTestCase):
    """
    Virtual hosts with IPv4 and IPv6 addresses.
    """

    def test_bothSent(self) -> None:
        """
        The master sends one advertisement in each family per interval.  They have counters
        and digests of their own over the same addresses.
        """
        segment, _, _ = pair(BOTH, {**BOTH, "advskew": 100})
        last = segment.record[-2:]
        self.assertEqual([destinationOf(packet) for packet in last], [GROUP, GROUP6])
        four, six = (decode(payloadOf(packet)) for packet in last)
        self.assertNotEqual(four.counter, six.counter)
        self.assertEqual((four.advbase, four.advskew), (six.advbase, six.advskew))

    def test_oneFamily(self) -> None:
        """
        A group with IPv6 addresses only needs no IPv4.
        """
        segment, first, second = pair(SIX, {**SIX, "advskew": 100})
        self.assertEqual(segment.masters(), [first])
        self.assertEqual({familyOf(destinationOf(one)) for one in segment.record}, {Family.IPV6})
        first.crash()
        segment.run(5)
        self.assertEqual(segment.masters(), [second])

    def test_oneLost(self) -> None:
        """
        C23: the loss of either family is reported, and changes no role.
        """
        for family in Family:
            segment, first, second = pair(BOTH, {**BOTH, "advskew": 100})
            segment.lost.add(family)
            with capturedLogs() as logs:
                segment.run(30)
            self.assertEqual(segment.masters(), [first], family)
            self.assertEqual(len(segment.reigns), 1, family)
            self.assertGreater(hostOf(second).status().findings[Finding.FAMILY_SILENT], 20)
            said = [formatEvent(event) or "" for event in logs]
            [line] = [text for text in said if "family-silent" in text]
            self.assertIn(f"{family.value} is not", line)
            first.crash()
            segment.run(5)
            self.assertEqual(segment.masters(), [second], family)

    def test_oneLostAsInBSD(self) -> None:
        """
        With the rule of the BSD kernels, the silence of one family is enough.
        """
        segment, _, second = pair(BOTH, {**BOTH, "anyFamily": True, "advskew": 100})
        segment.lost.add(Family.IPV6)
        segment.run(3.5)
        self.assertGreater(len(segment.reigns), 1)
        self.assertEqual(segment.reigns[1].host, second.source)

    def test_deafInOne(self) -> None:
        """
        A family in which a host cannot hear proves nothing about the master, even with the
        rule of the BSD kernels.  When the host can hear in it again, it does.
        """
        for family in Family:
            segment, first, second = pair(BOTH, {**BOTH, "anyFamily": True, "advskew": 100})
            second.deafen(family)
            segment.run(30)
            self.assertEqual(len(segment.reigns), 1, family)
            segment.lost.add(family)
            second.deafen()
            segment.run(3.2)
            self.assertEqual(len(segment.reigns), 1, family)
            segment.run(0.3)
            self.assertEqual(segment.reigns[1].host, second.source, family)
            segment.lost.clear()
            segment.run(10)
            self.assertEqual(segment.masters(), [first], family)
            second.deafen(*Family)
            segment.run(10)
            first.crash()
            segment.run(10)
            self.assertEqual(segment.masters(), [], family)
            second.deafen(family)
            segment.run(3.5)
            self.assertEqual(segment.masters(), [second], family)

    def test_tie(self) -> None:
        """
        Equal hosts end with one master even where the addresses of the two families would
        decide differently.  The first family in which the hosts hear each other decides.
        """
        segment = Segment()
        # The last octet of the first host is lower in IPv4, and higher in IPv6.
        first, second = segment.add("10.99.0.1", **BOTH), segment.add("10.99.0.2", **BOTH)
        first.linkLocal = lambda: socket.inet_pton(socket.AF_INET6, "fe80::9")  # type: ignore[method-assign]
        first.start()
        second.start()
        segment.run(20)
        self.assertEqual(segment.masters(), [first])
        segment.lost.add(Family.IPV4)
        segment.run(60)
        self.assertEqual(segment.masters(), [first])

    def test_noLinkLocal(self) -> None:
        """
        A host whose interface has no IPv6 address advertises in IPv4.
        """
        segment, first, _ = pair(BOTH, {**BOTH, "advskew": 100})
        first.setIPv6(False)
        segment.record.clear()
        with capturedLogs():
            segment.run(10)
        self.assertEqual(segment.masters(), [first])
        self.assertEqual({familyOf(destinationOf(one)) for one in segment.record}, {Family.IPV4})
        self.assertEqual(hostOf(first).status().demotions, {})


    def test_linkLocalLost(self) -> None:
        """
        A master that is without its link-local address for less than the dead time stays master.
        Otherwise the backup takes over when it would without this rule, and the two are never
        master together.
        """
        settings = {"addresses": ["fd00::100"]}
        for away in 0.5, 1.5, 2.5, 10.0:
            segment, first, second = pair(settings, {**settings, "advskew": 100})
            reigns = len(segment.reigns)
            first.setIPv6(False)
            with capturedLogs():
                segment.run(away)
            first.setIPv6(True)
            segment.run(10)
            if away < 3.0:
                self.assertEqual(len(segment.reigns), reigns, away)
                self.assertEqual(segment.masters(), [first], away)
            else:
                self.assertEqual([one.host for one in segment.reigns[reigns:]], [second.source])
                self.assertEqual(segment.masters(), [second])


class UnicastTests(SynchronousTestCase):
    """
    Advertisements to single peers.
    """

    def settings(self, *peers: str, **more: Any) -> dict[str, Any]:
        """
        The settings of a host with peers.
        """
        packed = tuple(
            socket.inet_pton(socket.AF_INET6 if ":" in peer else socket.AF_INET, peer)
            for peer in peers
        )
        return {"peers": packed, **more}

    def test_peers(self) -> None:
        """
        A group with peers elects a master, and sends nothing to the multicast group.
        """
        segment, first, second = pair(
            self.settings("10.99.0.2"), self.settings("10.99.0.1", advskew=100)
        )
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(
            {destinationOf(packet) for packet in segment.record},
            {socket.inet_aton("10.99.0.2")},
        )
        first.stop()
        segment.run(2 * LATENCY)
        self.assertEqual(segment.masters(), [second])

    def test_oneFamily(self) -> None:
        """
        Peers of one family do not affect the other family.
        """
        segment, first, _ = pair(
            self.settings("fe80::2", **BOTH), self.settings("fe80::1", advskew=100, **BOTH)
        )
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(
            {destinationOf(packet) for packet in segment.record},
            {GROUP, socket.inet_pton(socket.AF_INET6, "fe80::2")},
        )

    def test_auto(self) -> None:
        """
        Advertisements go to the multicast group, and a copy to each peer that was heard.  A
        receiver counts the second copy as a duplicate.
        """
        segment, first, second = pair(
            {"followPeers": True}, {"followPeers": True, "advskew": 100}
        )
        segment.record.clear()
        first.stop()
        segment.run(1)
        first.start()
        segment.run(5)
        self.assertEqual(segment.masters(), [second])
        self.assertIn(socket.inet_aton("10.99.0.1"), map(destinationOf, segment.record))
        self.assertGreater(sum(hostOf(first).status().rejected.values()), 0)
        self.assertEqual({*map(str, hostOf(first).status().rejected)}, {"Rejection.DUPLICATE"})

    def test_autoSpoofed(self) -> None:
        """
        An attacker who repeats the advertisements of an unsealed host under many addresses
        does not get a copy sent to each of them.
        """
        segment, first, second = pair(
            {"followPeers": True, "advskew": 50},
            {"verification": Verification.OFF, "advskew": 100},
        )
        segment.cut(first, second)
        segment.run(10)  # so that there is something to repeat
        segment.heal()
        segment.run(5)
        packet = next(one for one in segment.record if sourceOf(one)[-1] == 2)
        segment.record.clear()
        for n in range(40):
            spoofed = b"\x0a\x63\x01" + bytes([n])
            first.arrived(wrap(payloadOf(packet), spoofed, destinationOf(packet)))
        segment.run(5)
        self.assertEqual(len(hostOf(first).status().peers), 41)
        self.assertEqual(set(map(destinationOf, segment.record)), {GROUP})



    def test_followedIsNear(self) -> None:
        """
        A host that was heard on this link gets a copy.  Unlike a configured peer, it is not
        believed when its packets come through a router.
        """
        other = socket.inet_aton("10.99.0.9")
        segment, first, second = pair(
            {"followPeers": True}, {"followPeers": True, "advskew": 100, "peers": (other,)}
        )
        last = segment.record[-1]
        segment.cut(first, second)
        advertisement = payloadOf(last)
        for source, reason in ((first.source, Rejection.TTL), ("10.99.0.9", Rejection.REPLAY)):
            near = wrap(advertisement, socket.inet_aton(source), GROUP)
            header = near[:8] + bytes((254,)) + near[9:10] + bytes(2) + near[12:20]
            total = internetChecksum(header).to_bytes(2, "big")
            second.arrived(header[:10] + total + header[12:] + near[20:])
            self.assertEqual(set(hostOf(second).status().rejected), {reason})
            hostOf(second)._memory.rejected.clear()


class DemotionTests(SynchronousTestCase):
    """
    Demoted hosts.
    """

    def test_preempted(self) -> None:
        """
        A backup that preempts takes over at the first advertisement of a demoted master.
        """
        segment, first, second = pair({}, {"advskew": 100, "preempt": True})
        hostOf(first).demote("maintenance")
        segment.run(2 * LATENCY)
        self.assertEqual(segment.masters(), [second])
        segment.run(30)
        self.assertEqual(segment.masters(), [second])

    def test_notPreempted(self) -> None:
        """
        A backup that does not preempt takes over soon as well: the master makes an offer, and
        remains master until it hears its successor.
        """
        segment, first, second = pair({}, {"advskew": 100})
        # The master does not know its backup, which has never advertised.
        hostOf(first).demote("maintenance")
        segment.run(OFFER_AFTER + 3 * LATENCY)
        self.assertEqual(segment.masters(), [second])
        hostOf(first).promote("maintenance")
        segment.run(30)
        self.assertEqual(segment.masters(), [second])

    def test_sameReason(self) -> None:
        """
        All hosts are demoted for the same reason, within the time of the offer or before it.  None
        is better than the master, which stays, and nobody else is master even for a moment.
        """
        for dialect in DIALECTS:
            for preempt in (False, True):
                for order in ((2, 1, 0), (0, 1, 2)):
                    segment = Segment()
                    hosts = [
                        segment.add(f"10.99.0.{n}", dialect=dialect, advskew=n, preempt=preempt)
                        for n in (3, 4, 5)
                    ]
                    for computer in hosts:
                        computer.start()
                    segment.run(10)
                    for index in order:
                        hostOf(hosts[index]).demote("uplink", 240)
                        # Backups that are better for a moment may take over in it.
                        asks = not preempt and not DIALECTS[dialect].demotionByte
                        segment.run(OFFER_AFTER / 4 if asks or order[0] else 0)
                    segment.run(30)
                    where = (dialect, preempt, order)
                    self.assertEqual(segment.masters(), hosts[:1], where)
                    self.assertEqual(len(segment.reigns), 1, where)

    def test_someBetter(self) -> None:
        """
        Of the backups that do not preempt, one that is demoted as much as the master does not
        take over, even for a moment.
        """
        segment, first, second = pair({}, {"advskew": 100})
        third = segment.add("10.99.0.3", advskew=50)
        third.start()
        hostOf(third).demote("uplink")
        segment.run(5)
        hostOf(first).demote("uplink")
        segment.run(20)
        self.assertEqual(segment.masters(), [second])
        self.assertEqual([one.host for one in segment.reigns], [first.source, second.source])

    def test_threeHosts(self) -> None:
        """
        Two hosts that preempt take over from a demoted master at once, and the worse of them
        yields when it hears the better one.  It does not become master again because of a late
        word of the old master.
        """
        for dialect in DIALECTS:
            segment = Segment()
            hosts = [
                segment.add(f"10.99.0.{number}", dialect=dialect, advskew=skew, preempt=True)
                for number, skew in enumerate((0, 50, 100), 1)
            ]
            for computer in hosts:
                computer.start()
            segment.run(10)
            self.assertEqual(segment.masters(), hosts[:1])
            hostOf(hosts[0]).demote("maintenance")
            segment.run(10)
            self.assertEqual(segment.masters(), hosts[1:2], dialect)
            self.assertLessEqual(segment.longestOverlap(0), 3 * LATENCY, dialect)

    def test_withdrawn(self) -> None:
        """
        A demotion that ends before the offer leads to no second master.
        """
        segment, first, _ = pair({}, {"advskew": 100})
        hostOf(first).demote("link of eth8")
        segment.run(OFFER_AFTER / 2)
        hostOf(first).promote("link of eth8")
        segment.run(30)
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(len(segment.reigns), 1)

    def test_partlyWithdrawn(self) -> None:
        """
        The offer stands as long as this host is less preferred than a host that it heard.
        """
        segment, first, second = pair({"preempt": True}, {"advskew": 100})
        first.crash()
        segment.run(5)
        first.start()
        segment.run(5)
        self.assertEqual(segment.masters(), [first])
        hostOf(first).demote("link of eth8", 200)
        hostOf(first).demote("link of eth9", 10)
        segment.run(OFFER_AFTER / 2)
        hostOf(first).promote("link of eth9")
        segment.run(OFFER_AFTER + 3 * LATENCY)
        self.assertEqual(segment.masters(), [second])

    def test_recovered(self) -> None:
        """
        A backup that was demoted when it was last heard, and has recovered in silence, accepts
        the offer.
        """
        segment, first, second = pair({"preempt": True}, {"advskew": 100})
        first.crash()
        segment.run(5)
        hostOf(second).demote("link of eth8")
        first.start()
        segment.run(5)
        self.assertEqual(segment.masters(), [first])
        hostOf(second).promote("link of eth8")
        hostOf(first).demote("link of eth8")
        segment.run(OFFER_AFTER + 3 * LATENCY)
        self.assertEqual(segment.masters(), [second])

    def mixed(self, dialect: str, skew: int, sources: tuple[str, str]) -> Segment:
        """
        A master that does not preempt, and a backup that does and is not better, are demoted at
        once.  There is always a master, and in the end exactly one.
        """
        segment = Segment()
        first = segment.add(sources[0], dialect=dialect)
        second = segment.add(sources[1], dialect=dialect, advskew=skew, preempt=True)
        first.start()
        segment.run(5)
        second.start()
        segment.run(5)
        self.assertEqual(segment.masters(), [first])
        hostOf(second).demote("uplink", 240 - skew)
        hostOf(first).demote("uplink", 240)
        for _ in range(200):
            segment.run(0.001)
            self.assertNotEqual(segment.masters(), [], (dialect, skew, sources))
        segment.run(20)
        self.assertEqual(len(segment.masters()), 1)
        return segment

    def test_offerToPreempting(self) -> None:
        """
        A backup that preempts recognises the offer, and does not take it for the advertisement
        of a slow master.
        """
        for dialect in ("ucarp", "freebsd"):
            for sources in (("10.99.0.1", "10.99.0.2"), ("10.99.0.2", "10.99.0.1")):
                segment = self.mixed(dialect, 100, sources)
                self.assertEqual([one.host for one in segment.reigns], [sources[0]])

    def test_offerOfAnotherRatio(self) -> None:
        """
        A backup with another dead ratio than the master recognises its offer, and accepts it only
        if it is better: whether it preempts or not, with a lower or a higher dead ratio.
        """
        for preempt in (False, True):
            for ratio, advbase in ((3, 1), (5, 1), (3, 2), (2, 1)):
                with self.subTest(preempt=preempt, ratio=ratio, advbase=advbase):
                    backup = {"advbase": advbase, "advskew": 245, "preempt": preempt}
                    segment = self.offered(deadRatio=ratio, **backup)
                    segment.run(20)
                    self.assertEqual([one.host for one in segment.reigns], ["10.99.0.1"])

    def test_offerOfAnotherRatioAccepted(self) -> None:
        """
        A better backup with a lower dead ratio accepts the offer.
        """
        segment = self.offered(deadRatio=3, advskew=100)
        segment.run(OFFER_AFTER + 3 * LATENCY)
        self.assertEqual([one.host for one in segment.reigns], ["10.99.0.1", "10.99.0.2"])

    def offered(self, **backup: Any) -> Segment:
        """
        A master with a dead ratio of 4, which is demoted now, and a backup.
        """
        segment = Segment()
        first = segment.add("10.99.0.1", deadRatio=4)
        first.start()
        segment.run(10)
        segment.add("10.99.0.2", **backup).start()
        segment.run(5)
        hostOf(first).demote("uplink", 240)
        return segment

    def test_offerNotRecognised(self) -> None:
        """
        ucarp and the kernels do not recognise the offer.  If they preempt and are not better, the
        next advertisement of the master, soon after the offer, makes one of both yield.
        """
        self.patch(Peers, "offered", lambda peers, peer: None)
        for dialect in ("ucarp", "freebsd"):
            for skew in (100, 240):
                for sources in (("10.99.0.1", "10.99.0.2"), ("10.99.0.2", "10.99.0.1")):
                    segment = self.mixed(dialect, skew, sources)
                    self.assertEqual(segment.reigns[1].host, sources[1])
                    longest = segment.longestOverlap(0)
                    self.assertLessEqual(longest, OFFER_AFTER + 3 * LATENCY)

    def test_saidOnce(self) -> None:
        """
        A further reason that does not change the advertisement leads to no further offer.
        """
        segment, first, second = pair({}, {"advskew": 100})
        second.crash()
        hostOf(first).demote("link of eth8")
        segment.run(10)
        segment.record.clear()
        hostOf(first).demote("link of eth9")
        segment.run(0.5)
        self.assertEqual(segment.record, [])
        self.assertEqual(len(hostOf(first).status().demotions), 2)

    def test_alone(self) -> None:
        """
        A demoted master without other hosts remains master.
        """
        segment = Segment()
        first = segment.add("10.99.0.1")
        first.start()
        segment.run(10)
        hostOf(first).demote("maintenance")
        segment.run(60)
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(len(segment.reigns), 1)

    def test_stillBetter(self) -> None:
        """
        A master that is demoted by less than its advantage remains master.
        """
        segment, first, second = pair({}, {"advskew": 100})
        second.crash()
        segment.run(1)
        second.start()
        segment.run(5)
        hostOf(first).demote("slow disk", 50)
        segment.run(30)
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(len(segment.reigns), 1)

    def test_advertisedAtOnce(self) -> None:
        """
        A change of the demotion is advertised at once, and only once.
        """
        segment, first, _ = pair({}, {"advskew": 100})
        segment.run(0.5)
        segment.record.clear()
        hostOf(first).demote("one", 10)
        hostOf(first).demote("one", 10)
        self.assertEqual([decode(payloadOf(one)).advskew for one in segment.record], [10])
        hostOf(first).promote("one")
        hostOf(first).promote("one")
        self.assertEqual([decode(payloadOf(one)).advskew for one in segment.record], [10, 0])

    def test_negative(self) -> None:
        """
        C07: negative demotions lead to no second master.
        """
        segment, first, second = pair(
            {"advskew": 0, "preempt": True, "dialect": "freebsd"},
            {"advskew": 100, "preempt": True, "dialect": "freebsd"},
        )
        hostOf(first).demote("negative", -1)
        segment.run(10)
        self.assertEqual(segment.masters(), [first])
        hostOf(second).demote("negative", -90)
        segment.run(10)
        self.assertEqual(segment.masters(), [first])
        self.assertLessEqual(segment.longestOverlap(0), 2 * LATENCY)

    def test_openbsd(self) -> None:
        """
        C10: with OpenBSD's rules, a demotion swaps the roles at once without preemption,
        and is sent in its own field.
        """
        segment, first, second = pair(
            {"dialect": "openbsd"}, {"dialect": "openbsd", "advskew": 100}
        )
        self.assertEqual(segment.masters(), [first])
        hostOf(first).demote("carpdemote", 1)
        segment.run(2 * LATENCY)
        self.assertEqual(segment.masters(), [second])
        segment.run(3)
        self.assertEqual(decode(payloadOf(segment.record[-1])).demotion, 0)
        said = [decode(payloadOf(packet)) for packet in segment.record]
        demoted = {(one.advskew, one.demotion) for one in said if one.demotion}
        self.assertEqual(demoted, {(0, 1)})
        hostOf(first).promote("carpdemote")
        segment.run(20)
        self.assertEqual(segment.masters(), [second])

    def test_outOfTurn(self) -> None:
        """
        A demotion does not change the interval with OpenBSD's rules.  The next advertisement comes
        a whole interval after the one that says so, as from OpenBSD.
        """
        segment = Segment()
        alone = segment.add("10.99.0.1", dialect="openbsd")
        alone.start()
        segment.run(3.9)
        hostOf(alone).demote("carpdemote", 1)
        segment.run(3)
        times = [when for when, _ in segment.packets]
        for when, expected in zip(times, (3.0, 3.9, 4.9, 5.9), strict=False):
            self.assertAlmostEqual(when, expected, 3)

    def test_openbsdLink(self) -> None:
        """
        With OpenBSD's rules, a tracked interface without a link counts 1, as in OpenBSD.  Of two
        hosts that lost one each, the one with the lower skew is master.
        """
        tracked = {"dialect": "openbsd", "trackedInterfaces": (TrackedInterface("eth8"),)}
        segment, first, second = pair(tracked, {**tracked, "advskew": 100})
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(hostOf(first).status().demotions, {"link of eth8": 1})
        self.assertEqual(decode(payloadOf(segment.record[-1])).demotion, 1)
        good = Link(index=8, name="eth8", up=True, running=True, address=b"\2\0\0\0\0\10")
        second.links.set("eth8", good)
        segment.run(1 + 2 * LATENCY)
        self.assertEqual(segment.masters(), [second])

    def test_successorDemoted(self) -> None:
        """
        A demoted successor remains master when it hears the bow-out of the second family.
        """
        both = {**BOTH, "dialect": "openbsd"}
        segment, first, second = pair(both, {**both, "advskew": 100})
        hostOf(second).demote("x", 5)
        first.stop()
        segment.run(10)
        self.assertEqual(segment.masters(), [second])
        self.assertEqual(len([reign for reign in segment.reigns if reign.host == second.source]), 1)

    def test_bowOutIsMostDemoted(self) -> None:
        """
        With OpenBSD's rules a bow-out has the highest demotion, whatever that of its sender, so
        that no successor yields to it.
        """
        segment = Segment()
        tracked = (TrackedInterface("eth8", 2),)
        first = segment.add("10.99.0.1", dialect="openbsd", trackedInterfaces=tracked)
        first.start()
        segment.run(10)
        host = hostOf(first)
        first.stop()
        segment.run(1)
        last = decode(payloadOf(segment.record[-1]))
        self.assertTrue(last.isBowOut)
        self.assertEqual(last.demotion, 255)
        self.assertEqual(host.status().demotions, {})

    def test_trackedInterface(self) -> None:
        """
        Another interface without a link demotes the host.  The demotion ends when the link
        returns, and when the host stops.
        """
        tracked = (TrackedInterface("eth8"), TrackedInterface("eth9", 20))
        segment, first, second = pair(
            {"trackedInterfaces": tracked}, {"advskew": 100, "preempt": True}
        )
        # Neither interface exists.
        self.assertEqual(segment.masters(), [second])
        demotions = hostOf(first).status().demotions
        self.assertEqual(demotions, {"link of eth8": 240, "link of eth9": 20})
        good = Link(index=8, name="eth8", up=True, running=True, address=b"\2\0\0\0\0\10")
        first.links.set("eth8", good)
        self.assertEqual(hostOf(first).status().demotions, {"link of eth9": 20})
        first.links.set("eth9", good)
        self.assertEqual(hostOf(first).status().demotions, {})
        first.links.set("eth9", None)
        host = hostOf(first)
        first.stop()
        segment.run(1)
        self.assertEqual(host.status().demotions, {})


class DialectTests(SynchronousTestCase):
    """
    Groups with the rules of the BSD kernels.
    """

    def test_zeroBase(self) -> None:
        """
        With OpenBSD's rules, advbase and advskew may both be 0: the master sends 256
        advertisements per second.
        """
        fast: dict[str, Any] = {"dialect": "openbsd", "advbase": 0}
        segment, first, second = pair(fast, {**fast, "advskew": 1})
        self.assertEqual(segment.masters(), [first])
        segment.record.clear()
        segment.run(1)
        self.assertEqual(len(segment.record), 256)
        first.crash()
        segment.run(3 / 256 + LATENCY)
        self.assertEqual(segment.masters(), [second])

    def test_failover(self) -> None:
        """
        In each dialect, the backup takes over after its dead time, and at once after a
        bow-out.
        """
        for dialect, deadTime in (
            ("ucarp", 3 + 100 / 256),
            ("freebsd", 3 + 100 / 256),
            ("openbsd", 3 * (1 + 100 / 256)),
            ("openbsd-7.7", 3 + 100 / 256),
        ):
            segment, first, second = pair(
                {"dialect": dialect}, {"dialect": dialect, "advskew": 100}
            )
            self.assertEqual(segment.masters(), [first])
            first.crash()
            last = segment.packets[-1][0]
            segment.run(6)
            self.assertEqual(segment.masters(), [second])
            self.assertAlmostEqual(segment.reigns[-1].since, last + LATENCY + deadTime)
            first.start()
            segment.run(10)
            second.stop()
            segment.run(2 * LATENCY)
            self.assertEqual(segment.masters(), [first])

    def test_equalAfterACut(self) -> None:
        """
        In the kernels' dialects a master yields silently to one with equal timing, which
        therefore stays master.
        """
        for dialect in ("freebsd", "openbsd", "openbsd-7.7"):
            segment = Segment()
            hosts = [segment.add(f"10.99.0.{number}", dialect=dialect) for number in (1, 2)]
            segment.cut(*hosts)
            for computer in hosts:
                computer.start()
                segment.run(0.3)
            segment.run(10)
            self.assertEqual(segment.masters(), hosts)
            segment.heal()
            with capturedLogs():
                segment.run(10)
            self.assertEqual(len(segment.masters()), 1, dialect)
            self.assertEqual(len(segment.reigns), 2, dialect)

    def test_linkLocal(self) -> None:
        """
        FreeBSD's dialect signs link-local addresses.  OpenBSD's dialect leaves them out,
        and accepts both.
        """
        addresses = {"addresses": ["10.99.0.100", "fe80::100"]}
        without = {"addresses": ["10.99.0.100"]}
        for one, other, masters in (
            ("freebsd", "openbsd", 1),  # the second host accepts the first one
            ("openbsd", "freebsd", 2),  # the second host refuses the first one
        ):
            with capturedLogs():
                segment, _, _ = pair(
                    {**addresses, "dialect": one},
                    {**addresses, "dialect": other, "advskew": 100},
                )
            self.assertEqual(len(segment.masters()), masters)
        segment, first, _ = pair(
            {**addresses, "dialect": "openbsd"},
            {**without, "dialect": "openbsd", "advskew": 100},
        )
        self.assertEqual(segment.masters(), [first])

    def test_highestSkew(self) -> None:
        """
        FreeBSD's dialect sends no skew above 240.
        """
        for dialect, skew in (("ucarp", 254), ("freebsd", 240), ("openbsd", 254)):
            segment = Segment()
            segment.add("10.99.0.1", dialect=dialect, advskew=254).start()
            segment.run(10)
            self.assertEqual(decode(payloadOf(segment.record[-1])).advskew, skew)

    def test_constantCounter(self) -> None:
        """
        In OpenBSD's dialect without seals, the counter never changes, and identifies looped
        packets.
        """
        segment = Segment()
        first = segment.add("10.99.0.1", dialect="openbsd", verification=Verification.OFF)
        first.start()
        segment.run(10)
        self.assertEqual(len({decode(payloadOf(one)).counter for one in segment.record}), 1)
        first.arrived(wrap(payloadOf(segment.record[-1]), bytes((10, 99, 0, 77)), GROUP))
        self.assertEqual(hostOf(first).status().rejected, {Rejection.OWN_ECHO: 1})


class PatienceTests(SynchronousTestCase):
    """
    Hosts that wait before they become master.
    """

    def test_preemptDelay(self) -> None:
        """
        A preferred host takes over only after the delay as a healthy backup.
        """
        segment, first, second = pair({"preempt": True, "preemptDelay": 20.0}, {"advskew": 100})
        first.crash()
        segment.run(10)
        self.assertEqual(segment.masters(), [second])
        first.start()
        segment.run(19)
        self.assertEqual(segment.masters(), [second])
        segment.run(3)
        self.assertEqual(segment.masters(), [first])

    def test_preemptDelayAndSilence(self) -> None:
        """
        The delay does not apply when there is no master.
        """
        segment, first, second = pair({"preempt": True, "preemptDelay": 600.0}, {"advskew": 100})
        first.crash()
        segment.run(10)
        first.start()
        segment.run(10)
        second.crash()
        segment.run(4)
        self.assertEqual(segment.masters(), [first])

    def test_startDelay(self) -> None:
        """
        A host that has just started waits before it takes part.
        """
        segment = Segment()
        first = segment.add("10.99.0.1", startDelay=30.0)
        first.start()
        segment.run(32.9)
        self.assertEqual(segment.masters(), [])
        segment.run(0.2)
        self.assertEqual(segment.masters(), [first])

    def test_flapping(self) -> None:
        """
        A preferred host whose link fails too often waits, logs that once, and takes part again.
        It does not take over first.
        """
        limit = {"preempt": True, "flapLimit": FlapLimit(3, 60.0)}
        segment, first, second = pair(limit, {"advskew": 100})
        with capturedLogs() as logs:
            for _ in range(3):
                self.assertEqual(segment.masters(), [first])
                first.plug(False)
                segment.run(5)
                first.plug(True)
                segment.run(2)
            said = [formatEvent(event) or "" for event in logs]
        self.assertEqual(len([text for text in said if "lost mastership 3 times" in text]), 1)
        self.assertEqual(segment.masters(), [second])
        reigns = len(segment.reigns)
        segment.run(57)
        self.assertEqual(segment.masters(), [second])
        segment.run(5)
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(len(segment.reigns), reigns + 1)

    def test_lastHost(self) -> None:
        """
        The link of the last host of a group may fail any number of times: nobody else is master
        meanwhile.
        """
        segment = Segment()
        only = segment.add("10.99.0.1", flapLimit=FlapLimit(3, 60.0))
        only.start()
        for _ in range(12):
            segment.run(4)
            self.assertEqual(segment.masters(), [only])
            only.plug(False)
            segment.run(0.5)
            only.plug(True)
        segment.run(4)
        self.assertEqual(segment.masters(), [only])
        self.assertEqual(hostOf(only).status().holds, [])

    def test_lastHostBowsOut(self) -> None:
        """
        A bow-out is no other master.
        """
        segment, first, second = pair({"flapLimit": FlapLimit(2, 60.0)}, {"advskew": 100})
        first.plug(False)
        segment.run(5)
        first.plug(True)
        second.stop()
        segment.run(5)
        self.assertEqual(segment.masters(), [first])
        first.plug(False)
        first.plug(True)
        segment.run(5)
        self.assertEqual(segment.masters(), [first])

    def test_flappingOtherwise(self) -> None:
        """
        This holds for all reasons to lose mastership: each counts if another host is master
        afterwards, and not otherwise.
        """
        for alone in (True, False):
            for loses in (
                lambda host: hostOf(host).resign(),
                lambda host: nap(host.segment, host, 5),
            ):
                limit = {"preempt": True, "flapLimit": FlapLimit(3, 60.0)}
                segment, first, second = pair(limit, {"advskew": 100})
                if alone:
                    second.crash()
                with capturedLogs():
                    for _ in range(3):
                        self.assertEqual(segment.masters(), [first])
                        loses(first)
                        segment.run(9)
                self.assertEqual(segment.masters(), [first if alone else second])

    def flap(self, dialect: str) -> tuple[Segment, Computer, Computer]:
        """
        A pair whose preferred host has lost mastership too often and stays out.
        """
        limit = {"preempt": True, "flapLimit": FlapLimit(3, 60.0), "dialect": dialect}
        segment, first, second = pair(limit, {"advskew": 100, "dialect": dialect})
        for _ in range(3):
            first.plug(False)
            segment.run(5)
            first.plug(True)
            segment.run(2)
        self.assertEqual(segment.masters(), [second])
        self.assertEqual(len(hostOf(first).status().holds), 1)
        return segment, first, second

    def test_lastMasterDies(self) -> None:
        """
        A host that lost mastership too often takes over from a master that dies, within twice its
        dead time: no limit may leave a group without a master.
        """
        for dialect in DIALECTS:
            segment, first, second = self.flap(dialect)
            second.crash()
            deadTime = DIALECTS[dialect].deadTime(Timing(1, 0), 3)
            segment.run(2 * deadTime + 0.1)
            self.assertEqual(segment.masters(), [first])

    def test_lastMasterLeaves(self) -> None:
        """
        It does so within its dead time after a bow-out.
        """
        segment, first, second = self.flap("ucarp")
        second.stop()
        segment.run(3.1)
        self.assertEqual(segment.masters(), [first])

    def test_lastMasterDiesAtOnce(self) -> None:
        """
        It does so, too, if it has heard that master only once.
        """
        limit = {"preempt": True, "flapLimit": FlapLimit(2, 60.0)}
        segment, first, second = pair(limit, {"advskew": 100})
        first.plug(False)
        segment.run(5)
        first.plug(True)
        segment.run(2)
        self.assertEqual(segment.masters(), [first])
        first.plug(False)
        segment.run(5)
        first.plug(True)
        while HoldReason.FLAPPING not in [one.reason for one in hostOf(first).status().holds]:
            segment.run(0.05)
        second.crash()
        segment.run(6.2)
        self.assertEqual(segment.masters(), [first])

    def test_notFlapping(self) -> None:
        """
        The same number of changes within a longer time is not too often.
        """
        limit = {"preempt": True, "flapLimit": FlapLimit(3, 60.0)}
        segment, first, _ = pair(limit, {"advskew": 100})
        for _ in range(6):
            segment.run(26)
            self.assertEqual(segment.masters(), [first])
            first.plug(False)
            segment.run(5)
            first.plug(True)

    def test_claimed(self) -> None:
        """
        C09: a host that is told to become master or backup does so if it is alone.  In a
        group the election decides afterwards.
        """
        segment, first, second = pair({}, {"advskew": 100})
        hostOf(second).claim()
        segment.run(5)
        self.assertEqual(segment.masters(), [first])
        second.crash()
        hostOf(first).claim()
        hostOf(first).resign()
        segment.run(1)
        self.assertEqual(segment.masters(), [])
        hostOf(first).claim()  # it has just resigned
        self.assertEqual(segment.masters(), [])
        segment.run(10)
        self.assertEqual(segment.masters(), [first])


class DiagnosisTests(SynchronousTestCase):
    """
    Findings about other hosts.
    """

    def findings(self, one: dict[str, Any], other: dict[str, Any]) -> list[set[Finding]]:
        """
        The findings of each of two hosts.
        """
        with capturedLogs():
            _, first, second = pair(one, other)
        return [set(hostOf(computer).status().findings) for computer in (first, second)]

    def test_foreignGroup(self) -> None:
        """
        A host that never used the password of this group belongs to another group.
        """
        self.assertEqual(
            self.findings({"password": b"one"}, {"password": b"other", "advskew": 100}),
            [{Finding.FOREIGN_GROUP}] * 2,
        )

    def test_wrongKey(self) -> None:
        """
        A member of the group that uses another password is configured wrongly.
        """
        segment, first, second = pair({}, {"advskew": 100})
        first.crash()
        segment.run(2)
        first.settings["password"] = b"mistaken"
        with capturedLogs() as logs:
            first.start()
            segment.run(10)
        self.assertEqual(set(hostOf(second).status().findings), {Finding.WRONG_KEY})
        self.assertTrue(any("wrong-key" in (formatEvent(event) or "") for event in logs))

    def test_equalTiming(self) -> None:
        """
        Equal timing is a finding in a dialect that breaks no ties.
        """
        same = {"dialect": "freebsd"}
        for found in self.findings(same, same):
            self.assertIn(Finding.EQUAL_TIMING, found)

    def test_twoMasters(self) -> None:
        """
        Two masters that do not give way to each other are a finding, with the time since
        when.
        """
        segment, first, second = pair({}, {"advskew": 100})
        # The second host hears nothing, but the first one hears it.
        second.deaf = True
        with capturedLogs() as logs:
            segment.run(10)
        self.assertEqual(len(segment.masters()), 2)
        self.assertIn(Finding.TWO_MASTERS, hostOf(first).status().findings)
        lines = [text for text in (formatEvent(one) or "" for one in logs) if "two-masters" in text]
        self.assertEqual(len(lines), 1)
        self.assertRegex(lines[0], r"10\.99\.0\.2 is also master.*for \d+\.\d s so far")

    def test_quiet(self) -> None:
        """
        The ordinary life of a group leads to no findings.
        """
        segment, first, second = pair({}, {"advskew": 100, "preempt": True})
        first.stop()
        segment.run(5)
        first.start()
        segment.run(5)
        second.links.set(INTERFACE, GOOD_LINK)
        for computer in (first, second):
            self.assertEqual(dict(hostOf(computer).status().findings), {})
