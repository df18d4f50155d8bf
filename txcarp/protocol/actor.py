"""
Who asked a host to do something.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Actor:
    """
    Who asked for something: a user, through a program on this host, or a signal.

    @ivar uid: The number of the user; C{None} for a signal.
    @ivar name: The name of the user, which may be empty, or of the signal.
    @ivar pid: The process ID of the program; C{None} for a signal.
    @ivar mayAct: Whether the user may change something.  This is decided before an event is made,
        and documents do not have it.
    """

    uid: int | None
    name: str
    pid: int | None
    mayAct: bool = attrs.field(default=True, repr=False)

    @classmethod
    def signal(cls, name: str) -> Actor:
        """
        A signal, such as C{SIGUSR2}, whose sender is not known.
        """
        return cls(None, name, None)

    def explain(self) -> str:
        """
        Return the actor as a phrase for a log line.
        """
        words = [self.name] if self.name else []
        if self.uid is not None:
            words.append(f"uid {self.uid}")
        if self.pid is not None:
            words.append(f"process {self.pid}")
        return ", ".join(words)
