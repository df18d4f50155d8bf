"""
Tests for L{txcarp.operate.metrics}, L{txcarp.operate.exposition} and L{txcarp.operate.scraping},
and what C{docs/metrics.rst} says about them.
"""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.fakes import Stage, configured
from tests.operate.running import RunningTestCase
from txcarp.change import FileStatus, Runs, StepState
from txcarp.clock.monotonic import LATENESS_BOUNDS, Lateness, MonotonicClock
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.occurrences import Occurrence, OccurrenceKind
from txcarp.operate import exposition
from txcarp.operate.endpoints import ReadingService
from txcarp.operate.groupmetrics import GROUP_METRICS
from txcarp.operate.metrics import GROUP_LABELS, Group, Process
from txcarp.operate.processmetrics import PROCESS_METRICS
from txcarp.operate.request import Request
from txcarp.operate.scraping import BLOCK, MOST_SCRAPES, Metrics
from txcarp.operate.tally import Counts, Tally
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Timing
from txcarp.status.parts import (
    AddressStatus,
    CheckStatus,
    FamilyStatus,
    PeerStatus,
    ProbeStatus,
    StepStatus,
    SyncStatus,
)
from txcarp.status.process import GuardStatus, NetlinkStatus, PlatformStatus
from txcarp.status.snapshot import Status

_ROOT = Path(txcarp.__file__).parent.parent


def parsed(text: str) -> dict[str, list[Any]]:
    """
    The samples of each metric, by the name that it has in the text.
    """
    found = {}
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = family.samples
    return found


def sampled(status: Status, counts: Counts | None = None) -> dict[str, list[Any]]:
    """
    The metrics of one group.
    """
    group = Group(status, counts or Counts())
    pieces = [exposition.ofGroups(metric, [group], True) for metric in GROUP_METRICS]
    return parsed(b"".join(pieces).decode())


def whole() -> dict[str, list[Any]]:
    """
    All metrics, of a group and a process that have everything.
    """
    runs = Runs(5, 2, 1.25, 0.5)
    check = CheckStatus("web", "bad", "unfit", 3.0, "failed", "refused", 1.0, runs)
    status = attrs.evolve(
        Stage().host.status(),
        time=1000.0,
        since=10.0,
        peers=[PeerStatus("10.99.0.2", Timing(1, 128), 0, True, ("x",), 0.5, 9)],
        addresses=[AddressStatus("10.99.0.100/24", True, 1.5)],
        checks=[check],
        steps=[StepStatus("address", StepState.ACQUIRED, 2.0, "", True, None, runs)],
        probes=[ProbeStatus("10.99.0.2", "armed", 0.005, ("10.99.0.254",), 9, 8, 1)],
        families={"IPv4": FamilyStatus(9, 4, 1)},
        contested=2.5,
        vacant=4.5,
        demotions={"check web": 50, "check b": 5, "link of eth1": 100, "my own": 7},
        pauses=3,
        sync=SyncStatus("firewall", ("a", "b"), silent=("b",)),
    )
    counts = Counts()
    counts.transitions["BACKUP", "MASTER", "silence"] = 2
    found = sampled(status, counts)
    platform = PlatformStatus(NetlinkStatus(2, 1, 8), GuardStatus(True, 3, 5, 6, 1.5e9))
    file = FileStatus("/x", True, "", 7.0, None)
    process = Process(3, {"done": 4}, file, Lateness(), platform)
    for metric in PROCESS_METRICS:
        found |= parsed(exposition.ofProcess(metric, process).decode())
    return found


