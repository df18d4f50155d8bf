"""
Handmade advertisements, good or with one thing changed.

Nothing of L{txcarp} is used here: this is a second implementation, with which the program is
compared.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import struct
from collections.abc import Sequence

#: The group of most tests.
PASSWORD = b"secret"
VHID = 10
ADDRESS = "10.99.0.100"
OWN = "10.99.0.2"
PEER = "10.99.0.1"
GROUP = "224.0.0.18"

#: The same in IPv6.
ADDRESS6 = "fd00:99::100"
OWN6 = "fe80::2"
PEER6 = "fe80::1"
GROUP6 = "ff02::12"


def checksum(data: bytes) -> int:
    """
    Return the checksum of RFC 1071, computed word by word.
    """
    total = 0
    for (word,) in struct.iter_unpack("!H", data + b"\0" * (len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF ^ total


def packed(address: str) -> bytes:
    """
    Return the packed form of an address of either family.
    """
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def digest(
    counter: int,
    password: bytes = PASSWORD,
    vhid: int = VHID,
    *addresses: str,
    hardware: bytes = b"",
) -> bytes:
    """
    Return the HMAC of an advertisement. It covers the IPv4 addresses first, and each family in
    ascending order.

    @param hardware: The hardware address that OpenBSD puts in front of the vhid.
    """
    signed = [packed(address) for address in addresses or (ADDRESS,)]
    signed.sort(key=lambda address: (len(address), address))
    start = bytes((2, 1)) + hardware + bytes((vhid,))
    message = start + b"".join(signed) + struct.pack("!Q", counter)
    return hmac.new(password, message, hashlib.sha1).digest()


def tag(
    tick: int,
    source: str = PEER,
    *,
    advbase: int = 5,
    advskew: int = 0,
    demotion: int = 0,
    vhid: int = VHID,
    password: bytes = PASSWORD,
) -> int:
    """
    Return the 24 bits that authenticate the fields of an advertisement. They are the beginning of
    an HMAC-SHA256 over the start of its header (without authlen and checksum), its source address
    with its length, and its tick in 64 bits. The key is derived from the password.
    """
    purpose = b"txcarp: sealed advertisements, version 1"
    key = hmac.new(password, purpose, hashlib.sha256).digest()
    address = packed(source)
    says = bytes((0x21, vhid, advbase, advskew, demotion, len(address)))
    message = says + struct.pack("!Q", tick) + address
    return int.from_bytes(hmac.new(key, message, hashlib.sha256).digest()[:3], "big")


def sealed(
    tick: int,
    source: str = PEER,
    *,
    advbase: int = 5,
    advskew: int = 0,
    demotion: int = 0,
    vhid: int = VHID,
    password: bytes = PASSWORD,
) -> int:
    """
    Return a sealed counter.
    """
    proof = tag(
        tick,
        source,
        advbase=advbase,
        advskew=advskew,
        demotion=demotion,
        vhid=vhid,
        password=password,
    )
    return tick * 2**24 + proof


def tickOf(counter: int) -> int:
    """
    Return the tick of a sealed counter.
    """
    return counter >> 24


def pseudoHeader(source: str, destination: str, length: int = 36) -> bytes:
    """
    Return the IPv6 pseudo-header, which some checksums cover.
    """
    return packed(source) + packed(destination) + struct.pack("!II", length, 112)


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
    addresses: Sequence[str] = (),
    pseudo: bytes = b"",
) -> bytes:
    """
    Return the 36 bytes of an advertisement.

    @param addresses: The addresses to sign in place of L{ADDRESS}.
    @param pseudo: A pseudo-header for the checksum to cover.
    """
    proof = bytearray(digest(counter, password, vhid, *addresses))
    if badDigest:
        proof[0] ^= 1
    start = bytes((version << 4 | kind, vhid, advskew, authlen, demotion, advbase))
    rest = struct.pack("!Q", counter) + bytes(proof)
    return start + struct.pack("!H", checksum(pseudo + start + b"\0\0" + rest)) + rest


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
    **fields: int | bytes | bool | Sequence[str],
) -> bytes:
    """
    Return a payload in an IPv4 packet with a correct header checksum; C{fields} are those of
    L{payload}.
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


