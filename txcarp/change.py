"""
What a change of role is made of, as steps, scripts, observers and log lines
are told it.
"""

from __future__ import annotations

import attrs

from txcarp.protocol.effects import Reason, Role


@attrs.frozen
class Change:
    """
    A virtual host got another role.

    @ivar role: What it is now.
    @ivar previous: What it was.
    @ivar reason: Why.
    @ivar vhid: The virtual host.
    @ivar interface: The name of its interface.
    @ivar addresses: Its addresses as they were written.
    @ivar peer: The address of the host whose advertisement led to it, or an
        empty string.
    @ivar detail: More about the reason, for people; may be empty.
    """

    role: Role
    previous: Role
    reason: Reason
    vhid: int
    interface: str
    addresses: tuple[str, ...]
    peer: str = ""
    detail: str = ""

    def explain(self) -> str:
        """
        The reason in one phrase for a log line.
        """
        words = self.reason.value
        if self.detail:
            words += f" ({self.detail})"
        if self.peer:
            words += f", peer {self.peer}"
        return words


@attrs.frozen
class ScriptResult:
    """
    How a script ended.

    @ivar status: Its exit status; C{None} if it has none.
    @ivar signal: The name of the signal that ended it, or an empty string.
    @ivar timedOut: Whether it was ended because its time was over.
    @ivar error: Why it could not be started, or an empty string.
    """

    status: int | None = None
    signal: str = ""
    timedOut: bool = False
    error: str = ""

    @property
    def good(self) -> bool:
        """
        Whether it ended by itself with status zero.
        """
        return self.status == 0 and not self.timedOut

    def explain(self) -> str:
        """
        How it ended, in a few words.
        """
        if self.error:
            return self.error
        end = f"killed by {self.signal}" if self.signal else f"exit status {self.status}"
        return f"{end}, after its time limit" if self.timedOut else end
