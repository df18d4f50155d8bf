"""
Tests for L{txcarp.doctor.gathering} and L{txcarp.doctor.bridges}.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.doctor.case import GROUP
from txcarp.doctor import bridges, gathering
from txcarp.netlink.format import Message, attribute, nested
from txcarp.netlink.messages import LINK_HEADER


def link(index: int, name: bytes, *attributes: bytes) -> Message:
    """
    A message about a link.
    """
    body = LINK_HEADER.pack(0, 1, index, 0, 0) + attribute(3, name + b"\0")
    return Message(16, 0, 1, 0, body + b"".join(attributes))


def bridge(snooping: int, querier: int, *state: bytes) -> bytes:
    """
    The attributes of a bridge.
    """
    data = attribute(23, bytes((snooping,))) + attribute(25, bytes((querier,)))
    return nested(18, attribute(1, b"bridge\0"), nested(2, data, *state))


class BridgeTests(SynchronousTestCase):
    """
    Bridges in the kernel's messages.
    """

    def test_bridges(self) -> None:
        """
        Snooping, and a querier that is the bridge itself or another one.
        """
        other = nested(47, attribute(7, struct.pack("=Q", 5000)))
        ended = nested(47, attribute(7, struct.pack("=Q", 0)))
        found, ports = bridges.read(
            [
                link(2, b"br0", bridge(1, 0)),
                link(3, b"br1", bridge(1, 1)),
                link(4, b"br2", bridge(0, 0, other)),
                link(5, b"br3", bridge(1, 0, ended)),
                link(6, b"eth0"),
            ]
        )
        facts = [(index, one.name, one.snooping, one.hasQuerier) for index, one in found.items()]
        self.assertEqual(
            facts,
            [
                (2, "br0", True, False),
                (3, "br1", True, True),
                (4, "br2", False, True),
                (5, "br3", True, False),
            ],
        )
        self.assertEqual(ports, [])

    def test_ports(self) -> None:
        """
        Ports of bridges, and not of others.
        """
        master = attribute(10, struct.pack("=I", 2))

        def slave(kind: bytes, state: int) -> bytes:
            return nested(18, attribute(4, kind + b"\0"), nested(5, attribute(1, bytes((state,)))))

        _, ports = bridges.read(
            [
                link(3, b"a", master, slave(b"bridge", 3)),
                link(4, b"b", master, slave(b"bridge", 1)),
                link(5, b"c", master, slave(b"bond", 1)),
            ]
        )
        facts = [(one.name, one.bridge, one.isForwarding) for one in ports]
        self.assertEqual(facts, [("a", 2, True), ("b", 2, False)])


class ProcessTests(SynchronousTestCase):
    """
    Other programs on this host.
    """

    def test_ucarp(self) -> None:
        """
        The interface and the number in a command line of ucarp, in all forms.
        """
        for words in (
            ["-i", "eth0", "-v", "7"],
            ["-ieth0", "-v7", "-p", "x"],
            ["--interface=eth0", "--vhid=7"],
            ["--interface", "eth0", "--vhid", "0x7", "-z"],
        ):
            self.assertEqual(gathering._ucarp(["ucarp", *words]), ("eth0", 7), words)
        for words in ([], ["-v"], ["-v", "x"]):
            self.assertIsNone(gathering._ucarp(["ucarp", *words]))

    def test_keepalived(self) -> None:
        """
        An address of the group in the file of keepalived, and another one that begins like it.
        """
        path = Path(self.mktemp())
        for text, expected in (
            ("virtual_ipaddress {\n10.1.1.252/24 dev eth0\n}", True),
            ("virtual_ipaddress { 10.1.1.25 }", False),
        ):
            path.write_text(text)
            for words in (["-f", str(path)], [f"--use-file={path}"]):
                self.assertEqual(gathering._hasAddress(["keepalived", *words], GROUP), expected)
        self.assertFalse(gathering._hasAddress(["keepalived", "-f", "/nowhere"], GROUP))

    def test_rights(self) -> None:
        """
        The rights of this process, and of none.
        """
        capabilities, locked = gathering._rights(os.getpid())
        self.assertIsNotNone(capabilities)
        self.assertEqual(locked, 0)
        self.assertEqual(gathering._rights(2**22 + 1), (None, None))


class ProgramTests(SynchronousTestCase):
    """
    Programs that print the rules of firewalls.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.patch(os, "environ", {**os.environ, "PATH": f"{self.directory}:/usr/bin:/bin"})
        self.patch(gathering, "_PATH", "")

    def program(self, name: str, script: str) -> None:
        """
        Make a program.
        """
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run_(self) -> list[str]:
        """
        Read the rules, and return what could not be read.
        """
        untested: list[str] = []
        self.names = [chain.name for chain in gathering._chains(untested)]
        return untested

    def test_nft(self) -> None:
        """
        nft is asked for JSON.
        """
        chain = '{"chain": {"family": "ip", "table": "t", "name": "c"}}'
        self.program(
            "nft", f'test "$*" = "--json list ruleset" && echo \'{{"nftables": [{chain}]}}\''
        )
        self.assertEqual((self.run_(), self.names), ([], ["c"]))

    def test_iptables(self) -> None:
        """
        Without nft, iptables is asked, unless it has the rules of another kernel interface.
        """
        for kind, names in (("nf_tables", ["INPUT"]), ("legacy", [])):
            self.program("iptables-save", f"echo '# ({kind})'; echo '*filter'; echo ':INPUT DROP'")
            self.assertEqual((self.run_(), self.names), ([], names))

    def test_trouble(self) -> None:
        """
        A program that fails, hangs or prints something else is named.
        """
        self.program("nft", "echo not permitted >&2; exit 1")
        self.assertEqual(self.run_(), ["the rules of nftables: nft says: not permitted"])
        self.program("nft", "echo 5")
        self.assertIn("they are not understood", self.run_()[0])
        self.patch(gathering, "_PATIENCE", 0.05)
        self.program("nft", "exec sleep 60")
        self.assertIn("nft cannot be asked", self.run_()[0])
