"""
The digest of an advertisement, and the passwords and address sets it may be made with.

The digest is an HMAC-SHA1 over the vhid, all virtual addresses and the counter.  If the
hosts of a group were given a new password or address set one after another, the old and the
new hosts would reject each other, and the group would get a second master.  A host can
therefore accept several passwords and address sets while it sends with one.
"""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Iterable, Sequence

from txcarp.protocol.advertisement import ADVERTISEMENT, VERSION
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.family import isLinkLocal
from txcarp.protocol.seal import Seal

#: The size of a key in bytes (CARP_KEY_LEN in the BSD kernels).  A shorter password is padded
#: with zeros, which is also how HMAC pads its key.
KEY_SIZE = 20

#: The longest password in bytes.  The tools of every implementation reserve the last byte of
#: the key for a terminating zero.
MAXIMUM_PASSWORD = KEY_SIZE - 1


class Authenticator:
    """
    Signs and verifies the advertisements of one virtual host with one password and one
    address set.

    The message is C{02 01 vhid}, the IPv4 addresses in ascending order, the IPv6 addresses in
    ascending order, and the eight bytes of the counter.  Version and type take a byte each
    here, although they share one on the wire.  Neither advbase nor advskew nor the demotion
    byte is covered.

    Everything except the counter is hashed once, in advance.
    """

    def __init__(
        self, password: bytes, vhid: int, addresses: Iterable[bytes], hardware: bytes = b""
    ) -> None:
        """
        @param password: The secret of the group, up to L{KEY_SIZE} bytes.  An empty one is
            the key of a BSD interface for which none was set.
        @param vhid: The virtual host ID, 1 to 255.
        @param addresses: The packed virtual addresses in any order.  Duplicates are ignored.
        @param hardware: The six bytes of the carp interface's hardware address, if it was set
            by hand: OpenBSD then signs it in front of the vhid.
        @raise ValueError: If the password is too long.  The text does not contain it.
        """
        if len(password) > KEY_SIZE:
            raise ValueError(f"the password has {len(password)} bytes; a CARP key has {KEY_SIZE}")
        message = bytes((VERSION, ADVERTISEMENT)) + hardware + bytes((vhid,))
        ordered = sorted(set(addresses), key=lambda address: (len(address), address))
        self._prepared = hmac.new(password, message + b"".join(ordered), "sha1")

    def sign(self, counter: int) -> bytes:
        """
        Return the 20-byte digest for a 64-bit counter.
        """
        signature = self._prepared.copy()
        signature.update(counter.to_bytes(8, "big"))
        return signature.digest()

    def verify(self, counter: int, digest: bytes) -> bool:
        """
        Whether a digest is correct for a counter.  The comparison takes constant time.
        """
        return hmac.compare_digest(self.sign(counter), digest)


#: What L{Keyring.recognise} calls the password and address set that this host sends with.
CURRENT = "current"


class Keyring:
    """
    Signs with one password and address set, and accepts several.

    @ivar seal: The seal to send with.
    @ivar seals: The seals to accept: one for each password.
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
        @param addresses: The packed virtual addresses.
        @param otherPasswords: More passwords to accept.
        @param otherAddresses: More sets of packed addresses to accept.
        @param hardware: See L{Authenticator}.
        """
        self.seal = Seal(password, vhid)
        self.seals = (self.seal, *(Seal(other, vhid) for other in otherPasswords))

        def authenticator(
            password: bytes, addresses: Iterable[bytes], linkLocal: bool
        ) -> Authenticator:
            signed = [address for address in addresses if linkLocal or not isLinkLocal(address)]
            return Authenticator(password, vhid, signed, hardware)

        own = tuple(addresses)
        sets = [own, *map(tuple, otherAddresses)]
        self._sending = authenticator(password, own, dialect.signsLinkLocal)
        self._accepted: list[tuple[str, Authenticator]] = []
        for secret, members in itertools.product((password, *otherPasswords), sets):
            same = (("password", secret is password), ("addresses", members is own))
            others = " and ".join(word for word, isSame in same if not isSame)
            label = f"the other {others}" if others else CURRENT
            variants = [dialect.signsLinkLocal]
            if dialect.acceptsOtherLinkLocal and any(map(isLinkLocal, members)):
                variants.append(not dialect.signsLinkLocal)
            self._accepted += [
                (label, authenticator(secret, members, linkLocal)) for linkLocal in variants
            ]

    def sign(self, counter: int) -> bytes:
        """
        Return the digest to send with a counter.
        """
        return self._sending.sign(counter)

    def recognise(self, counter: int, digest: bytes) -> str | None:
        """
        Find the password and address set that a digest was made with.

        @return: L{CURRENT}, words for how the pair differs from the current one, or C{None}
            if no accepted pair fits.
        """
        for label, authenticator in self._accepted:
            if authenticator.verify(counter, digest):
                return label
        return None
