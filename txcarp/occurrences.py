"""
What happens to a virtual host, as the history, observers and streams of events tell it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from txcarp.change import Change
from txcarp.protocol.actor import Actor


class OccurrenceKind(enum.Enum):
    """
    The kinds of occurrences.  The values are words for programs.  Those that C{txcarp observe}
    also has mean the same there.

    @cvar TRANSITION: This host has another role.
    @cvar READINESS: It has begun or ended to acquire or release what belongs to its role.
    @cvar MASTER: This backup hears another master than before.
    @cvar HOLD: Something holds this host back from the election.
    @cvar RELEASE: It does so no longer.
    @cvar DEMOTION: This host is demoted by another amount for a reason.
    @cvar CHECK: A health check has another state.
    @cvar TWO_MASTERS: Another host is master, too.
    @cvar FINDING: Something else is wrong between the hosts of the group.
    @cvar LEASE_LOST: Addresses were lost that this host held.
    @cvar ADDED: The group is new in this process.
    @cvar REMOVED: It is no longer in this process.
    @cvar RELOAD: The configuration file was read again.
    """

    TRANSITION = "transition"
    READINESS = "readiness"
    MASTER = "master"
    HOLD = "hold"
    RELEASE = "release"
    DEMOTION = "demotion"
    CHECK = "check"
    TWO_MASTERS = "two-masters"
    FINDING = "finding"
    LEASE_LOST = "lease-lost"
    ADDED = "added"
    REMOVED = "removed"
    RELOAD = "reload"


@attrs.frozen
class Occurrence:
    """
    Something that happened to a virtual host, or to all of a process.

    @ivar group: The name of the group in the configuration file, or one such as C{eth0:7}; empty
        for all groups.
    @ivar interface: The name of the interface; empty for all groups.
    @ivar vhid: The virtual host ID; 0 for all groups.
    @ivar reason: Why, as a word for programs; for a demotion, the name of its reason.
    @ivar what: What happened, as a phrase.
    @ivar why: Why, as a phrase; may be empty.
    @ivar actor: Who asked for it; C{None} if nobody did.
    @ivar peer: The address of the other host, or an empty string.
    @ivar facts: More for programs; the keys depend on the kind.
    """

    kind: OccurrenceKind
    group: str
    interface: str
    vhid: int
    reason: str
    what: str
    why: str = ""
    actor: Actor | None = None
    peer: str = ""
    facts: Mapping[str, str | int] = attrs.field(factory=dict)

    def explain(self) -> str:
        """
        Return it as a sentence for a log or a list, without a full stop.
        """
        words = f"{self.what}: {self.why}" if self.why else self.what
        return f"{words} (by {self.actor.explain()})" if self.actor is not None else words


def ofChange(change: Change, group: str) -> Occurrence:
    """
    A change of role as an occurrence.

    @param group: The name of the group.
    """
    role, previous = change.role.value, change.previous.value
    return Occurrence(
        OccurrenceKind.TRANSITION,
        group,
        change.interface,
        change.vhid,
        change.reason.token,
        f"{previous} -> {role}",
        attrs.evolve(change, actor=None).explain(),
        change.actor,
        change.peer,
        {"role": role, "previous": previous},
    )
