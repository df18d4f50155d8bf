"""
Tests for L{txcarp.network.filter}.
"""

from __future__ import annotations

import random
import socket
import struct

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from txcarp.network.filter import attach, program

_INSTRUCTION = struct.Struct("=HBBI")


def verdict(code: bytes, packet: bytes) -> int:
    """
    What the kernel's classic BPF machine returns for a packet: how many bytes
    are kept.
    """
    instructions = list(_INSTRUCTION.iter_unpack(code))
    accumulator = index = position = 0
    while True:
        operation, whenTrue, whenFalse, k = instructions[position]
        position += 1
        if operation == 0x06:  # ret k
            return k
        if operation == 0x15:  # jeq k
            position += whenTrue if accumulator == k else whenFalse
            continue
        where = {0x30: k, 0x50: index + k, 0xB1: k}[operation]
        if where >= len(packet):
            return 0  # a load from beyond the end drops the packet
        if operation == 0xB1:  # ldx 4 * ([k] & 0xf)
            index = 4 * (packet[where] & 0xF)
        else:
            accumulator = packet[where]


class ProgramTests(SynchronousTestCase):
    """
    Tests for L{program}.
    """

    def test_eachVhid(self) -> None:
        """
        A filter for one virtual host keeps that one's packets whole, and no
        other's.
        """
        packets = {vhid: crafted.packet(vhid=vhid) for vhid in range(1, 256)}
        for wanted in range(1, 256):
            code = program([wanted])
            for vhid in {wanted, wanted % 255 + 1, (wanted + 127) % 255 + 1}:
                kept = verdict(code, packets[vhid])
                self.assertEqual(kept >= 65535, vhid == wanted, (wanted, vhid))

    def test_all(self) -> None:
        """
        A filter for all of them keeps each: every jump reaches its target.
        """
        code = program(range(1, 256))
        for vhid in range(256):
            kept = verdict(code, crafted.packet(vhid=vhid))
            self.assertEqual(kept > 0, vhid > 0, vhid)

    def test_none(self) -> None:
        """
        A filter for nobody keeps nothing.
        """
        self.assertEqual(verdict(program([]), crafted.packet()), 0)

    def test_twice(self) -> None:
        """
        To name one twice, or in another order, makes no difference.
        """
        self.assertEqual(program([3, 1, 3]), program([1, 3]))

    def test_options(self) -> None:
        """
        The number is found behind IP options.
        """
        code = program([crafted.VHID])
        self.assertGreater(verdict(code, crafted.packet(options=b"\1" * 40)), 0)
        self.assertEqual(verdict(code, crafted.packet(vhid=11, options=b"\x0a" * 40)), 0)

    def test_protocol(self) -> None:
        """
        Other protocols are dropped.
        """
        self.assertEqual(verdict(program([crafted.VHID]), crafted.packet(protocol=17)), 0)

    def test_garbage(self) -> None:
        """
        The end of a packet is never passed, and the program ends.
        """
        generator = random.Random(3)
        code = program([1, 2, 112])
        for size in range(60):
            for _ in range(20):
                verdict(code, generator.randbytes(size))


class AttachTests(SynchronousTestCase):
    """
    Tests for L{attach}, on a socket that anybody may open.
    """

    def test_accepted(self) -> None:
        """
        The kernel takes the program for no, one and all virtual hosts, one in
        place of another.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for vhids in ([], [1], range(1, 256), [255]):
                attach(sock, program(vhids))

    def test_works(self) -> None:
        """
        And it drops what it does not keep: nothing that is no CARP comes
        through.
        """
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with receiver, sender:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(10)
            sender.connect(receiver.getsockname())
            sender.send(b"before")
            self.assertEqual(receiver.recv(100), b"before")
            attach(receiver, program([1]))
            sender.send(b"dropped by the filter")
            receiver.settimeout(0.1)
            self.assertRaises(TimeoutError, receiver.recv, 100)

    def test_refused(self) -> None:
        """
        A program without an end is refused by the kernel, and that is raised.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            self.assertRaises(OSError, attach, sock, program([1])[:8])
