"""
Any bytes, and good packets with any change, through everything that a packet passes before it is
believed: envelope, digest, seal and election.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.hostile import BYTE, FIELD, MUTATIONS, NOISE, STRANGERS, isSealed, isSigned
from tests.protocol.test_malformed import FAULTS
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.dialect import DIALECTS, UCARP, Dialect
from txcarp.protocol.effects import Role
from txcarp.protocol.election import BACKUP, MASTER, ICARPState, Standing
from txcarp.protocol.envelope import Audience, readPacket, unwrap
from txcarp.protocol.events import Heard
from txcarp.protocol.family import Family
from txcarp.protocol.freshness import Freshness
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import Fields, Verification, saidBy
from txcarp.protocol.timing import Peer, Timing

#: The tick of an advertisement that this host sealed, and an attacker captured.
_MINE = 10**9

#: Peers that may send unicast, one in each family.
_LISTED = ("192.0.2.224", "2001:db8::224")

_AUDIENCES = {
    Family.IPV4: Audience(
        crafted.VHID, packed(crafted.OWN), packed(crafted.GROUP), {packed(_LISTED[0])}
    ),
    Family.IPV6: Audience(
        crafted.VHID, packed(crafted.OWN6), packed(crafted.GROUP6), {packed(_LISTED[1])}
    ),
}


class Receiver:
    """
    Handles packets as a virtual host does.

    @ivar state: The state of the election.
    """

    def __init__(
        self,
        verification: Verification = Verification.LEARN,
        dialect: Dialect = UCARP,
        state: ICARPState = BACKUP,
    ) -> None:
        self.state = state
        self.outcomes: Counter[Rejection | None] = Counter()
        self.keyring = Keyring(
            crafted.VHID, dialect, crafted.PASSWORD, [packed(crafted.ADDRESS)]
        )
        self.freshness = Freshness(verification, self.keyring.seals)
        if verification is not Verification.OFF:
            mine = crafted.sealed(_MINE, crafted.OWN)
            self.freshness.sent(mine, Fields(5, 0), packed(crafted.OWN), 0.0)
        self._standing = Standing(
            timing=Timing(1, 100),
            deadRatio=3,
            preempt=True,
            source=packed(crafted.OWN),
            dialect=dialect,
        )

    def receive(self, data: bytes, now: float) -> bool:
        """
        Handle one packet.

        @return: Whether it was believed.
        """
        try:
            packet = readPacket(data)
            heard = unwrap(packet, _AUDIENCES[packet.family])
            if self.keyring.recognise(heard.counter, heard.digest) is None:
                raise Rejected(Rejection.DIGEST)
            self.freshness.judge(heard.counter, saidBy(heard), packet.source, now)
        except Rejected as rejected:
            self.outcomes[rejected.reason] += 1
            return False
        self.outcomes[None] += 1
        timing = Timing(heard.advbase, heard.advskew)
        peer = Peer(timing, packet.source, heard.demotion)
        self.state, _ = self.state.decide(self._standing, Heard(peer))
        return True

    def snapshot(self) -> Any:
        """
        Return everything that a packet could change.
        """
        remembered = {
            name: value for name, value in vars(self.freshness).items() if name != "_seals"
        }
        return self.state, copy.deepcopy(remembered)


def isSignedAndSealed(data: bytes) -> bool:
    """
    Whether only a host with the password can have made a packet.
    """
    return isSigned(data) and isSealed(data)


_SOURCES = st.sampled_from(
    [crafted.PEER, crafted.PEER6, crafted.OWN, crafted.OWN6, *STRANGERS, *_LISTED]
)


@st.composite
def goodPackets(draw: st.DrawFn) -> bytes:
    """
    Packets that a member sends or has sent, or that look like them.
    """
    source = draw(_SOURCES)
    advbase, advskew, demotion = draw(FIELD), draw(FIELD), draw(st.just(0) | BYTE)
    if draw(st.booleans()):
        # Signed and sealed: impossible without the password.
        return crafted.sealedPacket(
            _MINE + draw(st.integers(-2000, 2000)),
            source,
            advbase=advbase,
            advskew=advskew,
            demotion=demotion,
        )
    # Only signed, or forged with the counter of another advertisement.
    counter = draw(
        st.integers(0, 2**64 - 1)
        | st.builds(crafted.sealed, st.integers(_MINE - 3, _MINE + 3), _SOURCES)
    )
    body = crafted.payload(
        advbase=advbase,
        advskew=advskew,
        demotion=demotion,
        counter=counter,
        badDigest=draw(st.booleans()),
    )
    if ":" in source:
        return crafted.packet6(body, source=source)
    return crafted.packet(body, source=source)


_ANYTHING = (
    NOISE
    | goodPackets()
    | st.builds(lambda packet, mutation: mutation(packet), goodPackets(), MUTATIONS)
)


class AnythingTests(SynchronousTestCase):
    """
    What holds for any packet.
    """

    @given(
        st.sampled_from(list(Verification)),
        st.sampled_from(list(DIALECTS.values())),
        st.sampled_from([BACKUP, MASTER]),
        st.lists(st.tuples(st.floats(0, 20), _ANYTHING), max_size=12),
    )
    def test_nothingWithoutADigest(
        self,
        verification: Verification,
        dialect: Dialect,
        state: ICARPState,
        packets: list[tuple[float, bytes]],
    ) -> None:
        """
        Only L{Rejected} is raised. A rejected packet does not change the state of the election. A
        packet that was not signed with the password changes nothing at all, and neither does an
        unsealed one where seals are required. No sealed counter is believed twice, unless
        verification is off.
        """
        receiver = Receiver(verification, dialect, state)
        believed: set[bytes] = set()
        now = 0.0
        for gap, data in packets:
            now += gap
            before = receiver.snapshot()
            accepted = receiver.receive(data, now)
            after = receiver.snapshot()
            if not accepted:
                self.assertIs(after[0], before[0])
            must = isSigned if verification is not Verification.REQUIRE else isSignedAndSealed
            if not must(data):
                self.assertFalse(accepted)
                self.assertEqual(after, before)
            if accepted and verification is not Verification.OFF and isSealed(data):
                start = crafted.payloadAt(data)
                counter = data[start + 8 : start + 16]
                self.assertNotIn(counter, believed)
                believed.add(counter)

    def test_eachReason(self) -> None:
        """
        This receiver rejects packets for every reason, except for the two that depend on what
        this host has sent.
        """
        receiver = Receiver()
        for family in Family:
            for _, maker in FAULTS.values():
                receiver.receive(maker(family), 0.0)
        first, second = (
            crafted.sealedPacket(_MINE + n, "10.99.0.7", advbase=1) for n in (1, 2)
        )
        for data in (first, second, second, first):
            receiver.receive(data, 0.0)
        receiver.receive(crafted.packet(source="10.99.0.7", counter=5), 0.0)
        known = {None, *Rejection} - {Rejection.OWN_SOURCE, Rejection.BEHIND}
        self.assertEqual(set(receiver.outcomes), known)

    def test_secondOpinion(self) -> None:
        """
        The functions of the tests for signed, sealed and mended packets agree with the program.
        """
        for source in (crafted.PEER, crafted.PEER6):
            data = crafted.sealedPacket(_MINE, source, advbase=1, advskew=7, demotion=3)
            self.assertTrue(isSigned(data) and isSealed(data))
            start = crafted.payloadAt(data)
            for offset in (2, 4, 5):
                changed = bytearray(data)
                changed[start + offset] ^= 1
                receiver = Receiver()
                self.assertFalse(receiver.receive(bytes(changed), 0.0))
                self.assertEqual(receiver.outcomes, {Rejection.CHECKSUM: 1})
                # With verification off, only the checksum protects these fields.
                receiver = Receiver(Verification.OFF)
                again = crafted.mended(bytes(changed))
                self.assertTrue(receiver.receive(again, 0.0))
                self.assertTrue(isSigned(again) and not isSealed(again))

    def test_attack(self) -> None:
        """
        A captured advertisement that is changed to a faster timing makes a master step down only
        if verification is off.
        """
        data = crafted.sealedPacket(_MINE - 1, advbase=1, advskew=200)
        for verification, expected in (
            (Verification.OFF, Role.BACKUP),
            (Verification.LEARN, Role.MASTER),
            (Verification.REQUIRE, Role.MASTER),
        ):
            receiver = Receiver(verification, state=MASTER)
            self.assertTrue(receiver.receive(data, 0.0))
            self.assertIs(receiver.state.role, Role.MASTER)
            faster = bytearray(data)
            faster[22] = faster[25] = 0
            receiver.receive(crafted.mended(bytes(faster)), 1.0)
            self.assertIs(receiver.state.role, expected)
