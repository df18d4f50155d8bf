"""
Tests for L{txcarp.setup.inspection}: a configuration file and a host, in the kernel.
"""

from __future__ import annotations

import io
import os
import socket
import sys
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.testbed.fixture import makeTestbed
from txcarp.addresses import parseIPv4
from txcarp.configuration.file import readFile
from txcarp.membership.reception import keyringOf
from txcarp.network.frames import BROADCAST, ipv4Frame
from txcarp.protocol import ipv4
from txcarp.protocol.advertisement import Advertisement, encode
from txcarp.protocol.envelope import wrap
from txcarp.setup import inspection

GROUP = """\
[group.web]
interface = "eth0"
vhid = 1
passfile = "password"
addresses = ["10.0.0.100/24"]
"""


class CheckTestCase(SynchronousTestCase):
    """
    A host with a file.
    """

    def setUp(self) -> None:
        self.testbed = makeTestbed(self)
        self.node = self.testbed.node("a", "10.0.0.5/24")
        self.path = Path(self.mktemp()).absolute() / "txcarp.toml"
        self.path.parent.mkdir()
        self.password("secret")
        self.output, self.errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.output)
        self.patch(sys, "stderr", self.errors)

    def password(self, text: str, mode: int = 0o600) -> None:
        """
        Write the file of the password.
        """
        path = self.path.parent / "password"
        path.write_text(text)
        path.chmod(mode)

    def check(self, text: str, listen: bool = False) -> int:
        """
        Check a text on the host.

        @return: The exit status.
        """
        self.path.write_text(text)
        self.errors.seek(0)
        self.errors.truncate()
        with self.node.inside():
            return inspection.check(str(self.path), listen)

    def assertWrong(self, words: str, text: str, listen: bool = False) -> None:
        """
        Assert that a text has one mistake.
        """
        self.assertEqual(self.check(text, listen), 1, text)
        said = self.errors.getvalue()
        self.assertIn(words, said)
        self.assertTrue(said.endswith(f"\n{self.path}: 1 mistake\n"), said)


class CheckTests(CheckTestCase):
    """
    Tests for L{inspection.check} on one host.
    """

    def test_good(self) -> None:
        """
        A file that is right is shown as a table.
        """
        self.assertEqual(self.check(GROUP), 0)
        self.assertEqual(self.errors.getvalue(), "")
        self.assertEqual(
            self.output.getvalue(),
            "GROUP  INTERFACE  VHID  SKEW  SOURCE    ADDRESSES\n"
            "web    eth0       1     0     10.0.0.5  10.0.0.100/24\n"
            f"{self.path}: 1 group, no mistakes\n",
        )

    def test_readable(self) -> None:
        """
        A password that others can read is a warning.
        """
        self.password("secret", 0o644)
        self.assertEqual(self.check(GROUP), 0)
        self.assertIn("warning: Others can read the password in ", self.errors.getvalue())

    def test_credential(self) -> None:
        """
        A credential is looked for beside the file, from where the units of txcarp load it, unless
        this process has credentials itself.
        """
        text = GROUP.replace("passfile", "credential")
        self.assertNotEqual(text, GROUP)
        self.assertEqual(self.check(text), 0, self.errors.getvalue())
        directory = self.path.parent / "credentials"
        self.patch(os, "environ", {**os.environ, "CREDENTIALS_DIRECTORY": str(directory)})
        self.assertWrong(f"unable to open passfile {directory}/password", text)

    def test_wrong(self) -> None:
        """
        Mistakes are shown with their lines, and counted.
        """
        self.assertEqual(self.check(f"{GROUP}advskw = 1\nadvbase = -1\n"), 1)
        self.assertEqual(self.output.getvalue(), "")
        said = self.errors.getvalue()
        self.assertIn(f"{self.path}:6: unknown key", said)
        self.assertTrue(said.endswith(f"\n{self.path}: 2 mistakes\n"), said)

    def test_host(self) -> None:
        """
        What does not fit the host is a mistake, too, and is marked in its line.
        """
        for line, words in (
            ('track_interfaces = ["eth0", "eth9"]', "track_interfaces: there is no interface eth9"),
            ('source = "10.0.0.6"', "source: 10.0.0.6 is not an address of this host now"),
            ('down_script = "gone"\nassign = true', "down_script: The down script /"),
        ):
            self.assertWrong(words, f"{GROUP}{line}\n")
            self.assertIn(f"    {line.splitlines()[0]}\n", self.errors.getvalue())
        text = f'{GROUP.replace("eth0", "eth9")}source = "10.0.0.5"\n'
        self.assertWrong("there is no interface eth9; there are: eth0, lo\n", text)

    def test_networks(self) -> None:
        """
        Neighbours must look for each address on the interface.
        """
        for addresses, good in (
            ('["10.0.0.100/24", "10.0.0.101"]', True),
            ('["10.0.0.100", "fe80::7"]', True),
            ('["10.0.0.100", "2001:db8::7/64"]', False),
            ('["10.0.1.100/24"]', False),
        ):
            text = GROUP.replace('["10.0.0.100/24"]', addresses)
            self.assertEqual(self.check(text), int(not good), addresses)
        self.assertIn("10.0.1.100 is in no network of eth0, so", self.errors.getvalue())

    def test_routed(self) -> None:
        """
        Where the peers are behind routers, neighbours need not look for the addresses.
        """
        text = GROUP.replace('["10.0.0.100/24"]', '["192.0.2.1/32"]')
        self.assertEqual(self.check(f'{text}peers = ["10.7.0.5"]\n'), 0, self.errors.getvalue())
        self.assertWrong("192.0.2.1 is in no network of eth0", f'{text}peers = ["10.0.0.6"]\n')

    def test_checks(self) -> None:
        """
        Health checks that cannot pass on this host are mistakes.
        """
        for line, words in (
            ('check.a.interface = "eth9"', "check a: there is no interface eth9"),
            ('check.a.witness = "10.9.9.9"', "check a: 10.9.9.9 is in no network of eth0"),
            ('check.a.gateway = "127.0.0.1"', "check a: 127.0.0.1 is an address of this host"),
        ):
            self.assertWrong(words, f"{GROUP}{line}\n")
        for line in (
            *('check.a.gateway = "10.0.0.9"', 'check.a.gateway = "fe80::9"'),
            *("check.a.gateway = true", 'check.a.interface = "lo"'),
        ):
            self.assertEqual(self.check(f"{GROUP}{line}\n"), 0, self.errors.getvalue())

    def test_noNetwork(self) -> None:
        """
        An interface without addresses gets its network with the virtual ones.
        """
        self.node = self.testbed.node("b")
        self.node.connect(self.testbed.lan)
        text = f'{GROUP}source = "127.0.0.1"\n'
        self.assertEqual(self.check(text), 0, self.errors.getvalue())
        self.assertWrong("10.0.0.100 is in no network of eth0", text.replace("/24", ""))


