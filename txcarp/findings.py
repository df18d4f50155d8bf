"""
What can go wrong between the hosts of a group.
"""

from __future__ import annotations

import enum

import attrs


class Finding(enum.Enum):
    """
    What was seen.  The values are stable: other programs may count them.
    """

    WRONG_KEY = "wrong-key"
    FOREIGN_GROUP = "foreign-group"
    VRRP = "vrrp"
    EQUAL_TIMING = "equal-timing"
    OWN_ECHO = "own-echo"
    SAME_SOURCE = "same-source"
    FAMILY_SILENT = "family-silent"
    TWO_MASTERS = "two-masters"
    OTHER_KEY = "other-key"
    REPLAY = "replay"
    UNSEALED = "unsealed"


@attrs.frozen
class Diagnosis:
    """
    Something seen once more.

    @ivar finding: What.
    @ivar vhid: The virtual host.
    @ivar interface: The name of its interface.
    @ivar peer: The address of the other host, or an empty string.
    @ivar explanation: What it is and what to do, for people.
    """

    finding: Finding
    vhid: int
    interface: str
    peer: str
    explanation: str
