"""
Why a packet was not accepted.
"""

from __future__ import annotations

import enum


class Rejection(enum.Enum):
    """
    Every way in which the receive path can refuse a packet.

    The order is the order of the checks, which is that of ucarp as far as it
    goes: a packet with two faults is counted under the first.
    """

    OWN_ECHO = "own advertisement echoed"
    OWN_SOURCE = "of another host, with the source of this one"
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
    REPLAY = "an old advertisement, or made from one"
    UNSEALED = "not sealed"


class Rejected(Exception):
    """
    A packet that must not be believed.

    It is the only exception that decoding and verifying raise, whatever the
    bytes are.

    @ivar reason: Why.
    @ivar detail: The value that was found, as text for a log line.
    """

    def __init__(self, reason: Rejection, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
