"""
Reading the advertisements for one virtual host.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.channel import Channel
from txcarp.membership.peers import MAXIMUM
from txcarp.membership.sealing import Sealing
from txcarp.protocol.advertisement import (
    AUTHENTICATION,
    AUTHENTICATION_OFFSET,
    SIZE,
    decode,
    looksLikeVRRP,
)
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.envelope import Audience, Packet, unwrap
from txcarp.protocol.events import Heard, Refused
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import Fields, saidBy
from txcarp.protocol.timing import Peer, Timing


def keyringOf(configuration: VirtualHostConfiguration) -> Keyring:
    """
    The keys with which a virtual host signs and verifies advertisements.
    """
    return Keyring(
        configuration.vhid,
        configuration.dialect,
        configuration.password,
        [address.packed for address in configuration.addresses],
        otherPasswords=configuration.otherPasswords,
        otherAddresses=[
            [address.packed for address in addresses]
            for addresses in configuration.otherAddresses
        ],
        hardware=configuration.signedHardware,
    )


#: The destination, the hop limit and the protocol of a packet, and the first bytes of its payload.
_Beginning = tuple[bytes, int, int, bytes]

#: The bytes of an advertisement in front of its checksum.
_BEGINNING = 6


@attrs.frozen
class _Statement:
    """
    What the last good advertisement of a host said.

    @ivar beginning: How its packet began.  Another packet of the same source that begins so needs
        none of the checks of L{unwrap}, except for the sum and its own address, and says the same.
    @ivar peer: What it said, for the election.
    @ivar says: What it said, for the seals.
    """

    beginning: _Beginning
    peer: Peer
    says: Fields


class Reception:
    """
    Reads packets, and decides which of them are valid advertisements.

    A master says the same in all of its advertisements, so a packet is compared with the last one
    of the same host before its fields are looked at.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        channels: Mapping[Family, Channel],
        keyring: Keyring,
        sealing: Sealing,
        advertiser: Advertiser,
    ) -> None:
        """
        @param advertiser: Knows which counters this host sent.
        """
        self._debug = configuration.debug
        self._channels = channels
        self._keyring = keyring
        self._sealing = sealing
        self._advertiser = advertiser
        #: The last good statement of each source.
        self._said: dict[bytes, _Statement] = {}

    def adopt(self, configuration: VirtualHostConfiguration, keyring: Keyring) -> None:
        """
        Accept what was signed with other keys, and log advertisements or stop that.
        """
        self._debug = configuration.debug
        self._keyring = keyring
        self._said.clear()  # the group and the peers may be others

    def read(self, packet: Packet, steady: float) -> Heard | Refused:
        """
        Read a packet.

        @param packet: A packet of a family in which this host takes part.
        @param steady: The seconds of L{IPlatform.pauseSeconds
            <txcarp.interfaces.IPlatform.pauseSeconds>}.
        @return: The event to tell.
        """
        try:
            return self._verified(packet, steady)
        except Rejected as rejected:
            return Refused(rejected.reason, packet.source, rejected.detail, rejected.putsOff)

    def _verified(self, packet: Packet, steady: float) -> Heard:
        audience = self._channels[packet.family].audience
        source, payload = packet.source, packet.payload
        beginning = (packet.destination, packet.hops, packet.protocol, payload[:_BEGINNING])
        said = self._said.get(source)
        # The sum: see L{unwrap}.
        if (
            said is not None
            and said.beginning == beginning
            and source != audience.own
            and len(payload) >= SIZE
            and int.from_bytes(packet.header + payload[:SIZE]) % 0xFFFF == 0
        ):
            isNew = False
            counter, digest = AUTHENTICATION.unpack_from(payload, AUTHENTICATION_OFFSET)
        else:
            isNew = True
            said, counter, digest = self._unwrapped(packet, audience, beginning)
        pair = self._keyring.recognise(counter, digest)
        if pair is None:
            vrrp = looksLikeVRRP(payload)
            raise Rejected(Rejection.VRRP if vrrp else Rejection.DIGEST)
        if counter == self._advertiser.counter.constant:
            raise Rejected(Rejection.OWN_ECHO, "with the counter of this host")
        judged = self._sealing.judge(counter, said.says, source, steady)
        if self._debug:
            self._log.debug(
                "Received from {source}: {advertisement}",
                source=textOf(source),
                advertisement=decode(payload),
            )
        if isNew:
            if len(self._said) >= MAXIMUM:
                self._said.clear()
            self._said[source] = said
        expected = packet.destination == audience.group or audience.knows(source)
        return Heard(
            said.peer,
            counter,
            judged.sealed,
            pair,
            judged.isAhead,
            expected,
            False,
            judged.hasLapsed,
        )

    def _unwrapped(
        self, packet: Packet, audience: Audience, beginning: _Beginning
    ) -> tuple[_Statement, int, bytes]:
        """
        Read an advertisement that does not begin as the last one of its source.

        @return: What it says, its counter and its digest.
        """
        try:
            advertisement = unwrap(packet, audience)
        except Rejected as rejected:
            if rejected.reason is Rejection.OWN_ECHO:
                self._checkOwn(packet, audience)
            raise
        timing = Timing(advertisement.advbase, advertisement.advskew)
        peer = Peer(timing, packet.source, advertisement.demotion)
        said = _Statement(beginning, peer, saidBy(advertisement))
        return said, advertisement.counter, advertisement.digest

    def _checkOwn(self, packet: Packet, audience: Audience) -> None:
        """
        Check that a packet with the source of this host is an echo of what this host has just
        sent, or no good advertisement at all.

        @raise Rejected: If it is an old advertisement of this host, or one of another host.
        """
        try:
            advertisement = unwrap(packet, attrs.evolve(audience, own=b""))
        except Rejected:
            return
        counter = advertisement.counter
        if counter in self._advertiser.recent:
            return
        if self._keyring.recognise(counter, advertisement.digest) is None:
            return
        if self._sealing.isOwn(advertisement, packet.source):
            raise Rejected(Rejection.REPLAY, "this host sent it long ago")
        raise Rejected(Rejection.OWN_SOURCE)
