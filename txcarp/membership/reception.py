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
from txcarp.membership.sealing import Sealing
from txcarp.protocol.advertisement import looksLikeVRRP
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.envelope import Audience, Packet, unwrap
from txcarp.protocol.events import Heard, Refused
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejected, Rejection
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


class Reception:
    """
    Reads packets, and decides which of them are valid advertisements.
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

    def adopt(self, configuration: VirtualHostConfiguration, keyring: Keyring) -> None:
        """
        Accept what was signed with other keys, and log advertisements or stop that.
        """
        self._debug = configuration.debug
        self._keyring = keyring

    def read(self, packet: Packet) -> Heard | Refused:
        """
        Read a packet.

        @param packet: A packet of a family in which this host takes part.
        @return: The event to tell.
        """
        try:
            return self._verified(packet)
        except Rejected as rejected:
            return Refused(rejected.reason, packet.source, rejected.detail, rejected.putsOff)

    def _verified(self, packet: Packet) -> Heard:
        audience = self._channels[packet.family].audience
        try:
            advertisement = unwrap(packet, audience)
        except Rejected as rejected:
            if rejected.reason is Rejection.OWN_ECHO:
                self._checkOwn(packet, audience)
            raise
        counter, source = advertisement.counter, packet.source
        pair = self._keyring.recognise(counter, advertisement.digest)
        if pair is None:
            vrrp = looksLikeVRRP(packet.payload)
            raise Rejected(Rejection.VRRP if vrrp else Rejection.DIGEST)
        if counter == self._advertiser.counter.constant:
            raise Rejected(Rejection.OWN_ECHO, "with the counter of this host")
        judged = self._sealing.judge(advertisement, source)
        if self._debug:
            self._log.debug(
                "Received from {source}: {advertisement}",
                source=textOf(source),
                advertisement=advertisement,
            )
        timing = Timing(advertisement.advbase, advertisement.advskew)
        peer = Peer(timing, source, advertisement.demotion)
        expected = packet.destination == audience.group or audience.knows(source)
        return Heard(
            peer,
            counter,
            judged.sealed,
            pair,
            judged.isAhead,
            expected,
            hasLapsed=judged.hasLapsed,
        )

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
