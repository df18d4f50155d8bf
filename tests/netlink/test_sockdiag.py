"""
Tests for L{txcarp.netlink.sockdiag}: the bytes, against the structures of C{linux/inet_diag.h}.
"""

from __future__ import annotations

import socket
import struct

from twisted.trial.unittest import SynchronousTestCase

from txcarp.netlink import sockdiag
from txcarp.netlink.format import NLM_F_REQUEST, Message, NetlinkError, readMessages

V4 = socket.inet_aton("10.99.0.100")
V6 = socket.inet_pton(socket.AF_INET6, "fd00::100")

#: C{nlmsghdr}, C{inet_diag_req_v2}, C{nlattr}, C{inet_diag_bc_op}, C{inet_diag_hostcond}, each with
#: the padding that a C compiler gives it.
HEADER, REQUEST, ATTRIBUTE = "=IHHII", "=BBBBI HH4I4II2I", "=HH"
OPERATION, CONDITION = "=BBH", "=BBHi"

#: C{TCP_LISTEN} and C{TCP_TIME_WAIT}.
LISTEN, TIME_WAIT, ESTABLISHED = 10, 6, 1


class RequestTests(SynchronousTestCase):
    """
    What is asked.
    """

    def test_sizes(self) -> None:
        """
        The sizes of the kernel's structures.
        """
        self.assertEqual(struct.calcsize(REQUEST), 56)
        self.assertEqual(struct.calcsize(CONDITION), 8)

    def test_dump(self) -> None:
        """
        The list is that of the connections with a local address: the filter is one condition,
        which ends the program where the address is right, and leaves it where it is wrong.
        """
        for family, address, condition in (
            (socket.AF_INET, V4, socket.AF_INET),
            (socket.AF_INET6, V4, socket.AF_INET),
            (socket.AF_INET6, V6, socket.AF_INET6),
        ):
            data = sockdiag.dump(7, family, address)
            length, kind, flags, sequence, port = struct.unpack_from(HEADER, data)
            self.assertEqual((length, kind, sequence, port), (len(data), 20, 7, 0))
            self.assertEqual(flags, 0x301)
            own, protocol, extensions, padding, states, *identity = struct.unpack_from(
                REQUEST, data, 16
            )
            self.assertEqual((own, protocol, extensions, padding), (family, 6, 0, 0))
            self.assertEqual({*identity}, {0})
            present = {state for state in range(16) if states >> state & 1}
            self.assertEqual({*range(1, 13)} - present, {LISTEN, TIME_WAIT, 7})
            size, number = struct.unpack_from(ATTRIBUTE, data, 72)
            self.assertEqual((size, number), (len(data) - 72, 1))
            program = data[76:]
            code, yes, no = struct.unpack_from(OPERATION, program)
            self.assertEqual((code, yes, no), (7, len(program), len(program) + 4))
            what, bits, _, anyPort = struct.unpack_from(CONDITION, program, 4)
            self.assertEqual((what, bits, anyPort), (condition, 8 * len(address), -1))
            self.assertEqual(program[12:], address)

    def test_families(self) -> None:
        """
        An IPv4 address may be that of an IPv6 socket.
        """
        self.assertEqual(sockdiag.familiesOf(V4), (socket.AF_INET, socket.AF_INET6))
        self.assertEqual(sockdiag.familiesOf(V6), (socket.AF_INET6,))

    def test_destroy(self) -> None:
        """
        A connection is ended by what its answer says, without a change of a byte, and asks for no
        answer.
        """
        identity = bytes(range(100, 148))
        answer = struct.pack("=BBBB", socket.AF_INET6, ESTABLISHED, 0, 0) + identity + bytes(20)
        message = Message(20, 2, 7, 1, answer + b"attributes")
        connection = sockdiag.readConnection(message)
        self.assertEqual(sockdiag.interfaceOf(connection), struct.unpack("=I", identity[36:40])[0])
        one, two = readMessages(sockdiag.destroy(9, [connection, connection]))
        self.assertEqual(one, two)
        self.assertEqual((one.type, one.flags, one.sequence), (21, NLM_F_REQUEST, 9))
        self.assertEqual(one.body[:2], bytes((socket.AF_INET6, 6)))
        self.assertEqual(one.body[8:], identity)

    def test_malformed(self) -> None:
        """
        Another answer is an error.
        """
        for kind, size in ((20, 71), (21, 72), (20, 0)):
            message = Message(kind, 0, 7, 1, bytes(size))
            self.assertRaises(NetlinkError, sockdiag.readConnection, message)

    def test_nothing(self) -> None:
        """
        The questions whether the kernel can do it concern no connection.
        """
        [dump] = readMessages(sockdiag.dumpNothing(1))
        [destroy] = readMessages(sockdiag.destroyNothing(2))
        self.assertEqual((dump.type, dump.body[4:], destroy.type), (20, bytes(52), 21))
        self.assertEqual(destroy.body[8:], bytes(48))
