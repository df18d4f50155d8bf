"""
The advertisements of one virtual host on their way out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.channel import Channel
from txcarp.membership.memory import Memory
from txcarp.membership.sealing import Sealing
from txcarp.protocol.advertisement import Advertisement, encode
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.counter import Counter
from txcarp.protocol.demotion import SEND_ERROR_THRESHOLD, DemotionLedger, SendErrors
from txcarp.protocol.envelope import wrap
from txcarp.protocol.seal import Says
from txcarp.protocol.timing import Timing

#: The reason for the demotion of a host whose advertisements do not leave.
SEND_ERRORS = "send errors"

#: How many of the last counters are remembered.
_RECENT = 32


class Advertiser:
    """
    Signs and sends, and knows whether what it sends leaves this host.

    @ivar counter: The counters of ordinary advertisements.
    @ivar lastLeft: Whether the last one left.
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
        self.lastLeft = False
        self.said: Says | None = None
        self._configuration = configuration
        self._keyring = keyring
        self._sealing = sealing
        self._ledger = ledger
        self._channels = tuple(channels)
        self._random = random
        self._memory = memory
        self._timing = ledger.apply(configuration.timing, configuration.dialect.highestSkew)
        self._demotedBy = ledger.total
        self.counter = Counter(
            lambda: random(64), constant=configuration.dialect.constantCounter
        )
        self._errors = SendErrors()
        self._recent: deque[int] = deque(maxlen=_RECENT)

    @property
    def timing(self) -> Timing:
        """
        What is advertised: the configured timing, or a worse one as long as
        this host is demoted.
        """
        if self._ledger.total != self._demotedBy:
            self._demotedBy = self._ledger.total
            self._timing = self._ledger.apply(
                self._configuration.timing, self._configuration.dialect.highestSkew
            )
        return self._timing

    @property
    def demotion(self) -> int:
        """
        What is said in OpenBSD's field.
        """
        return self._ledger.byte if self._configuration.dialect.demotionByte else 0

    @property
    def says(self) -> Says:
        """
        Both, as an advertisement says them.
        """
        timing = self.timing
        return Says(timing.advbase, timing.advskew, self.demotion)

    def sentLately(self, counter: int) -> bool:
        """
        Whether a counter is one of the last that this host sent.
        """
        return counter in self._recent

    def advertise(self) -> None:
        """
        Send one advertisement.  After too many failures in a row be less
        preferred, and try once more at once.
        """
        demoted = self._errors.demoted
        if not self._say() and self._errors.demoted and not demoted:
            self._log.error(
                "write() error #{count}/{count}: advertising with skew {skew}",
                count=SEND_ERROR_THRESHOLD,
                skew=self.timing.advskew,
            )
            self._say()

    def _say(self) -> bool:
        says = self.says  # by the third that leaves in a row it has changed
        left = self.send(self.timing)
        if left:
            self.said = says
        return left

    def send(self, timing: Timing) -> bool:
        """
        Send one advertisement that says this timing, in each family.

        @return: Whether it left in one of them.
        """
        # All families are tried, whatever becomes of the first.
        left = [self._sendIn(channel, timing) for channel in self._channels]
        self.lastLeft = any(left)
        if not self.lastLeft:
            self._memory.sendErrors += 1
            if self._errors.failed():
                self._ledger.set(SEND_ERRORS)
            return False
        self._memory.sent += 1
        if self._errors.succeeded():
            self._ledger.clear(SEND_ERRORS)
            self._log.info("Advertisements leave again: advertising with the configured skew")
        return True

    def _sendIn(self, channel: Channel, timing: Timing) -> bool:
        left = False
        try:
            source = channel.source()
            advertisement = self._signed(timing, source)
            payload = encode(advertisement)
        except OSError as error:
            self._complain(channel, error)
            return False
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

    def _signed(self, timing: Timing, source: bytes) -> Advertisement:
        says = Says(timing.advbase, timing.advskew, self.demotion)
        counter = self._sealing.counter(says, source)
        if counter is None:
            counter = self.counter.next()
        self._recent.append(counter)
        return Advertisement(
            vhid=self._configuration.vhid,
            advbase=says.advbase,
            advskew=says.advskew,
            counter=counter,
            digest=self._keyring.sign(counter),
            demotion=says.demotion,
        )

    def _complain(self, channel: Channel, error: OSError) -> None:
        if self._memory.limits.ready(("send", channel.family)) is not None:
            self._log.warn(
                "write() has failed: {reason}{family}",
                reason=error.strerror or str(error),
                family=f" ({channel.family.value})" if len(self._channels) > 1 else "",
            )
