"""
Where ucarp, FreeBSD and OpenBSD differ: one table.

Everything else in the election is the same for all.  The rows were read in
ucarp 1.5.2 (C{src/carp.c}), FreeBSD 14 and OpenBSD 7.x
(C{sys/netinet/ip_carp.c} in both); L{Dialect} names the place of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from txcarp.protocol.advertisement import MAXIMUM_DEMOTED_SKEW
from txcarp.protocol.timing import SHORTEST_INTERVAL, Timing, winsTie

#: The highest skew there is.
_ANY_SKEW = 255


class Claim(Protocol):
    """
    What a host says about itself when it wants to be master.
    """

    @property
    def timing(self) -> Timing:
        """
        How often it advertises.
        """

    @property
    def demotion(self) -> int:
        """
        OpenBSD's demotion counter.
        """

    @property
    def source(self) -> bytes:
        """
        The packed address that its advertisements come from.
        """


def _lowerAddressStays(own: Claim, peer: Claim) -> bool:
    # ucarp, MASTER: a tie goes to the lower address.
    return peer.timing < own.timing or (
        peer.timing == own.timing and not winsTie(own.source, peer.source)
    )


def _equalYields(own: Claim, peer: Claim) -> bool:
    # FreeBSD, carp_input_c, CARP MASTER: "more frequent or equal".
    return peer.timing <= own.timing


def _lessDemotedStays(own: Claim, peer: Claim) -> bool:
    # OpenBSD, carp_proto_input_c, MASTER.
    return peer.demotion < own.demotion or (
        peer.demotion == own.demotion and peer.timing <= own.timing
    )


def _sooner(own: Claim, peer: Claim) -> bool:
    return own.timing < peer.timing


def _soonerAndNotMoreDemoted(own: Claim, peer: Claim) -> bool:
    # OpenBSD, carp_proto_input_c, BACKUP: preemption respects demotion.
    return own.timing < peer.timing and peer.demotion >= own.demotion


def _moreDemoted(own: Claim, peer: Claim) -> bool:
    # OpenBSD, carp_proto_input_c, BACKUP: whatever preemption says.
    return peer.demotion > own.demotion


def _skewEachTime(timing: Timing, ratio: int) -> float:
    # OpenBSD, carp_setrun, since about 2021.
    return ratio * max(timing.interval, SHORTEST_INTERVAL)


@attrs.frozen
class Dialect:
    """
    One way to speak CARP.

    @ivar name: What the command line calls it.
    @ivar yields: Whether a master becomes backup on hearing a peer.  The case
        MASTER where a packet is received: ucarp C{packethandler}, FreeBSD
        C{carp_input_c}, OpenBSD C{carp_proto_input_c}.
    @ivar breaksTies: Whether that leaves one of two masters with equal timing.
        Only ucarp looks at the addresses, there.
    @ivar preempts: Whether a backup that preempts takes over from a master.
        The first rule of the case BACKUP, there.
    @ivar replaces: Whether a backup takes over even if it does not preempt; C{None} for
        never.  OpenBSD, the second rule there; the others have none.
    @ivar deadTime: Seconds of silence after which a backup takes over, from
        its timing without demotion and the dead ratio.  C{carp_setrun} in all
        three; the kernels have a ratio of 3.
    @ivar zeroBase: Whether an advbase of 0 means "so often that nobody needs
        to guess who is late", and both being 0 is allowed.  OpenBSD, the last
        rule of the case BACKUP and C{carp_setrun}; FreeBSD takes 0 for "as
        it was" (C{carp_ioctl_set}), ucarp refuses both being 0 (C{src/ucarp.c}).
    @ivar signsLinkLocal: Whether the digest that is sent covers IPv6
        link-local addresses.  FreeBSD, C{carp_hmac_prepare}: with the scope
        taken out; OpenBSD, C{carp_hmac_prepare_ctx}: C{HMAC_NOV6LL}.
    @ivar acceptsOtherLinkLocal: Whether the digest of the other kind is
        accepted, too.  OpenBSD, C{carp_hmac_verify}, tries both contexts.
    @ivar demotionByte: Whether demotion is sent in a field of its own.
        OpenBSD, C{carp_demote} of the header (C{ip_carp.h}), filled in by
        C{carp_send_ad}; elsewhere it is padding.
    @ivar highestSkew: What a higher configured skew is sent as.  FreeBSD,
        C{CARP_MAXSKEW} by C{DEMOTE_ADVSKEW}; elsewhere a skew is sent as it is.
    @ivar constantCounter: Whether the counter is drawn once, and a packet
        that carries ours is a loop.  OpenBSD, the replay cookie of
        C{carp_prepare_ad} and C{carp_proto_input_c}; the others count on from
        what they heard.
    """

    name: str
    yields: Callable[[Claim, Claim], bool]
    breaksTies: bool
    preempts: Callable[[Claim, Claim], bool]
    replaces: Callable[[Claim, Claim], bool] | None
    deadTime: Callable[[Timing, int], float]
    zeroBase: bool
    signsLinkLocal: bool
    acceptsOtherLinkLocal: bool
    demotionByte: bool
    highestSkew: int
    constantCounter: bool


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="ucarp",
            yields=_lowerAddressStays,
            breaksTies=True,
            preempts=_sooner,
            replaces=None,
            deadTime=Timing.deadTime,
            zeroBase=False,
            signsLinkLocal=True,  # it has no IPv6: as FreeBSD
            acceptsOtherLinkLocal=False,
            demotionByte=False,
            highestSkew=_ANY_SKEW,
            constantCounter=False,
        ),
        Dialect(
            name="freebsd",
            yields=_equalYields,
            breaksTies=False,
            preempts=_sooner,
            replaces=None,
            deadTime=Timing.deadTime,
            zeroBase=False,
            signsLinkLocal=True,
            acceptsOtherLinkLocal=False,
            demotionByte=False,
            highestSkew=MAXIMUM_DEMOTED_SKEW,  # CARP_MAXSKEW, DEMOTE_ADVSKEW
            constantCounter=False,
        ),
        Dialect(
            name="openbsd",
            yields=_lessDemotedStays,
            breaksTies=False,
            preempts=_soonerAndNotMoreDemoted,
            replaces=_moreDemoted,
            deadTime=_skewEachTime,
            zeroBase=True,
            signsLinkLocal=False,  # HMAC_NOV6LL is sent, either is accepted
            acceptsOtherLinkLocal=True,
            demotionByte=True,
            highestSkew=_ANY_SKEW,
            constantCounter=True,  # the replay cookie
        ),
    )
}

UCARP = DIALECTS["ucarp"]
FREEBSD = DIALECTS["freebsd"]
OPENBSD = DIALECTS["openbsd"]
