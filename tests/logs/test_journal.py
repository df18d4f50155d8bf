"""
Tests for L{txcarp.logs.journal}.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile

from twisted.logger import ILogObserver, LogEvent, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txcarp.change import Change
from txcarp.logs.journal import JournalObserver, isJournal
from txcarp.protocol.effects import Reason, Role


class JournalTests(SynchronousTestCase):
    """
    Tests for L{JournalObserver} with a socket in place of the journal.
    """

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.path = os.path.join(directory, "socket")
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.journal.close)
        self.observer = JournalObserver(3, address=self.path)
        self.addCleanup(self.observer.close)

    def event(self, text: str, **values: object) -> LogEvent:
        """
        An event.
        """
        return {"log_level": LogLevel.warn, "log_format": text, **values}

    def entry(self) -> dict[str, str]:
        """
        The next entry.
        """
        self.journal.settimeout(5)
        lines = self.journal.recv(1 << 16).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)  # type: ignore[misc]

    def test_entry(self) -> None:
        """
        An entry has the message, the priority and what it is about, and nothing else of the event.
        """
        verifyObject(ILogObserver, self.observer)
        self.assertFalse(self.observer.isThere)
        self.journal.bind(self.path)
        self.assertTrue(self.observer.isThere)
        self.observer(
            self.event("it is {peer}", vhid=7, interface="eth0", peer="10.0.0.2", password="x")
        )
        self.assertEqual(
            self.entry(),
            {
                "MESSAGE": "it is 10.0.0.2",
                "PRIORITY": "4",
                "SYSLOG_IDENTIFIER": "txcarp",
                "SYSLOG_FACILITY": "3",
                "TXCARP_VHID": "7",
                "TXCARP_INTERFACE": "eth0",
                "TXCARP_PEER": "10.0.0.2",
            },
        )

    def test_change(self) -> None:
        """
        A change of role is in fields, with the words that scripts get.
        """
        self.journal.bind(self.path)
        change = Change(
            role=Role.MASTER,
            previous=Role.BACKUP,
            reason=Reason.SILENCE,
            vhid=7,
            interface="eth0",
            addresses=("10.0.0.1",),
            peer="10.0.0.2",
        )
        self.observer(self.event("now", change=change))
        entry = self.entry()
        self.assertEqual(
            [entry[f"TXCARP_{one}"] for one in ("STATE", "PREVIOUS", "REASON", "PEER")],
            ["MASTER", "BACKUP", Reason.SILENCE.token, "10.0.0.2"],
        )

    def test_injected(self) -> None:
        """
        A line break in a value begins no other field.
        """
        self.journal.bind(self.path)
        self.observer(self.event("{what}", what="one\nPRIORITY=0", interface="e\nMESSAGE=no"))
        self.assertEqual(self.entry()["MESSAGE"], "one")
        entry = self.entry()
        self.assertEqual((entry["MESSAGE"], entry["PRIORITY"]), ("PRIORITY=0", "4"))
        self.assertEqual(entry["TXCARP_INTERFACE"], "e MESSAGE=no")

    def test_lost(self) -> None:
        """
        Lines that the journal does not take are dropped, counted, and reported later.
        """
        self.observer(self.event("one"))
        self.observer(self.event("{nothing", log_level="no level"))
        self.assertGreater(self.observer.lost, 0)
        count = self.observer.lost
        self.journal.bind(self.path)
        self.observer(self.event("two"))
        self.assertEqual(self.entry()["MESSAGE"], "two")
        self.assertIn(f"{count} log lines before", self.entry()["MESSAGE"])
        self.assertEqual(self.observer.lost, 0)
        for _ in range(5000):
            self.observer(self.event("full"))
        self.assertGreater(self.observer.lost, 0)

    def test_detected(self) -> None:
        """
        The journal is what the environment says, if it is still behind a descriptor.
        """
        found = os.fstat(self.journal.fileno())
        right = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        self.assertTrue(isJournal([-1, self.journal.fileno()], right))
        self.assertFalse(isJournal([self.journal.fileno()], {}))
        self.assertFalse(isJournal([self.journal.fileno()], {"JOURNAL_STREAM": "1:2"}))
        self.assertFalse(isJournal([-1], right))
