"""
A socket filter that lets only the advertisements of some virtual hosts through, so that
other traffic never wakes this process.
"""

from __future__ import annotations

import ctypes
import enum
import socket
import struct
from collections.abc import Iterable

from txcarp.protocol import ipv6
from txcarp.protocol.advertisement import PROTOCOL

# linux/filter.h: the instructions of classic BPF that are used here.
_LOAD_WORD = 0x20
_LOAD_HALF = 0x28
LOAD_BYTE = 0x30
_LOAD_BYTE_INDEXED = 0x50
_LOAD_HEADER_LENGTH = 0xB1
JUMP_IF_EQUAL = 0x15
RETURN = 0x06

_WHOLE_PACKET = 0x40000
INSTRUCTION = struct.Struct("=HBBI")

#: asm-generic/socket.h: not in the socket module.
SO_ATTACH_FILTER = 26

#: Where the kernel's own knowledge of a packet is loaded from: what kind of packet it is.  0 means
#: one to the hardware address of this host alone, and on this VLAN.
_KIND = 0xFFFFF004

_ETHER_TYPE, _ARP, _IPV6 = 12, 0x0806, 0x86DD

#: The offsets in an Ethernet frame of the operation and the sender's address of ARP, and of the
#: protocol of IPv6, the type of ICMP and the target of a neighbour advertisement.
_OPERATION, _SENDER, _NEXT_HEADER, _TYPE, _TARGET = 20, 28, 20, 54, 62
_REPLY, _ICMPV6, _ADVERTISEMENT = 2, 58, 136

#: The most addresses of an L{answers} filter: no jump reaches further.
MOST_ANSWERS = 64

#: The offset of the vhid in an advertisement.
_VHID = 1


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


def program(vhids: Iterable[int], beginning: Beginning) -> bytes:
    """
    Make the filter for some virtual hosts.

    It looks at the protocol and the vhid only.  Whether a packet is good is decided by
    L{txcarp.protocol.envelope.unwrap}, so that what is refused can be counted.
    """
    drop = INSTRUCTION.pack(RETURN, 0, 0, 0)
    keep = INSTRUCTION.pack(RETURN, 0, 0, _WHOLE_PACKET)
    code = _toVHID(beginning, drop)
    for vhid in sorted(set(vhids)):
        # Each vhid has its own return: a jump reaches 255 instructions at most, so a common
        # one would be out of reach for many virtual hosts.
        code += [INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 1, vhid), keep]
    return b"".join([*code, drop])


def answers(addresses: Iterable[bytes]) -> bytes:
    """
    Make the filter of a packet socket with Ethernet headers, which keeps the ARP replies and
    neighbour advertisements for some packed addresses that are sent to this host alone.

    @param addresses: L{MOST_ANSWERS} at most.
    """
    drop = INSTRUCTION.pack(RETURN, 0, 0, 0)
    keep = INSTRUCTION.pack(RETURN, 0, 0, _WHOLE_PACKET)
    wanted = sorted(set(addresses))
    ipv4 = [
        *_only(_LOAD_HALF, _OPERATION, _REPLY, drop),
        INSTRUCTION.pack(_LOAD_WORD, 0, 0, _SENDER),
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
            ipv6.append(INSTRUCTION.pack(_LOAD_WORD, 0, 0, _TARGET + 4 * place))
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


def _toVHID(beginning: Beginning, drop: bytes) -> list[bytes]:
    """
    Make the instructions that drop other protocols and load the vhid.
    """
    if beginning is Beginning.PAYLOAD:
        return [INSTRUCTION.pack(LOAD_BYTE, 0, 0, _VHID)]
    if beginning is Beginning.IPV6_HEADER:
        return [
            INSTRUCTION.pack(LOAD_BYTE, 0, 0, 6),
            INSTRUCTION.pack(JUMP_IF_EQUAL, 1, 0, PROTOCOL),
            drop,
            INSTRUCTION.pack(LOAD_BYTE, 0, 0, ipv6.HEADER + _VHID),
        ]
    return [
        INSTRUCTION.pack(LOAD_BYTE, 0, 0, 9),
        INSTRUCTION.pack(JUMP_IF_EQUAL, 1, 0, PROTOCOL),
        drop,
        INSTRUCTION.pack(_LOAD_HEADER_LENGTH, 0, 0, 0),
        INSTRUCTION.pack(_LOAD_BYTE_INDEXED, 0, 0, _VHID),
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
