"""
Why this host is demoted: links of other interfaces, and whatever an operator or another
program says.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.links import Link
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.memory import Memory
from txcarp.protocol.demotion import FULL_DEMOTION, DemotionLedger
from txcarp.protocol.events import DemotionChanged, Event


class Demotions:
    """
    Changes the ledger of one run, with a log line for each change.

    @ivar tracked: The amount by which this host is demoted without the link of an
        interface, by its name.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        ledger: DemotionLedger,
        advertiser: Advertiser,
        memory: Memory,
        tell: Callable[[Event], None],
    ) -> None:
        """
        @param tell: Called with L{DemotionChanged} when this host advertises something
            else from now on.
        """
        self.tracked = {one.name: one.amount for one in configuration.trackedInterfaces}
        self._configuration = configuration
        self._ledger = ledger
        self._advertiser = advertiser
        self._memory = memory
        self._tell = tell

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        A tracked interface changed.
        """
        reason = f"link of {name}"
        if link is not None and link.works:
            self.promote(reason)
        else:
            self.demote(reason, self.tracked[name])

    def demote(self, reason: str, amount: int) -> None:
        """
        Let a reason hold; once is enough.
        """
        if self._ledger.set(reason, amount):
            self._log.warn(
                "Demoted by {amount} to {total}: {reason} (vhid {vhid} on {interface})",
                amount=amount,
                total=self._ledger.total,
                reason=reason,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._changed()

    def promote(self, reason: str) -> None:
        """
        Let a reason hold no more; it is no error if it did not.
        """
        if self._ledger.clear(reason):
            self._log.warn(
                "Not demoted any more for {reason}; demoted to {total} (vhid {vhid} on "
                "{interface})",
                reason=reason,
                total=self._ledger.total,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._changed()

    def _changed(self) -> None:
        if self._advertiser.says == self._advertiser.said:
            return  # nobody would see it
        timing = self._advertiser.timing
        # Backups are silent: what is known of them is old, if anything is. One that said
        # something better may be there still; and any host may be better than the last.
        hopeless = timing.advskew >= FULL_DEMOTION
        better = hopeless or self._memory.peers.anyBetter(timing)
        self._tell(DemotionChanged(better and timing > self._configuration.timing))
