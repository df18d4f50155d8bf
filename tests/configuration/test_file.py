"""
Tests for L{txcarp.configuration.file}: a good file, and everything that can be wrong with one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import txcarp
from txcarp.addresses import VirtualAddress, parseIPv4, parseIPv6, parseVirtualAddress
from txcarp.configuration import ucarp
from txcarp.configuration.file import readFile, readText
from txcarp.configuration.model import (
    FlapLimit,
    SyncSettings,
    TrackedInterface,
    VirtualHostConfiguration,
)
from txcarp.configuration.options import OPTIONS
from txcarp.configuration.places import CONTROL_SOCKET
from txcarp.configuration.problems import FileError
from txcarp.configuration.request import Configuration
from txcarp.configuration.settings import KEYS, shown
from txcarp.protocol.dialect import OPENBSD
from txcarp.protocol.seal import Verification

_ROOT = Path(txcarp.__file__).parent.parent

OWN = parseIPv4("10.1.1.1")

#: A group that is complete, but for its name.
GROUP = 'interface = "eth0"\nvhid = 1\npassfile = "password"\naddresses = ["10.1.1.252/24"]\n'


def found(
    interface: str, addresses: Sequence[VirtualAddress], virtual: Collection[bytes]
) -> bytes:
    """
    A source on every interface but C{gone0}.
    """
    if interface == "gone0":
        raise ValueError("there is no interface gone0")
    return OWN


class FileTestCase(SynchronousTestCase):
    """
    A directory with passwords.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        for name in ("password", "dns-password", "old-dns-password"):
            path = self.directory / name
            path.write_text(f"in {name}"[:19] + "\n")
            path.chmod(0o600)
        self.environment = {"CREDENTIALS_DIRECTORY": str(self.directory)}
        self.path = str((self.directory / "txcarp.toml").absolute())

    def read(self, text: str) -> Configuration:
        """
        Read a text as the file.
        """
        return readText(self.path, text.encode(), self.environment, found)

    def group(self, *lines: str, without: Collection[str] = ()) -> VirtualHostConfiguration:
        """
        Read a file with one group.

        @param lines: Lines for the group, in place of those of L{GROUP} with the same keys.
        """
        [group] = self.read(self.text(*lines, without=without)).groups
        return group

    def text(self, *lines: str, without: Collection[str] = ()) -> str:
        """
        The text of a file with one group.
        """
        keys = {*without, *(line.partition(" ")[0] for line in lines)}
        kept = [line for line in GROUP.splitlines() if line.partition(" ")[0] not in keys]
        return "\n".join(["[group.web]", *kept, *lines, ""])

    def refused(self, text: str) -> list[str]:
        """
        The lines of the error for a text, without the path.
        """
        error = self.assertRaises(FileError, self.read, text)
        return str(error).replace(f"{self.path}:", "").split("\n")


