"""
The filters of sockets, which the kernel runs: what a filter drops never wakes this process.
"""

from __future__ import annotations

import ctypes
import enum
import socket
import struct
from collections.abc import Iterable

import attrs

from txcarp.protocol import ipv6
from txcarp.protocol.advertisement import PROTOCOL, SIZE

# linux/bpf_common.h and filter.h: the instructions of classic BPF that are used here.  Each works
# on an accumulator and an index.
LOAD_WORD = 0x20
_LOAD_HALF = 0x28
LOAD_BYTE = 0x30
_LOAD_BYTE_INDEXED = 0x50
_LOAD_SIZE = 0x80
_LOAD_NUMBER = 0x00
LOAD_STORED = 0x60
_STORE = 0x02
_LOAD_HEADER_LENGTH = 0xB1
_TO_INDEX = 0x07
_AND = 0x54
SHIFT = 0x74
_SHIFT_BY_INDEX = 0x7C
_SUBTRACT_INDEX = 0x1C
_JUMP = 0x05
JUMP_IF_EQUAL = 0x15
JUMP_IF_GREATER = 0x25
_JUMP_UNLESS_LESS = 0x35
_JUMP_IF_SET = 0x45
RETURN = 0x06

WHOLE_PACKET = 0x40000
INSTRUCTION = struct.Struct("=HBBI")

#: Stands for a jump behind the block of instructions in which it is.
LEAVE = b""

#: asm-generic/socket.h: not in the socket module.
SO_ATTACH_FILTER = 26

#: Where the kernel's own knowledge of a packet is loaded from: what kind of packet it is.  0 means
#: one to the hardware address of this host alone, and on this VLAN; 1 and 2 are broadcast and
#: multicast, and higher numbers are packets for others, or of this host.
_KIND = 0xFFFFF004
_MULTICAST_KIND = 2

#: The offset from which the kernel counts from the beginning of the IP header, wherever the packet
#: begins for this socket.
_IP_HEADER = 0xFFF00000

_ETHER_TYPE, _ARP, _IPV6 = 12, 0x0806, 0x86DD

#: The offsets in an Ethernet frame of the operation and the sender's address of ARP, and of the
#: protocol of IPv6, the type of ICMP and the target of a neighbour advertisement.
_OPERATION, _SENDER, _NEXT_HEADER, _TYPE, _TARGET = 20, 28, 20, 54, 62
_REPLY, _ICMPV6, _ADVERTISEMENT = 2, 58, 136

#: The most addresses of an L{answers} filter: no jump reaches further.
MOST_ANSWERS = 64

#: The offset of the vhid in an advertisement.
VHID = 1


class Beginning(enum.Enum):
    """
    What the filter of a socket sees at the beginning of each packet.
    """

    #: A raw IPv4 socket, or a packet socket for IPv4 without link header.
    IPV4_HEADER = "IPv4 header"

    #: A packet socket for IPv6 without link header.
    IPV6_HEADER = "IPv6 header"

    #: A raw IPv6 socket; the kernel passes no other protocol to it.
    PAYLOAD = "payload"


@attrs.frozen
class Layout:
    """
    Where the fields are.

    @ivar protocol: The offset of the protocol; negative if the kernel has looked at it.
    @ivar header: The bytes in front of the payload; C{None} for those that an IPv4 header says.
    """

    protocol: int
    hops: int
    source: int
    destination: int
    header: int | None


LAYOUTS = {
    Beginning.IPV4_HEADER: Layout(9, 8, 12, 16, None),
    Beginning.IPV6_HEADER: Layout(6, 7, 8, 24, ipv6.HEADER),
    Beginning.PAYLOAD: Layout(-1, _IP_HEADER + 7, _IP_HEADER + 8, _IP_HEADER + 24, 0),
}


def program(vhids: Iterable[int], beginning: Beginning) -> bytes:
    """
    Make the filter that keeps all packets with one of some vhids, whatever else is in them.
    """
    layout = LAYOUTS[beginning]
    keep = returning(WHOLE_PACKET)
    return b"".join([*protocolOnly(layout), *among(vhids, layout, returning(0)), keep])


def returning(size: int) -> bytes:
    """
    Make the instruction that keeps this many bytes of the packet.
    """
    return INSTRUCTION.pack(RETURN, 0, 0, size)


def closed(block: list[bytes]) -> list[bytes]:
    """
    Make the jumps that leave a block.
    """
    return [
        INSTRUCTION.pack(_JUMP, 0, 0, len(block) - place - 1) if one == LEAVE else one
        for place, one in enumerate(block)
    ]


def protocolOnly(layout: Layout) -> list[bytes]:
    if layout.protocol < 0:
        return []
    return _only(LOAD_BYTE, layout.protocol, PROTOCOL, returning(0))


def loadPayload(layout: Layout, offset: int) -> list[bytes]:
    """
    Make the instructions that load a byte of the payload.
    """
    if layout.header is not None:
        return [INSTRUCTION.pack(LOAD_BYTE, 0, 0, layout.header + offset)]
    return [
        INSTRUCTION.pack(_LOAD_HEADER_LENGTH, 0, 0, 0),
        INSTRUCTION.pack(_LOAD_BYTE_INDEXED, 0, 0, offset),
    ]


