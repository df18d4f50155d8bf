"""
The advertisements of one virtual host on their way in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IPacketReceiver
from txcarp.logs.limits import SayOnce
from txcarp.membership.channel import Channel
from txcarp.membership.firewall import FirewallWatch
from txcarp.membership.refusals import Refusals
from txcarp.membership.sealing import Sealing
from txcarp.protocol.advertisement import Advertisement, looksLikeVRRP
from txcarp.protocol.envelope import Audience, Packet, unwrap
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.keyring import Keyring
from txcarp.protocol.rejection import Rejected, Rejection

#: Intervals of silence after which to look in front of the firewall.
_SILENCE = 2

#: The shortest such silence in seconds.
_SHORTEST_SILENCE = 0.05


#: How a firewall is told to let a family through.
_RULES = {
    Family.IPV4: "ip protocol 112",
    Family.IPV6: "ip6 nexthdr 112",
}


@attrs.frozen
class Heard:
    """
    A good advertisement.

    @ivar advertisement: What it says.
    @ivar source: The packed address that it came from.
    @ivar sealed: Whether it is sealed.
    @ivar pair: Which password and addresses it was signed with.
    """

    advertisement: Advertisement
    source: bytes
    sealed: bool
    pair: str


@implementer(IPacketReceiver)
class Reception:
    """
    Reads and verifies, and counts what it refuses.

    @ivar received: How many good advertisements there were.
    @ivar refusals: What was refused.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        keyring: Keyring,
        sealing: Sealing,
        clock: IReactorTime,
        sayOnce: SayOnce,
        *,
        arrived: Callable[[], None],
        deliver: Callable[[Heard], None],
        refused: Callable[[Rejected, bytes], None],
        hearing: Callable[[], None],
        isEcho: Callable[[int], bool],
        sentLately: Callable[[int], bool],
        expectsSilence: Callable[[], bool],
    ) -> None:
        """
        @param arrived: Called when there is a packet, before anything else is
            done with it.
        @param deliver: Called with each good advertisement.
        @param refused: Called with each other packet's fault and its packed
            source.
        @param hearing: Called when packets can arrive, or can no more.
        @param isEcho: Whether a counter is one that only this host sends.
        @param sentLately: Whether this host sent a counter a moment ago.
        @param expectsSilence: Whether this host is master, so that hearing
            nobody is as it should be.
        """
        self.received = 0
        self.refusals = Refusals(configuration.vhid, configuration.debug, sayOnce)
        self._configuration = configuration
        self._keyring = keyring
        self._sealing = sealing
        self._clock = clock
        self._sayOnce = sayOnce
        self._arrived = arrived
        self._deliver = deliver
        self._refused = refused
        self._hearing = hearing
        self._isEcho = isEcho
        self._sentLately = sentLately
        self._expectsSilence = expectsSilence
        self._channels: dict[Family, Channel] = {}
        self._firewalls: dict[Family, FirewallWatch] = {}

    def start(self, channels: Iterable[Channel]) -> None:
        """
        Listen.
        """
        for channel in channels:
            self._channels[channel.family] = channel
            self._firewalls[channel.family] = firewall = FirewallWatch(
                self._clock,
                channel.transport,
                self._read,
                partial(self._reportFirewall, channel.family),
            )
            firewall.start()

    def stop(self) -> None:
        """
        Listen no more.
        """
        for firewall in self._firewalls.values():
            firewall.stop()
        self._firewalls.clear()

    def watchFront(self) -> None:
        """
        Look in front of the firewall from now on: this host expects to hear
        nobody, so that silence says nothing about the firewall.
        """
        for firewall in self._firewalls.values():
            firewall.start()

    def packetReceived(self, packet: Packet) -> None:
        """
        The raw socket has a packet.
        """
        firewall = self._firewalls.get(familyOf(packet.source))
        if firewall is None:
            return
        if self._expectsSilence():
            quiet = None
        else:
            quiet = max(self._configuration.timing.interval * _SILENCE, _SHORTEST_SILENCE)
        firewall.passed(packet, quiet)
        self._read(packet)

    def packetFiltered(self, packet: Packet) -> None:
        """
        A packet was seen in front of the firewall.
        """
        family = familyOf(packet.source)
        firewall = self._firewalls.get(family)
        if firewall is None:
            return
        # In front of the firewall there is also what a router forwards from one
        # peer to another.
        channel = self._channels[family]
        ours = (channel.group, channel.lastSource)
        audience = channel.audience
        alone = audience.peers or audience.followed
        if not alone or packet.destination in ours:
            firewall.seen(packet)

    def hearingChanged(self) -> None:
        """
        Packets can arrive in a family, or can no more.
        """
        self._hearing()

    def _read(self, packet: Packet) -> bool:
        """
        Deal with a packet.

        @return: Whether it was a good advertisement.
        """
        self._arrived()
        try:
            heard = self._verified(packet)
        except Rejected as rejected:
            self.refusals.refuse(rejected, packet)
            self._refused(rejected, packet.source)
            return False
        self.received += 1
        if self._configuration.debug:
            self._log.debug(
                "Received from {source}: {advertisement}",
                source=textOf(heard.source),
                advertisement=heard.advertisement,
            )
        self._deliver(heard)
        return True

    def _verified(self, packet: Packet) -> Heard:
        audience = self._channels[familyOf(packet.source)].audience
        try:
            advertisement = unwrap(packet, audience)
        except Rejected as rejected:
            if rejected.reason is Rejection.OWN_ECHO and self._isAnothers(packet, audience):
                raise Rejected(Rejection.OWN_SOURCE) from None
            raise
        pair = self._keyring.recognise(advertisement.counter, advertisement.digest)
        if pair is None:
            if looksLikeVRRP(packet.payload):
                raise Rejected(Rejection.VRRP)
            raise Rejected(Rejection.DIGEST)
        if self._isEcho(advertisement.counter):
            raise Rejected(Rejection.OWN_ECHO, "with the counter of this host")
        source = packet.source
        sealed = self._sealing.judge(advertisement, source)
        return Heard(advertisement, source, sealed, pair)

    def _isAnothers(self, packet: Packet, audience: Audience) -> bool:
        """
        Whether a packet with this host's source is a good advertisement that
        this host did not send.
        """
        try:
            advertisement = unwrap(packet, attrs.evolve(audience, own=b""))
        except Rejected:
            return False
        counter = advertisement.counter
        genuine = self._keyring.recognise(counter, advertisement.digest) is not None
        return genuine and not self._isEcho(counter) and not self._sentLately(counter)

    def _reportFirewall(self, family: Family) -> None:
        if self._sayOnce.ready(("firewall", family)) is not None:
            self._log.error(
                "The firewall of this host drops protocol 112 on {interface}; advertisements are "
                "read in front of it. Let them in, for example with: "
                'nft insert rule inet filter input iifname "{interface}" {rule} accept'
                "{other}",
                interface=self._configuration.interface,
                rule=_RULES[family],
                # Without an IPv4 address on the interface no source is routed there.
                other=". (If there is no such rule: net.ipv4.conf.*.rp_filter drops packets whose "
                "source is not reached by this interface)"
                if family is Family.IPV4
                else "",
            )
