"""
The state of a virtual host that outlives a run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IReactorTime

from txcarp.change import Change
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.logs.limits import SayOnce
from txcarp.membership.chronicle import Chronicle
from txcarp.membership.peers import KnownPeer, Peers
from txcarp.membership.timeline import Timeline
from txcarp.protocol.actor import Actor
from txcarp.protocol.family import Family
from txcarp.protocol.freshness import Freshness
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import Ticks

#: The number of changes of role that are remembered.
CHANGES = 10

#: Seconds by which the last advertisement of a master may be older than the change of role that it
#: led to.
_JUST_BEFORE = 0.05


@attrs.define
class SealMemory:
    """
    The state of seals.

    @ivar ticks: The ticks of this host.
    @ivar freshness: Judges sealed advertisements by the earlier ones.
    @ivar reserved: The last tick that this host may use according to the state store.
    """

    ticks: Ticks
    freshness: Freshness
    reserved: int


@attrs.frozen
class Drain:
    """
    That this host is kept out of the election for an administrator.

    @ivar until: When that ends, in seconds of the clock; C{None} for no end.
    @ivar actor: Who asked for it; C{None} if it was the program itself.
    """

    until: float | None = None
    actor: Actor | None = None


@attrs.define
class Traffic:
    """
    What was sent and heard in one family.

    @ivar received: The number of valid advertisements that were received.
    @ivar sent: The number of packets with advertisements that were sent.  An advertisement is sent
        once for each form (L{Form<txcarp.protocol.authentication.Form>}) and destination.
    @ivar sendErrors: The number of those that could not be sent.
    """

    received: int = 0
    sent: int = 0
    sendErrors: int = 0


@attrs.define
class Memory:
    """
    The state that remains when a virtual host is stopped and started again, perhaps with another
    configuration.

    @ivar limits: Limits the rate of log lines.
    @ivar chronicle: What has happened, besides the changes of role.
    @ivar seals: The state of seals; C{None} before the first run that uses seals.
    @ivar peers: The other hosts.
    @ivar demotions: The demotions that an operator or another program requested: each reason with
        its amount.
    @ivar drain: Whether and until when an administrator keeps this host out of the election.
    @ivar isRecalled: Whether C{drain} is known: whether the state store was read, if there is one.
    @ivar received: The number of valid advertisements that were received.
    @ivar sent: The number of advertisements that were sent.
    @ivar sendErrors: The number of advertisements that could not be sent.
    @ivar traffic: The same for each family in which this host took part.
    @ivar pauses: How often this host found that it did not run for so long that what it knew could
        be out of date.
    @ivar contested: The seconds in which this host was master and heard another master.
    @ivar rejected: The number of rejected packets, by reason.
    @ivar findings: The number of times that each fault of the group was seen.
    @ivar changes: The last changes of role, each with its time in seconds of the clock.
    """

    limits: SayOnce
    chronicle: Chronicle
    seals: SealMemory | None = None
    peers: Peers = attrs.field(factory=Peers)
    demotions: dict[str, int] = attrs.field(factory=dict)
    drain: Drain | None = None
    isRecalled: bool = False
    received: int = 0
    sent: int = 0
    sendErrors: int = 0
    traffic: dict[Family, Traffic] = attrs.field(
        factory=lambda: {family: Traffic() for family in Family}
    )
    pauses: int = 0
    contested: float = 0.0
    rejected: Counter[Rejection] = attrs.field(factory=Counter)
    findings: Counter[Finding] = attrs.field(factory=Counter)
    changes: list[tuple[float, Change]] = attrs.field(factory=list)

    @property
    def heardSince(self) -> KnownPeer | None:
        """
        The peer that was heard last, if that was not before the last change of role.
        """
        last = self.peers.latest
        if last is None or not self.changes:
            return None
        return last if last.heard > self.changes[-1][0] - _JUST_BEFORE else None

    def setDrain(self, drain: Drain | None) -> None:
        """
        Have this host kept out of the election, or no longer, whatever the state store has.
        """
        self.drain = drain
        self.isRecalled = True


def newMemory(
    clock: IReactorTime,
    configuration: VirtualHostConfiguration,
    wallSeconds: Callable[[], float] = time.time,
) -> Memory:
    """
    The state of a virtual host that has not run yet.

    @param wallSeconds: Returns the seconds since 1970.
    """
    peers = Peers()
    chronicle = Chronicle(clock, configuration, Timeline(clock, wallSeconds, peers))
    return Memory(SayOnce(clock), chronicle, peers=peers)
