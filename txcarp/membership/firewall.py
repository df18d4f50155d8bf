"""
Detects that the firewall of this host drops advertisements.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.logs.limits import SayOnce
from txcarp.membership.channel import Channel
from txcarp.membership.timers import cancel
from txcarp.protocol.advertisement import SIZE
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family, isMulticast

#: Seconds within which the raw socket must receive a packet that arrived in front of the firewall.
#: Both sockets get it within one interrupt, but the reactor reads them in turn.
_GRACE = 0.02

#: Seconds for which a packet that passed the firewall is remembered.  A busy host may read the two
#: sockets that far apart.  It is less than the second after which OpenBSD, which may send the same
#: bytes each time, sends them again.
_MEMORY = 0.9

#: Advertisement intervals of silence of the raw socket after which the front is watched again.
_SILENCE = 2

#: The minimum of that silence in seconds.
_SHORTEST_SILENCE = 0.05

#: The match of nftables for protocol 112.
_RULES = {Family.IPV4: "ip protocol 112", Family.IPV6: "ip6 nexthdr 112"}

#: The most packets that are held for the grace.
_MAXIMUM_HELD = 32

#: The most senders that are known not to pass the firewall.
_MAXIMUM_MISSING = 8

#: No senders: the same object in each group.
_NONE: frozenset[bytes] = frozenset()


class FirewallWatch:
    """
    Compares the packets in front of the firewall of one family with those that pass it.

    While the raw socket, which is behind the firewall, receives good advertisements of the group,
    the front is not watched.  It is watched after a silence of the raw socket, and always while
    this host is master and expects silence.  Then each packet in front is held for a moment.  If
    the raw socket does not receive it, it was dropped in between.  Unless another reason is known,
    a firewall did that, and from then on packets are read from the front, until the raw socket
    receives a good one again.

    A flood of bad packets that passes the firewall does not end the silence: the firewall may drop
    the good ones of another host.

    @ivar watching: Whether the front is watched.
    @ivar lastPassed: When the raw socket last received a packet, in seconds of the clock.
    @ivar lastGood: When it last received a good advertisement.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        channel: Channel,
        configuration: VirtualHostConfiguration,
        deliver: Callable[[Packet], bool],
        limits: SayOnce,
    ) -> None:
        """
        @param deliver: Called with each packet that the raw socket did not receive.  Returns
            whether it is a valid advertisement that this host should have received.
        @param limits: Limits the rate of log lines.
        """
        self._clock = clock
        self._channel = channel
        self._interface = configuration.interface
        self.adopt(configuration)
        self._deliver = deliver
        self._limits = limits
        self._held: list[tuple[Packet, bytes, float]] = []
        # Needed because the two sockets are read in either order.
        self._passed: list[tuple[bytes, float]] = []
        self.lastPassed = self.lastGood = float("-inf")
        #: The packed sources of good advertisements that the raw socket did not receive.
        self._missing = _NONE
        self._release: IDelayedCall | None = None
        self._quiet: IDelayedCall | None = None
        self.watching = False
        self._dropping = False

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow another timing of the group.
        """
        #: Seconds of silence of the raw socket after which the front is watched again.
        self._patience = max(configuration.timing.interval * _SILENCE, _SHORTEST_SILENCE)

    def watch(self, wanted: bool) -> None:
        """
        Begin or stop to watch the front.  It is watched until the raw socket receives a packet.
        """
        if wanted != self.watching:
            self.watching = wanted
            if not wanted:
                self._missing = _NONE
            self._watchFront()

    def stop(self) -> None:
        """
        Stop watching, and forget all packets.
        """
        self.watch(False)
        cancel(self._release)
        cancel(self._quiet)
        self._release = self._quiet = None
        self._held.clear()
        self._passed.clear()

    def passed(self, packet: Packet, isGood: bool, expectsSilence: bool) -> None:
        """
        Handle that the raw socket received a packet.  While the front is not watched, it is enough
        to set L{lastPassed} and L{lastGood}.

        @param isGood: Whether it is a good advertisement.
        @param expectsSilence: Whether silence of the raw socket is no sign of a firewall.  Then
            the front is always watched.
        """
        self.lastPassed = self._clock.seconds()
        identity = _identity(packet)
        self._passed.append((identity, self.lastPassed + _MEMORY))
        del self._passed[:-_MAXIMUM_HELD]
        for held in [held for held in self._held if held[1] == identity]:
            self._held.remove(held)
        if not isGood:
            return
        self.lastGood = self.lastPassed
        self._dropping = False
        if packet.source in self._missing:
            self._missing -= {packet.source}
            self._watchFront()
        self.watch(expectsSilence)
        if not expectsSilence:
            # The raw socket will receive the other packets, too.
            self._held.clear()
            cancel(self._quiet)
            self._quiet = self._clock.callLater(self._patience, self._waited)

    def seen(self, packet: Packet) -> None:
        """
        Handle that a packet arrived in front of the firewall.
        """
        if not self.watching:
            return  # it was in the queue when watching ended
        # A router also receives, in front, packets that it forwards from one peer to another.
        audience = self._channel.audience
        unicast = audience.peers or audience.followed
        destination = packet.destination
        if destination not in (audience.group, audience.own) and (
            unicast or not isMulticast(destination)
        ):
            return
        if self._dropping:
            self._read(packet)
            return
        identity = _identity(packet)
        now = self._clock.seconds()
        if any(passed == identity and now <= until for passed, until in self._passed):
            return
        self._held.append((packet, identity, now + _GRACE))
        del self._held[:-_MAXIMUM_HELD]
        if self._release is None or not self._release.active():
            self._release = self._clock.callLater(_GRACE, self._expired)

    def _expired(self) -> None:
        now = self._clock.seconds()
        while self._held and self._held[0][2] <= now:
            packet, _, until = self._held.pop(0)
            # In a flood, or on an overloaded host, the queue of the raw socket is read late, or
            # had no room for this packet.  If other packets pass, the firewall is not blamed.
            busy = self.lastPassed >= until - _GRACE or self._channel.transport.hasUnread()
            # Nor is it blamed for packets that the kernel drops because of a bad IP header.
            if self._read(packet) and not self._dropping and not busy:
                why = self._channel.whyDropped(packet.source)
                if why:
                    self._sayWhy(packet, why)
                else:
                    self._dropping = True
                    self._sayDropped()
        if self._held:
            self._release = self._clock.callLater(self._held[0][2] - now, self._expired)

    def _read(self, packet: Packet) -> bool:
        """
        Deliver a packet that the raw socket did not receive.

        @return: Whether it is good.
        """
        isGood = self._deliver(packet)
        # The delivery may have stopped this.
        isNew = packet.source not in self._missing and len(self._missing) < _MAXIMUM_MISSING
        if isGood and isNew and self.watching:
            self._missing |= {packet.source}
            self._watchFront()
        return isGood

    def _watchFront(self) -> None:
        self._channel.transport.watchFront(self.watching, self._missing)

    def _waited(self) -> None:
        """
        Watch the front if the raw socket has been silent for long enough; otherwise wait again.
        """
        if self.watching:
            return
        remaining = self.lastGood + self._patience - self._clock.seconds()
        if remaining > 0:
            self._quiet = self._clock.callLater(remaining, self._waited)
        else:
            self.watch(True)

    def _sayWhy(self, packet: Packet, why: str) -> None:
        if self._limits.ready(("dropped", self._channel.family)) is not None:
            self._log.warn(
                "The kernel of this host drops advertisements from {source}, which are read in "
                "front of it: {why} ({interface})",
                source=textOf(packet.source),
                why=why,
                interface=self._interface,
            )

    def _sayDropped(self) -> None:
        family = self._channel.family
        if self._limits.ready(("firewall", family)) is not None:
            self._log.error(
                "The firewall of this host drops protocol 112 on {interface}; advertisements are "
                "read in front of it. Allow them, for example with: "
                'nft insert rule inet filter input iifname "{interface}" {rule} accept',
                interface=self._interface,
                rule=_RULES[family],
            )


def _identity(packet: Packet) -> bytes:
    """
    The parts of a packet that are the same on both sides of the firewall.
    """
    return packet.source + packet.payload[:SIZE]
