"""
How good a master says it is, in CARP and in VRRP.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from txcarp.protocol.timing import Timing


class Reason(enum.Enum):
    """
    Why another host is master, as far as a listener can see.  The values are
    those of the C{--json} output.
    """

    BOW_OUT = "bow-out"
    SILENCE = "silence"
    TIMING = "timing"
    DEMOTION = "demotion"
    PRIORITY = "priority"
    EQUAL = "equal"
    UNKNOWN = "unknown"


@attrs.frozen
class CARPClaim:
    """
    What a CARP master says.

    @ivar timing: How often it advertises; the smaller, the better.
    @ivar demotion: OpenBSD's demotion counter, which counts before the timing.
    """

    timing: Timing
    demotion: int = 0

    @property
    def interval(self) -> float:
        """
        Seconds from one advertisement to the next.
        """
        return self.timing.interval

    def advantage(self, other: CARPClaim) -> Reason | None:
        """
        In what this is better than another; C{None} if it is not.
        """
        if self.demotion != other.demotion:
            return Reason.DEMOTION if self.demotion < other.demotion else None
        return Reason.TIMING if self.timing < other.timing else None


@attrs.frozen
class VRRPClaim:
    """
    What a VRRP master says.

    @ivar version: 2 or 3.
    @ivar priority: The higher, the better.
    @ivar interval: Seconds from one advertisement to the next.
    """

    version: int
    priority: int
    interval: float

    def advantage(self, other: VRRPClaim) -> Reason | None:
        """
        In what this is better than another; C{None} if it is not.
        """
        return Reason.PRIORITY if self.priority > other.priority else None


Claim: TypeAlias = CARPClaim | VRRPClaim


def advantage(claim: Claim, other: Claim) -> Reason | None:
    """
    In what a claim is better than another of the same protocol; C{None} if it
    is not.
    """
    if isinstance(claim, CARPClaim) and isinstance(other, CARPClaim):
        return claim.advantage(other)
    if isinstance(claim, VRRPClaim) and isinstance(other, VRRPClaim):
        return claim.advantage(other)
    raise TypeError(f"{claim} and {other} are of two protocols")


def isTie(claim: Claim, other: Claim) -> bool:
    """
    Whether neither is better.
    """
    return advantage(claim, other) is None and advantage(other, claim) is None
