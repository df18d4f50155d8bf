"""
C{docs/control.rst} describes what a running process answers.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.fakes import Stage
from txcarp import virtualhost
from txcarp.change import Change, Readiness, ReloadResult, Runs
from txcarp.commands import asking
from txcarp.commands.main import COMMANDS
from txcarp.configuration.options import WRONG_USAGE
from txcarp.configuration.places import CONTROL_SOCKET
from txcarp.mastership.leases import DONE
from txcarp.membership import draining
from txcarp.membership.timeline import SEAMLESS
from txcarp.occurrences import Occurrence, OccurrenceKind
from txcarp.operate import acting, connections, control, streams
from txcarp.operate.documents import SCHEMA
from txcarp.operate.events import KEPT, EventLog, Record
from txcarp.protocol.periods import Period, Who
from txcarp.protocol.sealstate import PERIODS
from txcarp.status.parts import (
    AddressStatus,
    CheckStatus,
    FamilyStatus,
    HoldStatus,
    Note,
    PastChange,
    PeerStatus,
    ProbeStatus,
    StepStatus,
    SyncStatus,
)
from txcarp.status.snapshot import Status

_ROOT = Path(txcarp.__file__).parent


class ManualTests(SynchronousTestCase):
    """
    The chapter and the code agree.
    """

    def setUp(self) -> None:
        text = (_ROOT.parent / "docs" / "control.rst").read_text(encoding="utf-8")
        self.text = text
        self.commands = (_ROOT.parent / "docs" / "commands.rst").read_text(encoding="utf-8")
        self.group, _, rest = text.partition("\nA group\n~~~")[2].partition("\nWho was master")
        self.timeline = rest.partition("\nEvents\n~~~")[0]

    def test_keys(self) -> None:
        """
        Each key of a group is described, and none that does not exist.
        """
        parts = PeerStatus, AddressStatus, HoldStatus, CheckStatus, StepStatus, SyncStatus, Note
        kinds = (Status, *parts, ProbeStatus, FamilyStatus, PastChange, Change, Runs)
        names = {field.name for kind in kinds for field in attrs.fields(kind)}
        quoted = set(re.findall(r"``(\w+)``", self.group))
        self.assertEqual(names - quoted, set())
        terms = [line for line in self.group.splitlines() if line.startswith("``")]
        described = re.findall(r"``(\w+)``", " ".join(terms))
        added = {"notes", "problem"}
        self.assertEqual(set(described), {field.name for field in attrs.fields(Status)} | added)

    def test_periods(self) -> None:
        """
        Each key of a period and each value of C{who} is described, and the limits.
        """
        names = {field.name for field in attrs.fields(Period)} | {"label", "explanation"}
        keys = self.timeline.partition("these keys:")[2]
        terms = [line for line in keys.splitlines() if line.startswith("``")]
        self.assertEqual(set(re.findall(r"``(\w+)``", " ".join(terms))), names)
        words = {one.name.lower() for one in Who}
        self.assertEqual(words - set(re.findall(r"``(\w+)``", self.timeline)), set())
        text = " ".join(self.timeline.split())
        self.assertIn(f"A group has {PERIODS} of them", text)
        self.assertIn(f"within {SEAMLESS * 1000:.0f} ms", text)

    def test_events(self) -> None:
        """
        Each event and each key of one is described, and the limits are those of the code.
        """
        chapter = self.text.partition("\nEvents\n~~~")[2].partition("\nIn Python\n")[0]
        rows = re.findall(r"(?m)^``([a-z-]+)`` ", chapter)
        own = ["state", "listening", "lagging"]
        kinds = [kind.value for kind in OccurrenceKind]
        log = EventLog(lambda: 1e9)
        occurrence = Occurrence(OccurrenceKind.RELOAD, "", "", 0, "done", "x")
        keys = list(json.loads(log.json(Record(1, 0.0, occurrence))))
        self.assertEqual(keys, list(json.loads(log.own("lagging", "", "", 1))))
        self.assertEqual(sorted(set(rows)), sorted({*own, *kinds, *keys}))
        status = Stage().host.status()
        quoted = re.findall(r"``(\w+)``", chapter)
        for key in json.loads(log.state(status)):
            self.assertIn(key, quoted)
        for reading in (*DONE, "ended", "failed", *(one.value for one in Readiness)):
            self.assertIn(reading, quoted)
        text = " ".join(chapter.split())
        for said in (
            f"the last {KEPT} events",
            f"After {streams.KEEP_ALIVE:.0f} seconds",
            f"There are {streams.MOST_READERS} readers at most",
        ):
            self.assertIn(said, text)

    def test_errors(self) -> None:
        """
        Each error is described with its status.
        """
        sources = "".join(
            (_ROOT / "operate" / f"{name}.py").read_text()
            for name in ("request", "control", "connections", "acting")
        )
        raised = set(
            re.findall(r'(?:Refused|refusal)\(\s*(\d{3}),\s*"([a-z-]+)"', sources)
        )
        changes = Path(draining.__file__).read_text() + Path(virtualhost.__file__).read_text()
        raised |= {("409", word) for word in re.findall(r'NotDrained\("([a-z-]+)"', changes)}
        raised.add(("504", "not-yet"))
        self.assertGreater(len(raised), 9)
        rows = set(re.findall(r"(?m)^``([a-z-]+)`` +(\d{3}) ", self.text))
        self.assertEqual(rows, {(word, code) for code, word in raised})

    def test_numbers(self) -> None:
        """
        The limits, the paths and the exit statuses are those of the code.
        """
        text = " ".join((self.text + self.commands).split())
        for said in (
            f"``schema``, which is {SCHEMA}.",
            f"within {connections.PATIENCE:.0f} seconds",
            f"{connections.LONGEST_BODY} bytes at most",
            f"{connections.MOST_CLIENTS} connections at most",
            f"``{CONTROL_SOCKET}``",
            f"{WRONG_USAGE} the command line is wrong",
            f"{asking.REFUSED} refused",
            f"{asking.NO_DAEMON} no txcarp answers",
            f"{asking.NOT_PERMITTED} the user may not",
        ):
            self.assertIn(said, text)
        for field in attrs.fields(ReloadResult):
            self.assertIn(f"``{field.name}``", self.text)

    def test_commands(self) -> None:
        """
        Each command has a section with an example, and no other one does.
        """
        sections = re.split(r"(?m)^``txcarp ([a-z-]+)[^`]*``\n~+\n", self.commands)
        described = dict(zip(sections[1::2], sections[2::2], strict=True))
        self.assertEqual(set(described), set(COMMANDS))
        for command, text in described.items():
            examples = re.findall(r"(?m)^    (.*)$", text)
            self.assertRegex("\n".join(examples), rf"\btxcarp {command}\b", command)

    def test_requests(self) -> None:
        """
        Each action has a line, and each command that asks.
        """
        source = Path(control.__file__).read_text()
        actions = set(re.findall(r'(?m)^            "(\w+)": self\._', source))
        self.assertEqual(len(actions), 3)
        described = set(re.findall(r"``POST /v1/groups/NAME/(\w+)``", self.text))
        self.assertEqual(described, actions | set(acting.MAINTENANCE))
        for name, command in COMMANDS.items():
            if "commands.asking" in inspect.getsource(sys.modules[command.load().__module__]):
                self.assertRegex(self.commands, rf"(?m)^``txcarp {name}[ `]|``txcarp {name} ")