class GoodTests(FileTestCase):
    """
    Files that are right.
    """

    def test_example(self) -> None:
        """
        The example is right as it is, and with every line that is commented out.
        """
        text = (_ROOT / "examples" / "txcarp.toml").read_text(encoding="utf-8")
        everything = re.sub(r"(?m)^# (?=\w+ = )", "", text)
        self.assertNotEqual(text, everything)
        for one in (text, everything):
            web, dns, legacy, outer, inner = self.read(one).groups
        self.assertEqual([web.title, dns.title, legacy.title], ["web", "dns", "legacy"])
        self.assertEqual([web.assign, dns.assign, legacy.assign], [True, True, False])
        firewall = SyncSettings("firewall")
        self.assertEqual([web.sync, outer.sync, inner.sync], [None, firewall, firewall])
        self.assertEqual((web.preempt, web.preemptDelay, web.source), (True, 60.0, OWN))
        self.assertEqual(web.trackedInterfaces, (TrackedInterface("eth1", 100),))
        self.assertEqual((web.password, dns.password), (b"in password", b"in dns-password"))
        self.assertEqual(dns.otherPasswords, (b"in old-dns-password",))
        self.assertEqual(legacy.upScript, str(Path(self.path).parent / "vip-up.sh"))

    def test_likeOptions(self) -> None:
        """
        The command line of ucarp and a file give the same model.
        """
        self.patch(ucarp, "firstInterface", lambda: "eth0")
        line = ucarp.read(
            ["-i", "eth0", "-v", "1", "-p", "in password", "-a", "10.1.1.252", "-s", "10.1.1.1"]
            + ["-k", "5", "-P", "-z", "-u", "/up", "-d", "/down"]
        )
        own = self.group(
            *('addresses = "10.1.1.252"', "advskew = 5", "preempt = true", "shutdown = true"),
            *('up_script = "/up"', 'down_script = "/down"'),
        )
        self.assertEqual(attrs.evolve(own, title=None), line.configurations[0])

    def test_values(self) -> None:
        """
        Each key gives its settings, in all forms that its value has.
        """
        address = parseVirtualAddress
        for line, expected in (
            ('interface = "eth1"', {"interface": "eth1"}),
            ("vhid = 0x10", {"vhid": 16}),
            ('passfile = "dns-password"', {"password": b"in dns-password"}),
            ('dialect = "openbsd"', {"dialect": OPENBSD}),
            ('addresses = "10.0.0.9/24"', {"addresses": (address("10.0.0.9/24"),)}),
            ('former_addresses = "10.0.0.9"', {"otherAddresses": ((address("10.0.0.9"),),)}),
            (
                'former_addresses = [["10.0.0.9", "10.0.0.8"], ["10.0.0.7"]]',
                {
                    "otherAddresses": (
                        (address("10.0.0.9"), address("10.0.0.8")),
                        (address("10.0.0.7"),),
                    )
                },
            ),
            ("assign = true", {"assign": True}),
            ("release_first = true", {"releaseFirst": True}),
            ("guard = false", {"guard": False}),
            ("virtual_mac = true", {"virtualMAC": bytes.fromhex("00005e000101")}),
            ("virtual_mac = false", {"virtualMAC": None}),
            ('virtual_mac = "02:00:00:00:00:07"', {"virtualMAC": bytes.fromhex("020000000007")}),
            ('announce_every = "2m"', {"announceEvery": 120.0}),
            ("announce_every = false", {"announceEvery": None}),
            ("announce_every = 0", {"announceEvery": None}),
            ("advbase = 2", {"advbase": 2}),
            ("advskew = 200", {"advskew": 200}),
            ("dead_ratio = 5", {"deadRatio": 5}),
            ("preempt = true", {"preempt": True, "preemptDelay": 0.0}),
            ("preempt = false", {"preempt": False}),
            ('preempt = "500ms"', {"preempt": True, "preemptDelay": 0.5}),
            ("preempt = 2.5", {"preempt": True, "preemptDelay": 2.5}),
            ('start_delay = "1h"', {"startDelay": 3600.0}),
            ('flap_limit = "5/2m"', {"flapLimit": FlapLimit(5, 120.0)}),
            ('flap_limit = "5/30"', {"flapLimit": FlapLimit(5, 30.0)}),
            ("flap_limit = false", {"flapLimit": None}),
            ('track_interfaces = "eth1"', {"trackedInterfaces": (TrackedInterface("eth1"),)}),
            ("any_family = true", {"anyFamily": True}),
            ("ignore_link = true", {"ignoreLink": True}),
            ('script_parameter = "x"', {"parameter": "x"}),
            ('script_label = "eth0:1"', {"label": "eth0:1"}),
            ('script_timeout = "10 s"', {"scriptTimeout": 10.0}),
            ('down_script_first = "5 s"', {"downScriptFirst": 5.0}),
            ("neutral = true", {"neutral": True}),
            ("shutdown = true", {"shutdown": True}),
            ('source = "10.1.1.9"', {"source": parseIPv4("10.1.1.9")}),
            (
                'source = ["fe80::9", "10.1.1.9"]',
                {"source": parseIPv4("10.1.1.9"), "source6": parseIPv6("fe80::9")},
            ),
            ('source = "fe80::9"', {"source": OWN, "source6": parseIPv6("fe80::9")}),
            ('multicast = "224.0.0.99"', {"group": parseIPv4("224.0.0.99")}),
            ("broadcast = true", {"broadcast": True}),
            (
                'peers = ["10.1.1.2", "auto"]',
                {"peers": (parseIPv4("10.1.1.2"),), "followPeers": True},
            ),
            ('seal = "require"', {"verification": Verification.REQUIRE}),
            ('signed_mac = "02:00:00:00:00:07"', {"signedHardware": bytes.fromhex("020000000007")}),
            ("debug = true", {"debug": True}),
        ):
            group = self.group(line)
            for setting, value in expected.items():
                self.assertEqual(getattr(group, setting), value, line)
        scripts = self.group('up_script = "up"', 'down_script = "/down"', 'addresses = "10.0.0.9"')
        self.assertEqual(scripts.downScript, "/down")
        both = self.group('up_script = "up"', "assign = true")
        self.assertEqual((both.assign, str(both.addresses[0])), (True, "10.1.1.252/24"))
        credential = self.group('credential = ["password", "dns-password"]', without=["passfile"])
        self.assertEqual(credential.otherPasswords, (b"in dns-password",))

    def test_everySetting(self) -> None:
        """
        Each setting of the model has a key, or is one that the file gives in another way.
        """
        others = {"title", "checks", "steps", "sync"}
        given = {setting for key in KEYS for setting in key.settings} | others
        self.assertEqual(given, {field.name for field in attrs.fields(VirtualHostConfiguration)})
        for key in KEYS:
            options = [one for one in OPTIONS if one.setting == key.settings[0]]
            self.assertTrue(key.help or options, key.name)

    def test_defaults(self) -> None:
        """
        A key of the defaults counts for each group that does not have it.  Passwords in files
        and credentials replace each other.
        """
        text = f"[defaults]\nadvskew = 9\n{GROUP}"
        one, two = self.read(
            f'{text}[group.a]\n[group.b]\nvhid = 2\nadvskew = 3\naddresses = "10.1.1.9"\n'
            'credential = "dns-password"\n'
        ).groups
        self.assertEqual([one.advskew, two.advskew, two.vhid], [9, 3, 2])
        self.assertEqual([one.password, two.password], [b"in password", b"in dns-password"])

    def test_daemon(self) -> None:
        """
        The state file has a default beside those of other daemons, and is the one of the file.
        """
        self.patch(txcarp.configuration.file, "defaultStateDirectory", lambda: Path("/state"))
        for lines, facility, path in (
            ("", None, "/state/txcarp.json"),
            ('facility = "local3"\nstate_file = "/x.json"\n', "local3", "/x.json"),
            ("state_file = false\n", None, None),
            ('state_file = "none"\n', None, None),
        ):
            read = self.read(f"[daemon]\n{lines}{self.text()}")
            self.assertEqual((read.facility, read.stateFile), (facility, path))

    def test_http(self) -> None:
        """
        The endpoints on which everybody may read are one or a list.
        """
        self.assertEqual(self.read(self.text()).http, ())
        for line, endpoints in (
            ('http = "tcp:1:interface=::1"\n', None),
            ('http = "tcp:1"\n', ("tcp:1",)),
            ('http = ["tcp:1", "tcp:2"]\n', ("tcp:1", "tcp:2")),
            ("http = [1]\n", None),
            ("http = 9112\n", None),
            ("http = true\n", None),
        ):
            text = f"[daemon]\n{line}{self.text()}"
            if endpoints is None:
                self.assertIn("http: ", str(self.assertRaises(FileError, self.read, text)))
            else:
                self.assertEqual(self.read(text).http, endpoints)

    def test_page(self) -> None:
        """
        There is a page only if the file asks for it.
        """
        self.assertFalse(self.read(self.text()).page)
        for value, page in (("true", True), ("false", False), ('"yes"', None), ("1", None)):
            text = f"[daemon]\npage = {value}\n{self.text()}"
            if page is None:
                error = self.assertRaises(FileError, self.read, text)
                self.assertIn("page: expected true or false", str(error))
            else:
                self.assertEqual(self.read(text).page, page)

    def test_realtime(self) -> None:
        """
        Whether to run before all ordinary processes depends on the groups, unless the file says so.
        """
        self.assertIs(self.read(self.text()).realtime, None)
        for wanted in (True, False):
            line = f"realtime = {str(wanted).lower()}"
            self.assertIs(self.read(f"[daemon]\n{line}\n{self.text()}").realtime, wanted)
        text = f'[daemon]\nrealtime = "on"\n{self.text()}'
        error = self.assertRaises(FileError, self.read, text)
        self.assertIn("realtime: expected true or false", str(error))

    def test_control(self) -> None:
        """
        The control socket has a default, is relative to the file, and can be left out.
        """
        for line, path in (
            ("", CONTROL_SOCKET),
            ('control = "/x.sock"\n', "/x.sock"),
            ('control = "x.sock"\n', str(self.directory.absolute() / "x.sock")),
            ("control = false\n", None),
            ('control = "none"\n', None),
        ):
            self.assertEqual(self.read(f"[daemon]\n{line}{self.text()}").control, path)

    def test_warnings(self) -> None:
        """
        What is wrong with a file of a password is a warning.
        """
        (self.directory / "password").chmod(0o644)
        [warning] = self.read(self.text()).warnings
        self.assertIn("Others can read the password in ", warning)

    def test_shown(self) -> None:
        """
        Values are shown as people write them, and passwords are not.
        """
        group = self.group('flap_limit = "5/30s"', 'track_interfaces = "eth1"')
        for setting, text in (
            ("password", "(secret)"),
            ("addresses", "10.1.1.252/24"),
            ("source", "10.1.1.1"),
            ("preempt", "false"),
            ("preemptDelay", "0 s"),
            ("virtualMAC", "none"),
            ("flapLimit", "5/30s"),
            ("trackedInterfaces", "eth1"),
            ("dialect", "ucarp"),
            ("verification", "learn"),
            ("otherAddresses", "none"),
        ):
            self.assertEqual(shown(setting, getattr(group, setting)), text)


