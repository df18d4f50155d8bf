"""
Telling the neighbours, as long as this host is master.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger
from zope.interface import implementer

from txcarp.change import Change
from txcarp.interfaces import IAnnouncer, IMastershipStep

#: The advertisements after which an announcement is repeated, for switches
#: that did not believe the first one (ucarp, and sc_delayed_arp in OpenBSD).
_REPEATED_WITH = 2


@implementer(IMastershipStep)
class Announcements:
    """
    Announces the addresses once they are here, again with the second
    advertisement after, and each time somebody else claims them.
    """

    name = "announcement"
    required = False
    timeLimit = None
    _log = Logger()

    def __init__(self, announcer: IAnnouncer, addresses: Sequence[bytes]) -> None:
        """
        @param addresses: The packed addresses.
        """
        self._announcer = announcer
        self._addresses = tuple(addresses)
        self._active = False
        self._countdown = 0

    def acquire(self, change: Change) -> None:
        self._active = True
        self.again()

    def release(self, change: Change) -> None:
        self._active = False

    def again(self) -> None:
        """
        Announce now and with the second advertisement from now, if the
        addresses are here.
        """
        if self._active:
            self._countdown = _REPEATED_WITH
            self._announce()

    def advertised(self) -> None:
        """
        An advertisement left.
        """
        if self._active and self._countdown:
            self._countdown -= 1
            if not self._countdown:
                self._announce()

    def _announce(self) -> None:
        for address in self._addresses:
            try:
                self._announcer.announce(address)
            except OSError as error:
                self._log.error("write() in garp: {reason}", reason=error.strerror)