def sizeOnly(layout: Layout, refuse: bytes) -> list[bytes]:
    """
    Make the instructions that refuse a packet which is too short for an advertisement.
    """
    load = [INSTRUCTION.pack(_LOAD_SIZE, 0, 0, 0)]
    if layout.header is None:
        load.insert(0, INSTRUCTION.pack(_LOAD_HEADER_LENGTH, 0, 0, 0))
        load.append(INSTRUCTION.pack(_SUBTRACT_INDEX, 0, 0, 0))
    least = SIZE + (layout.header or 0)
    return [*load, INSTRUCTION.pack(_JUMP_UNLESS_LESS, 1, 0, least), refuse]


def among(vhids: Iterable[int], layout: Layout, refuse: bytes) -> list[bytes]:
    """
    Make the instructions that refuse a packet with another vhid, and store its vhid.  They look it
    up in a set of bits, so that it takes no longer with many.
    """
    words: dict[int, int] = {}
    for vhid in vhids:
        words[vhid >> 5] = words.get(vhid >> 5, 0) | 1 << (vhid & 31)
    find = []
    for number, word in sorted(words.items()):
        find.append(INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 2, number))
        find += [INSTRUCTION.pack(_LOAD_NUMBER, 0, 0, word), LEAVE]
    return [
        *loadPayload(layout, VHID),
        INSTRUCTION.pack(_STORE, 0, 0, 0),
        INSTRUCTION.pack(_AND, 0, 0, 31),
        INSTRUCTION.pack(_TO_INDEX, 0, 0, 0),
        INSTRUCTION.pack(LOAD_STORED, 0, 0, 0),
        INSTRUCTION.pack(SHIFT, 0, 0, 5),
        *closed([*find, refuse]),
        INSTRUCTION.pack(_SHIFT_BY_INDEX, 0, 0, 0),
        INSTRUCTION.pack(_JUMP_IF_SET, 1, 0, 1),
        refuse,
    ]


def lastWord(address: bytes) -> int:
    """
    The last 32 bits of a packed address.
    """
    return int.from_bytes(address[-4:])


def loadLastWord(offset: int, layout: Layout) -> list[bytes]:
    """
    Make the instruction that loads the last 32 bits of an address.
    """
    return [INSTRUCTION.pack(LOAD_WORD, 0, 0, offset + (0 if layout.header is None else 12))]


def answers(addresses: Iterable[bytes]) -> bytes:
    """
    Make the filter of a packet socket with Ethernet headers, which keeps the ARP replies and
    neighbour advertisements for some packed addresses that are sent to this host alone.

    @param addresses: L{MOST_ANSWERS} at most.
    """
    drop = INSTRUCTION.pack(RETURN, 0, 0, 0)
    keep = INSTRUCTION.pack(RETURN, 0, 0, WHOLE_PACKET)
    wanted = sorted(set(addresses))
    ipv4 = [
        *_only(_LOAD_HALF, _OPERATION, _REPLY, drop),
        INSTRUCTION.pack(LOAD_WORD, 0, 0, _SENDER),
    ]
    ipv6 = [
        *_only(LOAD_BYTE, _NEXT_HEADER, _ICMPV6, drop),
        *_only(LOAD_BYTE, _TYPE, _ADVERTISEMENT, drop),
    ]
    for address in wanted:
        if len(address) == 4:
            word = int.from_bytes(address, "big")
            ipv4 += [INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 1, word), keep]
            continue
        for place, word in enumerate(struct.unpack("!4I", address)):
            ipv6.append(INSTRUCTION.pack(LOAD_WORD, 0, 0, _TARGET + 4 * place))
            ipv6.append(INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 7 - 2 * place, word))
        ipv6.append(keep)
    code = [
        *_only(LOAD_BYTE, _KIND, 0, drop),
        INSTRUCTION.pack(_LOAD_HALF, 0, 0, _ETHER_TYPE),
        INSTRUCTION.pack(JUMP_IF_EQUAL, 0, len(ipv4) + 1, _ARP),
        *ipv4,
        drop,
        INSTRUCTION.pack(JUMP_IF_EQUAL, 1, 0, _IPV6),
        drop,
        *ipv6,
        drop,
    ]
    return b"".join(code if wanted else [drop])


def _only(load: int, offset: int, value: int, drop: bytes) -> list[bytes]:
    """
    Make the instructions that drop a packet with another value in one place.
    """
    return [
        INSTRUCTION.pack(load, 0, 0, offset),
        INSTRUCTION.pack(JUMP_IF_EQUAL, 1, 0, value),
        drop,
    ]


def attach(sock: socket.socket, code: bytes) -> None:
    """
    Replace the filter of a socket, in one step.

    @raise OSError: If the kernel refuses it.
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    count = len(code) // INSTRUCTION.size
    sock.setsockopt(
        socket.SOL_SOCKET,
        SO_ATTACH_FILTER,
        struct.pack("HL", count, ctypes.addressof(instructions)),
    )
