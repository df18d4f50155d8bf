"""
The journal of systemd, with fields for programs, written without ever waiting for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from txcarp.change import Change
from txcarp.logs.syslog import SEVERITIES, LogConnection
from txcarp.logs.text import levelOf, messageLines

#: Where the journal listens for entries in its own format (systemd's JOURNAL_NATIVE_PROTOCOL).
JOURNAL_SOCKET = "/run/systemd/journal/socket"

#: What events may have that an entry gets as a field.
_FACTS = {"vhid": "TXCARP_VHID", "interface": "TXCARP_INTERFACE", "peer": "TXCARP_PEER"}


def isJournal(
    descriptors: Iterable[int] = (1, 2), environment: Mapping[str, str] = os.environ
) -> bool:
    """
    Whether what this process writes to one of some descriptors ends up in the journal, so that
    what it sends there itself would be there twice (C{JOURNAL_STREAM}, systemd.exec(5)).
    """
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    for one in descriptors:
        with contextlib.suppress(OSError):
            found = os.fstat(one)
            if (device, inode) == (str(found.st_dev), str(found.st_ino)):
                return True
    return False


@implementer(ILogObserver)
class JournalObserver:
    """
    Sends each line of an event as an entry, with its priority, and the group, the interface, the
    peer and the change of role that it is about.

    Never waits and never raises.

    @ivar lost: The number of dropped lines that no entry has reported yet.  They are reported
        behind the next entry that gets through.
    """

    def __init__(
        self, facility: int | None, identity: str = "txcarp", address: str = JOURNAL_SOCKET
    ) -> None:
        """
        @param facility: The number of the syslog facility of the entries; C{None} for none.
        @param identity: The name in front of the process number.
        @param address: The path of the socket of the journal.
        """
        self.lost = 0
        self._always = {"SYSLOG_IDENTIFIER": identity}
        if facility is not None:
            self._always["SYSLOG_FACILITY"] = str(facility)
        self._connection = LogConnection(address)

    @property
    def isThere(self) -> bool:
        """
        Whether the journal listens.
        """
        return self._connection.opened()

    def __call__(self, event: LogEvent) -> None:
        """
        Send each line of the event's message.
        """
        try:
            level = levelOf(event)
            facts = dict(_factsOf(event))
            for line in messageLines(event):
                if not self._send(level, line, facts):
                    self.lost += 1
                elif self.lost:
                    words = f"{self.lost} log lines before the previous one were lost"
                    if self._send(LogLevel.warn, f"{words}: the journal did not take more", {}):
                        self.lost = 0
        except Exception:
            self.lost += 1

    def close(self) -> None:
        """
        Close the socket.  The next event opens another.
        """
        self._connection.close()

    def _send(self, level: LogLevel, line: str, facts: Mapping[str, str]) -> bool:
        fields = {"MESSAGE": line, "PRIORITY": str(SEVERITIES[level]), **self._always, **facts}
        # A value has no line break: that of a message would begin another field.
        text = "".join(f"{name}={_inOneLine(value)}\n" for name, value in fields.items())
        return self._connection.send(text.encode("utf-8", "backslashreplace"))


def _factsOf(event: LogEvent) -> Iterator[tuple[str, str]]:
    for key, field in _FACTS.items():
        if isinstance(value := event.get(key), str | int):
            yield field, str(value)
    change = event.get("change")
    if isinstance(change, Change):
        yield "TXCARP_STATE", change.role.value
        yield "TXCARP_PREVIOUS", change.previous.value
        yield "TXCARP_REASON", change.reason.token
        if change.peer:
            yield "TXCARP_PEER", change.peer


def _inOneLine(value: str) -> str:
    return value.replace("\n", " ")
