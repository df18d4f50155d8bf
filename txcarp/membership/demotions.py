"""
Why a host is demoted now: links of other interfaces, sends that fail, and
whatever an operator or another program has to say.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from zope.interface import implementer

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import ILinkMonitor, ILinkObserver
from txcarp.links import Link
from txcarp.protocol.demotion import FULL_DEMOTION, DemotionLedger

#: Why a host is demoted whose advertisements do not leave.
SEND_ERRORS = "send errors"


@implementer(ILinkObserver)
class Demotions:
    """
    The ledger of one virtual host, with a log line for each change and a
    reason for each tracked interface without a link.

    @ivar ledger: The reasons that hold.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        links: ILinkMonitor,
        changed: Callable[[], None],
    ) -> None:
        """
        @param changed: Called after each change.
        """
        self.ledger = DemotionLedger()
        self._configuration = configuration
        self._tracked = {one.name: one.amount for one in configuration.trackedInterfaces}
        self._links = links
        self._changed = changed

    def start(self) -> None:
        """
        Track the interfaces.
        """
        for name in self._tracked:
            self._links.watch(name, self)

    def stop(self) -> None:
        """
        Track them no more.  The reasons that hold go on to, until L{forget}:
        there may be a bow-out to send.
        """
        for name in self._tracked:
            self._links.unwatch(name, self)

    def forget(self) -> None:
        """
        The run is over, and so are its reasons.  What others demote this host
        for stays.
        """
        for name in self._tracked:
            self.ledger.clear(_reason(name))
        self.ledger.clear(SEND_ERRORS)

    def set(self, reason: str, amount: int = FULL_DEMOTION) -> None:
        """
        Let a reason hold; once is enough.

        @raise ValueError: If the amount is out of range.
        """
        if self.ledger.set(reason, amount):
            self._log.warn(
                "Demoted by {amount} to {total}: {reason} (vhid {vhid} on {interface})",
                amount=amount,
                total=self.ledger.total,
                reason=reason,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._changed()

    def clear(self, reason: str) -> None:
        """
        Let a reason hold no more; it is no error if it did not.
        """
        if self.ledger.clear(reason):
            self._log.warn(
                "Not demoted any more for {reason}; demoted to {total} (vhid {vhid} on "
                "{interface})",
                reason=reason,
                total=self.ledger.total,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._changed()

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        A tracked interface changed.
        """
        if link is not None and link.up and link.running:
            self.clear(_reason(name))
        else:
            self.set(_reason(name), self._tracked[name])


def _reason(name: str) -> str:
    return f"link of {name}"