class ValueTests(SynchronousTestCase):
    """
    Names and values.
    """

    def test_names(self) -> None:
        """
        Names follow Prometheus' conventions, and are there once.
        """
        names = [metric.name for metric in (*GROUP_METRICS, *PROCESS_METRICS)]
        self.assertEqual(len(names), len(set(names)))
        for metric in (*GROUP_METRICS, *PROCESS_METRICS):
            self.assertRegex(metric.name, r"^txcarp_[a-z]+(_[a-z]+)*$")
            self.assertEqual(metric.name.endswith("_total"), metric.kind.value == "counter")
            self.assertTrue(metric.help.endswith("."), metric.name)
            self.assertEqual(set(metric.labels) & set(GROUP_LABELS), set())

    def test_everything(self) -> None:
        """
        Each metric of the tables has its labels and a value.
        """
        found = whole()
        for metric in (*GROUP_METRICS, *PROCESS_METRICS):
            common = set(GROUP_LABELS) if metric in GROUP_METRICS else set()
            samples = found[metric.name]
            self.assertTrue(samples, metric.name)
            self.assertEqual(set(samples[0].labels), common | set(metric.labels), metric.name)

    def test_values(self) -> None:
        """
        Values are those of the status.
        """
        found = whole()

        def value(name: str, **labels: str) -> float:
            [one] = [
                one.value for one in found[name] if labels.items() <= one.labels.items()
            ]
            return float(one)

        self.assertEqual(value("txcarp_group_role_timestamp_seconds"), 990.0)
        self.assertEqual(value("txcarp_peer_last_advertisement_timestamp_seconds"), 999.5)
        self.assertEqual(value("txcarp_peer_interval_seconds", peer="10.99.0.2"), 1.5)
        self.assertEqual(value("txcarp_peer_behind"), 1.0)
        self.assertEqual(value("txcarp_address_held", address="10.99.0.100/24"), 1.0)
        self.assertEqual(value("txcarp_address_lease_seconds"), 1.5)
        self.assertEqual(value("txcarp_check_health", check="web", health="bad"), 1.0)
        self.assertEqual(value("txcarp_check_health", check="web", health="good"), 0.0)
        self.assertEqual(value("txcarp_group_silent_sides", set="firewall"), 1.0)
        self.assertEqual(value("txcarp_peer_advertisements_received_total"), 9.0)
        for what, number in (("packets_received", 9), ("packets_sent", 4), ("send_errors", 1)):
            self.assertEqual(value(f"txcarp_family_{what}_total", family="IPv4"), number)
        self.assertEqual(value("txcarp_probe_armed", master="10.99.0.2"), 1.0)
        for what, number in (("questions", 9), ("answers", 8), ("missed", 1)):
            self.assertEqual(value(f"txcarp_probe_{what}_total", master="10.99.0.2"), number)
        self.assertEqual(value("txcarp_group_contested_seconds_total"), 2.5)
        self.assertEqual(value("txcarp_group_vacant_seconds_total"), 4.5)
        self.assertEqual(value("txcarp_group_pauses_total"), 3.0)
        amounts = {"check": 55.0, "link": 100.0, "send-errors": 0.0, "request": 7.0}
        for cause, amount in amounts.items():
            self.assertEqual(value("txcarp_group_demotion_amount", cause=cause), amount)
        self.assertEqual(value("txcarp_check_failures_total", check="web"), 2.0)
        self.assertEqual(value("txcarp_step_failures_total", phase="acquire"), 2.0)
        self.assertEqual(value("txcarp_step_failures_total", phase="release"), 0.0)
        labels = {"from": "BACKUP", "to": "MASTER", "reason": "silence"}
        self.assertEqual(value("txcarp_group_transitions_total", **labels), 2.0)
        self.assertEqual(value("txcarp_group_takeovers_total"), 2.0)
        self.assertEqual(value("txcarp_reloads_total", result="done"), 4.0)
        self.assertEqual(value("txcarp_reloads_total", result="refused"), 0.0)
        self.assertEqual(value("txcarp_configuration_differs"), 1.0)
        self.assertEqual(value("txcarp_configuration_unconfirmed_seconds"), 7.0)
        self.assertEqual(value("txcarp_packets_rejected_total", reason="replay"), 0.0)
        self.assertEqual(value("txcarp_netlink_errors_total", kind="overrun"), 2.0)
        self.assertEqual(value("txcarp_netlink_errors_total", kind="malformed"), 1.0)
        self.assertEqual(value("txcarp_netlink_lists_total"), 8.0)
        self.assertEqual(value("txcarp_guard_running"), 1.0)
        self.assertEqual(value("txcarp_guard_starts_total"), 3.0)
        self.assertEqual(value("txcarp_guard_wills"), 5.0)
        self.assertEqual(value("txcarp_guard_acted_total"), 6.0)
        self.assertEqual(value("txcarp_guard_acted_timestamp_seconds"), 1.5e9)

    def test_summary(self) -> None:
        """
        A duration has the number of runs and their sum.
        """
        found = {one.name: one.value for one in whole()["txcarp_check_duration_seconds"]}
        self.assertEqual(
            found,
            {
                "txcarp_check_duration_seconds_count": 5.0,
                "txcarp_check_duration_seconds_sum": 1.25,
            },
        )

    def test_odd_label(self) -> None:
        """
        Whatever a name contains, the text can be read.
        """
        check = CheckStatus('a"b\\c\nd\udcff', "good", "unfit", 3.0, "passed", "", 1.0)
        status = attrs.evolve(Stage().host.status(), checks=[check])
        samples = sampled(status)["txcarp_check_health"]
        self.assertEqual(samples[0].labels["check"], 'a"b\\c\nd\\udcff')

    def test_blocks(self) -> None:
        """
        The meaning of a metric stands only before its first group.
        """
        group = Group(Stage().host.status(), Counts())
        metric = GROUP_METRICS[0]
        text = b"".join(exposition.ofGroups(metric, [group], first) for first in (True, False))
        self.assertEqual(text.count(b"# HELP"), 1)
        self.assertEqual(text.count(b"# TYPE"), 1)
        self.assertEqual(text.count(b'role="MASTER"'), 2)

    def test_lateness(self) -> None:
        """
        The buckets of the histogram contain the ones before.
        """
        lateness = Lateness(total=1.25)
        lateness.counts[0], lateness.counts[-1] = 5, 2
        [metric] = [one for one in PROCESS_METRICS if "lateness" in one.name]
        text = exposition.ofProcess(metric, Process(0, {}, None, lateness)).decode()
        [samples] = parsed(text).values()
        buckets = {one.labels["le"]: one.value for one in samples if "le" in one.labels}
        self.assertEqual(len(buckets), len(LATENESS_BOUNDS) + 1)
        self.assertEqual((buckets["0.001"], buckets["2.5"], buckets["+Inf"]), (5.0, 5.0, 7.0))
        rest = {one.name: one.value for one in samples if "le" not in one.labels}
        self.assertEqual(
            rest,
            {"txcarp_timer_lateness_seconds_count": 7.0, "txcarp_timer_lateness_seconds_sum": 1.25},
        )


