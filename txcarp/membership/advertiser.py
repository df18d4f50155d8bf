"""
The advertisements of one virtual host on their way out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import attrs
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.channel import Channel
from txcarp.membership.memory import Memory
from txcarp.membership.sealing import Sealing
from txcarp.protocol.advertisement import BOW_OUT, Advertisement, encode
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.counter import Counter
from txcarp.protocol.demotion import SEND_ERROR_THRESHOLD, DemotionLedger, SendErrors
from txcarp.protocol.envelope import wrap
from txcarp.protocol.seal import Says
from txcarp.protocol.timing import SHORTEST_INTERVAL, Timing

#: The reason for the demotion of a host whose advertisements do not leave.
SEND_ERRORS = "send errors"

#: How many of the last counters are remembered.
_RECENT = 32


class Advertiser:
    """
    Signs and sends, and knows whether what it sends leaves this host.

    @ivar counter: The counters of ordinary advertisements.
    @ivar recent: The last counters that this host sent.
    @ivar lastLeft: Whether the last advertisement left.
    @ivar said: What the last one that left said, a bow-out not counted;
        C{None} if none did.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        keyring: Keyring,
        sealing: Sealing,
        ledger: DemotionLedger,
        channels: Iterable[Channel],
        random: Callable[[int], int],
        memory: Memory,
    ) -> None:
        """
        @param ledger: Why this host is demoted; send errors are added to it.
        @param channels: The families to send in.
        @param random: Draws a number of so many bits.
        @param memory: Has the counts of advertisements that left, and did not.
        """
        constant = configuration.dialect.constantCounter
        self.counter = Counter(lambda: random(64), constant=constant)
        self.recent: deque[int] = deque(maxlen=_RECENT)
        self.lastLeft = False
        self.said: Says | None = None
        self._configuration = configuration
        self._keyring = keyring
        self._sealing = sealing
        self._ledger = ledger
        self._channels = tuple(channels)
        self._random = random
        self._memory = memory
        self._errors = SendErrors()
        self._refresh()

    @property
    def timing(self) -> Timing:
        """
        The timing to advertise: the configured one, or a worse one as long as
        this host is demoted.
        """
        if self._demotedBy != self._ledger.total:
            self._refresh()
        return self._timing

    @property
    def says(self) -> Says:
        """
        What an advertisement says now: the timing, and the demotion in OpenBSD's field.
        """
        if self._demotedBy != self._ledger.total:
            self._refresh()
        return self._says

    @property
    def interval(self) -> float:
        """
        Seconds from one advertisement to the next.
        """
        if self._demotedBy != self._ledger.total:
            self._refresh()
        return self._interval

    def _refresh(self) -> None:
        """
        Work out what to advertise now that the demotion is another.
        """
        ledger, dialect = self._ledger, self._configuration.dialect
        self._demotedBy = ledger.total
        self._timing = timing = ledger.apply(self._configuration.timing, dialect.highestSkew)
        demotion = ledger.byte if dialect.demotionByte else 0
        self._says = Says(timing.advbase, timing.advskew, demotion)
        self._interval = max(timing.interval, SHORTEST_INTERVAL)

    def advertise(self) -> None:
        """
        Send one advertisement.  After too many failures in a row be less
        preferred, and try once more at once.
        """
        demoted = self._errors.demoted
        said = self.says  # by the third that leaves in a row it has changed
        if not self._send(said) and self._errors.demoted and not demoted:
            self._log.error(
                "write() error #{count}/{count}: advertising with skew {skew}",
                count=SEND_ERROR_THRESHOLD,
                skew=self.timing.advskew,
            )
            said = self.says
            self._send(said)
        if self.lastLeft:
            self.said = said

    def bowOut(self) -> None:
        """
        Send one advertisement that lets the backups take over at once.
        """
        self._send(attrs.evolve(self.says, advbase=BOW_OUT, advskew=BOW_OUT))

    def _send(self, says: Says) -> bool:
        """
        Send one advertisement in each family.

        @return: Whether it left in one of them.
        """
        left = False
        for channel in self._channels:
            try:
                left |= self._sendIn(channel, says)
            except OSError as error:
                self._complain(channel, error)
        self.lastLeft = left
        if not left:
            self._memory.sendErrors += 1
            if self._errors.failed():
                self._ledger.set(SEND_ERRORS)
        else:
            self._memory.sent += 1
            if self._errors.succeeded():
                self._ledger.clear(SEND_ERRORS)
                self._log.info("Advertisements leave again: advertising with the configured skew")
        return left

    def _sendIn(self, channel: Channel, says: Says) -> bool:
        source = channel.source()
        counter = self._sealing.counter(says, source)
        if counter is None:
            counter = self.counter.next()
        self.recent.append(counter)
        advertisement = Advertisement(
            vhid=self._configuration.vhid,
            advbase=says.advbase,
            advskew=says.advskew,
            counter=counter,
            digest=self._keyring.sign(counter),
            demotion=says.demotion,
        )
        payload = encode(advertisement)
        left = False
        for destination in channel.destinations:
            try:
                channel.transport.send(wrap(payload, source, destination, self._random(16)))
            except OSError as error:
                self._complain(channel, error)
            else:
                left = True
        if left and self._configuration.debug:
            self._log.debug("Sent: {advertisement}", advertisement=advertisement)
        return left

    def _complain(self, channel: Channel, error: OSError) -> None:
        if self._memory.limits.ready(("send", channel.family)) is not None:
            self._log.warn(
                "write() has failed: {reason}{family}",
                reason=error.strerror or str(error),
                family=f" ({channel.family.value})" if len(self._channels) > 1 else "",
            )
