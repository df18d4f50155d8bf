"""
Facts of a healthy pair of hosts, to be changed by tests.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txcarp.addresses import parseAddress
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.doctor.complaint import Complaint
from txcarp.doctor.examination import judge
from txcarp.doctor.facts import Advertiser, Facts, HostFacts, Partner, PathFacts
from txcarp.doctor.packet import Kind, Seen, TestPacket
from txcarp.links import InterfaceAddress, Link
from txcarp.protocol.family import Family

#: The addresses of this host and of the other one, and that of the group.
OWN, OTHER, SHARED = map(parseAddress, ("10.1.1.1", "10.1.1.2", "10.1.1.252"))

#: The same for IPv6.
OWN6, OTHER6, SHARED6 = map(parseAddress, ("fe80::1", "fe80::2", "fd00::252"))

EVERYTHING = (
    Seen.MULTICAST_AT_INTERFACE
    | Seen.MULTICAST
    | Seen.UNICAST_AT_INTERFACE
    | Seen.UNICAST
    | Seen.LARGE_AT_INTERFACE
    | Seen.LARGE
)

#: The hardware address of the other host, and one more.
THERE, ELSEWHERE = b"\x02\0\0\0\0\x02", b"\x02\0\0\0\0\x03"


def group(**settings: Any) -> VirtualHostConfiguration:
    """
    A group.
    """
    settings = {
        "interface": "eth0",
        "vhid": 7,
        "password": b"secret",
        "source": "10.1.1.1",
        "addresses": ["10.1.1.252"],
        "title": "web",
        **settings,
    }
    return VirtualHostConfiguration(**settings)


GROUP = group()
GROUP6 = group(dialect="freebsd", advskew=1, addresses=["fd00::252"])


def link(**changes: Any) -> Link:
    """
    An interface that works.
    """
    changes = {
        "name": "eth0",
        "up": True,
        "running": True,
        "mtu": 1500,
        "address": b"\2" * 6,
    } | changes
    return Link(index=changes.pop("index", 2), **changes)


def address(packed: bytes, index: int = 2, **changes: Any) -> InterfaceAddress:
    """
    An address of an interface.
    """
    isIPv4 = len(packed) == 4
    family = socket.AF_INET if isIPv4 else socket.AF_INET6
    return InterfaceAddress(index, family, 24 if isIPv4 else 64, packed, **changes)


def host(**changes: Any) -> HostFacts:
    """
    This host.
    """
    facts: dict[str, Any] = {"links": [link()], "addresses": [address(OWN), address(OWN6)]}
    return HostFacts(**{**facts, **changes})


def said(**changes: Any) -> TestPacket:
    """
    A packet of the other doctor.
    """
    facts: dict[str, Any] = {
        "vhid": 7,
        "kind": Kind.MULTICAST,
        "run": b"12345678",
        "clock": 0,
        "mtu": 1500,
        "settings": bytes(8),
        "advbase": 1,
        "advskew": 100,
        "isDone": True,
    }
    return TestPacket(**{**facts, **changes})


def partner(source: bytes = OTHER, **changes: Any) -> Partner:
    """
    The other doctor.
    """
    facts: dict[str, Any] = {
        "isPresent": True,
        "seenHere": EVERYTHING,
        "seenThere": EVERYTHING,
        "said": said(),
        "clockDistance": 0.001,
    }
    return Partner(source, **{**facts, **changes})


def path(**changes: Any) -> PathFacts:
    """
    The group in IPv4, with the other doctor.
    """
    facts: dict[str, Any] = {
        "group": GROUP,
        "family": Family.IPV4,
        "source": OWN,
        "isListening": True,
        "listened": 3.0,
        "partners": [partner()],
        "asked": [OTHER],
        "answers": {OTHER: frozenset([THERE])},
    }
    return PathFacts(**{**facts, **changes})


def path6(**changes: Any) -> PathFacts:
    """
    The same in IPv6.
    """
    facts: dict[str, Any] = {
        "group": GROUP6,
        "family": Family.IPV6,
        "source": OWN6,
        "partners": [partner(OTHER6)],
        "asked": [OTHER6],
        "answers": {OTHER6: frozenset([THERE])},
    }
    return path(**{**facts, **changes})


def master(source: bytes = OTHER, **changes: Any) -> Advertiser:
    """
    A host that advertises.
    """
    facts: dict[str, Any] = {"isHere": False, "isMember": True, "atInterface": 3, "behind": 3}
    return Advertiser(source, **{**facts, **changes})


class JudgeCase(SynchronousTestCase):
    """
    Judgements.
    """

    def judged(self, host: HostFacts, *paths: PathFacts) -> list[Complaint]:
        """
        All complaints.
        """
        return judge(Facts(host, paths))

    def only(self, host: HostFacts, *paths: PathFacts) -> Complaint:
        """
        The only complaint.
        """
        found = self.judged(host, *paths)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def assertFound(self, complaints: Iterable[Complaint], *ailments: str) -> None:
        """
        Exactly these ailments were found.
        """
        self.assertEqual(sorted(one.ailment.value for one in complaints), sorted(ailments))
