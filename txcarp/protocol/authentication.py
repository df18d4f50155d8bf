"""
The digest of an advertisement, HMAC-SHA1 over the virtual host and a counter, and the
passwords and sets of addresses that it may be made with.

The digest covers all addresses.  While a group changes its password or its addresses, one
host after another, it would fall apart; hosts that send with one pair of password and
addresses and accept several stay together.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

import attrs

from txcarp.protocol.advertisement import ADVERTISEMENT, VERSION
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.family import isLinkLocal
from txcarp.protocol.seal import Seal

#: Bytes in a key (CARP_KEY_LEN in the BSD kernels); a shorter password is
#: filled up with zeros.
KEY_SIZE = 20

#: The longest password in bytes: everybody's tools keep the last byte of the
#: key for a terminating zero.
MAXIMUM_PASSWORD = KEY_SIZE - 1

_BLOCK = 64


class PasswordError(ValueError):
    """
    A password that no CARP group can use.  The text never holds it.
    """


class Authenticator:
    """
    Signs and verifies the advertisements of one virtual host.

    The message is C{02 01 vhid}, every IPv4 address in ascending order, every
    IPv6 address likewise, and the eight bytes of the counter; version and type
    are a byte each here although they share one on the wire.  Neither advbase
    nor advskew nor the demotion byte is covered.

    Everything but the counter is hashed once: an advertisement then costs two
    copies of a prepared SHA-1 state.
    """

    def __init__(
        self, password: bytes, vhid: int, addresses: Iterable[bytes], hardware: bytes = b""
    ) -> None:
        """
        @param password: The secret of the group, up to L{KEY_SIZE} bytes; none
            at all is the key that a BSD kernel starts with.
        @param vhid: The virtual host, 1 to 255.
        @param addresses: Its packed addresses, 4 or 16 bytes each, in any
            order; one that is given twice counts once.
        @param hardware: What OpenBSD puts in front of the vhid if the hardware
            address of a carp interface was set by hand: its six bytes.
        @raise PasswordError: If the password is too long.
        """
        if len(password) > KEY_SIZE:
            raise PasswordError(
                f"the password has {len(password)} bytes; a CARP key has {KEY_SIZE}"
            )
        key = password.ljust(_BLOCK, b"\0")
        message = bytes((VERSION, ADVERTISEMENT)) + hardware + bytes((vhid,))
        distinct = set(addresses)
        message += b"".join(sorted(address for address in distinct if len(address) == 4))
        message += b"".join(sorted(address for address in distinct if len(address) != 4))
        self._inner = hashlib.sha1(bytes(byte ^ 0x36 for byte in key) + message)
        self._outer = hashlib.sha1(bytes(byte ^ 0x5C for byte in key))

    def sign(self, counter: int) -> bytes:
        """
        The 20-byte digest for this 64-bit counter.
        """
        inner = self._inner.copy()
        inner.update(counter.to_bytes(8, "big"))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def verify(self, counter: int, digest: bytes) -> bool:
        """
        Whether a digest is the one for this counter, in constant time.
        """
        return hmac.compare_digest(self.sign(counter), digest)


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