class TallyTests(SynchronousTestCase):
    """
    What is counted.
    """

    def occurrence(self, kind: OccurrenceKind, reason: str = "", **facts: str) -> Occurrence:
        """
        Something that happened to vhid 7 on eth0.
        """
        return Occurrence(kind, "web", "eth0", 7, reason, "x", facts=facts)

    def test_counts(self) -> None:
        """
        Changes of role, of the master, lost leases and reloads are counted, and nothing else.  A
        group that is added again begins anew.
        """
        tally = Tally()
        change = self.occurrence(
            OccurrenceKind.TRANSITION, "silence", previous="BACKUP", role="MASTER"
        )
        for _ in range(2):
            tally.occurred(change)
        tally.occurred(self.occurrence(OccurrenceKind.MASTER, "bow-out"))
        tally.occurred(self.occurrence(OccurrenceKind.LEASE_LOST, "removed"))
        tally.occurred(self.occurrence(OccurrenceKind.HOLD))
        tally.occurred(Occurrence(OccurrenceKind.RELOAD, "", "", 0, "refused", "x"))
        counts = tally.of("eth0", 7)
        self.assertEqual(dict(counts.transitions), {("BACKUP", "MASTER", "silence"): 2})
        self.assertEqual(dict(counts.masters), {"bow-out": 1})
        self.assertEqual(dict(counts.lost), {"removed": 1})
        self.assertEqual(dict(tally.reloads), {"refused": 1})
        self.assertEqual(tally.of("eth0", 8), Counts())
        tally.occurred(self.occurrence(OccurrenceKind.ADDED))
        self.assertEqual(tally.of("eth0", 7), Counts())


