"""
The Internet checksum.
"""

from __future__ import annotations


def internetChecksum(data: bytes) -> int:
    """
    The 16-bit one's complement checksum of RFC 1071.

    Over data that carries a correct checksum the result is zero.  An odd last
    byte is padded with zero.

    One's complement addition of 16-bit words is arithmetic modulo 65535, and
    65536 is congruent to 1 modulo 65535: the sum of the words is therefore the
    remainder of the whole number that the bytes spell.  The remainder has one
    zero where one's complement has two, and only data without any bit set sums
    to the other.
    """
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    if number == 0:
        return 0xFFFF
    return 0xFFFF - (number % 0xFFFF or 0xFFFF)
