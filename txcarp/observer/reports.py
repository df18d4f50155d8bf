"""
What an observer reports, and the groups that its reports are about.

All times are seconds of the observer's monotonic clock.
"""

from __future__ import annotations

import enum
from operator import attrgetter

import attrs

from txcarp.observer.host import ObservedHost
from txcarp.observer.sighting import Claim, Protocol
from txcarp.protocol.family import Family


class Kind(enum.Enum):
    """
    The kinds of reports.  The values are those of the C{--json} output.
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
    DIGEST = "digest"
    REPLAY = "replay"
    IGNORED = "ignored"
    TOO_MANY_HOSTS = "too-many-hosts"
    TOO_MANY_GROUPS = "too-many-groups"


class Cause(enum.Enum):
    """
    Why another host became master, as far as the advertisements show.  The values are those of the
    C{--json} output.
    """

    BOW_OUT = "bow-out"
    SILENCE = "silence"
    TIMING = "timing"
    DEMOTION = "demotion"
    PRIORITY = "priority"
    EQUAL = "equal"
    UNKNOWN = "unknown"


@attrs.frozen(order=True)
class GroupKey:
    """
    What tells one group from another.  A virtual host with addresses of both families is two
    groups: each family has its own advertisements, and the two may have different masters for a
    while.
    """

    interface: str
    protocol: Protocol = attrs.field(order=attrgetter("value"))
    vhid: int
    family: Family = attrs.field(order=attrgetter("value"))


@attrs.frozen
class GroupView:
    """
    What is known of a group.

    @ivar masters: The hosts that advertise; more than one is a fault.
    @ivar last: The last host that advertised, if none does.
    @ivar nobodySince: When the last master fell silent, if there is none.
    @ivar twoSince: When a second master began, if there are several.
    """

    key: GroupKey
    masters: tuple[ObservedHost, ...]
    last: ObservedHost | None = None
    nobodySince: float | None = None
    twoSince: float | None = None


@attrs.frozen
class Report:
    """
    What happened at one moment.

    @ivar group: The group afterwards; C{None} if the report is about no group.
    @ivar host: The host that the report is about.
    @ivar source: The packed source address of a packet that belongs to no group.
    @ivar previous: The packed address of the previous master.
    @ivar cause: Why there is a new master.
    @ivar seconds: The time from the previous master's last advertisement to the new one's first,
        or for which there was no master, or more than one.
    @ivar before: What the host claimed until now, or what the previous master claimed.
    @ivar detail: More, in words.
    @ivar omitted: How many reports of this kind were left out since the last.
    """

    kind: Kind
    when: float
    interface: str
    group: GroupView | None = None
    host: ObservedHost | None = None
    source: bytes | None = None
    previous: bytes | None = None
    cause: Cause | None = None
    seconds: float | None = None
    before: Claim | None = None
    detail: str = ""
    omitted: int = 0
