"""
Demotions for lost links of tracked interfaces, and those that an operator or another program
requests.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.links import Link
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.chronicle import Chronicle
from txcarp.membership.memory import Memory
from txcarp.occurrences import OccurrenceKind
from txcarp.protocol.demotion import FULL_DEMOTION, DemotionLedger
from txcarp.protocol.events import Demoted, DemotionChanged, Event, Promoted

_log = Logger()


def changeDemotion(
    ledger: DemotionLedger,
    configuration: VirtualHostConfiguration,
    chronicle: Chronicle,
    event: Demoted | Promoted,
) -> bool:
    """
    Demote a virtual host for a reason, or end that, and log it if it is a change.

    @return: Whether it is a change.
    @raise ValueError: If the ledger refuses the demotion.
    """
    reason = event.reason
    if isinstance(event, Demoted):
        changed, amount = ledger.set(reason, event.amount), event.amount
        text = "Demoted by {amount} (in all, by {total}): {reason} (vhid {vhid} on {interface})"
        words = f"demoted by {amount} (in all, by {ledger.total})"
    else:
        changed, amount = ledger.clear(reason), 0
        text = (
            "A demotion has ended (in all, demoted by {total}): {reason} (vhid {vhid} on "
            "{interface})"
        )
        words = f"a demotion has ended (in all, demoted by {ledger.total})"
    if changed:
        _log.warn(
            text,
            amount=amount,
            total=ledger.total,
            reason=reason,
            vhid=configuration.vhid,
            interface=configuration.interface,
        )
        chronicle.note(
            OccurrenceKind.DEMOTION,
            reason,
            words,
            reason,
            actor=event.actor,
            amount=amount,
            total=ledger.total,
        )
    return changed


class Demotions:
    """
    Changes the demotions of one run, and reports what that means for the election.

    @ivar tracked: By how much this host is demoted while a tracked interface has no link, by
        the name of the interface.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        ledger: DemotionLedger,
        advertiser: Advertiser,
        memory: Memory,
        tell: Callable[[Event], None],
    ) -> None:
        """
        @param tell: Called with L{DemotionChanged} when the content of the next advertisement
            has changed.
        """
        self.tracked = _tracked(configuration)
        self._configuration = configuration
        self._ledger = ledger
        self._advertiser = advertiser
        self._memory = memory
        self._tell = tell

    def adopt(
        self, configuration: VirtualHostConfiguration, linkOf: Callable[[str], Link | None]
    ) -> None:
        """
        Track other interfaces, or by other amounts.

        @param linkOf: Returns the link of an interface.
        """
        before, self._configuration = self.tracked, configuration
        self.tracked = _tracked(configuration)
        for name in before:
            reason = f"link of {name}"
            if name not in self.tracked:
                self.promote(reason)
            elif reason in self._ledger.reasons:
                self.demote(reason, self.tracked[name])
        for name in self.tracked:
            if name not in before:
                self.linkChanged(name, linkOf(name))

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        Start or end the demotion for a tracked interface.
        """
        reason = f"link of {name}"
        if link is not None and link.works:
            self.promote(reason)
        else:
            self.demote(reason, self.tracked[name])

    def demote(self, reason: str, amount: int) -> None:
        """
        Demote this host for a reason.
        """
        self.change(Demoted(reason, amount))

    def promote(self, reason: str) -> None:
        """
        End the demotion for a reason, if there is one.
        """
        self.change(Promoted(reason))

    def change(self, event: Demoted | Promoted) -> None:
        """
        Demote this host for a reason, or end that.
        """
        if changeDemotion(self._ledger, self._configuration, self._memory.chronicle, event):
            self._changed()

    def _changed(self) -> None:
        if self._advertiser.says == self._advertiser.said:
            return  # peers would notice no difference
        timing = self._advertiser.timing
        # Backups are silent.  One that advertised a better timing long ago may still be there.
        # A host with the worst skew must expect that any backup is better.  If none is, none
        # accepts the offer.
        hopeless = timing.advskew >= FULL_DEMOTION
        self._tell(DemotionChanged(hopeless or self._memory.peers.anyBetter(timing)))


def _tracked(configuration: VirtualHostConfiguration) -> dict[str, int]:
    """
    By how much each tracked interface without a link demotes this host.
    """
    return {
        one.name: one.amountIn(configuration.dialect) for one in configuration.trackedInterfaces
    }
