"""
What this host itself drops or does not send, and which rule is to blame.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from txcarp.addresses import textOf
from txcarp.doctor.complaint import Ailment, Complaint
from txcarp.doctor.filtering import Fate, Verdict
from txcarp.doctor.mending import chainOf, permission
from txcarp.doctor.packet import Kind, Seen
from txcarp.doctor.subject import MARKS, Subject

#: Values of C{rp_filter}: packets have to come from where the answer would go, or from where any
#: answer could go (C{Documentation/networking/ip-sysctl.rst}).
_STRICT, _LOOSE = 1, 2


def dropped(subject: Subject) -> Iterator[Complaint]:
    """
    Packets that this host drops, or would drop for certain.
    """
    blamed = False
    for source, destination in _victims(subject):
        blamed = True
        yield _whyDropped(subject, source, destination)
    if blamed:
        return
    # Nobody has sent anything that shows it, but the rules leave no doubt.
    source = subject.partners[0].source if subject.partners else b""
    if _heardBehind(subject):
        return
    for verdict in subject.verdicts("input", source, _wanted(subject)):
        if verdict.fate is Fate.DROPPED:
            yield _blame(subject, verdict, b"", "drops advertisements that arrive", "in")
            return


def _wanted(subject: Subject) -> bytes:
    """
    The packed address to which the other hosts advertise.
    """
    return subject.path.destination if subject.path.usesMulticast else subject.path.source


def _heardBehind(subject: Subject) -> bool:
    """
    Whether anything passed the firewall.
    """
    return any(one.behind for one in subject.path.advertisers if not one.isHere) or any(
        one.seenHere & (Seen.MULTICAST | Seen.UNICAST) for one in subject.partners
    )


def _victims(subject: Subject) -> Iterator[tuple[bytes, bytes]]:
    """
    The source and the destination of packets that arrived in front of the firewall, and of
    which none arrived behind it.
    """
    found: dict[bytes, bytes] = {}
    for one in subject.path.advertisers:
        if one.source == subject.path.source:
            continue
        if not one.isHere and one.isMember and one.atInterface > 1 and not one.behind:
            found.setdefault(one.source, _wanted(subject))
    for partner in subject.partners:
        for kind, (front, behind) in MARKS.items():
            if front in partner.seenHere and behind not in partner.seenHere:
                isUnicast = kind is Kind.UNICAST
                destination = subject.path.source if isUnicast else subject.path.destination
                found.setdefault(partner.source, destination)
    yield from found.items()


def _whyDropped(subject: Subject, source: bytes, destination: bytes) -> Complaint:
    """
    Why this host drops what comes from a host.
    """
    seen = f"drops packets from {textOf(source)} that arrive"
    mode = subject.host.reversePath.get(subject.name, 0)
    back = subject.host.returns.get(source)
    if back is not None and (
        (mode == _STRICT and back != subject.index) or (mode == _LOOSE and not back)
    ):
        names = {one.index: one.name for one in subject.host.links}
        way = f"by {names.get(back, back)}" if back else "nowhere"
        return subject.complain(
            Ailment.REVERSE_PATH,
            source,
            f"this host {seen} on {subject.name}",
            f"rp_filter is {mode} on {subject.name}, and answers to {textOf(source)} would go "
            f"{way}",
            f"ip route get {textOf(source)}    # should say: dev {subject.name}",
            f"sysctl net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{subject.name}.rp_filter=2"
            "    # and in /etc/sysctl.d"
            if back
            else f"ip route add {textOf(source)}/32 dev {subject.name}",
        )
    found = subject.verdicts("input", source, destination)
    for fate in (Fate.DROPPED, Fate.MAYBE):
        for verdict in found:
            if verdict.fate is fate:
                return _blame(subject, verdict, source, seen, "in")
    return subject.complain(
        Ailment.FIREWALL,
        source,
        f"this host {seen} on {subject.name}",
        "no rule of nftables or iptables that could be read does that: look for eBPF programs "
        "and tc filters",
        "nft list ruleset",
        f"tc filter show dev {subject.name} ingress",
        f"bpftool net show dev {subject.name}",
    )


def _blame(subject: Subject, verdict: Verdict, peer: bytes, seen: str, way: str) -> Complaint:
    """
    Blame a chain of the firewall of this host.

    @param way: C{in} or C{out}.
    """
    chain = verdict.chain
    shown = "drops" if verdict.fate is Fate.DROPPED else "probably drops"
    why = (
        f"its policy {shown} what no rule accepts, and none accepts protocol 112"
        if verdict.byPolicy
        else f"one of its rules {shown} them"
    )
    return subject.complain(
        Ailment.FIREWALL,
        peer,
        f"this host {seen} on {subject.name}"
        if way == "in"
        else f"this host {seen} by {subject.name}",
        f"{chainOf(chain)} is in the way: {why}",
        permission(chain, subject.name, subject.path.family, way),
    )


def unsent(subject: Subject) -> Iterator[Complaint]:
    """
    Packets that this host cannot send.
    """
    errors = dict(subject.path.sendErrors)
    errors.pop(Kind.LARGE, None)
    if not errors:
        return
    kind, number = next(iter(errors.items()))
    first = next((one.source for one in subject.partners), b"")
    destination = subject.path.destination if kind is Kind.MULTICAST else first
    if number in (errno.EPERM, errno.EACCES, errno.ENOBUFS):
        found = subject.verdicts("output", subject.path.source, destination or b"\0" * 4)
        for fate in (Fate.DROPPED, Fate.MAYBE):
            for verdict in found:
                if verdict.fate is fate:
                    yield _blame(subject, verdict, b"", "drops advertisements that leave", "out")
                    return
    what = "to its group" if kind is Kind.MULTICAST else "to another host"
    isFilter = number in (errno.EPERM, errno.ENOBUFS)
    yield subject.complain(
        Ailment.FIREWALL if isFilter else Ailment.NO_SOURCE,
        b"",
        f"this host cannot send {what} by {subject.name}: {os.strerror(number)}",
        "a rule behind the routing forbids it (nft, tc or eBPF)"
        if isFilter
        else "there is no route, or the address of this host is not ready",
        "nft list ruleset" if isFilter else f"ip route show dev {subject.name}",
    )
