"""
Tests for L{txcarp.configuration.ucarp}: what a command line means.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import load
from txcarp.addresses import parseIPv4, parseIPv6
from txcarp.configuration import ucarp
from txcarp.configuration.model import (
    MAXIMUM_PAIRS,
    MAXIMUM_PEERS,
    FlapLimit,
    TrackedInterface,
    VirtualHostConfiguration,
)
from txcarp.configuration.options import OPTIONS, CommandLineError, information
from txcarp.configuration.places import CONTROL_SOCKET
from txcarp.configuration.request import CannotRun, CommandLine
from txcarp.configuration.ucarp import read
from txcarp.logs import facilityNumber
from txcarp.protocol.dialect import OPENBSD, OPENBSD_77, UCARP
from txcarp.protocol.family import Family
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.seal import Verification

#: A command line that is complete, by its parts.
COMPLETE = {
    "-i": "eth0",
    "-s": "10.99.0.1",
    "-v": "10",
    "-p": "love",
    "-a": "10.99.0.100",
}

#: The exit status of a command line that would run.
RUNNING = "running"


def commandLine(*more: str, **changes: str | None) -> list[str]:
    """
    The complete command line with parts changed (C{i="eth1"}) or left out (C{i=None}), and with
    more at its end.
    """
    whole = {**COMPLETE, **{f"-{name}": value for name, value in changes.items()}}
    pairs = [(name, value) for name, value in whole.items() if value is not None]
    return [word for pair in pairs for word in pair] + list(more)


def parsed(*more: str, **changes: str | None) -> CommandLine:
    """
    What L{read} returns for such a command line.
    """
    return read(commandLine(*more, **changes))


def configured(*more: str, **changes: str | None) -> VirtualHostConfiguration:
    """
    The virtual host that such a command line asks for.
    """
    [one] = parsed(*more, **changes).configurations
    return one


class _Case(SynchronousTestCase):
    """
    What the tests here have in common.
    """

    def outcome(self, arguments: Sequence[str]) -> tuple[int | str, str]:
        """
        The exit status of a command line, before anything is opened, and the text that is
        printed.
        """
        try:
            text = information(arguments)
            if text is not None:
                return 0, text
            read(arguments)
        except CommandLineError as error:
            return 1, str(error)
        except CannotRun as error:
            return 2, str(error)
        return RUNNING, ""

    def usageError(self, *more: str, **changes: str | None) -> str:
        """
        The error text of a wrong command line.
        """
        status, text = self.outcome(commandLine(*more, **changes))
        self.assertEqual(status, 1, (more, changes))
        return text

    def file(self, content: bytes, mode: int = 0o600) -> str:
        """
        The path of a password file.
        """
        path = Path(self.mktemp())
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)


class VectorTests(_Case):
    """
    The command lines that the real ucarp was given.
    """

    def cases(self) -> dict[str, list[str]]:
        """
        The command lines by their names in the vectors.
        """
        line = commandLine
        twenty = "x" * 20
        return {
            "noargs": [],
            "--help": ["--help"],
            "-m 224.0.0.18 (short)": line("-m", "224.0.0.18"),
            "--syslog=none": line("--syslog=none"),
            "-v noarg": [*line(v=None), "-v"],
            "--mcast abbreviation": line("--mcast=224.0.0.18"),
            "--mcastip": line("--mcastip=224.0.0.18"),
            "--mcast unicast": line("--mcastip=10.99.0.50"),
            "--pass (exact, with passfile also)": line("--pass=love", p=None),
            "--passf abbreviation": line(f"--passf={self.file(b'love')}", p=None),
            "--pas ambiguous": line("--pas=love", p=None),
            "no -i (autodetect)": line(i=None),
            "-i toolong": line(i="a" * 20),
            "-s bad": line(s="10.99.0"),
            "-s host": line(s="localhost"),
            "-s 0.0.0.0": line(s="0.0.0.0"),
            "no -v": line(v=None),
            "-v 0": line(v="0"),
            "-v -1": line(v="-1"),
            "-v abc": line(v="abc"),
            "-v ' 5'": line(v=" 5"),
            "no -p": line(p=None),
            "-p 20": line(p=twenty),
            "-o missing": line("-o", "/nonexistent", p=None),
            "-o 20": line("-o", self.file(b"x" * 20 + b"\n"), p=None),
            "-o 600": line("-o", self.file(b"x" * 600 + b"\n"), p=None),
            "-o 18crlf": line("-o", self.file(b"x" * 18 + b"\r\n"), p=None),
            "-o 19crlf": line("-o", self.file(b"x" * 19 + b"\r\n"), p=None),
            "-o empty, no -p": line("-o", self.file(b"\n"), p=None),
            "no -a": line(a=None),
            "-a bad": line(a="300.1.1.1"),
            "-a cidr": line(a="10.99.0.100/24"),
            "-a 0.0.0.0": line(a="0.0.0.0"),
            "-b 0": line("-b", "0"),
            "-b 0 -k 1": line("-b", "0", "-k", "1"),
            "-b abc": line("-b", "abc"),
            "-b 256": line("-b", "256"),
            "-b -1": line("-b", "-1"),
            "-k abc": line("-k", "abc"),
            "-r 0": line("-r", "0"),
            "-r abc": line("-r", "abc"),
            "-f bogus": line("-f", "bogus"),
            "-f LOCAL3": line("-f", "LOCAL3"),
            "-f mark": line("-f", "mark"),
            "-f security": line("-f", "security"),
            "extra positional": line("stray", "operands"),
            "scripts missing": line(),
            "-u nonexec": line("-u", "/nonexistent"),
            "-d relative": line("-d", "down.sh"),
            "-d ./relative": line("-d", "./down.sh"),
            "-d noshebang": line("-d", "noshebang"),
            "-d empty": line("-d", ""),
            "bad -v after -h": ["-h", *line(v="0")],
        }

    #: Errors that show only when sockets are opened.
    LATER = {"-s notlocal"}

    #: Deliberate differences: the exit status and words of the error.  ucarp prints its usage and
    #: exits with status 0, or takes text that is not a number as 0, and numbers modulo 256.  The
    #: option -m, which ucarp documents, works here.
    DELIBERATE: dict[str, tuple[int | str, str]] = {
        "-m 224.0.0.18 (short)": (RUNNING, ""),
        "--syslog=none": (1, "option --syslog not recognized"),
        "-v noarg": (1, "option -v requires argument"),
        "--pas ambiguous": (1, "option --pas not a unique prefix"),
        "-b abc": (1, "-b, --advbase: 'abc' is not a whole number from 0 to 255"),
        "-b 256": (1, "-b, --advbase: 256 is not a number from 0 to 255"),
        "-b -1": (1, "-b, --advbase: -1 is not a number from 0 to 255"),
        "-k abc": (1, "-k, --advskew: 'abc' is not a whole number from 0 to 255"),
        "-r abc": (1, "-r, --deadratio: 'abc' is not a whole number from 1 to 4294967295"),
        # ucarp finds out when it joins the group, after the down script ran.
        "--mcast unicast": (2, "-m, --mcastip: the group must be a multicast address"),
    }

    def test_allThere(self) -> None:
        """
        Every case of the vectors is tested.
        """
        self.assertEqual({*load("cli-behaviour")}, {*self.cases()} | self.LATER)

    def test_status(self) -> None:
        """
        Apart from deliberate differences, the exit status is ucarp's, and an error has its
        words.
        """
        self.patch(ucarp, "firstInterface", lambda: "eth0")
        cases = self.cases()
        for name, theirs in load("cli-behaviour").items():
            if name in self.LATER:
                continue
            status, text = self.outcome(cases[name])
            if name in self.DELIBERATE:
                expected, words = self.DELIBERATE[name]
                self.assertNotEqual((theirs["rc"], theirs["stderr"]), (status, text), name)
                self.assertEqual(status, expected, name)
                self.assertIn(words, text, name)
                continue
            self.assertEqual(status, theirs["rc"], (name, text))
            if status == 0:
                self.assertEqual(theirs["stdout"], "<USAGE>")
                self.assertIn("--interface", text)
            elif status != RUNNING:
                errors = re.findall(r"\[ERROR\] (.*)\n", theirs["stderr"])
                self.assertTrue([1 for words in errors if words in text], (name, text))

    def test_advertisements(self) -> None:
        """
        Passwords that ucarp accepted are read unchanged.
        """
        for vector in load("advertisements")["vectors"]:
            password = bytes.fromhex(vector["password_hex"])
            self.assertEqual(configured(p=os.fsdecode(password)).password, password)


class MeaningTests(_Case):
    """
    What each option means.
    """

    def test_defaults(self) -> None:
        """
        ucarp's defaults.
        """
        self.patch(os, "environ", {})
        self.patch(os, "geteuid", lambda: 0)
        self.assertEqual(
            configured(),
            VirtualHostConfiguration(
                interface="eth0",
                vhid=10,
                password=b"love",
                source=parseIPv4("10.99.0.1"),
                addresses=["10.99.0.100"],
                group=GROUP,
                broadcast=False,
                advbase=1,
                advskew=0,
                deadRatio=3,
                preempt=False,
                neutral=False,
                shutdown=False,
                ignoreLink=False,
                upScript=None,
                downScript=None,
                parameter=None,
                scriptTimeout=None,
                debug=False,
            ),
        )

    def test_documented(self) -> None:
        """
        To give an option with its documented default is the same as not to give it.
        """
        for option in OPTIONS:
            default = option.default.replace("INTERFACE-VHID", "eth0-10")
            values = default.split(", ") if default else []
            line = parsed(*(f"--{option.name}={value}" for value in values))
            self.assertEqual(line, parsed(), option)

    def test_each(self) -> None:
        """
        Every option of ucarp works with its short and its long name.
        """
        cases: list[tuple[str, str, str | None, str, Any]] = [
            ("-i", "--interface", "eth9", "interface", "eth9"),
            ("-s", "--srcip", "10.0.0.9", "source", parseIPv4("10.0.0.9")),
            ("-m", "--mcastip", "224.0.0.9", "group", parseIPv4("224.0.0.9")),
            ("-v", "--vhid", "9", "vhid", 9),
            ("-p", "--pass", "pw", "password", b"pw"),
            ("-b", "--advbase", "9", "advbase", 9),
            ("-k", "--advskew", "9", "advskew", 9),
            ("-r", "--deadratio", "9", "deadRatio", 9),
            ("-u", "--upscript", "/up", "upScript", "/up"),
            ("-d", "--downscript", "/down", "downScript", "/down"),
            ("-x", "--xparam", "x y", "parameter", "x y"),
            ("-P", "--preempt", None, "preempt", True),
            ("-n", "--neutral", None, "neutral", True),
            ("-z", "--shutdown", None, "shutdown", True),
            ("-S", "--ignoreifstate", None, "ignoreLink", True),
            ("-M", "--nomcast", None, "broadcast", True),
            ("-D", "--debug", None, "debug", True),
        ]
        for short, long, value, setting, expected in cases:
            if value is None:
                lines = [(short,), (long,)]
            else:
                lines = [
                    (short, value),
                    (short + value,),
                    (long, value),
                    (f"{long}={value}",),
                ]
            for line in lines:
                self.assertEqual(getattr(configured(*line), setting), expected, line)
        for line in (("-B",), ("--daemonize",)):
            self.assertTrue(parsed(*line).daemonize)
        self.assertFalse(parsed().daemonize)

    def test_address(self) -> None:
        """
        The address is kept as it was written, and the last one counts.
        """
        for line in (("-a", "10.0.0.9"), ("--addr=10.0.0.9",)):
            [address] = configured(*line).addresses
            self.assertEqual(address.text, "10.0.0.9")

    def test_abbreviations(self) -> None:
        """
        A long name can be abbreviated as long as it stays unambiguous.
        """
        self.assertEqual(configured("--advb=7").advbase, 7)
        self.assertEqual(configured("--int", "eth5").interface, "eth5")
        self.assertTrue(configured("--pre").preempt)
        error = self.usageError("--adv=7")
        self.assertIn("--adv not a unique prefix of one of --advbase, --advskew", error)

    def test_valuesThatLookShort(self) -> None:
        """
        A value that looks like an abbreviated option is not changed.
        """
        for line in (
            ("-x", "--v", "--v", "77"),
            ("-Px", "--v", "--v=77"),
            ("--xparam", "--v", "--v", "77"),
            ("--xparam=--v", "--v", "77"),
            ("--v", "77", "-x--v"),
            ("--v", "77", "-x", "--v", "--", "--v", "5"),
        ):
            configuration = configured(*line, v=None)
            self.assertEqual((configuration.vhid, configuration.parameter), (77, "--v"), line)

    def test_clusters(self) -> None:
        """
        Short options can be combined in one word, the last one with its value.
        """
        configuration = configured("-PnzSk7")
        self.assertTrue(configuration.preempt and configuration.neutral)
        self.assertTrue(configuration.shutdown and configuration.ignoreLink)
        self.assertEqual(configuration.advskew, 7)
        self.assertEqual(configured("-zk", "8").advskew, 8)

    def test_operands(self) -> None:
        """
        Operands can stand anywhere, and are ignored.
        """
        result = read(["one", *commandLine(), "two", "-k", "9", "three", "--", "-k", "10"])
        self.assertEqual(result.configurations[0].advskew, 9)

    def warnings(self, *more: str, **changes: str | None) -> list[str]:
        """
        What is logged about a command line.
        """
        with capturedLogs() as events:
            parsed(*more, **changes)
        return texts(events)

    def test_leftOver(self) -> None:
        """
        A warning names each word that belongs to no option, and the reason.
        """
        self.assertEqual(
            self.warnings("-P", "/etc/up.sh", "-x", "a", "b", "-", "--", "-k"),
            [
                "[/etc/up.sh] on the command line is ignored: -P, --preempt takes no value",
                *(
                    f"[{word}] on the command line is ignored: -x, --xparam takes one word; quote "
                    "a value with blanks"
                    for word in "b-"
                ),
                "[-k] on the command line is ignored: it belongs to no option",
            ],
        )

    def test_leftOverPassword(self) -> None:
        """
        A word that is left over from a password is not shown, and will be hidden in the process
        list.
        """
        self.assertEqual(
            self.warnings("-p", "two", "words"),
            [
                "A word on the command line is ignored: -p, --pass takes one word; quote a value "
                "with blanks"
            ],
        )
        self.assertEqual(parsed("-p", "two", "words").passwords, (b"love", b"two", b"words"))

    def test_lastCounts(self) -> None:
        """
        If an option is given several times, the last one counts.
        """
        self.assertEqual(configured("-k", "5", "--advskew=6", "-k7").advskew, 7)

    def test_lastAddress(self) -> None:
        """
        A warning says that only the last of several addresses counts, and how to use all.
        """
        with capturedLogs() as events:
            configuration = configured("-a", "10.99.0.101", "-a", "10.99.0.102")
        self.assertEqual([one.text for one in configuration.addresses], ["10.99.0.102"])
        [warning] = [text for text in map(formatEvent, events) if text and "ignored" in text]
        self.assertIn("[10.99.0.102] is the virtual address", warning)
        self.assertIn("[10.99.0.101] is ignored", warning)
        for line in (
            ("-a", "10.99.0.100"),
            ("-a", "10.99.0.101", "--assign"),
            ("--dialect", "ucarp"),
        ):
            with capturedLogs() as events:
                configured(*line)
            self.assertNotIn("ignored", " ".join(formatEvent(event) or "" for event in events))

    def test_parameter(self) -> None:
        """
        A parameter can be empty, and can begin with a dash.
        """
        self.assertIsNone(configured().parameter)
        for line in (("-x", ""), ("--xparam", ""), ("--xparam=",)):
            self.assertEqual(configured(*line).parameter, "")
        for line in (("-x", "-z"), ("-x-z",), ("--xparam=-z",)):
            configuration = configured(*line)
            self.assertEqual(configuration.parameter, "-z")
            self.assertFalse(configuration.shutdown)

    def test_numbers(self) -> None:
        """
        Numbers are read as C reads them: hexadecimal, octal, with a sign, after blanks.
        """
        for text, number in (
            ("10", 10),
            ("0x0a", 10),
            ("0X0A", 10),
            ("012", 10),
            ("010", 8),
            (" 5", 5),
            ("\t5", 5),
            ("+5", 5),
            ("00", 0),
            ("0xff", 255),
            ("0377", 255),
        ):
            self.assertEqual(configured("-k", text).advskew, number, text)

    def test_noNumbers(self) -> None:
        """
        Text that is not a number in the range is an error that names the option and the range.
        ucarp would use some number.
        """
        for text in ("", " ", "x", "5x", "1.5", "09", "0x", "1 2", "٣", "256", "-1", "1e1"):
            words = self.usageError("-k", text)
            self.assertIn("-k, --advskew", words)
            self.assertIn("0 to 255", words)
        self.assertIn("4294967296", self.usageError("-r", "4294967296"))
        self.assertEqual(configured("-r", "4294967295").deadRatio, 2**32 - 1)

    def test_octal(self) -> None:
        """
        A warning says what a number with a 0 in front means, if that is another number than
        without the 0.
        """
        why = "because a number that begins with 0 is octal, as in ucarp"
        for line, warnings in (
            (("-v", "010"), [f"-v, --vhid: 010 means 8, {why}: write 8 or 10"]),
            (("-k", " 0100"), [f"-k, --advskew: 0100 means 64, {why}: write 64 or 100"]),
            (
                ("--flap-limit=010/060",),
                [f"--flap-limit: 010 means 8, {why}: write 8 or 10"],
            ),
            (
                ("--track-interface=eth1:050",),
                [f"--track-interface: 050 means 40, {why}: write 40 or 50"],
            ),
            (("-k", "07", "-b", "0", "-r", "0x10", "-x", "010", "--start-delay=010"), []),
            (("--track-interface", "eth010"), []),
        ):
            self.assertEqual(self.warnings(*line), warnings, line)

    def test_notOctal(self) -> None:
        """
        The error for a number that begins with 0 and is not octal says what to write.
        """
        for text in ("018", "0018", "+018"):
            words = self.usageError(v=text)
            self.assertIn("-v, --vhid: ", words)
            self.assertIn("a number that begins with 0 is octal, without 8 and 9: write 18", words)
        self.assertNotIn("octal", self.usageError("-k", "18x"))
        self.assertIn("write 9", self.usageError("--track-interface=eth1:09"))

    def test_hugeNumbers(self) -> None:
        """
        A number of thousands of digits is an error that does not repeat them all.
        """
        for digits in ("9" * 5000, "0x" + "f" * 5000, "-" + "1" * 5000, "0" * 5000):
            error = self.usageError("-b", digits)
            self.assertTrue(error.endswith("...' is not a whole number from 0 to 255"), error)
            self.assertLess(len(error), 100)

    def test_scriptTimeout(self) -> None:
        """
        The limit for scripts is in seconds. By default, and with 0, there is none.
        """
        self.assertEqual(configured("--script-timeout=2.5").scriptTimeout, 2.5)
        self.assertIsNone(configured("--script-timeout=0").scriptTimeout)
        for text in ("-1", "nan", "inf", "x", ""):
            self.assertIn("--script-timeout", self.usageError(f"--script-timeout={text}"))

    def test_downScriptFirst(self) -> None:
        """
        The time for which the addresses wait for the down script is in seconds. By default, and
        with 0, they do not wait.
        """
        self.assertEqual(configured("--assign", "--down-script-first=5").downScriptFirst, 5.0)
        self.assertIsNone(configured("--assign", "--down-script-first=0").downScriptFirst)
        self.assertIsNone(configured("--assign").downScriptFirst)

    def test_broadcast(self) -> None:
        """
        With -M the group can be any IPv4 address.
        """
        self.assertEqual(configured("-M", "-m", "10.99.0.255").group, parseIPv4("10.99.0.255"))

    def test_interface(self) -> None:
        """
        Without an interface, or with an empty name, the first interface that is up is used and
        logged. If there is none, that is an error.
        """
        self.patch(ucarp, "firstInterface", lambda: "eth3")
        for given in (None, ""):
            with capturedLogs() as events:
                self.assertEqual(configured(i=given).interface, "eth3")
            self.assertEqual(texts(events), ["Using [eth3] as a network interface"])
        self.patch(ucarp, "firstInterface", lambda: None)
        self.assertIn("You must supply a network interface", self.usageError(i=None))

    def test_order(self) -> None:
        """
        If several options are missing, the error names the one that ucarp would name.
        """
        line = ["-i", "eth0"]
        for words, more in (
            ("a valid virtual host id", ["-v", "1"]),
            ("a password", ["-p", "x"]),
            ("a persistent source address", ["-s", "10.0.0.1"]),
            ("a virtual host address", ["-a", "10.0.0.9"]),
        ):
            status, text = self.outcome(line)
            self.assertEqual(status, 1)
            self.assertIn(f"You must supply {words}", text)
            line += more
        self.assertEqual(self.outcome(line), (RUNNING, ""))
        status, text = self.outcome([*line, "-r", "0", "-b", "0"])
        self.assertIn("time base", text)

    def test_interfaceNames(self) -> None:
        """
        A name that no interface can have is an error. A name that is not UTF-8 is possible.
        """
        name = os.fsdecode(b"eth\xff")
        self.assertEqual(configured(i=name).interface, name)
        for wrong in ("a/b", "a b", "a\nb", "..", os.fsdecode(b"\xff" * 16)):
            status, text = self.outcome(commandLine(i=wrong))
            self.assertEqual(status, 2, wrong)
            self.assertTrue(text.startswith("-i, --interface: "), text)

    def test_label(self) -> None:
        """
        A label stands for its interface, and the scripts get the label.  A warning says so.
        """
        for label in ("eth0:254", "eth0:"):
            [warning] = self.warnings(i=label)
            self.assertIn(f"{label} is a label of addresses. The group is on eth0,", warning)
            configuration = configured(i=label)
            self.assertEqual((configuration.interface, configuration.label), ("eth0", label))
            self.assertEqual(parsed(i=label).stateFile, parsed(i="eth0").stateFile)
        self.assertIsNone(configured("-i", "eth1", i="eth0:1").label)
        for label, words in (
            (":1", "':1' is not the name of an interface"),
            ("eth0:12345678901", "'eth0:12345678901' has 16 bytes, and a label at most 15"),
        ):
            status, text = self.outcome(commandLine(i=label))
            self.assertEqual(status, 2)
            self.assertTrue(text.startswith(f"-i, --interface: {words}"), text)

    def test_sources(self) -> None:
        """
        A source that is not the address of one host is an error.
        """
        for wrong in ("224.0.0.18", "255.255.255.255"):
            status, text = self.outcome(commandLine(s=wrong))
            self.assertEqual(status, 2)
            self.assertTrue(text.startswith(f"-s, --srcip: {wrong} "), text)

    def test_contradictions(self) -> None:
        """
        Options that contradict each other are errors that name one of them.
        """
        for option, more in (
            ("-s, --srcip", ("-s", "10.99.0.100")),
            ("-s, --srcip", ("--assign", "-a", "fd00::1", "-s", "fd00::1")),
            ("-M, --nomcast", ("-M", "--peer=10.99.0.2")),
            ("--virtual-mac", ("--virtual-mac",)),
            ("--down-script-first", ("--down-script-first=5",)),
            ("--track-interface", ("--track-interface=eth1:9", "--track-interface=eth1")),
        ):
            self.assertTrue(self.usageError(*more).startswith(option), option)

    def test_interfaceTooLong(self) -> None:
        """
        The name of an interface has at most 15 bytes.
        """
        self.assertEqual(configured(i="a" * 15).interface, "a" * 15)
        self.assertEqual(self.outcome(commandLine(i="é" * 8))[0], 2)


class GroupTests(_Case):
    """
    Options that ucarp does not have.
    """

    def test_families(self) -> None:
        """
        Sources, groups and addresses can be given in both families.
        """
        configuration = configured(
            *("--assign", "-a", "fd00::1/64", "-s", "fe80::9", "-m", "ff02::99", "-m", "224.0.0.9")
        )
        self.assertEqual(configuration.families, (Family.IPV4, Family.IPV6))
        self.assertEqual(configuration.source, parseIPv4("10.99.0.1"))
        self.assertEqual(configuration.source6, parseIPv6("fe80::9"))
        self.assertEqual(configuration.group, parseIPv4("224.0.0.9"))
        self.assertEqual(configuration.group6, parseIPv6("ff02::99"))
        self.assertEqual(
            [str(address) for address in configuration.addresses], ["10.99.0.100/32", "fd00::1/64"]
        )

    def test_onlyIPv6(self) -> None:
        """
        IPv6 addresses alone need no source.
        """
        configuration = configured(s=None, a="fd00::1")
        self.assertEqual(configuration.families, (Family.IPV6,))
        self.assertIsNone(configuration.source)
        self.assertIn("-s", self.usageError("--assign", "-a", "fd00::1", s=None))

    def test_severalAddresses(self) -> None:
        """
        With a dialect all addresses count, also without C{--assign}.
        """
        line = ("-a", "10.99.0.101")
        self.assertEqual(len(configured(*line).addresses), 1)
        self.assertEqual(len(configured(*line, "--dialect", "ucarp").addresses), 2)
        self.assertIn("needs --assign", self.usageError("-a", "10.99.0.101/24"))

    def test_dialect(self) -> None:
        """
        A dialect is given by its name. Only OpenBSD's allows advbase and advskew to be 0.
        """
        self.assertIs(configured("--dialect=openbsd").dialect, OPENBSD)
        self.assertIs(configured("--dialect=openbsd-7.7").dialect, OPENBSD_77)
        self.assertIs(configured().dialect, UCARP)
        error = self.usageError("--dialect=netbsd")
        for words in ("--dialect", "'netbsd'", "ucarp, freebsd, openbsd, openbsd-7.7"):
            self.assertIn(words, error)
        self.assertEqual(configured("--dialect=openbsd", "-b0", "-k0").advbase, 0)
        self.assertIn("-b", self.usageError("--dialect=freebsd", "-b0", "-k0"))

    def test_peers(self) -> None:
        """
        Peers can have both families, and the interface as scope.
        """
        configuration = configured(
            *("--peer", "10.99.0.2", "--peer=fe80::2%eth0", "--peer", "fe80::2")
        )
        self.assertEqual(configuration.peers, (parseIPv4("10.99.0.2"), parseIPv6("fe80::2")))
        self.assertFalse(configuration.followPeers)
        self.assertTrue(configured("--peer", "auto").followPeers)

    def test_badPeers(self) -> None:
        """
        An error says why something is not a peer.
        """
        for peer, words in (
            ("host", "Invalid address: [host]"),
            ("10.99.0.2%eth0", "only link-local addresses have"),
            ("fe80::2%eth1", "the scope 'eth1' is not the interface, eth0"),
        ):
            self.assertIn(words, self.usageError("--peer", peer))
        for peer, expected, words in (
            ("10.99.0.1", 1, "a peer is another host, not this one"),
            ("10.99.0.100", 1, "10.99.0.100 is a virtual address"),
            ("224.0.0.18", 2, "a peer is one host"),
        ):
            status, text = self.outcome(commandLine("--peer", peer))
            self.assertEqual(status, expected)
            self.assertIn(words, text)
            self.assertIn("--peer", text)

    def test_tooManyPeers(self) -> None:
        """
        The number of peers is limited, because each costs a packet.
        """
        peers = [f"--peer=10.99.1.{number}" for number in range(MAXIMUM_PEERS + 1)]
        status, text = self.outcome(commandLine(*peers))
        self.assertEqual(status, 2)
        self.assertIn(str(MAXIMUM_PEERS), text)

    def test_preemptDelay(self) -> None:
        """
        A delay includes preemption.
        """
        configuration = configured("--preempt-delay", "7.5")
        self.assertEqual((configuration.preempt, configuration.preemptDelay), (True, 7.5))
        for words in (("-P",), ("--preempt-delay", "0"), ("-P", "--preempt-delay", "0")):
            configuration = configured(*words)
            self.assertEqual((configuration.preempt, configuration.preemptDelay), (True, 0.0))
        self.assertFalse(configured().preempt)

    def test_startDelay(self) -> None:
        """
        The delay is in seconds, and there is none by default.
        """
        self.assertIsNone(configured().startDelay)
        self.assertEqual(configured("--start-delay=30").startDelay, 30.0)
        self.assertIn("--start-delay", self.usageError("--start-delay=soon"))

    def test_flapLimit(self) -> None:
        """
        The limit is changes per seconds, or none.
        """
        self.assertEqual(configured().flapLimit, FlapLimit(10, 60.0))
        self.assertEqual(configured("--flap-limit=3/90").flapLimit, FlapLimit(3, 90.0))
        self.assertIsNone(configured("--flap-limit=none").flapLimit)
        for wrong in ("3", "1/60", "3/0", "-3/60", "3/1.5", "3/60/9", ""):
            self.assertIn("CHANGES/SECONDS", self.usageError(f"--flap-limit={wrong}"))

    def test_trackInterface(self) -> None:
        """
        An interface is tracked with the given amount, or with that of the dialect.
        """
        tracked = configured(
            *("--track-interface", "eth1", "--track-interface=eth2:0x10"),
            *("--track-interface", "eth3.1:20"),
        ).trackedInterfaces
        self.assertEqual(
            tracked,
            (
                TrackedInterface("eth1", None),
                TrackedInterface("eth2", 16),
                TrackedInterface("eth3.1", 20),
            ),
        )
        for wrong in ("", "eth1:0", "eth1:241", "eth1:x", ":5", "a" * 16):
            self.assertIn("--track-interface", self.usageError(f"--track-interface={wrong}"))

    def test_seal(self) -> None:
        """
        Every mode is understood.
        """
        for mode in Verification:
            self.assertIs(configured(f"--seal={mode.value}").verification, mode)
        self.assertIs(configured().verification, Verification.LEARN)
        self.assertIn("off, learn, require", self.usageError("--seal=yes"))

    def test_realtime(self) -> None:
        """
        A process with a group that advertises more often than once a second runs before all
        ordinary processes, unless the command line says something else.
        """
        for more, wanted in (
            ((), False),
            (("-b", "0", "-k", "255"), True),
            (("-b", "0", "-k", "255", "--realtime=off"), False),
            (("--realtime=on",), True),
        ):
            self.assertIs(parsed(*more).runsRealtime, wanted, more)
        self.assertIn("--realtime=SWITCH: 'x'", self.usageError("--realtime=x"))

    def test_http(self) -> None:
        """
        Without a file, everybody may read only on request.
        """
        self.assertEqual(parsed().http, ())
        self.assertEqual(parsed("--http=none").http, ())
        both = parsed("--http=tcp:1", "--http=tcp:2:interface=\\:\\:1").http
        self.assertEqual(both, ("tcp:1", "tcp:2:interface=\\:\\:1"))
        for wrong in ("", "tcp", "tcp:x:y", "9112"):
            error = self.assertRaises(CommandLineError, parsed, f"--http={wrong}")
            self.assertIn(f"{wrong!r} is not an endpoint such as", str(error))

    def test_page(self) -> None:
        """
        There is a page only on request, and only where there is an endpoint.
        """
        self.assertFalse(parsed("--http=tcp:1").page)
        self.assertTrue(parsed("--http=tcp:1", "--page").page)
        for wrong in (["--page"], ["--page", "--http=none"]):
            error = self.assertRaises(CommandLineError, parsed, *wrong)
            self.assertIn("--page: there is no endpoint", str(error))

    def test_guard(self) -> None:
        """
        The guard is on unless it is switched off.
        """
        self.assertTrue(configured().guard)
        for text, guard in (("on", True), ("off", False)):
            self.assertIs(configured(f"--guard={text}").guard, guard)
        self.assertIn("'no' is neither on nor off", self.usageError("--guard=no"))

    def test_control(self) -> None:
        """
        Without a file, there is a control socket only on request.
        """
        self.assertIsNone(parsed().control)
        self.assertIsNone(parsed("--control=none").control)
        self.assertEqual(parsed("--control=/run/x.sock").control, "/run/x.sock")
        self.assertEqual(parsed("--control=x.sock").control, f"{os.getcwd()}/x.sock")

    def test_stateFile(self) -> None:
        """
        Each daemon has a file of its own, in the directory for its user, or where systemd
        says.
        """
        self.patch(os, "environ", {"XDG_STATE_HOME": "/home/one/state"})
        self.patch(os, "access", lambda path, mode: False)
        self.patch(os, "geteuid", lambda: 1000)
        self.assertEqual(parsed().stateFile, "/home/one/state/txcarp/eth0-10.json")
        self.patch(os, "geteuid", lambda: 0)
        self.assertEqual(parsed().stateFile, "/var/lib/txcarp/eth0-10.json")
        os.environ["STATE_DIRECTORY"] = "/var/lib/one:/var/lib/two"
        self.assertEqual(parsed().stateFile, "/var/lib/one/eth0-10.json")
        self.assertEqual(parsed("--state-file=/x").stateFile, "/x")
        self.assertEqual(parsed("--state-file=x").stateFile, f"{os.getcwd()}/x")
        self.assertIsNone(parsed("--state-file=none").stateFile)

    def test_accepted(self) -> None:
        """
        Several other passwords and sets of addresses are accepted, and no password is shown.
        """
        configuration = configured(
            *("--accept-passfile", self.file(b"first\n"), "--accept-passfile", self.file(b"2nd")),
            *("--accept-addrs=10.0.0.1,fd00::1", "--accept-addrs", "10.0.0.2"),
        )
        self.assertEqual(configuration.otherPasswords, (b"first", b"2nd"))
        self.assertEqual(
            [[address.text for address in one] for one in configuration.otherAddresses],
            [["10.0.0.1", "fd00::1"], ["10.0.0.2"]],
        )
        self.assertNotIn("first", repr(configuration))

    def test_badlyAccepted(self) -> None:
        """
        Wrong values, and too many, are errors.
        """
        self.assertIn("--accept-addrs", self.usageError("--accept-addrs=10.0.0.1,x"))
        self.assertIn("20 bytes", self.usageError("--accept-passfile", self.file(b"x" * 20)))
        sets = [f"--accept-addrs=10.0.0.{number}" for number in range(MAXIMUM_PAIRS)]
        status, text = self.outcome(commandLine(*sets))
        self.assertEqual(status, 2)
        self.assertIn(str(MAXIMUM_PAIRS), text)

    def test_signedHardware(self) -> None:
        """
        The hardware address that OpenBSD hosts sign must be that of one host.
        """
        configuration = configured("--signed-lladdr=02:00:00:00:00:2a")
        self.assertEqual(configuration.signedHardware, b"\2\0\0\0\0\x2a")
        self.assertIn("--signed-lladdr", self.usageError("--signed-lladdr=01:00:00:00:00:01"))

    def test_anyFamily(self) -> None:
        """
        The rule of the BSD kernels is off by default.
        """
        self.assertFalse(configured().anyFamily)
        self.assertTrue(configured("--any-family").anyFamily)

    def test_noNewAmbiguities(self) -> None:
        """
        An abbreviation of one of ucarp's options is never ambiguous because of a new option.
        """
        for short, long in (
            *(("v", "vhid"), ("vh", "vhid"), ("pr", "preempt"), ("se", None), ("sr", "srcip")),
            *(("sh", "shutdown"), ("f", "facility"), ("i", None), ("ig", "ignoreifstate")),
        ):
            error = f"--{short} not a unique prefix"
            status, text = self.outcome(commandLine(f"--{short}"))
            if long is None:
                self.assertNotEqual(status, RUNNING)
            else:
                self.assertNotIn(error, text)
        self.assertEqual(configured("--v", "77").vhid, 77)
        self.assertEqual(configured("--v=78").vhid, 78)


class FacilityTests(_Case):
    """
    The syslog facility.
    """

    def test_known(self) -> None:
        """
        Names are understood in upper and lower case. With C{none} there is no syslog.
        """
        self.assertEqual(parsed().facility, 3)
        self.assertEqual(parsed("-f", "LOCAL3").facility, 19)
        self.assertIsNone(parsed("-f", "none").facility)

    def test_unknown(self) -> None:
        """
        An unknown name is reported, and the default is used.
        """
        with capturedLogs() as events:
            self.assertEqual(parsed("-f", "bogus").facility, 3)
        self.assertRegex(
            texts(events)[0], r"^Unknown syslog facility: \[bogus\]: 'bogus' is not one of auth,"
        )


class PasswordTests(_Case):
    """
    Where the password comes from.
    """

    def test_file(self) -> None:
        """
        The password is the first line of the file, with carriage returns and blanks, up to a
        null character.
        """
        for content, password in (
            (b"secret", b"secret"),
            (b"secret\n", b"secret"),
            (b"secret\nsecond line\n", b"secret"),
            (b"secret\r\n", b"secret\r"),
            (b" sec ret \n", b" sec ret "),
            (b"sec\0ret\n", b"sec"),
            (b"\xff\xfe\n", b"\xff\xfe"),
        ):
            configuration = configured("-o", self.file(content), p=None)
            self.assertEqual(configuration.password, password)

    def test_size(self) -> None:
        """
        At most 511 bytes are read.
        """
        status, text = self.outcome(commandLine("-o", self.file(b"x" * 100000), p=None))
        self.assertEqual(status, 2)
        self.assertIn("Password too long: 511 bytes", text)

    def test_nothingThere(self) -> None:
        """
        An empty file has its own error text. An empty line means that there is no password.
        """
        self.assertIn("unexpected end of file", self.usageError("-o", self.file(b""), p=None))
        for content in (b"\n", b"\0secret", b"\nsecret"):
            words = self.usageError("-o", self.file(content), p=None)
            self.assertIn("You must supply a password", words)

    def test_unreadable(self) -> None:
        """
        The error for an unreadable file has its name and the reason.
        """
        missing = self.mktemp()
        words = self.usageError("-o", missing, p=None)
        self.assertIn(f"unable to open passfile {missing} for reading: No such file", words)
        directory = self.mktemp()
        Path(directory).mkdir()
        self.assertIn("Is a directory", self.usageError("-o", directory, p=None))

    def test_lastWins(self) -> None:
        """
        The last -p or -o counts.
        """
        path = self.file(b"fromfile\n")
        self.assertEqual(configured("-o", path).password, b"fromfile")
        self.assertEqual(configured("-o", path, "-p", "again").password, b"again")

    def test_empty(self) -> None:
        """
        An empty password counts as none, even after a good one.
        """
        self.assertIn("You must supply a password", self.usageError(p=""))
        path = self.file(b"good\n")
        self.assertIn("You must supply a password", self.usageError("-o", path, "-p", ""))

    def test_length(self) -> None:
        """
        A password has at most 19 bytes. The error for a longer one does not show it.
        """
        self.assertEqual(configured(p="y" * 19).password, b"y" * 19)
        status, text = self.outcome(commandLine(p="hunter2" * 3))
        self.assertEqual(status, 2)
        self.assertNotIn("hunter2", text)

    def test_bytes(self) -> None:
        """
        A password on the command line is used byte by byte.
        """
        self.assertEqual(configured(p="é").password, "é".encode())
        self.assertEqual(configured(p=os.fsdecode(b"\xff")).password, b"\xff")

    def test_othersCanRead(self) -> None:
        """
        A file that others can read is used. A warning says what to do.
        """
        for mode, warned in ((0o600, False), (0o400, False), (0o644, True), (0o640, True)):
            path = self.file(b"secret\n", mode)
            with capturedLogs() as events:
                configured("-o", path, p=None)
            self.assertEqual(bool(events), warned, oct(mode))
            if warned:
                self.assertIn(f"chmod 600 {path}", texts(events)[0])
                self.assertIn(f"{mode:04o}", texts(events)[0])

    def test_windows(self) -> None:
        """
        A carriage return belongs to the password, as in ucarp. A warning says so.
        """
        for content, warnings in ((b"love\r\n", 1), (b"love\n", 0), (b"lo\rve\n", 0)):
            path = self.file(content)
            with capturedLogs() as events:
                configuration = configured("-o", path, p=None)
            self.assertEqual(configuration.password, content[:-1])
            said = [text for text in texts(events) if "carriage return" in text]
            self.assertEqual(len(said), warnings, content)
            self.assertNotIn("love", "".join(said))

    def test_given(self) -> None:
        """
        All passwords in the command line are to be hidden, even those that do not count.
        """
        line = parsed("-p", "second", "-o", self.file(b"third\n"))
        self.assertEqual(line.passwords, (b"love", b"second"))

    def test_notShown(self) -> None:
        """
        The representation does not show a password.
        """
        self.assertNotIn("hunter2", repr(parsed(p="hunter2")))


def texts(events: list[LogEvent]) -> list[str]:
    """
    The texts of log events.
    """
    return [formatEvent(event) or "" for event in events]


class FileTests(_Case):
    """
    A configuration file in place of options.
    """

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = (directory / "groups.toml").absolute()
        (directory / "password").write_bytes(b"secret\n")
        (directory / "password").chmod(0o600)
        group = 'interface = "eth0"\naddresses = "fe80::7"\npassfile = "password"\n'
        self.path.write_text(
            f"[daemon]\nfacility = 'local1'\nstate_file = 's.json'\n"
            f"[group.a]\nvhid = 1\n{group}[group.b]\nvhid = 2\n{group.replace('7', '8')}"
        )

    def wrong(self, *more: str) -> str:
        """
        The error text of a wrong command line with the file.
        """
        status, text = self.outcome([f"--config={self.path}", *more])
        self.assertEqual(status, 1)
        return text

    def test_groups(self) -> None:
        """
        All groups of the file are read.
        """
        line = read(["--config", str(self.path)])
        self.assertEqual([one.title for one in line.configurations], ["a", "b"])
        assert line.file is not None
        self.assertEqual(line.file.path, str(self.path))
        self.assertEqual(line.stateFile, str(self.path.parent / "s.json"))
        self.assertEqual((line.facility, line.passwords), (facilityNumber("local1"), ()))
        self.assertEqual((line.daemonize, line.pidFile), (False, ""))

    def test_processOptions(self) -> None:
        """
        Options of the process may stand beside the file, and count more than what it says.
        """
        line = read(
            ["-f", "none", "--config", str(self.path), "-B", "-D", "--pidfile=/p"]
            + ["--state-file", "none"]
        )
        self.assertEqual((line.facility, line.stateFile), (None, None))
        self.assertEqual((line.daemonize, line.pidFile), (True, "/p"))
        self.assertEqual([one.debug for one in line.configurations], [True, True])

    def test_control(self) -> None:
        """
        The control socket is that of the file, unless the command line has another one.
        """
        for more, path in (
            ([], CONTROL_SOCKET),
            (["--control", "none"], None),
            (["--control=x.sock"], f"{os.getcwd()}/x.sock"),
        ):
            self.assertEqual(read([f"--config={self.path}", *more]).control, path)

    def test_http(self) -> None:
        """
        The endpoints are those of the file, unless the command line has others or C{none}.
        """
        self.path.write_text(self.path.read_text().replace("[daemon]", '[daemon]\nhttp = "tcp:1"'))
        for more, endpoints in (
            ([], ("tcp:1",)),
            (["--http", "none"], ()),
            (["--http=tcp:2", "--http=tcp:3:interface=127.0.0.1"],
             ("tcp:2", "tcp:3:interface=127.0.0.1")),
        ):
            self.assertEqual(read([f"--config={self.path}", *more]).http, endpoints)
        self.assertIn("--http: 'x:1' is not an endpoint such as tcp:9112", self.wrong("--http=x:1"))

    def test_page(self) -> None:
        """
        The page is there if the file or the command line asks for it.
        """
        self.assertIn("--page: there is no endpoint", self.wrong("--page"))
        self.assertFalse(read([f"--config={self.path}", "--http=tcp:1"]).page)
        self.assertTrue(read([f"--config={self.path}", "--http=tcp:1", "--page"]).page)
        self.path.write_text(self.path.read_text().replace("[daemon]", "[daemon]\npage = true"))
        self.assertTrue(read([f"--config={self.path}", "--http=tcp:1"]).page)
        self.assertIn("--page: there is no endpoint", self.wrong("--daemonize"))

    def test_realtime(self) -> None:
        """
        Whether to run before all ordinary processes is what the file says, unless the command line
        says something else.
        """
        self.path.write_text(self.path.read_text().replace("[daemon]", "[daemon]\nrealtime = true"))
        for more, wanted in (([], True), (["--realtime=off"], False), (["--realtime", "on"], True)):
            self.assertIs(read([f"--config={self.path}", *more]).runsRealtime, wanted)
        words = self.wrong("--realtime=yes")
        self.assertIn("--realtime=SWITCH: 'yes' is neither on nor off", words)

    def test_both(self) -> None:
        """
        Options of a virtual host beside the file are an error, which names them.
        """
        beside = {"config", "state-file", "control", "http", "page", "realtime"}
        beside |= {"facility", "debug", "daemonize", "pidfile"}
        for option in OPTIONS:
            if option.setting and option.name not in beside:
                value = "=1" if option.takesValue else ""
                words = self.wrong(f"--{option.name}{value}")
                self.assertIn(f"--config: {option.names} cannot be given beside it", words)

    def test_wrong(self) -> None:
        """
        A mistake in the file is one of the command line: everything is said, and nothing runs.
        """
        self.path.write_text("[group.a]\nvhid = 0\n")
        words = self.wrong()
        self.assertIn(f"{self.path}:1: [group.a] has no interface", words)
        self.assertIn(f"{self.path}:2: vhid: 0 is not a number from 1 to 255\n", words)
        self.path.unlink()
        self.assertIn("groups.toml: cannot be read: No such file", self.wrong())
