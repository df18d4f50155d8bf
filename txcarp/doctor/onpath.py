"""
What is wrong between the hosts of a group, judged by what arrived here and there.
"""

from __future__ import annotations

from collections.abc import Iterator

from txcarp.addresses import textOf
from txcarp.doctor.complaint import Ailment, Complaint
from txcarp.doctor.drops import dropped, unsent
from txcarp.doctor.facts import Facts, Partner
from txcarp.doctor.losses import lost
from txcarp.doctor.mending import arpPermission, chainOf
from txcarp.doctor.onhost import canSend
from txcarp.doctor.subject import Subject, isDropped
from txcarp.protocol.family import Family

#: From how many turns on there are two masters.  A take-over is one; if the former master comes
#: back at once, there are two.
MANY_TURNS = 3

#: Seconds between two clocks from which people who compare logs are misled.
CLOCK_TOLERANCE = 1.0


def onPath(facts: Facts) -> Iterator[Complaint]:
    """
    Judge the paths of all groups.
    """
    #: The hosts of which the interface and the clock are judged.
    judged: set[tuple[str, bytes]] = set()
    for path in facts.paths:
        if not canSend(facts, path):
            continue
        subject = Subject(facts.host, path)
        yield from dropped(subject)
        yield from unsent(subject)
        for partner in subject.partners:
            yield from lost(subject, partner)
            yield from _differences(subject, partner)
            host = subject.name, partner.said.run
            if host not in judged:
                judged.add(host)
                yield from _otherHost(subject, partner)
        yield from _echo(subject)
        yield from _sameSource(subject)
        yield from _strangers(subject)
        yield from _masters(subject)
        yield from _advertisers(subject)
        yield from _ownDaemon(subject)
        yield from _neighbours(subject)


def _differences(subject: Subject, partner: Partner) -> Iterator[Complaint]:
    """
    What another host has in another way in this group.
    """
    if not partner.isPresent:
        return
    said, peer = partner.said, textOf(partner.source)
    if not partner.hasSameSettings:
        yield subject.complain(
            Ailment.OTHER_SETTINGS,
            partner.source,
            f"{peer} has another set of addresses or another dialect for this group",
            "the configuration was changed on one host only, so that each host rejects the "
            "advertisements of the other",
            f"txcarp check FILE    # on both hosts, and compare the addresses of {subject.title}",
        )
    group = subject.path.group
    isEqual = (said.advbase, said.advskew) == (group.advbase, group.advskew)
    if isEqual and not group.dialect.breaksTies:
        yield subject.complain(
            Ailment.EQUAL_TIMING,
            partner.source,
            f"{peer} has the same advbase and advskew as this host",
            f"the dialect {group.dialect.name} has no tie-break, so that both may stay master",
            f"# give one of the hosts another advskew, such as {min(254, group.advskew + 100)}",
        )


def _otherHost(subject: Subject, partner: Partner) -> Iterator[Complaint]:
    """
    What another host has in another way, whatever the group.
    """
    if not partner.isPresent:
        return
    said, peer = partner.said, textOf(partner.source)
    own = subject.mtu
    if own and said.mtu and own != said.mtu:
        yield subject.complain(
            Ailment.MTU_DIFFERS,
            partner.source,
            f"the MTU of {subject.name} is {own} here, and {said.mtu} at {peer}",
            "one host was set up for jumbo frames or for a tunnel, and the other one was not. "
            "Large packets of clients are lost after a take-over",
            f"ip link set dev {subject.name} mtu {min(own, said.mtu)}    # on the host with "
            f"{max(own, said.mtu)}, and in the configuration of its network",
        )
    distance = partner.clockDistance
    if distance is not None and abs(distance) > CLOCK_TOLERANCE:
        way = "ahead of" if distance > 0 else "behind"
        yield subject.complain(
            Ailment.CLOCKS_APART,
            partner.source,
            f"the clock of {peer} is {abs(distance):.1f} s {way} the one of this host",
            "one of the hosts does not synchronise its clock. txcarp can live with that, but "
            "nobody can compare the logs of both hosts",
            "timedatectl set-ntp true    # on both hosts, and look at: timedatectl",
        )


def _echo(subject: Subject) -> Iterator[Complaint]:
    if subject.path.isEchoed:
        yield subject.complain(
            Ailment.OWN_ECHO,
            b"",
            f"packets of this host come back to it on {subject.name}",
            "there is a loop in the network, or a switch, bridge port (hairpin) or hypervisor "
            "reflects packets",
            "bridge -d link show    # on a Linux bridge between the hosts: hairpin off",
        )


def _strangers(subject: Subject) -> Iterator[Complaint]:
    for source in subject.path.strangers:
        yield subject.complain(
            Ailment.OTHER_PASSWORD,
            source,
            f"the doctor on {textOf(source)} has another password for vhid "
            f"{subject.path.group.vhid}",
            "the password was changed on one host only, or that host belongs to another group "
            "with the same number",
            "sha256sum PASSWORDFILE    # on both hosts: the sums must be the same",
        )


