"""
The bytes of netlink: messages with a header, and attributes in them.

All numbers are in the host's byte order (RFC 3549; C{include/uapi/linux/netlink.h} of the
kernel).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import attrs

NLM_F_REQUEST = 0x01
NLM_F_MULTI = 0x02
NLM_F_ACK = 0x04
NLM_F_DUMP_INTR = 0x10
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF
_NLMSGERR_ATTR_MSG = 1

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")


class NetlinkError(ValueError):
    """
    Received bytes do not have the format of netlink.  The text says what was found and what
    was expected.
    """


@attrs.frozen
class Message:
    """
    A received message.

    @ivar type: C{RTM_...} or C{NLMSG_...}.
    @ivar sequence: The number of the request that it answers; 0 in most events.
    @ivar port: The netlink port (the socket) whose request caused it; 0 if none did.
    @ivar body: The bytes after the header: a fixed structure, then attributes.
    """

    type: int
    flags: int
    sequence: int
    port: int
    body: bytes


@attrs.frozen
class Request:
    """
    A request without its number.

    @ivar flags: The flags without C{NLM_F_REQUEST} and C{NLM_F_ACK}, which L{packed} adds.
    """

    type: int
    flags: int
    body: bytes

    @property
    def isDump(self) -> bool:
        """
        Whether it requests a list, which is many messages.
        """
        return self.isQuestion and self.flags & NLM_F_DUMP == NLM_F_DUMP

    @property
    def isQuestion(self) -> bool:
        """
        Whether the answer has messages: a list, or the one thing that was asked for.
        """
        return self.type % 4 == 2

    def packed(self, sequence: int, acknowledged: bool = True) -> bytes:
        """
        Pack the request, with padding for a message that may follow.

        @param sequence: The number that will be in the answer, 1 to 2**32 - 1.
        @param acknowledged: Whether the kernel answers if there is no error, too.  A list is an
            answer already.
        """
        flags = NLM_F_ACK if acknowledged and not self.isDump else 0
        return pack(self.type, self.flags | flags, sequence, self.body)


def pack(type: int, flags: int, sequence: int, body: bytes) -> bytes:
    """
    Pack a request, with padding for a message that may follow.

    @param flags: The flags without C{NLM_F_REQUEST}.
    """
    length = _HEADER.size + len(body)
    return _pad(_HEADER.pack(length, type, flags | NLM_F_REQUEST, sequence, 0) + body)


def readMessages(data: bytes) -> Iterator[Message]:
    """
    Iterate over the messages of one datagram.

    @raise NetlinkError: If a header is cut off, or its length is wrong.  The messages before
        it have been returned by then.
    """
    offset, size = 0, len(data)
    while offset < size:
        if size - offset < _HEADER.size:
            raise NetlinkError(
                f"netlink message header of {_HEADER.size} bytes expected, {size - offset} left"
            )
        length, type, flags, sequence, port = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= size - offset:
            raise NetlinkError(
                f"netlink message of type {type} says it is {length} bytes long, "
                f"expected {_HEADER.size} to {size - offset}"
            )
        yield Message(type, flags, sequence, port, data[offset + _HEADER.size : offset + length])
        offset += _align(length)


def readAttributes(data: bytes) -> dict[int, bytes]:
    """
    Parse attributes.

    As in the kernel's parser, the last of several attributes of one type counts, and a
    remainder shorter than the header of an attribute is ignored.

    @return: The values by type.
    @raise NetlinkError: If the length of an attribute is wrong.
    """
    found: dict[int, bytes] = {}
    offset, size = 0, len(data)
    while size - offset >= _ATTRIBUTE.size:
        length, type = _ATTRIBUTE.unpack_from(data, offset)
        if not _ATTRIBUTE.size <= length <= size - offset:
            raise NetlinkError(
                f"netlink attribute {type & _NLA_TYPE_MASK} says it is {length} bytes long, "
                f"expected {_ATTRIBUTE.size} to {size - offset}"
            )
        found[type & _NLA_TYPE_MASK] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += _align(length)
    return found


def attribute(type: int, value: bytes) -> bytes:
    """
    Pack an attribute, with padding for one that may follow.

    @raise ValueError: If the value is longer than an attribute can be.
    """
    length = _ATTRIBUTE.size + len(value)
    if length > 0xFFFF:
        raise ValueError(f"netlink attribute {type} of {len(value)} bytes, expected at most 65531")
    return _pad(_ATTRIBUTE.pack(length, type) + value)


def nested(type: int, *attributes: bytes) -> bytes:
    """
    Pack an attribute whose value is attributes.
    """
    return attribute(type | NLA_F_NESTED, b"".join(attributes))


def number(value: bytes, name: str) -> int:
    """
    Unpack an unsigned number of 8, 16, 32 or 64 bits.

    @param name: What the error calls the number.
    @raise NetlinkError: If it has another size.
    """
    form = {1: "=B", 2: "=H", 4: "=I", 8: "=Q"}.get(len(value))
    if form is None:
        raise NetlinkError(f"netlink {name} of {len(value)} bytes, expected 1, 2, 4 or 8")
    result: int = struct.unpack(form, value)[0]
    return result


def text(value: bytes) -> str:
    """
    Decode a string up to its NUL.  Bytes that are not UTF-8 become surrogates, as in file
    names.
    """
    return value.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def readError(message: Message) -> OSError | None:
    """
    Read the result in an C{NLMSG_ERROR} or C{NLMSG_DONE}.

    @return: C{None} for success; otherwise the error with its C{errno}, and the kernel's
        explanation if there is one (extended acknowledgement).
    @raise NetlinkError: If the message is too short for an error number.
    """
    body = message.body
    if len(body) < _ERROR.size:
        if message.type == NLMSG_DONE and not body:
            return None
        raise NetlinkError(f"netlink answer of {len(body)} bytes, expected at least {_ERROR.size}")
    code = -_ERROR.unpack_from(body)[0]
    if code <= 0:
        return None
    words = os.strerror(code)
    explanation = _explanation(message) if message.flags & NLM_F_ACK_TLVS else ""
    return OSError(code, f"{words}: {explanation}" if explanation else words)


def _explanation(message: Message) -> str:
    offset = _ERROR.size
    if message.type == NLMSG_ERROR:
        # The refused request follows: only its header, or all of it.
        if len(message.body) < offset + _HEADER.size:
            return ""
        (length,) = struct.unpack_from("=I", message.body, offset)
        offset += _HEADER.size if message.flags & NLM_F_CAPPED else _align(length)
    return text(readAttributes(message.body[offset:]).get(_NLMSGERR_ATTR_MSG, b""))


def _align(length: int) -> int:
    return length + 3 & ~3


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