class ListenTests(CheckTestCase):
    """
    Listening for other groups and hosts.
    """

    def heard(self, source: str, *passwords: str) -> int:
        """
        Check a file while another host advertises all the time with each of its passwords.

        @return: The exit status.
        """
        other = self.testbed.node("b", "10.0.0.6/24")
        self.path.write_text(GROUP)
        frames = []
        for password in passwords:
            self.password(password)
            with self.node.inside():
                [form] = keyringOf(readFile(self.path).groups[0]).forms
            said = Advertisement(1, 1, 0, counter=5, digest=form.authenticator.sign(5))
            packet = wrap(encode(said), parseIPv4(source), ipv4.GROUP)
            frames.append(ipv4Frame(BROADCAST, other.link().address, packet))
        self.password("secret")
        ended = threading.Event()

        def advertise() -> None:
            with other.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
                sock.bind(("eth0", 0))
                while not ended.wait(0.02):
                    for frame in frames:
                        sock.send(frame)

        thread = threading.Thread(target=advertise)
        self.patch(inspection, "LISTENING", 2.0)
        thread.start()
        try:
            return self.check(GROUP, listen=True)
        finally:
            ended.set()
            thread.join()

    def test_member(self) -> None:
        """
        Another host of the group is no mistake.
        """
        self.assertEqual(self.heard("10.0.0.6", "secret"), 0, self.errors.getvalue())

    def test_otherGroup(self) -> None:
        """
        Another group with the number is one.
        """
        self.assertEqual(self.heard("10.0.0.6", "another"), 1)
        said = self.errors.getvalue()
        self.assertIn("10.0.0.6 advertises vhid 1 on eth0 with another password", said)
        self.assertIn("    vhid = 1\n           ^\n", said)

    def test_changing(self) -> None:
        """
        A host of the group that advertises with another password, too, is no mistake.
        """
        passwords = "another", "secret"
        self.assertEqual(self.heard("10.0.0.6", *passwords), 0, self.errors.getvalue())

    def test_sameSource(self) -> None:
        """
        Another host of the group with the source of this one is one.
        """
        self.assertEqual(self.heard("10.0.0.5", "secret"), 1)
        self.assertIn("advertises from 10.0.0.5, too", self.errors.getvalue())

    def test_impossible(self) -> None:
        """
        An interface that cannot be listened to is a mistake.
        """
        self.node.setInterface(False)
        self.assertEqual(self.check(GROUP), 0)
        self.assertWrong("cannot listen on eth0: Network is down", GROUP, listen=True)