class ClockTests(SynchronousTestCase):
    """
    The clock measures how late its calls are.
    """

    def test_late(self) -> None:
        """
        A call counts with the time from when it was due to the turn in which it is made.
        """
        now = [100.0]

        class Silent:
            def addReader(self, reader: object) -> None:
                self.reader = reader

            removeReader = addReader

        silent: Any = Silent()
        clock = MonotonicClock(silent, lambda: now[0])
        self.addCleanup(clock.stop)
        for delay in (1.0, 1.02, 50.0):
            clock.callLater(delay, lambda: None)
        now[0] += 1.0204
        clock._makeCalls()
        self.assertEqual(sum(clock.lateness.counts), 2)
        self.assertEqual(clock.lateness.counts[0], 1)  # by 0.4 ms
        self.assertEqual(clock.lateness.counts[LATENESS_BOUNDS.index(0.025)], 1)
        self.assertAlmostEqual(clock.lateness.total, 0.0208)


class _Reloader:
    """
    Knows of a file that differs.
    """

    def status(self) -> Deferred[FileStatus]:
        """
        Its state.
        """
        return succeed(FileStatus("/etc/txcarp.toml", True))


class ServerTests(RunningTestCase):
    """
    The metrics of a service that runs.
    """

    reloader = _Reloader()

    def configurations(self) -> list[VirtualHostConfiguration]:
        return [
            configured(vhid=7, title="web", neutral=True),
            configured(vhid=8, addresses=["10.99.0.101"], neutral=True),
        ]

    def scraped(self) -> Deferred[tuple[str, str]]:
        """
        Ask for the metrics.

        @return: Fires with the media type and the text.
        """

        def scrape() -> tuple[str, str]:
            connection = http.client.HTTPConnection("localhost", timeout=30)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self.path)
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            text = response.read().decode()
            connection.close()
            self.assertEqual(response.status, 200)
            return response.getheader("Content-Type", ""), text

        done: Deferred[tuple[str, str]] = self.inThread(scrape)
        return done

    async def test_scrape(self) -> None:
        """
        All metrics are there on the socket, with those of all groups, and say what has happened.
        """
        self.becomeMaster()
        kind, text = await self.scraped()
        self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
        found = parsed(text)
        names = {metric.name for metric in (*GROUP_METRICS, *PROCESS_METRICS)}
        self.assertEqual(names - set(found), set())
        roles = {
            (one.labels["group"], one.labels["vhid"]): one.labels["role"]
            for one in found["txcarp_group_role"]
            if one.value
        }
        name = self.carp.virtualHosts[1].configuration.name
        self.assertEqual(roles, {("web", "7"): "MASTER", (name, "8"): "MASTER"})
        counted = [
            one.value
            for one in found["txcarp_group_transitions_total"]
            if one.labels["to"] == "MASTER" and one.labels["group"] == "web"
        ]
        self.assertEqual(counted, [1.0])
        announced = [one.value for one in found["txcarp_announcements_sent_total"]]
        self.assertEqual(announced, [1.0, 1.0])
        self.assertEqual([one.value for one in found["txcarp_configuration_differs"]], [1.0])
        self.assertEqual([one.value for one in found["txcarp_groups"]], [2.0])
        self.assertIn("process_start_time_seconds", found)

    async def test_many(self) -> None:
        """
        A limited number of programs wait for an answer.  When they have it, others get one.
        """
        request = Request("GET", ("metrics",), b"", None)
        answers = [self.control.answer(request) for _ in range(MOST_SCRAPES + 2)]
        codes = [(await one).code for one in answers if isinstance(one, Deferred)]
        self.assertEqual(codes, [200] * MOST_SCRAPES + [503] * 2)
        again = self.control.answer(request)
        assert isinstance(again, Deferred)
        self.assertEqual((await again).code, 200)

    async def test_port(self) -> None:
        """
        They are there on a port for reading, too.
        """
        reading = ReadingService(self.control, "tcp:0:interface=127.0.0.1", reactor)
        reading.privilegedStartService()
        reading.startService()
        self.addCleanup(reading.stopService)
        listening: Any = reading._port
        number = listening.getHost().port

        def scrape() -> bytes:
            connection = http.client.HTTPConnection("127.0.0.1", number, timeout=30)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read()
            connection.close()
            return text

        self.assertIn(b"txcarp_groups 2.0", await self.inThread(scrape))


