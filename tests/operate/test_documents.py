"""
Tests for L{txcarp.operate.documents}.
"""

from __future__ import annotations

import enum
import json
import math
from types import MappingProxyType

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import Stage
from txcarp.change import Change
from txcarp.findings import Finding
from txcarp.operate.documents import encoded, plain
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.rejection import Rejection
from txcarp.status.parts import AddressStatus, HoldStatus, PastChange, PeerStatus
from txcarp.status.snapshot import Status


class Colour(enum.Enum):
    """
    An enumeration that is not known.
    """

    DARK_RED = "a phrase"


@attrs.frozen
class Later:
    """
    A value that a later version has.
    """

    colour: Colour
    inner: tuple[AddressStatus, ...]


class PlainTests(SynchronousTestCase):
    """
    Values as JSON.
    """

    def test_status(self) -> None:
        """
        A status has all its fields in their order, with words in place of enumerations.
        """
        stage = Stage(title="web")
        stage.start()
        stage.deliver(advskew=9)
        for _ in range(2):
            stage.run(0.25)
            stage.deliver(badDigest=True, source="10.99.0.77")
        stage.links.change(stage.host.configuration.interface, up=False)
        found = json.loads(encoded(stage.host.status()))
        self.assertEqual(list(found), [field.name for field in attrs.fields(Status)])
        for key, kind, extra in (
            ("peers", PeerStatus, []),
            ("addresses", AddressStatus, []),
            ("holds", HoldStatus, ["explanation"]),
            ("changes", PastChange, []),
        ):
            names = [field.name for field in attrs.fields(kind)]
            self.assertEqual(list(found[key][0]), names + extra, key)
        self.assertEqual(found["peers"][0]["timing"], {"advbase": 1, "advskew": 9})
        self.assertEqual((found["role"], found["readiness"]), ("BACKUP", "released"))
        self.assertEqual(found["rejected"], {"digest": 2})
        self.assertEqual(found["findings"], {"foreign-group": 1})
        self.assertEqual(found["holds"][0]["reason"], "no_link")
        self.assertEqual(found["holds"][0]["explanation"], "no link")
        change = found["changes"][0]["change"]
        self.assertEqual((change["role"], change["reason"]), ("BACKUP", "started"))
        self.assertEqual(change["explanation"], "started")

    def test_enumerations(self) -> None:
        """
        Roles and findings are their values, and the others their names, so that phrases can
        change.
        """
        for member, word in (
            (Role.MASTER, "MASTER"),
            (Finding.TWO_MASTERS, "two-masters"),
            (Reason.LINK_LOST, Reason.LINK_LOST.token),
            (HoldReason.NOT_READY, "not_ready"),
            (Rejection.OWN_ECHO, "own_echo"),
            (Colour.DARK_RED, "dark_red"),
        ):
            self.assertEqual(plain(member), word)

    def test_later(self) -> None:
        """
        What a later version adds needs no work here.
        """
        later = Later(Colour.DARK_RED, (AddressStatus("10.0.0.1/24", True, 1.23456789),))
        self.assertEqual(
            plain(MappingProxyType({Colour.DARK_RED: later})),
            {
                "dark_red": {
                    "colour": "dark_red",
                    "inner": [{"text": "10.0.0.1/24", "held": True, "lease": 1.234568}],
                }
            },
        )

    def test_explained(self) -> None:
        """
        A change has its explanation.
        """
        change = Change(Role.BACKUP, Role.MASTER, Reason.STOPPED, 7, "eth0", (), detail="bye")
        self.assertEqual(plain(change)["explanation"], "stopped (bye)")

    def test_numbers(self) -> None:
        """
        JSON has no infinity.
        """
        self.assertEqual(plain([math.inf, math.nan, -0.5, 3, True]), [None, None, -0.5, 3, True])

    def test_unknown(self) -> None:
        """
        There is no rule for bytes, which may be secrets, nor for any object.
        """
        for value in (b"secret", bytearray(b"secret"), object(), {"a": b"secret"}):
            self.assertRaises(TypeError, plain, value)

    def test_characters(self) -> None:
        """
        Any text can be encoded, half of a surrogate pair, too.
        """
        self.assertEqual(json.loads(encoded({"a": "ä\n\u2028"})), {"a": "ä\n\u2028"})
        self.assertIsInstance(encoded("\ud800"), bytes)