def _sameSource(subject: Subject) -> Iterator[Complaint]:
    own = subject.path.source
    others = [one.source for one in subject.path.advertisers if one.isMember and not one.isHere]
    others += [one.source for one in subject.path.partners]
    if own in others and not subject.path.isEchoed:
        yield subject.complain(
            Ailment.SAME_SOURCE,
            own,
            f"another host of the group sends from {textOf(own)}, the source of this host",
            "two hosts have the same address, as after one was cloned. Each takes the "
            "advertisements of the other for its own, and both become master",
            f"arping -D -I {subject.name} {textOf(own)}    # finds the other host"
            if len(own) == 4
            else f"ndisc6 {textOf(own)} {subject.name}    # finds the other host",
        )


def _masters(subject: Subject) -> Iterator[Complaint]:
    """
    Several masters, which is more than a take-over: they advertise by turns.
    """
    if subject.path.turns >= MANY_TURNS:
        members = [one for one in subject.path.advertisers if one.isMember]
        own = ["this host"] if any(one.isHere for one in members) else []
        others = dict.fromkeys(textOf(one.source) for one in members if not one.isHere)
        yield subject.complain(
            Ailment.TWO_MASTERS,
            next((one.source for one in members if not one.isHere), b""),
            f"{' and '.join([*own, *others])} are master at the same time",
            "one of them does not hear the other one, or does not believe it",
            "txcarp doctor --wait 60    # on each of them: it finds why",
        )


def _advertisers(subject: Subject) -> Iterator[Complaint]:
    """
    Hosts that advertise with the number of the group, and are none of its members.
    """
    known = {one.source for one in subject.path.advertisers if one.isMember}
    known |= {one.source for one in subject.path.partners}
    known |= set(subject.path.strangers)
    for one in subject.path.advertisers:
        if not one.isMember and not one.isHere and one.source not in known:
            yield subject.complain(
                Ailment.OTHER_PASSWORD,
                one.source,
                f"{textOf(one.source)} advertises vhid {subject.path.group.vhid} with another "
                "password or other addresses",
                "the configuration was changed on one host only, or that host belongs to "
                "another group with the same number",
                "sha256sum PASSWORDFILE    # on both hosts, and compare the addresses; or give "
                "the other group another vhid",
            )


def _ownDaemon(subject: Subject) -> Iterator[Complaint]:
    """
    A daemon on this host that has other settings than those that are examined.
    """
    own = [one.isMember for one in subject.path.advertisers if one.isHere]
    if own and not any(own):
        yield subject.complain(
            Ailment.OTHER_SETTINGS,
            b"",
            f"a program on this host advertises vhid {subject.path.group.vhid} with another "
            "password or other addresses than those that are examined here",
            "the file was changed and not put in effect, or the group was given in another way "
            "than to the daemon",
            "txcarp reload --dry-run    # shows what differs from the file",
        )


def _neighbours(subject: Subject) -> Iterator[Complaint]:
    filtering = subject.arpFilter()
    if filtering is not None:
        chain, way = filtering
        yield subject.complain(
            Ailment.NEIGHBOUR_SILENT,
            b"",
            f"this host drops ARP on {subject.name}, so that no host finds another one",
            f"{chainOf(chain)} is in the way",
            arpPermission(chain, subject.name, way),
        )
    else:
        alive = {one.source for one in subject.path.advertisers if not one.isHere}
        alive |= {one.source for one in subject.partners}
        # A host that drops packets of this one by rp_filter does not answer ARP, and one that
        # sees none of them cannot.
        alive -= {one.source for one in subject.partners if isDropped(one) or not one.isPresent}
        for source in subject.path.asked:
            if source in alive and subject.isSilent(source):
                yield _silent(subject, source)
    yield from _twice(subject)


def _twice(subject: Subject) -> Iterator[Complaint]:
    """
    Virtual addresses for which several hosts answer.
    """
    for address in sorted({one.packed for one in subject.path.group.addresses}):
        owners = sorted(subject.path.answers.get(address, ()))
        has = any(one.local == address for one in subject.host.addresses)
        if has and not subject.path.isAdvertising:
            continue  # this is a leftover
        if len(owners) + has > 1:
            shown = " and ".join(one.hex(":") for one in owners)
            who = f"this host and {shown}" if has else shown
            yield subject.complain(
                Ailment.ADDRESS_TWICE,
                b"",
                f"{textOf(address)} is on two hosts: {who} answer for it",
                "there are two masters, a host that is not master has kept the address, or another "
                "machine was given it",
                "txcarp doctor    # on each host: it finds a leftover address",
                f"ip address show to {textOf(address)}    # on each host",
            )


def _silent(subject: Subject, source: bytes) -> Complaint:
    isIPv4 = subject.path.family is Family.IPV4
    what = "ARP requests" if isIPv4 else "neighbour solicitations"
    return subject.complain(
        Ailment.NEIGHBOUR_SILENT,
        source,
        f"{textOf(source)} does not answer {what}, although its packets arrive",
        f"{what} or the answers are filtered: by arptables or nft on {textOf(source)}, by its "
        "arp_ignore, or by a switch (dynamic ARP inspection) or hypervisor"
        if isIPv4
        else f"{what} or the answers are filtered: by ip6tables or nft on {textOf(source)}, or "
        "by a switch (ND inspection) or hypervisor",
        "txcarp doctor    # there: it names the rule",
    )