class WrongTests(FileTestCase):
    """
    Files that are wrong.
    """

    def test_each(self) -> None:
        """
        The error for a value has its line, a mark under it, and what is expected.
        """
        for line, words, marked in (
            ("vhid = 300", "vhid: 300 is not a number from 1 to 255", "300"),
            ('vhid = "1"', "vhid: '1' is not a whole number", '"1"'),
            ("vhid = true", "vhid: true is not a whole number", "true"),
            ("advskew = 1.5", "advskew: 1.5 is not a whole number", "1.5"),
            ("interface = 5", "interface: 5 is not text in quotation marks", "5"),
            ('interface = "eth0:1"', "is a label of addresses", '"eth0:1"'),
            ("assign = 1", "assign: 1 is not true or false", "1"),
            ('preempt = "60x"', 'is not a time such as "60s"', '"60x"'),
            ("preempt = -1", "preempt: -1 is not a number of seconds, 0 or more", "-1"),
            ("start_delay = nan", "is not a number of seconds greater than 0", "nan"),
            ("announce_every = 1979-05-27", "1979-05-27 is not a time", "1979-05-27"),
            ('addresses = ["10.1.1.1/24", "x"]', "'x' is not an address", '"x"'),
            ("addresses = [1]", "1 is not text in quotation marks", "1"),
            ("addresses = []", "a virtual host has at least one address", "[]"),
            ("addresses = {a = 1}", "a table is not text", "{a = 1}"),
            ('former_addresses = [[]]', "is not a list of addresses", "[]"),
            ('passfile = "gone"', "unable to open passfile", '"gone"'),
            ("passfile = []", "passfile: the list is empty", "[]"),
            ('passfile = "a\\u0000b"', "a character that is not possible", '"a\\u0000b"'),
            ('dialect = "cisco"', "'cisco' is not one of ucarp, freebsd, openbsd", '"cisco"'),
            ('seal = "yes"', "'yes' is not one of off, learn, require", '"yes"'),
            ('flap_limit = "5"', 'is not text such as "10/60s"', '"5"'),
            ('flap_limit = "1/60s"', "1 is not a number from 2", '"1/60s"'),
            ('track_interfaces = ["eth1:x"]', 'an interface such as "eth1"', '"eth1:x"'),
            ('peers = ["10.1.1.300"]', "is not an IPv4 address", '"10.1.1.300"'),
            ('peers = ["10.1.1.252"]', "is a virtual address", '["10.1.1.252"]'),
            ('source = ["10.1.1.1", "10.1.1.2"]', "are of one family", '["10.1.1.1", "10.1.1.2"]'),
            ('source = "10.1.1.252"', "is a virtual address", '"10.1.1.252"'),
            ('virtual_mac = "x"', "is not an Ethernet address", '"x"'),
            ('up_script = ""', "the path is empty", '""'),
        ):
            said = self.refused(self.text(line))
            self.assertEqual(len(said), 3, said)
            first, second, third = said
            number = self.text(line).split("\n").index(line) + 1
            self.assertTrue(first.startswith(f"{number}: "), first)
            self.assertIn(words, first)
            self.assertEqual(second, f"    {line}")
            self.assertEqual(second[third.index("^") : len(third)], marked)

    def test_unknown(self) -> None:
        """
        A key that does not exist is marked, with the one that is probably meant: by its name, or
        by the name of an option or of a setting.
        """
        for key, meant in (
            ("advskw", "advskew"),
            ("deadratio", "dead_ratio"),
            ("deadRatio", "dead_ratio"),
            ("dead-ratio", "dead_ratio"),
            ("srcip", "source"),
            ("addr", "addresses"),
            ("state-file", None),
            ("xyzzy", None),
        ):
            first, _, third = self.refused(self.text(f"{key} = 1"))
            hint = f"; did you mean {meant!r}?" if meant else ""
            self.assertEqual(first, f"6: unknown key {key!r} in [group.web]{hint}")
            self.assertEqual(third.strip(), "^" * len(key))
        for text, words in (
            (f"[groups.web]\n{GROUP}", "1: unknown key 'groups' in the file; did you mean 'group'"),
            (f"{self.text()}[daemon]\nfacilty = 1", "7: unknown key 'facilty' in [daemon]; did"),
            (f"{self.text()}[group.web.checks.x]\n", "; did you mean 'check'?"),
        ):
            self.assertIn(words, self.refused(text)[0])

    def test_missing(self) -> None:
        """
        Everything that a group lacks is said at its header.
        """
        said = self.refused("# nothing\n[group.web]\n")
        heads = [line for line in said if line.startswith("2: ")]
        self.assertEqual(
            heads,
            [
                "2: [group.web] has no addresses",
                "2: [group.web] has no interface",
                "2: [group.web] has no passfile and no credential",
                "2: [group.web] has no vhid",
            ],
        )
        self.assertIn("there is no group", self.refused("")[0])
        self.assertIn("there is no group", self.refused("[defaults]\nvhid = 1\n")[0])

    def test_allAtOnce(self) -> None:
        """
        All mistakes of a file are found at once, in the order of its lines: those of the text, of
        the model, and those that several groups make together.
        """
        said = self.refused(
            f'[defaults]\nadvskew = "x"\n[group.a]\n{GROUP}dead_ratio = 0\nadvbase = 256\nz = 1\n'
            f"[group.b]\n{GROUP}[group.c]\n{GROUP}preempt = []\n"
        )
        heads = [line for line in said if line[0].isdigit()]
        self.assertEqual(
            [int(line.partition(":")[0]) for line in heads], [2, 8, 9, 10, 13, 15, 18, 20, 21], said
        )

    def test_together(self) -> None:
        """
        Two groups cannot have one number or one address on one interface.
        """
        said = self.refused(f"[group.a]\n{GROUP}[group.b]\n{GROUP}")
        self.assertIn("8: [group.a] has vhid 1 on eth0, too", said)
        self.assertIn("10: 10.1.1.252 is an address of [group.a], too", said)
        other = GROUP.replace("eth0", "eth1")
        self.assertEqual(len(self.read(f"[group.a]\n{GROUP}[group.b]\n{other}").groups), 2)

    def test_contradictions(self) -> None:
        """
        Keys that contradict each other are an error.
        """
        for lines, words in (
            (('credential = "password"',), "give either passfile or credential"),
            (('up_script = "/up"',), "without assign an address has no prefix length"),
            (("virtual_mac = true", "assign = false", 'addresses = "10.0.0.1"'), "needs assign"),
        ):
            self.assertIn(words, self.refused(self.text(*lines))[0])

    def test_noSource(self) -> None:
        """
        An interface that gives no source is an error, unless the file has the source.
        """
        line = 'interface = "gone0"'
        said = self.refused(self.text(line))[0]
        self.assertIn("has no source, and the interface gives none: there is no interface", said)
        self.assertEqual(self.group(line, 'source = "10.1.1.9"').interface, "gone0")
        self.assertEqual(self.group(line, 'addresses = "fe80::7"').interface, "gone0")

    def test_names(self) -> None:
        """
        The name of a group is a word.
        """
        for name in ('"a b"', '""', '"/"', "-x", "a" * 33):
            self.assertIn("cannot be the name", self.refused(f"[group.{name}]\n{GROUP}")[0])

    def test_syntax(self) -> None:
        """
        A text that is not TOML is an error with its place, in plain words.
        """
        for text, words in (
            (self.text("vhid = "), "5: "),
            ("[group.web]\nvhid = 1\nvhid = 2\n", "3: this key has a value already"),
            ("[group.web]\n[group.web]\n", "2: [group.web] is in the file already"),
            ("[group.web]\ninterface = eth0\n", "2: this is not a value; text needs quotation"),
            ("[group.web", "1: "),
            ('a = "x', "1: "),
        ):
            self.assertTrue(self.refused(text)[0].startswith(words), self.refused(text))
        for data, words in (
            (b"\xff", "this is not UTF-8"),
            (b"a = " + b"[" * 100_000, "nested too deeply"),
        ):
            error = self.assertRaises(FileError, readText, self.path, data, {}, found)
            self.assertIn(words, str(error))

    def test_tables(self) -> None:
        """
        What must be a table is one.
        """
        for text in ("defaults = 1", "group = []", "group.web = 1", "daemon = 'x'"):
            self.assertIn("must be a table", "".join(self.refused(text)))

    def test_unreadable(self) -> None:
        """
        A file that cannot be read is an error, and so is one of unlimited size.
        """
        for path, words in (("/gone", "No such file"), ("/dev/zero", "more than"), ("/", "")):
            error = self.assertRaises(FileError, readFile, path)
            self.assertTrue(str(error).startswith(f"{path}: "))
            self.assertIn(words, str(error))

    def test_secret(self) -> None:
        """
        A password that somebody writes into the file is not repeated.
        """
        for line in (
            'password = "Geheimnis"',
            'pass = "Geheimnis',
            "  secret-word = 'Geheimnis'",
            '"my key" = "Geheimnis"',
            'debug = {vhid = 1, password = "Geheimnis"}',
            'debug = {vhid = 1, "psk"="Geheimnis"}',
        ):
            said = "\n".join(self.refused(self.text(line)))
            self.assertNotIn("Geheimnis", said)
            self.assertIn("...", said)
        said = "\n".join(self.refused(self.text('password = "Geheimnis"')))
        self.assertIn("give the path of that as 'passfile'", said)

    def test_credentials(self) -> None:
        """
        The name of a credential cannot lead out of the directory, which systemd must have given.
        """
        for name in ("../password", "", "/etc/passwd", ".."):
            text = self.text(f'credential = "{name}"', without=["passfile"])
            self.assertIn("is not the name of a credential", self.refused(text)[0])
        self.environment = {}
        text = self.text('credential = "password"', without=["passfile"])
        self.assertIn("LoadCredential=password:PATH", self.refused(text)[0])


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_toml(one)}' for key, one in value.items())}}}"
    return f'"{value}"' if isinstance(value, str) else str(value)


