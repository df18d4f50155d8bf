"""
Problems between the hosts of a group, and of one host that another will feel.
"""

from __future__ import annotations

import enum

import attrs


class Finding(enum.Enum):
    """
    A kind of problem.  The values do not change between versions, so that other programs can
    count them.
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
    UNLISTED_PEER = "unlisted-peer"
    REPLAY = "replay"
    UNSEALED = "unsealed"
    SEAL_ENDED = "seal-ended"
    NO_MASTER = "no-master"
    NO_RESET = "no-reset"
    SIDE_SILENT = "side-silent"
    GUARD_ENDED = "guard-ended"
    NO_WITNESS = "no-witness"
    PROBE_MISLED = "probe-misled"


@attrs.frozen
class Diagnosis:
    """
    One occurrence of a problem.

    @ivar vhid: The virtual host ID.
    @ivar interface: The name of the interface.
    @ivar peer: The address of the other host, or an empty string.
    @ivar explanation: What is wrong and what to do about it, as text.
    """

    finding: Finding
    vhid: int
    interface: str
    peer: str
    explanation: str
