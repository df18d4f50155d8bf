"""
Captures, made here byte by byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

#: When the captures begin, in seconds since 1970.
BEGIN = 1_770_000_000.0

_HARDWARE = b"\x02\0\0\0\0\x07"

#: The link types: Ethernet, cooked (two versions), and IP alone.
ETHERNET, COOKED, COOKED2, RAW, LOOPBACK = 1, 113, 276, 101, 0

#: Moments in seconds after the beginning, and IP packets.
Packets = Iterable[tuple[float, bytes]]


def frame(packet: bytes, kind: int = ETHERNET, tags: bytes = b"", here: bool = False) -> bytes:
    """
    An IP packet with its link-layer header.

    @param tags: VLAN tags, four bytes each.
    """
    ethertype = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0"
    if kind == COOKED:
        start = struct.pack("!HHH", 4 if here else 0, 1, 6) + _HARDWARE + bytes(2)
        return start + tags[:2] + tags[2:] + ethertype + packet
    if kind == COOKED2:
        start = ethertype + bytes(2) + struct.pack("!IHBB", 3, 1, 4 if here else 0, 6)
        return start + _HARDWARE + bytes(2) + packet
    if kind == ETHERNET:
        return b"\x01\0\x5e\0\0\x12" + _HARDWARE + tags + ethertype + packet
    return packet


def pcap(
    packets: Packets, kind: int = ETHERNET, order: str = "<", parts: int = 10**6, **how: bool
) -> bytes:
    """
    A file of the format pcap.
    """
    magic = 0xA1B2C3D4 if parts == 10**6 else 0xA1B23C4D
    made = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, kind)
    for after, packet in packets:
        data = frame(packet, kind, **how)  # type: ignore[arg-type]
        stamp = round((BEGIN + after) * parts)
        made += struct.pack(f"{order}IIII", stamp // parts, stamp % parts, len(data), len(data))
        made += data
    return made


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """
    A block of a pcapng file.
    """
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    """
    The beginning of a section.
    """
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(
    name: str = "", kind: int = ETHERNET, order: str = "<", resolution: int | None = None
) -> bytes:
    """
    The description of an interface.
    """
    options = b""
    if name:
        encoded = name.encode()
        options += struct.pack(f"{order}HH", 2, len(encoded)) + encoded + bytes(-len(encoded) % 4)
    if resolution is not None:
        options += struct.pack(f"{order}HHB3x", 9, 1, resolution)
    options += struct.pack(f"{order}HH", 0, 0)
    return block(1, struct.pack(f"{order}HHI", kind, 0, 0) + options, order)


def packet(
    after: float, data: bytes, index: int = 0, order: str = "<", parts: int = 10**6, kind: int = 6
) -> bytes:
    """
    A packet block: the usual kind, the old one (2) or the simple one (3).
    """
    stamp = round((BEGIN + after) * parts)
    size = len(data)
    if kind == 3:
        head = struct.pack(f"{order}I", size)
    else:
        form = f"{order}IIIII" if kind == 6 else f"{order}HHIIII"
        first = (index,) if kind == 6 else (index, 0)
        head = struct.pack(form, *first, stamp >> 32, stamp & 0xFFFFFFFF, size, size)
    return block(kind, head + data, order)


def pcapng(packets: Packets, order: str = "<", name: str = "eth3") -> bytes:
    """
    A file of the format pcapng.
    """
    made = section(order) + interface(name, order=order)
    return made + b"".join(packet(after, frame(data), order=order) for after, data in packets)
