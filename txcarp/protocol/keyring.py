"""
Which passwords, and which sets of addresses, the advertisements of a group may
be signed with while it changes from one to another.

The digest covers all addresses.  A group where one host after the other gets a
new password or one more address would fall apart in between; hosts that send
with one and accept both stay together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.family import isLinkLocal
from txcarp.protocol.seal import Seal

#: The pair that is sent with.
CURRENT = "current"

_OTHER_KEY = "the other password"
_OTHER_ADDRESSES = "the other addresses"
_BOTH = "the other password and addresses"


@attrs.frozen
class _Lock:
    label: str
    authenticator: Authenticator


class Keyring:
    """
    Signs with one pair of password and addresses, and knows several.

    @ivar seal: Seals what is sent.
    @ivar seals: One for each password.
    """

    def __init__(
        self,
        vhid: int,
        dialect: Dialect,
        password: bytes,
        addresses: Iterable[bytes],
        *,
        otherPasswords: Sequence[bytes] = (),
        otherAddresses: Sequence[Iterable[bytes]] = (),
        hardware: bytes = b"",
    ) -> None:
        """
        @param addresses: The packed addresses of the virtual host.
        @param otherPasswords: Passwords that are accepted, too.
        @param otherAddresses: Sets of addresses that are accepted, too.
        @param hardware: See L{Authenticator}.
        """
        self.seal = Seal(password, vhid)
        self.seals = (self.seal, *(Seal(other, vhid) for other in otherPasswords))
        own = tuple(addresses)
        sets = [own, *map(tuple, otherAddresses)]

        def authenticator(password: bytes, addresses: Iterable[bytes], ll: bool) -> Authenticator:
            signed = [address for address in addresses if ll or not isLinkLocal(address)]
            return Authenticator(password, vhid, signed, hardware)

        self._sending = authenticator(password, own, dialect.signsLinkLocal)
        self._locks: list[_Lock] = []
        for secret in (password, *otherPasswords):
            for members in sets:
                label = _label(secret is not password, members is not own)
                variants = [dialect.signsLinkLocal]
                if dialect.acceptsOtherLinkLocal and any(map(isLinkLocal, members)):
                    variants.append(not dialect.signsLinkLocal)
                self._locks += [
                    _Lock(label, authenticator(secret, members, ll)) for ll in variants
                ]

    def sign(self, counter: int) -> bytes:
        """
        The digest for a counter that is sent.
        """
        return self._sending.sign(counter)

    def recognise(self, counter: int, digest: bytes) -> str | None:
        """
        Which pair a digest was made with.

        @return: L{CURRENT}, what is other in it, or C{None} if it is none of
            them.
        """
        for lock in self._locks:
            if lock.authenticator.verify(counter, digest):
                return lock.label
        return None


def _label(otherPassword: bool, otherAddresses: bool) -> str:
    if otherPassword:
        return _BOTH if otherAddresses else _OTHER_KEY
    return _OTHER_ADDRESSES if otherAddresses else CURRENT
