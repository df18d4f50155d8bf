"""
Tests for C{python -m benchmarks.attacks}: the packets that it sends, and what it makes of the
outcome.
"""

from __future__ import annotations

import io
import socket
from contextlib import redirect_stderr

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import assaults, attacks, fuzz
from benchmarks.siege import DEAD_TIME, PAIRS, Expectation, Outcome, harm
from tests import crafted
from tests.crafted import forged, mended, sourceOf
from tests.lab.holders import Span
from txcarp.protocol.envelope import Audience, readPacket, unwrap, wrap
from txcarp.protocol.ipv6 import GROUP as GROUP6

_LINK_LOCAL = socket.inet_pton(socket.AF_INET6, "fe80::1")
_PACKETS = (crafted.packet(), wrap(crafted.payload(), _LINK_LOCAL, GROUP6))
_AUDIENCES = (
    Audience(crafted.VHID, socket.inet_aton(crafted.OWN), socket.inet_aton(crafted.GROUP)),
    Audience(crafted.VHID, b"", GROUP6),
)

_byte = st.integers(0, 255)


class ForgeryTests(SynchronousTestCase):
    """
    L{tests.crafted.forged}: the packets pass all checks before the digest, and have the captured
    counter and digest.
    """

    @given(_byte, _byte, _byte, st.binary(min_size=15, max_size=15))
    def test_everything(self, base: int, skew: int, demotion: int, source: bytes) -> None:
        """
        Timing, demotion and source can have any value.
        """
        for packet, audience in zip(_PACKETS, _AUDIENCES, strict=True):
            address = (b"\x0a" + source)[: len(sourceOf(packet))]
            made = forged(packet, advbase=base, advskew=skew, demotion=demotion, source=address)
            if address == audience.own:
                continue
            was, said = unwrap(readPacket(packet), audience), unwrap(readPacket(made), audience)
            self.assertEqual(sourceOf(made), address)
            expected = attrs.evolve(was, advbase=base, advskew=skew, demotion=demotion)
            self.assertEqual(said, expected)

    def test_nothing(self) -> None:
        """
        Without a change the packet stays the same.
        """
        for packet in _PACKETS:
            self.assertEqual(forged(packet), packet)

    def test_checksums(self) -> None:
        """
        Both checksums in an IPv4 packet are right, as receivers other than ucarp need it.
        """
        made = forged(_PACKETS[0], advbase=0, source=b"\x0a\x63\0\x05")
        self.assertEqual(crafted.checksum(made[:20]), 0)
        self.assertEqual(crafted.checksum(made[20:56]), 0)

    def test_pseudoHeader(self) -> None:
        """
        The checksum in an IPv6 packet can cover the pseudo-header.
        """
        made = mended(_PACKETS[1], pseudo=True)
        self.assertNotEqual(crafted.checksum(made[40:]), 0)
        pseudo = made[8:40] + bytes((0, 0, 0, 36, 0, 0, 0, 112))
        self.assertEqual(crafted.checksum(pseudo + made[40:]), 0)
        self.assertEqual(
            *(unwrap(readPacket(one), _AUDIENCES[1]) for one in (made, _PACKETS[1]))
        )

    @given(st.binary(max_size=60))
    def test_nonsense(self, packet: bytes) -> None:
        """
        Other packets keep their length.
        """
        self.assertEqual(len(mended(packet)), len(packet))


