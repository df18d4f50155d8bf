"""
Why a packet was not accepted.
"""

from __future__ import annotations

import enum


class Rejection(enum.Enum):
    """
    A reason to reject a packet.

    The members are in the order of the checks, which is ucarp's where ucarp has the check.  A
    packet with two faults is counted under the first.
    """

    OWN_ECHO = "own advertisement echoed"
    OWN_SOURCE = "from another host with the source address of this one"
    PROTOCOL = "not protocol 112"
    SIZE = "too short for an advertisement"
    TTL = "time to live is not 255"
    VERSION = "not CARP version 2"
    VRRP = "VRRP, not CARP"
    VHID = "another virtual host"
    DESTINATION = "another multicast group"
    CHECKSUM = "bad checksum"
    DIGEST = "bad digest"
    DUPLICATE = "a second copy"
    BEHIND = "sealed before its sender heard how far ahead this host is"
    REPLAY = "replayed, or made from an earlier advertisement"
    UNSEALED = "not sealed"


class Rejected(Exception):
    """
    A packet is not to be believed.  Decoding and verifying raise no other exception, whatever
    the bytes are.

    @ivar reason: Why.
    @ivar detail: The offending value, as text for a log line; may be empty.
    @ivar putsOff: Whether it may all the same be of the living master, so that a backup waits.
    """

    def __init__(self, reason: Rejection, detail: str = "", *, putsOff: bool = False) -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
        self.putsOff = putsOff
