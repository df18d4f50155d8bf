"""
Tests for L{txcarp.configuration.model}: what programs that use the library are told.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import configured
from txcarp.addresses import parseIPv4, parseIPv6
from txcarp.configuration.model import (
    MAXIMUM_PAIRS,
    MAXIMUM_PEERS,
    ConfigurationError,
    VirtualHostConfiguration,
)
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.family import Family

IPV4, IPV6 = "10.0.0.1", "fd00::1"


class ConfigurationTests(SynchronousTestCase):
    """
    Tests for L{VirtualHostConfiguration}.
    """

    def refused(self, setting: str, **settings: Any) -> str:
        """
        What is said of settings that cannot be, of which one is to blame.
        """
        error = self.assertRaises(ConfigurationError, configured, **settings)
        self.assertIsInstance(error, ValueError)
        self.assertEqual(error.setting, setting)
        return str(error)

    def test_each(self) -> None:
        """
        A setting that cannot be is refused by its name, with what was expected of it.
        """
        for setting, value, words in (
            ("interface", "", "'' is not the name of an interface (1 to 15 bytes)"),
            ("interface", "a" * 16, "'aaaaaaaaaaaaaaaa' is not the name of an interface"),
            ("interface", "eth0/1", "'eth0/1' is not the name of an interface"),
            ("vhid", 0, "vhid must be from 1 to 255, not 0"),
            ("vhid", 256, "vhid must be from 1 to 255, not 256"),
            ("advbase", -1, "advbase must be from 0 to 255, not -1"),
            ("advskew", 256, "advskew must be from 0 to 255, not 256"),
            ("deadRatio", 0, "deadRatio must be from 1 to 4294967295, not 0"),
            ("source", b"abc", "source must be 4 packed bytes, not b'abc'"),
            ("source6", b"abcd", "source6 must be 16 packed bytes"),
            ("group", b"abc", "group must be 4 packed bytes"),
            ("group6", b"abcd", "group6 must be 16 packed bytes"),
            ("group", parseIPv4(IPV4), "a multicast address (224.0.0.0/4)"),
            ("group6", parseIPv6(IPV6), "a multicast address (ff00::/8)"),
            ("dialect", "netbsd", f"'netbsd' is not a dialect: it is one of {', '.join(DIALECTS)}"),
            ("preemptDelay", -1.0, "preemptDelay must not be less than 0 seconds, as -1.0 is"),
            ("preemptDelay", float("inf"), "preemptDelay must not be"),
            ("startDelay", 0.0, "startDelay must be more than 0 seconds, not 0.0"),
            ("scriptTimeout", float("nan"), "scriptTimeout must be more than 0 seconds, not nan"),
            ("announceEvery", -5.0, "announceEvery must be more than 0 seconds, not -5.0"),
            ("virtualMAC", b"\1\0\0\0\0\1", "virtualMAC must be an Ethernet address that is no"),
            ("virtualMAC", b"\0\0\0\0\1", "virtualMAC must be an Ethernet address"),
            ("addresses", [], "at least one address"),
            ("addresses", ["10.0.0"], "'10.0.0' is not an address such as 192.0.2.1"),
            ("addresses", [IPV4, "fd00::1", IPV4], f"the address {IPV4} is given twice"),
            ("addresses", ["10.0.0.1/24"], "without assign an address has no prefix length"),
            ("peers", (b"abc",), "a peer is one host, 4 or 16 packed bytes, not b'abc'"),
            ("peers", (parseIPv4("224.0.0.18"),), "a peer is one host"),
        ):
            self.assertIn(words, self.refused(setting, **{setting: value}), (setting, value))

    def test_together(self) -> None:
        """
        So are settings that cannot be together.
        """
        own = parseIPv4("10.0.0.7")
        self.assertIn("IPv4 addresses need a source", self.refused("source", source=None))
        self.assertIn("needs assign", self.refused("virtualMAC", virtualMAC=b"\0\0\x5e\0\1\7"))
        self.assertIn("no time between", self.refused("advbase", advbase=0, advskew=0))
        self.assertIn("another host", self.refused("peers", source=own, peers=(own,)))
        many = tuple(parseIPv4(f"10.1.{n // 250}.{n % 250}") for n in range(MAXIMUM_PEERS + 1))
        self.assertIn(f"more than {MAXIMUM_PEERS} peers", self.refused("peers", peers=many))
        secrets = tuple(b"%d" % n for n in range(MAXIMUM_PAIRS))
        text = self.refused("otherPasswords", otherPasswords=secrets)
        self.assertIn(f"{MAXIMUM_PAIRS + 1} pairs", text)

    def test_possible(self) -> None:
        """
        What is at the edge of this is possible.
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
        A password that cannot be one, or is one of too many, is not in what is said of it,
        nor is any in what a configuration shows of itself.
        """
        for password in (b"", b"Geheimnis" * 10):
            for text in (
                self.refused("password", password=password),
                self.refused("otherPasswords", otherPasswords=(b"fine", password)),
            ):
                self.assertIn(f"this one has {len(password)}", text)
                self.assertNotIn("Geheimnis", text)
        shown = repr(configured(password=b"Geheimnis", otherPasswords=(b"Geheimnis2",)))
        self.assertNotIn("Geheimnis", shown)

    def test_families(self) -> None:
        """
        The addresses say in which families a host advertises.
        """
        for addresses, families in (
            ([IPV4], (Family.IPV4,)),
            ([IPV6], (Family.IPV6,)),
            ([IPV6, IPV4], (Family.IPV4, Family.IPV6)),
        ):
            self.assertEqual(configured(addresses=addresses).families, families)
