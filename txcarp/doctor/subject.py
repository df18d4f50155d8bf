"""
One family of one group, as the judgements of its paths need it.
"""

from __future__ import annotations

import attrs

from txcarp.addresses import textOf
from txcarp.doctor.complaint import Ailment, Complaint, titleOf
from txcarp.doctor.facts import Bridge, HostFacts, Partner, PathFacts
from txcarp.doctor.filtering import Chain, Fate, Passage, Verdict, verdicts
from txcarp.doctor.packet import Kind, Seen
from txcarp.protocol.family import Family

#: What shows that a packet of a kind has arrived at the interface, and that it has passed the
#: firewall.
MARKS = {
    Kind.MULTICAST: (Seen.MULTICAST_AT_INTERFACE, Seen.MULTICAST),
    Kind.UNICAST: (Seen.UNICAST_AT_INTERFACE, Seen.UNICAST),
}


@attrs.frozen
class Subject:
    """
    One family of one group on this host.
    """

    host: HostFacts
    path: PathFacts

    @property
    def name(self) -> str:
        """
        The name of the interface.
        """
        return self.path.group.interface

    @property
    def title(self) -> str:
        """
        How people call the group.
        """
        return titleOf(self.path.group)

    @property
    def partners(self) -> list[Partner]:
        """
        The doctors on other hosts.  The kernel drops packets from an address of this host, so that
        a host with the same one is no partner.
        """
        return [one for one in self.path.partners if one.source != self.path.source]

    @property
    def index(self) -> int:
        """
        The index of the interface.
        """
        link = self.host.link(self.name)
        return link.index if link is not None else 0

    @property
    def mtu(self) -> int:
        """
        The MTU of the interface.
        """
        link = self.host.link(self.name)
        return link.mtu if link is not None else 0

    @property
    def bridge(self) -> Bridge | None:
        """
        The bridge that the interface is.
        """
        return self.host.bridges.get(self.index)

    def complain(
        self, ailment: Ailment, peer: bytes, seen: str, cause: str, *commands: str
    ) -> Complaint:
        """
        A complaint about the group.

        @param peer: The packed address of the other host that it concerns; empty for none.
        """
        shown = textOf(peer) if peer else ""
        return Complaint(ailment, self.title, self.name, seen, cause, commands, shown)

    def verdicts(
        self, direction: str, source: bytes, destination: bytes, isARP: bool = False
    ) -> list[Verdict]:
        """
        What the firewall of this host does with a packet; see L{Passage}.
        """
        packet = Passage(direction, self.name, source, destination, isARP)
        return verdicts(self.host.chains, packet)

    def isSilent(self, source: bytes) -> bool:
        """
        Whether a host does not answer ARP or neighbour solicitations, or cannot.
        """
        if self.arpFilter() is not None:
            return True
        return source in self.path.asked and not self.path.answers.get(source)

    def arpFilter(self) -> tuple[Chain, str] | None:
        """
        The chain of this host that drops all ARP, and the direction.
        """
        if self.path.family is Family.IPV4:
            for way, direction in (("in", "input"), ("out", "output")):
                for verdict in self.verdicts(direction, b"", self.path.source, isARP=True):
                    if verdict.fate is Fate.DROPPED:
                        return verdict.chain, way
        return None


def isDropped(partner: Partner) -> bool:
    """
    Whether another host drops what arrives there.
    """
    there = partner.seenThere
    return any(front in there and behind not in there for front, behind in MARKS.values())
