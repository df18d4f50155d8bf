"""
Reading captures: the formats pcap and pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).

A file may be broken or made by an enemy.  Nothing but L{BrokenCapture} is raised because of that,
and no more than one block is in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

#: The most bytes of a packet or block that are read.
_LARGEST = 1 << 24

#: The most interfaces of one section of a pcapng file.
_INTERFACES = 1024

#: The first four bytes of a pcap file, with the order of bytes and the parts of a second.
_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 10**6),
    b"\xa1\xb2\xc3\xd4": (">", 10**6),
    b"\x4d\x3c\xb2\xa1": ("<", 10**9),
    b"\xa1\xb2\x3c\x4d": (">", 10**9),
}

_SECTION = b"\x0a\x0d\x0d\x0a"
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6
_NAME, _RESOLUTION, _OFFSET = 2, 9, 14

# Link types (https://www.tcpdump.org/linktypes.html).
_ETHERNET, _COOKED, _COOKED2 = 1, 113, 276
_RAW = frozenset((12, 14, 101, 228, 229))

#: Of cooked captures: a packet that this machine sent.
_OUTGOING = 4

_TAGS = frozenset((0x8100, 0x88A8))
_IP = frozenset((0x0800, 0x86DD))


class BrokenCapture(ValueError):
    """
    This is no capture, or one that cannot be read from some place on.  The text says why.
    """


class Captured(NamedTuple):
    """
    An IP packet of a capture.

    @ivar when: Seconds since 1970.
    @ivar interface: The name of the interface; empty if the capture does not have it.
    @ivar data: The packet, from the IP header on; it may be cut off.
    @ivar hardware: The link-layer address that sent it; may be empty.
    @ivar here: Whether the machine of the capture sent it.
    """

    when: float
    interface: str
    data: bytes
    hardware: bytes
    here: bool


class _Link(NamedTuple):
    """
    An interface of a capture.
    """

    kind: int
    name: str = ""
    parts: int = 10**6
    offset: int = 0


def readCapture(file: BinaryIO) -> Iterator[Captured]:
    """
    Read the IP packets of a capture; others are left out.

    @raise BrokenCapture: When the first thing is reached that cannot be understood.
    """
    magic = file.read(4)
    if magic in _MAGICS:
        frames = _pcap(file, *_MAGICS[magic])
    elif magic == _SECTION:
        frames = _pcapng(file)
    else:
        raise BrokenCapture("it is not a capture: it is neither pcap nor pcapng")
    for when, link, frame in frames:
        found = _unwrapped(link, frame)
        if found is not None:
            data, hardware, here, name = found
            yield Captured(when, link.name + name, data, hardware, here)


def _read(file: BinaryIO, size: int, what: str) -> bytes:
    if size > _LARGEST:
        raise BrokenCapture(f"{what} claims to have {size} bytes")
    data = file.read(size)
    if len(data) < size:
        raise BrokenCapture(f"it ends in the middle of {what}")
    return data


def _pcap(file: BinaryIO, order: str, parts: int) -> Iterator[tuple[float, _Link, bytes]]:
    *_, kind = struct.unpack(f"{order}HHiIII", _read(file, 20, "the header"))
    link = _Link(kind & 0x0FFFFFFF)
    header = struct.Struct(f"{order}IIII")
    number = 0
    while first := file.read(header.size):
        number += 1
        what = f"packet {number}"
        rest = _read(file, header.size - len(first), what)
        seconds, fraction, size, _ = header.unpack(first + rest)
        yield seconds + min(fraction, parts) / parts, link, _read(file, size, what)


def _pcapng(file: BinaryIO) -> Iterator[tuple[float, _Link, bytes]]:
    """
    Read the blocks.  The type of the first one, that of a section, has been read.
    """
    order, links, when = "<", list[_Link](), 0.0
    kind, number = _SECTION, 0
    while kind:
        number += 1
        what = f"block {number}"
        kind += _read(file, 4 - len(kind), what)
        size = _read(file, 4, what)
        begun = b""
        if kind == _SECTION:
            begun = _read(file, 4, what)
            if begun not in _ORDERS:
                raise BrokenCapture(f"{what} begins a section with an unknown order of bytes")
            order, links = _ORDERS[begun], []
        (length,) = struct.unpack(f"{order}I", size)
        if length % 4 or length < 12 + len(begun):
            raise BrokenCapture(f"{what} claims to have {length} bytes")
        body = _read(file, length - 12 - len(begun), what)
        if _read(file, 4, what) != size:
            raise BrokenCapture(f"{what} has two different lengths")
        (which,) = struct.unpack(f"{order}I", kind)
        if kind == _SECTION:
            pass
        elif which == _INTERFACE:
            if len(links) >= _INTERFACES:
                raise BrokenCapture(f"there are more than {_INTERFACES} interfaces")
            links.append(_link(body, order, what))
        elif which in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
            index, stamp, data = _packet(which, body, order, what)
            if index >= len(links):
                raise BrokenCapture(f"{what} is from an interface that is not described")
            link = links[index]
            if stamp is not None:
                when = stamp / link.parts + link.offset
            yield when, link, data
        kind = file.read(4)


def _link(body: bytes, order: str, what: str) -> _Link:
    """
    Read the description of an interface.
    """
    if len(body) < 8:
        raise BrokenCapture(f"{what} describes no interface")
    (kind,) = struct.unpack_from(f"{order}H", body)
    name, parts, offset = "", 10**6, 0
    place = 8
    while place + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}HH", body, place)
        value = body[place + 4 : place + 4 + size]
        if code == 0 or len(value) < size:
            break
        if code == _NAME:
            text = value.split(b"\0", 1)[0].decode("utf-8", "replace")[:32]
            name = "".join(one if one.isprintable() else "?" for one in text)
        elif code == _RESOLUTION and size == 1:
            exponent = value[0] & 0x7F
            parts = 2**exponent if value[0] & 0x80 else 10**exponent
        elif code == _OFFSET and size == 8:
            (offset,) = struct.unpack(f"{order}q", value)
        place += 4 + size + -size % 4
    return _Link(kind, name, parts, offset)


def _packet(kind: int, body: bytes, order: str, what: str) -> tuple[int, int | None, bytes]:
    """
    Read a packet: the index of its interface, its time, and the frame.
    """
    if kind == _SIMPLE_PACKET:
        form, index, stamp = struct.Struct(f"{order}I"), 0, None
        if len(body) < form.size:
            raise BrokenCapture(f"{what} has no packet")
        size = min(form.unpack_from(body)[0], len(body) - form.size)
    else:
        form = struct.Struct(f"{order}IIIII" if kind == _PACKET else f"{order}HHIIII")
        if len(body) < form.size:
            raise BrokenCapture(f"{what} has no packet")
        fields = form.unpack_from(body)
        index, high, low, size = fields[0], *fields[-4:-1]
        stamp = high << 32 | low
    if size > len(body) - form.size:
        raise BrokenCapture(f"{what} claims a packet of {size} bytes")
    return index, stamp, body[form.size : form.size + size]


def _unwrapped(link: _Link, frame: bytes) -> tuple[bytes, bytes, bool, str] | None:
    """
    The IP packet in a frame, who sent it, whether that was this machine, and what belongs to the
    name of the interface; C{None} if it has no IP packet.
    """
    if link.kind in _RAW:
        return frame, b"", False, ""
    name = ""
    if link.kind == _ETHERNET:
        hardware, here, start = frame[6:12], False, 14
        kind = int.from_bytes(frame[12:14], "big")
    elif link.kind == _COOKED:
        hardware, here, start = frame[6:12], frame[:2] == b"\0\4", 16
        kind = int.from_bytes(frame[14:16], "big")
    elif link.kind == _COOKED2:
        hardware, here, start = frame[12:18], frame[10:11] == b"\4", 20
        kind = int.from_bytes(frame[:2], "big")
        name = f"#{int.from_bytes(frame[4:8], 'big')}"
    else:
        return None
    for _ in range(2):
        if kind in _TAGS and len(frame) >= start + 4:
            tag = int.from_bytes(frame[start : start + 2], "big") & 0x0FFF
            kind = int.from_bytes(frame[start + 2 : start + 4], "big")
            name, start = f"{name}.{tag}", start + 4
    return (frame[start:], hardware, here, name) if kind in _IP else None
