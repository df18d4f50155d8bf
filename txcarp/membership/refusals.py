"""
What is said about packets that are not believed.
"""

from __future__ import annotations

from collections import Counter

from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.logs.limits import SayOnce
from txcarp.protocol.envelope import Packet
from txcarp.protocol.rejection import Rejected, Rejection

#: What is said here, in ucarp's words.  The other reasons are only counted, or
#: are for L{txcarp.membership.diagnosis} to explain.
_REPORTED = {
    Rejection.TTL: "Bad TTL: [{detail}]",
    Rejection.VERSION: "Bad version: [{detail}]",
    Rejection.CHECKSUM: "Bad IP checksum",
}


class Refusals:
    """
    Counts refused packets by reason, and says so at most once a minute for
    each reason, however many there are.

    @ivar counts: How many packets were refused for each reason.
    """

    _log = Logger()

    def __init__(self, vhid: int, debug: bool, sayOnce: SayOnce) -> None:
        self.counts: Counter[Rejection] = Counter()
        self._vhid = vhid
        self._debug = debug
        self._sayOnce = sayOnce

    def refuse(self, rejected: Rejected, packet: Packet) -> None:
        """
        Count one packet.
        """
        reason = rejected.reason
        self.counts[reason] += 1
        if self._debug:
            self._log.debug(
                "Dropped from {source}: {why}", source=textOf(packet.source), why=str(rejected)
            )
        words = _REPORTED.get(reason)
        if words is None:
            return
        omitted = self._sayOnce.ready(reason)
        if omitted is not None:
            self._log.warn(
                "{what} (vhid {vhid}, from {source}{more})",
                what=words.format(detail=rejected.detail),
                vhid=self._vhid,
                source=textOf(packet.source),
                more=f"; {omitted} more like it since the last line" if omitted else "",
            )

