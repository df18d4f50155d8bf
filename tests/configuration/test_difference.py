"""
Tests for L{txcarp.configuration.difference}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.fakes import configured
from txcarp.configuration.difference import ADVERTISED, LIVE, Changed, difference
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.settings import nameOf


def one(vhid: int, *addresses: str, **settings: Any) -> VirtualHostConfiguration:
    """
    A configuration.
    """
    more = {"addresses": addresses} if addresses else {}
    return configured(vhid=vhid, **{"title": f"group{vhid}", **more, **settings})


class DifferenceTests(SynchronousTestCase):
    """
    Tests for L{difference}.
    """

    def test_parts(self) -> None:
        """
        Each virtual host is unchanged, changed, added or removed, whatever the order.
        """
        found = difference([one(1), one(2), one(3)], [one(4), one(3, advskew=9), one(1)])
        self.assertEqual(found.unchanged, (one(1),))
        self.assertEqual(found.changed, (Changed(one(3), one(3, advskew=9)),))
        self.assertEqual((found.added, found.removed), ((one(4),), (one(2),)))
        self.assertFalse(found.isEmpty)
        self.assertTrue(difference([one(1), one(2)], [one(2), one(1)]).isEmpty)

    def test_otherInterface(self) -> None:
        """
        A virtual host on another interface is another one.
        """
        found = difference([one(1)], [one(1, interface="eth9")])
        self.assertEqual((len(found.added), len(found.removed)), (1, 1))

    def test_manyUnchanged(self) -> None:
        """
        On request, unchanged groups are counted if they are many.
        """
        before = [one(number) for number in range(1, 6)]
        changes = difference(before, [*before[:4], one(5, advskew=9)])
        self.assertEqual(len(changes.lines()), 5)
        self.assertEqual(changes.lines(4), changes.lines())
        first, second = changes.lines(3)
        self.assertEqual(first, "4 groups are unchanged; they send nothing")
        self.assertIn("advskew 0 -> 9", second)

    def test_lines(self) -> None:
        """
        The lines say what will happen to each group, and never a password.
        """
        before = [one(1), one(2), one(3), one(4, "10.0.0.4"), one(10, password=b"Geheimnis")]
        after = [
            one(1),
            one(2, advskew=100, preempt=True, preemptDelay=60.0),
            one(3, "10.0.0.4", "10.0.0.3"),
            one(5, "10.0.0.5"),
            one(10, password=b"Geheimnis2", upScript=None),
        ]
        self.assertEqual(
            difference(before, after).lines(),
            [
                "group1   unchanged; nothing will be sent",
                "group2   changes: advskew 0 -> 100, preempt false -> true, preempt delay 0 s -> "
                "60 s; one advertisement at most, no interruption",
                "group3   changes: addresses 10.99.0.100/32 -> 10.0.0.4/32, 10.0.0.3/32; leaves "
                "its group and joins it again; a master hands over",
                "group10  changes: passfile, up_script up -> none; one advertisement at most, no "
                "interruption",
                "group5   added: joins vhid 5 on eth7",
                "group4   removed: leaves vhid 4 on eth7; a master bows out",
                "10.0.0.4 moves from group4 to group3",
                "group3 may get a second master until all hosts are changed: until then, keep the "
                "old addresses (as former_addresses) beside the new",
                "group10 may get a second master until all hosts are changed: until then, keep the "
                "old password (as another passfile) beside the new",
            ],
        )

    def test_forsakes(self) -> None:
        """
        A change by which this host and others would not understand each other any more is pointed
        out.  The old password and addresses may be kept as any of several, and in any order.
        """
        x, y, z = "10.0.0.7", "10.0.0.8", "10.0.0.9"
        before = one(1, addresses=[x, y], password=b"old")
        for settings, expected in (
            ({"password": b"new", "otherPasswords": [b"x", b"old"]}, ""),
            ({"addresses": [z], "otherAddresses": [[z, x], [y, x]]}, ""),
            ({"advskew": 9}, ""),
            ({"password": b"new", "otherPasswords": [b"x"]}, "password (as another passfile)"),
            ({"addresses": [x], "otherAddresses": [[y]]}, "addresses (as former_addresses)"),
            (
                {"addresses": [x], "password": b"new"},
                "password (as another passfile) and the old addresses (as former_addresses)",
            ),
        ):
            after = attrs.evolve(before, **settings)
            self.assertEqual(Changed(before, after).forsakes, expected)
            lines = [line for line in difference([before], [after]).lines() if "second" in line]
            self.assertEqual(len(lines), bool(expected))

    def test_noTitle(self) -> None:
        """
        A group without a name of its own is called by interface and vhid.
        """
        [line] = difference([], [one(1, title=None)]).lines()
        self.assertTrue(line.startswith("eth7:1  added"))

    def test_live(self) -> None:
        """
        Every setting is live or not: those that are not concern sockets, the addresses of a
        master, and what the hosts of a group must agree on.
        """
        settings = {field.name for field in attrs.fields(VirtualHostConfiguration)}
        self.assertEqual(ADVERTISED - LIVE, {"addresses"})
        self.assertEqual(
            settings - LIVE,
            {"interface", "vhid", "addresses", "group", "group6", "broadcast"}
            | {"dialect", "assign", "virtualMAC", "verification", "downScriptFirst"},
        )
        self.assertLessEqual(LIVE, settings)
        text = (Path(txcarp.__file__).parent.parent / "docs" / "file.rst").read_text()
        live, _, other = text.partition("A change of these settings is")[2].partition(
            "The other settings"
        )
        for setting in LIVE - {"title", "preemptDelay"}:
            self.assertIn(f"``{nameOf(setting)}``", live)
        for setting in settings - LIVE:
            self.assertIn(f"``{nameOf(setting)}``", other.partition("\nMistakes")[0])
        changed = Changed(one(1), one(1, advskew=1, dialect="openbsd"))
        self.assertEqual((changed.settings, changed.isLive), (("advskew", "dialect"), False))
        self.assertTrue(Changed(one(1), one(1, advskew=1)).isLive)
        for before, after, isLive in (
            ("learn", "require", True),
            ("require", "learn", True),
            ("learn", "off", False),
            ("off", "require", False),
        ):
            seals = Changed(one(1, verification=before), one(1, verification=after))
            self.assertIs(seals.isLive, isLive)

    def test_addresses(self) -> None:
        """
        Addresses on lease are live, unless that concerns sockets or the interface of a virtual MAC
        address.  Scripts add the addresses when the role changes.
        """
        four, other, both = ["10.0.0.9/24"], ["10.0.0.8/24"], ["10.0.0.8/24", "fd00::8/64"]
        mac = {"virtualMAC": "02:00:00:00:00:07", "otherAddresses": [both]}
        for before, after, more, isLive in (
            (four, other, {}, True),
            (four, both, {}, False),
            (four, both, {"otherAddresses": [both]}, True),
            (four, other, {"resetConnections": True}, False),
            (four, [*four, *other], {"resetConnections": True}, True),
            (four, other, mac, True),
            (four, both, mac, False),
        ):
            settings = {"assign": True, "upScript": None, "downScript": None, **more}
            changed = Changed(
                one(1, addresses=before, **settings), one(1, addresses=after, **settings)
            )
            self.assertIs(changed.isLive, isLive, (before, after, more))
        self.assertFalse(Changed(one(1), one(1, addresses=["10.0.0.9"])).isLive)

    def test_moved(self) -> None:
        """
        A group that gets an address of another one is not live: the other group may have another
        master, which still has the address.  The group that loses the address is.
        """
        leased = {"assign": True, "upScript": None, "downScript": None}
        x, y, z = "10.0.0.7/24", "10.0.0.8/24", "10.0.0.9/24"
        before = [one(1, addresses=[x, y], **leased), one(2, addresses=[z], **leased)]
        for after, expected in (
            (([x], [y, z]), [True, False]),
            (([x, z], [y]), [False, False]),
            (([x], [z, "10.0.0.1/24"]), [True, True]),
        ):
            first, second = (
                one(number, addresses=addresses, **leased)
                for number, addresses in enumerate(after, 1)
            )
            changed = difference(before, [first, second]).changed
            self.assertEqual([each.isLive for each in changed], expected)
        [changed] = difference(before, [one(2, addresses=[y, z], **leased)]).changed
        self.assertFalse(changed.isLive)
