"""
Tests of L{txcarp.observer.words} and L{txcarp.observer.records}.
"""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.observer.air import ALPHA, BETA, GAMMA, Air, Talker, vrrp
from txcarp.observer import records, words
from txcarp.observer.reports import Cause, GroupView, Kind, Report
from txcarp.observer.words import Calendar, duration

#: 2026-03-04 05:06:07.008 UTC is the moment 1000 of the monotonic clock.
_WALL = 1772600767.008


def calendarOf(air: Air) -> Calendar:
    """
    A calendar with the clock of a network, one hour east of Greenwich.
    """
    zone = timezone(timedelta(hours=1))
    return Calendar(lambda: air.now, lambda: _WALL - 1000 + air.now, zone)


class TimesTests(SynchronousTestCase):
    """
    Tests of L{Calendar} and L{duration}.
    """

    def test_calendar(self) -> None:
        """
        Programs get UTC, people local time, with the date if it is not today.
        """
        air = Air()
        calendar = calendarOf(air)
        self.assertEqual(calendar.machine(1000.0), "2026-03-04T05:06:07.008Z")
        self.assertEqual(calendar.full(1000.0), "2026-03-04 06:06:07.008")
        self.assertEqual(calendar.clock(1000.0), "06:06:07.008")
        self.assertEqual(calendar.short(1000.0), "06:06:07")
        self.assertEqual(calendar.short(1000.0 - 7 * 3600), "2026-03-03 23:06:07")

    def test_corrected(self) -> None:
        """
        When the wall clock is set, times in the past change with it.
        """
        wall = [_WALL]
        calendar = Calendar(lambda: 1000.0, lambda: wall[0])
        wall[0] += 60
        self.assertEqual(calendar.machine(999.0), "2026-03-04T05:07:06.008Z")

    def test_local(self) -> None:
        """
        The default is the local time zone.
        """
        calendar = Calendar(Clock().seconds)
        self.assertRegex(calendar.full(0.0), r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$")

    def test_duration(self) -> None:
        """
        Durations have no more digits than are useful.
        """
        for seconds, said in (
            (0.0021, "2 ms"),
            (1.04, "1.0 s"),
            (59.6, "60 s"),
            (150, "2 min"),
            (7201, "2 h"),
            (200000, "2 days"),
        ):
            self.assertEqual(duration(seconds), said)


class WordsTests(SynchronousTestCase):
    """
    Tests of L{words.sentence}.
    """

    def setUp(self) -> None:
        self.air = Air(now=990.0)
        self.calendar = calendarOf(self.air)

    def said(self) -> list[str]:
        """
        All sentences since the last call.
        """
        reports, self.air.reports = self.air.reports, []
        sentences = (words.sentence(report, self.calendar) for report in reports)
        return [sentence for sentence in sentences if sentence is not None]

    def test_succession(self) -> None:
        """
        Masters follow one another.
        """
        air = self.air
        air.run(5.2, air.talker(BETA, 100))
        air.run(4.5, air.talker(ALPHA))
        air.run(10.5, air.talker(ALPHA, 5, demotion=3))
        air.hear(air.bowOut(ALPHA))
        air.now += 0.0123
        air.run(5.2, air.talker(BETA, 100))
        air.run(10)
        air.run(2, air.talker(BETA, 100))
        self.assertEqual(
            self.said(),
            [
                "CARP 7: 10.99.0.2 is master: advbase 1, advskew 100 (every 1.39 s)",
                "CARP 7: 10.99.0.1 is the new master: base 1 skew 0 is preferred to "
                "base 1 skew 100 of 10.99.0.2",
                "CARP 7: 10.99.0.1 changed: advbase 1, advskew 5, demotion 3 (every 1.02 s), "
                "before: advbase 1, advskew 0 (every 1.00 s)",
                "CARP 7: 10.99.0.1 resigned: it sent a bow-out",
                "CARP 7: 10.99.0.2 is the new master: 10.99.0.1 bowed out 12 ms earlier",
                "CARP 7: NO MASTER since 06:06:31; the last was 10.99.0.2",
                "CARP 7: 10.99.0.2 advertises again after 11 s",
            ],
        )

    def test_trouble(self) -> None:
        """
        Two masters, then three, then one; and a stray advertisement.
        """
        air = self.air
        air.run(5.5, air.talker(ALPHA))
        air.run(10, air.talker(ALPHA), air.talker(BETA, 9))
        air.run(10, air.talker(ALPHA), air.talker(BETA, 9), air.talker(GAMMA, 99))
        air.run(10, air.talker(ALPHA))
        air.hear(air.carp(GAMMA, 99))
        air.run(10, air.talker(ALPHA))
        why = "They do not hear each other, or they are two groups with the same number"
        self.assertEqual(
            self.said()[1:],
            [
                "CARP 7: TWO MASTERS since 06:06:12: 10.99.0.1 (base 1 skew 0) and 10.99.0.2 "
                f"(base 1 skew 9). {why}",
                "CARP 7: 3 MASTERS since 06:06:12: 10.99.0.1 (base 1 skew 0) and 10.99.0.2 "
                f"(base 1 skew 9) and 10.99.0.3 (base 1 skew 99). {why}",
                "CARP 7: 10.99.0.1 is the only master again; there were several for 20 s",
                "CARP 7: 10.99.0.3 advertised briefly alongside the master, then stopped",
            ],
        )

    def test_vrrp(self) -> None:
        """
        VRRP has a priority, and names its addresses.
        """
        air = self.air
        addresses = tuple(f"10.99.0.{number}" for number in range(100, 106))
        packet = crafted.packet(vrrp(addresses=addresses), source=ALPHA)
        air.hear(packet, here=True)
        air.hear(air.vrrp(ALPHA, 0))
        air.hear(air.vrrp(BETA, 90))
        self.assertEqual(
            self.said(),
            [
                "VRRP 51: 10.99.0.1 (this machine) is master: priority 100, every 1.00 s, "
                "version 3, for 10.99.0.100, 10.99.0.101, 10.99.0.102, 10.99.0.103 and 2 more",
                "VRRP 51: 10.99.0.1 resigned: it sent priority 0",
                "VRRP 51: 10.99.0.2 is the new master: 10.99.0.1 bowed out 0 ms earlier",
            ],
        )

    def test_reasons(self) -> None:
        """
        Each reason for a new master is explained.
        """
        air = self.air
        air.run(5.5, air.talker(ALPHA, demotion=1))
        air.run(5.5, air.talker(BETA))
        air.run(5.5, air.talker(GAMMA))
        air.now += 0.2
        air.run(5.5, air.talker(ALPHA, 50))
        air.run(9)
        air.run(1, air.talker(BETA))
        self.assertEqual(
            [sentence.removeprefix("CARP 7: ") for sentence in self.said() if "new" in sentence],
            [
                "10.99.0.2 is the new master: 10.99.0.1 is demoted",
                "10.99.0.3 is the new master: it ranks equal to 10.99.0.2, which yielded",
                "10.99.0.1 is the new master in place of 10.99.0.3, for a reason that was not seen",
                "10.99.0.2 is the new master: 10.99.0.1 was silent for 9.7 s",
            ],
        )

    def test_general(self) -> None:
        """
        Events that are about no group.
        """
        for report, said in (
            (Report(Kind.LISTENING, 0.0, "eth0"), "listening for CARP and VRRP"),
            (Report(Kind.LISTENING, 0.0, "eth0", detail="again"), "listening again"),
            (
                Report(Kind.DOWN, 0.0, "eth0"),
                "the interface is down; nothing can be heard until it is up",
            ),
            (
                Report(Kind.GONE, 0.0, "eth0"),
                "the interface is gone; nothing can be heard until it returns",
            ),
            (
                Report(Kind.TOO_MANY_GROUPS, 0.0, "eth0", detail="9", omitted=3),
                "more than 9 groups; new ones are ignored (and 3 more like this)",
            ),
            (
                Report(Kind.IGNORED, 0.0, "eth0", detail="bad checksum"),
                "an unknown host sent a packet that every receiver refuses: bad checksum",
            ),
        ):
            self.assertEqual(words.sentence(report, self.calendar), said)
        self.assertIsNone(words.sentence(Report(Kind.SEAL, 0.0, "eth0"), self.calendar))

    def test_seal(self) -> None:
        """
        A sentence tells when advertisements begin or cease to look sealed, but not that they
        never did.
        """
        group = self.air.hear(self.air.carp())[0]
        assert group.host is not None
        for sealed, before, said in (
            (True, "", "CARP 7: the advertisements of 10.99.0.1 look sealed"),
            (True, "not sealed", "CARP 7: the advertisements of 10.99.0.1 look sealed"),
            (False, "", None),
            (
                False,
                "sealed",
                "CARP 7: the advertisements of 10.99.0.1 NO LONGER LOOK SEALED",
            ),
        ):
            host = attrs.evolve(group.host, sealed=sealed)
            report = attrs.evolve(group, kind=Kind.SEAL, host=host, detail=before)
            self.assertEqual(words.sentence(report, self.calendar), said)

    def test_tooManyHosts(self) -> None:
        """
        A group with too many hosts is reported.
        """
        air = self.air
        for number in range(9):
            air.run(2.1, *(air.talker(f"10.99.1.{other}", other) for other in range(number + 1)))
        said = self.said()
        self.assertIn("CARP 7: too many hosts advertise; new ones are ignored", said)


#: All keys of the objects; the manual lists them.
GROUP_KEYS = {
    "time", "event", "interface", "protocol", "vhid", "family", "masters", "nobody_since",
    "two_masters_since", "source", "hardware", "this_machine", "destination", "addresses",
    "seen_interval", "sealed", "verified", "since", "since_witnessed", "heard", "interval",
    "advbase", "advskew", "demotion", "version", "priority",
}  # fmt: skip
EVENT_KEYS = GROUP_KEYS | {"previous", "reason", "seconds", "before", "detail", "omitted"}
OTHER_KEYS = {"time", "event", "interface", "source", "detail", "omitted"}


class RecordTests(SynchronousTestCase):
    """
    Tests of L{records}.
    """

    def setUp(self) -> None:
        self.air = Air(now=990.0)
        self.calendar = calendarOf(self.air)

    def ofReport(self, report: Report) -> dict[str, Any]:
        """
        The object in the line for a report.
        """
        line = records.ofReport(report, self.calendar)
        self.assertEqual(line.find("\n"), len(line) - 1)
        found: dict[str, Any] = json.loads(line)
        return found

    def ofGroup(self, group: GroupView) -> dict[str, Any]:
        """
        The object in the line for a group.
        """
        found: dict[str, Any] = json.loads(records.ofGroup(group, self.calendar))
        return found

    def test_event(self) -> None:
        """
        A report has the keys of its group and host, and its own.
        """
        self.air.run(3.5, self.air.talker(BETA, 100))
        self.air.reports.clear()
        (report,) = self.air.hear(self.air.carp(ALPHA, counter=5))
        record = self.ofReport(report)
        self.assertEqual(set(record), EVENT_KEYS)
        self.assertEqual(
            record,
            {
                "time": "2026-03-04T05:06:10.508Z",
                "event": "master",
                "interface": "eth0",
                "protocol": "CARP",
                "vhid": 7,
                "family": "IPv4",
                "masters": [ALPHA],
                "nobody_since": None,
                "two_masters_since": None,
                "source": ALPHA,
                "hardware": "02:00:00:00:00:01",
                "this_machine": False,
                "destination": "224.0.0.18",
                "addresses": [],
                "seen_interval": None,
                "sealed": None,
                "verified": None,
                "since": "2026-03-04T05:06:10.508Z",
                "since_witnessed": True,
                "heard": "2026-03-04T05:06:10.508Z",
                "interval": 1.0,
                "advbase": 1,
                "advskew": 0,
                "demotion": 0,
                "version": None,
                "priority": None,
                "previous": BETA,
                "reason": "timing",
                "seconds": 0.71875,
                "before": {
                    "interval": 1.390625,
                    "advbase": 1,
                    "advskew": 100,
                    "demotion": 0,
                    "version": None,
                    "priority": None,
                },
                "detail": "",
                "omitted": 0,
            },
        )

    def test_state(self) -> None:
        """
        The state of a group has the same keys as its reports, except those of reports only.
        """
        body = vrrp(addresses=("fd00::1",))
        pseudo = crafted.packet6(body)
        self.air.hear(pseudo)
        record = self.ofGroup(self.air.group())
        self.assertEqual(set(record), GROUP_KEYS)
        self.assertEqual(
            (record["event"], record["priority"], record["version"], record["family"]),
            ("state", 100, 3, "IPv6"),
        )
        self.assertEqual(record["addresses"], ["fd00::1"])
        self.assertIsNone(record["advbase"])

    def test_keys(self) -> None:
        """
        The keys are the same for all reports.
        """
        air = self.air
        air.hear(air.bowOut())
        self.assertEqual(set(self.ofGroup(air.group())), GROUP_KEYS)
        air.run(5, air.talker())
        air.run(9)
        air.run(5, Talker(1.0, air.vrrp))
        air.hear(crafted.packet(ttl=1))
        air.hear(air.bowOut(BETA))
        kinds = set()
        for report in air.reports:
            record = self.ofReport(report)
            kinds.add(record["event"])
            self.assertEqual(set(record), EVENT_KEYS if report.group else OTHER_KEYS)
        self.assertEqual(kinds, {"bow-out", "group", "seal", "silent", "ignored"})

    def test_manual(self) -> None:
        """
        The manual documents every event, reason and key.
        """
        chapter = (Path(__file__).parents[2] / "docs" / "observe.rst").read_text()
        named = {kind.value for kind in Kind} | {reason.value for reason in Cause}
        for name in named | EVENT_KEYS | OTHER_KEYS:
            self.assertIn(f"``{name}``", chapter)
