"""
The probe of one virtual host: takes over when the host of the master is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.internet.interfaces import IDelayedCall

from txcarp.addresses import textOf
from txcarp.checks.gateway import MOST_WITNESSES
from txcarp.checks.masterpulse import MasterPulse, Wish
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.interfaces import IPlatform
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.channel import Channel
from txcarp.membership.peers import Peers
from txcarp.membership.timers import MasterDown, cancel
from txcarp.protocol.events import MasterVanished
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.pulse import MISSES, Loss, stagger
from txcarp.protocol.timing import Peer
from txcarp.status.parts import ProbeStatus

#: Seconds for which a host is not asked after its silence was no death.
SUSPENSION = 600.0

#: Seconds until a take-over is tried again that the set of the group refused: another side may
#: notice a little later that the host is gone.  And how often it is tried again.
_AGAIN, _ATTEMPTS = 0.01, 5

#: The most masters of one moment that are remembered.
_MOST_MASTERS = 8

_SKEWS = 255


class Probing:
    """
    Follows the pulses of the master's host, one in each family in which the master is heard.

    This host takes over if the host of the master is gone in all of them.  Where several masters
    are heard in a family, nobody is asked: the group is about to settle, or it is in trouble, and
    only advertisements count.

    @ivar isOn: Whether there is anything to do.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        tell: Callable[[MasterVanished], None],
        found: Callable[[Finding, bytes, str], None],
        *,
        channels: Iterable[Channel],
        advertiser: Advertiser,
        masterDown: MasterDown,
        peers: Peers,
    ) -> None:
        """
        @param tell: Called when the host of the master is gone.
        @param found: Called with each problem, the packed address of the host, and details.
        """
        self.isOn = False
        self._platform = platform
        self._tell = tell
        self._found = found
        self._channels = tuple(channels)
        self._advertiser = advertiser
        self._masterDown = masterDown
        self._peers = peers
        #: Until when each master lives by its last advertisement.
        self._living: dict[bytes, float] = {}
        self._followed: dict[bytes, MasterPulse] = {}
        self._isBackup = False
        self._unwitnessed: set[bytes] = set()
        self._call: IDelayedCall | None = None
        self._attempts = 0
        #: The masters that this host has just replaced.
        self._replaced: dict[bytes, float] = {}
        self._adopt(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow other settings.
        """
        self._adopt(configuration)
        self._settle()
        for address in self._followed:
            self._join(address)

    def _adopt(self, configuration: VirtualHostConfiguration) -> None:
        self._configuration = configuration
        self._interval = configuration.probe or 0.0
        self.isOn = configuration.probe is not None
        if not self.isOn:
            self._living.clear()

    def stop(self) -> None:
        """
        Ask nobody any more.
        """
        self._living.clear()
        self.settle(False)

    # What is heard.

    def heard(self, peer: Peer, patience: float) -> None:
        """
        Note who is master.

        @param patience: Seconds for which it may be silent from now on.
        """
        source = peer.source
        self._living.pop(source, None)
        for address, pulse in self._followed.items():
            if address != source and pulse.loss is not None:
                self._living.pop(address, None)  # another backup has taken over from it
        if peer.isBowOut:
            self._replaced.pop(source, None)
        else:
            now = self._platform.clock.seconds()
            self._living[source] = now + patience
            if len(self._living) > _MOST_MASTERS:
                del self._living[next(iter(self._living))]
            if self._replaced.pop(source, 0.0) > now:
                self._misled(source)
        self._settle()

    def settle(self, isBackup: bool) -> None:
        """
        Ask as long as this host is a backup that takes part in the election, and not otherwise.
        """
        if isBackup != self._isBackup:
            self._isBackup = isBackup
            self._settle()

    def _settle(self) -> None:
        wanted = self._wanted() if self._isBackup else []
        for address in [one for one in self._followed if one not in wanted]:
            self._leave(address)
        for address in wanted:
            if address not in self._followed:
                self._join(address)
        if not self._followed:
            self._forget()

    def _wanted(self) -> list[bytes]:
        """
        Which hosts to ask.
        """
        now = self._platform.clock.seconds()
        masters: dict[Family, list[bytes]] = {}
        for address, until in self._living.items():
            if until > now:
                masters.setdefault(familyOf(address), []).append(address)
        isClear = all(len(several) == 1 for several in masters.values())
        return [one for several in masters.values() for one in several] if isClear else []

    def _join(self, address: bytes) -> None:
        own = self._configuration
        others = [peer.source for peer in reversed(self._peers.all)]
        never = {one.packed for one in own.addresses}
        never.update(one.packed for several in own.otherAddresses for one in several)
        never.update(self._wanted())
        witnesses = [one for one in (*own.witnesses, *own.peers, *others) if one not in never]
        sources = [one.audience.own for one in self._channels if one.audience.own]
        wish = Wish(
            self._interval,
            tuple(sources),
            tuple(dict.fromkeys(witnesses))[:MOST_WITNESSES],
            frozenset((*never, *sources)),
        )
        self._followed[address] = self._platform.pulses.join(
            own.interface, address, self, wish, self._changed
        )

    def _leave(self, address: bytes) -> None:
        del self._followed[address]
        self._unwitnessed.discard(address)
        self._platform.pulses.leave(self._configuration.interface, address, self)

    # What is seen.

    @property
    def losses(self) -> tuple[Loss, ...]:
        """
        What was seen if the host of the master is gone; empty as long as it may be there.
        """
        found = [pulse.loss for pulse in self._followed.values()]
        losses = tuple(one for one in found if one is not None)
        if self._configuration.anyFamily:
            isGone = bool(losses)
        else:
            isGone = bool(found) and len(losses) == len(found)
        # Whatever has put the deadline off since then, this host's own sleep included, counts.
        isGone = isGone and all(one.since > self._masterDown.armedAt for one in losses)
        return losses if isGone else ()

    def statuses(self) -> list[ProbeStatus]:
        """
        The present state of each pulse.
        """
        within = (MISSES + 1) * self._interval + self.delay
        return [
            attrs.evolve(pulse.status(), delay=within) for pulse in self._followed.values()
        ]

    @property
    def delay(self) -> float:
        """
        Seconds for which this host lets better backups go first.
        """
        says = self._advertiser.says
        isLast = bool(says.demotion) or says.advbase > self._leastBase
        return stagger(self._interval, _SKEWS if isLast else says.advskew)

    @property
    def _leastBase(self) -> int:
        known = [self._peers.last(address) for address in self._followed]
        return min((one.timing.advbase for one in known if one is not None), default=255)

    def _changed(self) -> None:
        for address, pulse in self._followed.items():
            if not pulse.lacksWitness:
                self._unwitnessed.discard(address)
            elif address not in self._unwitnessed:
                self._unwitnessed.add(address)
                self._found(Finding.NO_WITNESS, address, "")
        if not self.losses:
            self._forget()
        elif self._call is None:
            self._attempts = 0
            self._call = self._platform.clock.callLater(self.delay, self._takeOver)

    def _forget(self) -> None:
        cancel(self._call)
        self._call = None

    def _takeOver(self) -> None:
        self._call = None
        for channel in self._channels:
            channel.transport.readUnread()  # another backup may have been faster
        if losses := self.losses:
            living = dict(self._living)
            self._tell(MasterVanished(losses))
            if not self._isBackup:
                self._replaced = living
            elif self._attempts < _ATTEMPTS:
                self._attempts += 1
                self._call = self._platform.clock.callLater(_AGAIN, self._takeOver)

    def _misled(self, source: bytes) -> None:
        """
        Handle that a master that this host replaced was alive: it advertises within the time for
        which a backup waits.
        """
        self._platform.pulses.suspend(self._configuration.interface, source, SUSPENSION)
        more = f"{textOf(source)} is not asked for {SUSPENSION / 60:.0f} min"
        self._found(Finding.PROBE_MISLED, source, more)
