"""
Log observers that never make the process wait.

An event comes through C{filters}, C{text} makes lines of it, and C{terminal} or C{syslog}
writes them.  C{limits} keeps recurring events from being logged each time.
"""

from __future__ import annotations

from txcarp.logs.filters import filtered
from txcarp.logs.limits import SayOnce
from txcarp.logs.syslog import SyslogObserver, facilityNumber
from txcarp.logs.terminal import TerminalObserver

__all__ = [
    "SayOnce",
    "SyslogObserver",
    "TerminalObserver",
    "facilityNumber",
    "filtered",
]
