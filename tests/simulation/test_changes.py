"""
Tests of groups that change their password or addresses.
"""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.segment import LATENCY, Computer, Segment
from tests.simulation.test_groups import hostOf
from tests.simulation.test_pairs import pair
from txcarp.findings import Finding
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.effects import Role
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import Verification


class ChangeTests(SynchronousTestCase):
    """
    Groups that change their password or addresses while they run, in two steps: each host gets
    the old and the new ones, and later the new ones only.  The order of the hosts does not matter.
    """

    #: A password, a set of addresses with one more, and both.
    CHANGES = (
        ({"password": b"old"}, {"password": b"new", "otherPasswords": (b"old",)}),
        (
            {"addresses": ["10.99.0.100"]},
            {
                "addresses": ["10.99.0.100", "10.99.0.101"],
                "otherAddresses": (["10.99.0.100"],),
            },
        ),
        (
            {"password": b"old", "addresses": ["10.99.0.100"]},
            {
                "password": b"new",
                "otherPasswords": (b"old",),
                "addresses": ["10.99.0.100", "fd00::100"],
                "otherAddresses": (["10.99.0.100"],),
            },
        ),
    )

    def reload(self, computer: Computer, settings: dict[str, Any]) -> None:
        """
        Give other settings to a host that runs.
        """
        computer.settings.update(settings)
        host = hostOf(computer)
        host.reconfigure(attrs.evolve(host.configuration, **settings))

    @settings(max_examples=30, deadline=None)
    @given(
        st.sampled_from(CHANGES),
        st.permutations(range(3)),
        st.permutations(range(3)),
        st.sampled_from([*Verification]),
        st.sampled_from([*DIALECTS]),
        st.floats(0.1, 9.0),
        st.sampled_from(("crash", "stop", "demote", "")),
    )
    def test_anyOrder(
        self,
        change: tuple[dict[str, Any], dict[str, Any]],
        first: list[int],
        second: list[int],
        verification: Verification,
        dialect: str,
        pause: float,
        fault: str,
    ) -> None:
        """
        There is never a second master, whatever the order of the hosts in each step, and if the
        master dies, leaves or is demoted in between, and whatever a host knows that takes over.
        """
        old, both = change
        new = {"otherPasswords": (), "otherAddresses": ()}
        segment = Segment()
        common = {**old, "verification": verification, "dialect": dialect}
        hosts = [
            segment.add(f"10.99.0.{number}", advskew=100 * number, **common) for number in range(3)
        ]
        for host in hosts:
            host.start()
        segment.run(12)
        for number, index in enumerate(first):
            self.reload(hosts[index], both)
            segment.run(pause)
            if number == 1 and fault:
                segment.run(10)
                self.strike(segment, fault)
        segment.run(10)
        for index in second:
            self.reload(hosts[index], new)
            segment.run(pause)
        segment.run(10)
        self.assertEqual(len(segment.masters()), 1)
        # Two OpenBSD backups may both replace a demoted master, with one form as well.
        bound = 1.5 if fault == "demote" else 20 * LATENCY
        self.assertLess(segment.longestOverlap(0), bound)
        for host in hosts:
            status = hostOf(host).status()
            self.assertLessEqual({*status.rejected}, {Rejection.DIGEST})
            self.assertLessEqual({*status.findings}, {Finding.OTHER_KEY, Finding.FAMILY_SILENT})

    def strike(self, segment: Segment, fault: str) -> None:
        """
        Have the master lose the group.  A host that is gone starts again later.
        """
        [master] = segment.masters()
        if fault == "demote":
            hostOf(master).demote("story", 240)
        else:
            getattr(master, fault)()
        segment.run(10)
        self.assertEqual(len(segment.masters()), 1)
        if fault == "demote":
            hostOf(master).promote("story")
        else:
            master.start()
            segment.run(10)

    def test_password(self) -> None:
        """
        A change of the password moves nothing: the master remains the only one.  Hosts without
        seals, of which one knows the old password only and the other one the new, hear it, too.
        """
        old, both = self.CHANGES[0]
        segment, first, second = pair({**old}, {**old, "advskew": 100})
        plain = {"verification": Verification.OFF, "advskew": 200}
        olds = segment.add("10.99.0.8", **old, **plain)
        news = segment.add("10.99.0.9", password=b"new", **plain)
        olds.start()
        for host in first, second:
            self.reload(host, both)
            segment.run(2.3)
            news.start()
        segment.run(60)
        self.assertEqual((segment.masters(), len(segment.reigns)), ([first], 1))
        for host, behind in ((olds, False), (news, False)):
            self.assertIs(host.role, Role.BACKUP)
            status = hostOf(host).status()
            self.assertEqual(status.findings.total(), 0, behind)
        olds.stop()
        for host in second, first:
            self.reload(host, {"otherPasswords": ()})
            segment.run(2.3)
        segment.run(20)
        self.assertEqual((segment.masters(), len(segment.reigns)), ([first], 1))

    def test_named(self) -> None:
        """
        The log names a host that still uses the old password, and not the password.
        """
        with capturedLogs() as logs:
            _, _, second = pair(
                {"password": b"old"},
                {"password": b"new", "otherPasswords": (b"old",), "advskew": 100},
            )
        self.assertIs(second.role, Role.BACKUP)
        [line] = [
            text for text in (formatEvent(event) or "" for event in logs) if "other-key" in text
        ]
        self.assertIn("10.99.0.1 has not been changed yet", line)
        self.assertNotIn("old", line)
