"""
Noticing that the firewall of this host drops the advertisements of a peer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IAdvertisementTransport
from txcarp.logs.limits import SayOnce
from txcarp.membership.timers import cancel
from txcarp.protocol.advertisement import SIZE
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family

#: Seconds in which the raw socket has to show a packet that was seen in front
#: of the firewall.  Both get it within one interrupt; they are read in turns.
_GRACE = 0.02

#: Seconds for which it is remembered that a packet passed.  On a busy host the two
#: sockets may be read that far apart.  Less than the second after which hosts that send
#: the same bytes for ever (OpenBSD) send them again.
_MEMORY = 0.9

#: Intervals of silence of the raw socket after which to look in front again, and the least
#: seconds of it.
_SILENCE = 2
_SHORTEST_SILENCE = 0.05

#: How nftables names what a firewall must let through.
_RULES = {Family.IPV4: "ip protocol 112", Family.IPV6: "ip6 nexthdr 112"}

#: Packets that are held for that time.
_MAXIMUM_HELD = 32


class FirewallWatch:
    """
    Compares what arrives in front of the firewall with what passes it.

    While the raw socket hears the group there is nothing to compare, and
    nothing in front is asked for.  When it has been silent for a while (or
    this host is master, and expects silence) the packets in front are held
    for a moment each: one that the raw socket does not show either was
    dropped on the way.  From then on they are taken from the front, until the
    raw socket hears something again.

    @ivar watching: Whether the front is watched now.
    @ivar lastPassed: When the raw socket got a packet last, in seconds of the clock.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        transport: IAdvertisementTransport,
        family: Family,
        configuration: VirtualHostConfiguration,
        deliver: Callable[[Packet], bool],
        limits: SayOnce,
    ) -> None:
        """
        @param deliver: Called with each packet that the raw socket did not
            show; says whether it was a good advertisement.
        @param limits: Limits how often each log line is written.
        """
        self._clock = clock
        self._transport = transport
        self._family = family
        self._interface = configuration.interface
        #: Seconds of silence of the raw socket after which to look in front again.
        self._patience = max(configuration.timing.interval * _SILENCE, _SHORTEST_SILENCE)
        self._deliver = deliver
        self._limits = limits
        self._held: deque[tuple[Packet, bytes, float]] = deque(maxlen=_MAXIMUM_HELD)
        # The two sockets are read in any order.
        self._passed: deque[tuple[bytes, float]] = deque(maxlen=_MAXIMUM_HELD)
        self.lastPassed = float("-inf")
        self._release: IDelayedCall | None = None
        self._quiet: IDelayedCall | None = None
        self.watching = False
        self._dropping = False

    def start(self) -> None:
        """
        Look in front of the firewall until the raw socket hears something.
        """
        self._watch(True)

    def stop(self) -> None:
        """
        Look no more.
        """
        self._watch(False)
        cancel(self._release)
        cancel(self._quiet)
        self._release = self._quiet = None
        self._held.clear()
        self._passed.clear()

    def passed(self, packet: Packet, expectsSilence: bool) -> None:
        """
        The raw socket got a packet.  While the front is not watched, L{lastPassed} is all
        that has to be kept of it: the front shows nothing that arrived before.

        @param expectsSilence: Whether the silence of the raw socket says nothing about the
            firewall, so that the front is watched all the time.
        """
        self.lastPassed = self._clock.seconds()
        identity = _identity(packet)
        self._passed.append((identity, self.lastPassed + _MEMORY))
        for held in [held for held in self._held if held[1] == identity]:
            self._held.remove(held)
        self._dropping = False
        self._watch(expectsSilence)
        if not expectsSilence:
            cancel(self._quiet)
            self._quiet = self._clock.callLater(self._patience, self._waited)

    def seen(self, packet: Packet) -> None:
        """
        A packet arrived in front of the firewall.
        """
        if self._dropping:
            self._deliver(packet)
            return
        identity = _identity(packet)
        now = self._clock.seconds()
        if any(passed == identity and now <= until for passed, until in self._passed):
            return
        self._held.append((packet, identity, now + _GRACE))
        if self._release is None or not self._release.active():
            self._release = self._clock.callLater(_GRACE, self._expired)

    def _expired(self) -> None:
        now = self._clock.seconds()
        while self._held and self._held[0][2] <= now:
            packet, _, until = self._held.popleft()
            # In a flood, or on a starved host, the raw socket's queue is read late, or
            # was too full for this one: where others pass no firewall is to blame.
            busy = self.lastPassed >= until - _GRACE or self._transport.hasUnread()
            # Nor is it for what the kernel drops because its IP header is wrong.
            if self._deliver(packet) and not self._dropping and not busy:
                self._dropping = True
                self._sayDropped()
        if self._held:
            self._release = self._clock.callLater(self._held[0][2] - now, self._expired)

    def _waited(self) -> None:
        """
        Look in front if the raw socket has been silent for long enough, or wait on.
        """
        if self.watching:
            return
        remaining = self.lastPassed + self._patience - self._clock.seconds()
        if remaining > 0:
            self._quiet = self._clock.callLater(remaining, self._waited)
        else:
            self._watch(True)

    def _sayDropped(self) -> None:
        if self._limits.ready(("firewall", self._family)) is None:
            return
        self._log.error(
            "The firewall of this host drops protocol 112 on {interface}; advertisements are "
            "read in front of it. Let them in, for example with: "
            'nft insert rule inet filter input iifname "{interface}" {rule} accept'
            "{other}",
            interface=self._interface,
            rule=_RULES[self._family],
            # Without an IPv4 address on the interface no source is routed there.
            other=". (If there is no such rule: net.ipv4.conf.*.rp_filter drops packets whose "
            "source is not reached by this interface)"
            if self._family is Family.IPV4
            else "",
        )

    def _watch(self, wanted: bool) -> None:
        if wanted != self.watching:
            self.watching = wanted
            self._transport.watchFront(wanted)


def _identity(packet: Packet) -> bytes:
    """
    What a packet has on both sides of the firewall.
    """
    return packet.source + packet.payload[:SIZE]
