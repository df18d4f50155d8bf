"""
Tests for L{txcarp.configuration.checks}: health checks in the configuration file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface import implementer

from tests.checks.scripted import Scripted
from tests.configuration.test_file import FileTestCase
from txcarp.checks.dns import TYPES, DNSCheck
from txcarp.checks.gateway import GatewayCheck
from txcarp.checks.health import HealthCheck
from txcarp.checks.http import HTTPCheck
from txcarp.checks.local import CommandCheck, FileCheck, InterfaceCheck, ProcessCheck
from txcarp.checks.tcp import TCPCheck
from txcarp.checks.verdict import Health
from txcarp.configuration.checks import CHECK_KEYS
from txcarp.configuration.difference import Changed
from txcarp.configuration.problems import FileError
from txcarp.interfaces import ICheck, IPlatform


@implementer(ICheck)
@attrs.frozen
class Limited:
    """
    A check of another program.
    """

    limit: int

    def run(self, platform: IPlatform, timeout: float) -> None:
        pass


class Nothing:
    """
    No check.
    """


#: A check that needs no class.
ready = Scripted()


class CheckTestCase(FileTestCase):
    """
    Files with a check.
    """

    def checked(self, *lines: str) -> str:
        """
        The text of a file with a check, which begins in line 6.
        """
        return "\n".join([self.text() + "[group.web.check.haproxy]", *lines, ""])

    def check(self, *lines: str) -> HealthCheck:
        """
        Read a file with a check.
        """
        [group] = self.read(self.checked(*lines)).groups
        [check] = group.checks
        return check


class GoodTests(CheckTestCase):
    """
    Checks that are right.
    """

    def test_kinds(self) -> None:
        """
        One key says what to check, and others go with it.
        """
        beside = str(Path(self.path).parent)
        used: set[str] = set()
        kinds: list[tuple[tuple[str, ...], Any]] = [
            (('tcp = "127.0.0.1:443"',), TCPCheck("127.0.0.1:443")),
            (('http = "http://[::1]/x"', "status = 204"), HTTPCheck("http://[::1]/x", (204,))),
            (
                (
                    *('http = "https://127.0.0.1/x"', 'body = "ready"', 'host = "www.example.org"'),
                    *("verify = false", "status = [200, 204]"),
                ),
                HTTPCheck("https://127.0.0.1/x", (200, 204), "ready", "www.example.org", False),
            ),
            (
                ('dns = "example.org"', 'server = "127.0.0.1:5353"', 'record = "MX"'),
                DNSCheck("example.org", "127.0.0.1:5353", "MX"),
            ),
            (('process = "haproxy"',), ProcessCheck("haproxy")),
            (('pidfile = "x.pid"',), ProcessCheck(pidFile=f"{beside}/x.pid")),
            (('file = "x"', 'max_age = "1m"'), FileCheck(f"{beside}/x", 60.0)),
            (('interface = "eth1"',), InterfaceCheck("eth1")),
            (("gateway = true",), GatewayCheck()),
            (('gateway = "fe80::1"',), GatewayCheck(["fe80::1"])),
            (('witness = "10.1.1.9"',), GatewayCheck(["10.1.1.9"])),
            (('witness = ["10.1.1.9", "fd00::9"]',), GatewayCheck(["10.1.1.9", "fd00::9"])),
            (('command = ["/bin/x", "-q"]',), CommandCheck(["/bin/x", "-q"])),
            (('command = "/bin/x"',), CommandCheck(["/bin/x"])),
            ((f'python = "{__name__}.ready"',), ready),
            ((f'python = "{__name__}.Limited"', "arguments = {limit = 5}"), Limited(5)),
        ]
        for lines, check in kinds:
            self.assertEqual(self.check(*lines), HealthCheck("haproxy", check))
            used.update(line.partition(" ")[0] for line in lines)
        ofChecks = {key for key, one in CHECK_KEYS.items() if one.argument}
        # A plugin has tests of its own, tests.checks.test_plugins.
        self.assertEqual(used | {"plugin"}, ofChecks)

    def test_types(self) -> None:
        """
        The types of records are those that the check knows.
        """
        self.assertEqual(CHECK_KEYS["record"].value, f"one of {', '.join(TYPES)}")

    def test_settings(self) -> None:
        """
        Times, numbers of results and what follows.
        """
        check = self.check(
            *('tcp = "127.0.0.1:1"', 'interval = "500ms"', "timeout = 2", "rise = 5", "fall = 7"),
            *('initial = "good"', "demote = 50"),
        )
        self.assertEqual((check.interval, check.timeout, check.rise), (0.5, 2, 5))
        self.assertEqual((check.fall, check.initial, check.demote), (7, Health.GOOD, 50))
        self.assertEqual(self.check('tcp = "127.0.0.1:1"', 'failing = "unfit"').demote, None)

    def test_unchanged(self) -> None:
        """
        The same text gives equal checks, and a change of a check is no interruption.
        """
        lines = f'python = "{__name__}.Limited"', "arguments = {limit = 5}"
        [one] = self.read(self.checked(*lines)).groups
        [same] = self.read(self.checked(*lines)).groups
        [other] = self.read(self.checked(*lines, "rise = 5")).groups
        self.assertEqual(one, same)
        changed = Changed(one, other)
        self.assertTrue(changed.isLive)
        self.assertEqual(changed.explain(), "changes: checks; no interruption")


class DefaultTests(CheckTestCase):
    """
    Checks of all groups.
    """

    def checks(self, *lines: str) -> list[list[Any]]:
        """
        What each group of a file checks.
        """
        second = self.text().replace("[group.web]", "[group.dns]").replace("vhid = 1", "vhid = 2")
        second = second.replace("10.1.1.252", "10.1.1.253")
        text = "\n".join([self.text(), *lines[:1], second[second.index("[group") :], *lines[1:]])
        return [[one.check for one in group.checks] for group in self.read(text).groups]

    def test_all(self) -> None:
        """
        A check of C{[defaults]} is one of each group, unless the group has its own or leaves it
        out.
        """
        common = '[defaults.check.a]\ntcp = "127.0.0.1:1"\n[defaults.check.b]\nprocess = "b"\n'
        tcp, process = TCPCheck("127.0.0.1:1"), ProcessCheck("b")
        self.assertEqual(self.checks("", common), [[tcp, process]] * 2)
        self.assertEqual(self.checks("check.a = false", common), [[process], [tcp, process]])
        own = "check.a.process = 'c'\ncheck.c.interface = 'eth1'"
        [web, dns] = self.checks(own, common)
        self.assertEqual(web, [ProcessCheck("c"), process, InterfaceCheck("eth1")])
        self.assertEqual(dns, [tcp, process])

    def test_wrong(self) -> None:
        """
        A mistake is found once, also if no group has the check.  One cannot leave out what is not
        there.
        """
        text = self.text() + "[defaults.check.a]\ntcp = 5\n"
        self.assertEqual(len(self.refused(text)), 3)
        leaving = self.text() + "check.a = false\n[defaults.check.a]\ntcp = 5\n"
        self.assertIn("tcp: 5 is not text", self.refused(leaving)[0])
        said = self.refused(self.text() + "check.b = false\n")[0]
        self.assertIn("there is no [defaults.check.b] to leave out", said)
        said = self.refused(self.text() + "[defaults]\ncheck = 5\n")[0]
        self.assertIn("defaults.check must be a table", said)
        said = self.refused(self.text() + "[defaults.check]\na = 5\n")[0]
        self.assertIn("defaults.check.a must be a table", said)


class WrongTests(CheckTestCase):
    """
    Checks that are wrong.
    """

    def test_each(self) -> None:
        """
        The error for a value has its line and a mark under it.
        """
        tcp = 'tcp = "127.0.0.1:1"'
        for first, line, words, marked in (
            ("", 'tcp = "localhost:80"', "a check takes no names", '"localhost:80"'),
            ("", "tcp = 80", "tcp: 80 is not text in quotation marks", "80"),
            ("", 'http = "ftp://127.0.0.1/"', "http: 'ftp://127.0.0.1/' is not a URL", None),
            ("", "command = []", "command: a command is a list of a path", "[]"),
            ("", 'command = ["/bin/x", 5]', "command: 5 is not text in quotation", None),
            ("", 'command = "x"', "command: 'x' is not the absolute path", '"x"'),
            ("", "gateway = false", "gateway: expected true or an address", "false"),
            ("", 'gateway = "router"', "gateway: 'router' is not an IPv4 address", '"router"'),
            ("", 'gateway = "224.0.0.1"', "'224.0.0.1' is not the address of one host", None),
            ("", 'witness = ["0.0.0.0"]', "'0.0.0.0' is not the address of one host", None),
            ("", 'interface = "a/b"', "interface: 'a/b' is not the name of", '"a/b"'),
            ("", 'python = "nothing.here"', "python: 'nothing.here' gives no check", None),
            ("", f'python = "{__name__}.Nothing"', "which does not provide ICheck", None),
            ("", f'python = "{__name__}.Limited"', "gives no check: TypeError: ", None),
            ('dns = "example.org"', 'server = "ns"', "server: 'ns' is not an address", '"ns"'),
            ('dns = "example.org"', 'record = "Q"', "record: 'Q' is not one of A, NS", '"Q"'),
            ('http = "http://127.0.0.1"', "status = 99", "status: 99 is not a status", "99"),
            ('http = "http://127.0.0.1"', 'host = "a b"', "host: 'a b' has a character", '"a b"'),
            ('python = "x"', "arguments = 5", "arguments: expected a table", "5"),
            (tcp, "status = 200", "status: goes with http, not with tcp", "200"),
            (tcp, 'process = "x"', "give either tcp or process", '"x"'),
            (tcp, "interval = 0", "interval: 0 is not a number of seconds greater", "0"),
            (tcp, 'interval = "1ms"', "interval: 0.001 is less than 0.01 s", '"1ms"'),
            (tcp, 'timeout = "x"', "timeout: 'x' is not a time such as", '"x"'),
            (tcp, "rise = 0", "rise: 0 is not a number from 1 to 1000", "0"),
            (tcp, "fall = 1.5", "fall: 1.5 is not a whole number", "1.5"),
            (tcp, "demote = 300", "demote: 300 is not a number from 1 to 240", "300"),
            (tcp, 'initial = "up"', "initial: 'up' is not one of unknown, good, bad", '"up"'),
            (tcp, 'failing = "demote"', "failing: 'demote' is not 'unfit'", '"demote"'),
            (f'{tcp}\nfailing = "unfit"', "demote = 5", "give either failing or demote", "5"),
        ):
            said = self.refused(self.checked(*filter(None, (first, line))))
            self.assertEqual(len(said), 3, said)
            text = self.checked(*filter(None, (first, line)))
            number = text.split("\n").index(line) + 1
            self.assertTrue(said[0].startswith(f"{number}: "), said)
            self.assertIn(words, said[0])
            found = said[1][said[2].index("^") : len(said[2])]
            self.assertEqual(found, marked or line.partition(" = ")[2])

    def test_table(self) -> None:
        """
        What is wrong with the table as a whole.
        """
        for lines, words in (
            ((), "6: [group.web.check.haproxy] has nothing to check: give one of tcp, http, dns"),
            (("intervall = 1",), "7: unknown key 'intervall' in [group.web.check.haproxy]; did"),
        ):
            said = self.refused(self.checked(*lines))
            self.assertTrue(any(one.startswith(words) for one in said), said)
        for text, words in (
            ("[group.web.check]\nx = 5\n", "7: group.web.check.x must be a table"),
            ("check = 5\n", "6: group.web.check must be a table"),
            ('[group.web.check."a b"]\ntcp = "127.0.0.1:1"\n', "6: name: 'a b' cannot be the name"),
        ):
            self.assertIn(words, self.refused(self.text() + text)[0])

    @settings(max_examples=100, deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(sorted({*CHECK_KEYS} - {"python", "plugin"})),
            st.sampled_from(
                ['"127.0.0.1:1"', '"http://127.0.0.1/"', '"x"', "5", "-1", "nan", "true", "[]"]
                + ["[5]", '["/x"]', "{a = 1}", '"\\u0000"', "1979-05-27", '"good"', "[[5]]"]
            ),
            max_size=5,
        )
    )
    def test_anything(self, keys: dict[str, str]) -> None:
        """
        Any values under any keys give a check, or an error with a line.
        """
        text = self.checked(*(f"{key} = {value}" for key, value in keys.items()))
        try:
            self.read(text)
        except FileError as error:
            self.assertRegex(str(error), rf"\A{re.escape(self.path)}:\d+: .+")

    def test_together(self) -> None:
        """
        The mistakes of several checks, and of the group, are found at once.
        """
        text = self.checked("rise = 0") + '[group.web.check.b]\ntcp = 5\n[group.c]\nvhid = "x"\n'
        heads = [one for one in self.refused(text) if one[0].isdigit()]
        self.assertEqual([int(one.partition(":")[0]) for one in heads][:3], [6, 9, 10])
