"""
What the network between two hosts loses.
"""

from __future__ import annotations

from collections.abc import Iterator

from txcarp.addresses import textOf
from txcarp.doctor.complaint import Ailment, Complaint
from txcarp.doctor.facts import Partner
from txcarp.doctor.packet import Kind, Seen
from txcarp.doctor.subject import Subject, isDropped
from txcarp.protocol.family import Family


def lost(subject: Subject, partner: Partner) -> Iterator[Complaint]:
    """
    What does not arrive at the interface of the receiver, although it was sent.
    """
    here, there = partner.seenHere, partner.seenThere
    peer = textOf(partner.source)
    mine = f"this host to {peer}"
    theirs = f"{peer} to this host"
    if not partner.isPresent:
        bridge = subject.bridge
        if subject.path.sendErrors:
            return
        if _isMute(subject, partner.source) and bridge is not None and bridge.snooping:
            yield _multicastLost(subject, partner, mine, False)
        else:
            yield _oneWay(subject, partner)
        return
    for way, seen in ((theirs, here), (mine, there)):
        isMine = way is mine
        multicast = bool(seen & (Seen.MULTICAST_AT_INTERFACE | Seen.MULTICAST))
        unicast = bool(seen & (Seen.UNICAST_AT_INTERFACE | Seen.UNICAST))
        if isMine and isDropped(partner):
            yield subject.complain(
                Ailment.OTHER_FIREWALL,
                partner.source,
                f"{peer} drops packets of this host that arrive there",
                f"the firewall or rp_filter of {peer} is in the way",
                "txcarp doctor    # there: it names the rule",
            )
        sent = not isMine or Kind.MULTICAST not in subject.path.sendErrors
        if not multicast and subject.path.usesMulticast and sent:
            yield _multicastLost(subject, partner, way, unicast)
        sent = not isMine or Kind.UNICAST not in subject.path.sendErrors
        if not unicast and multicast and sent and not subject.isSilent(partner.source):
            yield subject.complain(
                Ailment.UNICAST_LOST,
                partner.source,
                f"multicast arrives from {way}, and unicast does not",
                "the sender has a wrong hardware address for the receiver, ARP or neighbour "
                "solicitations are filtered there, or the network forbids hosts to talk "
                "directly (private VLAN, client isolation, isolated bridge ports)",
                f"ip neighbour show dev {subject.name}    # on the sending host",
            )
        if unicast and not seen & (Seen.LARGE_AT_INTERFACE | Seen.LARGE):
            fitting = min(partner.said.mtu, subject.mtu)
            yield subject.complain(
                Ailment.LARGE_LOST,
                partner.source,
                f"small packets arrive from {way}, and those of {fitting} bytes do not",
                "the network between the hosts carries smaller packets than their interfaces "
                "are set up for (VLAN, tunnel or VPN on the way, or no jumbo frames in the "
                "switch)",
                f"ip link set dev {subject.name} mtu {_smaller(fitting)}    # on all hosts",
            )


def _isMute(subject: Subject, source: bytes) -> bool:
    """
    Whether a host does not answer neighbour solicitations, which are multicast.
    """
    return subject.path.family is Family.IPV6 and subject.isSilent(source)


def _oneWay(subject: Subject, partner: Partner) -> Complaint:
    peer = textOf(partner.source)
    cause = (
        "a switch, a hypervisor or a firewall between the hosts drops what this host sends: a "
        "port filter (MAC or IP spoofing protection), a broken cable or optic in one "
        "direction, or an asymmetric VLAN"
    )
    if _isMute(subject, partner.source):
        cause += "; or MLD snooping that does not know the groups of the other host"
    return subject.complain(
        Ailment.ONE_WAY,
        partner.source,
        f"packets of {peer} arrive here, and {peer} sees none of this host",
        cause,
        f"tcpdump -eni {subject.name} proto 112    # on {peer}, while this runs here",
    )


def _multicastLost(subject: Subject, partner: Partner, way: str, unicast: bool) -> Complaint:
    causes = []
    bridge = subject.bridge
    if bridge is not None and bridge.snooping:
        kept = "has a querier" if bridge.hasQuerier else "has no querier"
        causes.append(f"the bridge {bridge.name} of this host snoops, and {kept}")
    snooping = "MLD" if subject.path.family is Family.IPV6 else "IGMP"
    causes.append(
        f"{snooping} snooping in a switch or bridge between the hosts, which has no querier or "
        "does not hear the reports of the receiver"
    )
    commands = []
    if bridge is not None and bridge.snooping:
        commands.append(f"ip link set dev {bridge.name} type bridge mcast_snooping 0")
    commands += [
        "ip link set dev BRIDGE type bridge mcast_querier 1    # on a Linux bridge between",
        f'# or without multicast: peers = ["{textOf(partner.source)}"], or '
        f"--peer {textOf(partner.source)}, and the same there",
    ]
    return subject.complain(
        Ailment.MULTICAST_LOST,
        partner.source,
        f"unicast arrives from {way}, and multicast does not"
        if unicast
        else f"multicast does not arrive from {way}",
        "; or ".join(causes),
        *commands,
    )


def _smaller(mtu: int) -> int:
    return 1500 if mtu > 1500 else 1400
