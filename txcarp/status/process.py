"""
The state of what all virtual hosts of a process share.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class NetlinkStatus:
    """
    The conversation of a process with the kernel.

    @ivar overruns: How often messages of the kernel were lost.  Everything is listed anew then.
    @ivar malformed: The number of its messages that could not be understood.
    @ivar lists: How often links or addresses were listed: at the start, and after each overrun.
    """

    overruns: int = 0
    malformed: int = 0
    lists: int = 0


@attrs.frozen
class GuardStatus:
    """
    The guard of a process.

    @ivar running: Whether its process runs.
    @ivar starts: How often one was started.
    @ivar wills: The number of groups that have a will now.
    @ivar acted: How often a guard gave back what this host held of a group, because txcarp had died
        or hung.  With a state file, this includes the guards of earlier processes.
    @ivar actedAt: When that happened last, in seconds since 1970; C{None} if it never did.
    """

    running: bool
    starts: int
    wills: int
    acted: int
    actedAt: float | None


@attrs.frozen
class PlatformStatus:
    """
    The state of what all virtual hosts of a process share.

    @ivar guard: The guard; C{None} if there is none.
    """

    netlink: NetlinkStatus = attrs.field(factory=NetlinkStatus)
    guard: GuardStatus | None = None
