"""
Tests for L{txcarp.protocol.authentication.Keyring}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from txcarp.protocol.authentication import CURRENT, Keyring
from txcarp.protocol.dialect import DIALECTS, FREEBSD, OPENBSD, UCARP, Dialect
from txcarp.protocol.family import Family
from txcarp.protocol.seal import Fields

_OLD, _NEW, _OLDER = b"old", b"new", b"older"
_ONE, _TWO = ["10.0.0.1"], ["10.0.0.1", "2001:db8::1"]
_KEY = "the other password"
_ADDRESSES = "the other addresses"
_BOTH = "the other password and the other addresses"
_LINK_LOCAL = [*_TWO, "fe80::200:5eff:fe00:101"]


def keyring(
    password: bytes = _NEW,
    addresses: Sequence[str] = _ONE,
    dialect: Dialect = UCARP,
    *,
    others: Sequence[Sequence[str]] = (),
    **more: Any,
) -> Keyring:
    """
    Return the keyring of a host in the group with vhid 10.

    @param others: Other sets of addresses.
    """
    return Keyring(
        crafted.VHID,
        dialect,
        password,
        map(packed, addresses),
        otherAddresses=[map(packed, other) for other in others],
        **more,
    )


def signed(password: bytes, addresses: Sequence[str], **more: Any) -> bytes:
    """
    Return the digest of a second implementation for the counter 5.
    """
    return crafted.digest(5, password, crafted.VHID, *addresses, **more)


def sign(keys: Keyring, counter: int) -> bytes:
    """
    Return the digest in the current form.
    """
    return keys.forms[0].authenticator.sign(counter)


class RecogniseTests(SynchronousTestCase):
    """
    Tests for L{Keyring.recognise} and L{Keyring.sign}.
    """

    def test_one(self) -> None:
        """
        A keyring with one password and address set sends with it, and accepts nothing else.
        """
        for dialect in DIALECTS.values():
            keys = keyring(dialect=dialect)
            self.assertEqual(sign(keys, 5), signed(_NEW, _ONE))
            self.assertEqual(keys.recognise(5, signed(_NEW, _ONE)), CURRENT)
            for digest in (signed(_OLD, _ONE), signed(_NEW, _TWO), bytes(20), b""):
                self.assertIsNone(keys.recognise(5, digest))
            self.assertIsNone(keys.recognise(6, signed(_NEW, _ONE)))

    def test_labels(self) -> None:
        """
        With several passwords and address sets, one pair is sent. Every pair is accepted and
        named.
        """
        keys = keyring(_NEW, _TWO, otherPasswords=[_OLD, _OLDER], others=[_ONE])
        self.assertEqual(sign(keys, 5), signed(_NEW, _TWO))
        for password, addresses, label in (
            (_NEW, _TWO, CURRENT),
            (_NEW, _ONE, _ADDRESSES),
            (_OLD, _TWO, "password 2"),
            (_OLDER, _TWO, "password 3"),
            (_OLD, _ONE, "password 2 and the other addresses"),
            (_OLDER, _ONE, "password 3 and the other addresses"),
            (b"none of them", _TWO, None),
            (_NEW, ["10.0.0.2"], None),
        ):
            self.assertEqual(keys.recognise(5, signed(password, addresses)), label)

    def test_sameOnceMore(self) -> None:
        """
        A pair that is listed again as another one is the current one.
        """
        keys = keyring(_NEW, _ONE, otherPasswords=[bytes(bytearray(_NEW))], others=[_ONE])
        self.assertEqual(keys.recognise(5, signed(_NEW, _ONE)), CURRENT)

    def test_rolling(self) -> None:
        """
        A host with both pairs sends in each form.  Hosts that know one of them recognise exactly
        one, and hosts that know both recognise all, whichever they prefer.
        """
        before, after = keyring(_OLD, _ONE), keyring(_NEW, _TWO)
        first = keyring(_OLD, _ONE, otherPasswords=[_NEW], others=[_TWO])
        second = keyring(_NEW, _TWO, otherPasswords=[_OLD], others=[_ONE])
        for sender in (first, second):
            digests = [form.authenticator.sign(5) for form in sender.forms]
            self.assertEqual(len(set(digests)), 4)
            self.assertEqual(
                [sender.recognise(5, one) for one in digests],
                [CURRENT, _ADDRESSES, _KEY, _BOTH],
            )
            for receiver, expected in ((before, 1), (after, 1), (first, 4), (second, 4)):
                found = [receiver.recognise(5, one) for one in digests]
                self.assertEqual(len(found) - found.count(None), expected)
        # No host can do without a step.
        self.assertIsNone(before.recognise(5, sign(after, 5)))

    def test_forms(self) -> None:
        """
        There is one form for each pair of a password and an address set, the current one first.
        Each has the seal of its password, and the families of its addresses.  What is the same
        once more is no further form, in whatever order.
        """
        keys = keyring(_NEW, _TWO, otherPasswords=[_OLD, _NEW], others=[_ONE, _TWO[::-1]])
        self.assertEqual(
            [(form.label, form.authenticator.sign(5), form.families) for form in keys.forms],
            [
                (CURRENT, signed(_NEW, _TWO), {*Family}),
                (_ADDRESSES, signed(_NEW, _ONE), {Family.IPV4}),
                (_KEY, signed(_OLD, _TWO), {*Family}),
                (_BOTH, signed(_OLD, _ONE), {Family.IPV4}),
            ],
        )
        new, old = keys.seals
        self.assertEqual([form.seal for form in keys.forms], [new, new, old, old])

    def test_sameSigned(self) -> None:
        """
        With OpenBSD's rules, sets that differ in link-local addresses only are one form, in all
        families of both.
        """
        linkLocal = ["10.0.0.1", "fe80::1"]
        for one, other in ((_ONE, linkLocal), (linkLocal, _ONE)):
            [form] = keyring(_NEW, one, OPENBSD, others=[other]).forms
            self.assertEqual((form.label, form.families), (CURRENT, {*Family}))
        self.assertEqual(len(keyring(_NEW, _ONE, FREEBSD, others=[linkLocal]).forms), 2)

    def test_hardware(self) -> None:
        """
        Every pair signs the hardware address.
        """
        hardware = b"\2\0\0\0\0\x2a"
        keys = keyring(_NEW, _ONE, OPENBSD, hardware=hardware, otherPasswords=[_OLD])
        self.assertEqual(sign(keys, 5), signed(_NEW, _ONE, hardware=hardware))
        self.assertEqual(keys.recognise(5, signed(_OLD, _ONE, hardware=hardware)), _KEY)
        self.assertIsNone(keys.recognise(5, signed(_NEW, _ONE)))

    def test_linkLocal(self) -> None:
        """
        OpenBSD's dialect accepts digests with and without the link-local addresses, for every
        password. The other dialects sign them, and accept nothing else.
        """
        for dialect in (UCARP, FREEBSD):
            keys = keyring(_NEW, _LINK_LOCAL, dialect, otherPasswords=[_OLD])
            self.assertEqual(sign(keys, 5), signed(_NEW, _LINK_LOCAL))
            self.assertIsNone(keys.recognise(5, signed(_NEW, _TWO)))
            self.assertEqual(keys.recognise(5, signed(_OLD, _LINK_LOCAL)), _KEY)
        keys = keyring(_NEW, _LINK_LOCAL, OPENBSD, otherPasswords=[_OLD], others=[_ONE])
        self.assertEqual(sign(keys, 5), signed(_NEW, _TWO))
        for password, addresses, label in (
            (_NEW, _TWO, CURRENT),
            (_NEW, _LINK_LOCAL, CURRENT),
            (_OLD, _TWO, _KEY),
            (_OLD, _LINK_LOCAL, _KEY),
            (_NEW, _ONE, _ADDRESSES),
            (_NEW, [*_ONE, _LINK_LOCAL[-1]], None),
        ):
            self.assertEqual(keys.recognise(5, signed(password, addresses)), label)

    def test_otherLinkLocal(self) -> None:
        """
        The same holds if only the other address set has a link-local address.
        """
        keys = keyring(_NEW, _TWO, OPENBSD, others=[_LINK_LOCAL])
        self.assertEqual(keys.recognise(5, signed(_NEW, _TWO)), CURRENT)
        self.assertEqual(keys.recognise(5, signed(_NEW, _LINK_LOCAL)), _ADDRESSES)

    @given(
        st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=1, max_size=3, unique=True),
        st.lists(
            st.frozensets(
                st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "fe80::1"]), min_size=1
            ),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        st.sampled_from(list(DIALECTS.values())),
        st.binary(min_size=1, max_size=2),
        st.frozensets(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "fe80::1"]), min_size=1),
    )
    def test_any(
        self,
        passwords: list[bytes],
        sets: list[frozenset[str]],
        dialect: Dialect,
        password: bytes,
        addresses: frozenset[str],
    ) -> None:
        """
        A digest is recognised exactly if its password and address set are known. In OpenBSD's
        dialect, link-local addresses are either all covered or all left out.
        """
        keys = keyring(
            passwords[0],
            sorted(sets[0]),
            dialect,
            otherPasswords=passwords[1:],
            others=[sorted(other) for other in sets[1:]],
        )
        known = set(sets)
        if dialect is OPENBSD:
            known |= {
                frozenset(text for text in one if not text.startswith("fe80")) for one in sets
            }
        found = keys.recognise(5, signed(password, sorted(addresses)))
        self.assertEqual(found is not None, password in passwords and addresses in known)
        if password == passwords[0] and addresses == sets[0]:
            self.assertEqual(found, CURRENT)


class SealsTests(SynchronousTestCase):
    """
    The seals of a keyring.
    """

    def test_each(self) -> None:
        """
        The keyring seals with the password that it signs with, and opens seals of every password.
        """
        keys = keyring(_NEW, _ONE, otherPasswords=[_OLD])
        says, source = Fields(5, 0), packed(crafted.PEER)
        self.assertIs(keys.seals[0], keys.forms[0].seal)
        self.assertEqual(
            keys.forms[0].seal.counter(9, says, source), crafted.sealed(9, advbase=5, password=_NEW)
        )
        for password, expected in (
            (_NEW, [True, False]),
            (_OLD, [False, True]),
            (_OLDER, [False, False]),
        ):
            counter = crafted.sealed(9, advbase=5, password=password)
            self.assertEqual(
                [seal.opens(counter, says, source) for seal in keys.seals], expected
            )
