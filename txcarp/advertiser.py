"""
The advertisements of one virtual host on their way out.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from txcarp.configuration import VirtualHostConfiguration
from txcarp.interfaces import IAdvertisementTransport
from txcarp.logs.limits import SayOnce
from txcarp.protocol.advertisement import Advertisement, encode
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.counter import Counter
from txcarp.protocol.demotion import SEND_ERROR_THRESHOLD, SendErrors
from txcarp.protocol.envelope import wrap
from txcarp.protocol.timing import Timing


class Advertiser:
    """
    Signs and sends, and knows whether what it sends leaves this host.

    @ivar sent: How many advertisements left.
    @ivar failed: How many did not.
    @ivar lastLeft: Whether the last one left.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        authenticator: Authenticator,
        transport: IAdvertisementTransport,
        random: Callable[[int], int],
        sayOnce: SayOnce,
    ) -> None:
        """
        @param random: Draws a number of so many bits.
        """
        self.sent = 0
        self.failed = 0
        self.lastLeft = False
        self._configuration = configuration
        self._authenticator = authenticator
        self._transport = transport
        self._random = random
        self._sayOnce = sayOnce
        self._counter = Counter(lambda: random(64))
        self._errors = SendErrors()

    @property
    def timing(self) -> Timing:
        """
        What is advertised: the configured timing, or a worse one as long as
        advertisements fail to leave.
        """
        return self._errors.apply(self._configuration.timing)

    def heard(self, counter: int) -> None:
        """
        Continue from the counter of a valid advertisement.
        """
        self._counter.heard(counter)

    def advertise(self) -> None:
        """
        Send one advertisement.  After too many failures in a row be less
        preferred, and try once more at once.
        """
        demoted = self._errors.demoted
        if not self.send(self.timing) and self._errors.demoted and not demoted:
            self._log.error(
                "write() error #{count}/{count}: advertising with skew {skew}",
                count=SEND_ERROR_THRESHOLD,
                skew=self.timing.advskew,
            )
            self.send(self.timing)

    def send(self, timing: Timing) -> bool:
        """
        Send one advertisement that says this timing.

        @return: Whether it left.
        """
        configuration = self._configuration
        counter = self._counter.next()
        advertisement = Advertisement(
            vhid=configuration.vhid,
            advbase=timing.advbase,
            advskew=timing.advskew,
            counter=counter,
            digest=self._authenticator.sign(counter),
        )
        packet = wrap(
            encode(advertisement), configuration.source, configuration.group, self._random(16)
        )
        try:
            self._transport.send(packet)
        except OSError as error:
            self.lastLeft = False
            self.failed += 1
            self._errors.failed()
            if self._sayOnce.ready("send") is not None:
                self._log.warn("write() has failed: {reason}", reason=error.strerror or str(error))
            return False
        self.lastLeft = True
        self.sent += 1
        if self._errors.succeeded():
            self._log.info("Advertisements leave again: advertising with the configured skew")
        if configuration.debug:
            self._log.debug("Sent: {advertisement}", advertisement=advertisement)
        return True
