"""
Tests for L{txcarp.commands.init} and L{txcarp.setup.firstgroup}.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import io
import os
import socket
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from txcarp.addresses import parseAddress, parseVirtualAddress
from txcarp.commands.arguments import parserOf
from txcarp.commands.init import main
from txcarp.links import InterfaceAddress, Link
from txcarp.protocol.advertisement import Advertisement, encode
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family
from txcarp.setup import firstgroup, inspection


def near(text: str, index: int = 2) -> InterfaceAddress:
    """
    An address of an interface.
    """
    address, _, length = text.partition("/")
    return InterfaceAddress(index, socket.AF_INET, int(length), parseAddress(address))


def packet(payload: bytes, source: str = "10.1.1.9") -> Packet:
    """
    A packet of another host.
    """
    sender = parseAddress(source)
    return Packet(Family.IPV4, sender, parseAddress("224.0.0.18"), 255, 112, payload)


def heard(vhid: int) -> Packet:
    """
    An advertisement of a group that nobody knows.
    """
    return packet(encode(Advertisement(vhid, 1, 0, counter=5, digest=bytes(20))))


class _Terminal(io.StringIO):
    """
    A terminal on which something is typed.
    """

    def isatty(self) -> bool:
        """
        It is one.
        """
        return True


class InitTests(SynchronousTestCase):
    """
    C{txcarp init} on a host with C{eth0} and C{eth1}.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()) / "txcarp"
        self.file, self.password = self.directory / "txcarp.toml", self.directory / "password"
        self.packets: list[Packet] = []
        self.checks: list[str] = []
        self.status = 0
        self.present = {"eth0": [near("10.1.1.1/24")], "eth1": [near("10.2.0.1/16", 3)]}
        self.interfaces = firstgroup.interfaces
        self.patch(firstgroup, "interfaces", lambda: self.present)
        self.patch(firstgroup, "listen", lambda interface, seconds: self.packets)
        self.patch(inspection, "check", self.check)

    def check(self, path: str, listen: bool) -> int:
        """
        Do as C{txcarp check}.
        """
        self.checks.append(path)
        self.assertEqual(path, os.path.abspath(self.file))
        return self.status

    def init(self, *arguments: str, typed: str | None = None, given: str = "") -> int:
        """
        Run it.

        @param typed: What is typed on a terminal; C{None} without one.
        @param given: What is on standard input without a terminal.
        """
        stdin = io.StringIO(given) if typed is None else _Terminal(typed)
        self.patch(sys, "stdin", stdin)
        self.out, self.errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(self.out), contextlib.redirect_stderr(self.errors):
            try:
                return main(["--directory", str(self.directory), *arguments])
            except SystemExit as done:
                assert isinstance(done.code, int)
                return done.code

    def both(self, *arguments: str, **more: Any) -> int:
        """
        Run it with an interface and an address.
        """
        return self.init("--interface", "eth0", "--address", "10.1.1.252", *arguments, **more)

    def assertNothing(self) -> None:
        """
        Nothing was written.
        """
        self.assertFalse(self.file.exists() or self.password.exists())

    def test_options(self) -> None:
        """
        With options, nothing is asked.  The vhid is the lowest that is free, the password is long
        and secret, and nothing that is printed has it.
        """
        self.packets = [heard(1), heard(3)]
        self.assertEqual(self.both(), 0, self.errors.getvalue())
        made = tomllib.loads(self.file.read_text())
        self.assertEqual(
            made,
            {
                "defaults": {"interface": "eth0", "passfile": "password"},
                "group": {"web": {"vhid": 2, "addresses": ["10.1.1.252/24"], "advskew": 0}},
            },
        )
        secret = self.password.read_text().rstrip("\n")
        self.assertRegex(secret, r"^[A-HJ-NP-Za-km-np-z2-9jko]{19}$")
        self.assertEqual(stat.S_IMODE(self.password.stat().st_mode), 0o600)
        said = self.out.getvalue() + self.errors.getvalue()
        self.assertNotIn(secret, said)
        self.assertIn("1 (10.1.1.9), 3 (10.1.1.9)", said)
        self.assertIn(
            "  txcarp init --join --interface eth0 --address 10.1.1.252/24 --vhid 2 --advskew 100 "
            f"--directory {os.path.abspath(self.directory)}\n",
            said,
        )
        self.assertEqual(len(self.checks), 1)

    def test_command(self) -> None:
        """
        The command for the other host has what differs from the defaults.
        """
        address = parseVirtualAddress("10.1.1.252/24")
        plan = firstgroup.Plan("web", "eth0", [address], 2, 0, "/etc/txcarp")
        words = "txcarp init --join --interface eth0 --address 10.1.1.252/24 --vhid 2 --advskew 100"
        self.assertEqual(plan.command(100), words)
        other = attrs.evolve(plan, name="db", directory="/x y", isCredential=True)
        self.assertEqual(
            other.command(100), f"{words} --group db --directory '/x y' --systemd"
        )
        defaults = parserOf(main).parse_args([])
        self.assertEqual((defaults.group, defaults.directory), ("web", "/etc/txcarp"))

    def test_passwords(self) -> None:
        """
        No two passwords are the same.
        """
        made = {firstgroup.newPassword() for _ in range(100)}
        self.assertEqual(len(made), 100)
        self.assertEqual({len(one) for one in made}, {19})

    def test_umask(self) -> None:
        """
        Nobody else can read the password, and everybody the file, whatever the umask is.
        """
        for mask in (0, 0o077):
            before = os.umask(mask)
            try:
                self.assertEqual(self.both(), 0)
            finally:
                os.umask(before)
            self.assertEqual(stat.S_IMODE(self.password.stat().st_mode), 0o600)
            self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o644)
            self.password.unlink()
            self.file.unlink()

    def test_systemd(self) -> None:
        """
        For a unit of systemd, the password is a credential.
        """
        self.assertEqual(self.both("--systemd"), 0)
        made = tomllib.loads(self.file.read_text())
        self.assertEqual(made["defaults"], {"interface": "eth0", "credential": "password"})
        self.assertEqual(len(self.checks), 1)
        self.assertIn(f"systemctl enable --now {firstgroup.unit()}\n", self.out.getvalue())
        self.assertIn(" --systemd", self.out.getvalue())

    def test_page(self) -> None:
        """
        The page is in the file, and in the command for the other host.
        """
        self.assertEqual(self.both("--page"), 0)
        made = tomllib.loads(self.file.read_text())
        self.assertEqual(made["daemon"], {"http": "tcp:9112", "page": True})
        self.assertIn(" --page", self.out.getvalue())

    def test_unit(self) -> None:
        """
        A unit that systemd does not find is named by its path.
        """
        root = Path(self.mktemp()).absolute()
        prefix = root / "opt" / "txcarp"
        self.assertEqual(firstgroup.unit(str(prefix), str(root)), "txcarp")
        path = prefix / "lib" / "systemd" / "system" / "txcarp.service"
        path.parent.mkdir(parents=True)
        path.touch()
        self.assertEqual(firstgroup.unit(str(prefix), str(root)), str(path))
        (root / "etc" / "systemd" / "system").mkdir(parents=True)
        (root / "etc" / "systemd" / "system" / "txcarp.service").symlink_to(path)
        self.assertEqual(firstgroup.unit(str(prefix), str(root)), "txcarp")

    def test_asked(self) -> None:
        """
        On a terminal, what is missing is asked for until it can be used.
        """
        self.packets = [heard(1)]
        typed = "eth7\neth1\n10.1.1.252\n10.2.0.1\n10.2.3.4\n1\nx\n\n"
        self.assertEqual(self.init(typed=typed), 0, self.errors.getvalue())
        made = tomllib.loads(self.file.read_text())
        self.assertEqual(made["defaults"]["interface"], "eth1")
        self.assertEqual(made["group"]["web"]["addresses"], ["10.2.3.4/16"])
        self.assertEqual(made["group"]["web"]["vhid"], 2)
        said = self.errors.getvalue()
        for words in (
            "'eth7' is not an interface with an address; there are: eth0, eth1",
            "10.1.1.252 is in no network of eth1, whose addresses are: 10.2.0.1/16",
            "10.2.0.1 is the address of this host on eth1",
            "10.1.1.9 uses vhid 1 on eth1",
            "'x' is not a number from 1 to 255",
        ):
            self.assertIn(words, said)

    def test_interrupted(self) -> None:
        """
        A terminal that ends is an end.
        """
        self.assertEqual(self.init(typed="eth0\n"), 1)
        self.assertNothing()

    def test_wrong(self) -> None:
        """
        Command lines that cannot be used.
        """
        for arguments, words in (
            (["--address", "10.1.1.252"], "which interface? Give --interface; there are: eth0"),
            (["--interface", "eth0"], "no address: give --address"),
            (["--interface", "eth0", "--address", "x"], "'x' is not an address"),
            (["--interface", "eth0", "--address", "10.9.9.9"], "is in no network of eth0"),
            (
                ["--interface", "eth7", "--address", "10.1.1.2"],
                "there is no interface eth7; the interfaces with addresses are: eth0",
            ),
            (["--interface", "lo", "--address", "10.1.1.2"], "lo has no address that other hosts"),
            (["--interface", "eth0", "--address", "10.1.1.2", "--vhid", "256"], "not a number"),
            (["--interface", "eth0", "--address", "10.1.1.2", "--group", "a b"], "no name"),
            (["--join", "--address", "10.1.1.2"], "--join needs --address and --vhid"),
        ):
            self.assertEqual(self.init(*arguments), 1, arguments)
            self.assertIn(words, self.errors.getvalue())
        self.assertNothing()

    def test_interfaces(self) -> None:
        """
        A group can be on an interface with an address for others: not on the loopback, whatever
        addresses it has.
        """

        class Netlink(contextlib.nullcontext[Any]):
            def __enter__(self) -> Netlink:
                return self

            def links(self) -> list[Link]:
                return [
                    Link(1, "lo", True, True, hardwareType=772),
                    Link(2, "eth0", True, True),
                    Link(3, "eth1", True, True),
                ]

            def addresses(self) -> list[InterfaceAddress]:
                return [near("10.9.9.9/32", 1), near("10.1.1.1/24"), near("169.254.0.1/16", 3)]

        self.patch(firstgroup, "BlockingNetlink", Netlink)
        found = self.interfaces()
        self.assertEqual(found["eth0"], [near("10.1.1.1/24")])
        self.assertNotIn("lo", found)

    def test_onlyInterface(self) -> None:
        """
        If there is one interface, it need not be named.
        """
        del self.present["eth1"]
        self.assertEqual(self.init("--address", "10.1.1.252"), 0)

    def test_taken(self) -> None:
        """
        A vhid that another group has is refused.
        """
        self.packets = [heard(7)]
        self.assertEqual(self.both("--vhid", "7"), 2)
        self.assertIn("10.1.1.9 uses vhid 7 on eth0", self.errors.getvalue())
        self.packets = [heard(number) for number in range(1, 256)]
        self.assertEqual(self.both(), 2)
        self.assertIn("all 255 numbers", self.errors.getvalue())
        self.assertNothing()

    def test_vrrp(self) -> None:
        """
        The number of a VRRP router is taken, too.
        """
        payload = bytes((0x31, 1, 100, 0, 0, 100, 0, 0))
        found = firstgroup.taken([packet(b"?"), packet(payload)])
        self.assertEqual(found, {1: "10.1.1.9"})

    def test_exists(self) -> None:
        """
        Neither file is overwritten, nor is one of them made beside the other, also where a symbolic
        link leads nowhere.
        """
        self.directory.mkdir(parents=True)
        for path, other in ((self.file, self.password), (self.password, self.file)):
            path.symlink_to("/nonexistent/x")
            for join in ((), ("--join", "--vhid", "1")):
                self.assertEqual(self.both(*join, given="secret\n"), 2)
                self.assertIn(f"{path.name} exists, and is not overwritten", self.errors.getvalue())
            self.assertFalse(other.exists())
            path.unlink()

    def test_race(self) -> None:
        """
        A file that appears in the last moment is not overwritten either, and a link not followed.
        """
        self.directory.mkdir(parents=True)
        self.password.symlink_to("other")
        self.patch(firstgroup, "refuseExisting", lambda plan: None)
        self.assertEqual(self.both(), 2)
        self.assertIn("password: File exists", self.errors.getvalue())
        self.assertEqual([one.name for one in self.directory.iterdir()], ["password"])

    def test_unwritable(self) -> None:
        """
        If the second file cannot be written, the first one is removed.
        """
        plan = firstgroup.Plan("web", "eth0", (), 1, 0, str(self.directory))
        create = firstgroup._create

        def full(path: str, text: str, mode: int) -> None:
            if path == plan.file:
                raise firstgroup.Refused(f"{path}: {os.strerror(errno.ENOSPC)}")
            create(path, text, mode)

        self.patch(firstgroup, "_create", full)
        error = self.assertRaises(firstgroup.Refused, firstgroup.write, plan, "secret")
        self.assertIn("No space left", str(error))
        self.assertNothing()

    def test_notFitting(self) -> None:
        """
        If the file does not fit this host, nothing is left of it.
        """
        self.status = 1
        self.assertEqual(self.both(), 1)
        self.assertNothing()

    def test_deaf(self) -> None:
        """
        A host that cannot listen gets no group.
        """

        def listen(interface: str, seconds: float) -> list[Packet]:
            raise OSError(errno.ENETDOWN, "Network is down")

        self.patch(firstgroup, "listen", listen)
        self.assertEqual(self.both(), 2)
        self.assertIn("cannot listen on eth0: Network is down", self.errors.getvalue())
        self.assertNothing()

    def test_join(self) -> None:
        """
        A second host takes the password from standard input, or from a terminal, which does not
        show it.
        """
        self.patch(firstgroup, "members", lambda plan, packets: ["10.1.1.1"])
        self.patch(getpass, "getpass", lambda question: "typed")
        for typed, secret in ((None, "given"), ("", "typed")):
            status = self.both("--join", "--vhid", "7", typed=typed, given="given\r\nmore\n")
            self.assertEqual(status, 0, self.errors.getvalue())
            self.assertEqual(self.password.read_text(), f"{secret}\n")
            made = tomllib.loads(self.file.read_text())["group"]["web"]
            self.assertEqual((made["vhid"], made["advskew"]), (7, 100))
            said = self.out.getvalue() + self.errors.getvalue()
            self.assertIn("Heard in the group: 10.1.1.1", said)
            self.assertNotIn(secret, said)
            self.file.unlink()
            self.password.unlink()

    def test_badPassword(self) -> None:
        """
        A password that is no password of a group is refused.
        """
        for given in ("", "\n", "x" * 20, "é" * 10):
            self.assertEqual(self.both("--join", "--vhid", "7", given=given), 2)
            self.assertIn("must have 1 to 19 bytes", self.errors.getvalue())
        self.assertNothing()

    def test_otherGroup(self) -> None:
        """
        If the hosts of the group have another password, nothing is left.
        """

        def members(plan: object, packets: object) -> list[str]:
            raise firstgroup.Refused("another password")

        self.patch(firstgroup, "members", members)
        self.assertEqual(self.both("--join", "--vhid", "7", given="x\n"), 2)
        self.assertNothing()
