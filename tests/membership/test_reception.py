"""
Tests for L{txcarp.membership.reception}: a packet that begins as the last good one of its source.

What is accepted at all is tested in L{tests.test_virtualhost} and L{tests.protocol.test_envelope}.
"""

from __future__ import annotations

from collections import Counter

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.fakes import Stage
from txcarp.membership import reception
from txcarp.membership.peers import MAXIMUM
from txcarp.protocol.rejection import Rejected, Rejection


class AgainTests(SynchronousTestCase):
    """
    What a host says once more.
    """

    def heard(self, stage: Stage) -> tuple[int, Counter[Rejection]]:
        """
        How many packets were accepted, and how many were refused for each reason.
        """
        status = stage.host.status()
        return status.received, Counter(status.rejected)

    def reads(self) -> list[bytes]:
        """
        Record the payload of each packet that all checks are made on, from now on.
        """
        unwrap, looked = reception.unwrap, []

        def recording(packet: reception.Packet, audience: reception.Audience) -> object:
            looked.append(packet.payload)
            return unwrap(packet, audience)

        self.patch(reception, "unwrap", recording)
        return looked

    def test_once(self) -> None:
        """
        The fields are looked at when a host says something new, and not again; of several hosts,
        too.
        """
        stage, looked = Stage(), self.reads()
        stage.start()
        for counter in range(1, 6):
            for source, skew in ((crafted.PEER, 0), ("10.99.0.77", 5)):
                stage.deliver(source=source, advskew=skew, counter=counter)
        self.assertEqual(len(looked), 2)
        stage.deliver(advskew=1)
        stage.deliver(advskew=1, counter=2)
        self.assertEqual(len(looked), 3)
        self.assertEqual(self.heard(stage), (12, Counter()))
        skews = {peer.source: peer.timing.advskew for peer in stage.host.status().peers}
        self.assertEqual(skews, {crafted.PEER: 1, "10.99.0.77": 5})

    def test_anyByte(self) -> None:
        """
        A packet with one wrong byte is judged alike, whether the last one of its source began like
        it or not.
        """
        families = (
            (crafted.packet, crafted.PEER, crafted.ADDRESS),
            (crafted.packet6, "fe80::2", "2001:db8::7"),
        )
        for make, source, address in families:
            good = make(advbase=1, counter=7, source=source, addresses=(address,))
            other = make(advbase=1, advskew=3, counter=7, source=source, addresses=(address,))
            for place in range(len(good)):
                wrong = bytearray(good)
                wrong[place] ^= 0x5A
                found: list[object] = []
                for before in (good, other):
                    stage = Stage(addresses=[address])
                    stage.start()
                    stage.deliver(before)
                    self.assertEqual(self.heard(stage), (1, Counter()))
                    try:
                        stage.deliver(bytes(wrong))
                    except Rejected as rejected:
                        found.append(str(rejected))  # it never reaches a virtual host
                    else:
                        found.append(self.heard(stage))
                self.assertEqual(*found, (address, place))

    def test_shorter(self) -> None:
        """
        A packet is refused that begins like the last one, and ends too early.
        """
        stage = Stage()
        stage.start()
        stage.deliver()
        for size in range(8, 36):
            body = crafted.payload(advbase=1)[:size]
            summed = crafted.checksum(body[:6] + b"\0\0" + body[8:])
            stage.deliver(crafted.packet(body[:6] + summed.to_bytes(2) + body[8:]))
        self.assertEqual(self.heard(stage), (1, Counter({Rejection.SIZE: 28})))

    def test_ownAddress(self) -> None:
        """
        A packet is no longer believed when its source has become the address of this host.
        """
        address = "2001:db8::7"
        good = crafted.packet6(advbase=1, addresses=(address,), source="fe80::2")
        stage = Stage(addresses=[address])
        stage.start()
        stage.deliver(good)
        stage.transport.linkLocalAddresses = [packed("fe80::2")]
        stage.run(4)  # as master this host looks for its address
        stage.deliver(good)
        self.assertEqual(self.heard(stage), (1, Counter({Rejection.OWN_SOURCE: 1})))

    def test_otherPeers(self) -> None:
        """
        A packet that came through a router is no longer believed when its source is no peer any
        more.
        """
        stage = Stage(peers=[packed(crafted.PEER)])
        stage.start()
        stage.deliver(ttl=63)
        self.assertEqual(self.heard(stage), (1, Counter()))
        peers = (packed("10.99.0.77"),)
        self.successResultOf(
            stage.host.reconfigure(attrs.evolve(stage.host.configuration, peers=peers))
        )
        stage.deliver(ttl=63, counter=2)
        self.assertEqual(self.heard(stage), (1, Counter({Rejection.TTL: 1})))

    def test_manyHosts(self) -> None:
        """
        What is remembered of invented hosts is limited, and a host of the group is believed
        nevertheless.
        """
        stage, looked = Stage(), self.reads()
        stage.start()
        for number in range(3 * MAXIMUM):
            stage.deliver(source=f"10.99.1.{number}")
        before = len(looked)
        for number in range(3 * MAXIMUM):
            stage.deliver(source=f"10.99.1.{number}", counter=2)
        self.assertEqual(self.heard(stage), (6 * MAXIMUM, Counter()))
        self.assertGreater(len(looked) - before, 2 * MAXIMUM)