_WORDS = st.sampled_from(
    ["", "eth0", "10.1.1.252/24", "fe80::1", "60s", "auto", "learn", "5/60", "02:00:00:00:00:01"]
)
_VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-1, 300), st.floats(), _WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=6,
)
_TABLE = st.dictionaries(st.sampled_from([key.name for key in KEYS] + ["odd"]), _VALUES)


class AnythingTests(FileTestCase):
    """
    Files that nobody would write.
    """

    def attempt(self, data: bytes) -> None:
        """
        Read a file.  It is read, or refused with its own error, which has whole lines.
        """
        try:
            read = readText(self.path, data, {}, found)
        except FileError as error:
            self.assertRegex(str(error), r"\A.+: .+")
        else:
            self.assertIsInstance(read, Configuration)

    @settings(max_examples=150, deadline=None)
    @given(_TABLE, _TABLE)
    def test_values(self, defaults: dict[str, Any], group: dict[str, Any]) -> None:
        """
        Any values under any keys.
        """
        lines = [f"{key} = {_toml(value)}" for key, value in defaults.items()]
        more = [f"{key} = {_toml(value)}" for key, value in group.items()]
        text = "\n".join(["[defaults]", *lines, "[group.a]", GROUP, "[group.b]", *more])
        self.attempt(text.encode())

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_damaged(self, data: st.DataObject) -> None:
        """
        The example with some characters replaced.
        """
        text = bytearray((_ROOT / "examples" / "txcarp.toml").read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            start = data.draw(st.integers(0, len(text) - 1))
            length = data.draw(st.integers(0, 10))
            text[start : start + length] = data.draw(st.binary(max_size=4))
        self.attempt(bytes(text))
