"""
Packets made from captured ones, and packets made from nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from benchmarks.forgery import ADVBASE, ADVSKEW, DEMOTION, forged, mended
from benchmarks.fuzzgroup import OTHERS, OWN, PLAIN, STRANGERS, groupFor
from txcarp.protocol.advertisement import SIZE
from txcarp.protocol.envelope import headerLength, payloadOf, sourceOf, wrap

#: Captured packets that are recent.
_RECENT = 64

#: What an attacker would like to have been said.
_WISHES = ((0, 0), (255, 255), (1, 0), (1, 255), (0, 1))

_SOURCES = (*STRANGERS, *OTHERS, *OWN, *PLAIN)
_SOURCES4 = tuple(source for source in _SOURCES if len(source) == 4)
_SOURCES6 = tuple(source for source in _SOURCES if len(source) == 16)


class Mutator:
    """
    Makes the packets of an attacker who has captured everything.
    """

    def __init__(self, draw: random.Random, captured: Sequence[bytes]) -> None:
        """
        @param captured: what was captured until now, oldest first; it grows.
        """
        self._randbytes = draw.randbytes
        self._captured = captured
        self._kinds: tuple[Callable[[bytes, bytes], bytes], ...] = (
            self._noise,
            self._noise,
            self._cut,
            self._changed,
            self._changed,
            self._changed,
            self._replayed,
            self._replayed,
            self._wished,
            self._wished,
            self._wished,
            self._retimed,
            self._retimed,
            self._moved,
            self._counterfeit,
            self._counterfeit,
        )

    def make(self) -> bytes:
        """
        One packet.
        """
        draw = self._randbytes(12)
        captured = self._captured
        if draw[1] & 1:
            index = -1 - draw[2] % min(_RECENT, len(captured))
        else:
            index = int.from_bytes(draw[2:5], "big") % len(captured)
        return self._kinds[draw[0] & 15](captured[index], draw[5:])

    def variant(self, packet: bytes) -> bytes:
        """
        What would be of use of this packet, were it another.
        """
        return self._wished(packet, self._randbytes(4))

    def _noise(self, packet: bytes, draw: bytes) -> bytes:
        """
        No sense; sometimes behind the first byte of an IP header.
        """
        start = (b"", b"\x45", b"\x60", b"\x4f")[draw[0] & 3]
        return start + self._randbytes(draw[1] & 127)

    def _cut(self, packet: bytes, draw: bytes) -> bytes:
        """
        Not all of it, or more than all of it.
        """
        if draw[0] & 1:
            return packet[: draw[1] % len(packet)]
        return packet + self._randbytes(draw[1] & 63)

    def _changed(self, packet: bytes, draw: bytes) -> bytes:
        """
        One or two bytes are others.
        """
        changed = bytearray(packet)
        changed[draw[0] % len(packet)] = draw[1]
        if draw[2] & 1:
            changed[draw[3] % len(packet)] ^= draw[4]
        return bytes(changed)

    def _replayed(self, packet: bytes, draw: bytes) -> bytes:
        """
        As it was.
        """
        return packet

    def _wished(self, packet: bytes, draw: bytes) -> bytes:
        """
        What would be of use, from a source that would be.
        """
        sources = _SOURCES4 if len(sourceOf(packet)) == 4 else _SOURCES6
        base, skew = _WISHES[draw[0] % len(_WISHES)]
        wishes = draw[1] & 15 or 1 << (draw[1] >> 4 & 3)
        return forged(
            packet,
            advbase=base if wishes & 1 else None,
            advskew=skew if wishes & 2 else None,
            demotion=draw[2] if wishes & 4 else None,
            source=sources[draw[3] % len(sources)] if wishes & 8 else None,
        )

    def _retimed(self, packet: bytes, draw: bytes) -> bytes:
        """
        Any timing, and any source.
        """
        source = sourceOf(packet)
        return forged(
            packet,
            advbase=draw[0],
            advskew=draw[1],
            demotion=draw[2] if draw[3] & 1 else None,
            source=source[:-1] + draw[4:5] if draw[3] & 2 else None,
        )

    def _moved(self, packet: bytes, draw: bytes) -> bytes:
        """
        The advertisement in a packet of the other family.
        """
        sources = _SOURCES6 if len(sourceOf(packet)) == 4 else _SOURCES4
        source = sources[draw[0] % len(sources)]
        other = wrap(payloadOf(packet), source, groupFor(source))
        return mended(other, pseudo=bool(draw[1] & 1))

    def _counterfeit(self, packet: bytes, draw: bytes) -> bytes:
        """
        The counter or the digest is another, and the checksum fits.
        """
        changed = bytearray(packet)
        start = headerLength(packet) + 8
        changed[start + draw[0] % (SIZE - 8)] = draw[1]
        changed[start + draw[2] % (SIZE - 8)] ^= draw[3]
        if draw[4] & 1:
            for offset, value in ((ADVBASE, draw[5]), (ADVSKEW, draw[6]), (DEMOTION, 0)):
                changed[start - 8 + offset] = value
        return mended(bytes(changed), pseudo=bool(draw[4] & 2))
