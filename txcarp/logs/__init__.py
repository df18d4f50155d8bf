"""
Log observers that never make the process wait.

In reading order:

  - C{filters}: drops the events that are not logged.
  - C{text}: makes lines of an event.
  - C{terminal}: writes lines to the terminal.
  - C{syslog}: writes lines to syslog.
  - C{journal}: sends lines with fields to the journal of systemd.
  - C{limits}: keeps a recurring event from being logged each time.
"""

from __future__ import annotations

from txcarp.logs.filters import filtered
from txcarp.logs.journal import JournalObserver, isJournal
from txcarp.logs.limits import SayOnce
from txcarp.logs.syslog import SyslogObserver, facilityNumber
from txcarp.logs.terminal import TerminalObserver

__all__ = [
    "JournalObserver",
    "SayOnce",
    "SyslogObserver",
    "TerminalObserver",
    "facilityNumber",
    "filtered",
    "isJournal",
]
