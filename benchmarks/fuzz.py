"""
Random and mutated packets through everything that a packet from the network
reaches before it is believed: unwrapping, the digest, the election::

    python benchmarks/fuzz.py --packets 10000000

Prints what became of them.  Exits with status 1 when anything but L{Rejected}
is raised, or when the election moves for a packet whose digest was not made
with the password.
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from txcarp.interfaces import ICARPState
from txcarp.protocol import election
from txcarp.protocol.advertisement import SIZE, Advertisement, encode
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.election import Peer, Standing
from txcarp.protocol.envelope import sourceOf, unwrap, wrap
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.timing import Timing

VHID = 10
OWN = socket.inet_aton("10.99.0.2")
PEER = socket.inet_aton("10.99.0.1")
AUTHENTICATOR = Authenticator(b"secret", VHID, [socket.inet_aton("10.99.0.100")])

#: Good advertisements that the others are made from.
GOOD = 64

_HEADER = 20
_LENGTH = _HEADER + SIZE


class Receiver:
    """
    The way of a packet, as a virtual host has it.

    @ivar state: Of the election.
    @ivar moves: How often it moved.
    """

    def __init__(self) -> None:
        self.state: ICARPState = election.BACKUP
        self.moves = 0
        self.rejected: Counter[Rejection] = Counter()
        self.accepted = 0
        self._standing = Standing(
            timing=Timing(1, 100), deadRatio=3, preempt=True, source=OWN
        )

    def receive(self, packet: bytes) -> Advertisement | None:
        """
        Take one packet.

        @return: What was believed.
        """
        try:
            advertisement = unwrap(packet, _AUDIENCE)
            if not AUTHENTICATOR.verify(advertisement.counter, advertisement.digest):
                raise Rejected(Rejection.DIGEST)
        except Rejected as rejected:
            self.rejected[rejected.reason] += 1
            return None
        self.accepted += 1
        peer = Peer(Timing(advertisement.advbase, advertisement.advskew), sourceOf(packet))
        before = self.state
        self.state, _ = before.heard(self._standing, peer)
        if self.state is not before:
            self.moves += 1
        return advertisement


def goodPackets(generator: random.Random) -> list[bytes]:
    """
    Advertisements as a peer would send them.
    """
    packets = []
    for _ in range(GOOD):
        counter = generator.getrandbits(64)
        advertisement = Advertisement(
            vhid=VHID,
            advbase=generator.randrange(4),
            advskew=generator.randrange(256),
            counter=counter,
            digest=AUTHENTICATOR.sign(counter),
        )
        packets.append(
            wrap(encode(advertisement), PEER, GROUP, generator.getrandbits(16))
        )
    return packets


def mended(packet: bytearray) -> bytes:
    """
    The same with both checksums right, so that it reaches the digest.
    """
    packet[26:28] = packet[10:12] = b"\0\0"
    packet[26:28] = internetChecksum(packet[_HEADER:_LENGTH]).to_bytes(2, "big")
    packet[10:12] = internetChecksum(packet[:_HEADER]).to_bytes(2, "big")
    return bytes(packet)


def maker(generator: random.Random, good: list[bytes]) -> Callable[[], bytes]:
    """
    What makes the packets: bytes without sense, good packets with a few bytes
    changed or cut off, and such with their checksums made right again.
    """
    randbytes = generator.randbytes

    def make() -> bytes:
        draw = randbytes(8)
        kind = draw[0] & 7
        if kind == 0:
            return randbytes(draw[1] & 127)
        packet = bytearray(good[draw[1] % GOOD])
        packet[draw[2] % _LENGTH] = draw[3]
        if kind == 1:  # cut, or with more behind it
            return bytes(packet[: draw[4] % 64]) + draw[5 : draw[6] % 9]
        if kind < 4:
            packet[draw[4] % _LENGTH] = draw[5]
            return bytes(packet)
        if kind == 4:  # what the digest does not cover
            packet = bytearray(good[draw[1] % GOOD])
            packet[22], packet[24] = draw[2:4]
            packet[25] = b"\0\1\2\3\xff"[draw[4] % 5]
            packet[15] = draw[5] or 1
            return mended(packet)
        # The advertisement only, so that the packet goes far.
        packet = bytearray(good[draw[1] % GOOD])
        packet[28 + draw[2] % 28] = draw[3]
        packet[28 + draw[4] % 28] ^= draw[5]
        return mended(packet)

    return make


def fuzz(count: int, seed: int) -> tuple[Receiver, list[str]]:
    """
    @return: What received them all, and what went wrong.
    """
    generator = random.Random(seed)
    good = goodPackets(generator)
    signed = {packet[28:_LENGTH] for packet in good}
    receiver = Receiver()
    make = maker(generator, good)
    wrong: list[str] = []
    for number in range(count):
        packet = make()
        before = receiver.state
        try:
            advertisement = receiver.receive(packet)
        except Exception:
            wrong.append(f"packet {number}: {packet.hex()}\n{traceback.format_exc()}")
            continue
        if advertisement is None:
            if receiver.state is not before:
                wrong.append(f"packet {number} was refused and moved the election: {packet.hex()}")
        elif advertisement.counter.to_bytes(8, "big") + advertisement.digest not in signed:
            wrong.append(f"packet {number} was believed and nobody signed it: {packet.hex()}")
    return receiver, wrong


def main() -> int:
    """
    @return: The exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("::")[0])
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=112)
    arguments = parser.parse_args()
    start = time.perf_counter()
    receiver, wrong = fuzz(arguments.packets, arguments.seed)
    seconds = time.perf_counter() - start
    for reason in Rejection:
        print(f"{receiver.rejected[reason]:>12}  {reason.value}")
    print(f"{receiver.accepted:>12}  believed; the election moved {receiver.moves} times")
    rate = arguments.packets / seconds
    print(f"{arguments.packets:>12}  in {seconds:.1f} s, {rate:.0f} a second")
    for problem in wrong[:10]:
        print(problem, file=sys.stderr)
    print(f"{len(wrong)} faults (seed {arguments.seed})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
