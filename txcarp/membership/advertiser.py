"""
Sending the advertisements of one virtual host.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.channel import Channel
from txcarp.membership.memory import Memory
from txcarp.membership.sealing import Sealing
from txcarp.protocol.advertisement import BOW_OUT, Advertisement, encode
from txcarp.protocol.authentication import Form, Keyring
from txcarp.protocol.counter import Counter
from txcarp.protocol.demotion import SEND_ERROR_THRESHOLD, DemotionLedger, SendErrors
from txcarp.protocol.envelope import wrap
from txcarp.protocol.seal import Fields
from txcarp.protocol.timing import INSISTENT, SHORTEST_INTERVAL, Timing

#: The reason for the demotion of a host that cannot send advertisements.
SEND_ERRORS = "send errors"

#: The number of sent counters that are remembered of each form.
_RECENT = 32


class Advertiser:
    """
    Signs and sends advertisements, and counts the failures.

    @ivar counter: Makes the counters of advertisements without a seal.
    @ivar recent: The last counters that this host sent.
    @ivar insists: Whether it advertises as more preferred than every other host.
    @ivar lastLeft: Whether the last advertisement was sent in at least one family.
    @ivar said: What the last advertisement that was sent said, apart from bow-outs; C{None} if
        there was none.
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
        @param ledger: The demotions of this host.  Repeated send errors are added to it.
        @param channels: The families to send in.
        @param random: Returns a random number of the given number of bits.
        @param memory: Has the counts of sent advertisements and of send errors.
        """
        constant = configuration.dialect.constantCounter
        self.counter = Counter(random, constant=constant)
        self.recent = array("Q")  # a number of Python takes five times as much
        self.lastLeft = False
        self.said: Fields | None = None
        self._configuration = configuration
        self._sealing = sealing
        self._ledger = ledger
        self._channels = tuple(channels)
        self._memory = memory
        self._errors = SendErrors()
        self.insists = False
        self._use(keyring)
        self._refresh()

    def adopt(self, configuration: VirtualHostConfiguration, keyring: Keyring) -> None:
        """
        Follow other settings, and sign with other keys, from the next advertisement on.
        """
        self._configuration = configuration
        self._use(keyring)
        self._refresh()

    def _use(self, keyring: Keyring) -> None:
        """
        Find out in which families to send each form.
        """
        ways = [
            (form, [one for one in self._channels if one.family in form.families])
            for form in keyring.forms
        ]
        self._ways = [(form, channels) for form, channels in ways if channels]

    @property
    def forms(self) -> tuple[str, ...]:
        """
        The labels of the forms in which this host advertises.
        """
        return tuple(form.label for form, _ in self._ways)

    def insist(self, insists: bool) -> bool:
        """
        Advertise as more preferred than every other host, as often as before; or no longer.

        @return: Whether that is a change.
        """
        changed = insists != self.insists
        if changed:
            self.insists = insists
            self._refresh()
        return changed

    @property
    def timing(self) -> Timing:
        """
        The timing to advertise: the configured one with all demotions added.
        """
        if self._demotedBy != self._ledger.total:
            self._refresh()
        return self._timing

    @property
    def says(self) -> Fields:
        """
        The content of an advertisement: the timing, and the demotion in OpenBSD's field.
        """
        if self._demotedBy != self._ledger.total:
            self._refresh()
        return self._says

    @property
    def interval(self) -> float:
        """
        Seconds from one advertisement to the next, demotions included.
        """
        if self._demotedBy != self._ledger.total:
            self._refresh()
        return self._interval

    @property
    def _preference(self) -> str:
        """
        What demotion changes in an advertisement, for log lines.
        """
        if self._configuration.dialect.demotionByte:
            return f"demotion {self.says.demotion}"
        return f"skew {self.says.advskew}"

    def _refresh(self) -> None:
        """
        Recompute what to advertise after a change of the total demotion.
        """
        ledger, dialect = self._ledger, self._configuration.dialect
        self._demotedBy = ledger.total
        timing = self._timing = ledger.apply(self._configuration.timing, dialect)
        self._interval = max(timing.interval, SHORTEST_INTERVAL)
        demotion = ledger.byte if dialect.demotionByte else 0
        self._leaving = Fields(BOW_OUT, BOW_OUT, dialect.leavingDemotion)
        if self.insists:
            self._timing, demotion = INSISTENT, 0
        self._says = Fields(self._timing.advbase, self._timing.advskew, demotion)

    def advertise(self) -> None:
        """
        Send one advertisement.  A failure that demotes this host, as the third in a row does,
        is followed by another attempt at once.
        """
        demoted = self._errors.demoted
        said = self.says  # sending may end a demotion, which changes it
        if not self._send(said) and self._errors.demoted and not demoted:
            self._log.error(
                "write() error #{count}/{count}: advertising with {preference}",
                count=SEND_ERROR_THRESHOLD,
                preference=self._preference,
            )
            said = self.says
            self._send(said)
        if self.lastLeft:
            self.said = said

    def bowOut(self) -> None:
        """
        Send one advertisement that makes backups take over at once.
        """
        self._send(self._leaving)

    def offer(self, timing: Timing) -> None:
        """
        Send one advertisement with another timing, which makes better backups take over.
        """
        self._send(Fields(timing.advbase, timing.advskew, self.says.demotion))

    def farewell(self) -> list[tuple[int, bytes, bytes]]:
        """
        Make what L{bowOut} would send now, for another process.

        @return: What to send, as for L{IWill.beat<txcarp.interfaces.IWill.beat>}.
        """
        says = self._leaving
        found = []
        for number, (form, channels) in enumerate(self._ways, 1):
            for channel in channels:
                try:
                    source = channel.source()
                except OSError:
                    continue
                counter = self._sealing.following(form.seal, says, source, number)
                if counter is None:
                    counter = self.counter.following
                payload = encode(self._signed(form, says, counter))
                for destination in channel.destinations:
                    packet = wrap(payload, source, destination, _identification(payload))
                    parcel = channel.transport.parcel(packet)
                    if parcel is not None:
                        found.append(parcel)
        return found

    def farewellSent(self) -> None:
        """
        Handle that another process has sent a L{farewell}.
        """
        self._sealing.skip(len(self._ways))

    def _send(self, says: Fields) -> bool:
        """
        Send one advertisement in each form and each of its families.  All of them say the same,
        so that a host that hears several compares itself with one and the same timing.

        @return: Whether each form was sent in at least one family.  Hosts that know only a form
            that was not sent take over.
        """
        left = bool(self._ways)
        for form, channels in self._ways:
            formLeft = False
            for channel in channels:
                try:
                    formLeft |= self._sendIn(channel, form, says)
                except OSError as error:  # there is no source
                    self._memory.traffic[channel.family].sendErrors += 1
                    self._complain(channel, error)
            left &= formLeft
        self.lastLeft = left
        if not left:
            self._memory.sendErrors += 1
            if self._errors.failed():
                self._ledger.set(SEND_ERRORS, self._configuration.dialect.failureDemotion)
        else:
            self._memory.sent += 1
            if self._errors.succeeded():
                self._ledger.clear(SEND_ERRORS)
                self._log.info(
                    "Advertisements can be sent again: advertising with {preference}",
                    preference=self._preference,
                )
        return left

    def _sendIn(self, channel: Channel, form: Form, says: Fields) -> bool:
        source = channel.source()
        counter = self._sealing.counter(form.seal, says, source)
        if counter is None:
            counter = self.counter.next()
        self.recent.append(counter)
        del self.recent[: -_RECENT * len(self._ways)]
        advertisement = self._signed(form, says, counter)
        payload = encode(advertisement)
        left = False
        for destination in channel.destinations:
            packet = wrap(payload, source, destination, _identification(payload))
            try:
                channel.transport.send(packet)
            except OSError as error:
                self._memory.traffic[channel.family].sendErrors += 1
                self._complain(channel, error)
            else:
                self._memory.traffic[channel.family].sent += 1
                left = True
        if left and self._configuration.debug:
            self._log.debug("Sent: {advertisement}", advertisement=advertisement)
        return left

    def _signed(self, form: Form, says: Fields, counter: int) -> Advertisement:
        return Advertisement(
            self._configuration.vhid,
            says.advbase,
            says.advskew,
            counter,
            form.authenticator.sign(counter),
            says.demotion,
        )

    def _complain(self, channel: Channel, error: OSError) -> None:
        if self._memory.limits.ready(("send", channel.family)) is not None:
            self._log.warn(
                "write() has failed: {reason}{family}",
                reason=error.strerror or str(error),
                family=f" ({channel.family.value})" if len(self._channels) > 1 else "",
            )


def _identification(payload: bytes) -> int:
    """
    Return a number for the IPv4 header of a packet: the end of its digest.  Nobody can tell it in
    advance, and a random number takes a system call.
    """
    return int.from_bytes(payload[-2:])
