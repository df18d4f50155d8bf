"""
The group that the fuzzed receiver belongs to: hosts that seal, hosts that do not,
and what is true of every advertisement that one of them made.
"""

from __future__ import annotations

import ipaddress
import random

import attrs

from benchmarks.forgery import mended
from txcarp.protocol import ipv4, ipv6
from txcarp.protocol.advertisement import BOW_OUT, Advertisement, encode
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.envelope import HOPS, wrap
from txcarp.protocol.seal import Says, Ticks, tickOf

VHID = 10
PASSWORD = b"secret"
ADDRESSES = ("10.99.0.100", "fd00::100", "fe80::100")


def packed(address: str) -> bytes:
    """
    The bytes of an address.
    """
    return ipaddress.ip_address(address).packed


#: The receiver.
OWN = (packed("10.99.0.2"), packed("fe80::2"))

#: The hosts that seal.
OTHERS = (packed("10.99.0.1"), packed("10.99.0.4"), packed("fe80::1"))

#: Of these, the one behind a router, which sends to the receiver alone.
REMOTE = OTHERS[1]

#: The hosts that do not, as ucarp and the BSD kernels.
PLAIN = (packed("10.99.0.3"), packed("fe80::3"))

#: Who speaks how often.  What is not sealed is looked at longest.
_SPEAKERS = (*OTHERS * 5, *PLAIN)

#: Who was never heard.
STRANGERS = (packed("10.99.0.66"), packed("fe80::66"))

#: Seconds since 1970 when the receiver's clock says 0.
WALL = 1.8e9


@attrs.define
class Fact:
    """
    What is known of a counter.

    @ivar made: when it was, in seconds of the receiver's clock.
    @ivar heard: whether the receiver believed it.
    """

    digest: bytes
    source: bytes
    says: Says
    made: float
    sealed: bool
    own: bool = False
    heard: bool = False


def groupFor(source: bytes) -> bytes:
    """
    The group that a source advertises to.
    """
    return ipv4.GROUP if len(source) == 4 else ipv6.GROUP


class Group:
    """
    @ivar facts: by counter.
    @ivar captured: every packet that was sent, oldest first.
    @ivar sayings: what the hosts say; less than a receiver remembers of each.
    """

    def __init__(self, dialect: Dialect, draw: random.Random) -> None:
        self.keyring = Keyring(VHID, dialect, PASSWORD, [packed(one) for one in ADDRESSES])
        self.facts: dict[int, Fact] = {}
        self.captured: list[bytes] = []
        self.sayings = (
            Says(1, 0),
            Says(1, 100),
            Says(1, 240),
            Says(0, 200),
            Says(2, 0, 30 if dialect.demotionByte else 0),
            Says(BOW_OUT, BOW_OUT),
        )
        self._draw = draw
        self._ticks = {source: Ticks() for source in OTHERS}

    def introduction(self, now: float) -> list[tuple[Fact, bytes]]:
        """
        Every host that seals, saying everything that it says.
        """
        return [
            self._make(source, says, now) for source in OTHERS for says in self.sayings
        ]

    def packet(self, now: float) -> tuple[Fact, bytes]:
        """
        Something that one of the hosts says now.
        """
        source = self._draw.choice(_SPEAKERS)
        return self._make(source, self._draw.choice(self.sayings), now)

    def ownSent(self, packets: list[tuple[Advertisement, bytes]], now: float) -> None:
        """
        The receiver advertises; the others hear it.
        """
        for advertisement, source in packets:
            for ticks in self._ticks.values():
                ticks.heard(tickOf(advertisement.counter), now)
            says = Says(advertisement.advbase, advertisement.advskew, advertisement.demotion)
            fact = Fact(advertisement.digest, source, says, now, sealed=True, own=True)
            self._publish(advertisement, source, fact)

    def _make(self, source: bytes, says: Says, now: float) -> tuple[Fact, bytes]:
        sealed = source in OTHERS
        if sealed:
            tick = self._ticks[source].next(WALL + now, now)
            assert tick is not None
            counter = self.keyring.seal.counter(tick, says, source)
        else:
            counter = self._draw.getrandbits(64)
        digest = self.keyring.sign(counter)
        fact = Fact(digest, source, says, now, sealed)
        advertisement = Advertisement(
            VHID, says.advbase, says.advskew, counter, digest, says.demotion
        )
        return fact, self._publish(advertisement, source, fact)

    def _publish(self, advertisement: Advertisement, source: bytes, fact: Fact) -> bytes:
        self.facts[advertisement.counter] = fact
        remote = source == REMOTE
        packet = wrap(
            encode(advertisement),
            source,
            OWN[0] if remote else groupFor(source),
            self._draw.getrandbits(16),
        )
        if remote:
            packet = mended(packet[:8] + bytes((HOPS - 1,)) + packet[9:])
        self.captured.append(packet)
        return packet
