"""
Everything there is to know about a virtual host at one moment, as one value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from txcarp.change import Change
from txcarp.findings import Finding
from txcarp.protocol.effects import Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Timing


@attrs.frozen
class PeerStatus:
    """
    Another host of the group, as it was heard last.

    @ivar source: The address that it sends from.
    @ivar timing: What it advertised.
    @ivar demotion: OpenBSD's demotion counter, as it advertised it.
    @ivar sealed: Whether its advertisement was sealed.
    @ivar pair: The password and addresses that it was signed with.
    @ivar age: Seconds since it was heard.
    """

    source: str
    timing: Timing
    demotion: int
    sealed: bool
    pair: str
    age: float


@attrs.frozen
class AddressStatus:
    """
    One of the shared addresses.

    @ivar text: The address with its prefix length.
    @ivar held: Whether this program has it on lease here; C{None} where scripts add
        the addresses, of which this program knows nothing.
    @ivar lease: Seconds until the lease ends unless it is renewed; C{None} without one.
    """

    text: str
    held: bool | None = None
    lease: float | None = None


@attrs.frozen
class HoldStatus:
    """
    Something that keeps this host out of the election.

    @ivar reason: What.
    @ivar remaining: Seconds until it ends; C{None} if it has no end of its own.
    """

    reason: HoldReason
    remaining: float | None


@attrs.frozen
class PastChange:
    """
    A change of role.

    @ivar age: Seconds since then.
    @ivar change: What changed, and why.
    """

    age: float
    change: Change


@attrs.frozen(kw_only=True)
class Status:
    """
    A virtual host at one moment.

    @ivar name: Its name, such as C{eth0:7}.
    @ivar interface: The name of its interface.
    @ivar vhid: Its number in the group.
    @ivar time: When this was taken, in seconds since 1970.
    @ivar running: Whether it takes part in its group, or is leaving it.
    @ivar role: Its role.
    @ivar since: Seconds for which it has had this role; C{None} if it never had another.
    @ivar complete: Whether it is master and every step of that is done.
    @ivar master: The address of the host that is master, as far as this host knows; empty
        if it knows none, or is master itself.
    @ivar peers: The other hosts that were heard, the one heard last at the end.
    @ivar addresses: The shared addresses.
    @ivar holds: What keeps this host out of the election.
    @ivar demotions: The amount of each reason for a demotion.
    @ivar demotion: All amounts together.
    @ivar configured: The configured timing.
    @ivar advertised: The timing that this host advertises, or would.
    @ivar dialect: The name of the rules of the group.
    @ivar deadline: Seconds after which this host takes over unless a master is heard;
        C{None} if it does not.
    @ivar received: How many good advertisements were heard.
    @ivar sent: How many advertisements left.
    @ivar sendErrors: How many advertisements did not leave.
    @ivar rejected: How many packets were refused, by reason.
    @ivar findings: How often each fault of the group was seen.
    @ivar changes: The last changes of role, the newest at the end.
    """

    name: str
    interface: str
    vhid: int
    time: float
    running: bool
    role: Role
    since: float | None
    complete: bool
    master: str
    peers: Sequence[PeerStatus]
    addresses: Sequence[AddressStatus]
    holds: Sequence[HoldStatus]
    demotions: Mapping[str, int]
    demotion: int
    configured: Timing
    advertised: Timing
    dialect: str
    deadline: float | None
    received: int
    sent: int
    sendErrors: int
    rejected: Counter[Rejection]
    findings: Counter[Finding]
    changes: Sequence[PastChange]

    def lines(self) -> Iterator[str]:
        """
        The status in a few lines for a log, the first in ucarp's words.
        """
        yield f"{self.role.value} on {self.interface} id {self.vhid}"
        if self.holds:
            reasons = ", ".join(sorted(hold.reason.value for hold in self.holds))
            yield f"Takes no part now: {reasons}"
        if self.demotions:
            reasons = ", ".join(f"{amount} for {why}" for why, amount in self.demotions.items())
            yield f"Demoted by {self.demotion}: {reasons}"
        for peer in self.peers:
            seal = ", sealed" if peer.sealed else ""
            yield (
                f"Peer {peer.source}: advbase {peer.timing.advbase} advskew "
                f"{peer.timing.advskew}{seal}, heard {peer.age:.1f} s ago"
            )
