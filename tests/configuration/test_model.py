"""
Tests for L{txcarp.configuration.model}, as programs use it.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

import attrs
from netaddr import EUI, IPAddress, IPNetwork
from twisted.trial.unittest import SynchronousTestCase

from tests.checks.scripted import Scripted
from tests.fakes import configured
from txcarp.addresses import parseIPv4, parseIPv6, parseVirtualAddress
from txcarp.checks.health import HealthCheck
from txcarp.configuration.model import (
    MAXIMUM_PAIRS,
    MAXIMUM_PEERS,
    ConfigurationError,
    FlapLimit,
    SyncSettings,
    TrackedInterface,
    VirtualHostConfiguration,
)
from txcarp.configuration.steps import ConfiguredStep
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.family import Family
from txcarp.protocol.seal import Verification

IPV4, IPV6 = "10.0.0.1", "fd00::1"

#: The settings that are seconds, or C{None}.
_LIMITS = "startDelay", "scriptTimeout", "downScriptFirst", "announceEvery"


class ConfigurationTests(SynchronousTestCase):
    """
    Tests for L{VirtualHostConfiguration}.
    """

    def refused(self, setting: str, **settings: Any) -> str:
        """
        The error text for impossible settings, one of which is to blame.
        """
        error = self.assertRaises(ConfigurationError, configured, **settings)
        self.assertIsInstance(error, ValueError)
        self.assertEqual(error.setting, setting)
        return str(error)

    def test_each(self) -> None:
        """
        The error for an impossible value has the name of the setting and what was expected.
        """
        for setting, value, words in (
            ("interface", "", "'' is not the name of an interface (1 to 15 bytes)"),
            ("interface", "a" * 16, "'aaaaaaaaaaaaaaaa' is not the name of an interface"),
            ("interface", "eth0/1", "'eth0/1' is not the name of an interface"),
            ("interface", "eth0:1", "is a label of addresses, not the name of an interface: give"),
            ("label", "eth0:1", "label: 'eth0:1' does not begin with eth7:"),
            ("vhid", 0, "vhid: 0 is not a number from 1 to 255"),
            ("vhid", 256, "vhid: 256 is not a number from 1 to 255"),
            ("advbase", -1, "advbase: -1 is not a number from 0 to 255"),
            ("advskew", 256, "advskew: 256 is not a number from 0 to 255"),
            ("deadRatio", 0, "deadRatio: 0 is not a number from 1 to 4294967295"),
            ("source", b"abc", "source: must be 4 packed bytes, not b'abc'"),
            ("source6", b"abcd", "source6: must be 16 packed bytes"),
            ("group", b"abc", "group: must be 4 packed bytes"),
            ("group6", b"abcd", "group6: must be 16 packed bytes"),
            ("group", parseIPv4(IPV4), "a multicast address (224.0.0.0/4)"),
            ("group6", parseIPv6(IPV6), "a multicast address (ff00::/8)"),
            ("dialect", "netbsd", f"dialect: 'netbsd' is not one of {', '.join(DIALECTS)}"),
            ("preemptDelay", -1.0, "preemptDelay: -1.0 is not a number of seconds, 0 or"),
            ("preemptDelay", float("inf"), "preemptDelay: inf is not a"),
            ("startDelay", 0.0, "startDelay: 0.0 is not a number of seconds greater than 0"),
            ("scriptTimeout", float("nan"), "scriptTimeout: nan is not a number of seconds"),
            ("announceEvery", -5.0, "announceEvery: -5.0 is not a number of seconds"),
            ("virtualMAC", b"\1\0\0\0\0\1", "virtualMAC: must be the Ethernet address of one host"),
            ("virtualMAC", b"\0\0\0\0\1", "virtualMAC: must be the Ethernet address"),
            ("addresses", [], "at least one address"),
            ("addresses", ["10.0.0"], "'10.0.0' is not an address such as 192.0.2.1"),
            ("addresses", [IPV4, "fd00::1", IPV4], f"the address {IPV4} is given twice"),
            ("addresses", ["10.0.0.1/24"], "without assign an address has no prefix length"),
            ("advskew", "soon", "advskew: 'soon' is not a whole number from 0 to 255"),
            ("startDelay", 1e9, "startDelay: 1000000000.0 is not a number of seconds"),
            ("flapLimit", FlapLimit(1, 60.0), "flapLimit: 1 is not a number from 2 to 1000000"),
            ("flapLimit", FlapLimit(2, 0.0), "flapLimit: 0.0 is not a number of seconds"),
            ("trackedInterfaces", (TrackedInterface("a/b"),), "'a/b' is not the name of an"),
            ("trackedInterfaces", (TrackedInterface("a", 241),), "241 is not a number from 1 to"),
            ("verification", "yes", "verification: 'yes' is not one of off, learn, require"),
            ("signedHardware", b"\1\0\0\0\0\1", "signedHardware: must be the Ethernet address of"),
            ("otherAddresses", [["x"]], "otherAddresses: 'x' is not an address"),
            ("peers", (b"abc",), "a peer is one host, 4 or 16 packed bytes, not b'abc'"),
            ("peers", (parseIPv4("224.0.0.18"),), "a peer is one host"),
            ("peers", (parseIPv4("255.255.255.255"),), "a peer is one host"),
            ("source", bytes(4), "0.0.0.0 is not the address of one host"),
            ("source6", bytes(16), ":: is not the address of one host"),
        ):
            self.assertIn(words, self.refused(setting, **{setting: value}), (setting, value))

    def test_read(self) -> None:
        """
        A value whose meaning is plain is read: text, address objects, pairs, names, and lists in
        place of tuples.
        """
        four, six = parseIPv4("10.0.0.7"), parseIPv6("fd00::7")
        shared = (parseVirtualAddress("10.0.0.1/24"), parseVirtualAddress("fd00::1/64"))
        hardware = b"\2\0\0\0\0\1"
        tracked = (TrackedInterface("eth1"), TrackedInterface("eth2", 50))
        for setting, read, given in (
            ("source", four, ["10.0.0.7", ip_address("10.0.0.7"), IPAddress("10.0.0.7")]),
            ("source6", six, ["fd00::7", ip_address("fd00::7"), IPAddress("fd00::7")]),
            ("group", parseIPv4("224.0.0.9"), ["224.0.0.9", ip_address("224.0.0.9")]),
            ("group6", parseIPv6("ff02::9"), ["ff02::9", ip_address("ff02::9")]),
            ("peers", (four, six), [["10.0.0.7", six], iter([four, ip_address("fd00::7")])]),
            (
                "addresses",
                shared,
                [
                    ["10.0.0.1/24", shared[1]],
                    (ip_interface("10.0.0.1/24"), ip_interface("fd00::1/64")),
                    [IPNetwork("10.0.0.1/24"), IPNetwork("fd00::1/64")],
                ],
            ),
            ("otherAddresses", (shared,), [[["10.0.0.1/24", "fd00::1/64"]], (shared,)]),
            ("trackedInterfaces", tracked, [["eth1", "eth2:50"], list(tracked)]),
            ("flapLimit", FlapLimit(5, 30), [(5, 30), [5, 30.0]]),
            ("verification", Verification.REQUIRE, ["require"]),
            ("dialect", DIALECTS["openbsd"], ["openbsd"]),
            ("otherPasswords", (b"one", b"two"), [[b"one", b"two"], iter((b"one", b"two"))]),
            ("virtualMAC", hardware, ["02:00:00:00:00:01", EUI("02-00-00-00-00-01")]),
            ("signedHardware", hardware, ["02:00:00:00:00:01"]),
            ("upScript", "/up", [Path("/up")]),
            ("downScript", "/down", [Path("/down")]),
        ):
            for value in given:
                settings: dict[str, Any] = {"source": "10.0.0.99", "assign": True, setting: value}
                self.assertEqual(getattr(configured(**settings), setting), read, (setting, value))
        [address] = configured(addresses=[ip_address("10.0.0.1")]).addresses
        self.assertEqual(str(address), "10.0.0.1/32")

    def test_wrongKind(self) -> None:
        """
        A value of another kind is an error at once, which names the setting.
        """
        one = parseIPv4(IPV4)
        wrong: dict[str, list[Any]] = {
            "interface": [None, b"eth0", 5],
            "label": [5, b"eth7:1"],
            "vhid": ["1", True, 1.0, None],
            "password": ["secret", None, bytearray(b"x"), 5],
            **{name: [True, 1.0, "1", None] for name in ("advbase", "advskew", "deadRatio")},
            "source": ["eth0", 5, IPV6, ip_address(IPV6), ip_interface("10.0.0.7/24")],
            "source6": ["x", 5, IPV4, ip_address("fe80::1%eth0")],
            "group": [None, "224.0.0", "ff02::12"],
            "group6": [None, "224.0.0.18"],
            "addresses": [None, IPV4, one, [one], [5], [None], {IPV4: 1}, [["10.0.0.1"]]],
            "probe": [True, "5", 0, -1, 0.0009, 10.5],
            "witnesses": [None, "10.0.0.2", one, [5], ["host"], [None], ["224.0.0.1"], [one] * 9],
            "peers": [None, "10.0.0.2", one, [5], ["host"], [None]],
            "dialect": [None, ["ucarp"], 5],
            "verification": [None, True, ["learn"], "required"],
            "preemptDelay": [None, True, "5"],
            **{name: [True, "5"] for name in _LIMITS},
            "flapLimit": [5, (5,), (5, 30, 1), ("5", 30), (5, "30"), (True, 30), "5/30"],
            "trackedInterfaces": [None, "eth1", [5], ["eth1:x"], ["eth1:0"], [("eth1", 5)]],
            "checks": [None, "x", [5], [HealthCheck("x", Scripted(), rise=0)]],
            "sync": ["x", 5, *(SyncSettings(*one) for one in (("a b",), ("a", 0), ("a", "5")))],
            "steps": [None, "x", [5], [ConfiguredStep(name="x")]],
            "otherPasswords": [None, b"secret", ["secret"], "secret"],
            "otherAddresses": [None, [IPV4], IPV4, [[5]], [one]],
            "virtualMAC": [5, "x", "01:00:00:00:00:01", True],
            "signedHardware": [None, 5, "x"],
            **{
                name: [5, b"/up", True]
                for name in ("upScript", "downScript", "parameter", "title")
            },
            **{
                field.name: [None, 1, "yes"]
                for field in attrs.fields(VirtualHostConfiguration)
                if field.type == "bool"
            },
        }
        self.assertEqual({field.name for field in attrs.fields(VirtualHostConfiguration)}, {*wrong})
        for setting, values in wrong.items():
            for value in values:
                try:
                    configured(**{"assign": True, setting: value})
                except ConfigurationError as error:
                    self.assertEqual(error.setting, setting, value)
                    self.assertNotIn("secret", str(error))
                else:
                    self.fail(f"{setting}={value!r} is accepted")

    def test_together(self) -> None:
        """
        Settings that are impossible together are errors.
        """
        self.assertIn("IPv4 addresses need a source", self.refused("source", source=None))
        self.assertIn("nothing separates", self.refused("advbase", advbase=0, advskew=0))
        many = tuple(parseIPv4(f"10.1.{n // 250}.{n % 250}") for n in range(MAXIMUM_PEERS + 1))
        self.assertIn(f"more than {MAXIMUM_PEERS} peers", self.refused("peers", peers=many))
        secrets = tuple(b"%d" % n for n in range(MAXIMUM_PAIRS))
        text = self.refused("otherPasswords", otherPasswords=secrets)
        self.assertIn(f"{MAXIMUM_PAIRS + 1} pairs", text)

    def test_contradictions(self) -> None:
        """
        Settings that contradict each other are errors that say what to do.
        """
        own, virtual = parseIPv4("10.0.0.7"), parseIPv4(IPV4)
        group = {"broadcast": True, "group": own}
        tracked = (TrackedInterface("eth1", 10), TrackedInterface("eth1", 20))
        for setting, words, settings in (
            ("source", "give an address that this host alone has", {"source": virtual}),
            ("source6", "is a virtual address", {"source6": parseIPv6(IPV6)}),
            ("peers", "another host, not this one", {"peers": (own,)}),
            ("peers", "give the address of the peer alone", {"peers": (virtual,)}),
            ("group", "all hosts need the same group", group),
            ("trackedInterfaces", "10 and 20: give one", {"trackedInterfaces": tracked}),
            ("broadcast", "or the IPv4 peers", {"broadcast": True, "peers": (b"\n\0\0\2",)}),
            ("virtualMAC", "needs assign", {"virtualMAC": b"\0\0\x5e\0\1\7"}),
            ("downScriptFirst", "the scripts remove the addresses", {"downScriptFirst": 5.0}),
        ):
            addresses = [IPV4, IPV6]
            text = self.refused(setting, **{"source": own, "addresses": addresses, **settings})
            self.assertIn(words, text)
        for settings in (
            {"broadcast": True, "peers": (parseIPv6("fe80::2"),)},
            {"broadcast": True, "peers": (b"\n\0\0\2",), "followPeers": True},
            {"trackedInterfaces": (tracked[0], tracked[0])},
        ):
            configured(**settings)

    def test_possible(self) -> None:
        """
        Values at the limits are possible.
        """
        peers = tuple(parseIPv4(f"10.1.{n // 250}.{n % 250}") for n in range(MAXIMUM_PEERS))
        for settings in (
            {"interface": "a" * 15},
            {"vhid": 255, "advbase": 255, "advskew": 255, "deadRatio": 2**32 - 1},
            {"advbase": 0, "advskew": 1},
            {"advbase": 0, "advskew": 0, "dialect": "openbsd"},
            {"group": parseIPv4(IPV4), "broadcast": True},
            {"peers": peers},
            {"otherPasswords": tuple(b"%d" % n for n in range(MAXIMUM_PAIRS - 1))},
            {"addresses": ["10.0.0.1/24"], "assign": True, "virtualMAC": b"\2\0\0\0\0\1"},
            {"addresses": [IPV6], "source": None},
        ):
            self.assertIsInstance(configured(**settings), VirtualHostConfiguration, settings)

    def test_passwords(self) -> None:
        """
        Neither error texts nor the representation of a configuration show a password.
        """
        for password in (b"", b"Geheimnis" * 10):
            for text in (
                self.refused("password", password=password),
                self.refused("otherPasswords", otherPasswords=(b"fine", password)),
            ):
                self.assertIn(f"{len(password)} bytes; a password has 1 to 19", text)
                self.assertNotIn("Geheimnis", text)
        shown = repr(configured(password=b"Geheimnis", otherPasswords=(b"Geheimnis2",)))
        self.assertNotIn("Geheimnis", shown)

    def test_families(self) -> None:
        """
        A host advertises in the families of its addresses.
        """
        for addresses, families in (
            ([IPV4], (Family.IPV4,)),
            ([IPV6], (Family.IPV6,)),
            ([IPV6, IPV4], (Family.IPV4, Family.IPV6)),
        ):
            self.assertEqual(configured(addresses=addresses).families, families)

    def test_others(self) -> None:
        """
        An error has all others of its kind with it, and contradictions only if no value is
        impossible.
        """
        error = self.assertRaises(
            ConfigurationError, configured, vhid=0, advskew=-1, source=b"1234", peers=[b"1234"]
        )
        found = [error.setting, *(one.setting for one in error.others)]
        self.assertEqual(found, ["vhid", "advskew"])
        error = self.assertRaises(
            ConfigurationError, configured, source=b"\x0a\0\0\x63", peers=["10.0.0.99"]
        )
        self.assertTrue(error.contradiction)
        self.assertEqual(error.others, ())
