"""
The Internet checksum.
"""

from __future__ import annotations


def internetChecksum(data: bytes) -> int:
    """
    Return the 16-bit one's complement checksum of RFC 1071.

    The result is zero for data that contains its own correct checksum.  Data with an odd
    number of bytes is padded with a zero.

    One's complement addition of 16-bit words is arithmetic modulo 65535, and 65536 is
    congruent to 1 modulo 65535.  The sum of the words is therefore congruent to the data read
    as one big number.  One's complement has two zeros where the remainder has one: only data
    that is all zeros has the sum 0, and every other multiple of 65535 has the sum 65535.
    """
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    if number == 0:
        return 0xFFFF
    return 0xFFFF - (number % 0xFFFF or 0xFFFF)
