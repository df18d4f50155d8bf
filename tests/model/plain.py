"""
The rules of ucarp and of the kernels, as plain code.

Nothing here uses the production election.  The rules were read in ucarp 1.5.2 (C{src/carp.c}),
FreeBSD 14 and OpenBSD 7.x (both C{sys/netinet/ip_carp.c}).  Timers are exact, without the second by
which libpcap delays what ucarp receives, and without the coarse steps in which it looks at its
deadline.

ucarp demotes itself only when it cannot send: the skew becomes 240.  FreeBSD adds a demotion to the
skew, and OpenBSD sends it in a field of its own.  Only ucarp knows a request to hand over (USR2),
and only OpenBSD a bow-out, which it sends when its interface is switched off.  All hosts of the
model know both, so that there is something to compare this program with.
"""

from __future__ import annotations

import attrs

from tests.model.machine import OFF, Kind, Local, Machine, Outcome, Spec, ticks
from txcarp.protocol.advertisement import BOW_OUT
from txcarp.protocol.seal import Fields

#: The skew of ucarp when it cannot send, and FreeBSD's largest one when it is demoted.
_LARGEST = 240

#: The number of intervals for which a master may be silent.
_RATIO = 3

#: Seconds for which ucarp sleeps after USR2.
_HANDED_OVER = 3.0


class PlainHost(Machine):
    """
    What ucarp and the kernels have in common.
    """

    def __init__(self, number: int, spec: Spec, kinds: frozenset[Kind]) -> None:
        super().__init__(number, spec, kinds)
        self.dead = ticks(self.deadTime())

    # Where they differ.

    def deadTime(self) -> float:
        """
        Seconds of silence after which it takes over.
        """
        return _RATIO * 1 + self.spec.skew / 256

    def says(self, demoted: bool) -> Fields:
        """
        What it advertises.
        """
        return Fields(1, max(self.spec.skew, _LARGEST) if demoted else self.spec.skew, 0)

    def yields(self, own: Fields, peer: Fields, sender: int) -> bool:
        """
        Whether it yields, as master, to another one.
        """
        raise NotImplementedError

    def saysFarewell(self, local: Local) -> bool:
        """
        Whether a master that yields sends one more advertisement.
        """
        return False

    def takesOver(self, own: Fields, peer: Fields) -> bool:
        """
        Whether it takes over from a master that is still there.
        """
        if self.spec.preempt and _timing(own) < _timing(peer):
            return True
        return (_RATIO, own.advskew) < _timing(peer)

    def demote(self, local: Local) -> Outcome:
        return local._replace(demoted=not local.demoted), ()

    # What they share.

    def _master(self, local: Local) -> Outcome:
        says = self.says(local.demoted)
        interval = ticks(says.advbase + says.advskew / 256)
        return local._replace(state="master", deadline=None, beat=interval), (says,)

    def _backup(self, local: Local) -> Local:
        return local._replace(state="backup", deadline=self.dead, beat=None)

    def start(self) -> Outcome:
        return self._backup(OFF), ()

    def hear(self, local: Local, sender: int, says: Fields) -> Outcome:
        own = self.says(local.demoted)
        if local.state == "backup":
            return self._master(local) if self.takesOver(own, says) else (self._backup(local), ())
        if local.state == "master" and self.yields(own, says, sender):
            return self._backup(local), (own,) if self.saysFarewell(local) else ()
        return local, ()

    def expire(self, local: Local, lateness: int, unread: bool) -> Outcome:
        return self._master(local)

    def beat(self, local: Local) -> Outcome:
        return self._master(local)

    def release(self, local: Local) -> Outcome:
        return self._backup(local), ()

    def resign(self, local: Local) -> Outcome:
        after = local._replace(state="waiting", beat=None, hold=ticks(_HANDED_OVER))
        return after, (self._bowOut(local),)

    def stop(self, local: Local) -> Outcome:
        return OFF, (self._bowOut(local),)

    def _bowOut(self, local: Local) -> Fields:
        return attrs.evolve(self.says(local.demoted), advbase=BOW_OUT, advskew=BOW_OUT)


def _timing(says: Fields) -> tuple[int, int]:
    return says.advbase, says.advskew


class Ucarp(PlainHost):
    """
    ucarp.
    """

    def yields(self, own: Fields, peer: Fields, sender: int) -> bool:
        # All addresses of the model differ in their last octet only.
        return (_timing(peer), sender) < (_timing(own), self.number)

    def saysFarewell(self, local: Local) -> bool:
        return True


class FreeBSD(PlainHost):
    """
    FreeBSD's kernel.
    """

    def says(self, demoted: bool) -> Fields:
        skew = self.spec.skew + (self.spec.demotion if demoted else 0)
        return Fields(1, min(max(skew, 0), _LARGEST), 0)

    def yields(self, own: Fields, peer: Fields, sender: int) -> bool:
        return _timing(peer) <= _timing(own)

    def demote(self, local: Local) -> Outcome:
        after = local._replace(demoted=not local.demoted)
        return self._master(after) if local.state == "master" else (after, ())


class DemotableUcarp(FreeBSD):
    """
    What ucarp would be if it could be demoted as FreeBSD can.  As this would let it send its
    farewell with a skew that invites others, it sends none then.
    """

    def yields(self, own: Fields, peer: Fields, sender: int) -> bool:
        return (_timing(peer), sender) < (_timing(own), self.number)

    def saysFarewell(self, local: Local) -> bool:
        return not local.demoted


class OpenBSD(PlainHost):
    """
    OpenBSD's kernel since revision 1.368.
    """

    def deadTime(self) -> float:
        return _RATIO * (1 + self.spec.skew / 256)

    def says(self, demoted: bool) -> Fields:
        return Fields(1, self.spec.skew, min(self.spec.demotion, 255) if demoted else 0)

    def yields(self, own: Fields, peer: Fields, sender: int) -> bool:
        if peer.demotion != own.demotion:
            return peer.demotion < own.demotion
        return _timing(peer) <= _timing(own)

    def takesOver(self, own: Fields, peer: Fields) -> bool:
        if peer.demotion > own.demotion:
            return True
        if self.spec.preempt and _timing(own) < _timing(peer) and peer.demotion >= own.demotion:
            return True
        return (_RATIO, own.advskew) < _timing(peer)

    def demote(self, local: Local) -> Outcome:
        after = local._replace(demoted=not local.demoted)
        if local.state == "master" and after.demoted:
            return self._master(after)
        return after, ()


class OldOpenBSD(OpenBSD):
    """
    OpenBSD's kernel before revision 1.368.
    """

    def deadTime(self) -> float:
        return _RATIO * 1 + self.spec.skew / 256
