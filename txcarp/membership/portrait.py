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
from txcarp.membership.participation import Participation
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
    run: Participation | None,
    member: ISetMember | None,
) -> Status:
    """
    Return the state of a virtual host as one value.

    @param run: Its present run; C{None} if it takes no part in its group.
    @param member: The virtual host in its set; C{None} if it belongs to none.
    """
    now = platform.clock.seconds()
    ledger = DemotionLedger(memory.demotions) if run is None else run.ledger
    role = Role.INIT if run is None else run.role
    return Status(
        name=configuration.name,
        title=configuration.title,
        interface=configuration.interface,
        vhid=configuration.vhid,
        time=platform.wallSeconds(),
        running=run is not None,
        role=role,
        since=now - memory.changes[-1][0] if memory.changes else None,
        readiness=Readiness.RELEASED if run is None else run.mastership.readiness,
        master=_master(memory, run) if run is not None and role is Role.BACKUP else "",
        peers=[
            _peer(one, () if run is None else run.formsOf(one.source), now)
            for one in memory.peers.all
        ],
        addresses=_addresses(configuration, run, now),
        holds=[] if run is None else _holds(run, now),
        demotions=ledger.reasons,
        demotion=ledger.total,
        configured=configuration.timing,
        advertised=ledger.apply(configuration.timing, configuration.dialect),
        dialect=configuration.dialect.name,
        deadline=None if run is None else _until(run.masterDown.deadline, now),
        received=memory.received,
        sent=memory.sent,
        sendErrors=memory.sendErrors,
        announced=0 if run is None else run.mastership.announced,
        families={
            one.value: FamilyStatus(
                (traffic := memory.traffic[one]).received, traffic.sent, traffic.sendErrors
            )
            for one in configuration.families
        },
        pauses=memory.pauses,
        contested=round(memory.contested, 3),
        vacant=round(memory.chronicle.timeline.vacant, 3),
        forms=() if run is None else run.advertiser.forms,
        rejected=Counter(memory.rejected),
        findings=Counter(memory.findings),
        changes=[PastChange(now - when, change) for when, change in memory.changes],
        sync=None if member is None else member.status(),
        checks=[] if run is None else run.fitness.statuses(),
        history=[PastOccurrence(now - when, one) for when, one in memory.chronicle.past],
        steps=[] if run is None else run.mastership.statuses(),
        probes=[] if run is None else run.probing.statuses(),
    )


def explanationOf(status: Status, memory: Memory, run: Participation | None) -> Explanation:
    """
    Return the state of a virtual host with what the election says about the other hosts.

    @param run: Its present run; C{None} if it takes no part in its group.
    """
    comparisons: dict[str, Comparison] = {}
    if run is not None:
        standing = run.standing
        for peer in memory.peers.all:
            said = Peer(peer.timing, peer.source, peer.demotion)
            comparisons[textOf(peer.source)] = compare(standing, said)
    return Explanation(status, comparisons)


def _master(memory: Memory, run: Participation) -> str:
    """
    The address of the master that a backup hears, or an empty string.
    """
    peers = memory.peers.all
    if run.masterDown.deadline is not None and peers:
        return textOf(peers[-1].source)
    master: str = run.draining.master
    return master


def _peer(peer: KnownPeer, forms: Sequence[str], now: float) -> PeerStatus:
    source, age = textOf(peer.source), now - peer.heard
    return PeerStatus(source, peer.timing, peer.demotion, peer.sealed, forms, age, peer.number)


def _addresses(
    configuration: VirtualHostConfiguration, run: Participation | None, now: float
) -> list[AddressStatus]:
    addresses = configuration.addresses
    if run is None or (leases := run.mastership.leases) is None:
        return [AddressStatus(str(address)) for address in addresses]
    left = max(0.0, leases.end - now)
    held = [leases.holds(address) for address in addresses]
    return [
        AddressStatus(str(address), isHeld, left if isHeld else None)
        for address, isHeld in zip(addresses, held, strict=True)
    ]


def _holds(run: Participation, now: float) -> list[HoldStatus]:
    holds = run.holds
    return [
        HoldStatus(one, _until(holds.endOf(one), now), holds.details[one], holds.actors.get(one))
        for one in holds
    ]


def _until(when: float | None, now: float) -> float | None:
    return None if when is None else max(0.0, when - now)