class SlicesTests(SynchronousTestCase):
    """
    Metrics of many groups.
    """

    def test_steps(self) -> None:
        """
        No step looks at more than one group, or writes one metric of more than a few.
        """
        looks: list[int] = []
        written: list[int] = []
        stage = Stage()

        class Host:
            def status(self) -> Status:
                looks.append(1)
                return stage.host.status()

        class Service:
            virtualHosts = [Host() for _ in range(2 * BLOCK + 1)]
            platform = stage.host._platform

            def addOccurrenceObserver(self, observer: object) -> None:
                pass

        def ofGroups(metric: object, groups: list[Group], isFirst: bool) -> bytes:
            written.append(len(groups))
            return b""

        service: Any = Service()
        metrics = Metrics(service, Clock(), None)
        metrics._format = exposition
        self.patch(exposition, "ofGroups", ofGroups)
        for step in metrics._steps():
            before = len(looks), len(written)
            step()
            self.assertLessEqual(len(looks) + len(written) - sum(before), 1)
        self.assertEqual(len(looks), 2 * BLOCK + 1)
        self.assertLessEqual(BLOCK * max(len(Finding), len(Rejection)), 500)
        self.assertEqual(max(written), BLOCK)
        self.assertEqual(sum(written), len(looks) * len(GROUP_METRICS))


class ImportTests(SynchronousTestCase):
    """
    What is loaded.
    """

    def test_late(self) -> None:
        """
        The library is not loaded with what answers other requests.
        """
        code = (
            "import sys, txcarp.operate.server, txcarp.operate.resource;"
            "sys.exit('prometheus_client' in sys.modules)"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)


class ManualTests(SynchronousTestCase):
    """
    The chapter describes each metric as it is.
    """

    def test_chapter(self) -> None:
        """
        Each metric stands there with its kind, meaning and labels, and no other one does.
        """
        text = (_ROOT / "docs" / "metrics.rst").read_text(encoding="utf-8")
        flat = " ".join(text.split())
        for metric in (*GROUP_METRICS, *PROCESS_METRICS):
            labels = ", ".join(f"``{one}``" for one in metric.labels)
            said = f"``{metric.name}`` ({metric.kind.value}) {metric.help}"
            if labels:
                said += f" {'Label' if len(metric.labels) == 1 else 'Labels'}: {labels}."
            self.assertIn(said, flat)
        described = set(re.findall(r"(?m)^``(txcarp_\w+)``", text))
        self.assertEqual(described, {one.name for one in (*GROUP_METRICS, *PROCESS_METRICS)})
        control = (_ROOT / "docs" / "control.rst").read_text(encoding="utf-8")
        said = f"or {MOST_SCRAPES} programs that wait for metrics"
        self.assertIn(said, " ".join(control.split()))
        others = set(re.findall(r"``(process_\w+)``", text))
        self.assertEqual(others, set(parsed(exposition.ofKernel().decode())))
