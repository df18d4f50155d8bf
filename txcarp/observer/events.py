"""
What is reported of the groups on the wire: values, and no more.

All times are seconds of the observer's monotonic clock.
"""

from __future__ import annotations

import enum

import attrs

from txcarp.observer.claim import Claim, Reason
from txcarp.observer.sighting import Protocol
from txcarp.protocol.family import Family


class Kind(enum.Enum):
    """
    Every event there is.  The values are those of the C{--json} output.
    """

    LISTENING = "listening"
    DOWN = "interface-down"
    GONE = "interface-gone"
    GROUP = "group"
    MASTER = "master"
    RETURNED = "returned"
    BOW_OUT = "bow-out"
    SILENT = "silent"
    TWO_MASTERS = "two-masters"
    ONE_MASTER = "one-master"
    STRAY = "stray"
    CLAIM = "timing"
    SEAL = "seal"
    IGNORED = "ignored"
    TOO_MANY_HOSTS = "too-many-hosts"
    TOO_MANY_GROUPS = "too-many-groups"


@attrs.frozen
class GroupKey:
    """
    What makes a group.  A virtual host with addresses of both families is two:
    each family has its own adverts, and may have another master for a while.
    """

    interface: str
    protocol: Protocol
    vhid: int
    family: Family

    @property
    def order(self) -> tuple[str, str, int, str]:
        """
        Sorts groups as people expect them.
        """
        return self.interface, self.protocol.value, self.vhid, self.family.value


@attrs.frozen
class HostView:
    """
    A host that advertises in a group, or did.

    @ivar source: Its packed address.
    @ivar hardware: The address of its network card; empty on a link that has
        none.
    @ivar here: Whether it runs on this machine.
    @ivar destination: The packed address it sends to.
    @ivar claim: What it says of itself.
    @ivar addresses: The packed virtual addresses, if it tells.
    @ivar seen: The seconds between its advertisements as they arrive, on
        average; C{None} before the second.
    @ivar sealed: Whether they look sealed; C{None} if that cannot be said.
    @ivar since: When it began to advertise.
    @ivar witnessed: Whether that was seen; if not, it did so before.
    @ivar heard: When it was heard last.
    """

    source: bytes
    hardware: bytes
    here: bool
    destination: bytes
    claim: Claim
    addresses: tuple[bytes, ...]
    seen: float | None
    sealed: bool | None
    since: float
    witnessed: bool
    heard: float


@attrs.frozen
class GroupView:
    """
    What is known of a group.

    @ivar masters: Who advertises now; more than one is trouble.
    @ivar last: Who did before, if nobody does.
    @ivar nobodySince: Since when nobody does.
    @ivar twoSince: Since when there is more than one.
    """

    key: GroupKey
    masters: tuple[HostView, ...]
    last: HostView | None = None
    nobodySince: float | None = None
    twoSince: float | None = None


@attrs.frozen
class Event:
    """
    Something that happened.

    @ivar group: The group afterwards, if it concerns one.
    @ivar host: The host that it is about.
    @ivar source: The packed address it came from, if it is about no host of a
        group.
    @ivar previous: The packed address of the master before.
    @ivar reason: Why there is another.
    @ivar seconds: How long it took: from the previous master's last
        advertisement to the first of the next, or how long there was nobody, or
        more than one.
    @ivar before: What the host said of itself until now, or what the master did
        that it displaced.
    @ivar detail: More, in words.
    @ivar omitted: How many events of this kind were left out since the last.
    """

    kind: Kind
    when: float
    interface: str
    group: GroupView | None = None
    host: HostView | None = None
    source: bytes | None = None
    previous: bytes | None = None
    reason: Reason | None = None
    seconds: float | None = None
    before: Claim | None = None
    detail: str = ""
    omitted: int = 0
