"""
The last will of a master: what the guard gives back and sends if this process dies or hangs.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.guard.sentry import LEAST_GRACE
from txcarp.interfaces import IPlatform, IWill
from txcarp.mastership.mastership import Mastership
from txcarp.membership.advertiser import Advertiser
from txcarp.protocol.timing import Timing

#: A daemon that has been silent for this many intervals hangs.  No peer takes over that early from
#: a master that lives, unless it waits for little more than one interval.
_PATIENCE = 1.5

#: Seconds before the end of a lease at which a daemon hangs at the latest.
_BEFORE_LEASE = 0.15

#: Seconds by which a guard may act late.
_LATE = 0.1


class LastWill:
    """
    Keeps the will of one run up to date.

    The bow-out in it has the tick after that of the last advertisement, and so none that is later
    than the tick of the next advertisement.  Its peers believe it, also after that advertisement,
    because this process may die before it hands over the one that follows; and they believe the
    first advertisement after a restart.  They believe each of them once.

    @ivar isWanted: Whether there is a will while this host is master.
    @ivar isOpen: Whether there is one now.  A master that has none makes one with its next
        advertisement.
    """

    _log = Logger()

    def __init__(
        self, platform: IPlatform, advertiser: Advertiser, lost: Callable[[], None]
    ) -> None:
        """
        @param lost: Called when the guard has died.
        """
        self.isWanted = self.isOpen = False
        self._clock = platform.clock
        self._guard = platform.guard
        self._advertiser = advertiser
        self._mastership: Mastership
        self._lost = lost
        self._will: IWill | None = None
        self._beatAt = 0.0

    def keepFor(self, mastership: Mastership, configuration: VirtualHostConfiguration) -> None:
        """
        Keep the will of this mastership from now on.  Before, there is none.
        """
        self._mastership = mastership
        self.adopt(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow other settings.
        """
        own = configuration
        #: Seconds after which a backup without skew takes over.
        self._deadTime = own.dialect.deadTime(Timing(own.advbase, 0), own.deadRatio)
        wanted = own.guard and self._guard is not None and self._mastership.hasBequest
        if wanted and self._guard is not None and self._will is None:
            name = f"vhid {own.vhid} on {own.interface}"
            try:
                self._will = self._guard.will(name, self._lost)
            except OSError as error:
                self._log.error("{name} has no guard: {reason}", name=name, reason=error.strerror)
        elif not wanted:
            self.close()
        self.isWanted = self._will is not None
        self.changed()

    @property
    def isDeposed(self) -> bool:
        """
        Whether the guard has acted because this process seemed to hang.
        """
        return self._will is not None and bool(self._will.isDeposed)

    def advertised(self) -> bool:
        """
        Hand over the bow-out that follows the advertisement that this master just sent.

        @return: Whether this host still is master for the guard.  If it is not, the guard acted
            while this advertisement was being sent.
        """
        will = self._will
        if will is None:
            return True
        bequest = self._mastership.bequest()
        if not self.isOpen:
            self.isOpen = True
            will.begin(bequest)
        elif will.isDeposed:
            return False
        else:
            will.change(bequest)
        self._beatAt = self._clock.seconds()
        expected, patience = self._patience()
        lasting = max(self._deadTime, patience + _LATE)
        will.beat(expected, patience, lasting, self._advertiser.farewell())
        return True

    def alive(self) -> None:
        """
        Show between two advertisements that this process does not hang.
        """
        if self._will is not None and self.isOpen:
            self._will.alive(*self._patience())

    def changed(self) -> None:
        """
        Hand over what this host has by now.
        """
        if self._will is not None and self.isOpen:
            self._will.change(self._mastership.bequest())
            self._will.alive(*self._patience())  # which a lease may have shortened

    def silence(self) -> None:
        """
        Have no bow-out sent, since this host is not master any more.
        """
        if self._will is not None and self.isOpen:
            if self._will.isDeposed:
                self._advertiser.farewellSent()
            self._will.silence()

    def givenBack(self) -> None:
        """
        End the will, since everything is released.
        """
        if self._will is not None and self.isOpen:
            self.isOpen = False
            self._will.withdraw()

    def close(self) -> None:
        """
        End the will for ever.
        """
        self.isOpen = self.isWanted = False
        will, self._will = self._will, None
        if will is not None:
            will.close()

    def _patience(self) -> tuple[float, float]:
        """
        Seconds until the next sign of life is due, and until this process hangs without it.
        """
        interval = self._advertiser.interval
        past = self._clock.seconds() - self._beatAt
        expected = interval - past
        patience = max(interval * _PATIENCE, interval + LEAST_GRACE) - past
        leases = self._mastership.leases
        if leases is not None and leases.held:
            renewal = leases.renewal
            expected = min(expected, renewal.next)
            patience = min(patience, renewal.expiry - _BEFORE_LEASE - self._clock.seconds())
        return expected, max(patience, expected + LEAST_GRACE)
