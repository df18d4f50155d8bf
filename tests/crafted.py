"""
Advertisements made by hand, good or with one thing changed.

Nothing of L{txcarp} is used here: what the program reads and writes is held
against a second implementation.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import struct

#: The group in which most tests take part.
PASSWORD = b"secret"
VHID = 10
ADDRESS = "10.99.0.100"
OWN = "10.99.0.2"
PEER = "10.99.0.1"
GROUP = "224.0.0.18"


def checksum(data: bytes) -> int:
    """
    RFC 1071, word by word.
    """
    total = 0
    for (word,) in struct.iter_unpack("!H", data + b"\0" * (len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF ^ total


def digest(counter: int, password: bytes = PASSWORD, vhid: int = VHID, *addresses: str) -> bytes:
    """
    The HMAC of an advertisement for IPv4 addresses that are in order.
    """
    packed = b"".join(map(socket.inet_aton, addresses or (ADDRESS,)))
    message = bytes((2, 1, vhid)) + packed + struct.pack("!Q", counter)
    return hmac.new(password, message, hashlib.sha1).digest()


def payload(
    *,
    vhid: int = VHID,
    advbase: int = 5,
    advskew: int = 0,
    counter: int = 1,
    version: int = 2,
    kind: int = 1,
    authlen: int = 7,
    demotion: int = 0,
    password: bytes = PASSWORD,
    badDigest: bool = False,
) -> bytes:
    """
    The 36 bytes.
    """
    proof = bytearray(digest(counter, password, vhid))
    if badDigest:
        proof[0] ^= 1
    start = bytes((version << 4 | kind, vhid, advskew, authlen, demotion, advbase))
    rest = struct.pack("!Q", counter) + bytes(proof)
    return start + struct.pack("!H", checksum(start + b"\0\0" + rest)) + rest


def packet(
    body: bytes | None = None,
    *,
    source: str = PEER,
    destination: str = GROUP,
    ttl: int = 255,
    protocol: int = 112,
    tos: int = 0x10,
    fragment: int = 0x4000,
    length: int | None = None,
    options: bytes = b"",
    identification: int = 0x1234,
    **fields: int | bytes | bool,
) -> bytes:
    """
    An IPv4 packet with a correct header checksum around a payload; C{fields}
    are those of L{payload}.
    """
    if body is None:
        body = payload(**fields)  # type: ignore[arg-type]
    header = (
        struct.pack(
            "!BBHHHBBH",
            0x45 + len(options) // 4,
            tos,
            20 + len(options) + len(body) if length is None else length,
            identification,
            fragment,
            ttl,
            protocol,
            0,
        )
        + socket.inet_aton(source)
        + socket.inet_aton(destination)
        + options
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def vrrp2(addresses: int, vrid: int = VHID) -> bytes:
    """
    The payload of a VRRP version 2 advertisement (RFC 3768).
    """
    start = bytes((0x21, vrid, 100, addresses, 0, 1))
    rest = b"".join(bytes((10, 0, 0, n + 1)) for n in range(addresses)) + b"\0" * 8
    return start + struct.pack("!H", checksum(start + b"\0\0" + rest)) + rest


def plusOne(data: bytes, offset: int, change: int = 1) -> bytes:
    """
    The same with the 16-bit word at an offset changed.
    """
    (word,) = struct.unpack_from("!H", data, offset)
    return data[:offset] + struct.pack("!H", (word + change) & 0xFFFF) + data[offset + 2 :]
