"""
What somebody can tell about advertisements who knows the password and the addresses of a group.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import attrs

from txcarp.observer.sighting import CARPClaim, Sighting
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.seal import PACE, TAG_BITS, Fields

#: Seconds after which the same advertisement was sent again by somebody else.  A host sends one to
#: several peers, and one machine may see it more than once.
_TOGETHER = 0.5

#: Seconds by which a sealed advertisement may be older than the newest of its host.
_LATE = 10.0

#: Sealed advertisements, and hosts that seal, to remember.
_REMEMBERED = 4096
_HOSTS = 256


@attrs.frozen
class Proof:
    """
    What is known for certain about an advertisement.

    @ivar verified: Whether its digest was made with the password for the addresses; C{None} if it
        belongs to another group.
    @ivar sealed: Whether it has a valid seal; C{None} if that cannot be known.
    @ivar isReplay: Whether it was sent before, and is sent again.
    """

    verified: bool | None = None
    sealed: bool | None = None
    isReplay: bool = False


#: About an advertisement of which nothing is known.
NOTHING = Proof()


class Verifier:
    """
    Verifies the digests and seals of one group.
    """

    def __init__(
        self, password: bytes, addresses: Iterable[bytes], dialect: Dialect, vhid: int | None = None
    ) -> None:
        """
        @param addresses: The packed virtual addresses.
        @param vhid: The number of the group.  If it is not given, each group counts in which any
            advertisement has the right digest.
        @raise ValueError: If the password is too long.
        """
        self._password = password
        self._addresses = tuple(addresses)
        self._dialect = dialect
        self._vhid = vhid
        self._keyrings: dict[int, Keyring] = {}
        #: The groups of which an advertisement had the right digest.
        self._known: set[tuple[str, int]] = set()
        self._keyring(vhid or 1)
        #: When each sealed advertisement arrived first: counter, source and destination.
        self._seen: OrderedDict[tuple[int, bytes, bytes], float] = OrderedDict()
        #: The newest tick of each host.
        self._newest: OrderedDict[tuple[str, int, bytes], int] = OrderedDict()

    @property
    def isKnown(self) -> bool:
        """
        Whether any advertisement had the right digest.
        """
        return bool(self._known)

    def judge(self, sighting: Sighting, interface: str, when: float) -> Proof:
        """
        Judge an advertisement.

        @param when: When it arrived.
        """
        claim, counter, vhid = sighting.claim, sighting.counter, sighting.vhid
        if not isinstance(claim, CARPClaim) or counter is None:
            return NOTHING
        if self._vhid is not None and vhid != self._vhid:
            return NOTHING
        keyring = self._keyring(vhid)
        if keyring.recognise(counter, sighting.digest) is None:
            isOurs = self._vhid is not None or (interface, vhid) in self._known
            return Proof(False) if isOurs else NOTHING
        self._known.add((interface, vhid))
        says = Fields(claim.timing.advbase, claim.timing.advskew, claim.demotion)
        if not any(seal.opens(counter, says, sighting.source) for seal in keyring.seals):
            return Proof(True, False)
        return Proof(True, True, self._isOld(sighting, counter, interface, when))

    def _isOld(self, sighting: Sighting, counter: int, interface: str, when: float) -> bool:
        """
        Whether a sealed advertisement was sent before.
        """
        what = counter, sighting.source, sighting.destination
        first = self._seen.setdefault(what, when)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        host = interface, sighting.vhid, sighting.source
        tick = counter >> TAG_BITS
        newest = max(tick, self._newest.pop(host, 0))
        self._newest[host] = newest
        if len(self._newest) > _HOSTS:
            self._newest.popitem(last=False)
        return when - first > _TOGETHER or newest - tick > _LATE * PACE

    def _keyring(self, vhid: int) -> Keyring:
        found = self._keyrings.get(vhid)
        if found is None:
            found = Keyring(vhid, self._dialect, self._password, self._addresses)
            self._keyrings[vhid] = found
        return found


