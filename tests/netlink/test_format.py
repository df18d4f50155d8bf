"""
Tests for L{txcarp.netlink.format}.
"""

from __future__ import annotations

import errno
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.netlink.format import (
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    NetlinkError,
    Request,
    attribute,
    nested,
    number,
    readAttributes,
    readError,
    readMessages,
    text,
)


class MessageTests(SynchronousTestCase):
    """
    Messages and their headers.
    """

    @given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=6))
    def test_roundTrip(self, contents: list[tuple[int, bytes]]) -> None:
        """
        Requests that are sent together are parsed as the same messages.
        """
        data = b"".join(
            Request(type, 0, body).packed(sequence)
            for sequence, (type, body) in enumerate(contents, 1)
        )
        messages = list(readMessages(data))
        self.assertEqual([(m.type, m.body) for m in messages], contents)
        self.assertEqual([m.sequence for m in messages], list(range(1, len(contents) + 1)))

    @given(st.binary(max_size=200))
    def test_anyBytes(self, data: bytes) -> None:
        """
        Any bytes raise L{NetlinkError}, or nothing.
        """
        try:
            for message in readMessages(data):
                readAttributes(message.body)
                readError(message)
        except NetlinkError:
            pass

    def test_shortHeader(self) -> None:
        """
        The error for a header that is cut off says so, and the messages before it are returned.
        """
        data = Request(20, 0, b"abcd").packed(7) + bytes(9)
        messages = readMessages(data)
        self.assertEqual(next(messages).body, b"abcd")
        error = self.assertRaises(NetlinkError, next, messages)
        self.assertIn("16 bytes expected, 9 left", str(error))

    def test_lengthBeyondTheEnd(self) -> None:
        """
        The error for a length beyond the end has it.
        """
        data = struct.pack("=IHHII", 400, 16, 0, 0, 0)
        error = self.assertRaises(NetlinkError, next, readMessages(data))
        self.assertIn("400 bytes long, expected 16 to 16", str(error))

    def test_lengthWithinTheHeader(self) -> None:
        """
        A message cannot be shorter than its header: parsing would never end.
        """
        for length in (0, 15):
            data = struct.pack("=IHHII", length, 16, 0, 0, 0)
            self.assertRaises(NetlinkError, next, readMessages(data))

    def test_flags(self) -> None:
        """
        A request asks for an acknowledgement unless it is for a list, which has an end of its
        own.
        """
        one, dump = Request(20, 0, b""), Request(22, NLM_F_DUMP, b"")
        flags = [next(readMessages(each.packed(1))).flags for each in (one, dump)]
        self.assertEqual(flags, [NLM_F_REQUEST | NLM_F_ACK, NLM_F_REQUEST | NLM_F_DUMP])


class AttributeTests(SynchronousTestCase):
    """
    Attributes and their values.
    """

    @given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=30), max_size=8))
    def test_roundTrip(self, attributes: dict[int, bytes]) -> None:
        """
        Attributes of any length are parsed as they were packed.
        """
        data = b"".join(attribute(type, value) for type, value in attributes.items())
        self.assertEqual(readAttributes(data), attributes)

    def test_nested(self) -> None:
        """
        A nested attribute is found by its type without the flag.
        """
        data = readAttributes(nested(18, attribute(1, b"veth"), attribute(2, b"")))[18]
        self.assertEqual(readAttributes(data), {1: b"veth", 2: b""})

    def test_lengthBeyondTheEnd(self) -> None:
        """
        The error for a length beyond the end has it.
        """
        error = self.assertRaises(NetlinkError, readAttributes, struct.pack("=HHI", 9, 3, 0))
        self.assertIn("attribute 3 says it is 9 bytes long, expected 4 to 8", str(error))

    def test_lengthWithinTheHeader(self) -> None:
        """
        An attribute cannot be shorter than its header: parsing would never end.
        """
        self.assertRaises(NetlinkError, readAttributes, bytes(4))

    def test_leftover(self) -> None:
        """
        A remainder shorter than a header is ignored, as in the kernel.
        """
        self.assertEqual(readAttributes(attribute(1, b"abcd") + b"\1\2\3"), {1: b"abcd"})

    def test_tooLong(self) -> None:
        """
        A value that is too long for an attribute is refused.
        """
        self.assertRaises(ValueError, attribute, 1, bytes(65532))

    def test_number(self) -> None:
        """
        A number has one of four sizes.
        """
        for size in (1, 2, 4, 8):
            self.assertEqual(number(b"\xff" * size, "MTU"), 256**size - 1)
        error = self.assertRaises(NetlinkError, number, b"abc", "MTU")
        self.assertEqual(str(error), "netlink MTU of 3 bytes, expected 1, 2, 4 or 8")

    def test_text(self) -> None:
        """
        A name ends at its NUL, and names that are not UTF-8 stay different.
        """
        self.assertEqual(text(b"eth0\0rest"), "eth0")
        self.assertEqual(text(b"\xff\0").encode("utf-8", "surrogateescape"), b"\xff")


class ErrorTests(SynchronousTestCase):
    """
    The results in answers.
    """

    def error(self, type: int, flags: int, body: bytes) -> OSError | None:
        """
        The error in an answer with this body.
        """
        return readError(Message(type, flags, 1, 1, body))

    def test_success(self) -> None:
        """
        Zero is no error, and neither is an empty end of a list.
        """
        self.assertIsNone(self.error(NLMSG_ERROR, 0, bytes(20)))
        self.assertIsNone(self.error(NLMSG_DONE, 0, bytes(4)))
        self.assertIsNone(self.error(NLMSG_DONE, 0, b""))

    def test_number(self) -> None:
        """
        The kernel's negative number becomes an C{errno}.
        """
        error = self.error(NLMSG_ERROR, 0, struct.pack("=i", -errno.EEXIST) + bytes(16))
        assert error is not None
        self.assertEqual((error.errno, error.strerror), (errno.EEXIST, "File exists"))

    def test_explanation(self) -> None:
        """
        The kernel's explanation is appended, whether the answer repeats the refused request or
        only its header.
        """
        words = attribute(1, b"Device is busy.\0")
        request = Request(16, 0, b"12345").packed(1)
        number = struct.pack("=i", -errno.EBUSY)
        for flags, body in (
            (NLM_F_ACK_TLVS, number + request + words),
            (NLM_F_ACK_TLVS | NLM_F_CAPPED, number + request[:16] + words),
        ):
            error = self.error(NLMSG_ERROR, flags, body)
            assert error is not None
            self.assertEqual(error.strerror, "Device or resource busy: Device is busy.")

    def test_short(self) -> None:
        """
        An answer without an error number is malformed.
        """
        self.assertRaises(NetlinkError, self.error, NLMSG_ERROR, 0, b"\0\0")
