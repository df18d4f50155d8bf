"""
What there is to know about a virtual host at one moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from txcarp.addresses import textOf
from txcarp.change import Readiness
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IPlatform, ISetMember
from txcarp.membership.memory import Memory
from txcarp.membership.parts import Parts
from txcarp.membership.peers import KnownPeer
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.effects import Role
from txcarp.protocol.explain import Comparison, compare
from txcarp.protocol.timing import Peer
from txcarp.status.explanation import Explanation
from txcarp.status.parts import (
    AddressStatus,
    FamilyStatus,
    HoldStatus,
    PastChange,
    PastOccurrence,
    PeerStatus,
)
from txcarp.status.snapshot import Status


def statusOf(
    configuration: VirtualHostConfiguration,
    platform: IPlatform,
    memory: Memory,
    parts: Parts | None,
    member: ISetMember | None,
) -> Status:
    """
    Return the state of a virtual host as one value.

    @param parts: Those of its present run; C{None} if it takes no part in its group.
    @param member: The virtual host in its set; C{None} if it belongs to none.
    """
    now = platform.clock.seconds()
    ledger = DemotionLedger(memory.demotions) if parts is None else parts.ledger
    role = Role.INIT if parts is None else parts.role
    return Status(
        name=configuration.name,
        title=configuration.title,
        interface=configuration.interface,
        vhid=configuration.vhid,
        time=platform.wallSeconds(),
        running=parts is not None,
        role=role,
        since=now - memory.changes[-1][0] if memory.changes else None,
        readiness=Readiness.RELEASED if parts is None else parts.mastership.readiness,
        master=_master(memory, parts) if parts is not None and role is Role.BACKUP else "",
        peers=[
            _peer(one, () if parts is None else parts.formsOf(one.source), now)
            for one in memory.peers.all
        ],
        addresses=_addresses(configuration, parts, now),
        holds=[] if parts is None else _holds(parts, now),
        demotions=ledger.reasons,
        demotion=ledger.total,
        configured=configuration.timing,
        advertised=ledger.apply(configuration.timing, configuration.dialect),
        dialect=configuration.dialect.name,
        deadline=None if parts is None else _until(parts.masterDown.deadline, now),
        received=memory.received,
        sent=memory.sent,
        sendErrors=memory.sendErrors,
        announced=0 if parts is None else parts.mastership.announced,
        families={
            one.value: FamilyStatus(
                (traffic := memory.traffic[one]).received, traffic.sent, traffic.sendErrors
            )
            for one in configuration.families
        },
        pauses=memory.pauses,
        contested=round(memory.contested, 3),
        vacant=round(memory.chronicle.timeline.vacant, 3),
        forms=() if parts is None else parts.advertiser.forms,
        rejected=Counter(memory.rejected),
        findings=Counter(memory.findings),
        changes=[PastChange(now - when, change) for when, change in memory.changes],
        sync=None if member is None else member.status(),
        checks=[] if parts is None else parts.fitness.statuses(),
        history=[PastOccurrence(now - when, one) for when, one in memory.chronicle.past],
        steps=[] if parts is None else parts.mastership.statuses(),
        probes=[] if parts is None else parts.probing.statuses(),
    )


def explanationOf(status: Status, memory: Memory, parts: Parts | None) -> Explanation:
    """
    Return the state of a virtual host with what the election says about the other hosts.

    @param parts: Those of its present run; C{None} if it takes no part in its group.
    """
    comparisons: dict[str, Comparison] = {}
    if parts is not None:
        standing = parts.standing
        for peer in memory.peers.all:
            said = Peer(peer.timing, peer.source, peer.demotion)
            comparisons[textOf(peer.source)] = compare(standing, said)
    return Explanation(status, comparisons)


def _master(memory: Memory, parts: Parts) -> str:
    """
    The address of the master that a backup hears, or an empty string.
    """
    latest = memory.heardSince
    if parts.masterDown.deadline is not None and latest is not None:
        return textOf(latest.source)
    master: str = parts.draining.master
    return master


def _peer(peer: KnownPeer, forms: Sequence[str], now: float) -> PeerStatus:
    source, age = textOf(peer.source), now - peer.heard
    return PeerStatus(source, peer.timing, peer.demotion, peer.sealed, forms, age, peer.number)


def _addresses(
    configuration: VirtualHostConfiguration, parts: Parts | None, now: float
) -> list[AddressStatus]:
    addresses = configuration.addresses
    if parts is None or (leases := parts.mastership.leases) is None:
        return [AddressStatus(str(address)) for address in addresses]
    left = max(0.0, leases.end - now)
    held = [leases.holds(address) for address in addresses]
    return [
        AddressStatus(str(address), isHeld, left if isHeld else None)
        for address, isHeld in zip(addresses, held, strict=True)
    ]


def _holds(parts: Parts, now: float) -> list[HoldStatus]:
    holds = parts.holds
    return [
        HoldStatus(reason, _until(holds.endOf(reason), now), hold.detail, hold.actor)
        for reason, hold in holds.present.items()
    ]


def _until(when: float | None, now: float) -> float | None:
    return None if when is None else max(0.0, when - now)
