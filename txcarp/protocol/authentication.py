"""
The digest of an advertisement, and the passwords and address sets it may be made with.

The digest is an HMAC-SHA1 over the vhid, all virtual addresses and the counter.  If the
hosts of a group were given a new password or address set one after another, the old and the
new hosts would reject each other, and the group would get a second master.  A host can
therefore know several passwords and address sets.  It accepts each of them, and as master it
advertises in each L{Form}.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Iterable, Iterator, Sequence

import attrs

from txcarp.protocol.advertisement import ADVERTISEMENT, VERSION
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.family import Family, familyOf, isLinkLocal
from txcarp.protocol.mac import prepareHMAC
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

    @ivar digestOf: Returns the 20-byte digest for the eight bytes of a counter.
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
        self.digestOf = prepareHMAC(password, hashlib.sha1, message + b"".join(ordered))

    def sign(self, counter: int) -> bytes:
        """
        Return the 20-byte digest for a 64-bit counter.
        """
        return self.digestOf(counter.to_bytes(8))

    def verify(self, counter: int, digest: bytes) -> bool:
        """
        Whether a digest is correct for a counter.  The comparison takes constant time.
        """
        return hmac.compare_digest(self.digestOf(counter.to_bytes(8)), digest)


#: What L{Keyring.recognise} calls the password and address set that this host prefers.
CURRENT = "current"


@attrs.frozen(eq=False)
class Form:
    """
    One way of signing the advertisements of a group: a password and an address set.

    A host that knows one form only rejects the advertisements in any other.  While a group changes
    its password or its addresses, a master therefore advertises in each form that it knows.

    @ivar label: L{CURRENT}, or words for how it differs from the current form, such as
        C{"the other password"}, or C{"password 3"} of several.
    @ivar families: The families of its addresses.  No host listens to it in another family.
    @ivar seal: The seal of its password.
    @ivar authenticator: Signs and verifies the digests.
    """

    label: str
    families: frozenset[Family]
    seal: Seal
    authenticator: Authenticator


class Keyring:
    """
    The passwords and address sets that a host knows.

    @ivar forms: Each form in which a master advertises once per interval, the current one first.
        No two of them have the same digests or the same label.
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
        @param otherPasswords: More passwords to accept and to advertise with.
        @param otherAddresses: More sets of packed addresses to accept and to advertise with.
        @param hardware: See L{Authenticator}.
        """
        secrets = tuple(dict.fromkeys((password, *otherPasswords)))
        sets = tuple(dict.fromkeys(frozenset(one) for one in (addresses, *otherAddresses)))
        self.seals = tuple(Seal(secret, vhid) for secret in secrets)
        passwords = zip(_words("password", len(secrets)), secrets, self.seals, strict=True)
        addressSets = zip(_words("addresses", len(sets)), sets, strict=True)
        pairs = list(itertools.product(passwords, addressSets))

        def made(linkLocal: bool) -> Iterator[tuple[tuple[bytes, frozenset[bytes]], Form]]:
            for (which, secret, seal), (what, members) in pairs:
                signed = frozenset(one for one in members if linkLocal or not isLinkLocal(one))
                yield (
                    (secret, signed),
                    Form(
                        " and ".join(filter(None, (which, what))) or CURRENT,
                        frozenset(map(familyOf, members)),
                        seal,
                        Authenticator(secret, vhid, signed, hardware),
                    ),
                )

        forms: dict[tuple[bytes, frozenset[bytes]], Form] = {}
        for key, form in made(dialect.signsLinkLocal):
            # Sets that differ in link-local addresses only can have the same digests.
            same = forms.get(key, form)
            forms[key] = attrs.evolve(same, families=same.families | form.families)
        accepted = dict(forms)
        if dialect.acceptsOtherLinkLocal:
            for key, form in made(not dialect.signsLinkLocal):
                accepted.setdefault(key, form)
        self.forms = tuple(forms.values())
        self._accepted = tuple((one.label, one.authenticator.digestOf) for one in accepted.values())

    def recognise(self, counter: int, digest: bytes) -> str | None:
        """
        Find the password and address set that a digest was made with.

        @return: The label of the form (L{Form.label}), or C{None} if no accepted pair fits.
        """
        covered = counter.to_bytes(8)
        for label, digestOf in self._accepted:
            if hmac.compare_digest(digestOf(covered), digest):
                return label
        return None


def _words(what: str, count: int) -> list[str]:
    """
    Words for each of several passwords or address sets.  The first one needs none.
    """
    if count == 2:
        return ["", f"the other {what}"]
    return ["", *(f"{what} {number}" for number in range(2, count + 1))]
