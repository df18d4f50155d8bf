"""
Tests for L{txcarp.network.macvlans}, and for the names of the macvlans.
"""

from __future__ import annotations

import errno
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txcarp.addresses import virtualHardwareAddress
from txcarp.interfaces import IVirtualInterfaces
from txcarp.links import Link
from txcarp.mastership.virtualmac import virtualInterfaceName
from txcarp.netlink.conversation import AnswerLost
from txcarp.netlink.format import Request, number, readAttributes, text
from txcarp.netlink.messages import (
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_LINK,
    LINK_HEADER,
    RTM_DELLINK,
    RTM_NEWLINK,
)
from txcarp.netlink.requests import RTM_SETLINK
from txcarp.network.macvlans import Macvlans

PARENT = Link(index=2, name="eth0", up=True, running=True, address=b"\2\0\0\0\0\1")
HARDWARE = virtualHardwareAddress(7)


class FakeKernel:
    """
    The links of a host, and their settings in a directory.

    @ivar links: By index.
    @ivar error: What the next request fails with; C{None} for nothing.
    @ivar losses: For each of the next requests: C{None} if it is answered; otherwise its answer
        is lost, and this is whether it was carried out.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.links: dict[int, Link] = {}
        self.error: OSError | None = None
        self.losses: list[bool | None] = []
        self.add(PARENT)

    def add(self, link: Link, **settings: str) -> None:
        """
        Add a link with its settings.
        """
        self.links[link.index] = link
        for family, names in (
            ("ipv4", ("arp_ignore", "arp_announce", "rp_filter")),
            ("ipv6", ("addr_gen_mode", "accept_ra", "disable_ipv6")),
        ):
            for name in names:
                path = self.root / family / "conf" / link.name / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{settings.get(name, '0')}\n")

    def setting(self, name: str, link: str = "eth0", family: str = "ipv4") -> str:
        """
        Read a setting.
        """
        return (self.root / family / "conf" / link / name).read_text().strip()

    def arp(self) -> tuple[str, str]:
        """
        Read the settings of the parent.
        """
        return self.setting("arp_ignore"), self.setting("arp_announce")

    def named(self, name: str) -> Link | None:
        """
        Find a link by its name.
        """
        return next((link for link in self.links.values() if link.name == name), None)

    def dumpLinks(self) -> Deferred[list[Link]]:
        if self.losses and self.losses.pop(0) is not None:
            return fail(AnswerLost())
        return succeed(list(self.links.values()))

    def request(self, request: Request) -> Deferred[None]:
        done = self.losses.pop(0) if self.losses else None
        if done is None:
            return self.do(request)
        if done:
            self.do(request)
        return fail(AnswerLost())

    def do(self, request: Request) -> Deferred[None]:
        """
        Carry out a request.
        """
        error, self.error = self.error, None
        if error is not None:
            return fail(error)
        _, _, index, flags, _ = LINK_HEADER.unpack_from(request.body)
        found = readAttributes(request.body[LINK_HEADER.size :])
        if request.type == RTM_NEWLINK:
            self.add(
                Link(
                    index=max(self.links) + 1,
                    name=text(found[IFLA_IFNAME]),
                    up=False,
                    running=False,
                    address=found[IFLA_ADDRESS],
                    kind="macvlan",
                    parent=number(found[IFLA_LINK], "parent"),
                )
            )
        elif request.type == RTM_DELLINK:
            del self.links[index]
        else:
            assert request.type == RTM_SETLINK
            changes: dict[str, object] = {}
            if IFLA_IFALIAS in found:
                changes["alias"] = found[IFLA_IFALIAS].decode()
            if IFLA_ADDRESS in found:
                changes["address"] = found[IFLA_ADDRESS]
            if flags & IFF_UP:
                changes["up"] = True
            self.links[index] = attrs.evolve(self.links[index], **changes)  # type: ignore[arg-type]
        return succeed(None)


class MacvlansTests(SynchronousTestCase):
    """
    Tests for L{Macvlans}.
    """

    def setUp(self) -> None:
        self.kernel = FakeKernel(Path(self.mktemp()))
        self.macvlans = self.process()

    def process(self) -> Macvlans:
        """
        Make the object of another process, or of the next run of this program.
        """
        return Macvlans(self.kernel, self.kernel.root)  # type: ignore[arg-type]

    def create(self, name: str = "vh7.eth0", macvlans: Macvlans | None = None) -> Link:
        """
        Make a macvlan.
        """
        macvlans = macvlans or self.macvlans
        self.successResultOf(macvlans.create(name, "eth0", HARDWARE, True))
        link = self.kernel.named(name)
        assert link is not None
        return link

    def remove(self, name: str = "vh7.eth0", macvlans: Macvlans | None = None) -> None:
        """
        Remove a macvlan.
        """
        self.successResultOf((macvlans or self.macvlans).remove(name, "eth0"))

    def test_interface(self) -> None:
        """
        It provides its interface.
        """
        verifyObject(IVirtualInterfaces, self.macvlans)

    def test_create(self) -> None:
        """
        A macvlan has the hardware address, is up, answers for its own addresses and gets none
        from the network.  The parent answers for its own addresses only.
        """
        link = self.create()
        self.assertEqual(
            (link.kind, link.parent, link.address, link.up), ("macvlan", 2, HARDWARE, True)
        )
        self.assertEqual(self.kernel.setting("arp_ignore", "vh7.eth0"), "1")
        self.assertEqual(self.kernel.setting("rp_filter", "vh7.eth0"), "2")
        for name, value in (("addr_gen_mode", "1"), ("accept_ra", "0"), ("disable_ipv6", "0")):
            self.assertEqual(self.kernel.setting(name, "vh7.eth0", "ipv6"), value)
        self.assertEqual(self.kernel.arp(), ("1", "2"))

    def test_withoutIPv6(self) -> None:
        """
        A macvlan for IPv4 addresses only has no IPv6.
        """
        self.successResultOf(self.macvlans.create("vh7.eth0", "eth0", HARDWARE, False))
        self.assertEqual(self.kernel.setting("disable_ipv6", "vh7.eth0", "ipv6"), "1")

    def test_remove(self) -> None:
        """
        The settings are restored when the macvlan is removed.  A second removal does nothing.
        """
        for _ in range(2):
            self.create()
            for _ in range(2):
                self.remove()
                self.assertEqual(list(self.kernel.links), [2])
                self.assertEqual(self.kernel.arp(), ("0", "0"))

    def test_enoughAlready(self) -> None:
        """
        A setting of the parent that is enough is not changed, and one that somebody changed
        meanwhile is not restored.
        """
        self.kernel.add(PARENT, arp_ignore="2", arp_announce="1")
        self.create()
        self.assertEqual(self.kernel.arp(), ("2", "2"))
        self.create()
        self.remove()
        self.assertEqual(self.kernel.arp(), ("2", "1"))
        self.create()
        self.kernel.add(PARENT, arp_ignore="0", arp_announce="0")
        self.remove()
        self.assertEqual(self.kernel.arp(), ("0", "0"))

    def test_raisedMeanwhile(self) -> None:
        """
        A setting that somebody raised meanwhile is not lowered for the next macvlan.
        """
        self.create()
        self.kernel.add(PARENT, arp_ignore="8", arp_announce="2")
        self.create("vh8.eth0")
        self.assertEqual(self.kernel.arp(), ("8", "2"))

    def test_killed(self) -> None:
        """
        The settings that a killed process changed are restored by the next process, which reads
        them from the alias, when it removes the macvlan, or adopts and later removes it.
        """
        for adopts in (False, True):
            with self.subTest(adopts=adopts):
                self.create()
                self.assertEqual(self.kernel.arp(), ("1", "2"))
                later = self.process()
                if adopts:
                    index = self.create(macvlans=later).index
                    self.assertEqual(list(self.kernel.links), [2, index])
                self.remove(macvlans=later)
                self.assertEqual(list(self.kernel.links), [2])
                self.assertEqual(self.kernel.arp(), ("0", "0"))
                self.macvlans = self.process()

    def test_severalProcesses(self) -> None:
        """
        The settings are restored with the last macvlan on the parent, in whatever order several
        processes remove theirs.
        """
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
            with self.subTest(order=order):
                names = [f"vh{number}.eth0" for number in range(3)]
                processes = [self.process() for _ in names]
                for name, process in zip(names, processes, strict=True):
                    self.create(name, process)
                for number in order:
                    self.assertEqual(self.kernel.arp(), ("1", "2"))
                    self.remove(names[number], processes[number])
                self.assertEqual(self.kernel.arp(), ("0", "0"))

    def test_answersLost(self) -> None:
        """
        A macvlan is made, and removed without a trace, whichever answer is lost, and whether or
        not that request was carried out.
        """
        for before in range(6):
            for done in (False, True):
                with self.subTest(before=before, done=done):
                    self.kernel.losses = [None] * before + [done]
                    link = self.create()
                    self.assertTrue(link.up)
                    self.assertEqual(self.kernel.arp(), ("1", "2"))
                    self.kernel.losses = [None] * before + [done]
                    self.remove(macvlans=self.process() if before % 2 else None)
                    self.assertEqual(self.kernel.arp(), ("0", "0"))
                    self.assertIsNone(self.kernel.named("vh7.eth0"))

    def test_alwaysLost(self) -> None:
        """
        The number of attempts is limited.
        """
        self.kernel.losses = [True] * 3
        self.failureResultOf(
            self.macvlans.create("vh7.eth0", "eth0", HARDWARE, True), AnswerLost
        )
        self.assertEqual(self.kernel.losses, [])

    def test_foreign(self) -> None:
        """
        Another interface of the same name is neither taken over nor removed.
        """
        for link in (
            Link(index=5, name="vh7.eth0", up=True, running=True, kind="dummy"),
            Link(index=5, name="vh7.eth0", up=True, running=True, kind="macvlan", parent=3),
        ):
            with self.subTest(kind=link.kind):
                self.kernel.add(link)
                failure = self.failureResultOf(
                    self.macvlans.create("vh7.eth0", "eth0", HARDWARE, True), OSError
                )
                self.assertEqual(failure.value.errno, errno.EEXIST)
                self.assertIn("another interface [vh7.eth0]", failure.getErrorMessage())
                self.remove()
                self.assertIs(self.kernel.links[5], link)
        self.assertEqual(self.kernel.arp(), ("0", "0"))

    def test_noParent(self) -> None:
        """
        The error for a missing parent names it, and removal is no error.
        """
        del self.kernel.links[2]
        failure = self.failureResultOf(
            self.macvlans.create("vh7.eth0", "eth0", HARDWARE, True), OSError
        )
        self.assertEqual(failure.value.errno, errno.ENODEV)
        self.assertIn("[eth0]", failure.getErrorMessage())
        self.remove()

    def test_parentRenamed(self) -> None:
        """
        The settings are also restored on a parent that was renamed.
        """
        self.create()
        renamed = attrs.evolve(PARENT, name="lan0")
        self.kernel.add(renamed, arp_ignore="1", arp_announce="2")
        self.remove()
        self.assertEqual(list(self.kernel.links), [2])
        self.assertEqual(self.kernel.setting("arp_ignore", "lan0"), "0")
        self.assertEqual(self.kernel.setting("arp_announce", "lan0"), "0")

    def test_parentGone(self) -> None:
        """
        If the parent and its macvlan are gone, nothing is done, and nothing to another
        interface of the same name.
        """
        link = self.create()
        del self.kernel.links[link.index], self.kernel.links[2]
        self.kernel.add(attrs.evolve(PARENT, index=9), arp_ignore="1", arp_announce="2")
        with capturedLogs() as logs:
            self.remove()
        self.assertEqual((self.kernel.arp(), logs), (("1", "2"), []))

    def test_macvlanGone(self) -> None:
        """
        The settings are also restored if somebody else removed the macvlan.
        """
        link = self.create()
        del self.kernel.links[link.index]
        self.remove()
        self.assertEqual(self.kernel.arp(), ("0", "0"))

    def test_refused(self) -> None:
        """
        If the kernel refuses the macvlan, no setting is changed.
        """
        self.kernel.error = OSError(errno.EOPNOTSUPP, "no macvlan here")
        failure = self.failureResultOf(
            self.macvlans.create("vh7.eth0", "eth0", HARDWARE, True), OSError
        )
        self.assertIn("no macvlan here", failure.getErrorMessage())
        self.assertEqual(self.kernel.arp(), ("0", "0"))

    def test_readOnly(self) -> None:
        """
        A setting that cannot be changed is logged with its name and the reason, and the others
        are changed.
        """
        self.create()
        path = self.kernel.root / "ipv6/conf/vh7.eth0/accept_ra"
        path.unlink()
        path.mkdir()
        with capturedLogs() as logs:
            self.create()
        [line] = [formatEvent(event) for event in logs]
        self.assertEqual(line, f"Unable to set {path} to 0: Is a directory")
        self.assertEqual(self.kernel.setting("disable_ipv6", "vh7.eth0", "ipv6"), "0")


class NameTests(SynchronousTestCase):
    """
    Tests for L{virtualInterfaceName}.
    """

    def test_short(self) -> None:
        """
        The name has the vhid and the interface in it.
        """
        self.assertEqual(virtualInterfaceName("eth0", 7), "vh7.eth0")
        self.assertEqual(virtualInterfaceName("eth12345", 255), "vh255.eth12345")
        self.assertEqual(virtualInterfaceName("eth123456", 255), "vh255.eth123456")

    def test_long(self) -> None:
        """
        Long names that differ only at the end get different interfaces, whose names are not too
        long.
        """
        names = [
            virtualInterfaceName(f"enp130s0f1.{vlan}", vhid)
            for vlan in (1001, 1002)
            for vhid in (1, 255)
        ]
        self.assertEqual(len(set(names)), 4)
        for name in (*names, virtualInterfaceName("größergrößer", 7)):
            self.assertLessEqual(len(name.encode()), 15)
        self.assertTrue(names[0].startswith("vh1.enp130"))
        self.assertEqual(names[0], virtualInterfaceName("enp130s0f1.1001", 1))