class JudgementTests(SynchronousTestCase):
    """
    L{benchmarks.siege.harm}.
    """

    outcome = Outcome(
        nobody=Span(),
        both=Span(),
        changes=0,
        holders="a",
        sent=8,
        refused={"a: bad digest": 8},
        said={},
        pause=0.0,
        faults=(),
    )

    def harm(self, expected: Expectation, **changes: object) -> list[str]:
        """
        The harm that an attack did.
        """
        return list(harm(attrs.evolve(self.outcome, **changes), expected))

    def test_none(self) -> None:
        """
        No harm is done if the living master is the only holder all the time.
        """
        self.assertEqual(self.harm(Expectation()), [])

    def test_each(self) -> None:
        """
        Each kind of harm is named.
        """
        for words, changes in (
            ("no holder for 0.100 s", {"nobody": Span(0.1)}),
            ("two holders for 0.001 s", {"both": Span(0.001)}),
            ("1 changes of master, not 0", {"changes": 1}),
            ("the address is on nobody, not on a", {"holders": "nobody"}),
        ):
            self.assertEqual(self.harm(Expectation(), **changes), [words])

    def test_takeOver(self) -> None:
        """
        When the master dies, the backup may be late by a small tolerance and by the pauses of
        the machine.
        """
        expected = Expectation("b", 1, DEAD_TIME)
        facts = {"holders": "b", "changes": 1}
        self.assertEqual(self.harm(expected, nobody=Span(DEAD_TIME + 0.1), **facts), [])
        late = Span(DEAD_TIME + 0.4)
        self.assertEqual(len(self.harm(expected, nobody=late, **facts)), 1)
        self.assertEqual(self.harm(expected, nobody=late, pause=0.2, **facts), [])

    def test_conclusive(self) -> None:
        """
        Figures that were measured on a machine that paused mean nothing.
        """
        self.assertTrue(self.outcome.conclusive)
        self.assertFalse(attrs.evolve(self.outcome, pause=0.5).conclusive)

    def test_claims(self) -> None:
        """
        Pairs with seals promise to stop every attack but the known limits; pairs without seals
        promise nothing.
        """
        for attack in assaults.ATTACKS:
            promising = {name for name, pair in PAIRS.items() if attack.isStoppedBy(pair)}
            self.assertEqual(promising, {"learn", "require", "mixed"} - attack.limits)
        self.assertEqual(sum(bool(attack.limits) for attack in assaults.ATTACKS), 1)

    def test_table(self) -> None:
        """
        Every attack has a row, every pair has a column in each group, and the refused packets
        are below.
        """
        fallen = attrs.evolve(self.outcome, nobody=Span(7.25, open=True), holders="nobody")
        rows = [(attack, (self.outcome, fallen)) for attack in assaults.ATTACKS]
        lines = attacks.table(rows, ["learn", "ucarp"]).splitlines()
        self.assertEqual(lines[1].split().count("ucarp"), 4)
        self.assertEqual(len(lines), 3 + len(rows))
        self.assertIn("7.25 s +", lines[3])
        self.assertIn("refused a 8 x bad digest", attacks.notes(rows, ["learn", "ucarp"]))


class ArgumentTests(SynchronousTestCase):
    """
    The command lines.
    """

    def test_defaults(self) -> None:
        """
        By default all attacks are mounted on the usual pairs.
        """
        options = attacks.parse([])
        self.assertEqual([pair.name for pair in options.chosen], ["learn", "require", "ucarp"])
        self.assertEqual(options.mounted, list(assaults.ATTACKS))

    def test_chosen(self) -> None:
        """
        Pairs and attacks can be chosen.
        """
        options = attacks.parse(["--pairs", "off,mixed", "--attacks", "255/255,skew"])
        self.assertEqual([pair.name for pair in options.chosen], ["off", "mixed"])
        self.assertEqual(
            [attack.name for attack in options.mounted],
            ["255/255 as the master", "skew 0 from a new source"],
        )

    def test_wrong(self) -> None:
        """
        Wrong values are refused by name.
        """
        for parse, arguments, words in (
            (attacks.parse, ["--pairs", "both"], "--pairs both"),
            (attacks.parse, ["--attacks", "tickling"], "--attacks tickling"),
            (attacks.parse, ["--attempts", "0"], "--attempts 0"),
            (fuzz.parse, ["--examples", "0"], "--examples 0"),
            (fuzz.parse, ["--minutes", "0"], "--minutes 0"),
        ):
            with redirect_stderr(io.StringIO()) as written:
                error = self.assertRaises(SystemExit, parse, arguments)
            self.assertEqual(error.code, 2)
            self.assertIn(words, written.getvalue())
