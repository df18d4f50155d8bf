"""
Tests for L{txcarp.membership.reception}: a packet that begins as the last good one of its source.

What is accepted at all is tested in L{tests.test_virtualhost} and L{tests.protocol.test_envelope}.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests import crafted
from tests.crafted import packed
from tests.fakes import Stage
from tests.hostile import BYTE, attacks, mutate
from txcarp.interfaces import ITrace
from txcarp.membership import reception
from txcarp.membership.peers import MAXIMUM
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.effects import Effect
from txcarp.protocol.events import Event, Heard, Refused
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import Verification


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


#: Who sends in L{TwinTests}: hosts of the group, some of them through routers, and one that has the
#: address of this host.
_SENDERS = (crafted.PEER, "fe80::7", "192.0.2.9", "2001:db8:9::9", crafted.OWN, "10.99.0.77")

#: What they say: advbase, advskew and demotion.  Few things, so that most are said again.
_SAYINGS = ((1, 0, 0), (1, 0, 0), (1, 100, 0), (0, 1, 0), (1, 0, 9), (255, 255, 0))


class _Forgetful(dict[Any, Any]):
    """
    A table in which nothing is ever found.
    """

    def get(self, key: object, default: object = None) -> Any:
        return default


@implementer(ITrace)
class _Story:
    """
    What was made of the packets: the events, and the effects of all events.
    """

    def __init__(self) -> None:
        self.lines: list[Event | Effect] = []

    def happened(self, event: Event) -> None:
        if isinstance(event, Heard | Refused):
            self.lines.append(event)

    def decided(self, effect: Effect) -> None:
        self.lines.append(effect)


@attrs.frozen
class _Sent:
    """
    Two packets that say the same.

    @ivar gap: Seconds since the ones before.
    @ivar step: By how much the tick or the counter of their source grows; 0 to say it once more.
    @ivar change: Makes of the second one what arrives.
    """

    gap: float
    source: str
    says: tuple[int, int, int]
    isSealed: bool
    step: int
    hops: int
    toGroup: bool
    change: Callable[[bytes], bytes]


#: Where the protocol and the destination of a packet are, in both families, and wrong ones.
_HEADER = st.tuples(st.sampled_from((6, 9, 16, 24)), st.sampled_from((17, 0xE1, 0xFF)))

#: One wrong byte, or a wrong end.
_DEVIATIONS = st.builds(
    partial,
    st.just(mutate),
    changes=st.lists(st.tuples(st.integers(6, 48), BYTE) | _HEADER, min_size=1, max_size=1),
    mended=st.booleans(),
) | st.builds(partial, st.just(mutate), changes=st.just([]), end=st.integers(28, 80))

_PACKETS = st.lists(
    st.builds(
        _Sent,
        st.sampled_from((0.0, 0.01, 1.0, 1.0, 4.0)),
        st.sampled_from((*_SENDERS, *_SENDERS[:4], *_SENDERS[:2])),
        st.sampled_from(_SAYINGS),
        st.booleans(),
        st.sampled_from((1, 1, 1, 100, 0, -5)),
        st.sampled_from((255, 255, 255, 63)),
        st.sampled_from((True, True, False)),
        _DEVIATIONS | attacks(_SENDERS),
    ),
    min_size=1,
    max_size=10,
)


class TwinTests(SynchronousTestCase):
    """
    The short way of a packet and the long one lead to the same place.
    """

    def told(self, stage: Stage, packets: list[_Sent]) -> list[object]:
        """
        Deliver packets to a host.

        @return: What it made of them.
        """
        story = _Story()
        stage.host.follow(story)
        ticks = dict.fromkeys(_SENDERS, int((1.8e9 - 1577836800) * 100))
        for sent, change in ((one, how) for one in packets for how in (bytes, one.change)):
            stage.run(sent.gap if change is bytes else 0.0)
            source = sent.source
            ticks[source] += sent.step
            base, skew, demotion = sent.says
            fields = {"advbase": base, "advskew": skew, "demotion": demotion}
            counter = ticks[source] + 2**40
            if sent.isSealed:
                elapsed = int(stage.clock.seconds() * 100)
                counter = crafted.sealed(ticks[source] + elapsed, source, **fields)
            addresses = (crafted.ADDRESS, crafted.ADDRESS6)
            body = crafted.payload(counter=counter, addresses=addresses, **fields)
            if ":" in source:
                to = crafted.GROUP6 if sent.toGroup else "2001:db8::2"
                whole = crafted.packet6(body, source=source, destination=to, hops=sent.hops)
            else:
                to = crafted.GROUP if sent.toGroup else crafted.OWN
                whole = crafted.packet(body, source=source, destination=to, ttl=sent.hops)
            try:
                stage.deliver(change(whole))
            except Rejected:
                pass  # it never reaches a virtual host
        status = stage.host.status()
        return [*story.lines, status.received, status.rejected, status.peers, status.role]

    @settings(max_examples=150)
    @given(
        _PACKETS,
        st.sampled_from(sorted(DIALECTS)),
        st.sampled_from(Verification),
        st.booleans(),
        st.booleans(),
    )
    def test_same(
        self,
        packets: list[_Sent],
        dialect: str,
        verification: Verification,
        hasPeers: bool,
        follows: bool,
    ) -> None:
        """
        A host makes of any packets the same as a host that looks at each one as if it were the
        first.
        """
        found = []
        for isForgetful in (False, True):
            stage = Stage(
                addresses=[crafted.ADDRESS, crafted.ADDRESS6],
                dialect=DIALECTS[dialect],
                verification=verification,
                peers=[packed("192.0.2.9"), packed("2001:db8:9::9")] if hasPeers else (),
                followPeers=follows,
            )
            stage.start()
            if isForgetful:
                run: Any = stage.host._run
                self.patch(run.parts.reception, "_said", _Forgetful())
            found.append(self.told(stage, packets))
        self.assertEqual(*found)
