"""
The dialects of CARP: everything in which ucarp, FreeBSD and OpenBSD differ.

The rest of the election is the same for all.  The rules were read in ucarp 1.5.2
(C{src/carp.c}), FreeBSD 14 and 15, and OpenBSD 7.x (C{sys/netinet/ip_carp.c} in both);
L{Dialect} names the place of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from txcarp.protocol.advertisement import LEAVING_DEMOTION, MAXIMUM_DEMOTED_SKEW
from txcarp.protocol.timing import SHORTEST_INTERVAL, Timing, winsTie


class Contender(Protocol):
    """
    A host that is, or could be, master, as far as the rules compare it with another.
    """

    @property
    def timing(self) -> Timing:
        """
        The timing that it advertises.
        """

    @property
    def demotion(self) -> int:
        """
        The value of OpenBSD's demotion field.
        """

    @property
    def source(self) -> bytes:
        """
        The packed source address of its advertisements.
        """


def _lowerAddressStays(own: Contender, peer: Contender) -> bool:
    # ucarp, MASTER: the lower address wins a tie.
    return peer.timing < own.timing or (
        peer.timing == own.timing and not winsTie(own.source, peer.source)
    )


def _equalYields(own: Contender, peer: Contender) -> bool:
    # FreeBSD, carp_input_c, MASTER: "more frequent or equal".
    return peer.timing <= own.timing


def _lessDemotedStays(own: Contender, peer: Contender) -> bool:
    # OpenBSD, carp_proto_input_c, MASTER.
    return peer.demotion < own.demotion or (
        peer.demotion == own.demotion and peer.timing <= own.timing
    )


def _sooner(own: Contender, peer: Contender) -> bool:
    return own.timing < peer.timing


def _soonerAndNotMoreDemoted(own: Contender, peer: Contender) -> bool:
    # OpenBSD, carp_proto_input_c, BACKUP: preemption respects demotion.
    return own.timing < peer.timing and peer.demotion >= own.demotion


def _moreDemoted(own: Contender, peer: Contender) -> bool:
    # OpenBSD, carp_proto_input_c, BACKUP: with or without preemption.
    return peer.demotion > own.demotion


def _skewEachTime(timing: Timing, ratio: int) -> float:
    # OpenBSD, carp_setrun, since revision 1.368 of 2025-05-23.
    return ratio * max(timing.interval, SHORTEST_INTERVAL)


def _skewOnce(timing: Timing, ratio: int) -> float:
    # OpenBSD, carp_setrun, before that.
    return timing.deadTime(ratio) if timing.advbase else _skewEachTime(timing, ratio)


@attrs.frozen
class Dialect:
    """
    The rules of one implementation.

    @ivar name: The name on the command line.
    @ivar yields: Whether a master becomes backup when it hears a peer.  In the case MASTER
        of the function that receives packets: ucarp C{packethandler}, FreeBSD C{carp_input_c},
        OpenBSD C{carp_proto_input_c}.
    @ivar farewell: Whether a master that yields sends one more advertisement.  ucarp does; the
        kernels yield silently.
    @ivar breaksTies: Whether C{yields} leaves one of two masters with equal timing.  Only
        ucarp compares their addresses.
    @ivar preempts: Whether a backup that preempts takes over from a master.  The first rule
        of the case BACKUP, in the same functions.
    @ivar replaces: Whether a backup takes over even if it does not preempt; C{None} for
        never.  The second rule of the case BACKUP in OpenBSD; the others have none.
    @ivar deadTime: Returns the seconds of silence after which a backup takes over, given its
        timing without demotion and the dead ratio.  C{carp_setrun} in all three; the kernels
        use a ratio of 3.
    @ivar zeroBase: Whether advbase and advskew may both be 0, and a host with advbase 0 does
        not predict whether it would miss a slow master (rule B2).  In OpenBSD, the last rule
        of the case BACKUP, and C{carp_setrun}.  FreeBSD takes 0 for "unchanged"
        (C{carp_ioctl_set}), and ucarp refuses both being 0 (C{src/ucarp.c}).
    @ivar signsLinkLocal: Whether the digest covers IPv6 link-local addresses.  FreeBSD does,
        with the scope removed (C{carp_hmac_prepare}); OpenBSD does not (C{HMAC_NOV6LL} in
        C{carp_hmac_prepare_ctx}).
    @ivar acceptsOtherLinkLocal: Whether a digest of the other kind is accepted, too.  OpenBSD
        tries both (C{carp_hmac_verify}).
    @ivar demotionByte: Whether demotion is sent in a field of its own, and leaves the skew as
        it is.  OpenBSD, C{carp_demote} of the header (C{ip_carp.h}), which C{carp_send_ad}
        fills in; in the others this byte is padding, and demotion raises the skew.
    @ivar failureDemotion: By how much a tracked interface without a link demotes a host, and
        by how much repeated send errors do.  FreeBSD, C{V_carp_ifdown_adj} and
        C{V_carp_senderr_adj}.  OpenBSD, the calls of C{carp_group_demote_adj} in
        C{carp_carpdev_state} and C{carp_send_ad}.  ucarp knows send errors only, and then
        advertises a skew of 240.
    @ivar leavingDemotion: The demotion in a bow-out.
    @ivar highestSkew: The highest skew that is sent; a higher configured one is sent as this.
        FreeBSD, C{CARP_MAXSKEW} by way of C{DEMOTE_ADVSKEW}; the others have no limit.
    @ivar constantCounter: Whether the counter is drawn once, so that a packet with the same
        counter is an echo.  OpenBSD, the replay cookie of C{carp_prepare_ad} and
        C{carp_proto_input_c}; the others continue from the counter that they last heard.
    """

    name: str
    yields: Callable[[Contender, Contender], bool]
    farewell: bool
    breaksTies: bool
    preempts: Callable[[Contender, Contender], bool]
    replaces: Callable[[Contender, Contender], bool] | None
    deadTime: Callable[[Timing, int], float]
    zeroBase: bool
    signsLinkLocal: bool
    acceptsOtherLinkLocal: bool
    demotionByte: bool
    failureDemotion: int
    leavingDemotion: int
    highestSkew: int
    constantCounter: bool


UCARP = Dialect(
    name="ucarp",
    yields=_lowerAddressStays,
    farewell=True,
    breaksTies=True,
    preempts=_sooner,
    replaces=None,
    deadTime=Timing.deadTime,
    zeroBase=False,
    signsLinkLocal=True,  # ucarp has no IPv6; the same as FreeBSD
    acceptsOtherLinkLocal=False,
    demotionByte=False,
    failureDemotion=MAXIMUM_DEMOTED_SKEW,
    leavingDemotion=0,
    highestSkew=255,
    constantCounter=False,
)

FREEBSD = attrs.evolve(
    UCARP,
    name="freebsd",
    yields=_equalYields,
    farewell=False,
    breaksTies=False,
    highestSkew=MAXIMUM_DEMOTED_SKEW,
)

OPENBSD = attrs.evolve(
    UCARP,
    name="openbsd",
    yields=_lessDemotedStays,
    farewell=False,
    breaksTies=False,
    preempts=_soonerAndNotMoreDemoted,
    replaces=_moreDemoted,
    deadTime=_skewEachTime,
    zeroBase=True,
    signsLinkLocal=False,
    acceptsOtherLinkLocal=True,
    demotionByte=True,
    failureDemotion=1,
    leavingDemotion=LEAVING_DEMOTION,
    constantCounter=True,
)

#: OpenBSD 7.7 and earlier.  The release of 7.7 is older than the revision that changed the
#: dead time.
OPENBSD_77 = attrs.evolve(OPENBSD, name="openbsd-7.7", deadTime=_skewOnce)

DIALECTS = {dialect.name: dialect for dialect in (UCARP, FREEBSD, OPENBSD, OPENBSD_77)}
