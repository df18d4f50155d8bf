"""
Who was master of a group when, as one of its hosts saw it.
"""

from __future__ import annotations

import enum

import attrs

from txcarp.protocol.effects import Reason
from txcarp.protocol.events import HoldReason


class Who(enum.Enum):
    """
    Who is master.  The values are phrases.

    @cvar OWN: This host.
    @cvar OTHER: Another host.
    @cvar BOTH: This host and another one, which do not hear each other.
    @cvar NOBODY: No host that this one hears.
    @cvar UNKNOWN: This host did not take part, or could not hear the others.
    """

    OWN = "this host"
    OTHER = "another host"
    BOTH = "two masters"
    NOBODY = "nobody"
    UNKNOWN = "unknown"


#: What the words mean that are no L{Reason} and no L{HoldReason}: how a backup found another
#: master, and what a process does not know of the time before it.
_PHRASES = {
    "bow-out": "the master bowed out",
    "timing": "a preferred master advertises",
    "unknown": "this host heard it advertise",
    "silent": "the master fell silent",
    "rival": "both advertise",
    "rival-silent": "the other master fell silent",
    "not-running": "txcarp did not run",
}


@attrs.frozen
class Period:
    """
    A time in which the same host is master.  It ends when the next period begins.

    @ivar begin: When it begins, in seconds since 1970.
    @ivar master: The address of the other host that is master, or an empty string.
    @ivar reason: Why it began, as a word for programs.
    """

    begin: float
    who: Who
    master: str = ""
    reason: str = ""

    @property
    def label(self) -> str:
        """
        Who is master, in few words.
        """
        if self.who is Who.BOTH:
            return f"this host and {self.master}"
        return self.master or self.who.value

    def explain(self) -> str:
        """
        Return why it began, as a phrase; an empty string if that is unknown.
        """
        if self.reason in _PHRASES:
            return _PHRASES[self.reason]
        name = self.reason.upper()
        if name in Reason.__members__:
            return Reason[name].value
        return HoldReason[name].value if name in HoldReason.__members__ else ""
