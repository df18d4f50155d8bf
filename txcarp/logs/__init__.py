"""
Log observers that never make the program wait, and what decides which lines they
get.
"""

from __future__ import annotations

from txcarp.logs.filters import minimumLevel, withoutPortNoise
from txcarp.logs.levels import facilityNumber
from txcarp.logs.limits import SayOnce
from txcarp.logs.syslog import SyslogObserver
from txcarp.logs.terminal import TerminalObserver

__all__ = [
    "SayOnce",
    "SyslogObserver",
    "TerminalObserver",
    "facilityNumber",
    "minimumLevel",
    "withoutPortNoise",
]