def packet6(
    body: bytes | None = None,
    *,
    source: str = PEER6,
    destination: str = GROUP6,
    hops: int = 255,
    protocol: int = 112,
    flow: int = 0,
    length: int | None = None,
    pseudo: bool = False,
    **fields: int | bytes | bool | Sequence[str],
) -> bytes:
    """
    Return a payload in an IPv6 packet; C{fields} are those of L{payload}.

    @param flow: The traffic class and the flow label.
    @param pseudo: Whether the checksum of the payload covers the pseudo-header.
    """
    if body is None:
        extra = pseudoHeader(source, destination) if pseudo else b""
        body = payload(pseudo=extra, **fields)  # type: ignore[arg-type]
    size = len(body) if length is None else length
    header = struct.pack("!IHBB", 6 << 28 | flow, size, protocol, hops)
    return header + packed(source) + packed(destination) + body


def sealedPacket(
    tick: int,
    source: str = PEER,
    *,
    advbase: int = 5,
    advskew: int = 0,
    demotion: int = 0,
    password: bytes = PASSWORD,
) -> bytes:
    """
    Return a packet to the group with a sealed counter, of the family of its source.
    """
    counter = sealed(
        tick, source, advbase=advbase, advskew=advskew, demotion=demotion, password=password
    )
    body = payload(
        advbase=advbase,
        advskew=advskew,
        demotion=demotion,
        counter=counter,
        password=password,
    )
    return packet6(body, source=source) if ":" in source else packet(body, source=source)


def vrrp2(addresses: int, vrid: int = VHID, authentication: int = 8) -> bytes:
    """
    Return the payload of a VRRP version 2 advertisement (RFC 3768).

    @param authentication: Bytes of authentication data.
    """
    start = bytes((0x21, vrid, 100, addresses, 0, 1))
    rest = b"".join(bytes((10, 0, 0, n + 1)) for n in range(addresses))
    rest += (b"\0" * 8 + b"\xa5" * 250)[:authentication]
    return start + struct.pack("!H", checksum(start + b"\0\0" + rest)) + rest


def plusOne(data: bytes, offset: int, change: int = 1) -> bytes:
    """
    Return the data with a change to the 16-bit word at an offset.
    """
    (word,) = struct.unpack_from("!H", data, offset)
    return data[:offset] + struct.pack("!H", (word + change) & 0xFFFF) + data[offset + 2 :]


def isIPv6(data: bytes) -> bool:
    """
    Whether a packet begins like one of IPv6.
    """
    return bool(data) and data[0] >> 4 == 6


def payloadAt(data: bytes) -> int:
    """
    Return the offset of the payload in an IP packet of either family; 0 if the header is
    incomplete.
    """
    if not data:
        return 0
    length = 40 if isIPv6(data) else data[0] % 16 * 4
    return length if 20 <= length <= len(data) else 0


def payloadOf(packet: bytes) -> bytes:
    """
    Return the payload of an IP packet of either family.
    """
    return packet[payloadAt(packet) :]


def sourceOf(packet: bytes) -> bytes:
    """
    Return the packed source address of an IP packet of either family.
    """
    return packet[8:24] if isIPv6(packet) else packet[12:16]


def destinationOf(packet: bytes) -> bytes:
    """
    Return the packed destination address of an IP packet of either family.
    """
    return packet[24:40] if isIPv6(packet) else packet[16:20]


def mended(data: bytes, *, pseudo: bool = False) -> bytes:
    """
    Return the packet with correct checksums, so that it reaches the check of the digest. A packet
    that is too short for an advertisement does not change.

    @param pseudo: Whether the checksum in an IPv6 packet covers the pseudo-header, too.
    """
    start = payloadAt(data)
    if not start or len(data) < start + 36:
        return data
    header, body, rest = data[:start], data[start : start + 36], data[start + 36 :]
    summed = body[:6] + b"\0\0" + body[8:]
    if isIPv6(data):
        if pseudo:
            summed = header[8:40] + struct.pack("!II", 36, 112) + summed
    else:
        header = header[:10] + b"\0\0" + header[12:]
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return header + body[:6] + struct.pack("!H", checksum(summed)) + body[8:] + rest


def forged(
    data: bytes,
    *,
    advbase: int | None = None,
    advskew: int | None = None,
    demotion: int | None = None,
    source: bytes | None = None,
) -> bytes:
    """
    Return what an attacker without the password makes of a captured advertisement: changed fields
    that the digest does not cover, the captured counter and digest, and correct checksums.

    @param data: A whole packet.
    @param source: A packed address of the packet's family.
    """
    changed = bytearray(data)
    start = payloadAt(data)
    for offset, value in ((2, advskew), (4, demotion), (5, advbase)):
        if value is not None:
            changed[start + offset] = value
    if source is not None:
        where = 8 if isIPv6(data) else 12
        changed[where : where + len(source)] = source
    return mended(bytes(changed))
